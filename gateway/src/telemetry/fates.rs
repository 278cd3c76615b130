//! What became of what was told to the collector, as metrics.

use std::sync::{Arc, Weak};

use opentelemetry::KeyValue;
use opentelemetry::metrics::{AsyncInstrument, Meter};

use super::otlp::Otlp;

/// Counters that are read when somebody asks.
pub(super) fn tell(meter: &Meter, otlp: &Arc<Otlp>) {
    let seen = Arc::downgrade(otlp);
    meter
        .u64_observable_counter("weir_telemetry_sent")
        .with_description("Spans, log records and messages of metrics that the collector took")
        .with_callback(move |to| each(&seen, |signal, [sent, ..]| observe(to, sent, &[("signal", signal)])))
        .build();
    let seen = Arc::downgrade(otlp);
    meter
        .u64_observable_counter("weir_telemetry_lost")
        .with_description(
            "Spans, log records and messages of metrics that were lost: too many waited, or the collector did not take them",
        )
        .with_callback(move |to| {
            each(&seen, |signal, [_, dropped, failed]| {
                observe(to, dropped, &[("signal", signal), ("reason", "full")]);
                observe(to, failed, &[("signal", signal), ("reason", "failed")]);
            });
        })
        .build();
}

fn each(otlp: &Weak<Otlp>, tell: impl Fn(&'static str, [u64; 3])) {
    let Some(otlp) = otlp.upgrade() else { return };
    otlp.fates().into_iter().for_each(|(signal, counts)| tell(signal, counts));
}

fn observe(to: &dyn AsyncInstrument<u64>, count: u64, labels: &[(&'static str, &'static str)]) {
    let labels: Vec<KeyValue> = labels.iter().map(|(name, value)| KeyValue::new(*name, *value)).collect();
    to.observe(count, &labels);
}
