//! SYNC: a replica reports its counters, renews its life and rests pools; it learns what it was granted.

use std::sync::Arc;

use super::mutant::{Mutant, on};
use super::{Caller, Counters, Ms, Reply, State, TTL};

/// A replica's report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sync {
    /// Sender.
    pub caller: Caller,
    /// Pools whose counters moved, or whose grants the replica wants to hear.
    pub reports: Vec<PoolReport>,
    /// Pools that a provider asked to leave alone.
    pub rests: Vec<Rest>,
    /// Whether the living are to be counted (not in every flush: it costs a look at each of them).
    pub count: bool,
}

/// Cumulative counters of one pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolReport {
    /// Pool key.
    pub key: Arc<str>,
    /// Estimates given back, per meter.
    pub returned: Vec<u64>,
    /// Actuals, per meter.
    pub posted: Vec<u64>,
}

/// A pool to be left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rest {
    /// Pool key.
    pub key: Arc<str>,
    /// For how long, ms.
    pub for_ms: Ms,
}

/// The answer to a [`Sync`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Synced {
    /// Logical time.
    pub l: Ms,
    /// Whether the life was renewed (not if the replica has not heard from us for long).
    pub lease: bool,
    /// Replicas alive; 0 if it was not asked.
    pub live: usize,
    /// Reports that contradict the grants: a bug if ever above 0.
    pub rejected: u64,
    /// In the order of the reports.
    pub pools: Vec<PoolView>,
}

/// A pool as a replica sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PoolView {
    /// Granted to this replica ever, per meter.
    pub granted: Vec<u64>,
    /// Window plus holds of all replicas, per meter.
    pub used: Vec<u64>,
    /// Cap in force, per meter.
    pub cap: Vec<u64>,
    /// Rests this much longer, ms.
    pub rest: Ms,
}

impl State {
    pub(super) fn sync(&mut self, sync: &Sync) -> Reply {
        let l = self.clock.l;
        let mut rejected = 0;
        for report in &sync.reports {
            if !self.take_report(&sync.caller, report) {
                rejected += 1;
            }
        }
        for rest in &sync.rests {
            let pool = self.pools.entry(rest.key.clone()).or_default();
            let until = l + rest.for_ms;
            let shorter = on(Mutant::ShorterRestWins);
            pool.rest_until = if shorter { until } else { pool.rest_until.max(until) };
        }
        let heard = l.saturating_sub(sync.caller.l_ack) <= TTL / 2 || on(Mutant::RenewedWithoutAck);
        if let (true, Some(life)) = (heard, self.lives.get_mut(&sync.caller.inc)) {
            life.exp = life.exp.max(l + TTL);
        }
        let pools = sync.reports.iter().map(|report| self.view(&sync.caller, &report.key)).collect();
        let live = if sync.count { self.live() } else { 0 };
        Reply::Synced(Synced { l, lease: heard, live, rejected, pools })
    }

    /// Takes a pool's counters, meter by meter; false if they contradict what was granted.
    fn take_report(&mut self, caller: &Caller, report: &PoolReport) -> bool {
        let l = self.clock.l;
        let Some(life) = self.lives.get_mut(&caller.inc) else { return false };
        let Some(counters) = life.counters.get_mut(&report.key) else {
            return report.returned.iter().chain(&report.posted).all(|n| *n == 0);
        };
        let Some(pool) = self.pools.get_mut(&report.key) else { return false };
        let sound = counters.len() == report.returned.len()
            && counters.len() == report.posted.len()
            && counters.iter().zip(&report.returned).all(|(c, r)| *r <= c.granted);
        if !sound && !on(Mutant::HoldClamped) {
            return false;
        }
        for (at, counter) in counters.iter_mut().enumerate() {
            let meter = &mut pool.meters[at];
            meter.advance(l);
            let (returned, posted) = (report.returned[at], report.posted[at]);
            if on(Mutant::SnapshotReplacesCounters) {
                meter.hold = (meter.hold + counter.returned).saturating_sub(returned);
                *counter = Counters { returned, posted: counter.posted, ..*counter };
            }
            meter.hold = meter.hold.saturating_sub(returned.saturating_sub(counter.returned));
            meter.post(posted.saturating_sub(counter.posted));
            if on(Mutant::MaxMissing) {
                *counter = Counters { returned, posted, ..*counter };
            }
            counter.returned = counter.returned.max(returned);
            counter.posted = counter.posted.max(posted);
        }
        true
    }

    fn view(&mut self, caller: &Caller, key: &Arc<str>) -> PoolView {
        let l = self.clock.l;
        let Some(pool) = self.pools.get_mut(key) else { return PoolView::default() };
        pool.meters.iter_mut().for_each(|meter| meter.advance(l));
        let counters = self.lives.get(&caller.inc).and_then(|life| life.counters.get(key));
        let granted = |at: usize| counters.and_then(|c| c.get(at)).map_or(0, |c| c.granted);
        PoolView {
            granted: (0..pool.meters.len()).map(granted).collect(),
            used: pool.meters.iter().map(|m| m.sum + m.hold).collect(),
            cap: pool.meters.iter().map(|m| m.cap).collect(),
            rest: pool.rest_until.saturating_sub(l),
        }
    }
}
