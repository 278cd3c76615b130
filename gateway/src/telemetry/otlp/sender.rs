//! Tells a collector what waits, batch after batch, on a thread of its own. What it does not take is lost, and counted; how
//! much is said once in a while.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use super::queue::{Fate, Queue, Weighs};
use crate::telemetry::redact::Redactor;

/// A batch may take so long, whatever its exporter thinks of connections that do not come about.
const LIMIT: Duration = Duration::from_secs(15);
/// No more often than this it is said that something was lost.
const SAID: Duration = Duration::from_secs(30);

/// One signal's way to the collector.
pub(super) trait Export {
    /// What is told.
    type Item: Weighs + Send;
    /// Its name.
    const SIGNAL: &'static str;
    /// Tells all of it, without secrets; why that failed. It ends in time by itself.
    async fn export(&mut self, batch: Vec<Self::Item>, redactor: &Redactor) -> Result<(), String>;
}

/// Until the queue is closed and empty.
pub(super) async fn send<E: Export>(queue: Arc<Queue<E::Item>>, mut to: E, redactor: Arc<ArcSwap<Redactor>>) {
    let mut losses = Losses::default();
    while let Some(batch) = queue.next().await {
        let count = batch.len() as u64;
        let redactor = redactor.load_full();
        let exported = tokio::time::timeout(LIMIT, to.export(batch, &redactor)).await;
        let outcome = exported.unwrap_or_else(|_| Err("no answer in time".to_owned()));
        let counter = if outcome.is_ok() { &queue.told.sent } else { &queue.told.failed };
        counter.fetch_add(count, Ordering::Relaxed);
        losses.say(E::SIGNAL, &queue.told, outcome.err(), Instant::now());
    }
}

/// What has been said of losses.
#[derive(Debug, Default)]
struct Losses {
    told: u64,
    at: Option<Instant>,
}

impl Losses {
    fn say(&mut self, signal: &str, fate: &Fate, error: Option<String>, now: Instant) {
        if let Some(lost) = self.due(fate, now) {
            let error = error.unwrap_or_default();
            tracing::warn!(target: "weir::telemetry", signal, lost, error, "the collector did not get everything");
        }
    }

    /// How much was lost that has not been said, if it is time to say so.
    fn due(&mut self, fate: &Fate, now: Instant) -> Option<u64> {
        let lost = fate.dropped.load(Ordering::Relaxed) + fate.failed.load(Ordering::Relaxed);
        let is_time = self.at.is_none_or(|at| now.saturating_duration_since(at) >= SAID);
        if lost == self.told || !is_time {
            return None;
        }
        self.at = Some(now);
        Some(lost - std::mem::replace(&mut self.told, lost))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Broken on purpose to see it fail: said at every batch; what was lost meanwhile forgotten.
    #[test]
    fn losses_are_said_at_once_and_then_once_in_a_while() {
        let (fate, mut losses, begun) = (Fate::default(), Losses::default(), Instant::now());
        assert_eq!(losses.due(&fate, begun), None);
        fate.dropped.store(3, Ordering::Relaxed);
        assert_eq!(losses.due(&fate, begun), Some(3));
        fate.failed.store(4, Ordering::Relaxed);
        assert_eq!(losses.due(&fate, begun + SAID / 2), None);
        assert_eq!(losses.due(&fate, begun + SAID), Some(4));
        assert_eq!(losses.due(&fate, begun + 3 * SAID), None);
    }
}
