//! What gauges say: what is configured, what this replica has in hand, and how the cluster stands. It is looked at when somebody is
//! about to read it, and nowhere else: a page of metrics, or the collector.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, MissedTickBehavior};

use super::admin::{Desk, bound, kind_name, pool_keys};
use super::server::{Phase, reached};
use crate::alerts::seen::is_down;
use crate::clock::unix_now;
use crate::config::{MeterKind, Side};
use crate::cost::told::{age_days, stale};
use crate::shared::Snapshot;
use crate::state::{PoolInfo, core};

/// No more often than this the shared state is looked at, whoever asks how often.
const EVERY: Duration = Duration::from_millis(100);

/// When was looked last. Who asks meanwhile waits for it: one at a time says what there is.
#[derive(Debug, Default)]
pub(super) struct Gauges(Mutex<Option<Look>>);

#[derive(Clone, Copy, Debug)]
struct Look {
    begun: Instant,
    ended: Instant,
}

impl Look {
    /// When the next one may begin: looks that take long take half of the time at most.
    fn next(&self) -> Instant {
        self.begun + EVERY.max(2 * (self.ended - self.begun))
    }
}

/// Tells the collector all metrics each `interval`, gauges as they stand just then, until the admin pages close.
pub async fn tell(desk: Arc<Desk>, interval: Duration, mut phase: watch::Receiver<Phase>) {
    let mut due = tokio::time::interval_at(Instant::now() + interval, interval);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let telling = async {
        loop {
            due.tick().await;
            desk.refresh().await;
            let metrics = desk.shared.metrics.clone();
            if let Err(error) = tokio::task::spawn_blocking(move || metrics.flush()).await {
                tracing::error!(target: "weir::telemetry", %error, "metrics could not be told");
            }
        }
    };
    tokio::select! {
        () = telling => {}
        () = reached(&mut phase, Phase::Closing) => {}
    }
}

impl Desk {
    /// Looks at everything that gauges tell of, once for all who ask at the same time. What they say afterwards is no older than
    /// the question.
    pub async fn refresh(&self) {
        let asked = Instant::now();
        let mut last = self.gauges.0.lock().await;
        if let Some(look) = *last {
            if look.begun >= asked {
                return;
            }
            tokio::time::sleep_until(look.next()).await;
        }
        let begun = Instant::now();
        self.look().await;
        *last = Some(Look { begun, ended: Instant::now() });
    }

    async fn look(&self) {
        let (shared, snapshot) = (&self.shared, self.shared.snapshot.load_full());
        let overview = self.port.overview(&pool_keys(&snapshot)).await;
        self.show_own(&snapshot);
        self.show_config(&snapshot);
        if let Ok(state) = overview {
            self.show(&snapshot.pools, &state);
            self.show_standing(&snapshot, &state);
            shared.metrics.shown();
        }
    }

    /// Shows what this replica knows by itself.
    fn show_own(&self, snapshot: &Snapshot) {
        let (shared, metrics, now) = (&self.shared, &self.shared.metrics, unix_now());
        metrics.degraded(shared.client.is_away());
        metrics.in_hand(shared.calls.used(), shared.buffered.used());
        metrics.keys_age(shared.keyring.age_ms());
        let age = age_days(&snapshot.config, now).unwrap_or(0); // none is in use
        metrics.prices(age, stale(&snapshot.config, now).len());
        snapshot.trials.iter().for_each(|trial| metrics.shares(trial));
        snapshot.duties.iter().for_each(|duty| metrics.duty(duty));
        for (model, queue) in snapshot.model_names.iter().zip(&snapshot.queues) {
            metrics.waiting(model, queue.len());
        }
    }

    /// Shows what is configured.
    fn show_config(&self, snapshot: &Snapshot) {
        let (metrics, client) = (&self.shared.metrics, &self.shared.client);
        let config = &snapshot.config;
        metrics.replica(&config.hash, client.live(), client.failures());
        for deployment in &config.deployments {
            let account = &deployment.account;
            metrics.deployment(&deployment.name, &account.name, &account.preset.name);
        }
        for (at, (model, name)) in config.models.iter().zip(&snapshot.model_names).enumerate() {
            let is_tried = config.experiments.iter().any(|experiment| experiment.model.0 == at);
            let mut duties = model.targets.iter().map(|target| &snapshot.duties[target.deployment.0]);
            let is_set = duties.any(|duty| duty.is_drained() || duty.weight().is_some());
            // (Variants divide its calls otherwise, and so do operators.)
            let Some(shares) = model.shares().filter(|_| !is_tried && !is_set) else { continue };
            for (target, share) in model.targets.iter().zip(shares) {
                metrics.share(name, &config.deployments[target.deployment.0].name, share);
            }
        }
    }

    /// Shows how deployments and models stand.
    fn show_standing(&self, snapshot: &Snapshot, state: &core::State) {
        let (metrics, config) = (&self.shared.metrics, &snapshot.config);
        for deployment in &config.deployments {
            metrics.circuit(&deployment.name, state.circuits.known.get(&deployment.tag));
            let pools = deployment.pools.iter().map(|id| &snapshot.pools[id.0]);
            let used = pools.map(|info| used(info, state)).fold(0.0, f64::max);
            metrics.used(&deployment.name, used);
        }
        for account in &config.accounts {
            metrics.account(&account.name, &state.circuits, account.tag);
        }
        for (model, name) in config.models.iter().zip(&snapshot.model_names) {
            metrics.down(name, is_down(model, config, &snapshot.duties, &state.circuits));
        }
    }

    /// Shows how much of each pool is in use, of several windows the fullest.
    fn show(&self, pools: &[Arc<PoolInfo>], state: &core::State) {
        for info in pools {
            let Some(pool) = state.pools.get(&info.decl.key) else { continue };
            if matches!(info.side, Side::Provider(_)) {
                self.shared.metrics.learned(&info.name, bound_share(info, pool, state));
            }
            let mut shares = BTreeMap::new();
            for (kind, meter) in info.kinds.iter().zip(&pool.meters) {
                let fullest = shares.entry(kind_name(*kind)).or_insert(0.0_f64);
                // (What calls in flight may cost still is no money that is spent.)
                let used = if *kind == MeterKind::Usd { meter.spent() } else { meter.used() };
                *fullest = fullest.max(used as f64 / meter.cap as f64);
            }
            for (kind, share) in shares {
                self.shared.metrics.utilisation(&info.name, kind, share);
            }
        }
    }
}

/// The same as a share of the cap, of all meters the lowest.
fn bound_share(info: &PoolInfo, pool: &core::Pool, state: &core::State) -> f64 {
    let share = |(at, meter): (usize, &core::Meter)| bound(info, at, meter, state) as f64 / meter.cap as f64;
    pool.meters.iter().enumerate().map(share).fold(1.0, f64::min)
}

/// How much of a pool is in use, of its meters the fullest. What may be spent is no load.
fn used(info: &PoolInfo, state: &core::State) -> f64 {
    let Some(pool) = state.pools.get(&info.decl.key) else { return 0.0 };
    let meters = info.kinds.iter().zip(&pool.meters).filter(|(kind, _)| **kind != MeterKind::Usd);
    meters.map(|(_, meter)| meter.used() as f64 / meter.cap as f64).fold(0.0, f64::max)
}

#[cfg(test)]
#[path = "gauges_tests.rs"]
mod tests;
