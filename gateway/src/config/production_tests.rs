//! `config/production.toml` holds every setting where it belongs, table by table.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::raw::{
    Account, AccountPool, AffinityTable, Alerts, Budget, Circuit, ComplexityTable, Cooldown, Credentials,
    Defaults, Deployment, Experiment, File, Headroom, HealthCheck, HedgeTable, Latency, Limits, Listener,
    LongPrice, Meter, Model, Price, PromptTable, Queue, Retry, Rule, Sentinel, Server, ServiceFactors,
    SlowStart, State, TargetTable, Telemetry, Tenant, Tier, Timeouts, TlsFiles, Variant, When,
};

/// Tables by the way that leads to them; lists on the way are gone through.
const TABLES: &[(&str, &[&str])] = &[
    ("", File::KEYS),
    ("server", Server::KEYS),
    ("server.tls", Listener::KEYS),
    ("state", State::KEYS),
    ("state.tls", TlsFiles::KEYS),
    ("alerts", Alerts::KEYS),
    ("telemetry", Telemetry::KEYS),
    ("telemetry.otlp_tls", TlsFiles::KEYS),
    ("defaults", Defaults::KEYS),
    ("defaults.timeouts", Timeouts::KEYS),
    ("defaults.retry", Retry::KEYS),
    ("defaults.cooldown", Cooldown::KEYS),
    ("defaults.headroom", Headroom::KEYS),
    ("defaults.queue", Queue::KEYS),
    ("defaults.hedge", HedgeTable::KEYS),
    ("defaults.slow_start", SlowStart::KEYS),
    ("defaults.circuit", Circuit::KEYS),
    ("defaults.health_check", HealthCheck::KEYS),
    ("defaults.latency", Latency::KEYS),
    ("defaults.affinity", AffinityTable::KEYS),
    ("accounts", Account::KEYS),
    ("accounts.meters", Meter::KEYS),
    ("accounts.pools", AccountPool::KEYS),
    ("deployments", Deployment::KEYS),
    ("deployments.price", Price::KEYS),
    ("deployments.price.long", LongPrice::KEYS),
    ("deployments.price.service", ServiceFactors::KEYS),
    ("models", Model::KEYS),
    ("models.deployments", TargetTable::KEYS),
    ("models.tiers", Tier::KEYS),
    ("rules", Rule::KEYS),
    ("rules.when", When::KEYS),
    ("rules.when.prompt", PromptTable::KEYS),
    ("rules.when.complexity", ComplexityTable::KEYS),
    ("experiments", Experiment::KEYS),
    ("experiments.variants", Variant::KEYS),
    ("tenants", Tenant::KEYS),
    ("tenants.budgets", Budget::KEYS),
];

/// Of these tables all keys are described in comments, for they do not go together, or are alike.
const DESCRIBED: &[(&str, &[&str])] =
    &[("[limits]", Limits::KEYS), ("sentinel", Sentinel::KEYS), ("credentials", Credentials::KEYS)];

/// Broken on purpose to see it fail: `on_outage` of the pool, `meters` of the deployment, `tpd` in the comment left out.
#[test]
fn every_key_of_every_table_is_shown() {
    let text =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/production.toml")).unwrap();
    let file: toml::Value = toml::from_str(&text).unwrap();
    // What replaces another setting stands behind a `#`.
    let instead: BTreeSet<&str> =
        text.lines().filter_map(|line| Some(line.strip_prefix("# ")?.split_once(" = ")?.0)).collect();
    let mut absent = Vec::new();
    for (way, keys) in TABLES {
        let tables = way.split('.').filter(|step| !step.is_empty()).fold(vec![&file], |tables, step| {
            tables.into_iter().filter_map(|table| table.get(step)).flat_map(each).collect()
        });
        let is_shown =
            |key: &str| tables.iter().any(|table| table.get(key).is_some()) || instead.contains(key);
        absent.extend(keys.iter().filter(|key| !is_shown(key)).map(|key| format!("{way}.{key}")));
    }
    let words: BTreeSet<&str> =
        text.lines().filter_map(|line| line.strip_prefix('#')).flat_map(words_of).collect();
    for (table, keys) in DESCRIBED {
        absent.extend(keys.iter().filter(|key| !words.contains(*key)).map(|key| format!("{table}.{key}")));
    }
    assert_eq!(absent, Vec::<String>::new());
}

fn words_of(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| c.is_whitespace() || ",;()`".contains(c))
}

/// The elements of a list, or the value itself.
fn each(value: &toml::Value) -> Vec<&toml::Value> {
    value.as_array().map_or(vec![value], |items| items.iter().collect())
}
