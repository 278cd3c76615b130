//! Metrics on their way to the collector. They are levels, so one that is not taken is made up for by the next.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use opentelemetry_otlp::MetricExporter;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::metrics::{PeriodicReader, Temporality};
use parking_lot::Mutex;

/// No more often than this it is said that metrics were not taken.
const SAID: Duration = Duration::from_secs(30);

/// What collects all metrics and has them sent.
pub(in crate::telemetry) type Reader = PeriodicReader<Counted>;

/// An exporter whose failures are counted and said.
pub(in crate::telemetry) struct Counted {
    exporter: MetricExporter,
    failed: Arc<AtomicU64>,
    said: Mutex<Option<Instant>>, // short sections
}

impl Counted {
    pub(super) fn new(exporter: MetricExporter, failed: Arc<AtomicU64>) -> Counted {
        Counted { exporter, failed, said: Mutex::default() }
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
        if let Err(err) = &exported {
            self.failed.fetch_add(1, Ordering::Relaxed);
            if self.is_time() {
                tracing::warn!(target: "weir::telemetry", signal = "metrics", error = %err, "not taken by the collector");
            }
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
