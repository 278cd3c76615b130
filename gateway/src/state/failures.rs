//! How often the shared state did not answer a message, by reason.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Away;

/// The reasons, in metrics.
const REASONS: [&str; 5] = ["not_connected", "timed_out", "failed", "broken", "other_layout"];

/// So many of each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Failures([u64; REASONS.len()]);

impl Failures {
    /// What came since, by reason, each of them: that none came shows in metrics as well.
    pub fn since(self, before: Failures) -> impl Iterator<Item = (&'static str, u64)> {
        let more = self.0.into_iter().zip(before.0).map(|(now, before)| now.saturating_sub(before));
        REASONS.into_iter().zip(more)
    }
}

/// They are counted here.
#[derive(Debug, Default)]
pub(super) struct Counting([AtomicU64; REASONS.len()]);

impl Counting {
    /// One more; that the state learns is an answer.
    pub(super) fn note(&self, away: &Away) {
        let reason = match away {
            Away::NotConnected => 0,
            Away::TimedOut => 1,
            Away::Failed(_) => 2,
            Away::Broken(_) => 3,
            Away::OtherLayout => 4,
            Away::Learning => return,
        };
        self.0[reason].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn so_far(&self) -> Failures {
        Failures(std::array::from_fn(|at| self.0[at].load(Ordering::Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_told_apart_and_told_once() {
        let counting = Counting::default();
        let all = [
            Away::TimedOut,
            Away::TimedOut,
            Away::Learning,
            Away::Failed("ERR".into()),
            Away::NotConnected,
            Away::OtherLayout,
        ];
        let before = counting.so_far();
        all.iter().for_each(|away| counting.note(away));
        let now = counting.so_far();
        let told: Vec<_> = now.since(before).collect();
        let expected =
            [("not_connected", 1), ("timed_out", 2), ("failed", 1), ("broken", 0), ("other_layout", 1)];
        assert_eq!(told, expected);
        assert!(now.since(now).all(|(_, more)| more == 0));
    }
}
