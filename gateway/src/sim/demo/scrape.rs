//! Reads what the gateway says of itself, in Prometheus' text format, as an operator's tools would.

/// One sample: a metric's name, its labels as written, its value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Sample<'a> {
    name: &'a str,
    labels: &'a str,
    value: f64,
}

/// The samples of a page.
#[derive(Debug)]
pub(super) struct Page<'a>(Vec<Sample<'a>>);

impl<'a> Page<'a> {
    /// Reads a page; comments and what is no sample are skipped.
    pub(super) fn read(text: &'a str) -> Page<'a> {
        Page(text.lines().filter(|line| !line.starts_with('#')).filter_map(sample).collect())
    }

    /// The sum over all samples of a counter that carry these labels.
    pub(super) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let carries = |sample: &&Sample<'_>| {
            labels.iter().all(|(label, value)| label_of(sample.labels, label) == Some(value))
        };
        self.0.iter().filter(|sample| sample.name == name).filter(carries).map(|sample| sample.value).sum()
    }

    /// As [`Page::sum`], of a counter of whole things.
    pub(super) fn count(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        self.sum(name, labels).round() as u64
    }
}

fn sample(line: &str) -> Option<Sample<'_>> {
    let (series, value) = line.rsplit_once(' ')?;
    let value = value.parse().ok()?;
    match series.split_once('{') {
        Some((name, labels)) => Some(Sample { name, labels: labels.strip_suffix('}')?, value }),
        None => Some(Sample { name: series, labels: "", value }),
    }
}

/// The value of a label. Names of the demo hold neither quotes nor commas.
fn label_of<'a>(labels: &'a str, name: &str) -> Option<&'a str> {
    let of = |pair: &'a str| pair.strip_prefix(name)?.strip_prefix("=\"")?.strip_suffix('"');
    labels.split(',').find_map(of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_summed_over_the_labels_that_are_not_named() {
        let page = Page::read(
            "# TYPE calls_total counter\ncalls_total{tenant=\"a\",status=\"200\"} 3\n\
             calls_total{tenant=\"a\",status=\"429\"} 1\ncalls_total{tenant=\"b\",status=\"200\"} 5\nup 1\n\n",
        );
        assert_eq!(page.count("calls_total", &[("status", "200")]), 8);
        assert_eq!(page.count("calls_total", &[("tenant", "a")]), 4);
        assert_eq!(page.count("calls_total", &[("tenant", "a"), ("status", "200")]), 3);
        assert_eq!(page.count("calls_total", &[("ten", "a")]), 0);
        assert_eq!(page.sum("up", &[]), 1.0);
    }

    #[test]
    fn what_the_gateway_writes_is_read() {
        let metrics = crate::telemetry::Metrics::new().unwrap();
        metrics.denied("capacity", &"pool".into());
        metrics.denied("tenant", &"pool".into());
        let text = String::from_utf8(metrics.text().unwrap()).unwrap();
        let page = Page::read(&text);
        assert_eq!(page.count("weir_denials_total", &[("scope", "capacity")]), 1);
        assert_eq!(page.count("weir_denials_total", &[("pool", "pool")]), 2);
    }
}
