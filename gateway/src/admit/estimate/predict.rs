//! What calls without a bound used so far, as one quantile in constant space.
//!
//! A histogram over logarithmic buckets, four to the octave: the answer is at most a quarter above the truth, and
//! never below it up to 900,000 tokens. Old answers fade: when the weights reach a limit, all are halved. One
//! sketch per model and tenant is about 300 bytes; the owner of the map locks it.

/// Buckets; the first ends at 2^4 tokens, the last at 7/8 of 2^20.
const BUCKETS: usize = 64;
const FIRST_OCTAVE: u32 = 4;
/// Weight of one answer, so that halving wears it off in steps.
const WEIGHT: u32 = 64;
/// The sum of weights at which all are halved: the sketch remembers the last 500 to 1,000 answers.
const FULL: u32 = 1024 * WEIGHT;
/// Answers before the sketch has an opinion.
const LEAST: u32 = 20;

/// A sketch of the output of one kind of call, tokens per choice.
#[derive(Clone, Debug)]
pub struct Predictor {
    weights: [u32; BUCKETS],
    sum: u32,
    seen: u32,
}

impl Default for Predictor {
    fn default() -> Predictor {
        Predictor { weights: [0; BUCKETS], sum: 0, seen: 0 }
    }
}

impl Predictor {
    /// Learns from an answer of `output` tokens per choice.
    pub fn observe(&mut self, output: u64) {
        if self.sum >= FULL {
            self.weights.iter_mut().for_each(|weight| *weight /= 2);
            self.sum = self.weights.iter().sum();
        }
        self.weights[bucket(output)] += WEIGHT;
        self.sum += WEIGHT;
        self.seen = self.seen.saturating_add(1);
    }

    /// What 95 of 100 such answers stay within; `None` before 20 of them.
    pub fn p95(&self) -> Option<u64> {
        self.within(self.sum - self.sum / 20)
    }

    /// What half of such answers stay within; `None` before 20 of them.
    pub fn median(&self) -> Option<u64> {
        self.within(self.sum / 2)
    }

    fn within(&self, wanted: u32) -> Option<u64> {
        if self.seen < LEAST {
            return None;
        }
        let mut below = 0;
        let found = self.weights.iter().position(|weight| {
            below += weight;
            below >= wanted
        });
        found.map(upper_end)
    }
}

/// The bucket that `output` falls in: the first whose end is not below it.
fn bucket(output: u64) -> usize {
    let above = output.max(1) - 1;
    let octave = above.checked_ilog2().unwrap_or(0);
    if octave < FIRST_OCTAVE {
        return 0;
    }
    let quarter = (above >> (octave - 2)) & 3;
    let index = u64::from(octave - FIRST_OCTAVE) * 4 + quarter + 1;
    usize::try_from(index).map_or(BUCKETS - 1, |index| index.min(BUCKETS - 1))
}

/// The largest output that falls in a bucket, tokens.
fn upper_end(bucket: usize) -> u64 {
    let steps = bucket as u64;
    let (octave, quarter) = (steps / 4, steps % 4);
    (4 + quarter) << (u64::from(FIRST_OCTAVE) - 2 + octave)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn taught(outputs: impl IntoIterator<Item = u64>) -> Predictor {
        let mut predictor = Predictor::default();
        outputs.into_iter().for_each(|output| predictor.observe(output));
        predictor
    }

    #[test]
    fn nothing_is_predicted_before_twenty_answers() {
        assert_eq!(taught([100; 19]).p95(), None);
        assert!(taught([100; 20]).p95().is_some());
    }

    #[test]
    fn the_quantile_is_near_the_true_one() {
        let p95 = taught(1..=1000).p95().unwrap();
        assert!((950..=1140).contains(&p95), "{p95}");
        let median = taught(1..=1000).median().unwrap();
        assert!((500..=640).contains(&median), "{median}");
    }

    #[test]
    fn one_long_answer_in_a_hundred_does_not_set_the_quantile() {
        let p95 = taught((0..500).map(|i| if i % 100 == 7 { 100_000 } else { 200 })).p95().unwrap();
        assert!((200..=240).contains(&p95), "{p95}");
    }

    #[test]
    fn a_changed_workload_is_learnt_and_the_old_one_forgotten() {
        let mut predictor = taught([50; 5000]);
        (0..3000).for_each(|_| predictor.observe(4000));
        assert!(predictor.p95().unwrap() >= 4000);
        (0..20_000).for_each(|_| predictor.observe(50));
        assert!(predictor.p95().unwrap() <= 60);
    }

    proptest! {
        #[test]
        fn a_bucket_ends_at_most_a_quarter_above_what_falls_in_it(output in 0u64..900_000) {
            let end = upper_end(bucket(output));
            prop_assert!(end >= output);
            prop_assert!(end <= 16 || end <= output + output / 4 + 1);
        }

        #[test]
        fn any_output_is_taken(outputs in proptest::collection::vec(any::<u64>(), 0..50)) {
            let _ = taught(outputs).p95();
        }
    }
}
