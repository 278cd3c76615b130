//! How each deployment stands, as this replica sees it: how it behaves, and how much of ours is in flight there.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use crate::clock::boot_ms;
use crate::config::Measure;
use crate::route::Outlook;
use crate::route::behaviour::{Answered, Behaviour};

/// One deployment's. It outlives reloads.
#[derive(Debug, Default)]
pub struct Standing {
    behaviour: Mutex<Behaviour>, // short sections
    busy: AtomicU32,
}

impl Standing {
    /// What a call with so much output is to expect.
    pub fn outlook(&self, output: u64, by: Measure) -> Outlook {
        let (mut behaviour, now) = (self.behaviour.lock(), boot_ms());
        Outlook {
            time: behaviour.time(output, by, now),
            errors: behaviour.errors(now),
            busy: self.busy.load(Ordering::Relaxed),
        }
    }

    /// An attempt was answered in full: its first content, if it was streamed, and its end came so long after it was sent;
    /// `output` are the tokens of a choice, if they are known.
    pub fn answered(&self, first: Option<Duration>, whole: Duration, output: Option<u64>) {
        self.behaviour.lock().answered(Answered { first, whole, output }, boot_ms());
    }

    /// An attempt failed, and its deployment is to blame.
    pub fn failed(&self) {
        self.behaviour.lock().failed(boot_ms());
    }

    /// An attempt is in flight, until what this returns is dropped.
    pub fn busy(self: &Arc<Standing>) -> Busy {
        self.busy.fetch_add(1, Ordering::Relaxed);
        Busy(self.clone())
    }
}

/// An attempt in flight.
#[derive(Debug)]
pub struct Busy(Arc<Standing>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_flight_is_counted_until_it_is_dropped() {
        let standing = Arc::new(Standing::default());
        let measure = Measure { window: 10, statistic: crate::config::Statistic::PeakEwma };
        let (one, other) = (standing.busy(), standing.busy());
        assert_eq!(standing.outlook(1, measure).busy, 2);
        drop(one);
        assert_eq!(standing.outlook(1, measure).busy, 1);
        drop(other);
        assert_eq!(standing.outlook(1, measure).busy, 0);
    }
}
