//! Whole files: the two that we ship, and one fixture per mistake in `tests/config`, whose report stands beside it.
//! `WEIR_BLESS=1 cargo test -p weir --lib config` writes the reports anew.

use std::fs;
use std::path::{Path, PathBuf};

use secrecy::ExposeSecret;

use super::*;

/// Every secret of the fixtures holds this.
const SECRET: &str = "hunter2";

const EMPTY_KEY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn shipped(file: &str) -> Config {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config").join(file);
    let env = |name: &str| Some(if name == "TEAM_A_KEY_SHA256" { EMPTY_KEY } else { SECRET }.to_owned());
    check::check(&path, &fs::read_to_string(&path).unwrap(), &env).unwrap_or_else(|report| panic!("{report}"))
}

fn checked(text: &str) -> Result<Config, Report> {
    check::check(Path::new("weir.toml"), text, &|name| (name == "SECRET").then(|| SECRET.to_owned()))
}

pub(super) fn loaded(text: &str) -> Config {
    checked(&format!("version = 1\n{text}")).unwrap_or_else(|report| panic!("{report}"))
}

fn fixtures() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        files.filter(|path| path.extension().is_some_and(|ext| ext == "toml")).collect();
    files.sort();
    files
}

#[test]
fn every_mistake_is_reported_as_its_fixture_says_and_no_secret_is_shown() {
    let bless = std::env::var_os("WEIR_BLESS").is_some();
    let mut wrong = Vec::new();
    for path in fixtures() {
        let report = checked(&fs::read_to_string(&path).unwrap()).expect_err(&path.display().to_string());
        let shown = format!("{report}\n");
        assert!(!shown.contains(SECRET), "{} shows a secret:\n{shown}", path.display());
        assert!(
            !format!("{report:?}").contains(SECRET),
            "{} shows a secret in its debug form",
            path.display()
        );
        let expected = path.with_extension("txt");
        if bless {
            fs::write(&expected, &shown).unwrap();
        } else if fs::read_to_string(&expected).unwrap_or_default() != shown {
            wrong.push(format!("{}:\n{shown}", path.display()));
        }
    }
    assert!(
        wrong.is_empty(),
        "other reports than expected (WEIR_BLESS=1 accepts them)\n{}",
        wrong.join("\n")
    );
}

/// What these files show is that they load, and that the schema takes them (`schema_tests.rs`).
#[test]
fn every_form_that_a_value_may_have_loads() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config/loads");
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let env = |name: &str| (name == "ON_OUTAGE").then(|| "closed".to_owned());
        check::check(&path, &text, &env).unwrap_or_else(|report| panic!("{report}"));
    }
}

/// The production file with secrets written in clear.
fn in_clear() -> String {
    let text =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/production.toml")).unwrap();
    let text = text.replace("${WEIR_ADMIN_TOKEN}", SECRET).replace("${OPENAI_KEY_A}", SECRET);
    text.replace("${REDIS_PASSWORD}", SECRET)
        .replace("${WEIR_ALERTS_TOKEN}", SECRET)
        .replace("${OPENAI_ORG}", SECRET)
        .replace("sha256:${TEAM_A_KEY_SHA256}", SECRET)
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config { cases: 1000, failure_persistence: None, ..Default::default() })]

    /// Up to three pieces of up to four characters are replaced, anywhere in the file.
    #[test]
    fn a_damaged_file_is_reported_without_a_panic_and_without_a_secret(
        damage in proptest::collection::vec((0.0..1.0f64, 0..5usize, "[ -~\n\"=#\\[é]{0,2}"), 1..4),
    ) {
        let mut text: Vec<char> = in_clear().chars().collect();
        for (place, length, replacement) in damage {
            let start = (place * text.len() as f64) as usize;
            let end = (start + length).min(text.len());
            text.splice(start..end, replacement.chars());
        }
        let text: String = text.into_iter().collect();
        if let Err(report) = checked(&text) {
            let shown = report.to_string();
            proptest::prop_assert!(!shown.contains(SECRET), "{shown}");
        }
    }
}

#[test]
fn several_problems_come_at_once_in_the_order_of_the_file() {
    let text = "version = 1\nx = 1\n[server]\nlisten = 5\n[limits]\nrpm = 0\n[[tenants]]\nname = \"t\"\nkeys = [1]\n";
    let report = checked(text).unwrap_err();
    let places: Vec<(usize, usize)> = report.problems.iter().filter_map(|p| report.position(p)).collect();
    assert_eq!(places, [(2, 1), (4, 10), (6, 7), (9, 9)]);
}

#[test]
fn a_column_counts_characters() {
    let report = checked("version = 1\n\"é\" = 1\nlimits = { \"ü\" = 1 }\n").unwrap_err();
    let places: Vec<(usize, usize)> = report.problems.iter().filter_map(|p| report.position(p)).collect();
    assert_eq!(places, [(2, 1), (3, 12)]);
}

#[test]
fn a_file_that_cannot_be_read_is_one_problem() {
    let report = Config::load(Path::new("/nonexistent/weir.toml")).unwrap_err();
    assert!(report.to_string().contains("cannot be read"), "{report}");
    assert!(report.to_string().contains("/nonexistent/weir.toml"), "{report}");
}

#[test]
fn the_quickstart_loads() {
    let config = shipped("quickstart.toml");
    let account = &config.accounts[0];
    assert_eq!(account.base_url, "https://api.openai.com/v1");
    assert!(matches!(&account.access, Access::Bearer(key) if key.expose_secret() == SECRET));
    assert!(config.state.is_none());
    assert!(config.tenants.is_empty());
    assert_eq!(config.find_model("gpt-4o-mini"), Some(ModelId(0)));
    assert_eq!(config.deployments[0].max_output, 16_384);
}

#[test]
fn the_rollout_loads() {
    let config = shipped("examples/gradual-rollout.toml");
    let [experiment] = &config.experiments[..] else { panic!() };
    assert_eq!((experiment.by, experiment.shares()), (By::Session, vec![99.0, 1.0]));
    let names = |model: &Model| -> Vec<&str> {
        model.targets.iter().map(|target| &*config.deployments[target.deployment.0].name).collect()
    };
    let [old, new] = &experiment.variants[..] else { panic!() };
    assert_eq!(
        (names(&old.own), names(&new.own)),
        (vec!["chat-old"], vec!["chat-new"]),
        "no variant has another's"
    );
    assert_eq!(new.rest.as_ref().map(names), Some(vec!["chat-old"]));
}

#[test]
fn what_was_measured_belongs_to_the_variants_and_not_to_their_shares() {
    let config = |change: &dyn Fn(&str) -> String| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/examples/gradual-rollout.toml");
        let text = change(&fs::read_to_string(path).unwrap()).replace("${OPENAI_API_KEY}", SECRET);
        checked(&text).unwrap_or_else(|report| panic!("{report}")).experiments.remove(0).digest
    };
    let as_it_is = config(&|text| text.to_owned());
    assert_eq!(config(&|text| text.replace("share = 99", "share = 50")), as_it_is);
    for (from, to) in [
        ("name = \"rollout\"", "name = \"again\""),
        ("name = \"new\", share", "name = \"newer\", share"),
        ("deployments = [\"chat-new\"] }", "deployments = [\"chat-new\"], strategy = \"latency\" }"),
        (
            "deployments = [\"chat-new\"] }",
            "deployments = [\"chat-new\", \"chat-old\"] }, { name = \"x\", share = 0, deployments = [\"chat-old\"] }",
        ),
    ] {
        let changed = config(&|text| {
            assert!(text.contains(from), "{from}");
            let text = text.replace(from, to);
            if to.contains("chat-old\"] }, {") {
                text.replace(
                    "{ name = \"old\", share = 99 }",
                    "{ name = \"old\", share = 99, deployments = [\"chat-old\"] }",
                )
            } else {
                text
            }
        });
        assert_ne!(changed, as_it_is, "{to}");
    }
}

#[test]
fn the_production_file_loads() {
    let config = shipped("production.toml");
    assert!(!format!("{config:?}").contains(SECRET), "the debug form of a configuration shows a secret");
    let state = config.state.unwrap();
    let Topology::Single { node, login } = state.redis else { panic!() };
    assert_eq!((node.to_string().as_str(), login.db), ("redis.internal:6379", 0));
    assert_eq!(login.username.as_deref(), Some("weir"));
    assert_eq!(login.password.unwrap().expose_secret(), SECRET);
    assert_eq!(config.server.admin_token.unwrap().expose_secret(), SECRET);
    assert_eq!(hex::encode(config.tenants[0].keys[0]), EMPTY_KEY);
}

#[test]
fn an_empty_file_has_the_defaults_of_the_contract() {
    let config = loaded("");
    assert_eq!(config.server.listen.to_string(), "0.0.0.0:8080");
    assert_eq!(config.server.admin_listen.to_string(), "127.0.0.1:8081");
    assert_eq!(config.server.max_body, 32 << 20);
    assert_eq!((config.server.max_calls, config.server.max_buffered), (10_000, 256 << 20));
    assert_eq!(config.server.unread_timeout, Duration::from_secs(60));
    assert_eq!(config.server.stream_keepalive, Some(Duration::from_secs(45)));
    assert_eq!(config.server.remember_responses, Duration::from_secs(7 * 86_400));
    assert_eq!(config.server.drain_delay, Duration::from_secs(5));
    assert_eq!(config.server.drain_timeout, Duration::from_secs(300));
    assert!(config.server.tls.is_none() && !config.server.proxy_protocol);
    assert!(config.state.is_none() && config.gateway_pool.is_none());
}

#[test]
fn sentinels_and_the_master_have_credentials_of_their_own() {
    let state = |more: &str| {
        let text = format!("state.sentinel = {{ nodes = [\"h1\", \"[::1]:7\"], master = \"main\", {more} }}");
        let state = loaded(&text).state.unwrap();
        let Topology::Sentinel(sentinel) = state.redis else { panic!() };
        (sentinel, state.tls.is_some())
    };
    let (plain, tls) = state("username = \"\", password = \"\"");
    assert_eq!(plain.nodes.iter().map(Endpoint::to_string).collect::<Vec<_>>(), ["h1:26379", "[::1]:7"]);
    assert!(plain.login.username.is_none() && plain.login.password.is_none() && !tls);
    let (full, tls) = state(
        "username = \"s\", password = \"1\", data_username = \"d\", data_password = \"2\", data_db = 3, tls = true",
    );
    let password = |login: &Login| login.password.as_ref().unwrap().expose_secret().to_owned();
    assert_eq!((full.login.username.as_deref(), password(&full.login).as_str()), (Some("s"), "1"));
    assert_eq!((full.data.username.as_deref(), password(&full.data).as_str()), (Some("d"), "2"));
    assert_eq!((full.data.db, full.login.db, tls), (3, 0, true));
}

#[test]
fn files_for_tls_are_read_when_the_configuration_is() {
    let own = "cert = \"tests/config/tls/cert.pem\", key = \"tests/config/tls/cert.key\"";
    let state =
        |url: &str, files: &str| loaded(&format!("[state]\n{url}\ntls = {{ {files} }}")).state.unwrap().tls;
    let tls = state("url = \"rediss://h\"", own).unwrap();
    assert!(tls.ca.is_none() && tls.identity.is_some());
    assert!(!format!("{tls:?}").contains("PRIVATE"));
    let tls = state("cluster = [\"rediss://h\"]", "ca = \"tests/config/tls/ca.pem\", cert = \"\"").unwrap();
    assert!(tls.ca.is_some() && tls.identity.is_none());
    assert!(state("url = \"rediss://h\"", "").is_some());
    let sentinel = "sentinel = { nodes = [\"h\"], master = \"main\" }";
    assert!(state(sentinel, own).is_some() && state(sentinel, "").is_none());
}

/// Broken on purpose once: taken as written.
#[test]
fn a_long_timeout_of_the_state_counts_as_the_longest() {
    let config = loaded("[state]\nurl = \"redis://127.0.0.1\"\ntimeout = \"5s\"");
    let servers = crate::state::connect::Servers::new(config.state.unwrap());
    assert_eq!(servers.timeout(), StateConfig::LONGEST_TIMEOUT);
}

#[test]
fn settings_that_ask_for_nothing_pass() {
    loaded(
        "rules = []\n[server]\nproxy_protocol = false\ntls = { cert = \"\", key = \"\" }\n\
         [state]\nurl = \"redis://127.0.0.1\"\ncluster = []\ntls = { ca = \"\" }\n[defaults]\naffinity = { prefix = false }\n\
         [[accounts]]\nname = \"a\"\nprovider = \"openai\"\napi_key = \"x\"\n\
         [[deployments]]\nname = \"d\"\naccount = \"a\"\nmodel = \"x\"\ntags = []\n\
         [[models]]\nname = \"m\"\ndeployments = [\"d\"]\nfallbacks = []\ncontext_fallbacks = []\n\
         content_fallbacks = []",
    );
}

#[test]
fn a_tag_is_fnv_1a_in_53_bits() {
    // The published vectors, masked.
    let mask = (1 << 53) - 1;
    assert_eq!(Deployment::tag_of(""), 0xcbf2_9ce4_8422_2325 & mask);
    assert_eq!(Deployment::tag_of("a"), 0xaf63_dc4c_8601_ec8c & mask);
    assert_eq!(Deployment::tag_of("foobar"), 0x8594_4171_f739_67e8 & mask);
}

#[test]
fn the_hash_is_of_the_text_without_values() {
    let text = "version = 1\nserver = { admin_token = \"${TOKEN}\" }";
    let hash = |value: &'static str| {
        check::check(Path::new("weir.toml"), text, &move |_| Some(value.to_owned())).unwrap().hash
    };
    assert_eq!(hash("one"), hash("two"));
    assert_eq!(hash("one").len(), 16);
}
