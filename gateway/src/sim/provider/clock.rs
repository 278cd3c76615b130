//! Time for the arrival log: Unix microseconds that never step.
//!
//! The wall clock is read once, at the start; afterwards only the monotonic clock moves it on, so that an NTP
//! step in the middle of a run cannot bend a window.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// A Unix clock in microseconds that only goes forward.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    origin: Instant,
    origin_us: u64,
}

impl Clock {
    pub(super) fn start() -> Self {
        // A wall clock before 1970 counts as 1970: only differences matter to the limits.
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { origin: Instant::now(), origin_us: micros(since_epoch) }
    }

    /// Unix time in microseconds.
    pub(super) fn now_us(&self) -> u64 {
        self.origin_us + micros(self.origin.elapsed())
    }
}

/// Whole microseconds of a duration, saturating.
pub(super) fn micros(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
