//! The specification as a backend: one core in this process, shared by its replicas.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::core::{Command, Ms, Reply, State};
use super::places::Notes;

/// Pins are swept when there are more than this and twice as many as after the last sweep.
const SWEEP_ABOVE: usize = 4_096;

/// In-process capacity state.
#[derive(Debug)]
pub struct Local {
    started: Instant,
    inner: Mutex<Inner>, // short sections, never across an await
    notes: Mutex<Notes>, // the same
}

#[derive(Debug)]
struct Inner {
    state: State,
    swept: usize,
}

impl Default for Local {
    fn default() -> Local {
        let state = State::new(1, 1);
        Local {
            started: Instant::now(),
            inner: Mutex::new(Inner { state, swept: 0 }),
            notes: Mutex::default(),
        }
    }
}

impl Local {
    /// A copy of the state as of now.
    pub fn snapshot(&self) -> State {
        let now = 1 + self.started.elapsed().as_millis() as Ms;
        let mut state = self.inner.lock().state.clone();
        state.clock.advance(now, 0, 0);
        state
    }

    /// Keeps a string.
    pub fn note(&self, key: &str, value: &str, ttl: Duration) {
        self.notes.lock().put(key, value, ttl, Instant::now());
    }

    /// A string that was kept.
    pub fn recall(&self, key: &str) -> Option<String> {
        self.notes.lock().get(key, Instant::now())
    }

    /// One atomic step.
    pub fn run(&self, command: &Command) -> Reply {
        let now = 1 + self.started.elapsed().as_millis() as Ms;
        let mut inner = self.inner.lock();
        let reply = inner.state.step(command, now);
        if inner.state.pins.len() > SWEEP_ABOVE.max(2 * inner.swept) {
            inner.state.forget_pins();
            inner.swept = inner.state.pins.len();
        }
        reply
    }
}
