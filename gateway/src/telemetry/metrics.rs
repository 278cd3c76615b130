//! Metrics, by the names that users rely on. One OpenTelemetry instrument each, read by Prometheus from a registry.

use std::sync::Arc;
use std::time::Duration;

use ahash::AHashMap;
use opentelemetry::KeyValue;
use opentelemetry::metrics::{BoundCounter, BoundHistogram, Counter, Gauge, Histogram, MeterProvider};
use opentelemetry_sdk::metrics::SdkMeterProvider;
use parking_lot::Mutex;
use prometheus::{Encoder, Registry, TextEncoder};

use super::costs::Spending;
use super::genai::{GenAi, Operation};
use super::levels::Levels;
use super::otlp::Otlp;
use super::overview::Overview;
use super::series::{AllSeries, limit};
use super::variants::Variants;
use super::{Feed, Record, log};
use crate::cost::{Place, Spent};
use crate::duty::Duty;
use crate::experiment::{Assigned, Sample, Trial};
use crate::state::core::{Cause, Circuit, Circuits, SessionOutcome};
use crate::state::failures::Failures;

pub(super) const SECONDS: [f64; 15] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0];
const FAST_SECONDS: [f64; 14] = [
    0.000_05, 0.000_1, 0.000_2, 0.000_35, 0.000_5, 0.000_75, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5,
];
const TOKENS: [f64; 12] =
    [-4096.0, -1024.0, -256.0, -64.0, 0.0, 64.0, 256.0, 1024.0, 4096.0, 16_384.0, 65_536.0, 262_144.0];

/// Every instrument of one process.
#[derive(Debug)]
pub struct Metrics {
    /// For who watches.
    pub feed: Feed,
    registry: Registry,
    provider: SdkMeterProvider,
    pub(super) requests: Counter<u64>,
    pub(super) duration: Histogram<f64>,
    overhead: BoundHistogram<f64>,
    pub(super) first_token: Histogram<f64>,
    attempts: Counter<u64>,
    errors: Counter<u64>,
    pub(super) tokens: Counter<u64>,
    upstream_429: Counter<u64>,
    denials: Counter<u64>,
    sessions: Counter<u64>,
    budget_exhausted: Counter<u64>,
    hedges: Counter<u64>,
    redis: BoundHistogram<f64>,
    queue_wait: Histogram<f64>,
    pub(super) reservation_error: Histogram<f64>,
    utilisation: Levels,
    learned: Levels,
    degraded: Gauge<u64>,
    keys_age: Gauge<f64>,
    checks: Counter<u64>,
    circuits: Levels,
    accounts: Levels,
    drained: Levels,
    weights: Levels,
    reloads: Counter<u64>,
    reloaded: Gauge<u64>,
    calls: Gauge<u64>,
    waiting: Levels,
    buffered: Gauge<u64>,
    variants: Variants,
    spending: Spending,
    overview: Overview,
    /// By the names of the GenAI conventions, if a collector is told.
    genai: Option<GenAi>,
    pub(super) series: AllSeries,
    by_attempt: Mutex<AHashMap<Ending, BoundCounter<u64>>>, // short sections
}

/// A deployment and how an attempt at it ended.
type Ending = (Arc<str>, &'static str);

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
        let count =
            |name: &'static str, text: &'static str| meter.u64_counter(name).with_description(text).build();
        let seconds = |name: &'static str, text: &'static str, bounds: &[f64]| {
            let builder = meter.f64_histogram(name).with_unit("s").with_description(text);
            builder.with_boundaries(bounds.to_vec()).build()
        };
        let levels = |name: &'static str, text: &'static str, gone: f64| {
            Levels::new(meter.f64_gauge(name).with_description(text).build(), gone)
        };
        Ok(Metrics {
            feed: Feed::default(),
            requests: count("weir_requests", "Calls, by how they ended"),
            duration: seconds("weir_request_duration", "From request to the end of the answer", &SECONDS),
            overhead: seconds(
                "weir_overhead",
                "Time of a call not spent waiting for a provider",
                &FAST_SECONDS,
            )
            .bind(&[]),
            first_token: seconds("weir_time_to_first_token", "From request to first content", &SECONDS),
            checks: count(
                "weir_health_checks",
                "Health checks by this replica, by deployment and how they ended",
            ),
            attempts: count("weir_attempts", "Attempts, by deployment and how they ended"),
            errors: count("weir_errors", "Calls not served, by kind"),
            tokens: count("weir_tokens", "Tokens as providers counted them"),
            upstream_429: count("weir_upstream_429", "Refusals by providers for their limits"),
            denials: count("weir_denials", "Calls denied before sending, by whose limit"),
            budget_exhausted: count(
                "weir_retry_budget_exhausted",
                "Calls that were not tried again, for the retries of their model were spent",
            ),
            hedges: count(
                "weir_hedges",
                "Second attempts beside one that was long in coming, by who came first",
            ),
            sessions: count("weir_sessions", "Calls with a session: hit, new or moved"),
            redis: seconds("weir_redis", "Time of a shared state call", &FAST_SECONDS).bind(&[]),
            queue_wait: seconds("weir_queue_wait", "Time that calls waited for room", &SECONDS),
            reservation_error: meter
                .f64_histogram("weir_reservation_error_tokens")
                .with_description("Tokens held minus tokens used")
                .with_boundaries(TOKENS.to_vec())
                .build(),
            utilisation: levels(
                "weir_pool_utilisation_ratio",
                "Share of a pool's meter in use by the cluster",
                0.0,
            ),
            learned: levels(
                "weir_pool_learned_ratio",
                "Share of a pool's cap that is left by what was learned of its provider",
                1.0,
            ),
            degraded: meter
                .u64_gauge("weir_degraded")
                .with_description("1 while the shared state is away")
                .build(),
            keys_age: meter
                .f64_gauge("weir_keys_age_seconds")
                .with_description(
                    "For how long nothing was heard of keys that are made, replaced and revoked at run time",
                )
                .build(),
            circuits: levels(
                "weir_circuit_state",
                "Of each deployment: 0 closed, 1 calls are coming back, 2 open",
                0.0,
            ),
            accounts: levels(
                "weir_account_shut",
                "1 while an account is left alone by all replicas, by reason",
                0.0,
            ),
            drained: levels("weir_deployment_drained", "1 while an operator keeps new calls from it", 0.0),
            weights: levels(
                "weir_deployment_weight_set",
                "The weight that was set at run time; 0: those of the file hold",
                0.0,
            ),
            reloads: count("weir_config_reloads", "Times that the configuration was read again, by outcome"),
            reloaded: meter
                .u64_gauge("weir_config_last_reload_successful")
                .with_description(
                    "0 while the file has a mistake and the configuration before it is in force",
                )
                .build(),
            calls: meter.u64_gauge("weir_calls").with_description("Calls being served").build(),
            waiting: levels("weir_waiting_calls", "Calls that wait for room, by model", 0.0),
            buffered: meter
                .u64_gauge("weir_buffered_bytes")
                .with_description("Bytes of large requests and of plain answers being held")
                .build(),
            variants: Variants::new(&meter),
            spending: Spending::new(&meter),
            overview: Overview::new(&meter),
            genai: otlp.map(|otlp| GenAi::new(&meter, otlp.names())),
            registry,
            provider,
            series: AllSeries::new(tenants),
            by_attempt: Mutex::default(),
        })
    }

    /// A call ended.
    pub(super) fn call(&self, record: &Record, duration: Duration) {
        let place = (record.tenant.clone(), record.model.clone(), record.deployment.clone());
        let series = self.series.of(&place, self);
        series.request(record.status, &self.requests);
        series.duration.record(duration.as_secs_f64());
        self.overhead.record(duration.saturating_sub(record.upstream + record.waited).as_secs_f64());
        if let Some(time) = record.first_token {
            series.first_token.record(time.as_secs_f64());
        }
        if record.outcome != "ok" {
            let [_, model, deployment] = series.labels();
            self.errors.add(1, &[model, deployment, KeyValue::new("kind", record.outcome)]);
        }
        if let Some(usage) = record.usage {
            series.input.add(usage.input);
            series.output.add(usage.output);
            if record.held_tokens > 0 {
                let error = record.held_tokens as f64 - (usage.input + usage.output) as f64;
                series.reservation_error.record(error);
            }
        }
        if let Some(genai) = &self.genai {
            genai.call(record, duration);
        }
        if record.session != SessionOutcome::None {
            self.sessions.add(1, &[KeyValue::new("outcome", log::session(record.session))]);
        }
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

    /// An attempt ended.
    pub fn attempt(&self, deployment: &Arc<str>, outcome: &'static str) {
        let key = (deployment.clone(), outcome);
        let bind = || {
            let label = KeyValue::new("deployment", deployment.clone());
            self.attempts.bind(&[label, KeyValue::new("outcome", outcome)])
        };
        self.by_attempt.lock().entry(key).or_insert_with(bind).add(1);
        if matches!(outcome, "rate_limited" | "quota_exhausted" | "too_big") {
            self.upstream_429.add(1, &[KeyValue::new("deployment", deployment.clone())]);
        }
    }

    /// The same by the names of the GenAI conventions.
    pub fn operation(&self, operation: &Operation<'_>) {
        if let Some(genai) = &self.genai {
            genai.operation(operation);
        }
    }

    /// A call found no room; `scope` is `key`, `tenant`, `gateway`, `capacity`, `circuit`, `queue`, or
    /// `budget` where one is spent.
    pub fn denied(&self, scope: &'static str, pool: &Arc<str>) {
        let pool = self.series.pool(pool).unwrap_or_else(|| "tenant/other".into());
        self.denials.add(1, &[KeyValue::new("scope", scope), KeyValue::new("pool", pool)]);
    }

    /// A call was not tried again on a model whose further attempts are spent.
    pub fn budget_exhausted(&self, model: &Arc<str>) {
        self.budget_exhausted.add(1, &[KeyValue::new("model", model.clone())]);
    }

    /// A call had a second attempt beside its first; `won` is `first`, `second` or `none`.
    pub fn hedged(&self, model: &Arc<str>, won: &'static str) {
        self.hedges.add(1, &[KeyValue::new("model", model.clone()), KeyValue::new("won", won)]);
    }

    /// A RESERVE was answered.
    pub fn state_call(&self, time: Duration) {
        self.redis.record(time.as_secs_f64());
    }

    /// A call of the model waited for room, and was `served`, `refused`, or its client has `left`.
    pub fn waited(&self, model: &Arc<str>, time: Duration, outcome: &'static str) {
        let labels = [KeyValue::new("model", model.clone()), KeyValue::new("outcome", outcome)];
        self.queue_wait.record(time.as_secs_f64(), &labels);
    }

    /// So many calls of the model wait for room.
    pub fn waiting(&self, model: &Arc<str>, calls: usize) {
        self.waiting.show(calls as f64, &[KeyValue::new("model", model.clone())]);
    }

    /// The share of a pool's meter in use.
    pub fn utilisation(&self, pool: &Arc<str>, meter: &'static str, share: f64) {
        if let Some(pool) = self.series.pool(pool) {
            self.utilisation.show(share, &[KeyValue::new("pool", pool), KeyValue::new("meter", meter)]);
        }
    }

    /// The share of a pool's caps that is left by what was learned of its provider, of several meters the lowest.
    pub fn learned(&self, pool: &Arc<str>, share: f64) {
        self.learned.show(share, &[KeyValue::new("pool", pool.clone())]);
    }

    /// All that is there has been shown: what was before and is not, is shown as nothing.
    pub fn shown(&self) {
        let all = [&self.utilisation, &self.learned, &self.circuits, &self.accounts, &self.waiting];
        let all = all
            .into_iter()
            .chain([&self.drained, &self.weights, self.variants.shares()])
            .chain(self.overview.levels());
        all.for_each(Levels::turn);
    }

    /// Which configuration is in force (its hash, hexadecimal), how many replicas there are, and how often the state did not answer
    /// so far.
    pub fn replica(&self, hash: &str, replicas: usize, failures: Failures) {
        self.overview.replica(hash, replicas, failures);
    }

    /// A deployment that is configured.
    pub fn deployment(&self, name: &Arc<str>, account: &str, provider: &str) {
        self.overview.deployment(name, account, provider);
    }

    /// How full a deployment is, of all limits that it draws on the fullest.
    pub fn used(&self, deployment: &Arc<str>, share: f64) {
        self.overview.used(deployment, share);
    }

    /// The share of a model's calls that a deployment is due.
    pub fn share(&self, model: &Arc<str>, deployment: &Arc<str>, share: f64) {
        self.overview.share(model, deployment, share);
    }

    /// Whether every deployment of a model is left alone.
    pub fn down(&self, model: &Arc<str>, is_down: bool) {
        self.overview.down(model, is_down);
    }

    /// A message of alerts was sent.
    pub fn alerts_posted(&self, taken: bool) {
        self.overview.alerts_posted(taken);
    }

    /// Whether the shared state is away.
    pub fn degraded(&self, away: bool) {
        self.degraded.record(u64::from(away), &[]);
    }

    /// For how long nothing was heard of keys, ms.
    pub fn keys_age(&self, age_ms: u64) {
        self.keys_age.record(age_ms as f64 / 1_000.0, &[]);
    }

    /// A health check ended.
    pub fn checked(&self, deployment: &Arc<str>, outcome: &'static str) {
        let deployment = KeyValue::new("deployment", deployment.clone());
        self.checks.add(1, &[deployment, KeyValue::new("outcome", outcome)]);
    }

    /// Is an account left alone by all, and why?
    pub fn account(&self, account: &str, circuits: &Circuits, tag: u64) {
        for cause in [Cause::Key, Cause::Quota] {
            let is_shut = circuits.known.get(&cause.tag(tag)).is_some_and(Circuit::is_open);
            let labels =
                [KeyValue::new("account", account.to_owned()), KeyValue::new("reason", cause.word())];
            self.accounts.show(f64::from(u8::from(is_shut)), &labels);
        }
    }

    /// What the circuit of a deployment is; none if it is plainly closed.
    pub fn circuit(&self, deployment: &Arc<str>, circuit: Option<&Circuit>) {
        let state = match circuit {
            None => 0.0,
            Some(Circuit::Ramp { .. }) => 1.0,
            Some(Circuit::Open { .. }) => 2.0,
        };
        self.circuits.show(state, &[KeyValue::new("deployment", deployment.clone())]);
    }

    /// What operators say of a deployment, as this replica has heard it.
    pub fn duty(&self, duty: &Duty) {
        let deployment = [KeyValue::new("deployment", duty.name.clone())];
        self.drained.show(f64::from(u8::from(duty.is_drained())), &deployment);
        if let Some(weight) = duty.weight() {
            self.weights.show(weight, &deployment);
        }
    }

    /// The configuration was read again.
    pub fn reloaded(&self, applied: bool) {
        let outcome = if applied { "applied" } else { "refused" };
        self.reloads.add(1, &[KeyValue::new("outcome", outcome)]);
        self.in_force(applied);
    }

    /// Whether the configuration that was read last is in force.
    pub fn in_force(&self, is: bool) {
        self.reloaded.record(u64::from(is), &[]);
    }

    /// What this replica has in hand.
    pub fn in_hand(&self, calls: usize, buffered: usize) {
        self.calls.record(calls as u64, &[]);
        self.buffered.record(buffered as u64, &[]);
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
