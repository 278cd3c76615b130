//! What replicas tell of the attempts at a deployment, and by what they judge.

use crate::state::core::Ms;
use crate::state::core::mutant::{Mutant, on};

/// When a circuit opens and closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trip {
    /// So many attempts in a row failed.
    pub failures: u64,
    /// Or this share of those in the window, millionths,
    pub ratio: u64,
    /// of so many at least.
    pub min_calls: u64,
    /// How long attempts are counted, ms; at least [`SLOTS`](super::SLOTS).
    pub window: Ms,
    /// How long it stays open, ms.
    pub open: Ms,
    /// Probes in a row that must succeed.
    pub successes: u64,
    /// In so many ms all calls are back.
    pub ramp: Ms,
    /// Opened again and again it stays open as long as it has been already, but no longer than this, ms; 0: as long as ever.
    pub most: Ms,
}

/// Stands where the permit of a probe stands, for a check.
pub const CHECK: u64 = 0;

/// How the attempts at one deployment ended since the last SYNC of a replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The deployment's tag.
    pub tag: u64,
    /// Attempts that went well.
    pub ok: u64,
    /// Attempts that failed by the deployment's fault.
    pub failed: u64,
    /// How many failed behind the last that went well.
    pub run: u64,
    /// What became of probes: their permits; of checks: [`CHECK`].
    pub probes: Vec<(u64, Ending)>,
    /// By what the replica judges.
    pub trip: Trip,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// That says nothing of the deployment: the client left, say, or nothing was sent.
    Unknown,
    /// It went well.
    Well,
    /// It failed, and the deployment is to blame.
    Wrong,
}

impl Outcome {
    /// Of nothing yet.
    pub fn none(tag: u64, trip: Trip) -> Outcome {
        Outcome { tag, ok: 0, failed: 0, run: 0, probes: Vec::new(), trip }
    }

    /// This, which was not heard, and what came `later`.
    pub fn and(mut self, later: &Outcome) -> Outcome {
        self.run = if later.ok > 0 { later.run } else { self.run + later.run };
        // How long something is left alone says who failed; of two, who says longer: one of them knows it from its provider.
        let says_longer = later.failed > 0 && (self.failed == 0 || later.trip.open >= self.trip.open);
        if says_longer || self.failed + later.failed == 0 {
            self.trip = later.trip;
        }
        (self.ok, self.failed) = (self.ok + later.ok, self.failed + later.failed);
        self.probes.extend_from_slice(&later.probes);
        self
    }

    /// Another attempt ended; `permit`: of a probe, else 0.
    pub fn add(&mut self, ending: Ending, permit: u64) {
        match ending {
            Ending::Unknown => {}
            Ending::Well => (self.ok, self.run) = (self.ok + 1, 0),
            Ending::Wrong => (self.failed, self.run) = (self.failed + 1, self.run + 1),
        }
        if permit > 0 {
            self.probes.push((permit, ending));
        }
    }

    /// A check of it ended. One that went badly counts as an attempt does. One that went well does only if `counts`: a provider
    /// may list its models and fail every call.
    pub fn checked(&mut self, ending: Ending, counts: bool) {
        match ending {
            Ending::Wrong => self.add(ending, 0),
            Ending::Well if counts => self.add(ending, 0),
            Ending::Well | Ending::Unknown => {}
        }
        self.probes.push((CHECK, ending));
    }
}

impl Trip {
    /// How long a circuit that has been open since then stays open from `l` on.
    pub(super) fn again(&self, since: Ms, l: Ms) -> Ms {
        if on(Mutant::NeverLonger) {
            self.open
        } else {
            self.open.max(self.most.min(l.saturating_sub(since)))
        }
    }
}
