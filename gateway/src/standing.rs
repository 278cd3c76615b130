//! How each deployment stands, as this replica sees it: how it behaves, and how much of ours is in flight there.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use crate::admit::trip;
use crate::clock::boot_ms;
use crate::config::{Deployment, Measure};
use crate::pulse::Pulse;
use crate::route::Outlook;
use crate::route::behaviour::{Answered, Behaviour};
use crate::shared::Shared;
use crate::state::Client;
use crate::state::core::{Ending, Trip};

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

    /// An attempt is in flight, until what this returns is dropped.
    pub fn busy(self: &Arc<Standing>, circuit: Option<Line>) -> Busy {
        self.busy.fetch_add(1, Ordering::Relaxed);
        Busy { standing: self.clone(), circuit, began: false }
    }
}

/// To whom it is told how an attempt ended.
#[derive(Debug)]
pub struct Line {
    client: Arc<Client>,
    pulse: Arc<Pulse>,
    begun: u64, // ms of `boot_ms`
    tag: u64,
    trip: Trip,
    permit: u64, // of a probe, until it is told what became of it
}

impl Line {
    /// Of an attempt at `deployment`, with the permit of a probe or 0; none if its circuit never opens.
    pub fn of(deployment: &Deployment, permit: u64, shared: &Shared) -> Option<Line> {
        let trip = trip(&deployment.circuit)?;
        let (client, pulse, tag) = (shared.client.clone(), shared.pulse.clone(), deployment.tag);
        Some(Line { client, pulse, begun: boot_ms(), tag, trip, permit })
    }

    fn tell(&mut self, mut ending: Ending) {
        // After a stall of this replica everything is late, whoever is fine.
        if ending == Ending::Wrong && self.pulse.stood_still_since(self.begun) {
            ending = Ending::Unknown;
        }
        let permit = std::mem::take(&mut self.permit);
        if ending != Ending::Unknown || permit > 0 {
            self.client.ended(self.tag, self.trip, ending, permit);
        }
    }
}

/// An attempt in flight.
#[derive(Debug)]
pub struct Busy {
    standing: Arc<Standing>,
    circuit: Option<Line>,
    began: bool,
}

impl Busy {
    /// Its answer has begun with content. A deployment that gets so far works.
    pub fn began(&mut self) {
        if !std::mem::replace(&mut self.began, true) {
            self.tell(Ending::Well);
        }
    }

    /// It was answered in full: its first content, if it was streamed, and its end came so long after it was sent;
    /// `output` are the tokens of a choice, if they are known.
    pub fn answered(&mut self, first: Option<Duration>, whole: Duration, output: Option<u64>) {
        self.began();
        self.standing.behaviour.lock().answered(Answered { first, whole, output }, boot_ms());
    }

    /// It failed, and its deployment is to blame; `opens`: in a way that opens circuits.
    pub fn failed(&mut self, opens: bool) {
        self.standing.behaviour.lock().failed(boot_ms());
        if opens {
            self.tell(Ending::Wrong);
        }
    }

    fn tell(&mut self, ending: Ending) {
        if let Some(line) = &mut self.circuit {
            line.tell(ending);
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.standing.busy.fetch_sub(1, Ordering::Relaxed);
        self.tell(Ending::Unknown); // a probe that nothing became of makes room for another
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_flight_is_counted_until_it_is_dropped() {
        let standing = Arc::new(Standing::default());
        let measure = Measure { window: 10, statistic: crate::config::Statistic::PeakEwma };
        let (one, other) = (standing.busy(None), standing.busy(None));
        assert_eq!(standing.outlook(1, measure).busy, 2);
        drop(one);
        assert_eq!(standing.outlook(1, measure).busy, 1);
        drop(other);
        assert_eq!(standing.outlook(1, measure).busy, 0);
    }
}
