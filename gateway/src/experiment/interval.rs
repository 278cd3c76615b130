//! What is known of a rate, a mean, a percentile, and of how two differ: 95 % confidence intervals, calls taken for independent.

use super::measures::{Sums, Times};

/// The 97.5th percentile of the normal distribution.
const Z: f64 = 1.959_963_984_540_054;

/// A value and the interval around it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Known {
    /// As it was measured.
    pub value: f64,
    /// It may as well be this,
    pub low: f64,
    /// or this.
    pub high: f64,
}

/// A share, `part` of `all`: Wilson's interval (1927), which holds for few and for rare ones. None of nothing.
pub fn rate(part: f64, all: f64) -> Option<Known> {
    if all <= 0.0 {
        return None;
    }
    let (value, z2) = (part / all, Z * Z);
    let middle = (value + z2 / (2.0 * all)) / (1.0 + z2 / all);
    let half = Z / (1.0 + z2 / all) * (value * (1.0 - value) / all + z2 / (4.0 * all * all)).sqrt();
    Some(Known { value, low: (middle - half).max(0.0), high: (middle + half).min(1.0) })
}

/// How much more the second share is than the first: Newcombe's interval (1998), from those of Wilson.
pub fn rate_difference(first: Known, second: Known) -> Known {
    let value = second.value - first.value;
    let low = value - (second.value - second.low).hypot(first.high - first.value);
    let high = value + (second.high - second.value).hypot(first.value - first.low);
    Known { value, low, high }
}

/// A mean, by the central limit theorem; of fewer than two nothing is known.
pub fn mean(sums: Sums) -> Option<Known> {
    let (value, error) = mean_and_error(sums)?;
    Some(Known { value, low: value - Z * error, high: value + Z * error })
}

/// How much more the second mean is than the first.
pub fn mean_difference(first: Sums, second: Sums) -> Option<Known> {
    let ((a, error_a), (b, error_b)) = (mean_and_error(first)?, mean_and_error(second)?);
    let (value, half) = (b - a, Z * error_a.hypot(error_b));
    Some(Known { value, low: value - half, high: value + half })
}

fn mean_and_error(Sums { n, sum, squares }: Sums) -> Option<(f64, f64)> {
    if n < 2.0 {
        return None;
    }
    let mean = sum / n;
    let variance = ((squares - sum * mean) / (n - 1.0)).max(0.0);
    Some((mean, (variance / n).sqrt()))
}

/// A percentile: the interval is that of its rank, which is binomial whatever the distribution.
pub fn percentile(times: &Times, share: f64) -> Option<Known> {
    let n = times.sums.n;
    let (rank, half) = (n * share, Z * (n * share * (1.0 - share)).sqrt());
    let at = |rank: f64| times.at(rank.ceil().clamp(1.0, n.max(1.0)));
    Some(Known { value: at(rank)?, low: at(rank - half)?, high: at(rank + half + 1.0)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::measures::Measures;
    use crate::experiment::measures::{Ending, Sample};
    use std::time::Duration;

    fn is(known: Known, [value, low, high]: [f64; 3]) -> bool {
        let near = |a: f64, b: f64| (a - b).abs() < 5e-5;
        near(known.value, value) && near(known.low, low) && near(known.high, high)
    }

    /// The examples of Newcombe (Statistics in Medicine 17, 1998): of single proportions pp. 857-872, method 3; of differences
    /// pp. 873-890, method 10.
    #[test]
    fn rates_are_those_of_the_literature() {
        for (part, all, expected) in [
            (81.0, 263.0, [0.3080, 0.2553, 0.3662]),
            (15.0, 148.0, [0.1014, 0.0624, 0.1605]),
            (0.0, 20.0, [0.0, 0.0, 0.1611]),
            (1.0, 29.0, [0.0345, 0.0061, 0.1718]),
        ] {
            let found = rate(part, all).unwrap();
            assert!(is(found, expected), "{part} of {all}: {found:?}");
        }
        let (first, second) = (rate(48.0, 80.0).unwrap(), rate(56.0, 70.0).unwrap());
        assert!(
            is(rate_difference(first, second), [0.2, 0.0524, 0.3339]),
            "{:?}",
            rate_difference(first, second)
        );
        assert_eq!(rate(0.0, 0.0), None);
    }

    #[test]
    fn means_and_their_difference_are_those_of_the_textbook() {
        let sums = |values: &[f64]| Sums {
            n: values.len() as f64,
            sum: values.iter().sum(),
            squares: values.iter().map(|value| value * value).sum(),
        };
        // Variance 2.5 of five: the error is the root of a half.
        let (first, second) = (sums(&[1.0, 2.0, 3.0, 4.0, 5.0]), sums(&[2.0, 4.0, 6.0, 8.0, 10.0]));
        assert!(is(mean(first).unwrap(), [3.0, 3.0 - Z * 0.5f64.sqrt(), 3.0 + Z * 0.5f64.sqrt()]));
        let half = Z * (0.5f64 + 2.0).sqrt();
        assert!(is(mean_difference(first, second).unwrap(), [3.0, 3.0 - half, 3.0 + half]));
        assert_eq!(mean(sums(&[1.0])), None);
    }

    /// 95 of 100 intervals hold what they are about. Broken on purpose to see it fail: 1.0 for `Z`.
    #[test]
    fn intervals_hold_what_they_say() {
        let mut random = fastrand::Rng::with_seed(7);
        let (mut rates, mut means, mut medians) = (0, 0, 0);
        for _ in 0..1_000 {
            let mut measures = Measures::default();
            for _ in 0..400 {
                let ending = if random.f64() < 0.05 { Ending::Failed } else { Ending::Served };
                // Exponential with a mean of a second.
                let whole = Duration::from_secs_f64(-(1.0 - random.f64()).ln());
                let sample = Sample { ending, spilled: false, whole, first: None, tokens: None, cost: 0.0 };
                measures.note(sample);
            }
            let holds = |known: Option<Known>, truth: f64| {
                known.is_some_and(|known| known.low <= truth && truth <= known.high)
            };
            rates += usize::from(holds(rate(measures.failed, measures.calls), 0.05));
            means += usize::from(holds(mean(measures.whole.sums), 1.0));
            medians += usize::from(holds(percentile(&measures.whole, 0.5), 2.0f64.ln()));
        }
        // (A percentile's interval reaches to the middle of buckets, so it may be off by 2 % of the time.)
        for (what, held) in [("rate", rates), ("mean", means), ("median", medians)] {
            assert!((925..=985).contains(&held), "{what}: {held} of 1000");
        }
    }
}
