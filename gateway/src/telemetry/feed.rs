//! Calls for who watches them on the dashboard: the last ones, and what all have come to. While nobody watches nothing is kept,
//! and a call pays a relaxed load. Nothing of what calls say is in it, and nothing of who their clients are but the tenant.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::{Record, log};
use crate::clock::unix_ms;
use crate::experiment::{Ending, Measures};
use crate::state::core::SessionOutcome;

/// So many calls are kept, and so many of those that failed beside them.
const KEPT: usize = 128;
const FAILED: usize = 64;

/// One call that has ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Seen {
    /// Which one of this replica, from 1.
    pub seq: u64,
    /// When it ended, Unix milliseconds.
    pub at: u64,
    /// Its `x-request-id`.
    pub id: String,
    /// Who pays; empty for an anonymous call.
    pub tenant: String,
    /// Which call.
    pub api: String,
    /// Which model, of the configuration.
    pub model: String,
    /// Where it went last; empty if nowhere.
    pub deployment: String,
    /// HTTP status.
    pub status: u16,
    /// `ok`, an error's kind, or how a stream ended.
    pub outcome: String,
    /// It was not served, and not by its own fault nor by its limits.
    pub failed: bool,
    /// Attempts sent.
    pub attempts: u32,
    /// The answer was a stream.
    pub stream: bool,
    /// From the request to its end, milliseconds.
    pub took: f64,
    /// To the first content.
    pub first: Option<f64>,
    /// Waiting for room.
    pub waited: f64,
    /// Tokens before the model, those of them that its provider had cached, and by the model.
    pub tokens: Option<[u64; 3]>,
    /// US$, of what has a known price.
    pub cost: f64,
    /// Not all of it has one.
    pub unpriced: bool,
    /// What became of its session; empty without one.
    pub session: String,
    /// Its experiment and variant.
    pub variant: Option<(String, String)>,
    /// Why it went there; empty if its first candidate served it.
    pub why: String,
}

/// What the calls of a replica have come to since it is watched.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sums {
    /// Since when, Unix milliseconds.
    pub since: u64,
    /// All of them.
    pub all: Measures,
    /// Attempts.
    pub attempts: u64,
    /// Input tokens that providers had cached.
    pub cached: u64,
    /// Sessions that stayed, began and moved.
    pub sessions: [u64; 3],
    /// By deployment: calls that ended there, and those that failed.
    pub deployments: BTreeMap<String, [u64; 2]>,
    /// By model: calls, those that failed, and those that were refused.
    pub models: BTreeMap<String, [u64; 3]>,
}

/// What a replica keeps for who watches.
#[derive(Debug, Default)]
pub struct Feed {
    watched: AtomicBool,
    kept: Mutex<Kept>, // short sections
}

#[derive(Debug, Default)]
struct Kept {
    seq: u64,
    calls: VecDeque<Seen>,
    failed: VecDeque<Seen>, // of many calls between two looks these are not to be crowded out
    sums: Sums,
}

impl Feed {
    /// Whether anybody watches, from now on. Who begins finds nothing of before.
    pub fn watch(&self, is: bool) {
        if self.watched.swap(is, Ordering::Relaxed) == is {
            return;
        }
        let mut kept = self.kept.lock();
        kept.calls.clear();
        kept.failed.clear();
        kept.sums = Sums { since: unix_ms(), ..Sums::default() };
    }

    /// A call has ended.
    pub(super) fn call(&self, record: &Record, took: Duration) {
        if self.watched.load(Ordering::Relaxed) {
            self.keep(record, took);
        }
    }

    /// The last calls, the oldest first: those that failed before others, where there are more than `most`.
    pub fn last(&self, most: usize) -> Vec<Seen> {
        let kept = self.kept.lock();
        let newest = kept.failed.iter().rev().chain(kept.calls.iter().rev());
        let mut chosen: Vec<Seen> = newest.take(most).cloned().collect();
        drop(kept);
        chosen.sort_unstable_by_key(|seen| seen.seq);
        chosen
    }

    /// What all have come to.
    pub fn sums(&self) -> Sums {
        self.kept.lock().sums.clone()
    }

    fn keep(&self, record: &Record, took: Duration) {
        let sample = record.sample(took);
        let failed = sample.ending == Ending::Failed;
        let mut seen = seen(record, took, failed);
        let mut kept = self.kept.lock();
        kept.seq += 1;
        seen.seq = kept.seq;
        let sums = &mut kept.sums;
        sums.attempts += u64::from(record.attempts);
        sums.cached += record.usage.map_or(0, |usage| usage.cached_input);
        let session = match record.session {
            SessionOutcome::None => None,
            SessionOutcome::Hit => Some(0),
            SessionOutcome::New => Some(1),
            SessionOutcome::Moved => Some(2),
        };
        session.into_iter().for_each(|at| sums.sessions[at] += 1);
        let failed = u64::from(failed);
        if !record.deployment.is_empty() {
            let ended = of(&mut sums.deployments, &record.deployment);
            *ended = [ended[0] + 1, ended[1] + failed];
        }
        if !record.model.is_empty() {
            let refused = u64::from(sample.ending == Ending::Refused);
            let ended = of(&mut sums.models, &record.model);
            *ended = [ended[0] + 1, ended[1] + failed, ended[2] + refused];
        }
        sums.all.note(sample);
        let Kept { calls, failed, .. } = &mut *kept;
        let (ring, most) = if seen.failed { (failed, FAILED) } else { (calls, KEPT) };
        if ring.len() == most {
            ring.pop_front();
        }
        ring.push_back(seen);
    }
}

fn of<'m, T: Default>(all: &'m mut BTreeMap<String, T>, name: &str) -> &'m mut T {
    all.entry(name.to_owned()).or_default()
}

fn seen(record: &Record, took: Duration, failed: bool) -> Seen {
    let ms = |time: Duration| (time.as_secs_f64() * 1e4).round() / 10.0;
    let explanation = &record.explanation;
    Seen {
        seq: 0,
        at: unix_ms(),
        id: record.id.clone(),
        tenant: record.tenant.to_string(),
        api: record.api.to_owned(),
        model: record.model.to_string(),
        deployment: record.deployment.to_string(),
        status: record.status,
        outcome: record.outcome.to_owned(),
        failed,
        attempts: record.attempts,
        stream: record.stream,
        took: ms(took),
        first: record.first_token.map(ms),
        waited: ms(record.waited),
        tokens: record.usage.map(|usage| [usage.input, usage.cached_input, usage.output]),
        cost: record.cost,
        unpriced: record.is_cost_unknown,
        session: match record.session {
            SessionOutcome::None => String::new(),
            outcome => log::session(outcome).to_owned(),
        },
        variant: record.assigned.as_ref().map(|of| (of.experiment.to_string(), of.name.to_string())),
        why: if explanation.is_empty() && explanation.rule.is_none() {
            String::new()
        } else {
            explanation.log()
        },
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::{Explanation, Metrics, Why};
    use super::*;

    fn end(metrics: &Arc<Metrics>, served: bool) {
        let mut record = Record::new(metrics.clone(), "req_1".into());
        record.client = Some("192.0.2.7".parse().unwrap());
        (record.tenant, record.model, record.deployment) = ("t".into(), "m".into(), "d".into());
        record.attempts = 1;
        if served {
            record.ok();
            record.session = SessionOutcome::Hit;
        } else {
            (record.status, record.outcome) = (502, "upstream_failed");
            record.explanation = Explanation::default();
            record.explanation.add(&"d".into(), Why::Tried("broken"));
        }
    }

    /// Broken on purpose to see it fail: kept whoever watches; not begun anew.
    #[test]
    fn nothing_is_kept_while_nobody_watches() {
        let metrics = Arc::new(Metrics::new().unwrap());
        end(&metrics, true);
        assert!(metrics.feed.last(10).is_empty() && metrics.feed.sums().all.calls == 0.0);
        metrics.feed.watch(true);
        end(&metrics, true);
        end(&metrics, false);
        metrics.feed.watch(true); // as before
        let sums = metrics.feed.sums();
        assert_eq!((sums.all.calls, sums.all.failed, sums.attempts, sums.sessions), (2.0, 1.0, 2, [1, 0, 0]));
        assert_eq!((sums.deployments["d"], sums.models["m"]), ([2, 1], [2, 1, 0]));
        let last = metrics.feed.last(10);
        assert_eq!(
            last.iter().map(|seen| (seen.seq, seen.failed)).collect::<Vec<_>>(),
            [(1, false), (2, true)]
        );
        assert_eq!((&*last[1].why, &*last[0].why), ("d: taken, broken", ""));
        metrics.feed.watch(false);
        end(&metrics, true);
        metrics.feed.watch(true);
        assert!(metrics.feed.last(10).is_empty() && metrics.feed.sums().all.calls == 0.0);
    }

    /// Broken on purpose to see it fail: no bound; the newest whatever they came to; one ring for all (the first that failed was gone).
    #[test]
    fn few_are_kept_and_those_that_failed_are_seen_first() {
        let metrics = Arc::new(Metrics::new().unwrap());
        metrics.feed.watch(true);
        (0..300).for_each(|at| end(&metrics, at != 80 && at != 250));
        assert_eq!(metrics.feed.last(1_000).len(), KEPT + 2);
        let last: Vec<(u64, bool)> =
            metrics.feed.last(4).iter().map(|seen| (seen.seq, seen.failed)).collect();
        assert_eq!(last, [(81, true), (251, true), (299, false), (300, false)]);
        assert_eq!(metrics.feed.last(1)[0].seq, 251);
        (0..300).for_each(|_| end(&metrics, false));
        assert_eq!(metrics.feed.last(1_000).len(), KEPT + FAILED);
    }

    #[test]
    fn what_is_seen_reads_back_and_names_no_client() {
        let metrics = Arc::new(Metrics::new().unwrap());
        metrics.feed.watch(true);
        end(&metrics, false);
        let text = serde_json::json!(metrics.feed.last(1)).to_string();
        assert_eq!(serde_json::from_str::<Vec<Seen>>(&text).unwrap(), metrics.feed.last(1));
        assert!(!text.contains("192.0.2.7"), "{text}");
        let sums = metrics.feed.sums();
        let text = serde_json::json!(sums).to_string();
        assert_eq!(serde_json::from_str::<Sums>(&text).unwrap(), sums);
    }
}
