//! What is drawn by chance: sizes of calls, and the times between them. Pure: the numbers come from the seed.

use std::f64::consts::TAU;

/// How large something is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Size {
    /// Always the same.
    Fixed(u64),
    /// Log-normal: half of all are below the median; the logarithm deviates by `sigma`.
    LogNormal {
        /// What half of all stay below.
        median: f64,
        /// The standard deviation of the natural logarithm.
        sigma: f64,
        /// None is larger.
        most: u64,
    },
    /// Any from the first to the last, equally often.
    Between(u64, u64),
}

impl Size {
    /// One of them, at least 1.
    pub fn draw(self, rng: &mut fastrand::Rng) -> u64 {
        match self {
            Size::Fixed(size) => size.max(1),
            Size::LogNormal { median, sigma, most } => {
                let size = median * (sigma * normal(rng)).exp();
                (size.round().max(1.0) as u64).min(most)
            }
            Size::Between(from, to) => rng.u64(from..=to).max(1),
        }
    }

    /// Their mean, but for what `most` cuts off.
    pub fn mean(self) -> f64 {
        match self {
            Size::Fixed(size) => size as f64,
            Size::LogNormal { median, sigma, .. } => median * (sigma * sigma / 2.0).exp(),
            Size::Between(from, to) => (from as f64 + to as f64) / 2.0,
        }
    }
}

/// A draw from the standard normal distribution (Box and Muller, 1958).
pub fn normal(rng: &mut fastrand::Rng) -> f64 {
    let (a, b) = (rng.f64().max(1e-12), rng.f64());
    (-2.0 * a.ln()).sqrt() * (TAU * b).cos()
}

/// How the rate of calls goes with time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pattern {
    /// Always the same.
    Constant,
    /// So many times as much in the first `lasts` seconds of each `every`.
    Spike {
        /// By what the rate is multiplied.
        times: f64,
        /// Seconds.
        lasts: f64,
        /// Seconds.
        every: f64,
        /// Between spikes the rate is multiplied by this.
        between: f64,
    },
    /// From the rate to so many times as much at the end, in a straight line.
    Ramp {
        /// By what it is multiplied in the end.
        to: f64,
        /// Seconds that it takes.
        within: f64,
    },
    /// A wave around the rate, as days have: up and down by this share of it.
    Wave {
        /// From 0 to 1.
        by: f64,
        /// Seconds from one peak to the next.
        every: f64,
    },
}

impl Pattern {
    /// By what the rate is multiplied after so many seconds.
    pub fn at(self, seconds: f64) -> f64 {
        match self {
            Pattern::Constant => 1.0,
            Pattern::Spike { times, lasts, every, between } => {
                if seconds % every < lasts {
                    times
                } else {
                    between
                }
            }
            Pattern::Ramp { to, within } => 1.0 + (to - 1.0) * (seconds / within).clamp(0.0, 1.0),
            Pattern::Wave { by, every } => 1.0 - by * (TAU * seconds / every).cos(),
        }
    }

    /// The highest that [`Pattern::at`] comes to.
    pub fn most(self) -> f64 {
        match self {
            Pattern::Constant => 1.0,
            Pattern::Spike { times, between, .. } => times.max(between),
            Pattern::Ramp { to, .. } => to.max(1.0),
            Pattern::Wave { by, .. } => 1.0 + by,
        }
    }
}

/// Seconds until the next call of a stream of `rate` calls a second that goes by a pattern, `from` seconds after its begin: each comes
/// by itself (Poisson), by thinning (Lewis and Shedler, 1979), or all are as far apart as the rate says (`even`). None if none comes
/// before `until`.
pub fn next(
    rate: f64,
    pattern: Pattern,
    even: bool,
    (from, until): (f64, f64),
    rng: &mut fastrand::Rng,
) -> Option<f64> {
    let mut at = from;
    if even {
        // Where the pattern says nothing comes, it is looked at again soon.
        while at < until {
            let now = rate * pattern.at(at);
            if now > 0.0 {
                let next = at + 1.0 / now;
                return (next < until).then_some(next);
            }
            at += 0.1;
        }
        return None;
    }
    let most = rate * pattern.most();
    while most > 0.0 && at < until {
        at += -(1.0 - rng.f64()).max(1e-300).ln() / most;
        if at < until && rng.f64() * pattern.most() < pattern.at(at) {
            return Some(at);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Broken on purpose to see it fail: the median taken for the mean.
    #[test]
    fn sizes_have_the_median_and_the_mean_that_they_say() {
        let (size, mut rng) =
            (Size::LogNormal { median: 800.0, sigma: 0.8, most: 1 << 40 }, fastrand::Rng::with_seed(1));
        let mut drawn: Vec<u64> = (0..100_001).map(|_| size.draw(&mut rng)).collect();
        let mean = drawn.iter().sum::<u64>() as f64 / drawn.len() as f64;
        drawn.sort_unstable();
        let median = drawn[drawn.len() / 2] as f64;
        assert!((median / 800.0 - 1.0).abs() < 0.02, "{median}");
        assert!((mean / size.mean() - 1.0).abs() < 0.02, "{mean}, not {}", size.mean());
        assert_eq!(Size::Between(2, 4).mean(), 3.0);
        assert_eq!(Size::Fixed(0).draw(&mut rng), 1, "a call without input does not exist");
    }

    fn count(rate: f64, pattern: Pattern, even: bool, time: f64) -> Vec<f64> {
        let (mut at, mut rng, mut all) = (0.0, fastrand::Rng::with_seed(7), Vec::new());
        while let Some(next) = next(rate, pattern, even, (at, time), &mut rng) {
            all.push(next);
            at = next;
        }
        all
    }

    /// Broken on purpose to see it fail: the thinning left out.
    #[test]
    fn as_many_calls_come_as_the_rate_and_the_pattern_say() {
        let even = count(10.0, Pattern::Constant, true, 100.05);
        assert_eq!(even.len(), 1_000);
        let near = |all: &[f64], due: f64| {
            let most = 4.0 * due.sqrt();
            assert!((all.len() as f64 - due).abs() < most, "{} of {due}", all.len());
        };
        near(&count(10.0, Pattern::Constant, false, 1_000.0), 10_000.0);
        let spike = Pattern::Spike { times: 5.0, lasts: 10.0, every: 60.0, between: 0.0 };
        let spiked = count(10.0, spike, false, 600.0);
        near(&spiked, 5_000.0);
        assert!(spiked.iter().all(|at| at % 60.0 < 10.0));
        near(&count(10.0, Pattern::Ramp { to: 3.0, within: 1_000.0 }, false, 1_000.0), 20_000.0);
        near(&count(10.0, Pattern::Wave { by: 0.8, every: 100.0 }, false, 1_000.0), 10_000.0);
        assert!(
            count(10.0, Pattern::Spike { times: 0.0, lasts: 1.0, every: 2.0, between: 0.0 }, true, 9.0)
                .is_empty()
        );
    }
}
