//! The specification as a backend: one core in this process, shared by its replicas.

use std::time::{Duration, Instant};

use ahash::AHashMap;
use parking_lot::Mutex;

use super::announce::TOLD_FOR;
use super::boards::Boards;
use super::core::{Command, Ms, Reply, State};
use super::costs::Shelf;
use super::experiments::Tallies;
use super::keys::Cabinet;
use super::places::Notes;

/// Pins are swept when there are more than this and twice as many as after the last sweep.
const SWEEP_ABOVE: usize = 4_096;

/// In-process capacity state.
#[derive(Debug)]
pub struct Local {
    started: Instant,
    inner: Mutex<Inner>, // short sections, never across an await
    notes: Notes,
    claims: Notes, // apart: nothing that is noted often pushes them out
    pub(super) boards: Boards,
    pub(super) experiments: Tallies,
    pub(super) costs: Shelf,
    pub(crate) keys: Cabinet,
    configs: Mutex<AHashMap<String, (String, Instant)>>, // by replica: which, and when it was told; short sections
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
            notes: Notes::default(),
            claims: Notes::default(),
            boards: Boards::default(),
            experiments: Tallies::default(),
            costs: Shelf::default(),
            keys: Cabinet::default(),
            configs: Mutex::default(),
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
        self.notes.put(key, value, ttl, Instant::now());
    }

    /// Keeps a string where there is none yet: whether it did, and the one that is kept then.
    pub(super) fn claim(&self, key: &str, value: &str, ttl: Duration) -> (bool, String) {
        self.claims.claim(key, value, ttl, Instant::now())
    }

    /// Keeps a string that was claimed for so long from now on.
    pub(super) fn prolong(&self, key: &str, ttl: Duration) {
        self.claims.prolong(key, ttl, Instant::now());
    }

    /// A string that was kept.
    pub fn recall(&self, key: &str) -> Option<String> {
        self.notes.get(key, Instant::now())
    }

    /// A replica tells which configuration it works by.
    pub(super) fn announce(&self, replica: &str, config: &str) {
        let mut configs = self.configs.lock();
        configs.retain(|_, (_, at)| at.elapsed() < TOLD_FOR);
        configs.insert(replica.to_owned(), (config.to_owned(), Instant::now()));
    }

    /// What each of `replicas` told lately.
    pub(super) fn configs(&self, replicas: &[&str]) -> Vec<Option<String>> {
        let configs = self.configs.lock();
        let fresh = |(config, at): &(String, Instant)| (at.elapsed() < TOLD_FOR).then(|| config.clone());
        replicas.iter().map(|name| configs.get(*name).and_then(fresh)).collect()
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
