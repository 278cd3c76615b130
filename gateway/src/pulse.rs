//! Do all threads of this replica still run? For systemd's watchdog.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::boot_ms;

/// When each worker was last seen to run.
#[derive(Debug)]
pub struct Pulse(Vec<AtomicU64>);

impl Pulse {
    /// Of so many workers, all of which run now.
    pub fn new(workers: usize) -> Pulse {
        Pulse((0..workers).map(|_| AtomicU64::new(boot_ms())).collect())
    }

    /// A worker runs.
    pub fn beat(&self, worker: usize) {
        if let Some(beat) = self.0.get(worker) {
            beat.store(boot_ms(), Ordering::Relaxed);
        }
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
        pulse.beat(1);
        assert!(pulse.beats_within(Duration::from_secs(4)));
    }
}
