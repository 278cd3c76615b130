//! One limit of one key: what was charged lately, and whether more fits.
//!
//! Two kinds, both exact in integer microseconds. The sliding log keeps every charge and lets no closed interval
//! as long as the window exceed the limit. The token bucket holds as much as the limit and refills continuously
//! by one limit per window, so that a burst after a rest may reach twice the limit within one window.
//!
//! This file is deliberately its own: a fake provider that shared code with Weir's meters could not find their
//! mistakes.

use std::collections::VecDeque;

/// How a limit is enforced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LimiterKind {
    /// Exact sliding log: no closed interval of one window's length over the limit.
    Sliding,
    /// Token bucket: capacity of one limit, refilled by one limit per window.
    Bucket,
}

/// A limit with the charges against it. Time must not run backwards between calls.
#[derive(Debug)]
pub(super) struct Meter {
    limit: u64,
    window_us: u64,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Charges (instant in µs, amount) of the last window, oldest first, and their sum.
    Sliding { charges: VecDeque<(u64, u64)>, sum: u64 },
    /// `level` is in units of (amount × window in µs), so that refilling needs no division. Negative in debt.
    Bucket { level: i128, at_us: u64 },
}

impl Meter {
    /// `window_us` must not be zero; an empty window is taken as one microsecond.
    pub(super) fn new(kind: LimiterKind, limit: u64, window_us: u64) -> Self {
        let window_us = window_us.max(1);
        let state = match kind {
            LimiterKind::Sliding => State::Sliding { charges: VecDeque::new(), sum: 0 },
            LimiterKind::Bucket => {
                State::Bucket { level: i128::from(limit) * i128::from(window_us), at_us: 0 }
            }
        };
        Self { limit, window_us, state }
    }

    pub(super) fn limit(&self) -> u64 {
        self.limit
    }

    /// What counts against the limit now. May exceed the limit after a charge that was not checked.
    pub(super) fn used(&mut self, now_us: u64) -> u64 {
        self.advance(now_us);
        match &self.state {
            State::Sliding { sum, .. } => *sum,
            State::Bucket { level, .. } => {
                let missing = i128::from(self.limit) * i128::from(self.window_us) - level;
                to_u64(ceil_div(missing, i128::from(self.window_us)))
            }
        }
    }

    pub(super) fn fits(&mut self, now_us: u64, amount: u64) -> bool {
        self.advance(now_us);
        match &self.state {
            State::Sliding { sum, .. } => sum.saturating_add(amount) <= self.limit,
            State::Bucket { level, .. } => *level >= i128::from(amount) * i128::from(self.window_us),
        }
    }

    pub(super) fn charge(&mut self, now_us: u64, amount: u64) {
        self.advance(now_us);
        match &mut self.state {
            State::Sliding { charges, sum } => {
                *sum = sum.saturating_add(amount);
                match charges.back_mut() {
                    Some((at, total)) if *at == now_us => *total += amount,
                    Some(_) | None => charges.push_back((now_us, amount)),
                }
            }
            State::Bucket { level, .. } => *level -= i128::from(amount) * i128::from(self.window_us),
        }
    }

    /// Microseconds until `amount` fits if nothing else is charged; `None` when it never will.
    pub(super) fn wait_us(&mut self, now_us: u64, amount: u64) -> Option<u64> {
        if amount > self.limit {
            return None;
        }
        self.advance(now_us);
        match &self.state {
            State::Sliding { charges, sum } => {
                let mut left = *sum;
                let mut oldest = charges.iter();
                let mut free_at = now_us;
                while left.saturating_add(amount) > self.limit {
                    let (at, charged) = oldest.next()?;
                    left -= charged;
                    // The interval is closed: a charge exactly one window old still counts.
                    free_at = at + self.window_us + 1;
                }
                Some(free_at - now_us)
            }
            State::Bucket { level, .. } => {
                let missing = i128::from(amount) * i128::from(self.window_us) - level;
                Some(to_u64(ceil_div(missing, i128::from(self.limit.max(1)))))
            }
        }
    }

    /// Microseconds until the whole limit is free again if nothing else is charged.
    pub(super) fn reset_us(&mut self, now_us: u64) -> u64 {
        self.advance(now_us);
        match &self.state {
            // Not by way of `wait_us`, which would walk the whole log for every answer's headers.
            State::Sliding { charges, .. } => {
                charges.back().map_or(0, |(newest, _)| newest + self.window_us + 1 - now_us)
            }
            State::Bucket { .. } => self.wait_us(now_us, self.limit).unwrap_or(0),
        }
    }

    /// Forgets what no longer counts at `now_us`.
    fn advance(&mut self, now_us: u64) {
        match &mut self.state {
            State::Sliding { charges, sum } => {
                while let Some((at, amount)) = charges.front().copied() {
                    if at + self.window_us >= now_us {
                        break;
                    }
                    *sum -= amount;
                    charges.pop_front();
                }
            }
            State::Bucket { level, at_us } => {
                let full = i128::from(self.limit) * i128::from(self.window_us);
                let refill = i128::from(self.limit) * i128::from(now_us.saturating_sub(*at_us));
                *level = (*level + refill).min(full);
                *at_us = now_us;
            }
        }
    }
}

/// Rounded up; `divisor` is positive. Negative quotients count as zero for every use here.
fn ceil_div(value: i128, divisor: i128) -> i128 {
    if value <= 0 { 0 } else { (value + divisor - 1) / divisor }
}

fn to_u64(value: i128) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: u64 = 1_000;

    /// Draws charges at random instants and compares every verdict with a sum over the whole history.
    fn compare_with_history(seed: u64, limit: u64) {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut meter = Meter::new(LimiterKind::Sliding, limit, WINDOW);
        let mut history: Vec<(u64, u64)> = Vec::new();
        let mut now = 5_000;
        for _ in 0..2_000 {
            now += rng.u64(0..120);
            let amount = rng.u64(1..limit / 2);
            let used: u64 = history.iter().filter(|(at, _)| at + WINDOW >= now).map(|(_, n)| n).sum();
            assert_eq!(meter.used(now), used);
            assert_eq!(meter.fits(now, amount), used + amount <= limit, "seed {seed} at {now}");
            assert_eq!(Some(meter.reset_us(now)), meter.wait_us(now, limit));
            if meter.fits(now, amount) {
                meter.charge(now, amount);
                history.push((now, amount));
            } else if rng.bool() {
                let wait = meter.wait_us(now, amount).unwrap();
                assert!(!meter.fits(now + wait - 1, amount), "seed {seed}: free before the promised instant");
                now += wait;
                assert!(meter.fits(now, amount), "seed {seed}: not free at the promised instant");
            }
        }
        for (start, _) in &history {
            let sum: u64 =
                history.iter().filter(|(at, _)| start <= at && *at <= start + WINDOW).map(|(_, n)| n).sum();
            assert!(sum <= limit, "seed {seed}: {sum} over {limit} from {start}");
        }
    }

    #[test]
    fn sliding_log_agrees_with_a_sum_over_the_whole_history() {
        for seed in 0..40 {
            compare_with_history(seed, 10 + seed * 7);
        }
    }

    #[test]
    fn a_charge_exactly_one_window_old_still_counts() {
        let mut meter = Meter::new(LimiterKind::Sliding, 1, WINDOW);
        meter.charge(10, 1);
        assert!(!meter.fits(10 + WINDOW, 1));
        assert!(meter.fits(11 + WINDOW, 1));
        assert_eq!(meter.reset_us(11 + WINDOW), 0);
    }

    #[test]
    fn bucket_never_gives_more_than_its_capacity_and_refill() {
        for seed in 0..40 {
            let mut rng = fastrand::Rng::with_seed(seed);
            let limit = 50 + seed;
            let mut meter = Meter::new(LimiterKind::Bucket, limit, WINDOW);
            let mut history: Vec<(u64, u64)> = Vec::new();
            let mut now = 0;
            for _ in 0..500 {
                now += rng.u64(0..40);
                let amount = rng.u64(1..10);
                if meter.fits(now, amount) {
                    meter.charge(now, amount);
                    history.push((now, amount));
                } else {
                    let wait = meter.wait_us(now, amount).unwrap();
                    assert!(!meter.fits(now + wait - 1, amount));
                    now += wait;
                    assert!(meter.fits(now, amount), "seed {seed}");
                }
            }
            for (i, (start, _)) in history.iter().enumerate() {
                let mut sum = 0;
                for (at, amount) in &history[i..] {
                    sum += amount;
                    assert!(sum * WINDOW <= limit * WINDOW + limit * (at - start), "seed {seed}");
                }
            }
        }
    }

    #[test]
    fn bucket_in_debt_refuses_until_it_is_paid() {
        let mut meter = Meter::new(LimiterKind::Bucket, 10, WINDOW);
        meter.charge(0, 25);
        assert_eq!(meter.used(0), 25);
        assert_eq!(meter.wait_us(0, 1), Some(1_600));
        assert!(!meter.fits(1_599, 1));
        assert!(meter.fits(1_600, 1));
    }

    #[test]
    fn what_exceeds_the_whole_limit_never_fits() {
        for kind in [LimiterKind::Sliding, LimiterKind::Bucket] {
            assert_eq!(Meter::new(kind, 10, WINDOW).wait_us(0, 11), None);
        }
    }
}
