//! What a provider's word means for our own count.

use super::Part;
use crate::config::MeterKind;
use crate::dialect::failure::{Measure, Period};
use crate::dialect::quota::Left;
use crate::state::core::learned::LONGEST;
use crate::state::core::{Declared, Mode, Ms, Said};
use crate::state::pools;

/// Of one pool.
pub(super) struct Heard {
    /// Half of a limit is used.
    pub matters: bool,
    /// Less may be used than we would.
    pub lowers: bool,
    /// Per meter.
    pub said: Vec<Said>,
}

/// What `quota` says of the pool of a part that was granted at `at`.
pub(super) fn of(part: &Part, quota: &[Left], at: Ms) -> Heard {
    let mut heard = Heard { matters: false, lowers: false, said: Vec::new() };
    for (meter, kind) in part.info.kinds.iter().enumerate() {
        let declared = part.info.decl.meters[meter];
        let own = Own {
            declared,
            used: part.used.get(2 * meter).copied(),
            overtaken: part.amounts[meter]
                + part.used.get(2 * meter + 1).map_or(0, |ever| part.books.counted_since(meter, *ever)),
            learned: part.info.learned_permille,
        };
        let mut lowest = Said::default();
        for left in quota.iter().filter(|left| is_about(left, *kind, declared)) {
            heard.matters |= left.left < left.limit.unwrap_or(declared.cap) / 2;
            if let Some(cap) = own.cap(left)
                && (lowest.for_ms == 0 || cap < lowest.cap)
            {
                lowest = Said { cap, at, for_ms: lasts(left, declared) };
            }
        }
        heard.lowers |= lowest.for_ms > 0 && lowest.cap < declared.cap;
        heard.said.push(lowest);
    }
    heard
}

/// Can it be the limit of this meter? Where the name does not tell of its window, it may be another's: what is left of
/// that bounds what this one may admit as well.
fn is_about(left: &Left, kind: MeterKind, declared: Declared) -> bool {
    let of = match kind {
        MeterKind::Requests => Measure::Requests,
        MeterKind::Tokens => Measure::Tokens,
        MeterKind::InputTokens => Measure::InputTokens,
        MeterKind::OutputTokens => Measure::OutputTokens,
        MeterKind::Concurrency => Measure::Concurrency,
        MeterKind::Usd => return false,
    };
    let second = 1_000;
    let days = |days: u64| days * 86_400 * second;
    let span = declared.shape.span();
    let per = left.per.is_none_or(|per| match per {
        Period::Second => span == second,
        Period::Minute => span == 60 * second,
        Period::Hour => span == 3_600 * second,
        Period::Day => span == days(1),
        Period::Month => span >= days(28),
    });
    declared.shape.mode == Mode::Window && left.of == of && per
}

/// When the provider will have forgotten: by its word, else with the window.
fn lasts(left: &Left, declared: Declared) -> Ms {
    let span = declared.shape.span().min(LONGEST);
    left.reset.map_or(span, |reset| (reset.as_millis() as Ms).clamp(1, span))
}

/// What we know ourselves of a meter.
struct Own {
    declared: Declared,
    used: Option<u64>, // after the grant, this call included
    overtaken: u64,    // by so much at most: granted since; and this call
    learned: u32,
}

impl Own {
    /// How far our count may go.
    ///
    /// What the provider counts beyond ours is others' use, and some must be left for what they use until we hear of it:
    /// up to `1 - learned` of the limit, but no more than they were seen to use. Calls that were granted later, until this
    /// answer came, may have been counted before it: only beyond those others are seen for sure, and the more of that
    /// there is, the less it is doubted. Without others our own count is the better one, and only a limit that is lower than ours
    /// says something.
    fn cap(&self, left: &Left) -> Option<u64> {
        let used = self.used?;
        let limit = left.limit.unwrap_or(self.declared.cap).max(left.left);
        let doubt = self.overtaken.saturating_add(left.off);
        let others = (limit - left.left).saturating_sub(used.saturating_add(doubt));
        let most = used.saturating_add(left.left);
        let cap = if others > 0 {
            let spare = limit - pools::cap(limit, self.learned);
            most.saturating_add(doubt.saturating_sub(others)).saturating_sub(spare.min(others))
        } else {
            most.max(limit)
        };
        Some(cap.min(1 << 41))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::state::core::{Shape, Stage};

    fn requests(limit: u64, left: u64) -> Left {
        Left { of: Measure::Requests, per: None, limit: Some(limit), left, off: 0, reset: None }
    }

    fn own(cap: u64, used: u64) -> Own {
        let shape = Shape::window(60_000, Stage::Head);
        Own { declared: Declared { shape, cap, pace: 0 }, used: Some(used), overtaken: 1, learned: 950 }
    }

    /// Broken on purpose to see it fail: what is left taken alone for the cap; no room left for others.
    #[test]
    fn others_use_lowers_our_own_cap_and_our_own_does_not() {
        let cap = |declared, used, limit, left| own(declared, used).cap(&requests(limit, left)).unwrap();
        assert_eq!(cap(100, 30, 100, 70), 100, "all that is used is ours");
        assert_eq!(cap(100, 30, 100, 69), 100, "and one that overtook this one");
        assert_eq!(cap(100, 30, 100, 30), 55, "40 are others', so 60 less 5 are left for us");
        assert_eq!(cap(100, 30, 100, 67), 95, "2 are others' for sure, 1 perhaps: 97 less 2");
        let late = Own { overtaken: 30, ..own(100, 30) };
        let cap_of = |left| late.cap(&requests(100, left)).unwrap();
        assert_eq!(
            [cap_of(40), cap_of(39), cap_of(30), cap_of(0)],
            [100, 97, 75, 25],
            "or calls that overtook it"
        );
        assert_eq!(cap(100, 30, 100, 0), 25, "nothing is left");
        assert_eq!(cap(100, 2, 100, 0), 0);
        assert_eq!(cap(100, 30, 50, 20), 50, "the provider's limit is lower than ours");
        assert!(cap(60, 30, 100, 30) < 60, "ours is a part of the provider's: 40 are not ours");
        assert!(cap(60, 30, 100, 60) >= 60);
        assert!(cap(30, 5, 14_400, 14_000) >= 30, "a day's limit says little of a minute's");
        assert!(cap(1_000_000, 20_000, 500, 499) >= 20_499, "nor a minute's of a day's");
        assert_eq!(cap(10, 4, 10, 2), 6, "of a small limit no call is lost");
        assert_eq!(own(100, 0).cap(&Left { limit: None, ..requests(0, 40) }), Some(35));
        assert_eq!(own(100, 5).cap(&requests(10, 90)), Some(95), "a limit below what is left of it");
    }

    #[test]
    fn a_word_lasts_until_the_reset_and_never_longer_than_the_window() {
        let meter = own(100, 0).declared;
        let lasts = |ms| lasts(&Left { reset: Some(Duration::from_millis(ms)), ..requests(100, 1) }, meter);
        assert_eq!([lasts(250), lasts(24_000), lasts(86_400_000), lasts(0)], [250, 24_000, 60_000, 1]);
        assert_eq!(super::lasts(&requests(100, 1), meter), 60_000);
    }

    #[test]
    fn a_word_is_about_meters_of_its_kind_and_window() {
        let meter = own(100, 0).declared;
        let is = |per, kind| is_about(&Left { per, ..requests(100, 1) }, kind, meter);
        assert!(is(None, MeterKind::Requests) && is(Some(Period::Minute), MeterKind::Requests));
        assert!(!is(Some(Period::Day), MeterKind::Requests) && !is(None, MeterKind::Tokens));
        let gauge = Declared { shape: Shape::gauge(), cap: 5, pace: 0 };
        assert!(!is_about(&requests(5, 1), MeterKind::Concurrency, gauge));
    }
}
