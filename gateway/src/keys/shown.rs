//! Keys as operators see them: never the key, nor its hash.

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

/// All of them, the oldest first.
pub fn list<'k>(
    keys: impl Iterator<Item = &'k std::sync::Arc<Key>>,
    used: impl Fn(&Key) -> u64,
    now_ms: u64,
) -> Vec<Value> {
    let mut keys: Vec<_> = keys.collect();
    keys.sort_by(|a, b| (a.entry.made_ms, &a.id).cmp(&(b.entry.made_ms, &b.id)));
    keys.into_iter().map(|key| shown(&key.id, &key.entry, used(key), now_ms)).collect()
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
    use super::super::secret;
    use super::*;
    use secrecy::ExposeSecret;

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
