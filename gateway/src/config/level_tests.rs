//! What settings of several levels come to: limits of accounts, pools and deployments, and what models, tiers and deployments say.

use super::tests::loaded;
use super::*;
use crate::dialect::request::{Hint, Hints};

const TWO: &str = r#"
[defaults]
timeouts = { first_token = "20s" }
headroom = { hard = 0.9 }
[[accounts]]
name = "a"
provider = "openai"
api_key = "${SECRET}"
limits = { concurrency = 500 }
pools = [
  { name = "all", models = ["*"], limits = { tpm = 60_000 }, pace = "10s", reserve = "predicted" },
  { name = "mini", models = ["mini"], limits = { rpm = 30 }, charge = "end-actual" },
]
[[accounts]]
name = "b"
provider = "openai-compatible"
base_url = "http://127.0.0.1:9000/"
[[deployments]]
name = "big"
account = "a"
model = "big"
limits = { rpm = 90 }
timeouts = { idle = "7s" }
[[deployments]]
name = "mini"
account = "a"
model = "mini"
[[deployments]]
name = "own"
account = "b"
model = "own"
context_window = 2048
charge = "admission-actual"
[[models]]
name = "m"
aliases = ["alias"]
deployments = ["big", { name = "mini", priority = 1 }, "own"]
timeouts = { total = "1m" }
fallbacks = ["rest*"]
[[models]]
name = "rest*"
deployments = [{ name = "own", weight = 0.5 }]
affinity = { ttl = "1m", fields = ["user"], prefix = true }
[[models]]
name = "rest-of*"
deployments = ["own"]
affinity = false
"#;

fn pool<'c>(config: &'c Config, id: &PoolId) -> &'c PoolSpec {
    &config.pools[id.0]
}

#[test]
fn a_deployment_draws_on_its_accounts_pools_and_last_on_its_own() {
    let config = loaded(TWO);
    let names = |ids: &[PoolId]| ids.iter().map(|id| pool(&config, id).name.to_string()).collect::<Vec<_>>();
    let [big, mini, own] = &config.deployments[..] else { panic!() };
    assert_eq!(names(&big.pools), ["account/a", "account/a/all", "deployment/big"]);
    assert_eq!(names(&big.rests), ["account/a/all"]);
    assert_eq!(names(&mini.pools), ["account/a", "account/a/all", "account/a/mini", "deployment/mini"]);
    assert_eq!(names(&mini.rests), ["account/a/all", "account/a/mini"]);
    assert_eq!(names(&own.pools), ["deployment/own"]);
    assert_eq!(names(&own.rests), ["deployment/own"]);
    assert!(pool(&config, &own.pools[0]).meters.is_empty());
}

#[test]
fn a_pool_counts_as_its_provider_does_unless_it_says_otherwise() {
    let config = loaded(TWO);
    let sides: Vec<(&str, Side)> = config.pools.iter().map(|pool| (&*pool.name, pool.side)).collect();
    let provider = Side::Provider;
    let expected = [
        ("account/a", provider(Charge::AdmissionMax)),
        ("account/a/all", provider(Charge::AdmissionMax)),
        ("account/a/mini", provider(Charge::EndActual)),
        ("deployment/big", provider(Charge::AdmissionMax)),
        ("deployment/mini", provider(Charge::AdmissionMax)),
        ("deployment/own", provider(Charge::AdmissionActual)),
    ];
    assert_eq!(sides, expected);
    let all = &config.pools[1];
    assert_eq!((all.reserve, all.pace_ms, all.hard_permille), (ReservePolicy::Predicted, 10_000, 900));
    let big = &config.pools[3];
    assert_eq!((big.reserve, big.pace_ms, big.hard_permille), (ReservePolicy::Max, 0, 900));
}

#[test]
fn our_own_limits_are_used_whole() {
    let config = loaded(
        "limits = { rpm = 5, tpd = 9 }\ndefaults = { headroom = { hard = 0.9 } }\n\
         tenants = [{ name = \"t\", keys = [], limits = { concurrency = 2 } }, { name = \"u\", keys = [] }]",
    );
    let gateway = pool(&config, &config.gateway_pool.unwrap());
    let meter = |kind, limit, per_ms| MeterSpec { kind, limit, per_ms };
    let expected = [meter(MeterKind::Requests, 5, 60_000), meter(MeterKind::Tokens, 9, 86_400_000)];
    assert_eq!(gateway.meters, expected);
    let tenant = pool(&config, &config.tenants[0].pools[0]);
    assert_eq!((&*tenant.name, tenant.side, tenant.hard_permille), ("tenant/t", Side::Ours, 1000));
    assert_eq!(tenant.meters, [meter(MeterKind::Concurrency, 2, 0)]);
    assert!(config.tenants[1].pools.is_empty());
    assert!(config.tenants[1].may_use("anything"));
}

/// Broken on purpose to see it fail: only the parent asked, and not those above it; a tenant's own limits left out.
#[test]
fn what_is_said_of_a_tenant_holds_for_all_below_it() {
    let config = loaded(
        "accounts = [{ name = \"a\", provider = \"openai\", api_key = \"k\" }]\n\
         deployments = [{ name = \"d\", account = \"a\", model = \"x\", tags = [\"eu\", \"fast\"], price = { input = 1, output = 1 } }]\n\
         models = [{ name = \"gpt-a\", deployments = [\"d\"] }, { name = \"gpt-b\", deployments = [\"d\"] }]\n\
         tenants = [{ name = \"app\", parent = \"team\", models = [\"gpt-a\", \"x*\"], limits = { rpm = 1 } },\n\
         { name = \"team\", parent = \"org\", tags = [\"fast\"], priority = \"low\" },\n\
         { name = \"org\", models = [\"gpt*\"], tags = [\"eu\", \"fast\"], limits = { rpm = 3 }, priority = \"high\",\n\
         budgets = [{ usd = 5, per = \"day\" }] }]",
    );
    let [app, team, org] = &config.tenants[..] else { panic!() };
    let names_of = |pools: &[PoolId]| -> Vec<String> {
        pools.iter().map(|id| config.pools[id.0].name.to_string()).collect()
    };
    let names = |tenant: &Tenant| names_of(&tenant.pools);
    assert!([app, team, org].iter().all(|tenant| names_of(&tenant.budgets) == ["tenant/org/budget/day"]));
    assert_eq!(names(app), ["tenant/app", "tenant/org"]);
    assert_eq!((names(team), names(org)), (vec!["tenant/org".to_owned()], vec!["tenant/org".to_owned()]));
    assert_eq!(app.above.iter().map(|name| &**name).collect::<Vec<_>>(), ["team", "org"]);
    let may = |tenant: &Tenant| ["gpt-a", "gpt-b", "xyz"].map(|name| tenant.may_use(name));
    assert_eq!((may(app), may(team)), ([true, false, false], [true, true, false]));
    assert_eq!([app, team, org].map(|tenant| tenant.tags.len()), [2, 2, 2]);
    assert_eq!(
        [app, team, org].map(|tenant| tenant.priority),
        [Priority::Low, Priority::Low, Priority::High]
    );
}

#[test]
fn automatic_weights_follow_the_tightest_limit_and_are_one_on_average() {
    let config = loaded(TWO);
    // 60 requests per minute by tokens, 30 by requests, and no limit at all, which weighs as the heaviest.
    let weights: Vec<f64> = config.models[0].targets.iter().map(|target| target.weight).collect();
    assert_eq!(weights, [1.2, 0.6, 1.2]);
    assert_eq!(config.models[1].targets[0].weight, 0.5);
    assert_eq!(config.models[2].targets[0].weight, 1.0);
    assert_eq!(config.models[0].targets.iter().map(|target| target.tier).collect::<Vec<_>>(), [0, 1, 0]);
}

#[test]
fn the_nearest_setting_wins_key_by_key() {
    let config = loaded(TWO);
    let [model, rest, none] = &config.models[..] else { panic!() };
    let seconds = Duration::from_secs;
    let expected = |idle| Timeouts {
        connect: seconds(2),
        first_token: seconds(20),
        steady: None,
        idle,
        total: seconds(60),
    };
    assert_eq!(model.targets[0].timeouts, expected(seconds(7)));
    assert_eq!(model.targets[1].timeouts, expected(seconds(60)));
    assert_eq!((model.total, rest.total), (seconds(60), seconds(600)));
    let affinity = |ttl, fields, prefix| {
        Some(Affinity { header: http::HeaderName::from_static("x-session-id"), ttl, fields, prefix })
    };
    let strong = Hints::NONE.and(Hint::Conversation).and(Hint::CacheKey);
    assert_eq!(model.affinity, affinity(seconds(3600), strong, false));
    assert_eq!(rest.affinity, affinity(seconds(60), Hints::NONE.and(Hint::User), true));
    assert_eq!(none.affinity, None);
    assert_eq!(model.headroom, Headroom { soft: 800, hard: 900, learned: 950 });
}

/// Broken on purpose to see it fail: the tier's put over the deployment's; the tiers' not used.
#[test]
fn of_time_outs_a_deployments_go_before_its_tiers_and_those_before_the_models() {
    let tiers = "tiers = [{ priority = 0, attempts = 1, timeouts = { first_token = \"9s\", idle = \"5s\", \
                 total = \"40s\" } }, { priority = 1 }]\n\
                 retry = { slow_after = \"3s\" }\nfallbacks";
    let config = loaded(&TWO.replacen("fallbacks", tiers, 1));
    let [model, rest, _] = &config.models[..] else { panic!() };
    let seconds = Duration::from_secs;
    let times = |target: &Target| {
        let Timeouts { connect, first_token, idle, total, .. } = target.timeouts;
        [connect, first_token, idle, total].map(|time| time.as_secs())
    };
    // The first deployment has an `idle` of its own.
    assert_eq!(
        model.targets.iter().map(times).collect::<Vec<_>>(),
        [[2, 9, 7, 40], [2, 20, 60, 60], [2, 9, 5, 40]]
    );
    assert_eq!(model.total, seconds(60), "a tier's total is not the call's");
    assert_eq!(model.tiers, [Tier { priority: 0, attempts: 1 }]);
    assert_eq!((model.retry.slow_after, rest.retry.slow_after), (Some(seconds(3)), None));
    let off = loaded(
        "defaults.retry.slow_after = \"3s\"\nmodels = [{ name = \"n\", deployments = [\"d\"], \
                      retry = { slow_after = \"0s\" } }]\naccounts = [{ name = \"a\", provider = \"openai\", \
                      api_key = \"k\" }]\ndeployments = [{ name = \"d\", account = \"a\", model = \"x\" }]",
    );
    assert_eq!(off.models[0].retry.slow_after, None);
}

#[test]
fn a_slow_start_is_that_of_the_nearest_level_key_by_key_and_no_tenants() {
    let config = loaded(
        "[defaults]\nslow_start = { per = \"1m\" }\n[limits]\nrpm = 9\n\
         [[accounts]]\nname = \"a\"\nprovider = \"openai\"\napi_key = \"k\"\nlimits = { rpm = 5 }\n\
         pools = [{ name = \"p\", models = [\"x\"], limits = { rpm = 10 }, slow_start = { from = 0.25 } }, \
         { name = \"q\", models = [\"*\"], limits = { rpm = 10 } }]\n\
         [[deployments]]\nname = \"d\"\naccount = \"a\"\nmodel = \"x\"\nlimits = { rpm = 3 }\n\
         slow_start = { from = 1.0 }\n[[models]]\nname = \"m\"\ndeployments = [\"d\"]\n",
    );
    let of = |name: &str| config.pools.iter().find(|pool| &*pool.name == name).unwrap().slow_start;
    let minute = Duration::from_secs(60);
    let slow = |from_permille| Some(SlowStart { from_permille, factor_permille: 1_500, per: minute });
    assert_eq!((of("account/a/p"), of("account/a/q"), of("account/a")), (slow(250), slow(100), slow(100)));
    assert_eq!((of("deployment/d"), of("gateway")), (None, None));
}

#[test]
fn a_hedge_is_off_unless_set_and_that_of_the_nearest_level_key_by_key() {
    let with = |defaults: &str, model: &str| {
        let text = TWO.replacen("fallbacks", &format!("{model}fallbacks"), 1);
        loaded(&text.replacen("[defaults]\n", &format!("[defaults]\n{defaults}"), 1)).models[0].hedge
    };
    let (time, word) = (After::Time(Duration::from_millis(800)), After::P95);
    assert_eq!(with("", ""), None);
    assert_eq!(with("", "hedge = {}\n"), Some(Hedge { after: word, budget: 30_000 }));
    let defaults = "hedge = { after = \"800ms\", budget = 0.01 }\n";
    assert_eq!(with(defaults, ""), Some(Hedge { after: time, budget: 10_000 }));
    assert_eq!(with(defaults, "hedge = { after = \"p95\" }\n"), Some(Hedge { after: word, budget: 10_000 }));
    assert_eq!(with(defaults, "hedge = false\n"), None);
}

#[test]
fn a_retry_budget_bounds_as_far_as_attempts_would_go_beyond() {
    let with =
        |retry: &str| loaded(&TWO.replacen("fallbacks", &format!("retry = {{ {retry} }}\nfallbacks"), 1));
    for (retry, budget, is_bounded) in [
        ("attempts = 3", 200_000, true),
        ("attempts = 1", 200_000, false),
        ("budget = 0", 0, true),
        ("budget = 1.5", 1_500_000, true),
        ("budget = 2", 2_000_000, false),
        ("budget = 1, attempts = 2", 1_000_000, false),
    ] {
        let retry_read = with(retry).models[0].retry;
        assert_eq!((retry_read.budget, retry_read.is_bounded()), (budget, is_bounded), "{retry}");
    }
}

#[test]
fn models_are_found_by_name_then_alias_then_the_longest_wildcard() {
    let config = loaded(TWO);
    assert_eq!(config.find_model("m"), Some(ModelId(0)));
    assert_eq!(config.find_model("alias"), Some(ModelId(0)));
    assert_eq!(config.find_model("rest-1"), Some(ModelId(1)));
    assert_eq!(config.find_model("rest-of-it"), Some(ModelId(2)));
    assert_eq!(config.find_model("other"), None);
    assert_eq!(config.models[0].fallbacks, [ModelId(1)]);
}

#[test]
fn each_kind_of_failure_has_its_own_fallbacks() {
    let more = "context_fallbacks = [\"rest-of*\"]\ncontent_fallbacks = [\"rest-of*\", \"rest*\"]\nfallbacks";
    let config = loaded(&TWO.replacen("fallbacks", more, 1));
    let model = &config.models[0];
    assert_eq!(model.fallbacks, [ModelId(1)]);
    assert_eq!(model.context_fallbacks, [ModelId(2)]);
    assert_eq!(model.content_fallbacks, [ModelId(2), ModelId(1)]);
}

#[test]
fn max_output_is_4096_unless_the_context_window_is_smaller() {
    let config = loaded(TWO);
    assert_eq!(config.deployments[0].max_output, 4096);
    assert_eq!(config.deployments[2].max_output, 2048);
}
