//! Loss of data: a data set that may have forgotten something learns it back from the replicas before it grants.
//!
//! Redis loses what it knew when it restarts empty, is flushed, evicts, or fails over to a copy that lags. The
//! replicas are the durable store: each knows its own counters, and what every window held when it last looked.
//! A new *epoch* begins, every replica tells what it knows in a HELLO (a JOIN that continues its life), and until
//! those that are known to live have done so, nobody is granted anything.
//!
//! What replicas saw of a window are images of one history, told apart by how much had ever been posted: the fullest
//! is the newest and includes the others. It goes into a ring of its own ([`super::Meter::image`]); what the data set
//! itself had kept is such an image too. What each replica posted since it looked is posted anew, now.
//!
//! Of two losses soon after one another a replica may have missed the first: its images are of a history that nobody
//! went on with. Such a one is fuller than an image that was looked at long after it, which in one history cannot be
//! ([`History`]). Neither may hide the other then: both count, bucket by bucket, for histories follow one another in time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::mutant::{Mutant, on};
use super::{Counters, Incarnation, Life, Meter, Ms, Pending, Pool, PoolDecl, Stage, State, TTL};

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
    /// By pool, what those that told still hold of what they held then ([`PoolMemory::kept`]).
    pub kept: BTreeMap<Arc<str>, BTreeMap<Incarnation, Vec<u64>>>,
    /// How far the data set itself knows: all before the first, nothing after the second. Logical time.
    pub known: (Ms, Ms),
    /// By pool, when a replica looked at the image whose count of what was posted is remembered.
    pub looked: BTreeMap<Arc<str>, Ms>,
}

/// How a told image stands to the one that is remembered, by when they were looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum History {
    /// At about one time: of one history.
    One,
    /// Long before.
    Earlier,
    /// Long after.
    Later,
    /// Learning is over, and with it what was known of times.
    Untold,
}

/// What a replica knows, in its HELLO.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Age of the roster, ms of the replica's own clock.
    pub age: Ms,
    /// Replicas that it knew to live.
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
        self.epoch = if epoch == 0 { self.epoch + 1 } else { epoch };
        let roster = self.lives.keys().cloned().collect();
        let from = self.learn.as_ref().map_or(from, |learn| from.min(learn.known.0)); // it may not know what it was learning
        self.learn = Some(Learn { since: l, roster, known: (from, to), ..Learn::default() });
    }

    /// Takes what a replica knows: its counters, and what it saw of windows and rests if that may have been forgotten.
    pub(super) fn take_memory(&mut self, inc: &Incarnation, memory: &Memory, forgot: bool) {
        for pool in memory.pools.iter().filter(|pool| forgot || !pool.counters.is_empty()) {
            self.touch(&pool.decl);
            if forgot {
                if !on(Mutant::OwnHistoriesOnly) {
                    self.take_window(inc, pool);
                }
                self.take_kept(inc, pool);
            }
            self.take_counters(inc, pool);
        }
    }

    /// Takes note of who must tell. A replica that does not continue a life and has seen nothing is new here: what it
    /// says is no reason to believe that all is known.
    pub(super) fn believe(&mut self, memory: &Memory, continued: bool) {
        let knows = continued || memory.pools.iter().any(|pool| !pool.window.is_empty());
        if let (Some(learn), true) = (&mut self.learn, knows) {
            learn.told = true;
            learn.fresh |= memory.age <= TTL;
            learn.roster.extend(memory.roster.iter().cloned());
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

    fn take_kept(&mut self, inc: &Incarnation, told: &PoolMemory) {
        let all = || told.counters.iter().map(|c| c.granted - c.returned).collect();
        let kept = if on(Mutant::NewHoldsHideOld) { all() } else { told.kept.clone() };
        if let Some(learn) = &mut self.learn {
            learn.kept.entry(told.decl.key.clone()).or_default().insert(inc.clone(), kept);
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
        if !learn.whole && !on(Mutant::OrphansDropped) {
            for (pool, (_, bearer, others)) in &learn.others {
                for (at, held) in others.iter().enumerate() {
                    let told = self.told(&learn, pool, at, bearer);
                    self.hold_for_missing(pool, at, held.saturating_sub(told));
                }
            }
        }
    }

    /// What is known of the holds that were seen of others than the bearer of an image: of those that told only what
    /// they held when they looked themselves, at the bearer's time or before, and had not told to have given back. What
    /// they drew since was not seen, and must not stand for what the missing held.
    fn told(&self, learn: &Learn, key: &Arc<str>, at: usize, bearer: &Incarnation) -> u64 {
        let kept = learn.kept.get(key);
        let held = |c: &Vec<Counters>| c.get(at).map_or(0, |c| c.granted - c.returned);
        let silent = |inc: &Incarnation| kept.is_none_or(|kept| !kept.contains_key(inc));
        let of_silent = self.lives.iter().filter(|(inc, _)| *inc != bearer && silent(inc));
        let of_silent: u64 = of_silent.filter_map(|(_, life)| life.counters.get(key)).map(held).sum();
        let of_others = kept.into_iter().flatten().filter(|(inc, _)| *inc != bearer);
        of_silent + of_others.filter_map(|(_, kept)| kept.get(at)).sum::<u64>()
    }

    /// What the newest image says that others held, beyond what is known, waits as the holds of the dead do.
    fn hold_for_missing(&mut self, key: &Arc<str>, at: usize, missing: u64) {
        let longest = |d: fn(&Life) -> Ms| self.lives.values().map(d).max().unwrap_or(TTL);
        let (d_head, d_end) = (longest(|life| life.d_head), longest(|life| life.d_end));
        let (epoch, l) = (self.epoch, self.clock.l);
        let pool = self.pools.get_mut(key).filter(|_| missing > 0).map(|pool| pool.current(epoch, l));
        if let Some(meter) = pool.and_then(|pool| pool.meters.get_mut(at)) {
            meter.hold += missing;
            let due = l + TTL + if meter.shape.stage == Stage::Head { d_head } else { d_end };
            self.pending.push(Pending { due, pool: key.clone(), meter: at, amount: missing });
        }
    }
}

impl Learn {
    /// Of an image of the pool that was looked at then. No message is under way for as long as [`TTL`].
    fn history(&self, pool: &str, seen: Ms) -> History {
        let (from, to) = self.looked.get(pool).map_or(self.known, |at| (*at, *at));
        match () {
            () if self.whole || on(Mutant::HistoriesMixed) => History::One, // a data set that was only silent has one
            () if seen + TTL < from => History::Earlier,
            () if seen > to + TTL => History::Later,
            () => History::One,
        }
    }
}

impl Pool {
    /// The pool in this epoch: what it had counted in the one before becomes an image. Done when it is next used.
    pub(super) fn current(&mut self, epoch: u64, l: Ms) -> &mut Pool {
        if self.epoch != epoch {
            self.epoch = epoch;
            self.meters.iter_mut().for_each(|meter| meter.set_aside(l));
        }
        self
    }
}

impl Meter {
    /// What was posted so far becomes an image like those that replicas tell.
    fn set_aside(&mut self, l: Ms) {
        self.advance(l);
        let slots = self.shape.slots();
        self.image_posted = self.posted;
        if slots == 0 || self.sum == 0 || on(Mutant::ImageMergedIntoWindow) {
            return;
        }
        self.image.resize(slots as usize, 0);
        self.ring[(self.last % slots) as usize] = self.cur;
        self.image.iter_mut().zip(&mut self.ring).for_each(|(old, ring)| *old += std::mem::take(ring));
        (self.image_sum, self.sum, self.cur) = (self.image_sum + self.sum, 0, 0);
    }

    /// Takes an image that is `age` old: of one history in place of what this meter remembers, if more had been posted by
    /// then; of another beside it. Is what it tells of how much was posted what counts from now on?
    fn remember(&mut self, window: &[(Ms, u64)], posted: u64, age: Ms, l: Ms, history: History) -> bool {
        let slots = self.shape.slots();
        let fuller = posted > self.image_posted;
        let takes = fuller || history == History::Later && posted > 0;
        if slots == 0 || !takes {
            return false;
        }
        let nothing = self.image_posted == 0;
        let beside = match history {
            History::One => false,
            History::Later => !fuller,
            History::Earlier | History::Untold => true,
        };
        let counts = history != History::Earlier || nothing;
        if counts {
            self.posted += posted.saturating_sub(self.image_posted);
            self.image_posted = posted;
        }
        let old = std::mem::replace(&mut self.image, vec![0; slots as usize]);
        for (ended, amount) in window {
            // A bucket that has ended holds nothing of the instant of its end.
            let newest = l.saturating_sub(age + ended + u64::from(*ended > 0));
            let bucket = newest / self.shape.width;
            if bucket + slots > self.last {
                self.image[(bucket % slots) as usize] += amount;
            }
        }
        if beside {
            // Should it be of one history after all, the fuller of each bucket is what was posted in it.
            self.image.iter_mut().zip(old).for_each(|(told, old)| *told = old.max(*told));
        }
        self.image_sum = self.image.iter().sum();
        if self.image_sum == 0 {
            self.image = Vec::new();
        }
        if on(Mutant::ImageMergedIntoWindow) {
            self.merge_into_window();
        }
        counts
    }

    /// Broken: one ring for both.
    fn merge_into_window(&mut self) {
        let at = (self.last % self.shape.slots()) as usize;
        self.ring[at] = self.cur;
        self.ring.iter_mut().zip(&self.image).for_each(|(ring, image)| *ring = (*ring).max(*image));
        self.cur = std::mem::take(&mut self.ring[at]);
        self.sum = self.cur + self.ring.iter().sum::<u64>();
        (self.image, self.image_sum) = (Vec::new(), 0);
    }

    /// What the window holds, for a replica to remember: how long ago each bucket ended, and its units.
    pub fn window(&self, l: Ms) -> Vec<(Ms, u64)> {
        let slots = self.shape.slots();
        let held = |bucket: u64| {
            let at = (bucket % slots) as usize;
            let own = if bucket == self.last { self.cur } else { self.ring[at] };
            own + self.image.get(at).copied().unwrap_or(0)
        };
        let ended = |bucket: u64| l.saturating_sub((bucket + 1) * self.shape.width);
        let from = (self.last + 1).saturating_sub(slots);
        (from..=self.last)
            .filter(|_| slots > 0)
            .map(|b| (ended(b), held(b)))
            .filter(|(_, n)| *n > 0)
            .collect()
    }
}
