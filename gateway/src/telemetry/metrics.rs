//! Metrics, by the names that users rely on. One OpenTelemetry instrument each, read by Prometheus from a registry.
//! What is noted of calls is in `calls.rs`, of what they cost in `costs.rs`; what is shown when somebody asks in `gauges.rs` and
//! `overview.rs`.

use std::sync::Arc;

use opentelemetry::metrics::MeterProvider;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use prometheus::{Encoder, Registry, TextEncoder};

use super::Feed;
use super::calls::Calls;
use super::costs::Spending;
use super::gauges::Gauges;
use super::genai::{GenAi, Operation};
use super::instruments::Make;
use super::levels::Levels;
use super::otlp::Otlp;
use super::overview::Overview;
use super::series::{AllSeries, limit};
use super::variants::Variants;
use crate::cost::{Place, Spent};
use crate::experiment::{Assigned, Sample, Trial};

/// Every instrument of one process.
#[derive(Debug)]
pub struct Metrics {
    /// For who watches.
    pub feed: Feed,
    registry: Registry,
    provider: SdkMeterProvider,
    pub(super) calls: Calls,
    pub(super) gauges: Gauges,
    variants: Variants,
    spending: Spending,
    pub(super) overview: Overview,
    /// By the names of the GenAI conventions, if a collector is told.
    pub(super) genai: Option<GenAi>,
    pub(super) series: AllSeries,
}

impl Metrics {
    /// Fresh instruments on a registry of their own.
    pub fn new() -> anyhow::Result<Metrics> {
        Metrics::with(None, 1_000)
    }

    /// The same, told to a collector as well. So many tenants have a label of their own.
    pub fn with(otlp: Option<&Arc<Otlp>>, tenants: usize) -> anyhow::Result<Metrics> {
        let registry = Registry::new();
        let provider = provider(&registry, otlp)?;
        let meter = provider.meter("weir");
        if let Some(otlp) = otlp {
            super::fates::tell(&meter, otlp);
        }
        let make = Make(&meter);
        Ok(Metrics {
            feed: Feed::default(),
            calls: Calls::new(make),
            gauges: Gauges::new(make),
            variants: Variants::new(make),
            spending: Spending::new(make),
            overview: Overview::new(make),
            genai: otlp.map(|otlp| GenAi::new(&meter, otlp.names())),
            registry,
            provider,
            series: AllSeries::new(tenants),
        })
    }

    /// An attempt came to this.
    pub fn spent(&self, place: &Place, spent: &Spent) {
        self.spending.note(self.series.of(place, self).place(), spent);
    }

    /// How old the table of prices is, in days, and of how many deployments its prices are out of date.
    pub fn prices(&self, age_days: u64, stale: usize) {
        self.spending.prices(age_days, stale);
    }

    /// A call of a variant ended.
    pub(super) fn of_variant(&self, assigned: &Assigned, sample: &Sample) {
        self.variants.note(assigned, sample);
    }

    /// The shares of an experiment that hold now.
    pub fn shares(&self, trial: &Trial) {
        self.variants.show(trial);
    }

    /// An attempt ended, by the names of the GenAI conventions.
    pub fn operation(&self, operation: &Operation<'_>) {
        if let Some(genai) = &self.genai {
            genai.operation(operation);
        }
    }

    /// All that is there has been shown: what was before and is not, is shown as nothing.
    pub fn shown(&self) {
        let all = self.gauges.levels().into_iter().chain(self.overview.levels());
        all.chain([self.variants.shares()]).for_each(Levels::turn);
    }

    /// In Prometheus' text format.
    pub fn text(&self) -> anyhow::Result<Vec<u8>> {
        let mut out = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut out)?;
        Ok(out)
    }

    /// Tells the collector all of them as they stand. It blocks for seconds if the collector hangs.
    pub fn flush(&self) {
        // (Whether the collector took them its exporter has told.)
        let _ = self.provider.force_flush();
    }

    /// Tells the collector the last of them, and nobody any more afterwards. It blocks for seconds if the collector hangs.
    pub fn end(&self) {
        // (Whether the collector took them its exporter has told.)
        let _ = self.provider.shutdown();
    }
}

/// Read by Prometheus, and by the collector's reader if there is one.
fn provider(registry: &Registry, otlp: Option<&Arc<Otlp>>) -> anyhow::Result<SdkMeterProvider> {
    #[cfg(target_os = "linux")]
    registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
    let exporter =
        opentelemetry_prometheus::exporter().with_registry(registry.clone()).without_target_info().build()?;
    let builder = SdkMeterProvider::builder().with_view(limit).with_reader(exporter);
    let Some(otlp) = otlp else { return Ok(builder.build()) };
    let builder = builder.with_resource(otlp.resource().clone());
    Ok(match otlp.reader() {
        Some(reader) => builder.with_reader(reader).build(),
        None => builder.build(),
    })
}
