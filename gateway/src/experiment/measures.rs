//! What the calls of a variant came to: sums and fixed logarithmic buckets, so that what replicas measured adds up.
//!
//! All are numbers of calls or sums over calls, as doubles: counts are exact below 2^53, and JSON and Lua know nothing else.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// One bucket reaches so much further than the one before: a time is known to within 2 %.
const GROWTH: f64 = 1.04;
/// Where the first one begins, seconds.
const SHORTEST: f64 = 1e-4;
/// The last one: times of two hours and more.
const LAST: u16 = 461;

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Answered to its end.
    Served,
    /// Not, by the fault of a provider, of limits behind the gateway or of the gateway.
    Failed,
    /// Its client went away first.
    Left,
    /// Not, for what the client asked, or for its tenant's own limit: no variant is to blame.
    Refused,
}

/// One call, as it ended.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// How.
    pub ending: Ending,
    /// Something else served it, or was tried last, than its variant's deployments.
    pub spilled: bool,
    /// From the request to the end of the answer.
    pub whole: Duration,
    /// From the request to the first content of a stream.
    pub first: Option<Duration>,
    /// Tokens as the provider counted them.
    pub tokens: Option<(u64, u64)>,
    /// US$.
    pub cost: f64,
}

/// Number, sum and sum of squares: what a mean and its interval need.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sums {
    /// Of how many.
    pub n: f64,
    /// Of them all.
    pub sum: f64,
    /// Of their squares.
    pub squares: f64,
}

impl Sums {
    fn note(&mut self, value: f64) {
        self.add(Sums { n: 1.0, sum: value, squares: value * value });
    }

    fn add(&mut self, more: Sums) {
        let Sums { n, sum, squares } = more;
        (self.n, self.sum, self.squares) = (self.n + n, self.sum + sum, self.squares + squares);
    }
}

/// Times, seconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Times {
    /// For the mean.
    pub sums: Sums,
    /// By bucket.
    pub buckets: BTreeMap<u16, f64>,
}

impl Times {
    fn note(&mut self, time: Duration) {
        let seconds = time.as_secs_f64();
        self.sums.note(seconds);
        *self.buckets.entry(bucket(seconds)).or_default() += 1.0;
    }

    fn add(&mut self, more: &Times) {
        self.sums.add(more.sums);
        for (bucket, count) in &more.buckets {
            *self.buckets.entry(*bucket).or_default() += count;
        }
    }

    /// The time that so many have or stay below, seconds; none if there are none.
    pub fn at(&self, rank: f64) -> Option<f64> {
        let mut before = 0.0;
        let found = self.buckets.iter().find(|(_, count)| {
            before += **count;
            before >= rank
        });
        let (bucket, _) = found.or_else(|| self.buckets.iter().next_back())?;
        Some(SHORTEST * GROWTH.powf(f64::from(*bucket) + 0.5))
    }
}

fn bucket(seconds: f64) -> u16 {
    let at = (seconds.max(SHORTEST) / SHORTEST).ln() / GROWTH.ln();
    (at as u16).min(LAST)
}

/// What the calls of a variant came to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Measures {
    /// All that fell to it.
    pub calls: f64,
    /// Those of them that failed.
    pub failed: f64,
    /// Whose client left.
    pub left: f64,
    /// Which no variant could have served.
    pub refused: f64,
    /// That went elsewhere than to its deployments.
    pub spilled: f64,
    /// Tokens before the model.
    pub input: f64,
    /// Tokens by it.
    pub output: f64,
    /// US$ of each call but those refused.
    pub cost: Sums,
    /// Of those served.
    pub whole: Times,
    /// Of those served as streams.
    pub first: Times,
}

impl Measures {
    /// Another call.
    pub fn note(&mut self, sample: Sample) {
        self.calls += 1.0;
        self.spilled += f64::from(u8::from(sample.spilled));
        match sample.ending {
            Ending::Served => {
                self.whole.note(sample.whole);
                sample.first.into_iter().for_each(|time| self.first.note(time));
            }
            Ending::Failed => self.failed += 1.0,
            Ending::Left => self.left += 1.0,
            Ending::Refused => self.refused += 1.0,
        }
        if sample.ending != Ending::Refused {
            self.cost.note(sample.cost);
        }
        let (input, output) = sample.tokens.unwrap_or_default();
        (self.input, self.output) = (self.input + input as f64, self.output + output as f64);
    }

    /// What another replica measured.
    pub fn add(&mut self, more: &Measures) {
        let Measures { calls, failed, left, refused, spilled, input, output, cost, whole, first } = more;
        for (sum, more) in [
            (&mut self.calls, calls),
            (&mut self.failed, failed),
            (&mut self.left, left),
            (&mut self.refused, refused),
            (&mut self.spilled, spilled),
            (&mut self.input, input),
            (&mut self.output, output),
        ] {
            *sum += more;
        }
        self.cost.add(*cost);
        self.whole.add(whole);
        self.first.add(first);
    }

    /// Those that were served.
    pub fn served(&self) -> f64 {
        self.whole.sums.n
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn served(ms: u64) -> Sample {
        Sample {
            ending: Ending::Served,
            spilled: false,
            whole: Duration::from_millis(ms),
            first: Some(Duration::from_millis(ms / 2)),
            tokens: Some((10, 5)),
            cost: 0.25,
        }
    }

    /// Broken on purpose to see it fail: `first` left out of `add`.
    #[test]
    fn what_is_measured_apart_adds_up_to_what_is_measured_together() {
        let (mut one, mut other, mut both) = (Measures::default(), Measures::default(), Measures::default());
        for at in 1..200u64 {
            let ending = match at % 7 {
                0 => Ending::Failed,
                1 => Ending::Left,
                2 => Ending::Refused,
                _ => Ending::Served,
            };
            let sample = Sample { ending, spilled: at % 5 == 0, cost: 0.25 * at as f64, ..served(at * 250) };
            both.note(sample);
            if at % 2 == 0 { one.note(sample) } else { other.note(sample) }
        }
        one.add(&other);
        // (Times and costs are binary fractions here, so doubles add up exactly.)
        assert_eq!(one, both);
        assert_eq!(both.calls, both.served() + both.failed + both.left + both.refused);
        let text = serde_json::to_string(&both).unwrap();
        assert_eq!(serde_json::from_str::<Measures>(&text).unwrap(), both);
    }

    /// Broken on purpose to see it fail: the bucket's lower end told.
    #[test]
    fn percentiles_are_right_to_within_two_percent() {
        let mut times = Times::default();
        (1..=10_000u64).for_each(|ms| times.note(Duration::from_millis(ms)));
        for (rank, seconds) in [(5_000.0, 5.0), (9_500.0, 9.5), (9_900.0, 9.9), (10.0, 0.01)] {
            let found = times.at(rank).unwrap();
            assert!((found / seconds - 1.0).abs() <= 0.021, "{rank}: {found} s");
        }
        assert_eq!(Times::default().at(1.0), None);
        times.note(Duration::from_secs(1_000_000));
        assert!(times.at(10_001.0).is_some_and(|time| time > 7_000.0), "no time is too long");
    }

    #[test]
    fn what_a_newer_version_measures_besides_is_passed_over() {
        let read: Measures = serde_json::from_str(r#"{"calls":1e2,"moods":{"good":1}}"#).unwrap();
        assert_eq!(read, Measures { calls: 100.0, ..Measures::default() });
    }
}
