//! A look at a candidate: does it fit, what says its circuit; and what is left where none can be taken.

use super::super::Ms;
use super::super::circuit::Gate;
use super::super::meter::WHOLE;
use super::super::mutant::{Mutant, on};
use super::Verdict;

/// How a set of draws fits: the worst of its meters.
#[derive(Clone, Copy)]
pub(super) enum Fits {
    Yes(u64),
    Wait(Wait),
    Never { pool: usize, meter: usize },
}

/// Until when something must wait, whether that is known, and for which pool; or that it is for a circuit.
#[derive(Clone, Copy)]
pub(super) struct Wait {
    pub(super) at: Ms,
    pub(super) exact: bool,
    pub(super) pool: usize,
    pub(super) open: bool,
}

impl Wait {
    /// The later one; on a tie the other.
    pub(super) fn max(self, other: Wait) -> Wait {
        if self.at > other.at { self } else { other }
    }
}

/// A look at one candidate.
#[derive(Clone, Copy)]
pub(super) struct Look {
    pub(super) fits: Fits,
    pub(super) gate: Gate,
}

/// How much of a cap a call may use.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    /// Millionths.
    pub(super) most: u64,
    /// What is above this is left to others, millionths.
    pub(super) yields: u64,
}

impl Bounds {
    pub(super) const NONE: Bounds = Bounds { most: WHOLE, yields: WHOLE };
}

/// What the candidates have to offer.
pub(super) enum Best {
    Fits { index: usize, share: u64 },
    Waits(Wait),
    Never { pool: usize, meter: usize },
    NoCandidate,
}

impl Look {
    pub(super) fn verdict(self, l: Ms) -> Verdict {
        match (self.fits, self.gate) {
            (Fits::Never { pool, .. }, _) => Verdict::Never(pool),
            (_, Gate::Open { next, cause, .. }) => Verdict::Open(next - l, cause),
            (Fits::Wait(wait), _) => Verdict::Waits(wait.at - l, wait.pool),
            (Fits::Yes(share), Gate::Ramp) => Verdict::Recovers(share),
            (Fits::Yes(share), Gate::Closed | Gate::Probe) => Verdict::Fits(share),
        }
    }

    /// It fits, and may be taken before others: the share in use.
    pub(super) fn share(self) -> Option<u64> {
        match (self.fits, self.gate) {
            (Fits::Yes(share), Gate::Closed | Gate::Probe) => Some(share),
            _ => None,
        }
    }
}

/// What is left when no candidate fits, or none that may be taken before others.
#[derive(Default)]
pub(super) struct Left {
    /// One whose calls are coming back: its share and index, the least used.
    ramp: Option<(u64, usize)>,
    /// One whose circuit is open, and which may be tried if nothing else is left.
    lone: Option<(u64, usize)>,
    /// The first to have room.
    wait: Option<Wait>,
    /// Of some it is only guessed when they have: it may be before the first.
    guessed: bool,
    /// The first circuit to let a call through,
    open: Option<Ms>,
    /// or if nothing else is left.
    soonest: Option<Ms>,
    never: Option<(usize, usize)>,
}

impl Left {
    pub(super) fn note(&mut self, index: usize, look: Look, l: Ms) {
        let earlier = |known: Option<Ms>, at: Ms| Some(known.map_or(at, |known| known.min(at)));
        match (look.fits, look.gate) {
            (Fits::Never { pool, meter }, _) => self.never = self.never.or(Some((pool, meter))),
            (fits, Gate::Open { next, lone, .. }) => {
                let room = if let Fits::Wait(wait) = fits { wait.at } else { l };
                self.open = earlier(self.open, next.max(room));
                self.soonest = earlier(self.soonest, lone.max(room));
                if let (Fits::Yes(share), true) = (fits, lone <= l && !on(Mutant::LoneNeverTried)) {
                    self.lone = self.lone.or(Some((share, index)));
                }
            }
            (Fits::Wait(own), _) => {
                self.guessed |= !own.exact;
                self.wait = self.wait.filter(|first| first.at <= own.at).or(Some(own));
            }
            (Fits::Yes(share), Gate::Ramp) if self.ramp.is_none_or(|(least, _)| share < least) => {
                self.ramp = Some((share, index));
            }
            (Fits::Yes(_), _) => {}
        }
    }

    pub(super) fn best(self) -> Best {
        let circuit = |at| Wait { at, exact: false, pool: 0, open: true };
        match self {
            Left { ramp: Some((share, index)), .. } => Best::Fits { index, share },
            Left { wait: Some(wait), open, guessed, .. } => {
                let wait = Wait { exact: wait.exact && !guessed, ..wait };
                Best::Waits(open.filter(|at| *at < wait.at).map_or(wait, circuit))
            }
            Left { lone: Some((share, index)), .. } => Best::Fits { index, share },
            Left { soonest: Some(at), .. } => Best::Waits(circuit(at)),
            Left { never: Some((pool, meter)), .. } => Best::Never { pool, meter },
            _ => Best::NoCandidate,
        }
    }
}
