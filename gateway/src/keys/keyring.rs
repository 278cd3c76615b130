//! The keys that a replica knows of, for its workers: read by every call that brings one, replaced as a whole when some change.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use ahash::AHashSet;
use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::entry::{Standing, Stored};
use super::secret::Digest;
use super::table::{Key, Table};
use crate::clock::{boot_ms, unix_ms};
use crate::config::OnOutage;

/// For so long after the state was heard last, what is listed here is not called old.
const FRESH_MS: u64 = 2_000;
/// For so long a call waits for word of its key: some looks at the state.
const PATIENCE: Duration = Duration::from_millis(250);
/// So many do at once. (Anybody can send what has the form of a key.)
const MOST_WAITING: usize = 512;

/// What one replica knows.
#[derive(Debug)]
pub struct Keyring {
    began: u64, // own clock
    table: ArcSwap<Table>,
    /// What becomes of the keys' own limits while the state is away; held by who replaces the table, in short sections.
    changing: Mutex<OnOutage>,
    unconfirmed: Mutex<AHashSet<Arc<str>>>, // told to the state by this replica, and not seen there since; short sections
    heard: watch::Sender<u64>,              // own clock, when all was known that the state knew; 0: never
    waiting: AtomicUsize,                   // for that to be later
    looked: AtomicBool,
}

impl Keyring {
    /// None yet; `on_outage` of their limits.
    pub fn new(on_outage: OnOutage) -> Keyring {
        Keyring {
            began: boot_ms(),
            table: ArcSwap::default(),
            changing: Mutex::new(on_outage),
            unconfirmed: Mutex::default(),
            heard: watch::Sender::new(0),
            waiting: AtomicUsize::new(0),
            looked: AtomicBool::new(false),
        }
    }

    /// All that is known now.
    pub fn table(&self) -> arc_swap::Guard<Arc<Table>> {
        self.table.load()
    }

    /// The key that a client sends, and how it stands now.
    pub fn find(&self, digest: &Digest) -> Option<(Arc<Key>, Standing)> {
        let table = self.table.load();
        if table.is_empty() {
            return None; // nor is it asked what time it is
        }
        table.find(digest, unix_ms()).map(|(key, standing)| (key.clone(), standing))
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

    /// This replica tells the state of these keys, or is to: whether that stays there is still to be seen. (They are in the table by
    /// then: who looks asks for what stands there.)
    pub(super) fn note_unconfirmed(&self, ids: impl IntoIterator<Item = Arc<str>>) {
        self.unconfirmed.lock().extend(ids);
    }

    /// The keys of which that is to be seen.
    pub(super) fn take_unconfirmed(&self) -> AHashSet<Arc<str>> {
        std::mem::take(&mut self.unconfirmed.lock())
    }

    /// All was known that the state knew at `at` of the own clock.
    pub(crate) fn note_heard(&self, at: u64) {
        self.heard.send_if_modified(|heard| std::mem::replace(heard, at.max(*heard)) < at);
        self.note_looked();
    }

    /// Returns when all is known that the state knew at some time after `at` of the own clock, soon or not at all; whether it is.
    pub async fn heard_after(&self, at: u64) -> bool {
        let _waiting = Waiting::new(&self.waiting);
        if self.waiting.load(Ordering::Relaxed) > MOST_WAITING {
            return false;
        }
        let mut heard = self.heard.subscribe();
        // (The sender is here, in `self`: it does not end.)
        matches!(tokio::time::timeout(PATIENCE, heard.wait_for(|heard| *heard > at)).await, Ok(Ok(_)))
    }

    /// The state was asked, whatever came of it.
    pub(super) fn note_looked(&self) {
        self.looked.store(true, Ordering::Relaxed);
    }

    /// Was the state asked once, so that keys are known if they can be?
    pub fn is_settled(&self) -> bool {
        self.looked.load(Ordering::Relaxed)
    }

    /// For how long nothing was heard, ms: since the start if it never was. A revocation elsewhere is not known here for as long.
    pub fn age_ms(&self) -> u64 {
        boot_ms().saturating_sub((*self.heard.borrow()).max(self.began))
    }

    /// Are all keys known that there are, but for the very newest?
    pub fn is_fresh(&self) -> bool {
        *self.heard.borrow() > 0 && self.age_ms() <= FRESH_MS
    }
}

/// Counts one that waits.
struct Waiting<'k>(&'k AtomicUsize);

impl Waiting<'_> {
    fn new(count: &AtomicUsize) -> Waiting<'_> {
        count.fetch_add(1, Ordering::Relaxed);
        Waiting(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Broken on purpose to see it fail: a look that was under way already taken for one that began later.
    #[tokio::test(start_paused = true)]
    async fn who_waits_is_told_by_a_look_that_began_later_or_not_at_all() {
        let keyring = Arc::new(Keyring::new(OnOutage::Closed));
        assert!(!keyring.heard_after(0).await, "nobody looks");
        keyring.note_heard(5);
        assert!(keyring.heard_after(4).await);
        let waiting = tokio::spawn({
            let keyring = keyring.clone();
            async move { keyring.heard_after(5).await }
        });
        tokio::task::yield_now().await;
        keyring.note_heard(5);
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        keyring.note_heard(6);
        assert!(waiting.await.unwrap());
        let mut many: Vec<_> = (0..MOST_WAITING).map(|_| Waiting::new(&keyring.waiting)).collect();
        assert!(!keyring.heard_after(5).await, "as many as may wait do");
        many.pop();
        assert!(keyring.heard_after(5).await);
    }
}
