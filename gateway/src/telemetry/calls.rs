//! Metrics of calls and attempts, noted when they end. What every call notes is bound to its labels ([`super::series`]).

use std::sync::Arc;
use std::time::Duration;

use ahash::AHashMap;
use opentelemetry::KeyValue;
use opentelemetry::metrics::{BoundCounter, BoundHistogram, Counter, Histogram};
use parking_lot::Mutex;

use super::instruments::Make;
use super::{Metrics, Record, log};
use crate::state::core::SessionOutcome;

/// Bounds of times that people wait for.
pub(super) const SECONDS: [f64; 15] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0];
/// Of times within this process, or of one message.
const FAST_SECONDS: [f64; 14] = [
    0.000_05, 0.000_1, 0.000_2, 0.000_35, 0.000_5, 0.000_75, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5,
];
/// Of tokens held too many, or too few.
const TOKENS: [f64; 12] =
    [-4096.0, -1024.0, -256.0, -64.0, 0.0, 64.0, 256.0, 1024.0, 4096.0, 16_384.0, 65_536.0, 262_144.0];

/// Their instruments.
#[derive(Debug)]
pub(super) struct Calls {
    pub(super) requests: Counter<u64>,
    pub(super) duration: Histogram<f64>,
    pub(super) first_token: Histogram<f64>,
    pub(super) tokens: Counter<u64>,
    pub(super) reservation_error: Histogram<f64>,
    overhead: BoundHistogram<f64>,
    attempts: Counter<u64>,
    errors: Counter<u64>,
    upstream_429: Counter<u64>,
    denials: Counter<u64>,
    sessions: Counter<u64>,
    budget_exhausted: Counter<u64>,
    hedges: Counter<u64>,
    redis: BoundHistogram<f64>,
    leased: BoundCounter<u64>,
    queue_wait: Histogram<f64>,
    checks: Counter<u64>,
    reloads: Counter<u64>,
    by_attempt: Mutex<AHashMap<Ending, BoundCounter<u64>>>, // short sections
}

/// A deployment and how an attempt at it ended.
type Ending = (Arc<str>, &'static str);

impl Calls {
    pub(super) fn new(make: Make<'_>) -> Calls {
        let overhead = "Time of a call not spent waiting for a provider or for room";
        let exhausted = "Calls that were not tried again, for the further attempts of their model were spent";
        let hedges = "Second attempts beside one that was long in coming, by who came first";
        let checks = "Health checks by this replica, by deployment and how they ended";
        let reloads = "Times that the configuration was read again, by outcome";
        let held = "Tokens held minus tokens used";
        let leased = "Calls that had room from what this replica was lent, without asking";
        Calls {
            requests: make.count("weir_requests", "Calls, by how they ended"),
            duration: make.seconds(
                "weir_request_duration",
                "From request to the end of the answer",
                &SECONDS,
            ),
            first_token: make.seconds("weir_time_to_first_token", "From request to first content", &SECONDS),
            tokens: make.count("weir_tokens", "Tokens as providers counted them"),
            reservation_error: make.tokens("weir_reservation_error_tokens", held, &TOKENS),
            overhead: make.seconds("weir_overhead", overhead, &FAST_SECONDS).bind(&[]),
            attempts: make.count("weir_attempts", "Attempts, by deployment and how they ended"),
            errors: make.count("weir_errors", "Calls not served, by kind"),
            upstream_429: make.count("weir_upstream_429", "Refusals by providers for their limits"),
            denials: make.count("weir_denials", "Calls denied before sending, by whose limit"),
            sessions: make.count("weir_sessions", "Calls with a session: hit, new or moved"),
            budget_exhausted: make.count("weir_retry_budget_exhausted", exhausted),
            hedges: make.count("weir_hedges", hedges),
            redis: make.seconds("weir_redis", "Asking for room, all messages of it", &FAST_SECONDS).bind(&[]),
            leased: make.count("weir_leased", leased).bind(&[]),
            queue_wait: make.seconds("weir_queue_wait", "Time that calls waited for room", &SECONDS),
            checks: make.count("weir_health_checks", checks),
            reloads: make.count("weir_config_reloads", reloads),
            by_attempt: Mutex::default(),
        }
    }
}

impl Metrics {
    /// A call ended.
    pub(super) fn call(&self, record: &Record, duration: Duration) {
        let place = (record.tenant.clone(), record.model.clone(), record.deployment.clone());
        let series = self.series.of(&place, self);
        series.request(record.status, &self.calls.requests);
        series.duration.record(duration.as_secs_f64());
        self.calls.overhead.record(duration.saturating_sub(record.upstream + record.waited).as_secs_f64());
        if let Some(time) = record.first_token {
            series.first_token.record(time.as_secs_f64());
        }
        if record.outcome != "ok" {
            let [_, model, deployment] = series.labels();
            self.calls.errors.add(1, &[model, deployment, KeyValue::new("kind", record.outcome)]);
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
            self.calls.sessions.add(1, &[KeyValue::new("outcome", log::session(record.session))]);
        }
    }

    /// An attempt ended.
    pub fn attempt(&self, deployment: &Arc<str>, outcome: &'static str) {
        let key = (deployment.clone(), outcome);
        let bind = || {
            let label = KeyValue::new("deployment", deployment.clone());
            self.calls.attempts.bind(&[label, KeyValue::new("outcome", outcome)])
        };
        self.calls.by_attempt.lock().entry(key).or_insert_with(bind).add(1);
        if matches!(outcome, "rate_limited" | "quota_exhausted" | "too_big") {
            self.calls.upstream_429.add(1, &[KeyValue::new("deployment", deployment.clone())]);
        }
    }

    /// A call found no room; `scope` is `key`, `tenant`, `gateway`, `capacity`, `circuit`, `queue`, or
    /// `budget` where one is spent.
    pub fn denied(&self, scope: &'static str, pool: &Arc<str>) {
        let pool = self.series.pool(pool).unwrap_or_else(|| "tenant/other".into());
        self.calls.denials.add(1, &[KeyValue::new("scope", scope), KeyValue::new("pool", pool)]);
    }

    /// A call was not tried again on a model whose further attempts are spent.
    pub fn budget_exhausted(&self, model: &Arc<str>) {
        self.calls.budget_exhausted.add(1, &[KeyValue::new("model", model.clone())]);
    }

    /// A call had a second attempt beside its first; `won` is `first`, `second` or `none`.
    pub fn hedged(&self, model: &Arc<str>, won: &'static str) {
        self.calls.hedges.add(1, &[KeyValue::new("model", model.clone()), KeyValue::new("won", won)]);
    }

    /// A RESERVE was answered.
    pub fn state_call(&self, time: Duration) {
        self.calls.redis.record(time.as_secs_f64());
    }

    /// Room was had from what this replica was lent, without a RESERVE.
    pub fn leased(&self) {
        self.calls.leased.add(1);
    }

    /// A call of the model waited for room, and was `served`, `refused`, or its client has `left`.
    pub fn waited(&self, model: &Arc<str>, time: Duration, outcome: &'static str) {
        let labels = [KeyValue::new("model", model.clone()), KeyValue::new("outcome", outcome)];
        self.calls.queue_wait.record(time.as_secs_f64(), &labels);
    }

    /// A health check ended.
    pub fn checked(&self, deployment: &Arc<str>, outcome: &'static str) {
        let deployment = KeyValue::new("deployment", deployment.clone());
        self.calls.checks.add(1, &[deployment, KeyValue::new("outcome", outcome)]);
    }

    /// The configuration was read again.
    pub fn reloaded(&self, applied: bool) {
        let outcome = if applied { "applied" } else { "refused" };
        self.calls.reloads.add(1, &[KeyValue::new("outcome", outcome)]);
        self.in_force(applied);
    }
}
