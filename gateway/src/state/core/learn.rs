//! Loss of data: a data set that may have forgotten something learns it back from the replicas before it grants.
//!
//! Redis loses what it knew when it restarts empty, is flushed, evicts, or fails over to a copy that lags. The
//! replicas are the durable store: each knows its own counters, and what every window held when it last looked.
//! A new *epoch* begins, every replica tells what it knows in a HELLO (a JOIN that continues its life), and until
//! those that are known to live have done so, nobody is granted anything.
//!
//! What they tell of windows: [`super::image`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::image::History;
use super::mutant::{Mutant, on};
use super::{Counters, Incarnation, Life, Ms, Pending, Pool, PoolDecl, Stage, State, TTL};

/// Learning ends after this long whoever is missing: longer than a replica needs to notice and to connect again.
pub const LEARN: Ms = 2_000;
/// Learning lasts this long at least, two SYNCs of anybody: somebody may have joined whom nobody knows yet.
pub const LEAST: Ms = 400;
/// The same with rosters older than [`TTL`] only: all were cut off, and need time to connect again.
pub const SETTLE: Ms = 1_000;

/// Learning, while it is on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Learn {
    /// Logical time of its begin.
    pub since: Ms,
    /// Somebody told who lived and what the windows held.
    pub told: bool,
    /// It knew who lived not longer than [`TTL`] ago.
    pub fresh: bool,
    /// The data set is the one that it was, and was only silent: whatever it knew of holds it still knows.
    pub whole: bool,
    /// Who must tell.
    pub roster: BTreeSet<Incarnation>,
    /// From the newest image of each pool: its time, its bearer, and per meter what others held.
    pub others: BTreeMap<Arc<str>, (Ms, Incarnation, Vec<u64>)>,
    /// By pool, what those that told still hold of what they held then.
    pub kept: BTreeMap<Arc<str>, Kept>,
    /// What learnings that a further loss cut short knew by then of holds of those that had not told.
    pub unsettled: BTreeSet<Unsettled>,
    /// Epochs that were cut short while they learnt. What was posted in them was told, and is in nobody's image.
    pub cut: BTreeSet<u64>,
    /// Lives that ended since it began: a late HELLO of theirs raises nobody.
    pub left: BTreeSet<Incarnation>,
    /// How far the data set itself knows: all before the first, nothing after the second. Logical time.
    pub known: (Ms, Ms),
    /// By pool, when a replica looked at the image whose count of what was posted is remembered.
    pub looked: BTreeMap<Arc<str>, Ms>,
}

/// Of one pool: when each that told had last heard of the data set, logical time, and [`PoolMemory::kept`].
pub type Kept = BTreeMap<Incarnation, (Ms, Vec<u64>)>;

/// Holds that were seen, of replicas other than some.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unsettled {
    /// On which pool.
    pub pool: Arc<str>,
    /// Whose holds are not among them.
    pub settled: BTreeSet<Incarnation>,
    /// Per meter.
    pub held: Vec<u64>,
    /// When, logical time.
    pub seen: Ms,
}

/// What a replica knows, in its HELLO.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Age of the roster, ms of the replica's own clock.
    pub age: Ms,
    /// Replicas that it knew to live; of its own name such lives as it knows itself that are not over.
    pub roster: Vec<Incarnation>,
    /// By pool.
    pub pools: Vec<PoolMemory>,
}

/// What a replica knows of a pool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PoolMemory {
    /// Key, shapes and caps.
    pub decl: PoolDecl,
    /// Its own counters, per meter; empty unless it continues a life.
    pub counters: Vec<Counters>,
    /// Age of what follows, ms of the replica's own clock.
    pub age: Ms,
    /// Its own `posted` that is part of the image, per meter.
    pub seen: Vec<u64>,
    /// Posted ever by all, per meter.
    pub posted: Vec<u64>,
    /// Holds of others then, per meter.
    pub others: Vec<u64>,
    /// What it had drawn by then, and no message said that it gave back, before this one; per meter.
    pub kept: Vec<u64>,
    /// Per meter: how long before the image each bucket ended (0: the current one), and what it held.
    pub window: Vec<Vec<(Ms, u64)>>,
    /// For how long the pool is to be left alone, ms.
    pub rest: Ms,
}

impl State {
    /// Begins an epoch in which nothing is granted until the replicas have told what they know.
    /// `known`: how far the data set itself knows, as in [`Learn::known`].
    pub(super) fn forget(&mut self, epoch: u64, (from, to): (Ms, Ms)) {
        let l = self.clock.l;
        let last = self.epoch;
        self.epoch = if epoch == 0 { last + 1 } else { epoch };
        let mut learn = Learn { since: l, known: (from, to), ..Learn::default() };
        learn.roster = self.lives.keys().cloned().collect();
        if let Some(before) = self.learn.take() {
            learn.known.0 = from.min(before.known.0); // it may not know what it was learning
            if !on(Mutant::LearntForgotten) {
                learn.go_on(before, last);
            }
        }
        self.learn = Some(learn);
    }

    /// Takes what a replica knows: its counters, and what it saw of windows and rests if that may have been forgotten.
    pub(super) fn take_memory(&mut self, inc: &Incarnation, memory: &Memory, forgot: bool) {
        for pool in memory.pools.iter().filter(|pool| forgot || !pool.counters.is_empty()) {
            self.touch(&pool.decl);
            if forgot {
                if !on(Mutant::OwnHistoriesOnly) {
                    self.take_window(inc, pool);
                }
                self.take_kept(inc, pool, memory.age);
            }
            self.take_counters(inc, pool);
        }
    }

    /// Takes note of who must tell. A replica that does not continue a life and has seen nothing is new here: what it
    /// says is no reason to believe that all is known. Which older lives of its own are not over it knows best: others may
    /// have heard of them last when they were not, and would have them waited for.
    pub(super) fn believe(&mut self, inc: &Incarnation, memory: &Memory, continued: bool) {
        let knows = continued || memory.pools.iter().any(|pool| !pool.window.is_empty());
        let (Some(learn), true) = (&mut self.learn, knows) else { return };
        learn.told = true;
        learn.fresh |= memory.age <= TTL;
        let older = |known: &Incarnation| known.name == inc.name && known.k < inc.k;
        learn.roster.retain(|awaited| !older(awaited) || memory.roster.contains(awaited));
        let has_told = |(newer, life): (&Incarnation, &Life), known: &Incarnation| {
            newer.name == known.name && newer.k > known.k && life.told == Some(self.epoch)
        };
        for known in memory.roster.iter().filter(|known| !learn.left.contains(known)) {
            let settled = !older(known) && self.lives.iter().any(|life| has_told(life, known));
            if !settled {
                learn.roster.insert(known.clone());
            }
        }
    }

    fn take_window(&mut self, inc: &Incarnation, told: &PoolMemory) {
        let l = self.clock.l;
        let Some(pool) = self.pools.get_mut(&told.decl.key) else { return }; // made current just before
        pool.rest_until = pool.rest_until.max(if told.rest > 0 { l + told.rest } else { 0 });
        let seen = l.saturating_sub(told.age);
        let history =
            self.learn.as_ref().map_or(History::Untold, |learn| learn.history(&told.decl.key, seen));
        let mut counts = false;
        for ((meter, window), posted) in pool.meters.iter_mut().zip(&told.window).zip(&told.posted) {
            counts |= meter.remember(window, *posted, told.age, l, history);
        }
        let (Some(learn), false) = (&mut self.learn, told.window.is_empty()) else { return };
        if counts {
            learn.looked.insert(told.decl.key.clone(), seen);
        }
        // Of two of one moment the one that shows more.
        let shown = |others: &[u64]| others.iter().sum::<u64>();
        let newest = |(at, _, others): &(Ms, Incarnation, Vec<u64>)| {
            seen > *at || seen == *at && shown(&told.others) > shown(others)
        };
        if learn.others.get(&told.decl.key).is_none_or(newest) {
            learn.others.insert(told.decl.key.clone(), (seen, inc.clone(), told.others.clone()));
        }
    }

    fn take_kept(&mut self, inc: &Incarnation, told: &PoolMemory, age: Ms) {
        let heard = self.clock.l.saturating_sub(age);
        let all = || told.counters.iter().map(|c| c.granted - c.returned).collect();
        let kept = if on(Mutant::NewHoldsHideOld) { all() } else { told.kept.clone() };
        if let Some(learn) = &mut self.learn {
            learn.kept.entry(told.decl.key.clone()).or_default().insert(inc.clone(), (heard, kept));
        }
    }

    /// Takes a life's counters on one pool.
    pub fn recount(&mut self, inc: &Incarnation, decl: &PoolDecl, counters: Vec<Counters>) {
        let told = PoolMemory { decl: decl.clone(), counters, ..PoolMemory::default() };
        self.touch(&told.decl);
        self.take_counters(inc, &told);
    }

    /// Holds an amount for nobody who is known, until it is due.
    pub fn withhold(&mut self, decl: &PoolDecl, pending: Pending) {
        if let Some(meter) = self.touch(decl).meters.get_mut(pending.meter) {
            meter.hold += pending.amount;
            self.pending.push(pending);
        }
    }

    fn take_counters(&mut self, inc: &Incarnation, told: &PoolMemory) {
        let l = self.clock.l;
        let (Some(life), Some(pool)) = (self.lives.get_mut(inc), self.pools.get_mut(&told.decl.key)) else {
            return;
        };
        if told.counters.is_empty() {
            return;
        }
        let known = life.counters.entry(told.decl.key.clone()).or_default();
        known.resize(pool.meters.len(), Counters::default());
        let mut prolonged = false;
        for (at, (known, told_now)) in known.iter_mut().zip(&told.counters).enumerate() {
            let seen = told.seen.get(at).copied().unwrap_or(0);
            let seen = if on(Mutant::OwnHistoriesOnly) { 0 } else { seen };
            let seen = if on(Mutant::UnseenPostsForgotten) { told_now.posted } else { seen };
            prolonged |= told_now.granted > known.granted;
            let meter = &mut pool.meters[at];
            meter.hold -= known.granted - known.returned;
            meter.post(told_now.posted.saturating_sub(known.posted.max(seen)));
            *known = Counters {
                granted: known.granted.max(told_now.granted),
                returned: known.returned.max(told_now.returned),
                posted: known.posted.max(told_now.posted),
            };
            meter.hold += known.granted - known.returned;
        }
        if prolonged {
            life.exp = life.exp.max(l); // as after a grant: these calls run, and their holds are posted after that
        }
    }

    /// Ends learning when all that are known to live have told, or when it has lasted long enough. Nobody owns this:
    /// every step looks.
    pub(super) fn end_learning(&mut self) {
        let l = self.clock.l;
        let Some(learn) = &self.learn else { return };
        // A record alone says nothing: a late copy of an old JOIN makes one.
        let told = |told: u64| told == self.epoch || on(Mutant::JoinCountsAsTold);
        let has_told = |inc: &Incarnation| self.lives.get(inc).and_then(|life| life.told).is_some_and(told);
        let told_by_any = learn.told || on(Mutant::LearningEndedByNewcomer);
        let all = told_by_any && learn.roster.iter().all(has_told);
        let settled = l > learn.since + if learn.fresh { LEAST } else { SETTLE };
        let first = on(Mutant::LearningEndedByFirst) && !self.lives.is_empty();
        if all && settled || l > learn.since + LEARN || first {
            self.conclude();
        }
    }

    /// Ends learning, whoever is missing.
    pub fn conclude(&mut self) {
        let Some(learn) = self.learn.take() else { return };
        if !learn.cut.is_empty() {
            self.keep_what_was_told(&learn);
        }
        if learn.whole || on(Mutant::OrphansDropped) {
            return;
        }
        // A later image shows again what an earlier one showed: the most counts, not the sum.
        let mut missing: BTreeMap<(Arc<str>, usize), u64> = BTreeMap::new();
        for seen in learn.unsettled() {
            for (at, held) in seen.held.iter().enumerate() {
                let left = held.saturating_sub(self.held_by_silent(&seen, at));
                let most = missing.entry((seen.pool.clone(), at)).or_default();
                *most = left.max(*most);
            }
        }
        for ((pool, at), held) in missing {
            self.hold_for_missing(&pool, at, held);
        }
    }

    /// What was told in an epoch that was cut short is of this one as well. Once learning is over nobody knows that any
    /// more: what was posted since would be set aside with it, and would hide what is told late.
    fn keep_what_was_told(&mut self, learn: &Learn) {
        let of_cut = |pool: &&mut Pool| learn.cut.contains(&pool.epoch) && !on(Mutant::CutEpochLeftBehind);
        self.pools.values_mut().filter(of_cut).for_each(|pool| pool.epoch = self.epoch);
    }

    /// What is known of the holds of those that did not tell.
    fn held_by_silent(&self, seen: &Unsettled, at: usize) -> u64 {
        let held = |c: &Vec<Counters>| c.get(at).map_or(0, |c| c.granted - c.returned);
        let silent = self.lives.iter().filter(|(inc, _)| !seen.settled.contains(inc));
        silent.filter_map(|(_, life)| life.counters.get(&seen.pool)).map(held).sum()
    }

    /// What the newest image says that others held, beyond what is known, waits as the holds of the dead do.
    fn hold_for_missing(&mut self, key: &Arc<str>, at: usize, missing: u64) {
        let longest = |d: fn(&Life) -> Ms| self.lives.values().map(d).max().unwrap_or(TTL);
        let (d_head, d_end) = (longest(|life| life.d_head), longest(|life| life.d_end));
        let (epoch, l) = (self.epoch, self.clock.l);
        let pool = self.pools.get_mut(key).filter(|_| missing > 0).map(|pool| pool.current(epoch, l, None));
        if let Some(meter) = pool.and_then(|pool| pool.meters.get_mut(at)) {
            meter.hold += missing;
            let due = l + TTL + if meter.shape.stage == Stage::Head { d_head } else { d_end };
            self.pending.push(Pending { due, pool: key.clone(), meter: at, amount: missing });
        }
    }
}

impl Learn {
    /// A further loss cut short what was being learnt in an epoch. Who told it may have died since; those that were named
    /// may still tell.
    fn go_on(&mut self, before: Learn, epoch: u64) {
        self.unsettled = before.unsettled();
        self.roster.extend(before.roster);
        (self.kept, self.looked, self.cut) = (before.kept, before.looked, before.cut);
        if !on(Mutant::CutEpochSetAside) {
            self.cut.insert(epoch);
        }
    }

    /// What was seen of holds of those that have not told: of each pool by the newest image, and what earlier learnings
    /// left. Of those that told only what they held when they looked themselves, at the bearer's time or before, and had
    /// not told to have given back: what they drew since was not seen, and must not stand for what the missing held. Nor must
    /// what somebody held who had not been heard of for long when that look was taken: it may have been dead or unknown by then.
    pub fn unsettled(&self) -> BTreeSet<Unsettled> {
        if self.whole {
            return BTreeSet::new();
        }
        let newest = self.others.iter().map(|(pool, (seen, bearer, held))| Unsettled {
            pool: pool.clone(),
            settled: BTreeSet::from([bearer.clone()]),
            held: held.clone(),
            seen: *seen,
        });
        let settle = |mut seen: Unsettled| {
            for (inc, (heard, kept)) in self.kept.get(&seen.pool).into_iter().flatten() {
                let among = heard + TTL >= seen.seen || on(Mutant::UnheardTakenOff);
                if seen.settled.insert(inc.clone()) && among {
                    seen.held
                        .iter_mut()
                        .zip(kept)
                        .for_each(|(held, kept)| *held = held.saturating_sub(*kept));
                }
            }
            seen
        };
        let all = self.unsettled.iter().cloned().chain(newest).map(settle);
        all.filter(|seen| seen.held.iter().any(|held| *held > 0)).collect()
    }
}
