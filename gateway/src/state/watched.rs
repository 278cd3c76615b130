//! What this replica sees of one deployment's behaviour and has not told yet, and what it heard of all replicas'.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::core::behaviour::{Demand, MINUTES, SUMS};
use super::core::{Behaviour, Incarnation, Ms, Shown};

/// What others have in flight says nothing when the state was not heard for so long, ms.
const HEARD_FOR: Ms = 3_000;

/// One deployment's. It outlives reloads.
#[derive(Debug)]
pub struct Watched {
    /// The deployment's.
    pub tag: u64,
    busy: AtomicU64,
    used: AtomicU64,     // of the pool that is fullest, millionths; of all replicas
    full: AtomicU64,     // the same at the fullest that the next minute is expected to bring
    heard_at: AtomicU64, // own clock
    inner: Mutex<Inner>, // short sections
}

#[derive(Debug, Default)]
struct Inner {
    sums: [f64; SUMS], // untold
    demand: Demand,    // untold
    level: Level,
    heard: Option<Heard>,
}

/// What is known to the state of what is in flight from here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Level {
    /// Nothing was ever told in this life.
    #[default]
    Untold,
    /// It is this.
    Told(u64),
    /// It may be anything.
    Doubtful,
}

#[derive(Debug)]
struct Heard {
    of: Behaviour,
    others: u64,
    l: Ms,  // when it was heard,
    at: Ms, // by the own clock
}

/// What is known of a deployment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Known {
    /// In flight there from here.
    pub own: u64,
    /// As much of it as the others know.
    pub told: u64,
    /// In flight there from other replicas, when last heard.
    pub others: u64,
    /// Of all replicas; nothing if the state was never heard.
    pub sums: [f64; SUMS],
}

impl Watched {
    /// Of the deployment `tag`; nothing is known of it.
    pub fn new(tag: u64) -> Watched {
        let zero = || AtomicU64::new(0);
        let (busy, used, full, heard_at) = (zero(), zero(), zero(), zero());
        Watched { tag, busy, used, full, heard_at, inner: Mutex::default() }
    }

    /// An attempt is in flight there.
    pub fn begin(&self) {
        self.busy.fetch_add(1, Ordering::Relaxed);
    }

    /// It is over.
    pub fn end(&self) {
        self.busy.fetch_sub(1, Ordering::Relaxed);
    }

    /// Attempts in flight from here.
    pub fn busy(&self) -> u64 {
        self.busy.load(Ordering::Relaxed)
    }

    /// Adds to what is to be told.
    pub fn add(&self, sums: &[f64; SUMS], demand: Demand) {
        let mut inner = self.inner.lock();
        inner.sums.iter_mut().zip(sums).for_each(|(sum, more)| *sum += more.max(0.0));
        inner.demand.iter_mut().zip(demand).for_each(|(sum, more)| *sum += more);
    }

    /// Shares in use of the pool that is fullest: now, and at the fullest that the next minute is expected to bring.
    pub fn shares(&self) -> (f64, f64) {
        let share = |of: &AtomicU64| of.load(Ordering::Relaxed) as f64 / 1e6;
        (share(&self.used), share(&self.full))
    }

    /// Takes note of the same.
    pub(super) fn set_shares(&self, used: f64, full: f64) {
        self.used.store((used * 1e6) as u64, Ordering::Relaxed);
        self.full.store((full * 1e6) as u64, Ordering::Relaxed);
    }

    /// What a SYNC is to tell, if anything changed. What is smaller than one stays for the next.
    pub(super) fn due(&self) -> Option<Shown> {
        let (mut inner, busy) = (self.inner.lock(), self.busy());
        let changed = match inner.level {
            Level::Untold => busy > 0,
            Level::Told(told) => told != busy,
            Level::Doubtful => true,
        };
        if !changed && inner.demand == Demand::default() && inner.sums.iter().all(|sum| *sum < 1.0) {
            return None;
        }
        inner.level = Level::Told(busy);
        let whole = |sum: &mut f64| {
            let whole = sum.floor().min((1_u64 << 50) as f64);
            *sum = (*sum - whole).min(1.0);
            whole as u64
        };
        let sums = inner.sums.each_mut().map(whole);
        Some(Shown { tag: self.tag, busy, sums, demand: std::mem::take(&mut inner.demand) })
    }

    /// It was not heard: the level is told again, and what came to sums if that was surely not taken.
    pub(super) fn unsaid(&self, shown: &Shown, surely: bool) {
        self.inner.lock().level = Level::Doubtful;
        if surely {
            self.add(&shown.sums.map(|sum| sum as f64), shown.demand);
        }
    }

    /// Another life tells from now on, or another data set hears: neither knows of the level.
    pub(super) fn anew(&self) {
        let level = &mut self.inner.lock().level;
        *level =
            if matches!(level, Level::Untold | Level::Told(0)) { Level::Untold } else { Level::Doubtful };
    }

    /// All that is known of it to the state at `l`; `own`: of this replica's name.
    pub(super) fn heard(
        &self,
        of: Behaviour,
        own: &Incarnation,
        alive: &BTreeSet<Incarnation>,
        l: Ms,
        at: Ms,
    ) {
        let mut inner = self.inner.lock();
        let level = of.busy.get(&own.name).map_or(0, |(k, busy)| if *k == own.k { *busy } else { 0 });
        if matches!(inner.level, Level::Told(told) if told != level) {
            inner.level = Level::Doubtful; // something of before came late
        }
        let others = of.others(&own.name, alive);
        inner.heard = Some(Heard { of, others, l, at });
    }

    /// These are alive.
    pub(super) fn recount(&self, own: &str, alive: &BTreeSet<Incarnation>) {
        if let Some(heard) = &mut self.inner.lock().heard {
            heard.others = heard.of.others(own, alive);
        }
    }

    /// The state was heard.
    pub(super) fn fresh(&self, now: Ms) {
        self.heard_at.store(now, Ordering::Relaxed);
    }

    /// What is known of it.
    pub fn known(&self, now: Ms) -> Known {
        let (inner, own) = (self.inner.lock(), self.busy());
        let fresh = now.saturating_sub(self.heard_at.load(Ordering::Relaxed)) <= HEARD_FOR;
        let told = if let Level::Told(told) = inner.level { told } else { 0 };
        let mut known = Known { own, told, others: 0, sums: [0.0; SUMS] };
        if let Some(heard) = &inner.heard {
            known.others = if fresh { heard.others } else { 0 };
            let fade = 0.5_f64.powi(heard.faded(now) as i32);
            let all = heard.of.sums.iter().zip(&inner.sums);
            known.sums.iter_mut().zip(all).for_each(|(sum, (all, more))| *sum = *all as f64 * fade + more);
        }
        known
    }

    /// What was asked of it in the last minutes by all replicas, as far as is known: the current one first, and how
    /// much of that has passed, ms.
    pub(super) fn past(&self, now: Ms) -> ([Demand; MINUTES], Ms) {
        let inner = self.inner.lock();
        let Some(heard) = &inner.heard else { return Default::default() };
        let (mut of, l) = (heard.of.clone(), heard.now(now));
        of.advance(l);
        (of.past, l % super::core::behaviour::MINUTE)
    }
}

impl Heard {
    /// Logical time.
    fn now(&self, now: Ms) -> Ms {
        self.l + now.saturating_sub(self.at)
    }

    /// How often sums have halved since they were told.
    fn faded(&self, now: Ms) -> u64 {
        (self.now(now) / super::core::behaviour::MINUTE).saturating_sub(self.of.minute).min(64)
    }
}

#[cfg(test)]
#[path = "watched_tests.rs"]
mod tests;
