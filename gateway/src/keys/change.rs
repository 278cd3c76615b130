//! What operators do to keys: made, rotated, revoked, for all replicas. Each is one change in the state, made on what is kept there;
//! this replica knows of it when it is answered, the others some milliseconds later ([`super::heard`]).

use std::sync::Arc;

use super::entry::{Entry, Stored};
use super::keyring::Keyring;
use super::secret::{self, Made};
use super::wanted::{self, Rotation, Wanted};
use crate::config::Config;
use crate::state::{Away, Port};

/// So many keys there may be in a namespace, those that are remembered as dead included.
const MOST: usize = 100_000;

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// What was asked for cannot be.
    #[error("{0}")]
    Wrong(String),
    /// It cannot be done to this key.
    #[error("{0}")]
    Conflict(&'static str),
    /// There is no such key.
    #[error("there is no key of this id")]
    Unknown,
    /// The state did not say that it was done. It may have been.
    #[error("the shared state is away: {0}; it may or may not have been done")]
    Away(#[from] Away),
    /// This process cannot make or write one.
    #[error("{0}")]
    Failed(String),
}

/// Where keys are changed.
#[derive(Debug)]
pub struct Changer<'a> {
    /// What this replica knows.
    pub keyring: &'a Keyring,
    /// Its way to the state.
    pub port: &'a Port,
    /// Unix time, ms.
    pub now_ms: u64,
    /// Who asks, for the log.
    pub by: &'a str,
}

/// A key after it was changed.
#[derive(Debug)]
pub struct Changed {
    /// Which.
    pub id: Arc<str>,
    /// What it is now.
    pub entry: Entry,
    /// What clients are to send from now on, if that is new.
    pub made: Option<Made>,
}

impl Changer<'_> {
    /// Makes a key.
    pub async fn create(&self, wanted: Wanted, config: &Config) -> Result<Changed, Refused> {
        if self.keyring.table().len() >= MOST {
            return Err(Refused::Conflict("there are as many keys as there may be"));
        }
        let made = secret::make().map_err(|err| Refused::Failed(err.to_string()))?;
        let entry = wanted.entry(config, &made, self.now_ms).map_err(Refused::Wrong)?;
        loop {
            let id: Arc<str> = secret::id().map_err(|err| Refused::Failed(err.to_string()))?.into();
            if self.tell(&id, 1, &entry).await? {
                self.note("key made", &id, &entry);
                return Ok(Changed { id, entry, made: Some(made) });
            }
            // (The id was taken already.)
        }
    }

    /// Puts another key in the place of one.
    pub async fn rotate(&self, id: &str, rotation: &Rotation) -> Result<Changed, Refused> {
        let grace_ms = rotation.grace_ms().map_err(Refused::Wrong)?;
        let made = secret::make().map_err(|err| Refused::Failed(err.to_string()))?;
        let change = |entry: &Entry| wanted::rotated(entry, &made, grace_ms, self.now_ms).map(Some);
        let (id, entry) = self.change(id, change).await?;
        self.note("key rotated", &id, &entry);
        Ok(Changed { id, entry, made: Some(made) })
    }

    /// Ends a key for good. One that is revoked stays as it is.
    pub async fn revoke(&self, id: &str) -> Result<Changed, Refused> {
        let revoked = |entry: &Entry| Entry { revoked_ms: Some(self.now_ms), ..entry.clone() };
        let (id, entry) =
            self.change(id, |entry| Ok(entry.revoked_ms.is_none().then(|| revoked(entry)))).await?;
        self.note("key revoked", &id, &entry);
        Ok(Changed { id, entry, made: None })
    }

    /// Makes `change` of what is newest, whoever else changes it; `None` leaves it.
    async fn change(
        &self,
        id: &str,
        change: impl Fn(&Entry) -> Result<Option<Entry>, &'static str>,
    ) -> Result<(Arc<str>, Entry), Refused> {
        let id: Arc<str> = id.into();
        loop {
            let stored = self.newest(&id).await?.ok_or(Refused::Unknown)?;
            let entry =
                stored.entry().ok_or(Refused::Conflict("another version of Weir has made this key"))?;
            let Some(changed) = change(&entry).map_err(Refused::Conflict)? else { return Ok((id, entry)) };
            if self.tell(&id, stored.version + 1, &changed).await? {
                return Ok((id, changed));
            }
            // Somebody else was first: ours comes after.
        }
    }

    /// What is kept of a key; or known here, if the data set has lost it.
    async fn newest(&self, id: &Arc<str>) -> Result<Option<Stored>, Away> {
        let kept = self.port.kept_keys(&[id.to_string()]).await?.into_iter().next().flatten();
        let kept = kept.and_then(|kept| Stored::read(&kept));
        let known = self.keyring.table().stored(id).cloned();
        Ok(match (kept, known) {
            (Some(kept), Some(known)) if known.is_newer_than(&kept) => Some(known),
            (kept, known) => kept.or(known),
        })
    }

    /// Whether it is kept as told, and not as somebody else told it.
    async fn tell(&self, id: &Arc<str>, version: u64, entry: &Entry) -> Result<bool, Refused> {
        let told = Stored::of(version, fastrand::u64(..1 << 53), entry);
        let told = told.map_err(|err| Refused::Failed(err.to_string()))?;
        let kept = self.port.tell_keys(&[told.told(id)]).await?;
        let kept = kept.into_iter().next().and_then(|kept| Stored::read(&kept));
        let kept = kept.ok_or_else(|| Away::Broken("not a key".into()))?;
        let is_ours = kept == told;
        self.keyring.note_told([id.clone()]);
        self.keyring.take(&[(id.clone(), kept)]);
        Ok(is_ours)
    }

    /// For those who want to know later who did what.
    fn note(&self, what: &str, id: &str, entry: &Entry) {
        let Entry { tenant, name, .. } = entry;
        let (name, by) = (name.as_deref().unwrap_or_default(), self.by);
        tracing::info!(target: "weir::keys", id, tenant, name, by, "{what}");
    }
}
