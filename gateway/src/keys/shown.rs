//! Keys as operators see them: never the key, nor its hash.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Value, json};

use super::entry::{Entry, Standing};
use super::secret::PREFIX;
use super::table::Key;

/// One key; `used_s`: when it was used last, Unix seconds, 0 if it is not known to have been.
pub fn shown(id: &str, entry: &Entry, used_s: u64, now_ms: u64) -> Value {
    let secrets: Vec<Value> = entry
        .secrets
        .iter()
        .enumerate()
        .filter(|(at, _)| entry.standing(*at, now_ms) != Standing::Replaced)
        .map(|(_, secret)| {
            json!({
                "hint": format!("{PREFIX}...{}", secret.last4), "made": time(secret.made_ms),
                "ends": secret.until_ms.map(time),
            })
        })
        .collect();
    json!({
        "id": id, "tenant": entry.tenant, "name": entry.name, "state": state(entry, now_ms),
        "made": time(entry.made_ms), "expires": entry.expires_ms.map(time), "revoked": entry.revoked_ms.map(time),
        "last_used": (used_s > 0).then(|| time(used_s.saturating_mul(1_000))), "keys": secrets,
        "models": entry.models, "tags": entry.tags, "limits": entry.limits, "priority": entry.priority,
        "metadata": entry.metadata,
    })
}

/// Where in the list a key stands: the oldest first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    made_ms: u64,
    id: Arc<str>,
}

impl Place {
    fn of(key: &Key) -> Place {
        Place { made_ms: key.entry.made_ms, id: key.id.clone() }
    }

    /// As it was written.
    pub fn read(text: &str) -> Option<Place> {
        let (made, id) = text.split_once('-')?;
        Some(Place { made_ms: made.parse().ok()?, id: id.into() })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.made_ms, self.id)
    }
}

/// Of the list the part behind `after`, `most` keys at most; the place after which the next part begins, if there is one.
pub fn part<'k>(
    keys: impl Iterator<Item = &'k Arc<Key>>,
    after: Option<&Place>,
    most: usize,
) -> (Vec<Arc<Key>>, Option<Place>) {
    let placed = keys.map(|key| (Place::of(key), key));
    let mut behind: Vec<_> = placed.filter(|(place, _)| after.is_none_or(|after| place > after)).collect();
    behind.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    let more = behind.len() > most;
    behind.truncate(most);
    let next = behind.last().filter(|_| more).map(|(place, _)| place.clone());
    (behind.into_iter().map(|(_, key)| key.clone()).collect(), next)
}

fn state(entry: &Entry, now_ms: u64) -> &'static str {
    match entry.standing(0, now_ms) {
        Standing::Good | Standing::Replaced => "active",
        Standing::Revoked => "revoked",
        Standing::Expired => "expired",
    }
}

/// RFC 3339, whole seconds.
fn time(unix_ms: u64) -> String {
    // (What humantime can write ends with the year 9999.)
    let time = UNIX_EPOCH + Duration::from_millis(unix_ms.min(253_402_300_799_000));
    humantime::format_rfc3339_seconds(time).to_string()
}

#[cfg(test)]
mod tests {
    use super::super::entry::Secret;
    use super::super::secret::{self, Digest};
    use super::super::table::Table;
    use super::*;
    use crate::config::OnOutage;
    use crate::keys::entry::Stored;
    use secrecy::ExposeSecret;

    /// Broken on purpose to see it fail: keys that were made in the same millisecond as the last one of a part left out.
    #[test]
    fn the_parts_of_a_list_are_the_whole_of_it() {
        let mut table = Table::default();
        for at in 0..10u8 {
            let sha256 = Digest([at; 32]);
            let secret = Secret { sha256, last4: "abcd".into(), made_ms: 1, until_ms: None };
            let entry = serde_json::json!({ "tenant": "t", "made_ms": at / 4, "secrets": [secret] });
            let entry: Entry = serde_json::from_value(entry).unwrap();
            let id = format!("key_{:02}", 10 - at).into();
            assert!(table.take(&id, &Stored::of(1, 0, &entry).unwrap(), OnOutage::Closed));
        }
        for most in [1, 2, 3, 5, 10, 11] {
            let (mut all, mut after, mut parts) = (Vec::new(), None, 0);
            loop {
                let (keys, next) = part(table.keys(), after.as_ref(), most);
                assert!(!keys.is_empty() && keys.len() <= most);
                all.extend(keys.iter().map(|key| (key.entry.made_ms, key.id.to_string())));
                parts += 1;
                let Some(next) = next else { break };
                after = Place::read(&next.to_string());
                assert_eq!(after, Some(next));
            }
            assert_eq!((all.len(), parts), (10, 10_usize.div_ceil(most)));
            assert!(all.is_sorted());
        }
        for odd in ["", "5", "x-key_1", "-5-key_1"] {
            assert_eq!(Place::read(odd), None, "{odd}");
        }
    }

    /// Broken on purpose to see it fail: the digest shown as well.
    #[test]
    fn a_key_is_shown_without_what_it_is() {
        let made = secret::make().unwrap();
        let entry = Entry {
            tenant: "t".into(),
            name: Some("ci".into()),
            made_ms: 1_801_353_600_000,
            secrets: vec![Secret {
                sha256: made.digest,
                last4: made.last4.clone(),
                made_ms: 1_801_353_600_000,
                until_ms: None,
            }],
            expires_ms: Some(1_801_440_000_000),
            revoked_ms: None,
            models: None,
            tags: Vec::new(),
            limits: [("rpm".to_owned(), 5)].into(),
            priority: None,
            metadata: std::collections::BTreeMap::new(),
        };
        let page = shown("key_1", &entry, 1_801_353_700, 1_801_353_800_000);
        let text = page.to_string();
        let clear = made.clear.expose_secret();
        assert!(
            !text.contains(&clear[PREFIX.len()..]) && !text.contains(&hex::encode(made.digest.0)),
            "{text}"
        );
        assert_eq!(page["keys"][0]["hint"], format!("sk-weir-...{}", made.last4));
        assert_eq!((&page["made"], &page["state"]), (&"2027-01-31T00:00:00Z".into(), &"active".into()));
        assert_eq!((&page["last_used"], &page["limits"]["rpm"]), (&"2027-01-31T00:01:40Z".into(), &5.into()));
        let late = shown("key_1", &entry, 0, 1_801_440_000_000);
        assert_eq!((&late["state"], &late["last_used"]), (&"expired".into(), &Value::Null));
        assert_eq!(time(u64::MAX), "9999-12-31T23:59:59Z");
    }
}
