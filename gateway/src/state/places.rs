//! Where things are that calls have made and that later calls refer to by id: a response, a conversation. Only the
//! account that made one can go on with it. Unlike a session's pin this is no advice: it never moves.
//!
//! Kept in the shared state as strings with a time to live, and in this process, where they cannot be wrong but for a
//! conversation's size: what is told again of an id differs in its size only.

use std::time::{Duration, Instant};

use moka::ops::compute::Op;
use moka::policy::EvictionPolicy;
use sha2::{Digest, Sha256};

use super::client::Client;
use super::{Away, Port};

/// Where something is, and how much of it there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The deployment's tag.
    pub tag: u64,
    /// What the provider puts before the model when a call goes on with it, tokens.
    pub tokens: u64,
}

impl Place {
    /// As stored.
    pub fn encode(self) -> String {
        format!("{} {}", self.tag, self.tokens)
    }

    /// As stored, read back; `None` if it was not written by [`Place::encode`].
    pub fn decode(text: &str) -> Option<Place> {
        let (tag, tokens) = text.split_once(' ')?;
        Some(Place { tag: tag.parse().ok()?, tokens: tokens.parse().ok()? })
    }
}

/// Under what the place of a thing is kept: nobody can ask for another tenant's.
pub fn place_key(tenant: &str, id: &str) -> String {
    let mut hash = Sha256::new();
    for part in [tenant, id] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hex::encode(&hash.finalize()[..16])
}

/// Under what is kept whose a thing in an account (its tag) is that is not made here: it is the tenant's who went on with it first. (No
/// tenant has such a name.)
pub fn owner_key(account: u64, id: &str) -> String {
    place_key(&format!("\0owner {account}"), id)
}

/// A tenant as an owner.
pub fn owner_tag(tenant: &str) -> u64 {
    Sha256::digest(tenant)[..8].iter().fold(0, |tag, byte| (tag << 8) | u64::from(*byte))
}

impl Client {
    /// Where something is, if anybody knows. Its size is that of when this replica last heard of it: right for what does
    /// not grow.
    pub async fn place(&self, port: &Port, key: &str) -> Result<Option<Place>, Away> {
        match self.places.get(key) {
            Some(place) => Ok(Some(place)),
            None => self.newest_place(port, key).await,
        }
    }

    /// Where something is that may have grown at other replicas, with its newest size; while the state is away, with the
    /// newest that this one knows.
    pub async fn newest_place(&self, port: &Port, key: &str) -> Result<Option<Place>, Away> {
        let found = match port.recall(key).await {
            Ok(text) => text.and_then(|text| Place::decode(&text)),
            Err(away) => return self.places.get(key).map(Some).ok_or(away),
        };
        if let Some(place) = found {
            self.places.insert(key.to_owned(), place);
        }
        Ok(found)
    }

    /// Tells all replicas where something is. While the state is away only this one will know, and says so.
    pub async fn note_place(&self, port: &Port, key: String, place: Place, ttl: Duration) {
        if let Err(err) = port.note(&key, &place.encode(), ttl).await {
            tracing::warn!(target: "weir::state", error = %err, "other replicas will not find a response or conversation");
        }
        self.places.insert(key, place);
    }
}

/// What became of a [`Client::claim`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claimed {
    /// It is the tenant's from now on.
    Made,
    /// It is the tenant's already.
    Ours,
    /// It is another's.
    Theirs,
}

/// Whose things are that are not made here.
impl Client {
    /// Makes something the tenant's, of which `owner` is the [`owner_tag`], for `ttl` from now on. Of several who claim at once one gets
    /// it. While the state is away it is whose this replica knows it to be.
    pub async fn claim(&self, port: &Port, key: &str, owner: u64, ttl: Duration) -> Result<Claimed, Away> {
        let claimed = Place { tag: owner, tokens: 0 };
        let (made, kept) = match port.claim(key, &claimed.encode(), ttl).await {
            Ok((made, kept)) => (made, kept.and_then(|text| Place::decode(&text))),
            Err(away) => (false, Some(self.places.get(key).ok_or(away)?)),
        };
        kept.iter().for_each(|kept| self.places.insert(key.to_owned(), *kept));
        if kept != Some(claimed) {
            return Ok(Claimed::Theirs);
        }
        if !made && let Err(err) = port.prolong(key, ttl).await {
            tracing::warn!(target: "weir::state", error = %err, "whose a conversation is may be forgotten too soon");
        }
        Ok(if made { Claimed::Made } else { Claimed::Ours })
    }

    /// What was claimed was not taken: another may.
    pub async fn unclaim(&self, port: &Port, key: &str, owner: u64) {
        const AT_ONCE: Duration = Duration::from_millis(1);
        if self.claim(port, key, owner, AT_ONCE).await == Ok(Claimed::Ours) {
            self.places.invalidate(key);
        }
    }
}

/// So many strings are kept in this process where there is no other; then those that were used least go.
const NOTES: u64 = 200_000;

/// Strings that are forgotten in time, in this process.
#[derive(Debug)]
pub(super) struct Notes(moka::sync::Cache<String, (String, Instant)>);

impl Default for Notes {
    /// (By the other policy a new one may be the one that goes: it was used less than those that are there.)
    fn default() -> Notes {
        let cache = moka::sync::Cache::builder().max_capacity(NOTES);
        Notes(cache.eviction_policy(EvictionPolicy::lru()).build())
    }
}

impl Notes {
    pub(super) fn put(&self, key: &str, value: &str, ttl: Duration, now: Instant) {
        self.0.insert(key.to_owned(), (value.to_owned(), now + ttl));
    }

    /// Puts it where there is none: whether it did, and what is there then.
    pub(super) fn claim(&self, key: &str, value: &str, ttl: Duration, now: Instant) -> (bool, String) {
        let ours = || (value.to_owned(), now + ttl);
        let entry = self.0.entry_by_ref(key).or_insert_with_if(ours, |(_, until)| *until <= now);
        (entry.is_fresh(), entry.into_value().0)
    }

    pub(super) fn prolong(&self, key: &str, ttl: Duration, now: Instant) {
        self.0.entry_by_ref(key).and_compute_with(|kept| match kept.map(moka::Entry::into_value) {
            Some((value, until)) if until > now => Op::Put((value, now + ttl)),
            _ => Op::Nop,
        });
    }

    pub(super) fn get(&self, key: &str, now: Instant) -> Option<String> {
        self.0.get(key).filter(|(_, until)| *until > now).map(|(value, _)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_reads_back_and_nothing_else_does() {
        let place = Place { tag: (1 << 53) - 1, tokens: 7 };
        assert_eq!(Place::decode(&place.encode()), Some(place));
        for text in ["", "1", "1 x", "x 1", "-1 1", "1 1 1"] {
            assert_eq!(Place::decode(text), None, "{text}");
        }
    }

    #[test]
    fn whose_a_thing_is_is_kept_apart_from_where_it_is_for_whom() {
        assert_ne!(owner_key(1, "conv_1"), place_key("", "conv_1"));
        assert_ne!(owner_key(1, "conv_1"), owner_key(1, "conv_2"));
        assert_ne!(owner_key(1, "conv_1"), owner_key(2, "conv_1"));
        assert_ne!(owner_tag("acme"), owner_tag("mallory"));
    }

    /// Broken on purpose to see it fail: what is there overwritten; what was forgotten respected; prolonged though it was forgotten.
    #[test]
    fn what_is_claimed_is_the_firsts_until_it_is_forgotten() {
        let (notes, begun, second) = (Notes::default(), Instant::now(), Duration::from_secs(1));
        let claim = |who: &str, ttl, at| {
            let (made, whose) = notes.claim("a", who, ttl, at);
            format!("{whose} {made}")
        };
        assert_eq!(claim("acme", second, begun), "acme true");
        assert_eq!(claim("mallory", 9 * second, begun), "acme false");
        notes.prolong("a", 2 * second, begun);
        assert_eq!(claim("mallory", second, begun + second), "acme false");
        notes.prolong("a", second, begun + 2 * second);
        assert_eq!(notes.get("a", begun + 2 * second), None);
        assert_eq!(claim("mallory", second, begun + 2 * second), "mallory true");
        notes.prolong("b", second, begun);
        assert_eq!(notes.get("b", begun), None);
    }

    /// Broken on purpose once: the time not looked at; no bound of their number; those kept that were read most.
    #[test]
    fn notes_are_forgotten_in_time_and_bounded() {
        let (notes, begun) = (Notes::default(), Instant::now());
        let second = Duration::from_secs(1);
        notes.put("a", "1", second, begun);
        assert_eq!(notes.get("a", begun), Some("1".to_owned()));
        assert_eq!(notes.get("a", begun + second), None);
        (0..NOTES + 1_000).for_each(|n| notes.put(&n.to_string(), "", second, begun));
        notes.0.run_pending_tasks();
        assert!(notes.0.entry_count() <= NOTES, "{}", notes.0.entry_count());
        (0..3).for_each(|_| drop(notes.get(&NOTES.to_string(), begun)));
        for n in 0..NOTES / 2 {
            notes.put(&format!("later {n}"), "", second, begun);
            notes.0.run_pending_tasks();
        }
        assert!((0..NOTES / 2).all(|n| notes.get(&format!("later {n}"), begun).is_some()), "the newest went");
    }
}
