//! The files in `config/examples`: that each loads, and that it does what its heading says. What only calls show of
//! `provisioned-first.toml` is in the cluster's tests.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails by panicking")]

use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use weir::config::{By, Config, DeploymentId, Model, Priority, Strategy, check};
use weir::route::{Needs, Outlook, Ranked, rank};

const NEEDS: Needs = Needs { input: 1_000, output: 0, expected: 200, beginning: None, at: 0 };

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/examples")
}

/// Loads an example in an environment that has whatever it names.
fn example(name: &str) -> Config {
    let path = folder().join(name);
    let env = |name: &str| {
        Some(match name {
            name if name.ends_with("SHA256") => {
                format!(
                    "{:064x}",
                    name.bytes().fold(0, |sum: u64, byte| sum.wrapping_mul(31) + u64::from(byte))
                )
            }
            name if name.ends_with("ADMIN_PORT") => "8181".to_owned(),
            name if name.ends_with("PORT") => "8180".to_owned(),
            _ => "made-up".to_owned(),
        })
    };
    let text = std::fs::read_to_string(&path).unwrap();
    check::check(&path, &text, &env).unwrap_or_else(|report| panic!("{report}"))
}

fn model<'c>(config: &'c Config, name: &str) -> &'c Model {
    &config.models[config.find_model(name).unwrap().0]
}

fn name(config: &Config, id: DeploymentId) -> &str {
    &config.deployments[id.0].name
}

/// The deployments of a model in the order in which a call tries them, tier by tier.
fn order(config: &Config, model: &Model, outlook: &dyn Fn(DeploymentId) -> Outlook) -> Vec<(u64, String)> {
    let mut rng = fastrand::Rng::with_seed(3);
    let ranked =
        rank(config, model, &Mutex::default(), NEEDS, &|target| Some(target.weight), outlook, &mut || {
            rng.f64()
        });
    ranked
        .iter()
        .map(|Ranked { target, tier, .. }| (*tier, name(config, target.deployment).to_owned()))
        .collect()
}

fn nothing_known(_: DeploymentId) -> Outlook {
    Outlook::default()
}

#[test]
fn every_example_loads_and_says_what_it_is_for() {
    let mut seen = Vec::new();
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some("#:schema ../weir.schema.json"), "{name}");
        assert!(lines.next().is_some_and(|line| line.starts_with("# ")), "{name} has no heading");
        assert!(text.lines().count() < 120, "{name} is no short example");
        let config = example(&name);
        assert!(!config.models.is_empty(), "{name}");
        seen.push(name);
    }
    seen.sort();
    let manual = std::fs::read_to_string(folder().join("../../gateway/OPERATIONS.md")).unwrap();
    for name in &seen {
        assert!(manual.contains(&format!("`{name}`")), "{name} is not in the manual");
    }
    assert_eq!(seen.len(), 8);
}

#[test]
fn provisioned_throughput_comes_first() {
    let config = example("provisioned-first.toml");
    let order = order(&config, model(&config, "gpt-4o"), &nothing_known);
    assert_eq!(order, [(0, "ptu".to_owned()), (1, "payg".to_owned())]);
}

/// All three are compared by the share of their limits, each of its own account.
#[test]
fn limits_of_several_accounts_add_up() {
    let config = example("multi-account.toml");
    let model = model(&config, "gpt-4o");
    assert_eq!(model.ranking.strategy, Strategy::Capacity);
    let order = order(&config, model, &nothing_known);
    assert!(order.iter().all(|(tier, _)| *tier == 0) && order.len() == 3, "{order:?}");
    let accounts: Vec<&str> = config.deployments.iter().map(|deployment| &*deployment.account.name).collect();
    assert_eq!(accounts, ["openai-a", "openai-b", "openai-c"]);
    for deployment in &config.deployments {
        let limits = deployment.pools.iter().flat_map(|id| &config.pools[id.0].meters).count();
        assert!(limits >= 2, "{} has no limits", deployment.name);
    }
    let shared = |a: usize, b: usize| {
        config.deployments[a].pools.iter().any(|id| config.deployments[b].pools.contains(id))
    };
    assert!(!shared(0, 1) && !shared(1, 2) && !shared(0, 2));
}

#[test]
fn the_nearest_region_comes_first_and_data_stays_in_its_own() {
    let config = example("multi-region.toml");
    let order: Vec<String> =
        order(&config, model(&config, "gpt-4o"), &nothing_known).into_iter().map(|(_, name)| name).collect();
    assert_eq!(order, ["gpt-4o-west", "gpt-4o-east", "gpt-4o-eu"]);
    let [rule] = &config.rules[..] else { panic!() };
    let eu = config.deployments.iter().filter(|deployment| deployment.tags.iter().any(|tag| **tag == *"eu"));
    assert_eq!(eu.map(|deployment| &*deployment.name).collect::<Vec<_>>(), ["gpt-4o-eu"]);
    assert_eq!(rule.require.iter().map(|tag| &**tag).collect::<Vec<_>>(), ["eu"]);
}

#[test]
fn people_go_before_jobs_and_jobs_may_wait_longer() {
    let config = example("batch-and-interactive.toml");
    let [app, jobs] = &config.tenants[..] else { panic!() };
    assert_eq!((app.priority, jobs.priority), (Priority::High, Priority::Low));
    let (chat, batch) = (model(&config, "chat"), model(&config, "batch"));
    assert!(chat.queue.wait < batch.queue.wait && batch.queue.wait < batch.total);
    assert_eq!(chat.targets[0].deployment, batch.targets[0].deployment, "the same limits");
}

/// Of ten thousand sessions half fall to each, and the variants choose otherwise: who is soon, who is cheap.
#[test]
fn half_of_the_sessions_go_by_time_and_half_by_money() {
    let config = example("ab-test.toml");
    let [experiment] = &config.experiments[..] else { panic!() };
    assert_eq!(experiment.by, By::Session);
    let [soonest, cheapest] = &experiment.variants[..] else { panic!() };
    // `mini` is cheaper and takes three times as long.
    let slow = |id: DeploymentId| {
        let seconds = if name(&config, id) == "mini" { 3.0 } else { 1.0 };
        Outlook { time: Some(seconds), expected: Some(seconds), ..Outlook::default() }
    };
    assert_eq!(order(&config, &soonest.own, &slow)[0].1, "llama");
    assert_eq!(order(&config, &cheapest.own, &slow)[0].1, "mini");
    let shares: Vec<(u64, f64)> = experiment
        .variants
        .iter()
        .zip(experiment.shares())
        .map(|(variant, share)| (weir::route::experiment::unit(&experiment.name, &variant.name), share))
        .collect();
    let first = (0..10_000)
        .filter(|session| {
            let unit = weir::route::experiment::unit(&experiment.name, &session.to_string());
            weir::route::experiment::assign(unit, shares.iter().copied()) == 0
        })
        .count();
    assert!((4_800..5_200).contains(&first), "{first} of 10000");
}

#[test]
fn tiers_are_served_by_whoever_is_good_enough_and_lead_down() {
    let config = example("equivalence-tiers.toml");
    let frontier = model(&config, "frontier");
    assert_eq!(config.find_model("gpt-4.1"), config.find_model("frontier"));
    let good = |tags: &[&str]| -> Vec<&str> {
        let deployments = frontier.targets.iter().map(|target| &config.deployments[target.deployment.0]);
        let good = deployments.filter(|deployment| {
            deployment.quality.as_ref().is_some_and(|quality| quality.of(tags) >= frontier.min_quality)
        });
        good.map(|deployment| &*deployment.name).collect()
    };
    assert_eq!(good(&[]), ["gpt", "claude", "gemini-pro"]);
    assert_eq!(good(&["code"]), ["claude", "gemini-pro"]);
    // Who asks for less never pays for more, nor takes from its limits.
    let of = |name: &str| -> Vec<usize> {
        model(&config, name).targets.iter().map(|target| target.deployment.0).collect()
    };
    assert_eq!((of("frontier"), of("standard"), of("economy")), (vec![0, 1, 2], vec![3, 4], vec![5, 6]));
    let down = |name: &str| -> Vec<&str> {
        model(&config, name).fallbacks.iter().map(|id| config.models[id.0].name.as_str()).collect()
    };
    assert_eq!(
        (down("frontier"), down("standard"), down("economy")),
        (vec!["standard"], vec!["economy"], vec![])
    );
}
