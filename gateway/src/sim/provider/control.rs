//! What can change while the provider runs: timing, output length and injected failures (`POST /_control`).

use super::faults::{Fault, FaultPlan};
use super::options::{Options, Span, parse_share};
use serde::Deserialize;
use std::time::Duration;

/// Of which kinds tokens are said to be, in shares.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kinds {
    cached: f64,
    written: f64,
    reasoning: f64,
}

/// The input of a call by its kinds, tokens.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Input {
    pub(super) all: u64,
    pub(super) cached: u64,
    pub(super) written: u64,
}

impl Kinds {
    /// An input of so many tokens.
    pub(super) fn input(self, all: u64) -> Input {
        let cached = (all as f64 * self.cached) as u64;
        Input { all, cached, written: ((all - cached) as f64 * self.written) as u64 }
    }

    /// How much of so many tokens of output was reasoning.
    pub(super) fn reasoning(self, output: u64) -> u64 {
        (output as f64 * self.reasoning) as u64
    }
}

/// How answers are made, as one snapshot per call.
#[derive(Debug)]
pub(super) struct Behaviour {
    pub(super) latency: Duration,
    pub(super) pace: Duration,
    pub(super) jitter: f64,
    pub(super) output: Span,
    pub(super) kinds: Kinds,
    pub(super) service: String,
    pub(super) faults: FaultPlan,
    /// What `faults` was made from.
    written: Vec<Fault>,
}

impl Behaviour {
    pub(super) fn new(options: &Options) -> Result<Self, String> {
        Ok(Self {
            latency: options.latency,
            pace: options.pace,
            jitter: options.jitter,
            output: options.output,
            kinds: Kinds { cached: options.cached, written: options.written, reasoning: options.reasoning },
            service: options.service.clone(),
            faults: FaultPlan::new(options.faults.clone())?,
            written: options.faults.clone(),
        })
    }

    /// A wait of about `mean`, spread by the jitter.
    pub(super) fn wait(&self, mean: Duration, rng: &mut fastrand::Rng) -> Duration {
        if self.jitter == 0.0 || mean.is_zero() {
            return mean;
        }
        mean.mul_f64(1.0 + self.jitter * (2.0 * rng.f64() - 1.0))
    }

    /// This behaviour with a change applied; what the change does not name stays.
    pub(super) fn with(&self, change: Change) -> Result<Self, String> {
        let written = match change.fail {
            Some(faults) => faults.iter().map(|fault| fault.parse()).collect::<Result<Vec<Fault>, _>>()?,
            None => self.written.clone(),
        };
        let duration = |text: Option<String>, now: Duration| match text {
            Some(text) => humantime::parse_duration(&text).map_err(|error| format!("`{text}`: {error}")),
            None => Ok(now),
        };
        Ok(Self {
            latency: duration(change.latency, self.latency)?,
            pace: duration(change.pace, self.pace)?,
            jitter: change.jitter.map_or(Ok(self.jitter), |jitter| parse_share(&jitter.to_string()))?,
            output: change.output.map_or(Ok(self.output), |output| output.parse())?,
            kinds: self.kinds,
            service: self.service.clone(),
            faults: FaultPlan::new(written.clone())?,
            written,
        })
    }
}

/// A change of behaviour. Values are written as on the command line; `fail` replaces all failures, and any
/// change starts the counts of `times` anew.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// Injected failures; an empty list ends all.
    pub fail: Option<Vec<String>>,
    /// Time before headers, such as `20ms`.
    pub latency: Option<String>,
    /// Time between tokens of a stream.
    pub pace: Option<String>,
    /// Spread of both, 0 to 1.
    pub jitter: Option<f64>,
    /// Output length, such as `20..60`.
    pub output: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_leaves_the_rest_as_it_was() {
        let options = Options { faults: vec!["cut=mid".parse().unwrap()], ..Options::default() };
        let before = Behaviour::new(&options).unwrap();
        let change = Change { latency: Some("1s".into()), output: Some("3".into()), ..Change::default() };
        let after = before.with(change).unwrap();
        assert_eq!((after.latency, after.pace), (Duration::from_secs(1), before.pace));
        assert_eq!(after.output, Span { low: 3, high: 3 });
        assert!(after.faults.pick(0.0, super::super::faults::Route::Chat).is_some());
        let healed = after.with(Change { fail: Some(Vec::new()), ..Change::default() }).unwrap();
        assert!(healed.faults.pick(0.0, super::super::faults::Route::Chat).is_none());
        assert!(before.with(Change { pace: Some("soon".into()), ..Change::default() }).is_err());
        assert!(before.with(Change { jitter: Some(2.0), ..Change::default() }).is_err());
    }

    #[test]
    fn jitter_spreads_a_wait_around_its_mean() {
        let options = Options { jitter: 0.5, ..Options::default() };
        let behaviour = Behaviour::new(&options).unwrap();
        let mut rng = fastrand::Rng::with_seed(7);
        let mean = Duration::from_millis(100);
        let waits: Vec<Duration> = (0..100).map(|_| behaviour.wait(mean, &mut rng)).collect();
        assert!(waits.iter().all(|wait| (50..=150).contains(&wait.as_millis())));
        assert!(waits.iter().any(|wait| *wait < mean) && waits.iter().any(|wait| *wait > mean));
    }
}
