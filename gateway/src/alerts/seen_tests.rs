use std::path::Path;

use super::*;
use crate::config::DeploymentId;
use crate::config::check::check;
use crate::duty;
use crate::state::core::Meter;
use crate::state::pools::table;

const FILE: &str = r#"
version = 1
[[accounts]]
name = "a"
provider = "openai"
api_key = "k"
[[accounts]]
name = "b"
provider = "openai"
api_key = "k"
[[deployments]]
name = "a1"
account = "a"
model = "x"
price = { input = 1.0, output = 2.0 }
[[deployments]]
name = "a2"
account = "a"
model = "x"
price = { input = 1.0, output = 2.0 }
[[deployments]]
name = "b1"
account = "b"
model = "x"
price = { input = 1.0, output = 2.0 }
[[models]]
name = "both"
deployments = ["a1", "b1"]
[[models]]
name = "one"
deployments = ["a1", "a2"]
"#;

const OPEN: Circuit = Circuit::Open { next: 1_000, lone: 1_000, permit: 0, good: 0, since: 0 };

fn keys(open: &[u64], config: &Config) -> Vec<String> {
    let mut state = State::new(1, 1);
    state.circuits.known.extend(open.iter().map(|tag| (*tag, OPEN)));
    seen(config, &duty::of(config, None), &[], &state).into_iter().map(|alert| alert.key).collect()
}

/// Broken on purpose to see it fail: drained deployments taken for some that serve.
#[test]
fn a_model_is_down_when_what_is_left_of_it_is_drained() {
    let config = check(Path::new("weir.toml"), FILE, &|_| None).unwrap();
    let (drained, tag) =
        (config.deployments.iter().position(|one| &*one.name == "a1").unwrap(), |name: &str| {
            config.deployments.iter().find(|one| &*one.name == name).unwrap().tag
        });
    let duties = duty::of(&config, None);
    let basis = duty::basis(&config, DeploymentId(drained));
    assert!(duties[drained].adopt(&duty::Told { version: 1, drained: true, weight: None, basis }));
    let mut state = State::new(1, 1);
    let keys = |state: &State| -> Vec<String> {
        seen(&config, &duties, &[], state).into_iter().map(|alert| alert.key).collect()
    };
    assert_eq!(keys(&state), [""; 0], "another one serves");
    state.circuits.known.insert(tag("a2"), OPEN);
    assert_eq!(keys(&state), ["model_down/one"]);
}

/// Broken on purpose to see it fail: `any` for `all`; accounts left out of what leaves a deployment alone.
#[test]
fn a_model_is_down_when_nothing_of_it_is_left_whatever_the_reasons() {
    let config = check(Path::new("weir.toml"), FILE, &|_| None).unwrap();
    let tag = |name: &str| config.deployments.iter().find(|one| &*one.name == name).unwrap().tag;
    let account = |at: usize, cause: Cause| cause.tag(config.accounts[at].tag);
    assert_eq!(keys(&[], &config), [""; 0]);
    assert_eq!(keys(&[tag("a1")], &config), [""; 0], "another one serves");
    assert_eq!(keys(&[tag("a1"), tag("a2")], &config), ["model_down/one"]);
    assert_eq!(
        keys(&[account(0, Cause::Key), tag("b1")], &config),
        ["model_down/both", "model_down/one", "account_key_refused/a"]
    );
    assert_eq!(keys(&[account(1, Cause::Quota)], &config), ["account_credit_spent/b"]);
}

/// Broken on purpose to see it fail: what is held counted; other pools than budgets looked at; what was used before the data set was
/// lost forgotten.
#[test]
fn a_budget_is_near_its_end_and_then_at_it() {
    let budget = "[[tenants]]\nname = \"t\"\nkeys = [\"sha256:HASH\"]\nlimits = { rpm = 10 }\nbudgets = [{ usd = 1.0, per = \"day\" }]\n";
    let text = format!("{FILE}{}", budget.replace("HASH", &"0".repeat(64)));
    let config = check(Path::new("weir.toml"), &text, &|_| None).unwrap();
    let infos = table(&config, 0);
    let looked_at = pools(&infos);
    assert_eq!(looked_at.len(), 1);
    let after_loss = |cents: u64, before: u64| {
        let mut state = State::new(1, 1);
        for info in infos.iter().filter(|info| !info.kinds.is_empty()) {
            let declared = &info.decl.meters[0];
            let mut meter = Meter::new(declared.shape, declared.cap, 1);
            (meter.sum, meter.hold) = (cents * meter.cap / 100, meter.cap);
            meter.image_sum = before * meter.cap / 100;
            state.pools.insert(info.decl.key.clone(), Pool { epoch: 1, rest_until: 0, meters: vec![meter] });
        }
        seen(&config, &duty::of(&config, None), &infos, &state)
            .into_iter()
            .map(|alert| alert.key)
            .collect::<Vec<_>>()
    };
    let of = |cents| after_loss(cents, 0);
    assert_eq!(after_loss(0, 79), [""; 0]);
    assert_eq!(after_loss(1, 79), ["budget_near/tenant/t/budget/day"]);
    assert_eq!(of(79), [""; 0]);
    assert_eq!(of(80), ["budget_near/tenant/t/budget/day"]);
    let both = ["budget_spent/tenant/t/budget/day", "budget_near/tenant/t/budget/day"];
    assert_eq!(of(99), both);
    assert_eq!(of(130), both);
}

#[test]
fn an_alert_is_known_by_its_key() {
    for kind in Kind::ALL {
        let alert = Alert::of(kind, "org/team-a/budget/day");
        assert_eq!(Alert::read(&alert.key), Some(alert));
    }
    assert_eq!(Alert::read("nonsense"), None);
    assert_eq!(Alert::read("nonsense/a"), None);
}
