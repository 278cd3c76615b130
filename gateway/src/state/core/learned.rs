//! What is learned of a provider's limits: caps below the declared ones, which end by themselves.
//!
//! Two things teach. *A provider says what it has left*, in the headers of its answers. What it says is of the past, and
//! our own calls are part of it, those in flight as well. So it is compared with what the cluster itself counted when
//! that call was granted: `counted then + left` is how far our count may go before the provider has nothing left ([`Said`]).
//! What was granted since counts from there on, whoever asked and whether or not the provider has seen it; nothing is
//! counted twice, and calls that change their replica or their order change little. Of two sayings that of the later grant
//! wins, for calls are granted in about the order in which they arrive.
//!
//! Until somebody says another thing the cap rises back to the declared one over the time in which the provider forgets:
//! with room for one call more, one goes out and brings news. So a pool that nothing comes back from is neither shut for
//! long nor opened at once. It rises with the square of the time: what was said while answers are on their way is old, and
//! must not count for less because of it.
//!
//! *A provider refuses though we count room* ([`State::struck`]): additive increase, multiplicative decrease. All caps of the pool fall
//! to nine tenths, not below what was used then, and come back by a hundredth of the declared limit a minute.
//!
//! Either only lowers: nothing is ever granted that our own count would not grant. It is advice, kept beside the pools and
//! lost with the data; the next answers teach it again.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::meter::{Meter, WHOLE, share};
use super::mutant::{Mutant, on};
use super::{Ms, State};

/// What was said is forgotten after this time, whatever the provider says of its reset.
pub const LONGEST: Ms = 120_000;
/// A cap that fell does not fall again for this time: calls that were in flight together are refused together.
pub const AGAIN: Ms = 1_000;
/// No refusal lowers a cap below this share (`LOWEST` in the script), millionths: who refuses all calls fails, and rests and circuits are for that.
pub const LEAST: u64 = 250_000;
/// A fallen cap recovers a millionth in so many ms: a hundredth a minute.
pub const RECOVERY: Ms = 6;
/// With more of a cap than this in use, per mille, a refusal is no surprise.
const FULL: u64 = 950;

/// How far a meter's own count may go, by what its provider said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// What was counted when the call was granted that brought this, and what was left.
    pub cap: u64,
    /// When it was granted.
    pub at: Ms,
    /// By then all of it is forgotten; 0: nothing was said.
    pub for_ms: Ms,
}

/// Of one pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Learned {
    /// What refusals left of every cap, at `share_at`; millionths.
    pub share: u64,
    /// When it fell.
    pub share_at: Ms,
    /// Per meter.
    pub said: Vec<Said>,
}

/// Of all pools.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lessons {
    /// By pool key.
    pub pools: BTreeMap<Arc<str>, Learned>,
    /// Nothing of it lowers anything after this time.
    pub until: Ms,
}

/// How far a meter may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// The cap in force, or less.
    pub cap: u64,
    /// What was said, if that is what lowers it.
    pub said: Option<Said>,
    /// When more is let in, if it is lowered because the pool starts slowly.
    pub next: Option<Ms>,
}

impl Bound {
    /// So far, whatever is said.
    pub fn of(cap: u64) -> Bound {
        Bound { cap, said: None, next: None }
    }

    /// When so much will be allowed again of a meter with this cap, if that is a matter of time.
    pub fn allows(&self, used: u64, cap: u64, l: Ms) -> Option<Ms> {
        if used > cap {
            return None;
        }
        if let Some(next) = self.next {
            return Some(next.max(l + 1));
        }
        let said = self.said?;
        let part = (used - said.cap) as f64 / (cap - said.cap) as f64;
        Some((said.at + (said.for_ms as f64 * part.sqrt()).ceil() as u64).max(l + 1))
    }
}

impl Learned {
    fn new(meters: usize) -> Learned {
        Learned { share: WHOLE, share_at: 0, said: vec![Said::default(); meters] }
    }

    /// What refusals leave of every cap; millionths.
    pub fn share(&self, l: Ms) -> u64 {
        WHOLE.min(self.share + l.saturating_sub(self.share_at) / RECOVERY)
    }

    /// How far the meter `at` with this cap may be used.
    pub fn bound(&self, at: usize, cap: u64, l: Ms) -> Bound {
        // In doubles the product may come out above the cap.
        let whole = ((cap as f64 * self.share(l) as f64 / WHOLE as f64).ceil() as u64).clamp(1, cap.max(1));
        let passed = |said: &Said| l.saturating_sub(said.at);
        let lowers = |said: &&Said| said.cap < cap && passed(said) < said.for_ms;
        let Some(said) = self.said.get(at).filter(lowers) else { return Bound::of(whole) };
        let (passed, whole_time) = (passed(said) as f64, said.for_ms as f64);
        let back = (cap - said.cap) as f64 * (passed * passed) / (whole_time * whole_time);
        let back = said.cap + back.floor() as u64;
        if back < whole { Bound { said: Some(*said), ..Bound::of(back) } } else { Bound::of(whole) }
    }
}

impl Lessons {
    /// Of a pool, if anything may be in force.
    pub fn of(&self, pool: &str, l: Ms) -> Option<&Learned> {
        if l >= self.until || on(Mutant::NothingLearned) { None } else { self.pools.get(pool) }
    }

    /// The provider of a pool said this of its meters, whose caps are these; the later word counts, of two at once the
    /// higher: the other's call was overtaken. Also one that lowers nothing, for a lower one of before may still come.
    pub(super) fn heed(&mut self, pool: &Arc<str>, words: &[Said], caps: impl Iterator<Item = u64>, l: Ms) {
        let before = self.pools.get(pool);
        let mut said = before.map_or_else(|| vec![Said::default(); words.len()], |known| known.said.clone());
        let mut is_news = false;
        for ((known, word), cap) in
            said.iter_mut().zip(words).zip(caps).filter(|((_, word), _)| word.for_ms > 0)
        {
            let word = Said { at: word.at.min(l), for_ms: word.for_ms.min(LONGEST), ..*word };
            if word.at > known.at || (word.at == known.at && word.cap > known.cap) {
                *known = word;
                is_news = true;
                if word.cap < cap {
                    self.until = self.until.max(word.at + word.for_ms);
                }
            }
        }
        if is_news {
            let learned = self.pools.entry(pool.clone()).or_insert_with(|| Learned::new(words.len()));
            learned.said = said;
        }
    }
}

impl State {
    /// The provider of a pool refused a call. If it had no reason to, as far as we count, every cap falls.
    pub(super) fn struck(&mut self, key: &Arc<str>) {
        let (l, until) = (self.clock.l, self.learned.until);
        let Some(pool) = self.pools.get_mut(key).filter(|pool| !pool.meters.is_empty()) else { return };
        let pool = pool.current(self.epoch, l, self.learn.as_ref());
        if pool.rest_until > l {
            return;
        }
        pool.meters.iter_mut().for_each(|meter| meter.advance(l));
        let mut learned =
            self.learned.pools.get(key).cloned().unwrap_or_else(|| Learned::new(pool.meters.len()));
        let full = |(at, meter): (usize, &Meter)| {
            let cap = if l < until { learned.bound(at, meter.cap, l).cap } else { meter.cap };
            meter.used() * 1_000 >= cap * FULL
        };
        if l < learned.share_at + AGAIN || pool.meters.iter().enumerate().any(full) {
            return;
        }
        let used = pool.meters.iter().map(|meter| share(meter.used(), meter.cap)).max().unwrap_or(0);
        let before = learned.share(l);
        learned.share = before.min((before * 9 / 10).max(used).max(LEAST));
        learned.share_at = l;
        self.learned.until = until.max(l + (WHOLE - learned.share) * RECOVERY);
        self.learned.pools.insert(key.clone(), learned);
    }
}
