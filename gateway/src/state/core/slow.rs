//! Slow start: how fast the use of a pool may grow that was hardly used before.
//!
//! Providers refuse growth that is too fast, however much of a limit is free (acceleration limits), and servers of one's own
//! have caches to fill. So where it is wanted a pool may be used up to a *top* below its caps, at first a share of them,
//! and in each period the top rises by a factor if at least half of it is in use. While less is, it falls by the same
//! factor, so who was hot lately takes more than who was cold; it never falls below what is in use, times the factor. What
//! is in use is what the meter counts: the window and the holds, whoever drew them. So after a loss of data, when that is known
//! again, the top is too, and nothing of it has to be told.
//!
//! One call is always let in where nothing is in use, however large it is: the top rises from there. When the next period
//! brings room is a guess, for others wait as well.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::learned::Bound;
use super::meter::{Meter, Mode};
use super::{Ms, PoolDecl};

/// Windows that are longer fill over hours: to begin slowly means nothing there.
pub const LONGEST: Ms = 60_000;
/// A pool that nobody asked about for so many periods is as cold as it can be.
const PERIODS: Ms = 64;

/// How slowly a pool starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SlowStart {
    /// Share of each cap that may be used at once, per mille; 1 to 1000.
    pub from: u64,
    /// By so much the top rises in a period, per mille; 1001 to 4000.
    pub factor: u64,
    /// A period, ms.
    pub per: Ms,
}

/// How far a pool has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// When the period began.
    pub since: Ms,
    /// How far each meter may be used in it.
    pub tops: Vec<u64>,
}

/// By pool key.
pub type Starts = BTreeMap<Arc<str>, Start>;

impl SlowStart {
    /// How far the meters may be used at `l`, given how far they might before. They must have been advanced.
    pub fn at(self, before: Option<Start>, meters: &[Meter], l: Ms) -> Start {
        let passed = before.as_ref().map_or(0, |start| (l - start.since) / self.per);
        match before {
            Some(start) if passed == 0 => start,
            Some(Start { since, tops }) => {
                let top = |(meter, top): (&Meter, u64)| self.top(meter, Some((top, passed)));
                Start { since: since + passed * self.per, tops: meters.iter().zip(tops).map(top).collect() }
            }
            None => Start { since: l, tops: meters.iter().map(|meter| self.top(meter, None)).collect() },
        }
    }

    /// How far a meter may be used, given its top so many periods ago.
    fn top(self, meter: &Meter, before: Option<(u64, u64)>) -> u64 {
        if meter.shape.mode == Mode::Window && meter.shape.span() > LONGEST {
            return meter.cap;
        }
        let (cap, used) = (meter.cap, meter.used().min(meter.cap));
        let rises = |amount: u64| (amount * self.factor).div_ceil(1_000);
        let falls = |top: u64| top * 1_000 / self.factor;
        let top = before.map_or(0, |(top, passed)| {
            let top = (1..passed.min(PERIODS)).fold(top.min(cap), |top, _| falls(top));
            if 2 * used >= top { rises(top) } else { falls(top) }
        });
        let first = (cap * self.from).div_ceil(1_000).max(1);
        top.max(rises(used)).max(first).min(cap)
    }

    /// How far the meter `at` may be used by a call that draws so much: as far as its start has come.
    pub fn within(self, start: &Start, at: usize, amount: u64, bound: Bound) -> Bound {
        match start.tops.get(at).map(|top| amount.max(*top)) {
            Some(top) if top < bound.cap => {
                Bound { cap: top, said: None, next: Some(start.since + self.per) }
            }
            _ => bound,
        }
    }
}

/// The pool's own, if it has meters.
pub(super) fn of(decl: &PoolDecl) -> Option<SlowStart> {
    decl.slow_start.filter(|_| !decl.meters.is_empty())
}
