//! Metrics on their way to the collector. They are levels, so one that is not taken is made up for by the next.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use opentelemetry_otlp::MetricExporter;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::metrics::{PeriodicReader, Temporality};
use parking_lot::Mutex;

use super::queue::Fate;
use crate::telemetry::redact::Redactor;

/// No more often than this it is said that metrics were not taken.
const SAID: Duration = Duration::from_secs(30);

/// How often they are told, where nobody says.
const INTERVAL: Duration = Duration::from_secs(60);
/// The reader's own time-table: it tells when it is asked to, for somebody must look at what gauges tell of before
/// (`http/gauges.rs`).
const NEVER: Duration = Duration::from_secs(u32::MAX as u64);

/// How often they are told: as the file says, else the standard's environment.
pub(super) fn interval(written: Option<Duration>, environment: Option<&str>) -> Duration {
    let millis = environment.and_then(|said| said.trim().parse().ok()).filter(|millis| *millis > 0);
    written.or(millis.map(Duration::from_millis)).unwrap_or(INTERVAL)
}

/// What collects all metrics and has them sent.
pub(in crate::telemetry) type Reader = PeriodicReader<Counted>;

/// An exporter whose successes and failures are counted, and failures said.
pub(in crate::telemetry) struct Counted {
    exporter: MetricExporter,
    fate: Arc<Fate>,
    redactor: Arc<ArcSwap<Redactor>>,
    said: Mutex<Option<Instant>>, // short sections
}

impl Counted {
    pub(super) fn reader(
        exporter: MetricExporter,
        fate: Arc<Fate>,
        redactor: Arc<ArcSwap<Redactor>>,
    ) -> Reader {
        let counted = Counted { exporter, fate, redactor, said: Mutex::default() };
        PeriodicReader::builder(counted).with_interval(NEVER).build()
    }

    fn is_time(&self) -> bool {
        let mut said = self.said.lock();
        let is_time = said.is_none_or(|at| at.elapsed() >= SAID);
        if is_time {
            *said = Some(Instant::now());
        }
        is_time
    }
}

impl PushMetricExporter for Counted {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        let exported = self.exporter.export(metrics).await;
        let counter = if exported.is_ok() { &self.fate.sent } else { &self.fate.failed };
        counter.fetch_add(1, Ordering::Relaxed);
        if let Some(err) = exported.as_ref().err().filter(|_| self.is_time()) {
            let error = self.redactor.load().short(&err.to_string());
            tracing::warn!(target: "weir::telemetry", signal = "metrics", error, "not taken by the collector");
        }
        exported
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn temporality(&self) -> Temporality {
        self.exporter.temporality()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Broken on purpose to see it fail: the environment before the file.
    #[test]
    fn the_file_says_how_often_and_else_the_environment() {
        let seconds = Duration::from_secs;
        for (written, environment, expected) in [
            (Some(seconds(5)), Some("1000"), seconds(5)),
            (None, Some("1000"), seconds(1)),
            (None, Some("0"), INTERVAL),
            (None, Some("often"), INTERVAL),
            (None, None, INTERVAL),
        ] {
            assert_eq!(interval(written, environment), expected, "{written:?} {environment:?}");
        }
    }
}
