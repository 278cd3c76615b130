//! Traces, metrics and logs over OTLP, to one collector.
//!
//! Nothing here makes a call wait. What is told goes into bounded queues ([`queue`]); one thread with a runtime of its own
//! sends it, and the SDK's reader, on another one, collects metrics and has them sent there. A collector that is slow, dead or
//! frozen fills the queues; what does not fit is counted and dropped. (The SDK's own batch processors drop as well, but tell
//! nobody how much, bound no bytes, and have no place to do work that calls are to be spared.)

mod exporters;
mod http;
mod logs;
mod metrics;
mod queue;
mod resource;
mod secrets;
mod sender;
mod spans;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Context as _;
use arc_swap::ArcSwap;
use opentelemetry::Context;
use opentelemetry::InstrumentationScope;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::log::Entry;
use super::names::Names;
use super::redact::Redactor;
use super::trace::{Share, Tracing};
use crate::config::Config;
use exporters::Exporters;
use logs::Logs;
pub(super) use metrics::Reader;
use queue::{Fate, Queue};
use secrets::Secrets;
use spans::{Ended, Spans};

/// The longest that the end of the process waits for the collector.
pub const LAST: Duration = Duration::from_secs(2);

/// The name and version of who tells.
fn scope() -> InstrumentationScope {
    InstrumentationScope::builder("weir").with_version(env!("CARGO_PKG_VERSION")).build()
}

/// The ways of one process to its collector.
#[derive(Debug)]
pub struct Otlp {
    tracing: Option<Arc<Tracing>>,
    tracer: Option<SdkTracer>,
    spans: Option<Arc<Queue<Ended>>>,
    logs: Option<Arc<Queue<Entry>>>,
    metrics: Option<Metrics>,
    resource: Resource,
    names: Names,
    redactor: Arc<ArcSwap<Redactor>>,
    secrets: Mutex<Secrets>, // short sections
    phase: watch::Sender<Phase>,
}

/// Metrics' way.
#[derive(Debug)]
struct Metrics {
    reader: Mutex<Option<Reader>>, // until somebody takes it
    fate: Arc<Fate>,
    interval: Duration,
}

/// How far the end is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Telling,
    /// All spans and records have been sent, or lost.
    Told,
    Over,
}

/// Where log records go.
#[derive(Clone, Debug)]
pub(crate) struct Records(Arc<Queue<Entry>>);

impl Records {
    /// Puts one in, or drops it.
    pub(crate) fn push(&self, entry: Entry) {
        self.0.push(entry);
    }
}

impl Otlp {
    /// As the configuration says, for the replica of this name; none if it names no collector, or if
    /// `OTEL_SDK_DISABLED` says so.
    pub fn start(config: &Config, replica: &str) -> anyhow::Result<Option<Arc<Otlp>>> {
        let Some(otlp) = config.telemetry.otlp.clone().filter(|_| !is_disabled()) else { return Ok(None) };
        let opt_in = said("OTEL_SEMCONV_STABILITY_OPT_IN");
        let names = Names::new(config.telemetry.semconv, opt_in.as_deref());
        let resource = resource::of(&otlp, replica);
        let signals = otlp.signals;
        let (spans, logs) = (queue_if(signals.traces), queue_if(signals.logs));
        let interval =
            metrics::interval(otlp.metrics_interval, said("OTEL_METRIC_EXPORT_INTERVAL").as_deref());
        let secrets = Secrets::new(secrets::of_environment(said), config.secrets());
        let redactor = Arc::new(ArcSwap::from_pointee(secrets.redactor()?));
        let ways = Ways { spans: spans.clone(), logs: logs.clone(), redactor: redactor.clone() };
        let Started { phase, metrics } = start_thread(otlp, resource.clone(), ways)?;
        let share = Share::new(config.telemetry.sample_ratio);
        let tracer = spans.as_ref().map(|spans| tracer(spans, &share, &resource));
        let tracing =
            tracer.clone().map(|tracer| Arc::new(Tracing::new(tracer, names, share, &config.telemetry)));
        let metrics =
            metrics.map(|(reader, fate)| Metrics { reader: Mutex::new(Some(reader)), fate, interval });
        let secrets = Mutex::new(secrets);
        let ways = Otlp { tracing, tracer, spans, logs, metrics, resource, names, redactor, secrets, phase };
        Ok(Some(Arc::new(ways)))
    }

    /// Goes by another configuration from now on, as far as that may change.
    pub fn adopt(&self, config: &Config) -> anyhow::Result<()> {
        let mut secrets = self.secrets.lock();
        if let Some(changed) = secrets.with(config.secrets()) {
            self.redactor.store(Arc::new(changed.redactor()?)); // who cannot have it goes on by what was
            *secrets = changed;
        }
        if let Some(tracing) = &self.tracing {
            tracing.set(&config.telemetry);
        }
        Ok(())
    }

    /// What makes the spans of calls, if they are told.
    pub fn tracing(&self) -> Option<Arc<Tracing>> {
        self.tracing.clone()
    }

    /// For spans of `tracing`.
    pub(super) fn tracer(&self) -> Option<SdkTracer> {
        self.tracer.clone()
    }

    /// Where log records go, if they are told.
    pub(super) fn records(&self) -> Option<Records> {
        self.logs.clone().map(Records)
    }

    /// What collects metrics, if they are told. There is one.
    pub(super) fn reader(&self) -> Option<Reader> {
        self.metrics.as_ref()?.reader.lock().take()
    }

    /// How often metrics are to be told, if they are.
    pub fn metrics_interval(&self) -> Option<Duration> {
        self.metrics.as_ref().map(|metrics| metrics.interval)
    }

    pub(super) fn resource(&self) -> &Resource {
        &self.resource
    }

    pub(super) fn names(&self) -> Names {
        self.names
    }

    /// What became of what was told, by signal: sent, dropped for want of room, not taken. Of metrics whole messages, of which none
    /// waits.
    pub(super) fn fates(&self) -> Vec<(&'static str, [u64; 3])> {
        let of = |fate: &Fate| {
            [&fate.sent, &fate.dropped, &fate.failed].map(|count| count.load(Ordering::Relaxed))
        };
        let spans = self.spans.iter().map(|spans| ("traces", of(&spans.told)));
        let logs = self.logs.iter().map(|logs| ("logs", of(&logs.told)));
        let metrics = self.metrics.iter().map(|metrics| ("metrics", of(&metrics.fate)));
        spans.chain(logs).chain(metrics).collect()
    }

    /// Tells the collector what is left, for [`LAST`] at most; `metrics` tells the last metrics.
    pub async fn end(&self, metrics: impl FnOnce() + Send + 'static) {
        self.spans.iter().for_each(|spans| spans.close());
        self.logs.iter().for_each(|logs| logs.close());
        let mut phase = self.phase.subscribe();
        let all = async {
            let metrics = tokio::task::spawn_blocking(metrics);
            let told = phase.wait_for(|phase| *phase != Phase::Telling).await.is_ok();
            metrics.await.is_ok() && told
        };
        let ended = tokio::time::timeout(LAST, all).await;
        self.phase.send_replace(Phase::Over);
        if !ended.unwrap_or(false) {
            tracing::warn!(target: "weir::telemetry", "the collector did not get everything before the end");
        }
    }
}

/// What the environment says.
fn said(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn is_disabled() -> bool {
    said("OTEL_SDK_DISABLED").is_some_and(|said| said.eq_ignore_ascii_case("true"))
}

fn queue_if<T: queue::Weighs>(wanted: bool) -> Option<Arc<Queue<T>>> {
    wanted.then(Arc::default)
}

fn tracer(spans: &Arc<Queue<Ended>>, share: &Share, resource: &Resource) -> SdkTracer {
    let provider = SdkTracerProvider::builder()
        .with_sampler(share.sampler())
        .with_resource(resource.clone())
        .with_span_processor(Spans(spans.clone()))
        .build();
    provider.tracer_with_scope(scope())
}

/// What the thread takes from.
struct Ways {
    spans: Option<Arc<Queue<Ended>>>,
    logs: Option<Arc<Queue<Entry>>>,
    redactor: Arc<ArcSwap<Redactor>>,
}

/// What the thread has made.
struct Started {
    phase: watch::Sender<Phase>,
    metrics: Option<(Reader, Arc<Fate>)>,
}

/// Exporters belong to a runtime, and this one is the thread's own.
fn start_thread(
    otlp: crate::config::telemetry::Otlp,
    resource: Resource,
    ways: Ways,
) -> anyhow::Result<Started> {
    let (phase, (made, ready)) = (watch::Sender::new(Phase::Telling), std::sync::mpsc::channel());
    let telling = phase.clone();
    let work = move || {
        // What the exporters do is not told by them.
        let _quiet = Context::enter_telemetry_suppressed_scope();
        let built = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let built = built.context("no runtime").and_then(|runtime| {
            let exporters = runtime.block_on(async { Exporters::new(&otlp, &resource, &ways.redactor) })?;
            Ok((runtime, exporters))
        });
        match built {
            Ok((runtime, Exporters { spans, logs, metrics })) => {
                let _ = made.send(Ok(metrics)); // who asked is there
                runtime.block_on(run(spans, logs, ways, telling));
                runtime.shutdown_background(); // a collector that hangs does not hold the end
            }
            Err(err) => {
                let _ = made.send(Err(err));
            }
        }
    };
    std::thread::Builder::new().name("telemetry".into()).spawn(work)?; // ends with the process at the latest
    let metrics = ready.recv().context("telemetry did not start")?.context("[telemetry]")?;
    Ok(Started { phase, metrics })
}

async fn run(spans: Option<SpanExporter>, logs: Option<Logs>, ways: Ways, phase: watch::Sender<Phase>) {
    let sending_spans = async {
        if let (Some(exporter), Some(queue)) = (spans, ways.spans) {
            sender::send(queue, exporter, ways.redactor.clone()).await;
        }
    };
    let sending_logs = async {
        if let (Some(exporter), Some(queue)) = (logs, ways.logs) {
            sender::send(queue, exporter, ways.redactor.clone()).await;
        }
    };
    let mut over = phase.subscribe();
    let sending = async {
        tokio::join!(sending_spans, sending_logs);
        let is_first = |phase: &mut Phase| std::mem::replace(phase, Phase::Told) == Phase::Telling;
        phase.send_if_modified(is_first);
        std::future::pending::<()>().await; // metrics are still sent on this runtime
    };
    tokio::select! {
        () = sending => {}
        _ = over.wait_for(|phase| *phase == Phase::Over) => {}
    }
}

#[cfg(test)]
mod tests;
