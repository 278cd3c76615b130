//! Do all threads of this replica still run? For systemd's watchdog, and for what a stall of this replica must not be blamed on
//! others.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::boot_ms;

/// A beat that is later than this after the one before it was late: this process stood still.
const LATE: u64 = 1_500;

/// When each worker was last seen to run, and when one was late.
#[derive(Debug)]
pub struct Pulse(Vec<AtomicU64>, AtomicU64);

impl Pulse {
    /// Of so many workers, all of which run now.
    pub fn new(workers: usize) -> Pulse {
        Pulse((0..workers).map(|_| AtomicU64::new(boot_ms())).collect(), AtomicU64::new(0))
    }

    /// A worker runs.
    pub fn beat(&self, worker: usize) {
        if let Some(beat) = self.0.get(worker) {
            let now = boot_ms();
            if now.saturating_sub(beat.swap(now, Ordering::Relaxed)) > LATE {
                self.1.fetch_max(now, Ordering::Relaxed);
            }
        }
    }

    /// Has this process stood still for long since `then`, ms of [`boot_ms`]? What was due meanwhile was not noticed in time.
    pub fn stood_still_since(&self, then: u64) -> bool {
        self.1.load(Ordering::Relaxed) >= then || !self.beats_within(Duration::from_millis(LATE))
    }

    /// Was every worker seen lately?
    pub fn beats_within(&self, time: Duration) -> bool {
        let now = boot_ms();
        let lately = |beat: &AtomicU64| {
            u128::from(now.saturating_sub(beat.load(Ordering::Relaxed))) <= time.as_millis()
        };
        self.0.iter().all(lately)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Broken on purpose once: one worker that beats was enough.
    #[test]
    fn a_worker_that_stands_still_is_noticed() {
        let pulse = Pulse::new(2);
        assert!(pulse.beats_within(Duration::from_secs(60)));
        pulse.0[1].fetch_sub(5_000, Ordering::Relaxed);
        assert!(pulse.beats_within(Duration::from_secs(60)));
        pulse.beat(0);
        assert!(!pulse.beats_within(Duration::from_secs(4)));
        let then = boot_ms();
        assert!(pulse.stood_still_since(then), "it does still");
        pulse.beat(1);
        assert!(pulse.beats_within(Duration::from_secs(4)));
        assert!(pulse.stood_still_since(then) && !pulse.stood_still_since(boot_ms() + 1));
    }
}
