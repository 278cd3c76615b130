//! Circuits: which deployments fail so much that calls had better go elsewhere, as all replicas together see them.
//!
//! Replicas tell with each SYNC how attempts ended. When too many failed, in a row or by share, the circuit *opens*:
//! RESERVE passes the deployment by. After a while one call, of whichever replica asks first, is let through as a *probe*;
//! no other while it runs. A probe that fails opens the circuit for as long again, some that succeed close it. Then calls
//! come back little by little (the *ramp*).
//!
//! A circuit is advice, as a pin is: where every candidate of a call is open, a call each second is let through. Refusing
//! them all for half a minute would make an outage of what may have been a hiccup.
//!
//! Replicas tell of failures at once and of what went well five times a second. A row of failures counts only if nobody has
//! told of anything that went well for longer than that: a replica that reaches nobody must not speak for all.
//!
//! What is told is told once: when a SYNC is lost, so are its outcomes. Nothing is counted twice, and a probe of which
//! nobody hears makes room for another when its answer should have begun.
//!
//! An account has two circuits besides, for all its deployments alike ([`Cause`]): one that a refusal of its key opens, and one
//! that spent credit does. Either opens at the first refusal and stays open longer from probe to probe. A call must pass all
//! three; one that is a probe of several has one permit, which each of them knows it by.
//!
//! Where a deployment is *checked* without calls, checks take the place of probes ([`Outcome::checked`]): each puts off the time
//! at which a call would be let through, and as many good ones as of probes close it.

mod outcome;

use std::collections::BTreeMap;

pub use outcome::{CHECK, Ending, Outcome, Trip};

use super::mutant::{Mutant, on};
use super::{Ms, NEXT_SYNC};

/// Slots of the window in which attempts are counted.
pub const SLOTS: usize = 10;
/// Where nothing but open circuits is left, the next probe comes this long after one that failed.
pub const LONE: Ms = 1_000;

/// So long after a probe was due an open circuit is forgotten.
pub const FORGET: Ms = 3_600_000;

/// So many circuits at most are not plainly closed: all of them are looked at in every RESERVE.
pub const MOST: usize = 1_000;

/// Whose circuit it is, and thereby why calls go elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The deployment's: it fails.
    Faults,
    /// The account's: its key is refused.
    Key,
    /// The account's: its credit is spent.
    Quota,
}

/// Circuits that a call must pass: a deployment's tag, and its account's; 0: that one has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gates {
    /// The deployment's tag.
    pub own: u64,
    /// The account's: an even number. It is the tag of [`Cause::Key`], the next of [`Cause::Quota`].
    pub account: u64,
}

impl Gates {
    /// Their tags, each with what it stands for.
    pub fn tags(self) -> impl Iterator<Item = (u64, Cause)> {
        let Gates { own, account } = self;
        let of_account = [Cause::Key, Cause::Quota].map(|cause| (cause.tag(account), cause));
        let of_account = of_account.into_iter().filter(move |_| account > 0);
        [(own, Cause::Faults)].into_iter().filter(move |_| own > 0).chain(of_account)
    }
}

impl Cause {
    /// In metrics, logs and pages.
    pub fn word(self) -> &'static str {
        match self {
            Cause::Faults => "faults",
            Cause::Key => "auth",
            Cause::Quota => "quota",
        }
    }

    /// The tag of an account's circuit; of [`Cause::Faults`] there is none.
    pub fn tag(self, account: u64) -> u64 {
        match self {
            Cause::Faults => 0,
            Cause::Key => account,
            Cause::Quota => account + 1,
        }
    }
}

/// Attempts at one deployment, of all replicas.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Number of the current slot: logical time by its width.
    pub slot: u64,
    /// Width of a slot, ms.
    pub width: Ms,
    /// Failed in a row.
    pub run: u64,
    /// When something was said to have gone well.
    pub well: Ms,
    /// Went well and failed, by slot.
    pub slots: [(u64, u64); SLOTS],
}

/// A circuit that is not plainly closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Circuit {
    /// Calls go elsewhere.
    Open {
        /// A probe is let through from this time on,
        next: Ms,
        /// or, where nothing else is left, from this.
        lone: Ms,
        /// Number of the latest probe, which no other ever has; 0: there was none.
        permit: u64,
        /// Probes that went well in a row.
        good: u64,
        /// When it opened.
        since: Ms,
    },
    /// Closed, and calls are coming back.
    Ramp {
        /// Since when.
        since: Ms,
        /// In so many ms all are back.
        whole: Ms,
    },
}

/// What a circuit says to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// It may go.
    Closed,
    /// It may go if nobody else can take it: others are coming back before it.
    Ramp,
    /// It may go, as a probe.
    Probe,
    /// Not before `next`; if nothing else is left, from `lone` on as a probe.
    Open {
        /// A time.
        next: Ms,
        /// Another, not later.
        lone: Ms,
        /// Whose circuit it is that is open longest.
        cause: Cause,
    },
}

impl Gate {
    /// What both say together.
    fn and(self, other: Gate) -> Gate {
        match (self, other) {
            (Gate::Open { next, lone, cause }, Gate::Open { next: till, lone: alone, cause: too }) => {
                let cause = if till > next { too } else { cause };
                Gate::Open { next: next.max(till), lone: lone.max(alone), cause }
            }
            (Gate::Open { .. }, _) => self,
            (_, Gate::Open { .. }) => other,
            (Gate::Probe, _) | (_, Gate::Probe) => Gate::Probe,
            (Gate::Ramp, _) | (_, Gate::Ramp) => Gate::Ramp,
            (Gate::Closed, Gate::Closed) => Gate::Closed,
        }
    }
}

/// All circuits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Circuits {
    /// Those that are not plainly closed, by the deployment's tag.
    pub known: BTreeMap<u64, Circuit>,
    /// Attempts, by the deployment's tag.
    pub counts: BTreeMap<u64, Counts>,
}

impl Counts {
    /// Brings it to `l` and adds what was told.
    fn add(&mut self, outcome: &Outcome, l: Ms) {
        let width = (outcome.trip.window / SLOTS as Ms).max(1);
        if width != self.width {
            let Counts { run, well, .. } = *self;
            *self = Counts { width, slot: l / width, run, well, ..Counts::default() };
        }
        let slot = l / width;
        for passed in (self.slot + 1..=slot).take(if on(Mutant::OldFailuresCount) { 0 } else { SLOTS }) {
            self.slots[(passed % SLOTS as u64) as usize] = (0, 0);
        }
        // (After more than a window without a word every slot was cleared, whichever they were.)
        self.slot = slot;
        let (ok, failed) = &mut self.slots[(slot % SLOTS as u64) as usize];
        *ok += outcome.ok;
        *failed += outcome.failed;
        self.run = if outcome.ok > 0 { outcome.run } else { self.run + outcome.failed };
        self.well = if outcome.ok > 0 { l } else { self.well };
    }

    /// Is it too much?
    fn trips(&self, trip: &Trip, l: Ms) -> bool {
        let sum = |part: fn(&(u64, u64)) -> u64| self.slots.iter().map(part).sum::<u64>();
        let (ok, failed) = (sum(|slot| slot.0), sum(|slot| slot.1));
        let all = ok + failed;
        let row = self.run >= trip.failures
            && (l.saturating_sub(self.well) >= NEXT_SYNC || on(Mutant::OneSpeaksForAll));
        failed > 0 && (row || all >= trip.min_calls && failed * 1_000_000 >= trip.ratio * all)
    }
}

impl Circuit {
    /// Do calls go elsewhere?
    pub fn is_open(&self) -> bool {
        matches!(self, Circuit::Open { .. })
    }

    /// The same by another clock, which shows `there` when this one's is `here`.
    pub fn moved(self, here: Ms, there: Ms) -> Circuit {
        let at = |time: Ms| (there + time).saturating_sub(here);
        match self {
            Circuit::Open { next, lone, permit, good, since } => {
                Circuit::Open { next: at(next), lone: at(lone), permit, good, since: at(since) }
            }
            Circuit::Ramp { since, whole } => Circuit::Ramp { since: at(since), whole },
        }
    }
}

impl Circuits {
    /// What the circuits say to a call at `l`; `luck` is drawn evenly from 0 to 999,999.
    pub fn gate(&self, of: Gates, l: Ms, luck: u64) -> Gate {
        if self.known.is_empty() {
            return Gate::Closed;
        }
        let gates = of.tags().map(|(tag, cause)| self.gate_of(tag, cause, l, luck));
        gates.fold(Gate::Closed, Gate::and)
    }

    fn gate_of(&self, tag: u64, cause: Cause, l: Ms, luck: u64) -> Gate {
        match self.known.get(&tag) {
            None => Gate::Closed,
            Some(Circuit::Open { next, .. }) if *next <= l => Gate::Probe,
            Some(Circuit::Open { next, lone, .. }) => Gate::Open { next: *next, lone: *lone, cause },
            Some(Circuit::Ramp { since, whole }) => {
                let back = l.saturating_sub(*since);
                if back >= *whole || on(Mutant::RecoversAtOnce) || luck * whole < back * 1_000_000 {
                    Gate::Closed
                } else {
                    Gate::Ramp
                }
            }
        }
    }

    /// A call was let through circuits of which some are open: the number of its permit, 0 if none is. It will be over in
    /// `for_ms`.
    pub fn probe(&mut self, of: Gates, l: Ms, for_ms: Ms) -> u64 {
        let latest = |tag: u64| match self.known.get(&tag) {
            Some(Circuit::Open { permit, .. }) => Some(*permit),
            _ => None,
        };
        let Some(last) = of.tags().filter_map(|(tag, _)| latest(tag)).max() else { return 0 };
        let number = l.max(last + 1); // time does not go back, so none is given twice
        for (tag, _) in of.tags() {
            let Some(Circuit::Open { next, lone, permit, .. }) = self.known.get_mut(&tag) else { continue };
            if !on(Mutant::ProbesPileUp) {
                (*next, *lone) = (l + for_ms, l + LONE);
            }
            *permit = number;
        }
        number
    }

    /// Takes what a replica tells.
    pub fn take(&mut self, outcome: &Outcome, l: Ms) {
        let trip = &outcome.trip;
        for (permit, ending) in &outcome.probes {
            self.probed(outcome.tag, *permit, *ending, trip, l);
        }
        if outcome.ok + outcome.failed == 0 {
            return;
        }
        if let Some(Circuit::Open { next, lone, since, .. }) = self.known.get_mut(&outcome.tag) {
            // Attempts that began before it opened say nothing new; but while the state is away all go without permits.
            let probes = outcome.probes.iter().filter(|(_, ending)| *ending == Ending::Wrong).count() as u64;
            if outcome.failed > probes && *next <= l {
                let open = trip.again(*since, l);
                (*next, *lone) = (l + open, l + open.min(LONE));
            }
            return;
        }
        let counts = self.counts.entry(outcome.tag).or_default();
        counts.add(outcome, l);
        if counts.trips(trip, l) && (self.known.len() < MOST || self.known.contains_key(&outcome.tag)) {
            let (next, lone) = (l + trip.open, l + trip.open.min(LONE));
            self.known.insert(outcome.tag, Circuit::Open { next, lone, permit: 0, good: 0, since: l });
            self.counts.remove(&outcome.tag); // what comes after it closes is judged anew
        }
    }

    /// (A probe that takes long may be given up, for its replica may have died, and end well after all.)
    fn probed(&mut self, tag: u64, of: u64, ending: Ending, trip: &Trip, l: Ms) {
        let Some(Circuit::Open { next, lone, permit, good, since }) = self.known.get_mut(&tag) else {
            return;
        };
        if of != CHECK && (of > *permit || of < *since) {
            return; // of another time when it was open
        }
        let open = trip.again(*since, l);
        if of == CHECK && ending != Ending::Unknown && !on(Mutant::CheckedAndProbed) {
            *next = (*next).max(l + open); // while it is checked no call need be tried
        }
        let soon = l + trip.open.min(LONE);
        let again = match ending {
            Ending::Well => (l, l),
            Ending::Unknown => (soon, soon),
            Ending::Wrong => (l + open, soon),
        };
        if of == *permit && of != CHECK || on(Mutant::AnyPermitCounts) {
            (*next, *lone) = again; // else another one runs
        }
        match ending {
            Ending::Unknown => {}
            Ending::Wrong => *good = 0,
            Ending::Well if *good + 1 < trip.successes => *good += 1,
            Ending::Well => _ = self.known.insert(tag, Circuit::Ramp { since: l, whole: trip.ramp }),
        }
    }

    /// Forgets circuits that are plainly closed again, and open ones of which no call was let through for long: their deployments
    /// are no more.
    pub fn settle(&mut self, l: Ms) {
        self.known.retain(|_, circuit| match circuit {
            Circuit::Open { next, .. } => l < *next + FORGET,
            Circuit::Ramp { since, whole } => l < *since + *whole,
        });
    }
}
