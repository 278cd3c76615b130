//! How drains and weights come to all replicas: each asks for them every 50 ms and takes what is newer; what is newer here than
//! there is told again, for a data set may have lost it. (The loop is that of [`crate::experiment::told`].)

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::{Change, Duty, Told};
use crate::state::{Away, Board, Port, Post, Posted};

/// What is set of a name that the file has not is forgotten after this long. Replicas whose file has it put it back at once, so it
/// is gone when no file has it any more.
const FORGET: Duration = Duration::from_secs(60);

/// What stood on the board when it was read last, of deployments that the file has not as well: a reload may bring one of them.
#[derive(Debug, Default)]
pub struct Heard(Mutex<Arc<Posted>>); // short sections

/// Since when names are seen of which the file knows nothing.
#[derive(Debug, Default)]
pub struct Strangers(HashMap<String, Instant>);

impl Heard {
    /// Adopts what is newer on the board, and tells it what is newer here. What stands there as it did before is not looked at again.
    pub async fn hear(&self, port: &Port, duties: &[Arc<Duty>], posted: Arc<Posted>) -> Result<(), Away> {
        let before = self.0.lock().clone();
        for duty in duties {
            let text = posted.get(&*duty.name);
            let version = text.map_or(0, |text| number(text));
            if version == duty.version() && text == before.get(&*duty.name) {
                continue;
            }
            let stored = text.and_then(|text| Told::read(text));
            let version = stored.as_ref().map_or(0, |stored| stored.version);
            if stored.as_ref().is_some_and(|stored| duty.adopt(stored)) {
                tell_of(duty);
            } else if let Some(known) = duty.told().filter(|known| known.version > version) {
                port.offer(&duty.name, &known).await?;
            }
        }
        *self.0.lock() = posted; // all of it was looked at
        Ok(())
    }

    /// A reload brings deployments: what was set of them holds from their first call on, not from the next look on.
    pub fn adopt(&self, duties: &[Arc<Duty>]) {
        let posted = self.0.lock().clone();
        for duty in duties {
            let stored = posted.get(&*duty.name).and_then(|text| Told::read(text));
            if stored.is_some_and(|stored| duty.version() < stored.version && duty.adopt(&stored)) {
                tell_of(duty);
            }
        }
    }
}

/// The version of what is stored; 0 if it was not written so.
fn number(text: &str) -> u64 {
    text.split(' ').next().and_then(|version| version.parse().ok()).unwrap_or(0)
}

impl Strangers {
    /// Forgets names that the file has not had for long.
    pub async fn forget(
        &mut self,
        port: &Port,
        duties: &[Arc<Duty>],
        posted: &Posted,
        now: Instant,
    ) -> Result<(), Away> {
        let known: HashSet<&str> = duties.iter().map(|duty| &*duty.name).collect();
        let is_strange = |name: &str| !known.contains(name);
        self.0.retain(|name, _| posted.contains_key(name) && is_strange(name));
        for (name, read) in posted.iter().filter(|(name, _)| is_strange(name)) {
            let since = *self.0.entry(name.clone()).or_insert(now);
            if now.duration_since(since) >= FORGET && port.forget(Board::Duties, name, read).await? {
                self.0.remove(name);
                tracing::info!(target: "weir::duty", deployment = name, "forgotten: the file has it no more");
            }
        }
        Ok(())
    }
}

/// A duty changed: for the log.
fn tell_of(duty: &Duty) {
    tracing::info!(
        target: "weir::duty", deployment = %duty.name, version = duty.version(), drained = duty.is_drained(),
        weight = duty.weight(), "drain and weight that hold now"
    );
}

/// Makes a change for all replicas; it holds here when this returns. If somebody makes another one at the same time, both are made,
/// and of two of the same kind one is the later. Who says which version was `seen` changes no other one: false, and nothing is made.
pub async fn set(port: &Port, duty: &Duty, change: Change, seen: Option<u64>) -> Result<bool, Away> {
    let adopt = |told: &Told| {
        if duty.adopt(told) {
            tell_of(duty);
        }
    };
    port.set(&duty.name, || duty.after(change), adopt, seen).await
}
