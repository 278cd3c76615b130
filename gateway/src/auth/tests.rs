use secrecy::ExposeSecret;

use super::*;
use crate::config::{OnOutage, Priority, check};
use crate::keys::entry::{Entry, Stored};
use crate::keys::wanted::Wanted;

fn key(name: &'static str, value: &str) -> Option<Vec<u8>> {
    let mut headers = HeaderMap::new();
    headers.insert(name, value.parse().unwrap());
    key_of(&headers).map(<[u8]>::to_vec)
}

#[test]
fn a_key_is_found_in_every_header_that_sdks_use() {
    assert_eq!(key("authorization", "Bearer sk-1"), Some(b"sk-1".to_vec()));
    assert_eq!(key("authorization", "bearer  sk-1 "), Some(b"sk-1".to_vec()));
    assert_eq!(key("x-api-key", "sk-2"), Some(b"sk-2".to_vec()));
    assert_eq!(key("api-key", "sk-3"), Some(b"sk-3".to_vec()));
    assert_eq!(key("x-goog-api-key", "sk-4"), Some(b"sk-4".to_vec()));
}

#[test]
fn a_key_in_the_query_is_taken_where_no_header_has_one() {
    let key = |query: &str, headers: &[(&'static str, &str)]| {
        let mut map = HeaderMap::new();
        headers.iter().for_each(|(name, value)| drop(map.insert(*name, value.parse().unwrap())));
        Credentials { headers: &map, query }.key().map(Cow::into_owned)
    };
    assert_eq!(key("a=b&key=sk%2D1", &[]), Some(b"sk-1".to_vec()));
    assert_eq!(key("key=sk-1", &[("x-api-key", "sk-2")]), Some(b"sk-2".to_vec()));
    assert_eq!(key("key=sk-1", &[("authorization", "Basic eA==")]), None);
    assert_eq!(key("key=", &[]), None);
    assert_eq!(key("monkey=sk-1", &[]), None);
}

#[test]
fn an_empty_or_foreign_credential_is_no_key() {
    assert_eq!(key("authorization", "Bearer "), None);
    assert_eq!(key("authorization", "Basic dTpw"), None);
    assert_eq!(key("authorization", "x"), None);
}

const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"; // of the empty key

fn configured(tenants: &str) -> Config {
    let text = format!(
        "version = 1\naccounts = [{{ name = \"a\", provider = \"openai\", api_key = \"k\" }}]\n\
         deployments = [{{ name = \"d\", account = \"a\", model = \"x\", tags = [\"eu\", \"fast\"] }}]\n\
         models = [{{ name = \"m\", deployments = [\"d\"] }}, {{ name = \"n\", deployments = [\"d\"] }}]\n{tenants}"
    );
    check::check(std::path::Path::new("weir.toml"), &text, &|_| None)
        .unwrap_or_else(|report| panic!("{report}"))
}

/// Who calls with a key.
fn who<'c>(config: &'c Config, keyring: &Keyring, key: &str) -> Result<Who<'c>, Error> {
    let mut headers = HeaderMap::new();
    headers.insert("x-api-key", key.parse().unwrap());
    Keys::new(config).who(config, keyring, Credentials { headers: &headers, query: "" })
}

/// A key for a tenant, and what is kept of it.
fn made(config: &Config, json: &str) -> (String, Entry) {
    let made = secret::make().unwrap();
    let wanted: Wanted = serde_json::from_str(json).unwrap();
    let entry = wanted.entry(config, &made, unix_ms()).unwrap();
    (made.clear.expose_secret().to_owned(), entry)
}

fn taken(keyring: &Keyring, version: u64, entry: &Entry) {
    assert_eq!(keyring.take(&[("key_1".into(), Stored::of(version, 0, entry).unwrap())]), 1);
}

#[test]
fn a_key_made_at_run_time_narrows_what_its_tenant_may() {
    let config = configured(&format!(
        "tenants = [{{ name = \"org\", tags = [\"eu\"], models = [\"m\", \"x*\"], limits = {{ rpm = 5 }} }},\n\
         {{ name = \"t\", parent = \"org\", keys = [\"{EMPTY}\"], models = [\"*\"], priority = \"high\" }}]"
    ));
    let keyring = Keyring::new(OnOutage::Closed);
    let asked = r#"{"tenant":"t","models":["m"],"tags":["fast"],"limits":{"rpm":2},"priority":"normal"}"#;
    let (key, entry) = made(&config, asked);
    taken(&keyring, 1, &entry);
    let caller = who(&config, &keyring, &key).unwrap();
    assert_eq!((&*caller.name(), caller.key_id().as_deref()), ("t", Some("key_1")));
    assert_eq!(["m", "n", "xyz"].map(|name| caller.may_use(name)), [true, false, false]);
    assert_eq!(caller.tags().collect::<Vec<_>>(), ["eu", "fast"]);
    assert_eq!(caller.priority(), Priority::Normal);
    let tenant = Who { tenant: caller.tenant, key: None };
    assert_eq!(
        ["m", "n", "xyz"].map(|name| tenant.may_use(name)),
        [true, false, true],
        "what is above holds below"
    );
    assert_eq!((tenant.priority(), tenant.tags().count()), (Priority::High, 1));
    assert_eq!(config.tenants[1].pools, config.tenants[0].pools);
}

/// Broken on purpose to see it fail: the standing of a key not looked at; a key that is not known refused for good whenever the state
/// was heard last.
#[test]
fn what_cannot_be_known_is_not_refused_for_good() {
    let config = configured(&format!("tenants = [{{ name = \"t\", keys = [\"{EMPTY}\"] }}]"));
    let keyring = Keyring::new(OnOutage::Closed);
    let kind = |config: &Config, keyring: &Keyring, key: &str| {
        who(config, keyring, key).map(|_| ()).map_err(|error| (error.kind, error.retry_after.is_some()))
    };
    let (key, entry) = made(&config, r#"{"tenant":"t"}"#);
    assert_eq!(kind(&config, &keyring, &key), Err((Kind::StateAway, true)), "it may have been made");
    assert_eq!(kind(&config, &keyring, "sk-other"), Err((Kind::BadKey, false)), "no replica makes such keys");
    keyring.note_heard(crate::clock::boot_ms());
    assert_eq!(kind(&config, &keyring, &key), Err((Kind::BadKey, false)));
    taken(&keyring, 1, &entry);
    assert_eq!(kind(&config, &keyring, &key), Ok(()));
    let without = configured("tenants = [{ name = \"u\" }]");
    assert_eq!(
        kind(&without, &keyring, &key),
        Err((Kind::BadKey, false)),
        "its tenant has left the configuration"
    );
    for dead in [
        Entry { expires_ms: Some(unix_ms()), ..entry.clone() },
        Entry { revoked_ms: Some(unix_ms()), ..entry.clone() },
    ] {
        let keyring = Keyring::new(OnOutage::Closed);
        taken(&keyring, 2, &dead);
        assert_eq!(
            kind(&config, &keyring, &key),
            Err((Kind::BadKey, false)),
            "known to be dead, heard or not"
        );
    }
}
