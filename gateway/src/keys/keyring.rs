//! The keys that a replica knows of, for its workers: read by every call that brings one, replaced as a whole when some change.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use super::entry::Stored;
use super::table::Table;
use crate::clock::boot_ms;
use crate::config::OnOutage;

/// For so long after the state was heard last, a key that is not known here is none. Later it may be one that was made meanwhile.
const FRESH_MS: u64 = 2_000;

/// What one replica knows.
#[derive(Debug)]
pub struct Keyring {
    table: ArcSwap<Table>,
    /// What becomes of the keys' own limits while the state is away; held by who replaces the table, in short sections.
    changing: Mutex<OnOutage>,
    told: Mutex<Vec<Arc<str>>>, // to the state by this replica, and not seen there since; short sections
    heard_ms: AtomicU64,        // own clock, when all was known that the state knew; 0: never
    looked: AtomicBool,
}

impl Keyring {
    /// None yet; `on_outage` of their limits.
    pub fn new(on_outage: OnOutage) -> Keyring {
        Keyring {
            table: ArcSwap::default(),
            changing: Mutex::new(on_outage),
            told: Mutex::default(),
            heard_ms: AtomicU64::new(0),
            looked: AtomicBool::new(false),
        }
    }

    /// All that is known now.
    pub fn table(&self) -> arc_swap::Guard<Arc<Table>> {
        self.table.load()
    }

    /// Takes what is newer than what is known; how many are.
    pub fn take(&self, keys: &[(Arc<str>, Stored)]) -> usize {
        let is_new = |table: &Table, (id, stored): &(Arc<str>, Stored)| {
            table.stored(id).is_none_or(|known| stored.is_newer_than(known))
        };
        let on_outage = self.changing.lock();
        let known = self.table.load();
        if !keys.iter().any(|key| is_new(&known, key)) {
            return 0;
        }
        let mut table = Table::clone(&known);
        let taken = keys.iter().filter(|(id, stored)| table.take(id, stored, *on_outage)).count();
        self.table.store(Arc::new(table));
        taken
    }

    /// Another configuration is in force.
    pub fn reconfigure(&self, on_outage: OnOutage) {
        let mut changing = self.changing.lock();
        if *changing != on_outage {
            *changing = on_outage;
            self.table.store(Arc::new(self.table.load().with(on_outage)));
        }
    }

    /// Forgets keys.
    pub fn forget(&self, ids: &[String]) {
        let _changing = self.changing.lock();
        let mut table = Table::clone(&self.table.load());
        ids.iter().for_each(|id| table.forget(id));
        self.table.store(Arc::new(table));
    }

    /// This replica tells the state of a key: whether that stays there is still to be seen.
    pub(super) fn note_told(&self, ids: impl IntoIterator<Item = Arc<str>>) {
        self.told.lock().extend(ids);
    }

    /// The keys of which that is to be seen.
    pub(super) fn take_told(&self) -> Vec<Arc<str>> {
        std::mem::take(&mut self.told.lock())
    }

    /// All was known that the state knew at `at` of the own clock.
    pub(crate) fn note_heard(&self, at: u64) {
        self.heard_ms.fetch_max(at, Ordering::Relaxed);
        self.note_looked();
    }

    /// The state was asked, whatever came of it.
    pub(super) fn note_looked(&self) {
        self.looked.store(true, Ordering::Relaxed);
    }

    /// Was the state asked once, so that keys are known if they can be?
    pub fn is_settled(&self) -> bool {
        self.looked.load(Ordering::Relaxed)
    }

    /// Are all keys known that there are, but for the very newest?
    pub fn is_fresh(&self) -> bool {
        let heard = self.heard_ms.load(Ordering::Relaxed);
        heard > 0 && boot_ms().saturating_sub(heard) <= FRESH_MS
    }
}
