//! Metrics by the names of the GenAI conventions, for a collector.
//!
//! `gen_ai.client.*` is each attempt, as a client of its provider sees it; `gen_ai.server.*` is each call, as its own client
//! sees it, waits and further attempts included. Their labels come from the configuration, so they are few.

use std::sync::Arc;
use std::time::Duration;

use ahash::AHashMap;
use opentelemetry::KeyValue;
use opentelemetry::metrics::{BoundHistogram, Counter, Histogram, Meter};
use parking_lot::RwLock;

use super::Record;
use super::late::Late;
use super::names::{self, Names};
use crate::config::Deployment;
use crate::dialect::openai::answer::Usage;

/// Of times, seconds.
const SECONDS: [f64; 14] =
    [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92];
/// Of the time to a first token, seconds.
const FIRST: [f64; 16] =
    [0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
/// Of the time between tokens, seconds.
const BETWEEN: [f64; 13] = [0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5];
/// Of tokens.
const TOKENS: [f64; 14] = [
    1.0,
    4.0,
    16.0,
    64.0,
    256.0,
    1024.0,
    4096.0,
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
];

/// The instruments.
#[derive(Debug)]
pub(super) struct GenAi {
    durations: Vec<Histogram<f64>>,
    first_chunks: Vec<Histogram<f64>>,
    /// Version 1.41.
    token_usage: Option<Histogram<u64>>,
    /// The newest version: input, output, read from the cache, written to it, reasoning.
    used: Option<[Counter<u64>; 5]>,
    /// The newest version: input, output.
    per_operation: Option<[Histogram<u64>; 2]>,
    server_duration: Histogram<f64>,
    server_first: Histogram<f64>,
    server_between: Histogram<f64>,
    attempts: RwLock<AHashMap<OfAttempt, Arc<Attempts>>>, // short sections
    calls: RwLock<AHashMap<OfCall, Arc<Calls>>>,          // short sections
}

/// Deployment, operation, outcome.
type OfAttempt = (Arc<str>, &'static str, &'static str);
/// Model, deployment, operation, outcome.
type OfCall = (Arc<str>, Arc<str>, &'static str, &'static str);

/// Bound to attempts of one kind.
#[derive(Debug)]
struct Attempts {
    durations: Vec<BoundHistogram<f64>>,
    first_chunks: Vec<Late<Histogram<f64>>>,
    token_usage: Option<[Late<Histogram<u64>>; 2]>,
    used: Option<[Late<Counter<u64>>; 5]>,
    per_operation: Option<[Late<Histogram<u64>>; 2]>,
}

/// Bound to calls of one kind.
#[derive(Debug)]
struct Calls {
    duration: BoundHistogram<f64>,
    first: Late<Histogram<f64>>,
    between: Late<Histogram<f64>>,
}

/// An attempt that has ended.
#[derive(Debug)]
pub struct Operation<'a> {
    /// Who was asked.
    pub deployment: &'a Deployment,
    /// What for.
    pub operation: &'static str,
    /// `ok`, or how it failed.
    pub outcome: &'static str,
    /// From sending to the end of the answer.
    pub took: Duration,
    /// To the first content, if it was streamed.
    pub first: Option<Duration>,
    /// Tokens as the provider counted them.
    pub usage: Option<Usage>,
}

impl GenAi {
    pub(super) fn new(meter: &Meter, names: Names) -> GenAi {
        let seconds = |name: &'static str, bounds: &[f64]| {
            meter.f64_histogram(name).with_unit("s").with_boundaries(bounds.to_vec()).build()
        };
        let tokens = |name: &'static str| {
            meter.u64_histogram(name).with_unit("{token}").with_boundaries(TOKENS.to_vec()).build()
        };
        let count = |name: &'static str| meter.u64_counter(name).with_unit("{token}").build();
        GenAi {
            durations: names.client_duration().map(|name| seconds(name, &SECONDS)).collect(),
            first_chunks: names.client_first_chunk().map(|name| seconds(name, &SECONDS)).collect(),
            token_usage: names.v141.then(|| tokens("gen_ai.client.token.usage")),
            used: names.latest.then(|| {
                [
                    "gen_ai.client.inference.usage.input_tokens",
                    "gen_ai.client.inference.usage.output_tokens",
                    "gen_ai.client.inference.usage.cache_read.input_tokens",
                    "gen_ai.client.inference.usage.cache_write.input_tokens",
                    "gen_ai.client.inference.usage.reasoning.output_tokens",
                ]
                .map(count)
            }),
            per_operation: names.latest.then(|| {
                [
                    "gen_ai.client.inference.operation.input_tokens",
                    "gen_ai.client.inference.operation.output_tokens",
                ]
                .map(tokens)
            }),
            server_duration: seconds("gen_ai.server.request.duration", &SECONDS),
            server_first: seconds("gen_ai.server.time_to_first_token", &FIRST),
            server_between: seconds("gen_ai.server.time_per_output_token", &BETWEEN),
            attempts: RwLock::default(),
            calls: RwLock::default(),
        }
    }

    /// An attempt has ended.
    pub(super) fn operation(&self, operation: &Operation<'_>) {
        let series = self.of_attempt(operation);
        let took = operation.took.as_secs_f64();
        series.durations.iter().for_each(|histogram| histogram.record(took));
        if let Some(first) = operation.first {
            series.first_chunks.iter().for_each(|histogram| histogram.record(first.as_secs_f64()));
        }
        let Some(usage) = operation.usage else { return };
        let both = [usage.input, usage.output];
        for histograms in series.token_usage.iter().chain(&series.per_operation) {
            histograms.iter().zip(both).for_each(|(histogram, tokens)| histogram.record(tokens));
        }
        if let Some(counters) = &series.used {
            let all = [usage.input, usage.output, usage.cached_input, usage.written_input, usage.reasoning];
            counters.iter().zip(all).for_each(|(counter, tokens)| counter.add(tokens));
        }
    }

    /// A call has ended. Not what nobody served because there is no such thing.
    pub(super) fn call(&self, record: &Record, duration: Duration) {
        if record.operation.is_empty() || record.model.is_empty() {
            return;
        }
        let series = self.of_call(record);
        series.duration.record(duration.as_secs_f64());
        // (Times of tokens are those of calls that were served.)
        let Some(first) = record.first_token.filter(|_| record.outcome == "ok") else { return };
        series.first.record(first.as_secs_f64());
        if let Some(further) = record.usage.map(|usage| usage.output.saturating_sub(1)).filter(|n| *n > 0) {
            series.between.record(duration.saturating_sub(first).as_secs_f64() / further as f64);
        }
    }

    fn of_attempt(&self, of: &Operation<'_>) -> Arc<Attempts> {
        let key = (of.deployment.name.clone(), of.operation, of.outcome);
        if let Some(series) = self.attempts.read().get(&key) {
            return series.clone();
        }
        let mut all = self.attempts.write();
        all.entry(key).or_insert_with(|| Arc::new(self.bind_attempts(of))).clone()
    }

    fn bind_attempts(&self, of: &Operation<'_>) -> Attempts {
        let labels = labels(of);
        let with = |name: &'static str, value: &'static str| {
            let more = KeyValue::new(name, value);
            labels.iter().cloned().chain([more]).collect::<Vec<KeyValue>>()
        };
        let modal = with(names::TOKEN_MODALITY, "unknown"); // providers do not tell it apart
        Attempts {
            durations: self.durations.iter().map(|histogram| histogram.bind(&labels)).collect(),
            first_chunks: self.first_chunks.iter().map(|histogram| Late::new(histogram, &labels)).collect(),
            token_usage: self.token_usage.as_ref().map(|histogram| {
                ["input", "output"].map(|kind| Late::new(histogram, &with(names::TOKEN_TYPE, kind)))
            }),
            used: self.used.as_ref().map(|all| all.each_ref().map(|counter| Late::new(counter, &modal))),
            per_operation: self
                .per_operation
                .as_ref()
                .map(|all| all.each_ref().map(|histogram| Late::new(histogram, &labels))),
        }
    }

    fn of_call(&self, record: &Record) -> Arc<Calls> {
        let key = (record.model.clone(), record.deployment.clone(), record.operation, record.outcome);
        if let Some(series) = self.calls.read().get(&key) {
            return series.clone();
        }
        let mut all = self.calls.write();
        all.entry(key).or_insert_with(|| Arc::new(self.bind_calls(record))).clone()
    }

    fn bind_calls(&self, record: &Record) -> Calls {
        let mut labels = vec![
            KeyValue::new(names::OPERATION, record.operation),
            KeyValue::new(names::PROVIDER, "weir"),
            KeyValue::new(names::REQUEST_MODEL, record.model.clone()),
        ];
        if !record.deployment.is_empty() {
            labels.push(KeyValue::new("weir.deployment", record.deployment.clone()));
        }
        labels.extend(error(record.outcome));
        Calls {
            duration: self.server_duration.bind(&labels),
            first: Late::new(&self.server_first, &labels),
            between: Late::new(&self.server_between, &labels),
        }
    }
}

fn labels(of: &Operation<'_>) -> Vec<KeyValue> {
    let account = &of.deployment.account;
    let mut labels = vec![
        KeyValue::new(names::OPERATION, of.operation),
        KeyValue::new(names::PROVIDER, names::provider(&account.preset.name).to_owned()),
        KeyValue::new(names::REQUEST_MODEL, of.deployment.model.clone()),
        KeyValue::new("weir.deployment", of.deployment.name.clone()),
    ];
    if let Some(host) = account.base_url.host() {
        labels.push(KeyValue::new(names::SERVER_ADDRESS, host.to_owned()));
        labels.push(KeyValue::new(names::SERVER_PORT, i64::from(names::port(&account.base_url))));
    }
    labels.extend(error(of.outcome));
    labels
}

fn error(outcome: &'static str) -> Option<KeyValue> {
    (!matches!(outcome, "ok" | "client_gone")).then(|| KeyValue::new(names::ERROR, outcome))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use opentelemetry::metrics::MeterProvider;
    use opentelemetry_sdk::metrics::SdkMeterProvider;
    use prometheus::{Registry, TextEncoder};

    use super::*;
    use crate::telemetry::Metrics;

    /// A call that failed has no times of tokens, and what was never recorded is not told: it was, as a histogram of nothing, from
    /// the largest number to the least. Broken on purpose to see it fail: bound at once; the outcome not looked at.
    #[test]
    fn what_never_came_is_not_told() {
        let registry = Registry::new();
        let reader = opentelemetry_prometheus::exporter().with_registry(registry.clone()).build().unwrap();
        let provider = SdkMeterProvider::builder().with_reader(reader).build();
        let genai = GenAi::new(&provider.meter("weir"), Names { v141: true, latest: true });
        let metrics = Arc::new(Metrics::new().unwrap());
        for outcome in ["upstream_failed", "ok"] {
            let mut record = Record::new(metrics.clone(), "req".into());
            (record.operation, record.model, record.outcome) = ("chat", "m".into(), outcome);
            record.first_token = Some(Duration::from_millis(9));
            genai.call(&record, Duration::from_millis(20));
        }
        let text = TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        let of = |name: &str| {
            let name = format!("gen_ai_server_{name}_seconds_count{{");
            let counts = text.lines().filter(|line| line.starts_with(&name));
            counts.filter_map(|line| line.rsplit(' ').next()).collect::<Vec<_>>()
        };
        assert_eq!(of("request_duration"), ["1", "1"]);
        assert_eq!(of("time_to_first_token"), ["1"]);
        assert_eq!(of("time_per_output_token"), Vec::<&str>::new());
    }
}
