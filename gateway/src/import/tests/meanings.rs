//! What keys of LiteLLM's mean, told by what is loaded in the end.

use super::*;
use crate::config::Strategy;

/// Three deployments of one model with these parameters, and what the router is told.
fn three(params: [&str; 3], router: &str) -> String {
    let mut text = "model_list:\n".to_owned();
    for (at, params) in params.iter().enumerate() {
        text += &format!(
            "  - {{ model_name: m, litellm_params: {{ model: openai/m{at}, api_key: os.environ/K, {params} }}, model_info: {{ id: d{at} }} }}\n"
        );
    }
    text + &format!("router_settings: {{ {router} }}\n")
}

/// Weight and priority of each; `None`: an automatic weight.
fn targets(text: &str) -> Vec<(Option<f64>, u32)> {
    let (_, config) = translated(text);
    config.models[0]
        .targets
        .iter()
        .map(|target| ((!target.auto).then_some(target.weight), target.tier))
        .collect()
}

/// As `simple_shuffle.py` does: the first of those that are chosen from says by what, and who has none of it is not chosen while
/// others can be.
#[test]
fn simple_shuffle_goes_by_weight_else_by_rpm_else_by_tpm() {
    let of = |params| targets(&three(params, ""));
    assert_eq!(
        of(["weight: 3, rpm: 10", "weight: 1, rpm: 90", "rpm: 5"]),
        [(Some(3.0), 0), (Some(1.0), 0), (None, 1)]
    );
    assert_eq!(
        of(["rpm: 10, tpm: 7", "rpm: 90", "rpm: 5, weight: 9"]),
        [(Some(10.0), 0), (Some(90.0), 0), (Some(5.0), 0)]
    );
    assert_eq!(of(["tpm: 7", "tpm: 8, rpm: 3", "tpm: 9"]), [(Some(7.0), 0), (Some(8.0), 0), (Some(9.0), 0)]);
    assert_eq!(of(["seed: 1", "seed: 1", "rpm: 1"]), [(None, 0), (None, 0), (None, 0)]);
    assert_eq!(of(["weight: 0", "weight: 0, rpm: 1", "weight: 0"]), [(None, 0), (None, 0), (None, 0)]);
    assert_eq!(of(["weight: 0", "weight: 2", "weight: 1"]), [(None, 1), (Some(2.0), 0), (Some(1.0), 0)]);
}

#[test]
fn a_lower_order_comes_first_and_none_comes_last() {
    let of = |params| targets(&three(params, ""));
    assert_eq!(of(["order: 5", "order: 2", "seed: 1"]), [(None, 1), (None, 0), (None, 2)]);
    // The first of each order says by what its own go.
    assert_eq!(
        of(["order: 1, weight: 2", "order: 2, rpm: 60", "order: 2, rpm: 30"]),
        [(Some(2.0), 0), (Some(60.0), 1), (Some(30.0), 1)]
    );
}

#[test]
fn strategies_are_those_that_come_nearest() {
    for (theirs, ours) in [
        ("simple-shuffle", Strategy::Weighted),
        ("least-busy", Strategy::LeastBusy),
        ("usage-based-routing", Strategy::Capacity),
        ("usage-based-routing-v2", Strategy::Capacity),
        ("latency-based-routing", Strategy::Latency),
    ] {
        let (_, config) = translated(&three(["seed: 1"; 3], &format!("routing_strategy: {theirs}")));
        assert_eq!(config.models[0].ranking.strategy, ours, "{theirs}");
    }
    let priced = "input_cost_per_token: 1e-6, output_cost_per_token: 0.000002";
    let cost = |params| translated(&three(params, "routing_strategy: cost-based-routing"));
    let (_, config) = cost([priced; 3]);
    assert_eq!(config.models[0].ranking.strategy, Strategy::Cost);
    assert_eq!(
        config.deployments[0].pricing.at(0).map(|price| (price.rates.input, price.rates.output)),
        Some((1.0, 2.0))
    );
    // LiteLLM has a list of prices; without one nothing can be compared.
    let (imported, config) = cost([priced, priced, "seed: 1"]);
    assert_eq!(config.models[0].ranking.strategy, Strategy::Capacity);
    assert!(imported.notes.iter().any(|note| note.sort == Sort::ToDo && note.text.contains("price")));
}

/// LiteLLM allows n failures; the next one is too many.
#[test]
fn allowed_fails_are_allowed() {
    for (allowed, failures) in [(0, 1), (3, 4)] {
        let text = three(["seed: 1"; 3], &format!("allowed_fails: {allowed}, cooldown_time: 45"));
        let (_, config) = translated(&text);
        let circuit = config.deployments[0].circuit;
        assert_eq!((circuit.failures, circuit.open.as_secs(), circuit.window.as_secs()), (failures, 45, 60));
        assert_eq!(config.deployments[0].cooldown.default.as_secs(), 45);
    }
    for router in ["disable_cooldowns: true, allowed_fails: 3", "cooldown_time: 0, allowed_fails: 3"] {
        let (imported, config) = translated(&three(["seed: 1"; 3], router));
        assert!(!config.deployments[0].circuit.enabled);
        assert!(
            imported.notes.iter().any(|note| note.sort == Sort::Differs && note.text.contains("429")),
            "{router}"
        );
    }
    let (_, config) = translated(&three(["cooldown_time: 0", "seed: 1", "seed: 1"], ""));
    assert!(!config.deployments[0].circuit.enabled && config.deployments[1].circuit.enabled);
}

#[test]
fn deployments_that_show_the_same_are_one_account() {
    let text = "
model_list:
  - { model_name: a, litellm_params: { model: openai/a, api_key: os.environ/K } }
  - { model_name: b, litellm_params: { model: openai/b, api_key: os.environ/K } }
  - { model_name: c, litellm_params: { model: openai/c, api_key: os.environ/OTHER } }
  - { model_name: d, litellm_params: { model: openai/d, api_key: os.environ/K, api_base: http://h:1/v1 } }
  - { model_name: e, litellm_params: { model: openai/e, api_key: clear-1 } }
  - { model_name: f, litellm_params: { model: openai/f, api_key: clear-1 } }
  - { model_name: g, litellm_params: { model: anthropic/g, api_key: os.environ/K } }
";
    let (_, config) = translated(text);
    let accounts: Vec<&str> =
        config.deployments.iter().map(|deployment| deployment.account.name.as_str()).collect();
    assert_eq!(accounts, ["openai", "openai", "openai-2", "h", "openai-3", "openai-3", "anthropic"]);
}

#[test]
fn limits_are_each_deployments_own_and_retries_count_besides_the_first_attempt() {
    let (_, config) = translated(&three(["rpm: 10", "rpm: 20", "tpm: 5000"], "num_retries: 4"));
    let limits: Vec<u64> = config.pools.iter().map(|pool| pool.meters[0].limit).collect();
    assert_eq!(limits, [10, 20, 5000]);
    assert_eq!(config.models[0].retry.attempts, 5);
    let (imported, _) = translated(&three(["rpm: 10", "rpm: 20", "rpm: 30"], ""));
    let loose =
        |imported: &Imported| imported.notes.iter().any(|note| note.line == 0 && note.sort == Sort::Differs);
    assert!(loose(&imported)); // weights there, limits here
    let (imported, _) = translated(&three(["rpm: 10", "rpm: 20", "rpm: 30"], "enable_pre_call_checks: true"));
    assert!(!loose(&imported));
}

#[test]
fn fallbacks_never_lead_back() {
    let text = "
model_list:
  - { model_name: a, litellm_params: { model: openai/a } }
  - { model_name: b, litellm_params: { model: openai/b } }
  - { model_name: c, litellm_params: { model: openai/c } }
litellm_settings:
  fallbacks: [{ a: [b] }, { b: [c, a] }]
  default_fallbacks: [a]
";
    let (imported, config) = translated(text);
    let fallbacks: Vec<Vec<usize>> =
        config.models.iter().map(|model| model.fallbacks.iter().map(|id| id.0).collect()).collect();
    assert_eq!(fallbacks, [vec![1], vec![2], vec![]]);
    let paths: Vec<&str> = imported.notes.iter().map(|note| note.path.as_str()).collect();
    assert!(paths.contains(&"litellm_settings.fallbacks[1].b[1]"), "{paths:?}");
    assert!(paths.contains(&"litellm_settings.default_fallbacks[0]"), "{paths:?}");
}

#[test]
fn wildcards_that_pass_names_on_are_listed_and_others_are_models() {
    let text = "
model_list:
  - { model_name: 'openai/*', litellm_params: { model: 'openai/*' } }
  - { model_name: '*', litellm_params: { model: openai/gpt-4o } }
";
    let (imported, config) = translated(text);
    assert_eq!(config.models.len(), 1);
    assert!(config.models[0].wildcard && config.models[0].name.is_empty());
    assert!(imported.notes.iter().any(|note| note.path == "model_list[0]" && note.sort == Sort::Left));
}

#[test]
fn a_master_key_goes_on_opening_and_without_one_nobody_is_let_in() {
    let (imported, config) = translated("general_settings: { master_key: sk-hunter2 }");
    assert!(!imported.toml.contains("hunter2"));
    let key = crate::auth::hash("sk-hunter2");
    assert_eq!(format!("sha256:{}", hex::encode(config.tenants[0].keys[0])), key);
    let (imported, config) = translated("general_settings: { master_key: os.environ/MASTER }");
    assert_eq!(hex::encode(config.tenants[0].keys[0]), EMPTY_KEY);
    assert!(imported.toml.contains("${MASTER_SHA256}"));
    let (imported, config) = translated("model_list: []");
    assert!(config.tenants.is_empty() && !config.server.anonymous);
    assert!(imported.notes.iter().any(|note| note.sort == Sort::ToDo));
}

/// Broken on purpose to see it fail: the defaults of other deployments not reserved.
#[test]
fn a_variable_stands_for_one_key() {
    let clear = "  - { model_name: a, litellm_params: { model: openai/a, api_key: sk-hunter2 } }\n";
    let default = "  - { model_name: b, litellm_params: { model: openai/b } }\n";
    for text in [format!("model_list:\n{clear}{default}"), format!("model_list:\n{default}{clear}")] {
        let (imported, config) = translated(&text);
        assert_eq!(config.accounts.len(), 2, "{}", imported.toml);
        let named = |name: &str| imported.toml.matches(&format!("api_key = \"${{{name}}}\"")).count();
        assert_eq!(
            (named("OPENAI_API_KEY"), imported.toml.matches("api_key = ").count()),
            (1, 2),
            "{}",
            imported.toml
        );
        let told = imported
            .notes
            .iter()
            .find(|note| note.path.ends_with("api_key") && note.sort == Sort::ToDo)
            .unwrap();
        assert!(!told.text.contains("OPENAI_API_KEY to it"), "{}", told.text);
    }
}

/// Broken on purpose to see it fail: TLS that the environment decides taken for none; no Redis without a host in the file.
#[test]
fn the_redis_of_the_environment_is_shared_and_tls_is_not_lost() {
    let url = |text: &str| {
        let imported = litellm("f", text).unwrap();
        loads(&imported.toml);
        let todo = imported.notes.iter().any(|note| note.sort == Sort::ToDo && note.text.contains("redis"));
        let line =
            imported.toml.lines().find(|line| line.starts_with("url = ")).unwrap_or_default().to_owned();
        (line, todo)
    };
    let by_environment = "url = \"redis://:${REDIS_PASSWORD}@${REDIS_HOST}:${REDIS_PORT}/0\"".to_owned();
    for settings in [
        "cache: true",
        "cache: true, cache_params: { type: redis }",
        "cache_params: { type: redis, ttl: 60 }",
    ] {
        assert_eq!(
            url(&format!("litellm_settings: {{ {settings} }}")),
            (by_environment.clone(), true),
            "{settings}"
        );
    }
    for settings in [
        "cache: false, cache_params: { type: redis }",
        "cache: true, cache_params: { type: local }",
        "drop_params: true",
    ] {
        assert_eq!(url(&format!("litellm_settings: {{ {settings} }}")).0, "", "{settings}");
    }
    let tls = |ssl: &str| {
        url(&format!(
            "litellm_settings: {{ cache_params: {{ host: h, password: os.environ/P, ssl: {ssl} }} }}"
        ))
    };
    assert_eq!(tls("os.environ/REDIS_SSL"), ("url = \"rediss://:${P}@h:6379/0\"".to_owned(), true));
    assert_eq!(tls("true").0, "url = \"rediss://:${P}@h:6379/0\"");
    assert_eq!(tls("false"), ("url = \"redis://:${P}@h:6379/0\"".to_owned(), false));
}

/// Seconds to the first token, between tokens, and in all.
fn times(router: &str, params: &str) -> [u64; 3] {
    let text = format!(
        "model_list:\n  - {{ model_name: m, litellm_params: {{ model: openai/m, {params} }} }}\nrouter_settings: {{ {router} }}\n"
    );
    let (imported, config) = translated(&text);
    let said = format!("{router}{params}").contains("timeout:");
    assert_eq!(
        imported.notes.iter().any(|note| note.text.contains("a whole stream")),
        said && !params.starts_with("stream")
    );
    let timeouts = &config.models[0].targets[0].timeouts;
    [timeouts.first_token, timeouts.idle, timeouts.total].map(|time| time.as_secs())
}

/// In LiteLLM `timeout` is how long is waited for each piece of a stream as well, if nothing else is said of streams.
///
/// Broken on purpose to see it fail: `timeout` without effect on `first_token`.
#[test]
fn a_timeout_holds_for_the_first_token_too() {
    assert_eq!(times("num_retries: 1", "seed: 1"), [30, 60, 600]);
    assert_eq!(times("timeout: 600", "seed: 1"), [598, 600, 600]);
    assert_eq!(times("timeout: 20", "timeout: 300"), [298, 300, 300]);
    assert_eq!(times("timeout: 120, stream_timeout: 30", "seed: 1"), [30, 30, 120]);
    assert_eq!(times("stream_timeout: 30, timeout: 120", "timeout: 300"), [30, 30, 300]);
    assert_eq!(times("num_retries: 1", "stream_timeout: 10"), [10, 10, 600]);
}

/// Broken on purpose to see it fail: `o_series/` passed on.
#[test]
fn providers_are_asked_for_their_own_names() {
    let of = |model: &str| {
        let place = "api_base: 'https://acme.openai.azure.com', vertex_project: p, vertex_location: l";
        let place = if model.starts_with("azure") || model.starts_with("vertex") { place } else { "seed: 1" };
        let text = format!(
            "model_list:\n  - {{ model_name: m, litellm_params: {{ model: '{model}', {place} }} }}\n"
        );
        let (imported, config) = translated(&text);
        let listed =
            imported.notes.iter().any(|note| note.path == "model_list[0]" && note.sort == Sort::Left);
        assert_eq!(listed, config.deployments.is_empty(), "{model}");
        config.deployments.first().map(|deployment| deployment.model.to_string())
    };
    for (theirs, ours) in [
        ("azure/o_series/my-o3", Some("my-o3")),
        ("azure/gpt5_series/my-gpt5", Some("my-gpt5")),
        ("azure/responses/gpt-5", Some("gpt-5")),
        ("azure/some/thing", None),
        ("openai/responses/gpt-5", Some("gpt-5")),
        ("fireworks_ai/llama-v3p3-70b-instruct", Some("accounts/fireworks/models/llama-v3p3-70b-instruct")),
        ("fireworks_ai/accounts/acme/models/mine", Some("accounts/acme/models/mine")),
        ("bedrock/converse/us-east-1/anthropic.claude-v2", Some("anthropic.claude-v2")),
        (
            "bedrock/llama/arn:aws:bedrock:us-east-1:1:imported-model/x",
            Some("arn:aws:bedrock:us-east-1:1:imported-model/x"),
        ),
        ("bedrock/us-west-2/1-month-commitment/anthropic.claude-v2", None),
        ("vertex_ai/gemini-2.0-flash", Some("gemini-2.0-flash")),
        ("vertex_ai/claude-sonnet-4@20250514", Some("claude-sonnet-4@20250514")),
        ("vertex_ai/meta/llama-3.1-405b-instruct-maas", None),
        ("vertex_ai/mistral-large@2407", None),
        ("vertex_ai/4965075652664360960", None),
    ] {
        assert_eq!(of(theirs).as_deref(), ours, "{theirs}");
    }
}

/// Broken on purpose to see it fail: callbacks listed alone.
#[test]
fn who_is_told_there_is_told_here() {
    let text = "
litellm_settings: { callbacks: [prometheus], success_callback: [otel, langfuse] }
general_settings: { alerting: [slack], alert_to_webhook_url: { llm_exceptions: https://hooks.slack.com/services/hunter2 } }
environment_variables: { OTEL_EXPORTER: otlp_grpc }
";
    let (imported, config) = translated(text);
    assert!(!imported.toml.contains("hunter2"));
    assert_eq!(config.server.metrics_listen.map(|address| address.port()), Some(9464));
    assert!(config.alerts.webhook.is_some() && imported.toml.contains("${SLACK_WEBHOOK_URL}"));
    assert!(config.telemetry.otlp.is_some() && imported.toml.contains("otlp_protocol = \"grpc\""));
    let left: Vec<&str> =
        imported.notes.iter().filter(|note| note.sort == Sort::Left).map(|note| note.path.as_str()).collect();
    assert_eq!(left, ["litellm_settings.success_callback[1]", "environment_variables"]);
    let (_, config) = translated("model_list: []");
    assert!(
        config.server.metrics_listen.is_none()
            && config.telemetry.otlp.is_none()
            && config.alerts.webhook.is_none()
    );
}

#[test]
fn headers_that_may_be_secret_are_variables_and_none_is_lost() {
    let text = "
model_list:
  - model_name: m
    litellm_params:
      model: openai/m
      extra_headers: { X-Upstream: Bearer hunter2, X-Pass: hunter2, x-title: shown, X-Title: other, user-agent: sk-hunter2 }
";
    let (imported, _) = translated(text);
    assert!(!imported.toml.contains("hunter2") && imported.toml.contains("shown"), "{}", imported.toml);
    assert!(imported.notes.iter().any(|note| note.path.ends_with("X-Title") && note.sort == Sort::Left));
}

#[test]
fn names_with_a_star_stay_names() {
    let model =
        |name: &str| format!("  - {{ model_name: '{name}', litellm_params: {{ model: openai/m }} }}\n");
    let (_, config) =
        translated(&format!("model_list:\n{}{}{}", model("gpt 4*"), model("gpt-4*"), model("模型*")));
    let names: Vec<(&str, bool)> = config.models.iter().map(|model| (&*model.name, model.wildcard)).collect();
    assert_eq!(names, [("gpt-4", true), ("gpt-4-2", true), ("model-", true)]);
}
