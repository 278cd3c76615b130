//! How deployments behave, as all replicas together have seen it, so that a replica that has just begun knows what the others
//! learnt, and each knows how much the others have in flight where.
//!
//! A replica tells with a SYNC, of each deployment that changed, what came to its sums since it told last, and how much
//! it has in flight there. Sums are additive, so replicas need not agree on anything; what they mean is the replicas'
//! business ([`crate::route::predict`]), but all of them halve every minute: what is old fades. Besides there are, by minutes, the calls and tokens
//! that went there.
//!
//! What is in flight is told as a level and kept by life: it counts as long as its life does, so that what a
//! dead replica had in flight goes with it. A level may be overtaken by an older one that comes late; its teller sees
//! that in the answer and tells again.
//!
//! All of it is advice. What is told is told once: if a SYNC is lost, so is what it added. With the data set all is lost, and
//! replicas go by what they saw themselves.

use std::collections::{BTreeMap, BTreeSet};

use super::mutant::{Mutant, on};
use super::{Incarnation, Life, Ms};

/// How many sums are kept of a deployment.
pub const SUMS: usize = 22;
/// How many minutes are remembered, the current one included.
pub const MINUTES: usize = 8;
/// Of logical time.
pub const MINUTE: Ms = 60_000;
/// A sum stays below: sums of two stay below 2^53.
pub const MOST_SUM: u64 = 1 << 51;
/// Deployments that one answer tells of, if not more changed within one millisecond.
pub const TOLD_AT_ONCE: usize = 256;
/// Deployments that are known at most.
pub const MOST: usize = 4_096;
/// One of which nothing was told for so long is forgotten.
pub const FORGET: Ms = 3_600_000;

/// Calls, input tokens and output tokens.
pub type Demand = [u64; 3];

/// What a SYNC says of behaviour, and what its sender wants to hear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Telling {
    /// The sender has heard of what changed before this time.
    pub since: Ms,
    /// Of deployments that changed.
    pub shown: Vec<Shown>,
}

/// What a replica tells of one deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The deployment's.
    pub tag: u64,
    /// In flight there, of the teller.
    pub busy: u64,
    /// What came to each sum.
    pub sums: [u64; SUMS],
    /// What was asked of it.
    pub demand: Demand,
}

/// How one deployment behaves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Behaviour {
    /// Number of the minute that it was brought to.
    pub minute: u64,
    /// When something was told last.
    pub changed: Ms,
    /// They halve every minute.
    pub sums: [u64; SUMS],
    /// What was asked of it in this minute and in those before.
    pub past: [Demand; MINUTES],
    /// In flight there, by the teller's name and the number of its life.
    pub busy: BTreeMap<String, (u64, u64)>,
}

/// Of all deployments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Behaviours {
    /// By the deployment's tag.
    pub known: BTreeMap<u64, Behaviour>,
}

impl Behaviour {
    /// Brings it to the minute of `l`.
    pub fn advance(&mut self, l: Ms) {
        let passed = (l / MINUTE).saturating_sub(self.minute);
        if passed == 0 {
            return;
        }
        self.minute += passed;
        let fade = |sum: &mut u64| *sum = sum.checked_shr(passed.min(64) as u32).unwrap_or(0);
        self.sums.iter_mut().for_each(fade);
        let kept = MINUTES.saturating_sub(passed as usize);
        self.past.copy_within(..kept, MINUTES - kept);
        self.past[..MINUTES - kept].fill(Demand::default());
    }

    fn take(&mut self, shown: &Shown, teller: &Incarnation, l: Ms, lives: &BTreeMap<Incarnation, Life>) {
        self.advance(l);
        self.changed = l;
        let now = self.past[0].iter_mut().zip(shown.demand);
        for (sum, more) in self.sums.iter_mut().zip(shown.sums).chain(now) {
            *sum = (*sum + more).min(MOST_SUM);
        }
        let lives = |name: &String, k: u64| lives.contains_key(&Incarnation { name: name.clone(), k });
        let before = self.busy.get(&teller.name).map_or(0, |(_, busy)| *busy);
        self.busy.retain(|name, (k, _)| *name != teller.name && lives(name, *k));
        let busy = if on(Mutant::LevelsPileUp) { before + shown.busy } else { shown.busy };
        if busy > 0 {
            self.busy.insert(teller.name.clone(), (teller.k, busy));
        }
    }

    /// In flight there from those `alive` that are not called `own`.
    pub fn others(&self, own: &str, alive: &BTreeSet<Incarnation>) -> u64 {
        let counts = |name: &str, k: u64| {
            let bearer = Incarnation { name: name.to_owned(), k };
            name != own && (alive.contains(&bearer) || on(Mutant::DeadStayBusy))
        };
        self.busy.iter().filter(|(name, (k, _))| counts(name, *k)).map(|(_, (_, busy))| busy).sum()
    }
}

impl Behaviours {
    /// Takes what a replica tells; what it has not heard of yet, by tags.
    pub fn take(
        &mut self,
        telling: &Telling,
        teller: &Incarnation,
        l: Ms,
        lives: &BTreeMap<Incarnation, Life>,
    ) -> Vec<(u64, Behaviour)> {
        for shown in &telling.shown {
            if self.known.len() < MOST || self.known.contains_key(&shown.tag) {
                self.known.entry(shown.tag).or_default().take(shown, teller, l, lives);
            }
        }
        self.known.retain(|_, of| l <= of.changed + FORGET);
        self.news(telling.since)
    }

    /// What changed since then. If it is much, the longest unchanged of it.
    fn news(&self, since: Ms) -> Vec<(u64, Behaviour)> {
        let mut times: Vec<Ms> =
            self.known.values().map(|of| of.changed).filter(|changed| *changed >= since).collect();
        times.sort_unstable();
        let last = times.get(TOLD_AT_ONCE - 1).copied().unwrap_or(Ms::MAX);
        let is_told = |of: &Behaviour| of.changed >= since && of.changed <= last;
        self.known.iter().filter(|(_, of)| is_told(of)).map(|(tag, of)| (*tag, of.clone())).collect()
    }
}

/// Up to which time who was told this at `l` has heard of all that changed.
pub fn heard_up_to(told: &[(u64, Behaviour)], l: Ms) -> Ms {
    let last = told.iter().map(|(_, of)| of.changed).max().unwrap_or(l);
    if told.len() >= TOLD_AT_ONCE { last } else { l }
}
