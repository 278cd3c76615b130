//! What operators may ask for: a key, or another in its place. Checked as the configuration is, against the one that is in force.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::entry::{Entry, Secret};
use super::secret::Made;
use crate::config::{Config, MeterSpec, Pattern, Priority, Tenant};

/// No key lives longer, unless it lives for ever; no grace is longer.
const LONGEST: Duration = Duration::from_secs(10 * 366 * 24 * 3600);
const LONGEST_GRACE: Duration = Duration::from_secs(90 * 24 * 3600);
/// Most characters of a name, and of what metadata call something and say of it.
const MOST_NAME: usize = 100;
const MOST_KEY: usize = 64;
const MOST_VALUE: usize = 512;
/// Most entries of a list.
const MOST_ENTRIES: usize = 64;
/// So many secrets of one key go on at once, the newest included.
const MOST_SECRETS: usize = 8;
/// Most bytes of all that is kept of a key: many are read at once, within the time that a call waits for the state.
const MOST_BYTES: usize = 16 * 1024;

/// A key that is wanted.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// Whose it is to be.
    pub tenant: String,
    /// What people call it.
    #[serde(default, alias = "alias", skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// When it ends: a time (RFC 3339), or how long from now (`90d`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// Of the tenant's models those that it may use; all if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub models: Option<Vec<String>>,
    /// Tags that deployments must have for its calls.
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

/// Another key in the place of one.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rotation {
    /// For how long the one that it replaces goes on: `24h`, or `0s`.
    pub grace: String,
}

impl Wanted {
    /// The entry of such a key, made now; why there cannot be one.
    pub fn entry(self, config: &Config, made: &Made, now_ms: u64) -> Result<Entry, String> {
        let Some(tenant) = config.tenants.iter().find(|tenant| *tenant.name == *self.tenant) else {
            return Err(format!("there is no tenant {:?} in the configuration", self.tenant));
        };
        if self.name.as_ref().is_some_and(|name| name.is_empty() || name.chars().count() > MOST_NAME) {
            return Err(format!("a name has 1 to {MOST_NAME} characters"));
        }
        let expires_ms = self.expires.as_deref().map(|text| end(text, now_ms)).transpose()?;
        check_models(self.models.as_deref().unwrap_or_default(), self.models.is_some(), tenant, config)?;
        check_tags(&self.tags, config)?;
        meters(&self.limits)?;
        let own = priority(self.priority.as_deref())?;
        if self.priority.is_some() && own < tenant.priority {
            return Err("a key's calls cannot be more urgent than its tenant's".to_owned());
        }
        check_metadata(&self.metadata)?;
        let Wanted { tenant, name, models, tags, limits, priority, metadata, .. } = self;
        let entry = Entry {
            tenant,
            name,
            made_ms: now_ms,
            secrets: vec![secret(made, now_ms)],
            expires_ms,
            revoked_ms: None,
            models,
            tags,
            limits,
            priority,
            metadata,
        };
        let bytes = serde_json::to_vec(&entry).map_err(|err| err.to_string())?.len();
        if bytes > MOST_BYTES {
            return Err(format!("a key has at most {MOST_BYTES} bytes in all, as JSON: these are {bytes}"));
        }
        Ok(entry)
    }
}

impl Rotation {
    /// How long the grace is, ms.
    pub fn grace_ms(&self) -> Result<u64, String> {
        let grace = humantime::parse_duration(&self.grace).ok().filter(|grace| *grace <= LONGEST_GRACE);
        let wrong = || "`grace` is a time such as \"24h\", or \"0s\", up to 90 days".to_owned();
        grace.map(|grace| grace.as_millis() as u64).ok_or_else(wrong)
    }
}

/// The entry with another secret in the place of the newest, which goes on for `grace_ms`; why there cannot be one.
pub fn rotated(entry: &Entry, made: &Made, grace_ms: u64, now_ms: u64) -> Result<Entry, &'static str> {
    if entry.revoked_ms.is_some() {
        return Err("the key is revoked");
    }
    if entry.expires_ms.is_some_and(|end| end <= now_ms) {
        return Err("the key has expired");
    }
    // What ends at once has ended by every clock, as what is revoked has: no replica's may be so slow that it goes on there.
    let ends = if grace_ms == 0 { 0 } else { now_ms.saturating_add(grace_ms) };
    let mut secrets = vec![secret(made, now_ms)];
    for old in &entry.secrets {
        let until = old.until_ms.map_or(ends, |until| until.min(ends));
        // (One whose time is over is kept for as long as that is told from a key that nobody knows.)
        secrets.push(Secret { until_ms: Some(until), ..old.clone() });
    }
    let is_over = |secret: &Secret| secret.until_ms.is_some_and(|until| until <= now_ms);
    while secrets.len() > MOST_SECRETS {
        let Some(at) = secrets.iter().rposition(is_over) else {
            return Err("too many keys that it replaced go on: wait until their grace is over");
        };
        secrets.remove(at);
    }
    Ok(Entry { secrets, ..entry.clone() })
}

fn secret(made: &Made, now_ms: u64) -> Secret {
    Secret { sha256: made.digest, last4: made.last4.clone(), made_ms: now_ms, until_ms: None }
}

/// When a key ends, Unix milliseconds.
fn end(text: &str, now_ms: u64) -> Result<u64, String> {
    let wrong = || {
        format!(
            "`expires` is a time to come such as \"2027-01-31T00:00:00Z\", or how long from now such as \"90d\", up to ten years: not {text:?}"
        )
    };
    let end = match humantime::parse_duration(text) {
        Ok(time) => {
            UNIX_EPOCH.checked_add(Duration::from_millis(now_ms)).and_then(|now| now.checked_add(time))
        }
        Err(_) => humantime::parse_rfc3339(text).ok(),
    };
    let end = end.and_then(unix_ms).ok_or_else(wrong)?;
    let longest = now_ms.saturating_add(LONGEST.as_millis() as u64);
    if end > now_ms && end <= longest { Ok(end) } else { Err(wrong()) }
}

fn unix_ms(time: SystemTime) -> Option<u64> {
    u64::try_from(time.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok()
}

fn check_models(models: &[String], given: bool, tenant: &Tenant, config: &Config) -> Result<(), String> {
    if given && models.is_empty() {
        return Err("`models` is empty: the key could not be used".to_owned());
    }
    bounded("models", models)?;
    for name in models.iter().filter(|name| !Pattern::new(name).prefix) {
        if config.find_model(name).is_none() && !config.is_rule_name(name) {
            return Err(format!("there is no model or alias {name:?}"));
        }
        if !tenant.may_use(name) {
            return Err(format!("the tenant may not use the model {name:?} itself"));
        }
    }
    Ok(())
}

fn check_tags(tags: &[String], config: &Config) -> Result<(), String> {
    bounded("tags", tags)?;
    let is_known = |tag: &&String| config.deployment_tags.iter().any(|known| **known == ***tag);
    match tags.iter().find(|tag| !is_known(tag)) {
        Some(tag) => Err(format!("no deployment has the tag {tag:?}")),
        None => Ok(()),
    }
}

fn check_metadata(metadata: &BTreeMap<String, String>) -> Result<(), String> {
    let fits = |(key, value): (&String, &String)| {
        !key.is_empty() && key.chars().count() <= MOST_KEY && value.chars().count() <= MOST_VALUE
    };
    if metadata.len() <= MOST_ENTRIES && metadata.iter().all(fits) {
        return Ok(());
    }
    let message = format!(
        "`metadata` has at most {MOST_ENTRIES} entries, of keys of 1 to {MOST_KEY} and values of up to {MOST_VALUE} characters"
    );
    Err(message)
}

fn bounded(what: &str, list: &[String]) -> Result<(), String> {
    let fits = list.len() <= MOST_ENTRIES && list.iter().all(|entry| entry.chars().count() <= MOST_VALUE);
    if fits { Ok(()) } else { Err(format!("`{what}` is too long")) }
}

/// The limits of a key.
pub fn meters(limits: &BTreeMap<String, u64>) -> Result<Vec<MeterSpec>, String> {
    let meter = |(name, limit): (&String, &u64)| {
        let known = MeterSpec::LIMITS.iter().find(|(known, ..)| known == name);
        let Some((_, kind, per_ms)) = known.copied() else {
            let names: Vec<&str> = MeterSpec::LIMITS.iter().map(|(name, ..)| *name).collect();
            return Err(format!("there is no limit {name:?}: expected {}", names.join(", ")));
        };
        match *limit {
            0 => {
                Err(format!("a limit of 0 is refused ({name}): leave it out for no limit, or revoke the key"))
            }
            limit if limit < MeterSpec::END => Ok(MeterSpec { kind, limit, per_ms }),
            _ => Err(format!("the limit {name} is too large")),
        }
    };
    limits.iter().map(meter).collect()
}

/// What a word of `priority` means; absent, a key's calls are as urgent as its tenant's.
pub fn priority(word: Option<&str>) -> Result<Priority, String> {
    let Some(word) = word else { return Ok(Priority::High) };
    let known = Priority::WORDS.iter().find(|(known, _)| *known == word);
    known
        .map(|(_, priority)| *priority)
        .ok_or_else(|| format!("`priority` is high, normal or low, not {word:?}"))
}

#[cfg(test)]
mod tests {
    use super::super::entry::Standing;
    use super::super::secret;
    use super::*;
    use crate::config::check;

    const NOW: u64 = 1_800_000_000_000;
    const DAY: u64 = 24 * 3600 * 1000;

    fn config() -> Config {
        let text = "version = 1\naccounts = [{ name = \"a\", provider = \"openai\", api_key = \"k\" }]\n\
            deployments = [{ name = \"d\", account = \"a\", model = \"x\", tags = [\"eu\"] }]\n\
            models = [{ name = \"m\", deployments = [\"d\"] }, { name = \"other\", deployments = [\"d\"] }]\n\
            tenants = [{ name = \"t\", models = [\"m\"], priority = \"normal\" }, { name = \"all\", priority = \"high\" }]\n";
        check::check(std::path::Path::new("weir.toml"), text, &|_| None)
            .unwrap_or_else(|report| panic!("{report}"))
    }

    fn asked(json: &str) -> Result<Entry, String> {
        let wanted: Wanted = serde_json::from_str(json).map_err(|err| err.to_string())?;
        wanted.entry(&config(), &secret::make().unwrap(), NOW)
    }

    #[test]
    fn what_is_asked_for_is_what_is_kept() {
        let entry = asked(
            r#"{"tenant":"t","alias":"ci","expires":"90d","models":["m","gpt*"],"tags":["eu"],
                "limits":{"rpm":60,"concurrency":2},"priority":"low","metadata":{"owner":"ann"}}"#,
        )
        .unwrap();
        assert_eq!((entry.name.as_deref(), entry.expires_ms), (Some("ci"), Some(NOW + 90 * DAY)));
        assert_eq!(
            entry.limits.into_iter().collect::<Vec<_>>(),
            [("concurrency".to_owned(), 2), ("rpm".to_owned(), 60)]
        );
        assert_eq!((entry.priority.as_deref(), entry.secrets.len()), (Some("low"), 1));
        let end = asked(r#"{"tenant":"t","expires":"2027-01-31T00:00:00Z"}"#).unwrap().expires_ms;
        assert_eq!(end, Some(1_801_353_600_000));
        assert_eq!(asked(r#"{"tenant":"all","models":["other"],"priority":"high"}"#).map(|_| ()), Ok(()));
    }

    /// Broken on purpose to see it fail: models, tags, the priority not looked at.
    #[test]
    fn what_could_not_be_meant_is_refused_with_the_reason() {
        for (json, reason) in [
            (r#"{"name":"x"}"#, "missing field `tenant`"),
            (r#"{"tenant":"t","rpm":5}"#, "unknown field `rpm`"),
            (r#"{"tenant":"u"}"#, "no tenant \"u\""),
            (r#"{"tenant":"t","name":""}"#, "a name has"),
            (r#"{"tenant":"t","expires":"yesterday"}"#, "`expires`"),
            (r#"{"tenant":"t","expires":"2020-01-01T00:00:00Z"}"#, "`expires`"),
            (r#"{"tenant":"t","expires":"0s"}"#, "`expires`"),
            (r#"{"tenant":"t","expires":"4000d"}"#, "`expires`"),
            (r#"{"tenant":"t","models":[]}"#, "`models` is empty"),
            (r#"{"tenant":"t","models":["n"]}"#, "no model or alias \"n\""),
            (r#"{"tenant":"t","models":["other"]}"#, "the tenant may not use"),
            (r#"{"tenant":"t","tags":["us"]}"#, "no deployment has the tag"),
            (r#"{"tenant":"t","limits":{"rph":5}}"#, "no limit \"rph\""),
            (r#"{"tenant":"t","limits":{"rpm":0}}"#, "a limit of 0"),
            (r#"{"tenant":"t","limits":{"tpm":1099511627776}}"#, "too large"),
            (r#"{"tenant":"t","limits":{"rpm":-1}}"#, "invalid value"),
            (r#"{"tenant":"t","priority":"high"}"#, "more urgent"),
            (r#"{"tenant":"t","priority":"urgent"}"#, "`priority` is"),
            (r#"{"tenant":"t","metadata":{"":"x"}}"#, "`metadata`"),
        ] {
            let refused = asked(json).unwrap_err();
            assert!(refused.contains(reason), "{json}: {refused}");
        }
    }

    /// Broken on purpose to see it fail: the grace given to those that had a shorter one already.
    #[test]
    fn a_rotation_lets_the_old_one_go_on_for_its_grace_and_no_other_for_longer() {
        let make = || secret::make().unwrap();
        let first = asked(r#"{"tenant":"t"}"#).unwrap();
        let second = rotated(&first, &make(), 10_000, NOW).unwrap();
        assert_eq!([0, 1].map(|at| second.standing(at, NOW + 9_999)), [Standing::Good; 2]);
        assert_eq!([0, 1].map(|at| second.standing(at, NOW + 10_000)), [Standing::Good, Standing::Replaced]);
        let third = rotated(&second, &make(), 60_000, NOW + 5_000).unwrap();
        let until: Vec<_> = third.secrets.iter().map(|secret| secret.until_ms).collect();
        assert_eq!(until, [None, Some(NOW + 65_000), Some(NOW + 10_000)]);
    }

    /// Broken on purpose to see it fail: the end reckoned by the clock of who rotates.
    #[test]
    fn a_leak_ends_all_that_went_on_whatever_the_time_is_elsewhere() {
        let make = || secret::make().unwrap();
        let first = asked(r#"{"tenant":"t"}"#).unwrap();
        let second = rotated(&first, &make(), 60_000, NOW).unwrap();
        let at_once = rotated(&second, &make(), 0, NOW + 5_000).unwrap();
        for now in [0, NOW - DAY, NOW + 5_000, NOW + DAY] {
            assert_eq!([1, 2].map(|at| at_once.standing(at, now)), [Standing::Replaced; 2], "at {now}");
            assert_eq!(at_once.standing(0, now), Standing::Good);
        }
        let later = rotated(&at_once, &make(), DAY, NOW + 6_000).unwrap();
        assert_eq!(
            [1, 2, 3].map(|at| later.standing(at, NOW + 6_000)),
            [Standing::Good, Standing::Replaced, Standing::Replaced],
            "a grace later on brings none back"
        );
    }

    /// Broken on purpose to see it fail: each part bounded, and not the whole.
    #[test]
    fn a_key_takes_no_more_than_others_can_read_in_time() {
        let of = |entries: usize| {
            let metadata: BTreeMap<String, String> =
                (0..entries).map(|at| (format!("k{at}"), "\u{1f511}".repeat(MOST_VALUE))).collect();
            asked(&serde_json::json!({ "tenant": "t", "metadata": metadata }).to_string())
        };
        assert!(of(7).is_ok());
        assert!(of(MOST_ENTRIES).unwrap_err().contains("bytes in all"));
    }

    #[test]
    fn so_many_go_on_at_once_and_a_dead_key_is_not_rotated() {
        let make = || secret::make().unwrap();
        let mut entry = asked(r#"{"tenant":"t","expires":"1d"}"#).unwrap();
        for _ in 1..MOST_SECRETS {
            entry = rotated(&entry, &make(), DAY / 2, NOW).unwrap();
        }
        assert!(rotated(&entry, &make(), DAY / 2, NOW + 1).unwrap_err().contains("too many"));
        let later = rotated(&entry, &make(), 0, NOW + DAY / 2).unwrap();
        assert_eq!(later.secrets.len(), MOST_SECRETS);
        assert!(rotated(&entry, &make(), 0, NOW + DAY).unwrap_err().contains("expired"));
        let revoked = Entry { revoked_ms: Some(NOW), ..entry };
        assert!(rotated(&revoked, &make(), 0, NOW).unwrap_err().contains("revoked"));
        let grace = |text: &str| Rotation { grace: text.to_owned() }.grace_ms();
        assert_eq!((grace("0s"), grace("24h")), (Ok(0), Ok(DAY)));
        for odd in ["", "soon", "-1s", "91d"] {
            assert!(grace(odd).is_err(), "{odd}");
        }
    }
}
