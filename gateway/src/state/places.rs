//! Where things are that calls have made and that later calls refer to by id: a response, a conversation. Only the
//! account that made one can go on with it. Unlike a session's pin this is no advice: it never moves.
//!
//! Kept in the shared state as strings with a time to live, and in this process, where they cannot be wrong: what
//! is told again of an id differs in its size only.

use std::time::{Duration, Instant};

use ahash::AHashMap;
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

impl Client {
    /// Where something is, if anybody knows.
    pub async fn place(&self, port: &Port, key: &str) -> Result<Option<Place>, Away> {
        if let Some(place) = self.places.get(key) {
            return Ok(Some(place));
        }
        let found = port.recall(key).await?.and_then(|text| Place::decode(&text));
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

/// Strings are swept when there are more than this and twice as many as after the last sweep.
const SWEEP_ABOVE: usize = 4_096;

/// Strings that are forgotten in time, in this process.
#[derive(Debug, Default)]
pub(super) struct Notes {
    by_key: AHashMap<String, (String, Instant)>,
    swept: usize,
}

impl Notes {
    pub(super) fn put(&mut self, key: &str, value: &str, ttl: Duration, now: Instant) {
        self.by_key.insert(key.to_owned(), (value.to_owned(), now + ttl));
        if self.by_key.len() > SWEEP_ABOVE.max(2 * self.swept) {
            self.by_key.retain(|_, (_, until)| *until > now);
            self.swept = self.by_key.len();
        }
    }

    pub(super) fn get(&self, key: &str, now: Instant) -> Option<String> {
        self.by_key.get(key).filter(|(_, until)| *until > now).map(|(value, _)| value.clone())
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
    fn notes_are_forgotten_in_time_and_swept() {
        let (mut notes, begun) = (Notes::default(), Instant::now());
        let second = Duration::from_secs(1);
        notes.put("a", "1", second, begun);
        assert_eq!(notes.get("a", begun), Some("1".to_owned()));
        assert_eq!(notes.get("a", begun + second), None);
        (0..=SWEEP_ABOVE).for_each(|n| notes.put(&n.to_string(), "", 2 * second, begun + second));
        assert!(!notes.by_key.contains_key("a"), "swept");
        assert_eq!(notes.swept, SWEEP_ABOVE);
    }
}
