//! How often a call is attempted, and how long each attempt may take.

use std::time::Duration;

/// `timeouts`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// TCP and TLS.
    pub connect: Duration,
    /// From the end of connect to the first content. Where no other deployment would be tried after that, it is waited for
    /// until `total`.
    pub first_token: Duration,
    /// From the first content of a stream to its sixteenth token; none: it is not waited for. A stream that is slower is left
    /// for another deployment while the client has seen nothing of it.
    pub steady: Option<Duration>,
    /// Between two reads of an answer.
    pub idle: Duration,
    /// Of one attempt; on a model, of the whole call.
    pub total: Duration,
}

/// `retry`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Attempts in all.
    pub attempts: u32,
    /// Further attempts at deployments that fail, beside the model's calls, millionths ([`crate::route::budget`]).
    pub budget: u64,
    /// First back-off (full jitter, doubling).
    pub base: Duration,
    /// No back-off is longer.
    pub max: Duration,
    /// An attempt that fails later than this ends the call; none: no failure is too slow to try elsewhere.
    pub slow_after: Option<Duration>,
}

impl Retry {
    /// Does the budget forbid anything that the number of attempts allows?
    pub fn is_bounded(&self) -> bool {
        self.budget < 1_000_000 * u64::from(self.attempts.saturating_sub(1))
    }

    /// Has a failure taken so long that the call is tried nowhere else?
    pub fn is_slow(&self, took: Duration) -> bool {
        self.slow_after.is_some_and(|most| took > most)
    }
}

/// One of a model's `tiers`: what is set for all of its deployments of one `priority`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tier {
    /// Of which.
    pub priority: u32,
    /// Attempts in this tier, of all that the call has.
    pub attempts: u32,
}
