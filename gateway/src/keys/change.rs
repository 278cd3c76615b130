//! What operators do to keys: made, rotated, revoked, for all replicas. Each is one change in the state, made on what is kept there;
//! this replica knows of it when it is answered, the others some milliseconds later ([`super::heard`]). A revocation is obeyed here even
//! where the state is away.

use std::sync::Arc;

use super::entry::{Entry, Stored};
use super::keyring::Keyring;
use super::secret::{self, Made};
use super::wanted::{self, Rotation, Wanted};
use crate::config::Config;
use crate::state::{Away, Port};

/// So many keys there may be in a namespace, those that are remembered as dead included.
const MOST: usize = 100_000;

const NOT_UNDERSTOOD: Refused =
    Refused::Conflict("another version of Weir has made this key, or it is broken");

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
    /// The same, of a revocation: the key is refused here.
    #[error(
        "the shared state is away: {0}; this replica refuses the key from now on, and tells the others when the state is back, if it lives \
         until then. Until you are told that the key is revoked, the others may serve it: revoke it at each of them"
    )]
    EndedHere(Away),
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
    /// What it is now; `None` if that is not understood here.
    pub entry: Option<Entry>,
    /// What clients are to send from now on, if that is new.
    pub made: Option<Made>,
}

impl Changer<'_> {
    /// Makes a key.
    pub async fn create(&self, wanted: Wanted, config: &Config) -> Result<Changed, Refused> {
        if self.keyring.table().len() >= MOST {
            return Err(Refused::Conflict("there are as many keys as there may be"));
        }
        let made = secret::make().map_err(failed)?;
        let entry = wanted.entry(config, &made, self.now_ms).map_err(Refused::Wrong)?;
        let stored = Stored::of(1, drawn(), &entry).map_err(failed)?;
        loop {
            let id: Arc<str> = secret::id().map_err(failed)?.into();
            if self.tell(&id, &stored, false).await? == stored {
                self.note(("create", "key made"), &id, Some(&entry));
                return Ok(Changed { id, entry: Some(entry), made: Some(made) });
            }
            // (The id was taken already.)
        }
    }

    /// Puts another key in the place of one.
    pub async fn rotate(&self, id: &str, rotation: &Rotation) -> Result<Changed, Refused> {
        let grace_ms = rotation.grace_ms().map_err(Refused::Wrong)?;
        let made = secret::make().map_err(failed)?;
        let rotated = |kept: &Stored| {
            let entry = kept.entry().ok_or(NOT_UNDERSTOOD)?;
            let entry = wanted::rotated(&entry, &made, grace_ms, self.now_ms).map_err(Refused::Conflict)?;
            Stored::of(kept.version + 1, drawn(), &entry).map(Some).map_err(failed)
        };
        let (id, stored) = self.change(id, rotated).await?;
        let entry = stored.entry();
        self.note(("rotate", "key rotated"), &id, entry.as_ref());
        Ok(Changed { id, entry, made: Some(made) })
    }

    /// Ends a key for good. One that is revoked stays as it is. If the state does not answer, the key ends here.
    pub async fn revoke(&self, id: &str) -> Result<Changed, Refused> {
        let ended = |kept: &Stored| {
            let ended = || kept.ended(drawn(), self.now_ms).ok_or(NOT_UNDERSTOOD);
            (!kept.revoked).then(ended).transpose()
        };
        match self.change(id, ended).await {
            Ok((id, stored)) => {
                let entry = stored.entry();
                self.note(("revoke", "key revoked"), &id, entry.as_ref());
                Ok(Changed { id, entry, made: None })
            }
            Err(Refused::Away(away)) => Err(self.revoke_here(id, away)),
            Err(refused) => Err(refused),
        }
    }

    /// Ends a key that is known here for this replica, which tells the state when that is back; what the answer is then.
    fn revoke_here(&self, id: &str, away: Away) -> Refused {
        let known = self.keyring.table().stored(id).cloned();
        let Some(known) = known else { return Refused::Away(away) };
        let id: Arc<str> = id.into();
        if !known.revoked {
            let Some(ended) = known.ended(drawn(), self.now_ms) else { return Refused::Away(away) };
            self.keyring.take(&[(id.clone(), ended)]);
            let done = "key revoked at this replica, the others are still to be told";
            self.note(("revoke", done), &id, None);
        }
        self.keyring.note_unconfirmed([id]);
        Refused::EndedHere(away)
    }

    /// Makes `change` of what is newest, whoever else changes it; `None` leaves it. What is kept then.
    async fn change(
        &self,
        id: &str,
        change: impl Fn(&Stored) -> Result<Option<Stored>, Refused>,
    ) -> Result<(Arc<str>, Stored), Refused> {
        let id: Arc<str> = id.into();
        loop {
            let newest = self.newest(&id).await?.ok_or(Refused::Unknown)?;
            let Some(changed) = change(&newest)? else { return Ok((id, newest)) };
            if self.tell(&id, &changed, false).await? == changed {
                return Ok((id, changed));
            }
            // Somebody else was first: ours comes after.
        }
    }

    /// What is kept of a key; if the data set has lost what is known here, it is told that first.
    async fn newest(&self, id: &Arc<str>) -> Result<Option<Stored>, Refused> {
        let kept = self.port.kept_keys(&[id.to_string()]).await?.into_iter().next().flatten();
        let kept = kept.map(|kept| Stored::read(&kept).ok_or(NOT_UNDERSTOOD)).transpose()?;
        let known = self.keyring.table().stored(id).cloned();
        let is_lost = |known: &Stored| kept.as_ref().is_none_or(|kept| known.is_newer_than(kept));
        match known.filter(is_lost) {
            Some(known) => self.tell(id, &known, true).await.map(Some),
            None => Ok(kept),
        }
    }

    /// Tells the state of a key, `again` or as a change; what is kept then, which others may have told.
    async fn tell(&self, id: &Arc<str>, stored: &Stored, again: bool) -> Result<Stored, Refused> {
        let kept = self.port.tell_keys(&[stored.told(id, again)]).await?;
        let kept = kept.into_iter().next().and_then(|kept| Stored::read(&kept)).ok_or(NOT_UNDERSTOOD)?;
        self.keyring.take(&[(id.clone(), kept.clone())]);
        self.keyring.note_unconfirmed([id.clone()]);
        Ok(kept)
    }

    /// For those who want to know later who did what.
    fn note(&self, (action, what): (&str, &str), id: &str, entry: Option<&Entry>) {
        let tenant = entry.map(|entry| entry.tenant.as_str()).unwrap_or_default();
        let name = entry.and_then(|entry| entry.name.as_deref()).unwrap_or_default();
        let by = self.by;
        tracing::info!(target: "weir::audit", action, id, tenant, name, by, "{what}");
    }
}

fn failed(err: impl ToString) -> Refused {
    Refused::Failed(err.to_string())
}

/// Decides between two changes with one version.
fn drawn() -> u64 {
    fastrand::u64(..1 << 53)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::task::{Context, Poll, Waker};

    use super::*;
    use crate::clock::unix_ms;
    use crate::config::{OnOutage, check};
    use crate::keys::entry::Standing;
    use crate::keys::secret::Digest;
    use crate::state::local::Local;

    fn config() -> Config {
        check::check(std::path::Path::new("weir.toml"), "version = 1\ntenants = [{ name = \"t\" }]", &|_| {
            None
        })
        .unwrap()
    }

    fn wanted() -> Wanted {
        Wanted { tenant: "t".into(), ..Wanted::default() }
    }

    fn changer<'a>(keyring: &'a Keyring, port: &'a Port) -> Changer<'a> {
        Changer { keyring, port, now_ms: unix_ms(), by: "" }
    }

    /// (The state in this process keeps nobody waiting.)
    fn at_once<T>(done: impl Future<Output = T>) -> T {
        match std::pin::pin!(done).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(done) => done,
            Poll::Pending => panic!("it waits"),
        }
    }

    fn standing(keyring: &Keyring, digest: &Digest) -> Option<Standing> {
        keyring.find(digest).map(|(_, standing)| standing)
    }

    /// Two replicas have read the same entry before either tells its change, in each order of what they draw.
    /// Broken on purpose to see it fail: of two changes with one version the one kept for which more was drawn.
    #[tokio::test]
    async fn of_two_that_rotate_a_key_at_once_neither_loses_what_it_was_told() {
        let (config, port) = (config(), Port::Local(Arc::<Local>::default()));
        for round in 0..40 {
            let keyrings = [0, 1].map(|_| Keyring::new(OnOutage::Closed));
            let [one, other] = keyrings.each_ref().map(|keyring| changer(keyring, &port));
            let id = one.create(wanted(), &config).await.unwrap().id;
            let (mine, was_asked) = (secret::make().unwrap(), Cell::new(0));
            let (theirs, leaked) = (Cell::new(None), round % 2 == 0);
            let slow = |kept: &Stored| {
                if was_asked.replace(was_asked.get() + 1) == 0 {
                    // Between our reading and our telling.
                    let grace = if leaked { "0s" } else { "1h" };
                    let rotation = Rotation { grace: grace.into() };
                    let rotated = at_once(other.rotate(&id, &rotation)).unwrap();
                    theirs.set(rotated.made.map(|made| made.digest));
                }
                let entry = wanted::rotated(&kept.entry().unwrap(), &mine, 3_600_000, unix_ms()).unwrap();
                Stored::of(kept.version + 1, drawn(), &entry).map(Some).map_err(failed)
            };
            let (_, stored) = one.change(&id, slow).await.unwrap();
            let theirs = theirs.take().unwrap();
            assert_eq!((stored.version, was_asked.get()), (3, 2), "it began anew");
            assert_eq!(standing(one.keyring, &mine.digest), Some(Standing::Good));
            assert_eq!(standing(one.keyring, &theirs), Some(Standing::Good), "they were told of this one");
            let first = stored.entry().unwrap().secrets[2].sha256;
            let ended = if leaked { Standing::Replaced } else { Standing::Good };
            assert_eq!(standing(one.keyring, &first), Some(ended), "a leak that was ended stays so");
        }
    }

    #[tokio::test]
    async fn a_key_that_says_more_than_is_understood_is_revoked_and_not_rotated() {
        let local = Arc::<Local>::default();
        let (keyring, port) = (Keyring::new(OnOutage::Closed), Port::Local(local.clone()));
        let changer = changer(&keyring, &port);
        let made = changer.create(wanted(), &config()).await.unwrap();
        let mut fields = local.keys.fields();
        let kept = fields.get_mut(&format!("k:{}", made.id)).unwrap();
        *kept = kept.replacen("1 0 ", "2 0 ", 1).replacen('{', "{\"only_on_sundays\":true,", 1);
        local.keys.restore(fields.clone());
        let rotated = changer.rotate(&made.id, &Rotation { grace: "1h".into() }).await;
        assert!(matches!(rotated, Err(Refused::Conflict(_))), "{rotated:?}");
        assert!(changer.revoke(&made.id).await.unwrap().entry.is_none());
        let kept = &local.keys.fields()[&format!("k:{}", made.id)];
        assert!(kept.starts_with("3 1 ") && kept.contains("only_on_sundays"), "{kept}");
        fields.insert(format!("k:{}", made.id), "a hand was here".into());
        local.keys.restore(fields);
        let refused = changer.revoke(&made.id).await;
        assert!(matches!(refused, Err(Refused::Conflict(_))), "{refused:?}");
    }
}
