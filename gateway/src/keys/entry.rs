//! What a key is, as the state keeps it.
//!
//! Whoever reads an entry that says more than it knows reads none: a replica of an older version refuses such a key rather than
//! overlook what restricts it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::secret::Digest;
use crate::state::keys::Told;

/// A revoked key is remembered for so long, ms: nobody was away for longer and still takes it for alive.
pub const REMEMBERED_MS: u64 = 90 * 24 * 3600 * 1000;
/// One that has expired says so itself, to whoever remembers it: it is kept for people, who see it listed.
pub const LISTED_MS: u64 = 7 * 24 * 3600 * 1000;

/// A key. Times are Unix milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Whose it is: the name of a tenant of the configuration.
    pub tenant: String,
    /// What people call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// When it was made.
    pub made_ms: u64,
    /// What is sent as the key, the newest first; others go on for a while after a rotation.
    pub secrets: Vec<Secret>,
    /// From then on it is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_ms: Option<u64>,
    /// Since then it is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_ms: Option<u64>,
    /// Of the tenant's models those that it may use, or prefixes with `*`; all if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub models: Option<Vec<String>>,
    /// Tags that deployments must have, besides those that the tenant's must.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Its own limits, by the keys of `limits`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub limits: BTreeMap<String, u64>,
    /// How urgent its calls are at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<String>,
    /// For people.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
}

/// What is sent as a key, as far as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Secret {
    /// Its SHA-256.
    pub sha256: Digest,
    /// Its last characters, for people to tell it from others.
    pub last4: String,
    /// When it was made.
    pub made_ms: u64,
    /// From then on it is refused: it was replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<u64>,
}

/// May a key be used, and if not, why?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It may.
    Good,
    /// Somebody revoked it.
    Revoked,
    /// Its time is over.
    Expired,
    /// Another has taken its place.
    Replaced,
}

impl Entry {
    /// How the secret number `at` stands.
    pub fn standing(&self, at: usize, now_ms: u64) -> Standing {
        let is_over = |time: Option<u64>| time.is_some_and(|time| time <= now_ms);
        if self.revoked_ms.is_some() {
            Standing::Revoked
        } else if is_over(self.expires_ms) {
            Standing::Expired
        } else if is_over(self.secrets.get(at).and_then(|secret| secret.until_ms)) {
            Standing::Replaced
        } else {
            Standing::Good
        }
    }

    /// Is it so long of no use that it is forgotten?
    pub fn is_forgotten(&self, now_ms: u64) -> bool {
        let is_over = |time: Option<u64>, more| time.is_some_and(|time| time.saturating_add(more) <= now_ms);
        is_over(self.revoked_ms, REMEMBERED_MS) || is_over(self.expires_ms, LISTED_MS)
    }
}

/// An entry as it is kept, with what decides which of two is the newer.
#[derive(Clone, PartialEq, Eq)]
pub struct Stored {
    /// How often the key was changed, from 1.
    pub version: u64,
    /// For good.
    pub revoked: bool,
    /// Drawn when it was changed: of two changes with one version, which histories that were split may have, the higher counts.
    pub drawn: u64,
    /// The entry, JSON.
    pub text: Arc<str>,
}

/// (It holds digests of keys.)
impl fmt::Debug for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stored({}, {})", self.version, self.revoked)
    }
}

impl Stored {
    /// An entry in this version; `drawn` below 2^53.
    pub fn of(version: u64, drawn: u64, entry: &Entry) -> Result<Stored, serde_json::Error> {
        let text = serde_json::to_string(entry)?.into();
        Ok(Stored { version, revoked: entry.revoked_ms.is_some(), drawn, text })
    }

    /// As the state has it.
    pub fn read(written: &str) -> Option<Stored> {
        let mut parts = written.splitn(4, ' ');
        let version = parts.next()?.parse().ok()?;
        let revoked = match parts.next()? {
            "0" => false,
            "1" => true,
            _ => return None,
        };
        let drawn = parts.next()?.parse().ok()?;
        Some(Stored { version, revoked, drawn, text: parts.next()?.into() })
    }

    /// What is told of the key `id`: `again`, or as the change that it is.
    pub fn told<'a>(&'a self, id: &'a str, again: bool) -> Told<'a> {
        let Stored { version, revoked, drawn, text } = self;
        Told { id, version: *version, revoked: *revoked, drawn: *drawn, text, again }
    }

    /// The change after this one, which ends the key; what else the entry says stays, understood here or not. `None` if it is no entry.
    pub fn ended(&self, drawn: u64, now_ms: u64) -> Option<Stored> {
        let mut entry: Map<String, Value> = serde_json::from_str(&self.text).ok()?;
        entry.insert("revoked_ms".to_owned(), now_ms.into());
        let text = serde_json::to_string(&entry).ok()?.into();
        Some(Stored { version: self.version + 1, revoked: true, drawn, text })
    }

    /// The entry, if this replica understands all of it.
    pub fn entry(&self) -> Option<Entry> {
        serde_json::from_str(&self.text).ok()
    }

    /// Is it newer? One that is revoked is newer than any that is not: nobody brings it back.
    pub fn is_newer_than(&self, other: &Stored) -> bool {
        let order = |of: &Stored| (of.revoked, of.version, of.drawn);
        order(self) > order(other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry {
        let secret = |byte: u8, until_ms| Secret {
            sha256: Digest([byte; 32]),
            last4: "abcd".into(),
            made_ms: 1,
            until_ms,
        };
        Entry {
            tenant: "t".into(),
            name: None,
            made_ms: 1,
            secrets: vec![secret(1, None), secret(2, Some(500))],
            expires_ms: Some(1_000),
            revoked_ms: None,
            models: None,
            tags: Vec::new(),
            limits: BTreeMap::new(),
            priority: None,
            metadata: BTreeMap::new(),
        }
    }

    /// Broken on purpose to see it fail: the end of the grace, and of the key itself, taken as a time at which it still holds.
    #[test]
    fn a_key_is_refused_from_the_moment_on_that_it_names() {
        let key = entry();
        assert_eq!([0, 999].map(|now| key.standing(0, now)), [Standing::Good; 2]);
        assert_eq!([1_000, 2_000].map(|now| key.standing(0, now)), [Standing::Expired; 2]);
        assert_eq!([499, 500].map(|now| key.standing(1, now)), [Standing::Good, Standing::Replaced]);
        let revoked = Entry { revoked_ms: Some(100), ..entry() };
        assert_eq!(
            [0, 2_000].map(|now| revoked.standing(0, now)),
            [Standing::Revoked; 2],
            "whatever the clock says"
        );
    }

    /// Broken on purpose to see it fail: versions compared before revocations.
    #[test]
    fn of_two_the_newer_is_known_and_none_brings_a_revoked_key_back() {
        let stored = |version, revoked, drawn| Stored { version, revoked, drawn, text: "{}".into() };
        let order = [(1, false, 9), (7, false, 2), (7, false, 3), (2, true, 1), (3, true, 0)];
        let order = order.map(|(version, revoked, drawn)| stored(version, revoked, drawn));
        for (at, one) in order.iter().enumerate() {
            for (other_at, other) in order.iter().enumerate() {
                assert_eq!(one.is_newer_than(other), at > other_at);
            }
        }
    }

    #[test]
    fn what_is_written_is_read_and_what_says_more_is_not() {
        let stored = Stored::of(3, 8, &entry()).unwrap();
        let read = Stored::read(&format!("3 0 8 {}", stored.text)).unwrap();
        assert_eq!((&read, read.entry()), (&stored, Some(entry())));
        for odd in ["", "3", "3 0", "3 0 8", "x 0 8 {}", "3 2 8 {}", "3 0 {} {}", "-1 0 8 {}"] {
            assert_eq!(Stored::read(odd), None, "{odd}");
        }
        let more = stored.text.replacen('{', "{\"only_on_sundays\":true,", 1);
        let newer = Stored::read(&format!("4 0 8 {more}")).unwrap();
        assert_eq!((newer.version, newer.entry()), (4, None), "a restriction that is not understood");
        let ended = newer.ended(9, 77).unwrap();
        assert_eq!((ended.version, ended.revoked, ended.drawn), (5, true, 9));
        assert!(ended.text.contains("\"only_on_sundays\":true") && ended.text.contains("\"revoked_ms\":77"));
        let revoked = Entry { revoked_ms: Some(77), ..entry() };
        assert_eq!(stored.ended(9, 77).unwrap().entry(), Some(revoked));
    }

    /// Broken on purpose to see it fail: a revoked key that would not expire for years forgotten with those that have expired.
    #[test]
    fn a_dead_key_is_remembered_for_longer_than_anybody_takes_it_for_alive() {
        let expired = entry();
        assert!(!expired.is_forgotten(1_000 + LISTED_MS - 1));
        assert!(expired.is_forgotten(1_000 + LISTED_MS));
        let revoked = |expires_ms| Entry { revoked_ms: Some(10), expires_ms, ..entry() };
        for expires_ms in [None, Some(10 * REMEMBERED_MS)] {
            assert!(!revoked(expires_ms).is_forgotten(10 + REMEMBERED_MS - 1));
            assert!(revoked(expires_ms).is_forgotten(10 + REMEMBERED_MS));
        }
        assert!(revoked(Some(1_000)).is_forgotten(1_000 + LISTED_MS), "nobody takes it for alive then");
        assert!(!Entry { expires_ms: None, ..entry() }.is_forgotten(u64::MAX));
    }
}
