//! A gauge of things that come and go with the configuration.

use ahash::AHashMap;
use opentelemetry::KeyValue;
use opentelemetry::metrics::Gauge;
use parking_lot::Mutex;

/// A gauge keeps its values. So what a page does not show any more is set to what it is when nothing is there, once.
#[derive(Debug)]
pub(super) struct Levels {
    gauge: Gauge<f64>,
    gone: f64,
    shown: Mutex<AHashMap<Vec<KeyValue>, bool>>, // since the last turn? Short sections
}

impl Levels {
    pub(super) fn new(gauge: Gauge<f64>, gone: f64) -> Levels {
        Levels { gauge, gone, shown: Mutex::default() }
    }

    pub(super) fn show(&self, value: f64, labels: &[KeyValue]) {
        self.gauge.record(value, labels);
        self.shown.lock().insert(labels.to_vec(), true);
    }

    /// All of a page has been shown.
    pub(super) fn turn(&self) {
        self.shown.lock().retain(|labels, is_there| {
            if !*is_there {
                self.gauge.record(self.gone, labels);
            }
            std::mem::take(is_there)
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::metrics::Metrics;

    /// Broken on purpose to see it fail: nothing set back.
    #[test]
    fn what_is_shown_no_more_is_shown_as_nothing() {
        let metrics = Metrics::new().unwrap();
        metrics.waiting(&"a".into(), 3);
        metrics.waiting(&"b".into(), 2);
        metrics.shown();
        metrics.waiting(&"b".into(), 4);
        metrics.shown();
        let text = String::from_utf8(metrics.text().unwrap()).unwrap();
        let of = |model: &str| {
            let label = format!("model=\"{model}\"");
            let mut lines = text.lines().filter(|line| line.starts_with("weir_waiting_calls{"));
            lines.find(|line| line.contains(&label)).and_then(|line| line.split(' ').next_back())
        };
        assert_eq!((of("a"), of("b")), (Some("0"), Some("4")));
    }
}
