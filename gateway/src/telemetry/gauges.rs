//! What a replica has in hand, and how limits, accounts and circuits stand: shown when somebody asks. Nothing here costs a call
//! anything.

use std::sync::Arc;

use opentelemetry::KeyValue;
use opentelemetry::metrics::Gauge;

use super::Metrics;
use super::instruments::Make;
use super::levels::Levels;
use crate::duty::Duty;
use crate::state::core::{Cause, Circuit, Circuits};

/// Their instruments.
#[derive(Debug)]
pub(super) struct Gauges {
    utilisation: Levels,
    learned: Levels,
    circuits: Levels,
    accounts: Levels,
    drained: Levels,
    weights: Levels,
    waiting: Levels,
    degraded: Gauge<u64>,
    keys_age: Gauge<f64>,
    reloaded: Gauge<u64>,
    calls: Gauge<u64>,
    buffered: Gauge<u64>,
}

impl Gauges {
    pub(super) fn new(make: Make<'_>) -> Gauges {
        let learned = "Share of a pool's cap that is left by what was learned of its provider";
        let circuits = "Of each deployment: 0 closed, 1 calls are coming back, 2 open";
        let accounts = "1 while an account is left alone by all replicas, by reason";
        let drained = "1 while an operator keeps new calls from it";
        let weights = "The weight that was set at run time; 0: those of the file hold";
        let keys_age =
            "For how long nothing was heard of keys that are made, replaced and revoked at run time";
        let reloaded = "0 while the file has a mistake and the configuration before it is in force";
        let buffered = "Bytes of large requests and of plain answers being held";
        let used = "Share of a pool's meter in use by the cluster";
        Gauges {
            utilisation: make.levels("weir_pool_utilisation_ratio", used, 0.0),
            learned: make.levels("weir_pool_learned_ratio", learned, 1.0),
            circuits: make.levels("weir_circuit_state", circuits, 0.0),
            accounts: make.levels("weir_account_shut", accounts, 0.0),
            drained: make.levels("weir_deployment_drained", drained, 0.0),
            weights: make.levels("weir_deployment_weight_set", weights, 0.0),
            waiting: make.levels("weir_waiting_calls", "Calls that wait for room, by model", 0.0),
            degraded: make.level("weir_degraded", "1 while the shared state is away"),
            keys_age: make.0.f64_gauge("weir_keys_age_seconds").with_description(keys_age).build(),
            reloaded: make.level("weir_config_last_reload_successful", reloaded),
            calls: make.level("weir_calls", "Calls being served"),
            buffered: make.level("weir_buffered_bytes", buffered),
        }
    }

    /// Those that come and go. (All fields are named, so that a new one is thought of.)
    pub(super) fn levels(&self) -> [&Levels; 7] {
        let Gauges {
            utilisation,
            learned,
            circuits,
            accounts,
            drained,
            weights,
            waiting, // these
            degraded: _,
            keys_age: _,
            reloaded: _,
            calls: _,
            buffered: _,
        } = self;
        [utilisation, learned, circuits, accounts, drained, weights, waiting]
    }
}

impl Metrics {
    /// So many calls of the model wait for room.
    pub fn waiting(&self, model: &Arc<str>, calls: usize) {
        self.gauges.waiting.show(calls as f64, &[KeyValue::new("model", model.clone())]);
    }

    /// The share of a pool's meter in use.
    pub fn utilisation(&self, pool: &Arc<str>, meter: &'static str, share: f64) {
        if let Some(pool) = self.series.pool(pool) {
            self.gauges
                .utilisation
                .show(share, &[KeyValue::new("pool", pool), KeyValue::new("meter", meter)]);
        }
    }

    /// The share of a pool's caps that is left by what was learned of its provider, of several meters the lowest.
    pub fn learned(&self, pool: &Arc<str>, share: f64) {
        self.gauges.learned.show(share, &[KeyValue::new("pool", pool.clone())]);
    }

    /// Whether the shared state is away.
    pub fn degraded(&self, away: bool) {
        self.gauges.degraded.record(u64::from(away), &[]);
    }

    /// For how long nothing was heard of keys, ms.
    pub fn keys_age(&self, age_ms: u64) {
        self.gauges.keys_age.record(age_ms as f64 / 1_000.0, &[]);
    }

    /// Is an account left alone by all, and why?
    pub fn account(&self, account: &str, circuits: &Circuits, tag: u64) {
        for cause in [Cause::Key, Cause::Quota] {
            let is_shut = circuits.known.get(&cause.tag(tag)).is_some_and(Circuit::is_open);
            let labels =
                [KeyValue::new("account", account.to_owned()), KeyValue::new("reason", cause.word())];
            self.gauges.accounts.show(f64::from(u8::from(is_shut)), &labels);
        }
    }

    /// What the circuit of a deployment is; none if it is plainly closed.
    pub fn circuit(&self, deployment: &Arc<str>, circuit: Option<&Circuit>) {
        let state = match circuit {
            None => 0.0,
            Some(Circuit::Ramp { .. }) => 1.0,
            Some(Circuit::Open { .. }) => 2.0,
        };
        self.gauges.circuits.show(state, &[KeyValue::new("deployment", deployment.clone())]);
    }

    /// What operators say of a deployment, as this replica has heard it.
    pub fn duty(&self, duty: &Duty) {
        let deployment = [KeyValue::new("deployment", duty.name.clone())];
        self.gauges.drained.show(f64::from(u8::from(duty.is_drained())), &deployment);
        if let Some(weight) = duty.weight() {
            self.gauges.weights.show(weight, &deployment);
        }
    }

    /// Whether the configuration that was read last is in force.
    pub fn in_force(&self, is: bool) {
        self.gauges.reloaded.record(u64::from(is), &[]);
    }

    /// What this replica has in hand.
    pub fn in_hand(&self, calls: usize, buffered: usize) {
        self.gauges.calls.record(calls as u64, &[]);
        self.gauges.buffered.record(buffered as u64, &[]);
    }
}
