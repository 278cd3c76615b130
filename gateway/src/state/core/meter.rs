//! One limit: a sliding window of buckets with a hold, or a gauge.
//!
//! A window of `buckets * width` ms keeps `buckets + 2` buckets: the current one, `buckets` before it, and one
//! guard. Any real window meets at most `buckets + 1` consecutive ones; the guard pays for one forward step of the
//! clock by up to one bucket. A step of up to [`super::GAP`] is believed, so a window shorter than a minute may see
//! `1 + step / window` of its limit after one. Smooth use reaches `buckets / (buckets + 2)` of the limit: 96.8 % with 60.

use super::learned::Bound;
use super::mutant::{Mutant, on};
use super::{Ms, NEXT_SYNC, RAISE_AFTER};

/// Waiting time named when only the end of other calls can make room: nobody knows when that is.
pub const UNKNOWN_WAIT: Ms = 1_000;
/// Pacing counts in ticks of 2^-20 ms: fine enough for a million calls per ms, and 31 days of them stay below 2^53.
pub const TICKS: u64 = 1 << 20;
/// Shares are counted in millionths.
pub const WHOLE: u64 = 1_000_000;

/// How a meter counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Units per sliding window.
    Window,
    /// Units at once.
    Gauge,
}

/// When a call's charge on a meter is known to have happened: with the answer's head, or at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Requests, and tokens that the provider charges on arrival.
    Head,
    /// Everything else.
    End,
}

/// What is fixed about a meter for one pool key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Window or gauge.
    pub mode: Mode,
    /// When holds of a dead replica are posted.
    pub stage: Stage,
    /// Width of a bucket, ms; 1 for a gauge.
    pub width: Ms,
    /// Buckets that make a window; 0 for a gauge.
    pub buckets: u64,
}

impl Shape {
    /// A window of `per` ms in at most 60 buckets; rounded up, which is safe.
    pub fn window(per: Ms, stage: Stage) -> Shape {
        let width = per.div_ceil(60).max(1);
        Shape { mode: Mode::Window, stage, width, buckets: per.div_ceil(width) }
    }

    /// A gauge.
    pub fn gauge() -> Shape {
        Shape { mode: Mode::Gauge, stage: Stage::End, width: 1, buckets: 0 }
    }

    /// Buckets kept.
    pub fn slots(&self) -> u64 {
        match (self.mode, on(Mutant::NoGuardBucket), on(Mutant::NoExtraBucket)) {
            (Mode::Gauge, _, _) => 0,
            (_, _, true) => self.buckets,
            (_, true, _) => self.buckets + 1,
            _ => self.buckets + 2,
        }
    }

    /// The window in ms.
    pub fn span(&self) -> Ms {
        self.width * self.buckets
    }
}

/// A meter's record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meter {
    /// Fixed.
    pub shape: Shape,
    /// Lowest cap declared lately.
    pub cap: u64,
    /// A higher declaration counts after this time.
    pub cap_until: Ms,
    /// Index of the current bucket (time / width).
    pub last: u64,
    /// Posted in all kept buckets, the current one included.
    pub sum: u64,
    /// Posted in the current bucket.
    pub cur: u64,
    /// Granted and not returned.
    pub hold: u64,
    /// Posted ever.
    pub posted: u64,
    /// How long the pacing bucket takes to drain from `level_at` on, in [`TICKS`].
    pub level: u64,
    /// Time of `level`.
    pub level_at: Ms,
    /// Closed buckets: bucket b at index b % slots; the current one's slot is 0.
    pub ring: Vec<u64>,
    /// What was used before data was lost ([`super::learn`]), bucket b at index b % slots; may be empty.
    pub image: Vec<u64>,
    /// Its sum.
    pub image_sum: u64,
    /// Posted ever, as of the image; part of `posted`.
    pub image_posted: u64,
}

/// Whether a draw fits a meter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// It does; the share of the cap in use with it, millionths.
    Yes(u64),
    /// Not before `at`; exact unless only the end of other calls makes room.
    Wait {
        /// Time.
        at: Ms,
        /// Known, not guessed.
        exact: bool,
    },
    /// It is larger than the cap.
    Never,
}

impl Meter {
    /// A fresh meter at `l`.
    pub fn new(shape: Shape, cap: u64, l: Ms) -> Meter {
        let ring = vec![0; shape.slots() as usize];
        Meter {
            shape,
            cap,
            cap_until: l + RAISE_AFTER,
            last: l / shape.width,
            sum: 0,
            cur: 0,
            hold: 0,
            posted: 0,
            level: 0,
            level_at: l,
            ring,
            image: Vec::new(),
            image_sum: 0,
            image_posted: 0,
        }
    }

    /// Lowers the cap at once; raises it when the lower one was not declared for [`RAISE_AFTER`] (or half of it,
    /// since a declaration is noted only when the last note is that old).
    pub fn declare(&mut self, cap: u64, l: Ms) {
        if cap < self.cap || (cap > self.cap && l > self.cap_until) || on(Mutant::CapFromCaller) {
            self.cap = cap;
            self.cap_until = l + RAISE_AFTER;
        } else if cap == self.cap && self.cap_until < l + RAISE_AFTER / 2 {
            self.cap_until = l + RAISE_AFTER; // renewed rarely: most calls then write nothing
        }
    }

    /// Brings the window to time `l`.
    pub fn advance(&mut self, l: Ms) {
        let now = l / self.shape.width;
        let slots = self.shape.slots();
        if slots == 0 || now <= self.last {
            return;
        }
        self.ring[(self.last % slots) as usize] = self.cur;
        self.cur = 0;
        for bucket in self.last + 1..=now.min(self.last + slots) {
            let slot = &mut self.ring[(bucket % slots) as usize];
            self.sum -= *slot;
            *slot = 0;
            if let Some(slot) = self.image.get_mut((bucket % slots) as usize) {
                self.image_sum -= std::mem::take(slot);
            }
        }
        if self.image_sum == 0 {
            self.image = Vec::new();
        }
        self.last = now;
    }

    /// Counts `amount` as used now. The meter must have been advanced.
    pub fn post(&mut self, amount: u64) {
        self.posted += amount;
        if self.shape.mode == Mode::Window {
            self.cur += amount;
            self.sum += amount;
        }
    }

    /// Would `amount` more fit at `l`, within `bound` and up to `most` of that? The meter must have been advanced.
    pub fn fit(&self, amount: u64, bound: Bound, most: u64, pace: Ms, l: Ms) -> Fit {
        if amount > self.cap && !on(Mutant::TooBigWaits) {
            return Fit::Never;
        }
        let used = self.used() + amount;
        let room = if used > most { Some(self.room_within(bound, most, used, l)) } else { None };
        let paced = self.paced_at(amount, pace, l);
        match room {
            Some((at, exact)) => Fit::Wait { at: at.max(paced), exact },
            None if paced > l => Fit::Wait { at: paced, exact: true },
            None => Fit::Yes(share(used, bound.cap)),
        }
    }

    /// Window, and the image of one that was lost: what is used for good, and no hold that may be given back.
    pub fn spent(&self) -> u64 {
        self.sum + self.image_sum
    }

    /// That, and hold.
    pub fn used(&self) -> u64 {
        let posted = self.spent();
        if on(Mutant::HoldNotCounted) { posted } else { posted + self.hold }
    }

    /// Adds `amount` to the hold and to the pacing bucket.
    pub fn take(&mut self, amount: u64, pace: Ms, l: Ms) {
        self.hold += amount;
        if pace > 0 {
            self.level = self.drained(l) + self.cost(amount);
            self.level_at = l;
        }
    }

    /// When so much will be allowed, the holds staying as they are, and whether that is known: what was learned may change.
    fn room_within(&self, bound: Bound, most: u64, used: u64, l: Ms) -> (Ms, bool) {
        let (at, exact) = self.room_at(used - most, l);
        let allowed = if most < bound.cap { None } else { bound.allows(used, self.cap, l) };
        (allowed.map_or(at, |allowed| at.min(allowed)), exact && bound.cap == self.cap)
    }

    /// When `excess` units will have left the window, the holds staying as they are.
    fn room_at(&self, excess: u64, l: Ms) -> (Ms, bool) {
        let slots = self.shape.slots();
        let mut left = 0;
        for age in (0..slots).rev().filter(|age| *age <= self.last) {
            let bucket = self.last - age;
            let at = (bucket % slots) as usize;
            left += if age == 0 { self.cur } else { self.ring[at] };
            left += self.image.get(at).copied().unwrap_or(0);
            if left >= excess {
                let slots = if on(Mutant::RetryTooEarly) { slots - 1 } else { slots };
                return ((bucket + slots) * self.shape.width, true);
            }
        }
        // Holds stand in the way. Those that will be posted in full leave with the bucket that they are posted in: that of the
        // next SYNC, if their answers have begun by then; others give back what they do not use, nobody knows when.
        match (self.shape.mode, self.shape.stage) {
            (Mode::Window, Stage::Head) => {
                (((l + NEXT_SYNC) / self.shape.width + slots) * self.shape.width, false)
            }
            (Mode::Window, Stage::End) | (Mode::Gauge, _) => (l + UNKNOWN_WAIT, false),
        }
    }

    /// When the pacing bucket (burst `cap * pace / span`, rate `cap / span`) lets `amount` in. A draw larger than
    /// the burst waits for an empty bucket.
    fn paced_at(&self, amount: u64, pace: Ms, l: Ms) -> Ms {
        if pace == 0 || on(Mutant::PaceIgnored) {
            return l;
        }
        let highest = (pace * TICKS).saturating_sub(self.cost(amount));
        l + self.drained(l).saturating_sub(highest).div_ceil(TICKS)
    }

    fn drained(&self, l: Ms) -> u64 {
        self.level.saturating_sub((l - self.level_at) * TICKS)
    }

    /// The time that `amount` takes at the rate of the cap, in [`TICKS`], rounded up: `amount * span / cap`. In
    /// doubles, as the scripts compute it, for the product may pass 2^53; what they lose is less than a tick.
    fn cost(&self, amount: u64) -> u64 {
        (amount as f64 * (self.shape.span() * TICKS) as f64 / self.cap as f64).ceil() as u64
    }
}

/// `used / cap` in millionths, rounded down, as the scripts compute it (in doubles).
pub fn share(used: u64, cap: u64) -> u64 {
    (used as f64 * WHOLE as f64 / cap as f64).floor() as u64
}
