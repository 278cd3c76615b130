//! How many further attempts a model has beside its calls (Finagle's retry budget), as one replica counts them.
//!
//! Where every provider fails, further attempts multiply what is asked of who is down already. So each call that is
//! attempted pays in a part of a further attempt, each further attempt takes a whole one, and what was paid in and not
//! taken within [`TIME`] is gone: a quiet night pays for no storm. [`LEAST`] is there in any case, or models that are
//! seldom called could not fail over. The share is of a replica's own calls: what all replicas do is within the same share
//! of all calls.

use std::time::Duration;

/// A time by a clock that never goes back.
type Ms = u64;

/// Calls and further attempts count for so long.
pub const TIME: Duration = Duration::from_secs(SECONDS as u64);
/// Further attempts within that time, whatever the calls,
pub const LEAST: u64 = 10 * SECONDS as u64;
/// and second ones, beside those that are long in coming.
pub const LEAST_HEDGED: u64 = 1;
const SECONDS: usize = 10;
/// One call, or a whole further attempt.
const ONE: u64 = 1_000_000;

/// One model's, at one replica.
#[derive(Debug, Default)]
pub struct Budget {
    seconds: [Second; SECONDS],
}

#[derive(Clone, Copy, Debug, Default)]
struct Second {
    at: u64,
    calls: u64,
    further: u64,
}

impl Budget {
    /// A call is attempted for the first time.
    pub fn pay_in(&mut self, now: Ms) {
        self.second(now).calls += 1;
    }

    /// Takes a further attempt, if there is one: of each call so many millionths were paid in, and `least` are there anyway.
    pub fn take(&mut self, now: Ms, share: u64, least: u64) -> bool {
        let left = self.is_left(now, share, least);
        if left {
            self.second(now).further += 1;
        }
        left
    }

    /// One that was taken then is not made.
    pub fn give_back(&mut self, then: Ms) {
        let second = &mut self.seconds[(then / 1_000 % SECONDS as u64) as usize];
        if second.at == then / 1_000 {
            second.further = second.further.saturating_sub(1);
        }
    }

    /// Is there one?
    pub fn is_left(&self, now: Ms, share: u64, least: u64) -> bool {
        let second = now / 1_000;
        let fresh = self.seconds.iter().filter(|of| of.at <= second && second - of.at < SECONDS as u64);
        let (calls, further) = fresh.fold((0u64, 0u64), |sum, of| (sum.0 + of.calls, sum.1 + of.further));
        let paid = calls.saturating_mul(share) / ONE;
        further < paid.saturating_add(least)
    }

    fn second(&mut self, now: Ms) -> &mut Second {
        let at = now / 1_000;
        let second = &mut self.seconds[(at % SECONDS as u64) as usize];
        if second.at != at {
            *second = Second { at, calls: 0, further: 0 };
        }
        second
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Ms = 1_000_000;
    const FIFTH: u64 = 200_000;

    /// A second with so many calls of which each would be attempted twice more: how many are.
    fn second(budget: &mut Budget, from: Ms, calls: u64) -> u64 {
        let mut taken = 0;
        for call in 0..calls {
            let now = from + call * 1_000 / calls;
            budget.pay_in(now);
            taken += (0..2).filter(|_| budget.take(now, FIFTH, LEAST)).count() as u64;
        }
        taken
    }

    #[test]
    fn where_everything_fails_a_fifth_is_tried_again_and_a_floor() {
        let mut budget = Budget::default();
        let per_second: Vec<u64> = (0..60).map(|at| second(&mut budget, NOW + at * 1_000, 1_000)).collect();
        let ten: u64 = per_second[..10].iter().sum();
        assert_eq!(ten, 2_000 + LEAST, "{per_second:?}");
        for from in 0..=50 {
            let ten: u64 = per_second[from..from + 10].iter().sum();
            assert!(ten <= 2_000 + LEAST, "{ten} from second {from}: {per_second:?}");
        }
        let all: u64 = per_second.iter().sum();
        assert!(all > 60 * 190, "{all} of 60,000 calls: what is paid for may be taken");
    }

    #[test]
    fn who_is_seldom_called_may_fail_over_and_what_is_old_pays_for_nothing() {
        let mut budget = Budget::default();
        for second in 0..10 {
            (0..1_000).for_each(|_| budget.pay_in(NOW + second * 1_000));
        }
        let quiet = NOW + 9_000 + TIME.as_millis() as u64;
        let taken = (0..10_000).filter(|_| budget.take(quiet, FIFTH, LEAST)).count() as u64;
        assert_eq!(taken, LEAST);
        assert!(!budget.is_left(quiet + 9_000, FIFTH, LEAST));
        assert!(budget.is_left(quiet + 10_000, FIFTH, LEAST));
        let mut none = Budget::default();
        assert!(none.take(0, 0, LEAST), "the floor does not depend on the share");
    }

    /// Broken on purpose to see it fail: nothing given back.
    #[test]
    fn what_is_not_made_is_given_back() {
        let mut budget = Budget::default();
        assert!((0..LEAST).all(|_| budget.take(50_000, 0, LEAST)) && !budget.take(50_000, 0, LEAST));
        budget.give_back(50_000);
        assert!(budget.take(51_000, 0, LEAST) && !budget.take(51_000, 0, LEAST));
        budget.give_back(50_000 - 1_000 * SECONDS as u64); // of a second that is long over
        assert!(!budget.take(51_000, 0, LEAST));
    }
}
