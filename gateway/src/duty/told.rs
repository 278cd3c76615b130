//! How drains and weights come to all replicas: each asks for them every 50 ms and takes what is newer; what is newer here than
//! there is told again, for a data set may have lost it. (The loop is that of [`crate::experiment::told`].)

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Change, Duty, Told};
use crate::state::{Away, Board, Port, Posted};

/// What is set of a name that the file has not is forgotten after this long. Replicas whose file has it put it back at once, so it
/// is gone when no file has it any more.
const FORGET: Duration = Duration::from_secs(60);

/// Since when names are seen of which the file knows nothing.
#[derive(Debug, Default)]
pub struct Strangers(HashMap<String, Instant>);

/// Adopts what is newer in the state, and tells it what is newer here.
pub async fn hear(port: &Port, duties: &[Arc<Duty>], posted: &Posted) -> Result<(), Away> {
    for duty in duties {
        let stored = posted.get(&*duty.name).and_then(|text| Told::read(text));
        let version = stored.as_ref().map_or(0, |stored| stored.version);
        if stored.as_ref().is_some_and(|stored| duty.adopt(stored)) {
            tell_of(duty);
        } else if let Some(known) = duty.told().filter(|known| known.version > version) {
            port.offer(Board::Duties, &duty.name, known.version, &known.text()).await?;
        }
    }
    Ok(())
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
        let is_strange = |name: &str| !duties.iter().any(|duty| *duty.name == *name);
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
    let version = duty.told().map_or(0, |told| told.version);
    tracing::info!(
        target: "weir::duty", deployment = %duty.name, version, drained = duty.is_drained(), weight = duty.weight(),
        "drain and weight that hold now"
    );
}

/// Makes a change for all replicas; it holds here when this returns. If somebody makes another one at the same time, both are made,
/// and of two of the same kind one is the later.
pub async fn set(port: &Port, duty: &Duty, change: Change) -> Result<(), Away> {
    loop {
        let told = duty.after(change);
        let kept = port.offer(Board::Duties, &duty.name, told.version, &told.text()).await?;
        let kept = Told::read(&kept).ok_or_else(|| Away::Broken("no drain and weight".into()))?;
        let is_ours = kept == told;
        if duty.adopt(&kept) {
            tell_of(duty);
        }
        if is_ours {
            return Ok(());
        }
        // Somebody else was first: ours comes after.
    }
}
