//! SYNC: a replica reports its counters, renews its life, rests pools and tells how attempts ended; it learns what it was
//! granted, and which circuits are open, and may be lent what it wants ([`super::lend`]).

use std::collections::BTreeSet;
use std::sync::Arc;

use super::learned::Said;
use super::mutant::{Mutant, on};
use super::{
    Behaviour, Caller, Circuit, Counters, Incarnation, Meter, Moved, Ms, Outcome, Reply, State, TTL, Telling,
    Want,
};

/// A replica's report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sync {
    /// Sender.
    pub caller: Caller,
    /// Pools whose counters moved, or whose grants the replica wants to hear.
    pub reports: Vec<PoolReport>,
    /// Pools that a provider asked to leave alone.
    pub rests: Vec<Rest>,
    /// How attempts ended.
    pub outcomes: Vec<Outcome>,
    /// How deployments behave, and since when it wants to hear of that; none if it does not.
    pub telling: Option<Telling>,
    /// Whether the living are to be counted, and circuits told (not in every flush: it costs a look at each of them).
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
    /// Whether the sender wants to see what the windows hold, to remember it.
    pub look: bool,
    /// What the provider said lately, per meter; empty: nothing.
    pub said: Vec<Said>,
    /// What the sender wants to be lent, per meter; empty: nothing.
    pub wants: Vec<Want>,
}

/// A pool to be left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rest {
    /// Pool key.
    pub key: Arc<str>,
    /// For how long, ms.
    pub for_ms: Ms,
    /// The provider refused a call: perhaps its limit is lower than we think ([`State::struck`]).
    pub refused: bool,
}

/// The answer to a [`Sync`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Synced {
    /// Logical time.
    pub l: Ms,
    /// Whether the life was renewed (not if the replica has not heard from us for long).
    pub lease: bool,
    /// Replicas alive; empty if it was not asked.
    pub live: Vec<Incarnation>,
    /// The data set is learning what it may have lost.
    pub learning: bool,
    /// In the order of the reports.
    pub pools: Vec<PoolView>,
    /// Circuits that are not plainly closed, by the deployment's tag; none if it was not asked.
    pub circuits: Vec<(u64, Circuit)>,
    /// How deployments behave that changed, by tag; none if it was not asked.
    pub behaviours: Vec<(u64, Behaviour)>,
    /// Sessions that moved lately; none if it was not asked.
    pub moved: Moved,
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
    /// How far each meter may be used by what was learned of its provider; empty: nothing was.
    pub bounds: Vec<u64>,
    /// If it was asked for.
    pub image: Option<Image>,
}

/// What the windows of a pool hold, for a replica to remember.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    /// Posted ever by all, per meter.
    pub posted: Vec<u64>,
    /// Held by all, per meter.
    pub held: Vec<u64>,
    /// Per meter: how long ago each bucket ended (0: the current one), and what it holds.
    pub window: Vec<Vec<(Ms, u64)>>,
}

impl State {
    pub(super) fn sync(&mut self, sync: &Sync, nonce: u64) -> Reply {
        let l = self.clock.l;
        if !sync.reports.iter().all(|report| self.agrees(&sync.caller, report)) {
            // We have granted more than we know of: the data set has gone back in time, nobody knows how far.
            self.forget(nonce, (0, l));
            return Reply::Epoch(self.epoch);
        }
        sync.reports.iter().for_each(|report| self.take_report(&sync.caller, report));
        for rest in &sync.rests {
            if rest.refused {
                self.struck(&rest.key);
            }
            let pool =
                self.pools.entry(rest.key.clone()).or_default().current(self.epoch, l, self.learn.as_ref());
            let until = l + rest.for_ms;
            let shorter = on(Mutant::ShorterRestWins);
            pool.rest_until = if shorter { until } else { pool.rest_until.max(until) };
        }
        sync.outcomes.iter().for_each(|outcome| self.circuits.take(outcome, l));
        self.circuits.settle(l);
        let telling = sync.telling.as_ref();
        let behaviours = telling.map(|of| self.behaviours.take(of, &sync.caller.inc, l, &self.lives));
        let heard = l.saturating_sub(sync.caller.l_ack) <= TTL / 2 || on(Mutant::RenewedWithoutAck);
        if let (true, Some(life)) = (heard, self.lives.get_mut(&sync.caller.inc)) {
            life.exp = life.exp.max(l + TTL);
        }
        if sync.count && heard && self.learn.is_none() {
            let living = self.known_to_live().len() as u64;
            let wanted = sync.reports.iter().filter(|report| !report.wants.is_empty());
            wanted.for_each(|report| self.lend(&sync.caller, report, living));
        }
        let pools = sync.reports.iter().map(|report| self.view(&sync.caller, report)).collect();
        let live = if sync.count { self.known_to_live() } else { Vec::new() };
        let circuits =
            if sync.count { self.circuits.known.clone().into_iter().collect() } else { Vec::new() };
        let behaviours = behaviours.unwrap_or_default();
        let moved = if sync.count { self.moves.told(l) } else { Moved::default() };
        Reply::Synced(Synced {
            l,
            lease: heard,
            live,
            learning: self.learn.is_some(),
            pools,
            circuits,
            behaviours,
            moved,
        })
    }

    /// Those heard of within [`TTL`], and those still to be heard of after a loss.
    fn known_to_live(&self) -> Vec<Incarnation> {
        let alive = self.lives.iter().filter(|(_, life)| life.exp >= self.clock.l).map(|(inc, _)| inc);
        let awaited = self.learn.iter().flat_map(|learn| &learn.roster);
        let all: BTreeSet<&Incarnation> = alive.chain(awaited).collect();
        all.into_iter().cloned().collect()
    }

    /// Does a report agree with what was granted?
    fn agrees(&self, caller: &Caller, report: &PoolReport) -> bool {
        let counters = self.lives.get(&caller.inc).and_then(|life| life.counters.get(&report.key));
        let Some(counters) = counters else {
            return report.returned.iter().chain(&report.posted).all(|n| *n == 0);
        };
        let sound = counters.len() == report.returned.len()
            && counters.len() == report.posted.len()
            && counters.iter().zip(&report.returned).all(|(c, r)| *r <= c.granted);
        sound || on(Mutant::HoldClamped)
    }

    /// Takes a pool's counters, meter by meter.
    fn take_report(&mut self, caller: &Caller, report: &PoolReport) {
        let l = self.clock.l;
        let Some(life) = self.lives.get_mut(&caller.inc) else { return };
        let Some(counters) = life.counters.get_mut(&report.key) else { return };
        let Some(pool) = self.pools.get_mut(&report.key) else { return };
        let pool = pool.current(self.epoch, l, self.learn.as_ref());
        if report.said.len() == pool.meters.len() {
            self.learned.heed(&report.key, &report.said, pool.meters.iter().map(|meter| meter.cap), l);
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
    }

    fn view(&mut self, caller: &Caller, report: &PoolReport) -> PoolView {
        let l = self.clock.l;
        let Some(pool) = self.pools.get_mut(&report.key) else { return PoolView::default() };
        let pool = pool.current(self.epoch, l, self.learn.as_ref());
        pool.meters.iter_mut().for_each(|meter| meter.advance(l));
        // What is still being learnt is no image of the whole.
        let looks = report.look && self.learn.is_none() && !pool.meters.is_empty();
        let image = looks.then(|| Image {
            posted: pool.meters.iter().map(|m| m.posted).collect(),
            held: pool.meters.iter().map(|m| m.hold).collect(),
            window: pool.meters.iter().map(|m| m.window(l)).collect(),
        });
        let counters = self.lives.get(&caller.inc).and_then(|life| life.counters.get(&report.key));
        let learned = self.learned.of(&report.key, l);
        let bound = |(at, meter): (usize, &Meter)| learned.map(|known| known.bound(at, meter.cap, l).cap);
        let granted = |at: usize| counters.and_then(|c| c.get(at)).map_or(0, |c| c.granted);
        PoolView {
            granted: (0..pool.meters.len()).map(granted).collect(),
            used: pool.meters.iter().map(|m| m.sum + m.image_sum + m.hold).collect(),
            cap: pool.meters.iter().map(|m| m.cap).collect(),
            rest: pool.rest_until.saturating_sub(l),
            bounds: pool.meters.iter().enumerate().filter_map(bound).collect(),
            image,
        }
    }
}
