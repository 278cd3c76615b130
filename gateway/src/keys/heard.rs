//! The loop by which a replica hears of keys that others have made or changed, and tells a data set what that has lost.
//!
//! The state is asked every 50 ms which change was the last, and if it is another one than this replica knows, for what is new. (A
//! subscription would be a few milliseconds sooner; but one that has died silently looks like one that has nothing to say, so the
//! question would be asked all the same.) The changes are numbered, and each has a nonce: whether what is known here is the beginning of
//! what is kept there is seen by that. If it is not, for the data set has lost something or is another one, everything is read, and
//! what is newer here is told. A key that is revoked is newer than one that is not, so none comes back by that.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ahash::{AHashMap, AHashSet};
use tokio::sync::watch;

use super::entry::Stored;
use super::keyring::Keyring;
use super::table::Table;
use crate::clock::{boot_ms, unix_ms};
use crate::shared::Shared;
use crate::state::keys::{Mark, STEP, Told};
use crate::state::{Away, FIRST_CONTACT, Port};

/// How often the state is asked what is new.
const LOOK: Duration = Duration::from_millis(50);
/// The same without tenants: nobody could use a key.
const IDLE: Duration = Duration::from_secs(1);
/// How often it is told which keys were used, and which are dead for long is looked for.
const TELL: Duration = Duration::from_secs(10);
/// How long a replica that ends tells it.
const LEAVING: Duration = Duration::from_secs(2);

/// What one replica hears and tells of keys.
#[derive(Debug)]
pub struct Hearer {
    shared: Arc<Shared>,
    ear: Ear,
    failing: bool,
}

impl Hearer {
    /// Of a replica, by a port of its own.
    pub fn new(shared: Arc<Shared>, port: Port) -> Hearer {
        let ear = Ear::new(shared.keyring.clone(), port);
        Hearer { shared, ear, failing: false }
    }

    /// The loop; returns when told to stop.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        self.ear.port.opened(FIRST_CONTACT).await;
        let begun = Instant::now();
        let mut told = begun;
        let mut adopted = self.shared.adopted.subscribe();
        while !*stop.borrow() {
            let heard = self.ear.hear().await;
            // (Who begins serves without knowing any key only if the state has had its time to tell.)
            if heard.is_ok() || begun.elapsed() >= FIRST_CONTACT {
                self.shared.keyring.note_looked();
            }
            self.note(&heard);
            if told.elapsed() >= TELL {
                told = Instant::now();
                // What was used is told again the next time, and what is dead looked for.
                self.ear.find_used();
                let _ = self.ear.forget().await;
            }
            let _ = self.ear.tell_used().await; // one part: a revocation waits for no more between two looks
            let quiet = self.shared.snapshot.load().config.tenants.is_empty();
            tokio::select! {
                () = tokio::time::sleep(if quiet { IDLE } else { LOOK }) => {}
                _ = adopted.changed() => {} // with the first tenants keys may be used from now on
                _ = stop.changed() => {}
            }
        }
        self.ear.find_used();
        let telling = async { while let Ok(true) = self.ear.tell_used().await {} };
        let _ = tokio::time::timeout(LEAVING, telling).await; // it is not more than a hint
    }

    /// Says once that nothing is heard, and once that it is again.
    fn note(&mut self, heard: &Result<(), Away>) {
        if std::mem::replace(&mut self.failing, heard.is_err()) == heard.is_err() {
            return;
        }
        match heard {
            Err(error) => tracing::warn!(
                target: "weir::keys", %error, "nothing is heard of keys: those that are known go on, others get 503"
            ),
            Ok(()) => tracing::info!(target: "weir::keys", "keys are heard of again"),
        }
    }
}

/// What is known of the state's keys here, and told of it.
#[derive(Debug)]
struct Ear {
    keyring: Arc<Keyring>,
    port: Port,
    known: Option<Mark>,           // the last change that is known here
    told: AHashMap<Arc<str>, u64>, // when keys were used last, as told
    used: Vec<(String, u64)>,      // the same, to be told
}

impl Ear {
    fn new(keyring: Arc<Keyring>, port: Port) -> Ear {
        Ear { keyring, port, known: None, told: AHashMap::new(), used: Vec::new() }
    }

    /// Takes what is new in the state, and sees to it that what was told to it is there: it may have lost that before anybody saw it.
    async fn hear(&mut self) -> Result<(), Away> {
        let (asked, unconfirmed) = (boot_ms(), self.keyring.take_unconfirmed());
        let heard = self.hear_beside(&unconfirmed).await;
        match &heard {
            Ok(()) => self.keyring.note_heard(asked),
            Err(_) => self.keyring.note_unconfirmed(unconfirmed),
        }
        heard
    }

    async fn hear_beside(&mut self, unconfirmed: &AHashSet<Arc<str>>) -> Result<(), Away> {
        // (What is told while this goes on is not what the state lacks: it may have been read before.)
        let known = self.keyring.table().clone();
        let mark = self.port.keys_mark().await?;
        match self.changed(&mark, known.is_empty()).await? {
            Some(ids) => {
                let ids: AHashSet<Arc<str>> = ids.into_iter().map(Arc::from).collect();
                let ids: Vec<Arc<str>> = ids.union(unconfirmed).cloned().collect();
                let kept = self.read(&ids).await?;
                self.tell_lost(&known, ids.iter(), &kept).await?;
            }
            None => {
                let ids: Vec<Arc<str>> = self.port.key_ids().await?.into_iter().map(Arc::from).collect();
                let kept = self.read(&ids).await?;
                self.tell_lost(&known, known.ids(), &kept).await?;
            }
        }
        self.known = mark;
        Ok(())
    }

    /// The keys that were changed since this replica heard last; `None` if what is kept is not that continued.
    async fn changed(&self, mark: &Option<Mark>, is_empty: bool) -> Result<Option<Vec<String>>, Away> {
        match (&self.known, mark) {
            (None, None) if is_empty => Ok(Some(Vec::new())),
            (Some(known), Some(mark)) if known == mark => Ok(Some(Vec::new())),
            (Some(known), Some(mark)) => self.port.keys_changed(known, mark).await,
            _ => Ok(None),
        }
    }

    /// Reads what is kept of these keys, and takes it where it is newer, also where the rest of it does not come: a revocation that was
    /// read does not wait for other keys. What is there and cannot be read is `None`.
    async fn read(&self, ids: &[Arc<str>]) -> Result<AHashMap<Arc<str>, Option<Stored>>, Away> {
        let (mut all, mut whole) = (AHashMap::new(), Ok(()));
        for some in ids.chunks(STEP) {
            let names: Vec<String> = some.iter().map(|id| id.to_string()).collect();
            let kept = match self.port.kept_keys(&names).await {
                Ok(kept) => kept,
                Err(error) => {
                    whole = Err(error);
                    break;
                }
            };
            let found =
                some.iter().zip(kept).filter_map(|(id, kept)| Some((id.clone(), Stored::read(&kept?))));
            all.extend(found);
        }
        let kept = all.iter().filter_map(|(id, kept)| Some((id.clone(), kept.clone()?)));
        self.keyring.take(&kept.collect::<Vec<_>>());
        whole.map(|()| all)
    }

    /// Tells what was `known` of `among` and is newer than what is kept: the data set has lost it, or never had it. What is there and cannot
    /// be read stays: somebody else knows more.
    async fn tell_lost<'i>(
        &self,
        known: &Table,
        among: impl Iterator<Item = &'i Arc<str>>,
        kept: &AHashMap<Arc<str>, Option<Stored>>,
    ) -> Result<(), Away> {
        let is_lost = |stored: &Stored, id: &Arc<str>| match kept.get(id) {
            None => true,
            Some(kept) => kept.as_ref().is_some_and(|kept| stored.is_newer_than(kept)),
        };
        let lost = |id: &'i Arc<str>| {
            known.stored(id).filter(|stored| is_lost(stored, id)).map(|stored| (id, stored))
        };
        let mut lost: Vec<_> = among.filter_map(lost).collect();
        if lost.is_empty() {
            return Ok(());
        }
        tracing::warn!(target: "weir::keys", keys = lost.len(), "keys that the shared state has lost are told to it again");
        fastrand::shuffle(&mut lost); // the others tell the same
        for some in lost.chunks(STEP) {
            let told: Vec<Told<'_>> = some.iter().map(|(id, stored)| stored.told(id, true)).collect();
            self.keyring.note_unconfirmed(some.iter().map(|(id, _)| Arc::clone(id)));
            let kept = self.port.tell_keys(&told).await?;
            let kept = some
                .iter()
                .zip(&kept)
                .filter_map(|((id, _), kept)| Some((Arc::clone(id), Stored::read(kept)?)));
            self.keyring.take(&kept.collect::<Vec<_>>());
        }
        Ok(())
    }

    /// Finds when keys were used last, where that is new; what was found before is told first, or the last of many never were.
    fn find_used(&mut self) {
        if !self.used.is_empty() {
            return;
        }
        let table = self.keyring.table().clone();
        let is_new = |key: &&Arc<super::Key>| key.used_s() > self.told.get(&key.id).copied().unwrap_or(0);
        self.used = table.keys().filter(is_new).map(|key| (key.id.to_string(), key.used_s())).collect();
    }

    /// Tells a part of what was found; whether there was any.
    async fn tell_used(&mut self) -> Result<bool, Away> {
        let some = self.used.split_off(self.used.len().saturating_sub(STEP));
        if some.is_empty() {
            return Ok(false);
        }
        self.port.tell_used(&some).await?;
        self.told.extend(some.into_iter().map(|(id, used)| (Arc::from(id), used)));
        Ok(true)
    }

    /// Forgets keys that have been dead for long, by the clock here and by the state's: one alone may be wrong, and what is forgotten is
    /// gone for all.
    async fn forget(&mut self) -> Result<(), Away> {
        let now_ms = unix_ms().min(self.port.unix_ms().await?);
        let table = self.keyring.table().clone();
        let dead = table.keys().filter(|key| key.entry.is_forgotten(now_ms));
        let dead: Vec<String> = dead.map(|key| key.id.to_string()).collect();
        for some in dead.chunks(STEP) {
            self.port.forget_keys(some).await?;
            self.keyring.forget(some);
            for id in some {
                self.told.remove(id.as_str());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "heard_tests.rs"]
mod tests;
