use secrecy::ExposeSecret;

use super::*;
use crate::clock::unix_ms;
use crate::config::{OnOutage, Priority, check};
use crate::keys::entry::{Entry, Stored};
use crate::keys::wanted::{self, Wanted};

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
async fn who<'c>(config: &'c Config, keyring: &Keyring, key: &str) -> Result<Who<'c>, Error> {
    let mut headers = HeaderMap::new();
    headers.insert("x-api-key", key.parse().unwrap());
    Keys::new(config).who(config, keyring, Credentials { headers: &headers, query: "" }).await
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

#[tokio::test]
async fn a_key_made_at_run_time_narrows_what_its_tenant_may() {
    let config = configured(&format!(
        "tenants = [{{ name = \"org\", tags = [\"eu\"], models = [\"m\", \"x*\"], limits = {{ rpm = 5 }} }},\n\
         {{ name = \"t\", parent = \"org\", keys = [\"{EMPTY}\"], models = [\"*\"], priority = \"high\" }}]"
    ));
    let keyring = Keyring::new(OnOutage::Closed);
    let asked = r#"{"tenant":"t","models":["m"],"tags":["fast"],"limits":{"rpm":2},"priority":"normal"}"#;
    let (key, entry) = made(&config, asked);
    taken(&keyring, 1, &entry);
    let caller = who(&config, &keyring, &key).await.unwrap();
    assert_eq!((&*caller.name(), caller.key_id().as_deref()), ("t", Some("key_1")));
    assert_eq!(["m", "n", "xyz"].map(|name| caller.may_use(name)), [true, false, false]);
    assert_eq!(caller.tags().collect::<Vec<_>>(), ["eu", "fast"]);
    assert_eq!(caller.priority(), Priority::Normal);
    let tenant = Who { tenant: caller.tenant, ..Who::default() };
    assert_eq!(
        ["m", "n", "xyz"].map(|name| tenant.may_use(name)),
        [true, false, true],
        "what is above holds below"
    );
    assert_eq!((tenant.priority(), tenant.tags().count()), (Priority::High, 1));
    assert_eq!(config.tenants[1].pools, config.tenants[0].pools);
}

async fn kind(config: &Config, keyring: &Keyring, key: &str) -> Result<(), (Kind, bool)> {
    who(config, keyring, key).await.map(drop).map_err(|error| (error.kind, error.retry_after.is_some()))
}

/// The same, while the state is looked at once more and `found` is known then.
async fn kind_at_next_look(
    config: &Config,
    keyring: &Keyring,
    key: &str,
    found: Option<&Entry>,
) -> Result<(), (Kind, bool)> {
    let look = async {
        let began = boot_ms() + 1;
        found.into_iter().for_each(|entry| taken(keyring, 1, entry));
        keyring.note_heard(began);
    };
    tokio::join!(kind(config, keyring, key), look).0
}

/// Broken on purpose to see it fail: the standing of a key not looked at; a key that is not known refused for good by what was heard before
/// the call came.
#[tokio::test(start_paused = true)]
async fn what_cannot_be_known_is_not_refused_for_good() {
    let config = configured(&format!("tenants = [{{ name = \"t\", keys = [\"{EMPTY}\"] }}]"));
    let keyring = Keyring::new(OnOutage::Closed);
    let (key, entry) = made(&config, r#"{"tenant":"t"}"#);
    assert_eq!(kind(&config, &keyring, &key).await, Err((Kind::StateAway, true)), "it may have been made");
    let other = kind(&config, &keyring, "sk-other").await;
    assert_eq!(other, Err((Kind::BadKey, false)), "no replica makes such keys");
    keyring.note_heard(boot_ms());
    let since = kind(&config, &keyring, &key).await;
    assert_eq!(since, Err((Kind::StateAway, true)), "it may have been made since");
    assert_eq!(kind_at_next_look(&config, &keyring, &key, None).await, Err((Kind::BadKey, false)));
    let keyring = Keyring::new(OnOutage::Closed);
    assert_eq!(kind_at_next_look(&config, &keyring, &key, Some(&entry)).await, Ok(()), "made a moment ago");
    assert_eq!(kind(&config, &keyring, &key).await, Ok(()));
    let without = configured("tenants = [{ name = \"u\" }]");
    let gone = kind(&without, &keyring, &key).await;
    assert_eq!(gone, Err((Kind::BadKey, false)), "its tenant has left the configuration");
    for dead in [
        Entry { expires_ms: Some(unix_ms()), ..entry.clone() },
        Entry { revoked_ms: Some(unix_ms()), ..entry.clone() },
    ] {
        let keyring = Keyring::new(OnOutage::Closed);
        taken(&keyring, 2, &dead);
        let dead = kind(&config, &keyring, &key).await;
        assert_eq!(dead, Err((Kind::BadKey, false)), "known to be dead, heard or not");
    }
}

/// Broken on purpose to see it fail: a call's key asked for once, when it comes; the place of the secret in the entry kept, and not what was
/// sent.
#[tokio::test]
async fn who_was_let_in_is_asked_again_before_something_is_sent() {
    let config = configured(&format!("tenants = [{{ name = \"t\", keys = [\"{EMPTY}\"] }}]"));
    let keyring = Keyring::new(OnOutage::Closed);
    let (key, entry) = made(&config, r#"{"tenant":"t"}"#);
    taken(&keyring, 1, &entry);
    let caller = who(&config, &keyring, &key).await.unwrap();
    assert!(caller.still(&keyring).is_ok());
    let another = || secret::make().unwrap();
    let rotated = wanted::rotated(&entry, &another(), 60_000, unix_ms()).unwrap();
    taken(&keyring, 2, &rotated);
    assert!(caller.still(&keyring).is_ok(), "it goes on for its grace");
    let leaked = wanted::rotated(&rotated, &another(), 0, unix_ms()).unwrap();
    taken(&keyring, 3, &leaked);
    assert_eq!(caller.still(&keyring).unwrap_err().kind, Kind::BadKey);
    keyring.forget(&["key_1".to_owned()]);
    assert_eq!(caller.still(&keyring).unwrap_err().kind, Kind::BadKey);
    let configured = Who { tenant: caller.tenant, ..Who::default() };
    assert!(configured.still(&keyring).is_ok());
}

/// Broken on purpose to see it fail: keys of the configuration looked at first.
#[tokio::test]
async fn a_revocation_holds_for_a_key_that_the_configuration_has_as_well() {
    let plain = configured("tenants = [{ name = \"t\" }]");
    let (key, entry) = made(&plain, r#"{"tenant":"t"}"#);
    let config = configured(&format!("tenants = [{{ name = \"t\", keys = [\"{}\"] }}]", hash(&key)));
    let keyring = Keyring::new(OnOutage::Closed);
    taken(&keyring, 1, &entry);
    assert!(who(&config, &keyring, &key).await.unwrap().key.is_none());
    taken(&keyring, 2, &Entry { revoked_ms: Some(1), ..entry });
    assert_eq!(who(&config, &keyring, &key).await.unwrap_err().kind, Kind::BadKey);
}

/// A page in a developer's browser spent what the account allows. (Where the file says `anonymous` its operator answers for who reaches it.)
#[tokio::test]
async fn without_tenants_pages_from_elsewhere_are_served_only_if_the_file_says_so() {
    let keyring = Keyring::new(OnOutage::Closed);
    let mut headers = HeaderMap::new();
    headers.insert("host", "127.0.0.1:8080".parse().unwrap());
    let who = async |server: &str, headers: &HeaderMap| {
        let config = configured(&format!("[server]\n{server}"));
        let keys = Keys::new(&config);
        let asked = keys.who(&config, &keyring, Credentials { headers, query: "" }).await;
        asked.map(drop).map_err(|error| error.kind)
    };
    let near = "listen = \"127.0.0.1:8080\"";
    assert_eq!(who(near, &headers).await, Ok(()));
    assert_eq!(who("", &headers).await, Err(Kind::BadKey), "anybody could reach it");
    headers.insert("origin", "https://evil.example".parse().unwrap());
    assert_eq!(who(near, &headers).await, Err(Kind::BadKey));
    assert_eq!(who(&format!("{near}\nanonymous = true"), &headers).await, Ok(()));
}
