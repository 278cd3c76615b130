//! How a deployment behaves, as one replica has seen it: how soon it answers, how fast it goes on, how often it fails.
//!
//! The time to the first token and the time per token after it are kept apart, for the time of a whole answer mostly tells
//! how long the answer was. Failures are counted apart; what they cost is reckoned where times are compared, so that one
//! who fails at once does not look fast. What is old fades: a deployment that was left alone is tried again.

use std::collections::VecDeque;
use std::time::Duration;

use crate::config::{Measure, Statistic};

/// Older samples say nothing, ms.
const FRESH: Ms = 60_000;
/// Old failures count half after so long, ms.
const HALF: f64 = 60_000.0;
/// Decay of a peak to its e-th part, ms.
const DECAY: f64 = 10_000.0;
/// A quantile is good for so long, ms: a decision looks at many.
const KEPT: Ms = 50;
/// Attempts that went well before the first was seen: one failure of few says little.
const PRIOR: f64 = 10.0;
/// Of fewer samples a high quantile says nothing.
const FEW: usize = 20;
const MEDIAN: Measure = Measure { window: 100, statistic: Statistic::Quantile(0.5) };

/// A time by a clock that never goes back, ms.
pub type Ms = u64;

/// One deployment, as seen from here; at first nothing is known.
#[derive(Debug, Default)]
pub struct Behaviour {
    first: Track,
    token: Track,
    failures: Failures,
}

/// How an attempt went that was answered.
#[derive(Clone, Copy, Debug)]
pub struct Answered {
    /// From sending to the first content, if it was streamed.
    pub first: Option<Duration>,
    /// From sending to the end.
    pub whole: Duration,
    /// Tokens of output, if they are known.
    pub output: Option<u64>,
}

impl Behaviour {
    /// An attempt was answered in full.
    pub fn answered(&mut self, answered: Answered, now: Ms) {
        self.failures.note(false, now);
        let (whole, output) = (answered.whole.as_secs_f64(), answered.output.filter(|output| *output > 0));
        let first = match (answered.first, output) {
            (Some(first), _) => first.as_secs_f64(),
            // What has no tokens (embeddings) is there at once.
            (None, None) => whole,
            // Of a plain answer nobody knows when it began; streams tell how long that takes.
            (None, Some(_)) => self.first.value(MEDIAN, now).unwrap_or(0.0),
        };
        if answered.first.is_some() || output.is_none() {
            self.first.note(first, now);
        }
        if let Some(output) = output {
            self.token.note((whole - first).max(0.0) / output as f64, now);
        }
    }

    /// An attempt failed.
    pub fn failed(&mut self, now: Ms) {
        self.failures.note(true, now);
    }

    /// How long an answer of `output` tokens takes, seconds; none if nothing fresh is known.
    pub fn time(&mut self, output: u64, by: Measure, now: Ms) -> Option<f64> {
        let (first, token) = (self.first.value(by, now), self.token.value(by, now));
        first.or(token)?;
        Some(first.unwrap_or(0.0) + token.unwrap_or(0.0) * output as f64)
    }

    /// What 95 of the last hundred streams stayed within to their first content, seconds; none if there are few.
    pub fn first_within(&mut self, now: Ms) -> Option<f64> {
        if self.first.fresh(now) < FEW {
            return None;
        }
        self.first.value(Measure { window: 100, statistic: Statistic::Quantile(0.95) }, now)
    }

    /// The share of attempts that fail.
    pub fn errors(&self, now: Ms) -> f64 {
        self.failures.share(now)
    }
}

/// The last samples of one time, and what they come to.
#[derive(Debug, Default)]
struct Track {
    samples: VecDeque<(Ms, f64)>,
    /// A mean that follows peaks at once and decays slowly (Finagle's peak EWMA).
    peak: f64,
    kept: Option<(Ms, Measure, Option<f64>)>,
}

impl Track {
    fn note(&mut self, seconds: f64, now: Ms) {
        let age = self.samples.back().map_or(Ms::MAX, |last| now.saturating_sub(last.0));
        let weight = (-(age as f64) / DECAY).exp();
        self.peak = seconds.max(self.peak * weight + seconds * (1.0 - weight));
        if self.samples.len() == Measure::MOST_WINDOW {
            self.samples.pop_front();
        }
        self.samples.push_back((now, seconds));
    }

    fn value(&mut self, by: Measure, now: Ms) -> Option<f64> {
        match self.kept {
            Some((at, same, value)) if same == by && now.saturating_sub(at) < KEPT => value,
            _ => {
                let value = self.reckon(by, now);
                self.kept = Some((now, by, value));
                value
            }
        }
    }

    /// How many samples count.
    fn fresh(&self, now: Ms) -> usize {
        self.samples.iter().rev().take_while(|sample| now.saturating_sub(sample.0) < FRESH).count()
    }

    fn reckon(&self, by: Measure, now: Ms) -> Option<f64> {
        let fresh = |sample: &&(Ms, f64)| now.saturating_sub(sample.0) < FRESH;
        let fresh = self.samples.iter().rev().take(by.window).take_while(fresh);
        let rank = match by.statistic {
            Statistic::PeakEwma => return fresh.last().map(|_| self.peak),
            Statistic::Quantile(rank) => rank,
        };
        let mut seconds: Vec<f64> = fresh.map(|sample| sample.1).collect();
        let last = seconds.len().checked_sub(1)?;
        let at = (last as f64 * rank).ceil() as usize;
        Some(*seconds.select_nth_unstable_by(at, f64::total_cmp).1)
    }
}

/// Failures and attempts, the older the less they count.
#[derive(Clone, Copy, Debug, Default)]
struct Failures {
    failed: f64,
    all: f64,
    at: Ms,
}

impl Failures {
    fn note(&mut self, failed: bool, now: Ms) {
        let weight = self.weight(now);
        self.failed = self.failed * weight + f64::from(u8::from(failed));
        self.all = self.all * weight + 1.0;
        self.at = now;
    }

    fn weight(&self, now: Ms) -> f64 {
        (-(now.saturating_sub(self.at) as f64) / HALF).exp2()
    }

    fn share(&self, now: Ms) -> f64 {
        let weight = self.weight(now);
        self.failed * weight / (self.all * weight + PRIOR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Ms = 1_000_000;
    const SECOND: Ms = 1_000;

    fn by(rank: f64) -> Measure {
        Measure { window: 100, statistic: Statistic::Quantile(rank) }
    }

    fn stream(first_ms: u64, whole_ms: u64, output: u64) -> Answered {
        let (first, whole) = (Duration::from_millis(first_ms), Duration::from_millis(whole_ms));
        Answered { first: Some(first), whole, output: Some(output) }
    }

    #[test]
    fn the_first_token_and_the_others_are_told_apart() {
        let (mut seen, now) = (Behaviour::default(), NOW);
        for _ in 0..5 {
            seen.answered(stream(500, 1_500, 100), now);
        }
        for (output, seconds) in [(0, 0.5), (100, 1.5), (1_000, 10.5)] {
            let time = seen.time(output, by(0.5), now).unwrap();
            assert!((time - seconds).abs() < 1e-9, "{output} tokens in {time} s");
        }
    }

    #[test]
    fn a_plain_answer_tells_the_time_per_token_once_streams_told_the_first() {
        let (mut seen, now) = (Behaviour::default(), NOW);
        seen.answered(stream(500, 500, 0), now);
        seen.answered(Answered { first: None, ..stream(0, 1_500, 100) }, now);
        assert_eq!(seen.time(200, by(0.5), now), Some(2.5));
        let mut alone = Behaviour::default();
        alone.answered(Answered { first: None, ..stream(0, 1_500, 100) }, now);
        assert_eq!(alone.time(200, by(0.5), now), Some(3.0));
    }

    #[test]
    fn quantiles_are_of_the_last_samples() {
        for (rank, due) in [(0.5, 0.150), (0.95, 0.195), (0.99, 0.199)] {
            let (mut seen, now) = (Behaviour::default(), NOW);
            (1..=200).for_each(|ms| seen.answered(stream(ms, ms, 0), now));
            let time = seen.time(0, by(rank), now).unwrap();
            assert!((time - due).abs() < 0.002, "{rank}: {time}");
        }
    }

    #[test]
    fn a_peak_is_followed_at_once_and_decays() {
        let (mut seen, now) = (Behaviour::default(), NOW);
        let peak = Measure { window: 100, statistic: Statistic::PeakEwma };
        seen.answered(stream(100, 100, 0), now);
        seen.answered(stream(2_000, 2_000, 0), now + SECOND);
        assert_eq!(seen.time(0, peak, now + SECOND), Some(2.0));
        (2..30).for_each(|at| seen.answered(stream(100, 100, 0), now + at * SECOND));
        let time = seen.time(0, peak, now + 30 * SECOND).unwrap();
        assert!(time > 0.1 && time < 0.3, "{time}");
    }

    #[test]
    fn failures_are_counted_and_change_no_time() {
        let (mut seen, now) = (Behaviour::default(), NOW);
        (0..20).for_each(|_| seen.answered(stream(100, 100, 0), now));
        (0..3).for_each(|_| seen.failed(now));
        assert_eq!(seen.time(0, by(0.95), now), Some(0.1));
        assert!((seen.errors(now) - 3.0 / 33.0).abs() < 1e-9);
    }

    #[test]
    fn what_has_no_tokens_is_there_at_once() {
        let mut seen = Behaviour::default();
        seen.answered(Answered { first: None, output: Some(0), ..stream(0, 70, 0) }, NOW);
        assert_eq!(seen.time(0, by(0.5), NOW), Some(0.07));
    }

    /// Broken on purpose to see it fail: old ones counted among those that must be there.
    #[test]
    fn what_few_streams_took_says_nothing() {
        let (mut seen, now) = (Behaviour::default(), NOW);
        (1..FEW).for_each(|_| seen.answered(stream(100, 100, 0), now));
        assert_eq!(seen.first_within(now), None);
        seen.answered(stream(100, 100, 0), now);
        assert_eq!(seen.first_within(now), Some(0.1));
        seen.answered(stream(9_000, 9_000, 0), now + 61 * SECOND);
        assert_eq!(seen.first_within(now + 61 * SECOND), None);
    }

    #[test]
    fn what_is_old_fades() {
        let (mut seen, now) = (Behaviour::default(), NOW);
        (0..90).for_each(|_| seen.answered(stream(9_000, 9_000, 0), now));
        (0..90).for_each(|_| seen.failed(now));
        assert!(seen.errors(now) > 0.45 && seen.errors(now + 600 * SECOND) < 0.01);
        assert_eq!(seen.time(0, by(0.95), now + 61 * SECOND), None);
        seen.answered(stream(100, 100, 0), now + 61 * SECOND);
        assert_eq!(seen.time(0, by(0.95), now + 62 * SECOND), Some(0.1), "what came before says nothing");
    }
}
