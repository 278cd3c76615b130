//! Where keys that were made at run time are kept for all replicas: a hash of its own, in which one script makes every change. No
//! decision about a limit rests on it, so no script of the limits knows of it.
//!
//! Here a key is an id, a version, whether it is revoked, a number, and a text; what that says is the business of [`crate::keys`].

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use redis::Pipeline;

use super::Away;
use super::port::Port;
use crate::clock;

/// The script that makes every change.
pub const SCRIPT: &str = include_str!("../../../lua/keys.lua");
/// So many changes are listed; who has missed more reads everything.
pub const LISTED: u64 = 1_024;
/// So many keys are read or told at once: calls wait for the server's answers meanwhile.
pub const STEP: usize = 64;

/// What a replica tells of a key.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a> {
    /// Which key.
    pub id: &'a str,
    /// How often it was changed, from 1; below 2^53.
    pub version: u64,
    /// For good.
    pub revoked: bool,
    /// Drawn when it was changed, below 2^53: of two changes with one version, in histories that were split, the higher counts.
    pub drawn: u64,
    /// What it is.
    pub text: &'a str,
    /// It was told before, to a data set that may have lost it. Else it is a change of what is kept: if somebody else was first to
    /// make one of that version, theirs stays, whatever was drawn.
    pub again: bool,
}

/// Which change was the last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Its number.
    pub count: u64,
    /// Drawn for it, so that two histories of as many changes differ.
    pub nonce: String,
}

impl Mark {
    fn read(text: &str) -> Option<Mark> {
        let (count, nonce) = text.split_once(' ')?;
        Some(Mark { count: count.parse().ok()?, nonce: nonce.to_owned() })
    }
}

impl Port {
    /// Which change of a key was the last, if there was any.
    pub async fn keys_mark(&self) -> Result<Option<Mark>, Away> {
        let marks = self.key_fields(&["v".to_owned()]).await?;
        let Some(text) = marks.into_iter().next().flatten() else { return Ok(None) };
        Mark::read(&text).map(Some).ok_or_else(|| Away::Broken("no mark of the keys".into()))
    }

    /// The keys that were changed after `from` and up to `to`; `None` if that is not known, or `from` is of another history.
    pub async fn keys_changed(&self, from: &Mark, to: &Mark) -> Result<Option<Vec<String>>, Away> {
        if to.count <= from.count || to.count - from.count >= LISTED {
            return Ok(None);
        }
        let mut ids = Vec::new();
        let names: Vec<String> = (from.count..=to.count).map(|count| format!("c:{count}")).collect();
        for (at, change) in self.key_fields(&names).await?.into_iter().enumerate() {
            match change.as_deref().and_then(|change| change.split_once(' ')) {
                Some((nonce, _)) if at == 0 && nonce == from.nonce => {}
                Some((_, id)) if at > 0 => ids.push(id.to_owned()),
                _ => return Ok(None),
            }
        }
        ids.sort_unstable();
        ids.dedup();
        Ok(Some(ids))
    }

    /// The ids of all keys.
    pub async fn key_ids(&self) -> Result<Vec<String>, Away> {
        let fields: Vec<String> = match self {
            Port::Redis(lane) => {
                let mut get = redis::pipe();
                get.cmd("HKEYS").arg(lane.keys().keys());
                let (fields,) = lane.read::<(Vec<String>,)>(&get).await?;
                fields
            }
            Port::Local(local) => local.keys.fields.lock().keys().cloned().collect(),
        };
        Ok(fields.into_iter().filter_map(|field| field.strip_prefix("k:").map(str::to_owned)).collect())
    }

    /// What is kept of [`STEP`] keys at most, each as version, revoked, number and text with spaces between.
    pub async fn kept_keys(&self, ids: &[String]) -> Result<Vec<Option<String>>, Away> {
        let names: Vec<String> = ids.iter().map(|id| format!("k:{id}")).collect();
        self.key_fields(&names).await
    }

    async fn key_fields(&self, names: &[String]) -> Result<Vec<Option<String>>, Away> {
        match self {
            _ if names.is_empty() => Ok(Vec::new()),
            Port::Redis(lane) => {
                let mut get = redis::pipe();
                get.cmd("HMGET").arg(lane.keys().keys()).arg(names);
                let (fields,) = lane.plain::<(Vec<Option<String>>,)>(&get).await?;
                Ok(fields)
            }
            Port::Local(local) => {
                let fields = local.keys.fields.lock();
                Ok(names.iter().map(|name| fields.get(name).cloned()).collect())
            }
        }
    }

    /// Tells what is known of [`STEP`] keys at most; what is kept of each then. One that is kept in a newer version stays as it is.
    pub async fn tell_keys(&self, told: &[Told<'_>]) -> Result<Vec<String>, Away> {
        let nonce = || format!("{:016x}", fastrand::u64(..));
        match self {
            _ if told.is_empty() => Ok(Vec::new()),
            Port::Redis(lane) => {
                let mut tell = redis::pipe();
                for Told { id, version, revoked, drawn, text, again } in told {
                    tell.cmd("EVAL").arg(SCRIPT).arg(1).arg(lane.keys().keys());
                    tell.arg(id).arg(version).arg(u8::from(*revoked)).arg(drawn).arg(text);
                    tell.arg(nonce()).arg(LISTED).arg(u8::from(*again));
                }
                lane.plain(&tell).await
            }
            Port::Local(local) => Ok(told.iter().map(|told| local.keys.tell(*told, &nonce())).collect()),
        }
    }

    /// Keys that have been of no use for so long that nobody remembers them as anything else.
    pub async fn forget_keys(&self, ids: &[String]) -> Result<(), Away> {
        match self {
            _ if ids.is_empty() => Ok(()),
            Port::Redis(lane) => {
                let mut forget = redis::pipe();
                let names: Vec<String> = ids.iter().map(|id| format!("k:{id}")).collect();
                forget.cmd("HDEL").arg(lane.keys().keys()).arg(names).ignore();
                forget.cmd("HDEL").arg(lane.keys().used()).arg(ids).ignore();
                lane.plain(&forget).await
            }
            Port::Local(local) => {
                ids.iter().for_each(|id| local.keys.forget(id));
                Ok(())
            }
        }
    }

    /// When keys were used last, Unix seconds, as this replica saw it.
    pub async fn tell_used(&self, used: &[(String, u64)]) -> Result<(), Away> {
        match self {
            _ if used.is_empty() => Ok(()),
            Port::Redis(lane) => {
                let mut tell: Pipeline = redis::pipe();
                tell.cmd("HSET").arg(lane.keys().used()).arg(used).ignore();
                lane.plain(&tell).await
            }
            Port::Local(local) => {
                local.keys.used.lock().extend(used.iter().cloned());
                Ok(())
            }
        }
    }

    /// The same of some keys, as all replicas have told it; 0 where nobody has.
    pub async fn used_keys(&self, ids: &[Arc<str>]) -> Result<Vec<u64>, Away> {
        let mut all = Vec::with_capacity(ids.len());
        for some in ids.chunks(STEP) {
            match self {
                Port::Redis(lane) => {
                    let mut get = redis::pipe();
                    get.cmd("HMGET")
                        .arg(lane.keys().used())
                        .arg(some.iter().map(|id| &**id).collect::<Vec<_>>());
                    let (used,) = lane.plain::<(Vec<Option<u64>>,)>(&get).await?;
                    all.extend(used.into_iter().map(Option::unwrap_or_default));
                }
                Port::Local(local) => {
                    let used = local.keys.used.lock();
                    all.extend(some.iter().map(|id| used.get(&**id).copied().unwrap_or_default()));
                }
            }
        }
        Ok(all)
    }

    /// The time of day by the state's clock, Unix milliseconds.
    pub async fn unix_ms(&self) -> Result<u64, Away> {
        match self {
            Port::Redis(lane) => {
                let mut ask = redis::pipe();
                ask.cmd("TIME");
                let ((seconds, micros),) = lane.plain::<((u64, u64),)>(&ask).await?;
                Ok(seconds.saturating_mul(1_000).saturating_add(micros / 1_000))
            }
            Port::Local(_) => Ok(clock::unix_ms()),
        }
    }
}

/// The same in this process: the fields of the hash, and what the script does.
#[derive(Debug, Default)]
pub struct Cabinet {
    fields: Mutex<BTreeMap<String, String>>, // short sections
    used: Mutex<BTreeMap<String, u64>>,      // the same
}

impl Cabinet {
    /// All fields.
    pub fn fields(&self) -> BTreeMap<String, String> {
        self.fields.lock().clone()
    }

    /// What `lua/keys.lua` does.
    pub fn tell(&self, told: Told<'_>, nonce: &str) -> String {
        let Told { id, version, revoked, drawn, text, .. } = told;
        let mut fields = self.fields.lock();
        let kept = fields.get(&format!("k:{id}"));
        if let Some(kept) = kept
            && !is_newer(told, kept)
        {
            return kept.clone();
        }
        let written = format!("{version} {} {drawn} {text}", u8::from(revoked));
        let count = fields.get("v").and_then(|mark| Mark::read(mark)).map_or(0, |mark| mark.count) + 1;
        fields.insert(format!("k:{id}"), written.clone());
        fields.insert("v".to_owned(), format!("{count} {nonce}"));
        fields.insert(format!("c:{count}"), format!("{nonce} {id}"));
        if let Some(old) = count.checked_sub(LISTED) {
            fields.remove(&format!("c:{old}"));
        }
        written
    }

    /// Goes on from an earlier moment, from nothing, or from what somebody else wrote.
    pub fn restore(&self, fields: BTreeMap<String, String>) {
        *self.fields.lock() = fields;
    }

    fn forget(&self, id: &str) {
        self.fields.lock().remove(&format!("k:{id}"));
        self.used.lock().remove(id);
    }
}

/// A revoked key is newer than one that is not, whatever their versions: nobody brings it back. Nothing is newer than what cannot be
/// read.
fn is_newer(told: Told<'_>, kept: &str) -> bool {
    let Some((revoked, version, drawn)) = head(kept) else { return false };
    let drawn = told.again && told.drawn > drawn; // a change comes after what it was made from, or not at all
    (told.revoked, told.version, drawn) > (revoked, version, false)
}

/// Of what is kept: is it revoked, its version, and what was drawn.
fn head(kept: &str) -> Option<(bool, u64, u64)> {
    let mut parts = kept.splitn(4, ' ');
    let version = parts.next()?.parse().ok()?;
    let revoked = match parts.next()? {
        "0" => false,
        "1" => true,
        _ => return None,
    };
    let drawn = parts.next()?.parse().ok()?;
    parts.next().map(|_| (revoked, version, drawn))
}
