//! The log: one line of JSON per call and per event on standard output, and the same as records for a collector.

mod entry;
mod ids;
mod line;
mod lines;

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tracing::level_filters::LevelFilter;
use tracing::{Metadata, Subscriber};
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt;
use tracing_subscriber::fmt::format::{Format, Json, JsonFields};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{EnvFilter, Registry};

use super::otlp::{Otlp, Records};
use super::{Record, trace};
use crate::state::core::SessionOutcome;
use entry::Export;
pub(crate) use entry::{Entry, Fields};
use ids::WithIds;
pub use lines::Guard;
use lines::{Queue, Writer};

/// Where calls' lines go, once a log is installed.
static QUEUE: OnceLock<Arc<Queue>> = OnceLock::new();
/// Where their records go, if anywhere.
static RECORDS: OnceLock<Records> = OnceLock::new();
/// Are calls told of at all? (`RUST_LOG`, asked once: the layers of a collector want other things than the log.)
static CALLS: AtomicBool = AtomicBool::new(false);

/// A call is over; what is not needed any more is taken out of its record.
pub(super) fn call(record: &mut Record, duration: Duration) {
    if !CALLS.load(Ordering::Relaxed) {
        return;
    }
    if let Some(queue) = QUEUE.get() {
        let mut line = String::with_capacity(512);
        line::write_call(&mut line, record, duration);
        queue.push(line.as_bytes());
    }
    if let Some(records) = RECORDS.get() {
        records.push(Entry::of_call(record, duration));
    }
}

/// The word for what became of a session.
pub fn session(outcome: SessionOutcome) -> &'static str {
    match outcome {
        SessionOutcome::None => "none",
        SessionOutcome::Hit => "hit",
        SessionOutcome::New => "new",
        SessionOutcome::Moved => "moved",
    }
}

/// Sends every `tracing` event to standard output as JSON; `RUST_LOG` filters (default `info`). With `otlp` the same events are
/// records for its collector, and events and spans are parts of its traces. What waits is written when the returned guard is
/// dropped.
pub fn install(otlp: Option<&Otlp>) -> Guard {
    let queue = Arc::new(Queue::default());
    let guard = Guard::start(queue.clone());
    let queue = QUEUE.get_or_init(|| queue).clone();
    CALLS.store(tells_of_calls(filter()), Ordering::Relaxed);
    if let Some(records) = otlp.and_then(Otlp::records) {
        let _ = RECORDS.set(records); // a second installation keeps the first
    }
    // A second installation (a test, an embedding program) keeps the first.
    let _ = match otlp {
        None => tracing::subscriber::set_global_default(
            Registry::default().with(printed(queue).with_filter(filter())),
        ),
        Some(otlp) => tracing::subscriber::set_global_default(Registry::default().with(layers(queue, otlp))),
    };
    guard
}

type Boxed = Box<dyn Layer<Registry> + Send + Sync>;

/// Each goes by its own filter: what is a span of a trace need not be a line of the log.
fn layers(queue: Arc<Queue>, otlp: &Otlp) -> Vec<Boxed> {
    let mut layers = vec![printed(queue).map_event_format(WithIds).with_filter(filter()).boxed()];
    if let Some(records) = otlp.records() {
        // Ours alone: what the exporters say of themselves would be sent by them again.
        layers.push(Export(records).with_filter(filter_fn(is_ours)).with_filter(filter()).boxed());
    }
    if let Some(tracer) = otlp.tracer() {
        let ours = || filter_fn(is_ours).with_max_level_hint(LevelFilter::INFO);
        layers.push(spans().with_tracer(tracer).with_filter(ours()).boxed());
        layers.push(trace::Events.with_filter(ours()).boxed());
    }
    layers
}

/// Spans of `tracing` as spans of traces, without what costs more than it tells.
fn spans<S>() -> OpenTelemetryLayer<S, opentelemetry::trace::noop::NoopTracer>
where
    S: Subscriber + for<'s> LookupSpan<'s>,
{
    tracing_opentelemetry::layer()
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
        .with_target(false)
}

fn is_ours(metadata: &Metadata<'_>) -> bool {
    metadata.target().starts_with("weir") && *metadata.level() <= tracing::Level::INFO
}

fn filter() -> EnvFilter {
    EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"))
}

/// Would the line of a call pass?
fn tells_of_calls(filter: EnvFilter) -> bool {
    let asked = Registry::default().with(filter);
    tracing::subscriber::with_default(asked, || tracing::enabled!(target: "weir::call", tracing::Level::INFO))
}

fn printed<S>(queue: Arc<Queue>) -> fmt::Layer<S, JsonFields, Format<Json>, Writer>
where
    S: Subscriber + for<'s> LookupSpan<'s>,
{
    fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_writer(Writer(queue))
}
