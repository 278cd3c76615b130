//! LiteLLM's files and what becomes of them: four in `tests/import`, with Weir's file and the notes beside each
//! (`WEIR_BLESS=1 cargo test -p weir --lib import` writes them anew), and what must hold of every file.

use std::fs;
use std::path::{Path, PathBuf};

use super::litellm::of_tree;
use super::{Imported, Sort, litellm, yaml};
use crate::config::{Config, Strategy, check};

/// Every secret of the files holds this.
const SECRET: &str = "hunter2";
const EMPTY_KEY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const KEY_FILE: &str = include_str!("../../tests/import/key.json");

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/import")
}

fn files() -> Vec<(String, String)> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|ext| ext == "yaml"));
    files.sort();
    assert_eq!(files.len(), 4);
    let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
    files.iter().map(|path| (name(path), fs::read_to_string(path).unwrap())).collect()
}

/// What the variables that Weir's files name may hold.
fn made_up(name: &str) -> Option<String> {
    let file = || folder().join("key.json").display().to_string();
    Some(match name {
        name if name.ends_with("SHA256") => EMPTY_KEY.to_owned(),
        name if name.ends_with("FILE") => file(),
        name if name.ends_with("JSON") => KEY_FILE.to_owned(),
        name if name.contains("WEBHOOK") => "https://hooks.internal/alerts".to_owned(),
        name if name.ends_with("ENDPOINT") => "http://otel.internal:4318".to_owned(),
        name if name.ends_with("URL") => "redis://redis.internal:6379/0".to_owned(),
        name if name.ends_with("HOST") => "redis.internal".to_owned(),
        name if name.ends_with("PORT") => "6379".to_owned(),
        name if name.ends_with("DB") => "0".to_owned(),
        name if name.ends_with("BASE") => "https://llm.internal".to_owned(),
        name if name.ends_with("REGION") || name.ends_with("LOCATION") => "us-east-1".to_owned(),
        _ => "made-up".to_owned(),
    })
}

fn loads(toml: &str) -> Config {
    check::check(Path::new("weir.toml"), toml, &made_up).unwrap_or_else(|report| panic!("{report}\n{toml}"))
}

fn told(imported: &Imported) -> String {
    imported.notes.iter().map(|note| format!("{note}\n")).collect()
}

/// Translates the text, and holds the result to what every result must be.
fn translated(text: &str) -> (Imported, Config) {
    let imported = litellm("config.yaml", text).unwrap();
    let config = loads(&imported.toml);
    (imported, config)
}

#[test]
fn four_files_become_what_stands_beside_them_and_load() {
    let bless = std::env::var_os("WEIR_BLESS").is_some();
    for (name, text) in files() {
        let imported = litellm(&name, &text).unwrap();
        loads(&imported.toml);
        for (ending, came) in [("toml", imported.toml.clone()), ("txt", told(&imported))] {
            assert!(!came.contains(SECRET), "{name} shows a secret:\n{came}");
            let path = folder().join(&name).with_extension(ending);
            if bless {
                fs::write(&path, &came).unwrap();
            }
            let expected = fs::read_to_string(&path).unwrap_or_default();
            assert!(expected == came, "{}: WEIR_BLESS=1 accepts\n{came}", path.display());
        }
        assert!(imported.notes.iter().any(|note| note.sort == Sort::Left));
    }
}

/// What says what is so anyway, or would be without it: keys that are taken from these variables anyway, the order of the one
/// deployment, a weight of nothing, what is the default.
const SILENT_THERE: [&str; 6] = [
    "cost.yaml: model_list[1].litellm_params.api_key",
    "health.yaml: model_list[2].litellm_params.api_key",
    "health.yaml: model_list[2].litellm_params.weight",
    "health.yaml: model_list[3].litellm_params.api_key",
    "latency.yaml: model_list[3].litellm_params.order",
    "simple.yaml: model_list[0].litellm_params.api_key",
];

/// Nothing is lost: what is taken out of a file changes what comes of it, or its list.
///
/// Broken on purpose to see it fail: `retry_after` read and not written; `additional_drop_params` marked as seen.
#[test]
fn every_key_has_an_effect_or_is_listed() {
    let mut lost = Vec::new();
    for (name, text) in files() {
        let tree = yaml::read(&text).unwrap().unwrap();
        let whole = of_tree(&name, &tree.edited("nothing", None).unwrap(), &text).unwrap();
        for (path, _) in tree.paths() {
            let within = |listed: &str| path.strip_prefix(listed).is_some_and(|rest| rest.starts_with(['.', '[']));
            if whole.notes.iter().any(|note| note.sort == Sort::Left && within(&note.path)) {
                continue; // all of it is listed as one
            }
            let less = of_tree(&name, &tree.edited(&path, None).unwrap(), &text).unwrap();
            if less.toml == whole.toml {
                lost.push(format!("{name}: {path}"));
            }
        }
    }
    assert_eq!(lost, SILENT_THERE);
}

/// What stands in the environment there has an effect here, or is listed: nobody takes it for no, or for what is so without it.
///
/// Broken on purpose to see it fail: flags that are neither yes nor no taken for no.
#[test]
fn what_the_environment_says_is_not_lost() {
    // A name that nobody else has is the same as none, and of modes only those count that Weir has no calls for.
    const AS_WITHOUT: [&str; 2] = ["credential_name", "mode"];
    let mut lost = Vec::new();
    for (name, text) in files() {
        let tree = yaml::read(&text).unwrap().unwrap();
        for (path, _) in tree.paths().iter().filter(|(_, is_scalar)| *is_scalar) {
            let is_without = AS_WITHOUT.contains(&path.rsplit('.').next().unwrap_or_default());
            let of = |value: Option<&str>| of_tree(&name, &tree.edited(path, value).unwrap(), &text).unwrap();
            let (without, with) = (of(None), of(Some("os.environ/SOMETHING")));
            if without.toml == with.toml && !is_without {
                lost.push(format!("{name}: {path}"));
            }
        }
    }
    assert_eq!(lost, Vec::<String>::new());
}

/// Keys whose values Weir's file shows as they are: names, addresses, numbers.
fn may_be_shown(path: &str) -> bool {
    const SHOWN: [&str; 14] = [
        "model_name", "model", "api_base", "id", "api_version", "aws_region_name", "aws_role_name", "vertex_project",
        "vertex_location", "organization", "X-Team", "host", "redis_host", "redis_port",
    ];
    let key = path.rsplit('.').next().unwrap_or_default();
    SHOWN.contains(&key) || path.contains("tags[") || path.contains("model_group_alias")
        // Read as the path of a key file, unless it looks like one's text.
        || key == "vertex_credentials"
}

/// Broken on purpose to see it fail: `api_key` written as it is; a note that quotes what it is about.
#[test]
fn no_note_shows_a_value_and_no_secret_is_written() {
    for (name, text) in files() {
        let tree = yaml::read(&text).unwrap().unwrap();
        for (path, _) in tree.paths().iter().filter(|(_, is_scalar)| *is_scalar) {
            for value in ["sentinel7", "https://u:sentinel7@h/v1", "{\"key\": \"sentinel7\"}", "os.environ/not a name sentinel7"] {
                let imported = of_tree(&name, &tree.edited(path, Some(value)).unwrap(), "").unwrap();
                assert!(!told(&imported).contains("sentinel7"), "{name}: {path}: {value}\n{}", told(&imported));
                let shown = imported.toml.contains("sentinel7");
                assert!(!shown || may_be_shown(path), "{name}: {path}: {value}\n{}", imported.toml);
            }
        }
    }
}

/// Whatever stands there, what is written loads.
///
/// Broken on purpose to see it fail: a limit of 0 written; fallbacks that lead back written.
#[test]
fn whatever_stands_in_a_file_what_comes_of_it_loads() {
    let odd = [
        "", "0", "-1", "1.5", "59", "a b*c", "模型*", "1e12", "true", "${X}", "gpt-4o", "http://h:x", "\"\\\n", "os.environ/X",
        "prompt_caching",
    ];
    let mut broken = Vec::new();
    for (name, text) in files() {
        let tree = yaml::read(&text).unwrap().unwrap();
        for (path, is_scalar) in tree.paths() {
            let without = of_tree(&name, &tree.edited(&path, None).unwrap(), &text).unwrap();
            loads(&without.toml);
            // (A key file must be there.)
            for value in odd.iter().filter(|_| is_scalar && !path.ends_with("vertex_credentials")) {
                let imported = of_tree(&name, &tree.edited(&path, Some(value)).unwrap(), &text).unwrap();
                let checked = check::check(Path::new("weir.toml"), &imported.toml, &made_up);
                if let Err(report) = checked {
                    broken.push(format!("{name}: {path} = {value:?}: {report}"));
                }
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

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
    config.models[0].targets.iter().map(|target| ((!target.auto).then_some(target.weight), target.tier)).collect()
}

/// As `simple_shuffle.py` does: the first of those that are chosen from says by what, and who has none of it is not chosen while
/// others can be.
#[test]
fn simple_shuffle_goes_by_weight_else_by_rpm_else_by_tpm() {
    let of = |params| targets(&three(params, ""));
    assert_eq!(of(["weight: 3, rpm: 10", "weight: 1, rpm: 90", "rpm: 5"]), [(Some(3.0), 0), (Some(1.0), 0), (None, 1)]);
    assert_eq!(of(["rpm: 10, tpm: 7", "rpm: 90", "rpm: 5, weight: 9"]), [(Some(10.0), 0), (Some(90.0), 0), (Some(5.0), 0)]);
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
    assert_eq!(of(["order: 1, weight: 2", "order: 2, rpm: 60", "order: 2, rpm: 30"]), [(Some(2.0), 0), (Some(60.0), 1), (Some(30.0), 1)]);
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
    assert_eq!(config.deployments[0].pricing.at(0).map(|price| (price.rates.input, price.rates.output)), Some((1.0, 2.0)));
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
    let (_, config) = translated(&three(["seed: 1"; 3], "disable_cooldowns: true, allowed_fails: 3"));
    assert!(!config.deployments[0].circuit.enabled);
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
    let accounts: Vec<&str> = config.deployments.iter().map(|deployment| deployment.account.name.as_str()).collect();
    assert_eq!(accounts, ["openai", "openai", "openai-2", "h", "openai-3", "openai-3", "anthropic"]);
}

#[test]
fn limits_are_each_deployments_own_and_retries_count_besides_the_first_attempt() {
    let (_, config) = translated(&three(["rpm: 10", "rpm: 20", "tpm: 5000"], "num_retries: 4"));
    let limits: Vec<u64> = config.pools.iter().map(|pool| pool.meters[0].limit).collect();
    assert_eq!(limits, [10, 20, 5000]);
    assert_eq!(config.models[0].retry.attempts, 5);
    let (imported, _) = translated(&three(["rpm: 10", "rpm: 20", "rpm: 30"], ""));
    let loose = |imported: &Imported| imported.notes.iter().any(|note| note.line == 0 && note.sort == Sort::Differs);
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

#[test]
fn aliases_and_merges_are_what_they_stand_for() {
    let text = "
d: &d { api_key: os.environ/K, rpm: 7 }
e: &e { rpm: 9, tpm: 5000 }
model_list:
  - model_name: a
    litellm_params: { <<: [*d, *e], model: openai/a }
  - &second
    model_name: b
    litellm_params: { model: openai/b, <<: *d, rpm: 8 }
  - *second
";
    let (_, config) = translated(text);
    let limits: Vec<Vec<u64>> =
        config.pools.iter().map(|pool| pool.meters.iter().map(|meter| meter.limit).collect()).collect();
    assert_eq!(limits, [vec![7, 5000], vec![8], vec![8]]);
}

/// Each with the line, if it is about one.
#[test]
fn what_cannot_be_read_is_an_error_with_its_line() {
    let fails = |text: &str| litellm("f", text).map(|_| ()).unwrap_err();
    assert_eq!(fails("a: b\nc: [1, 2").line, Some(2));
    assert_eq!(fails("a: 1\n---\nb: 2\n").line, Some(2));
    assert_eq!(fails("a: *nowhere\n").line, Some(1));
    assert_eq!(fails("a: &a [*a]\n").line, Some(1));
    assert_eq!(fails("[1]: 2\n").line, Some(1));
    for nothing in ["", "# only words\n", "- a\n", "just text\n"] {
        assert_eq!(fails(nothing).line, None, "{nothing:?}");
    }
    // A few bytes must not become gigabytes, nor an endless depth.
    let mut laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for at in 1..12 {
        let last = at - 1;
        laughs += &format!("a{at}: &a{at} [{}]\n", vec![format!("*a{last}"); 10].join(", "));
    }
    assert_eq!(fails(&laughs).message, "too many values");
    // The same of merges, which make no values.
    let mut merges = "a0: &a0 {x: 1}\n".to_owned();
    for at in 1..13 {
        let last = at - 1;
        merges += &format!("a{at}: &a{at} {{<<: [{}]}}\n", vec![format!("*a{last}"); 10].join(", "));
    }
    assert_eq!(fails(&merges).message, "too many values");
    assert!(fails(&format!("a: {}{}", "[".repeat(100), "]".repeat(100))).message.contains("deep"));
    // And of what is deep by its aliases alone: it must not be dropped one frame for each of them.
    let mut chain = "- &a0 x\n".to_owned();
    for at in 1..200_000 {
        chain += &format!("- &a{at} [*a{}]\n", at - 1);
    }
    assert!(fails(&chain).message.contains("deep"));
    assert!(fails(&"#".repeat(9 << 20)).message.contains("longer"));
    // No message quotes the file.
    let message = fails("master_key: \"sk-hunter2\n").message;
    assert!(!message.contains("hunter2"), "{message}");
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
        assert_eq!((named("OPENAI_API_KEY"), imported.toml.matches("api_key = ").count()), (1, 2), "{}", imported.toml);
        let told = imported.notes.iter().find(|note| note.path.ends_with("api_key") && note.sort == Sort::ToDo).unwrap();
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
        let line = imported.toml.lines().find(|line| line.starts_with("url = ")).unwrap_or_default().to_owned();
        (line, todo)
    };
    let by_environment = "url = \"redis://:${REDIS_PASSWORD}@${REDIS_HOST}:${REDIS_PORT}/0\"".to_owned();
    for settings in ["cache: true", "cache: true, cache_params: { type: redis }", "cache_params: { type: redis, ttl: 60 }"] {
        assert_eq!(url(&format!("litellm_settings: {{ {settings} }}")), (by_environment.clone(), true), "{settings}");
    }
    for settings in ["cache: false, cache_params: { type: redis }", "cache: true, cache_params: { type: local }", "drop_params: true"] {
        assert_eq!(url(&format!("litellm_settings: {{ {settings} }}")).0, "", "{settings}");
    }
    let tls = |ssl: &str| url(&format!("litellm_settings: {{ cache_params: {{ host: h, password: os.environ/P, ssl: {ssl} }} }}"));
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
    assert_eq!(imported.notes.iter().any(|note| note.text.contains("a whole stream")), said && !params.starts_with("stream"));
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
        let text = format!("model_list:\n  - {{ model_name: m, litellm_params: {{ model: '{model}', {place} }} }}\n");
        let (imported, config) = translated(&text);
        let listed = imported.notes.iter().any(|note| note.path == "model_list[0]" && note.sort == Sort::Left);
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
        ("bedrock/llama/arn:aws:bedrock:us-east-1:1:imported-model/x", Some("arn:aws:bedrock:us-east-1:1:imported-model/x")),
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
    let left: Vec<&str> = imported.notes.iter().filter(|note| note.sort == Sort::Left).map(|note| note.path.as_str()).collect();
    assert_eq!(left, ["litellm_settings.success_callback[1]", "environment_variables"]);
    let (_, config) = translated("model_list: []");
    assert!(config.server.metrics_listen.is_none() && config.telemetry.otlp.is_none() && config.alerts.webhook.is_none());
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
    let model = |name: &str| format!("  - {{ model_name: '{name}', litellm_params: {{ model: openai/m }} }}\n");
    let (_, config) = translated(&format!("model_list:\n{}{}{}", model("gpt 4*"), model("gpt-4*"), model("模型*")));
    let names: Vec<(&str, bool)> = config.models.iter().map(|model| (&*model.name, model.wildcard)).collect();
    assert_eq!(names, [("gpt-4", true), ("gpt-4-2", true), ("model-", true)]);
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config { cases: 500, failure_persistence: None, ..Default::default() })]

    /// Up to three pieces of up to four characters are replaced, anywhere.
    #[test]
    fn a_damaged_file_is_no_reason_to_panic(
        which in 0..4usize,
        damage in proptest::collection::vec((0.0..1.0f64, 0..5usize, "[ -~\n:{}&*<\\[é]{0,2}"), 1..4),
    ) {
        let (name, text) = files().swap_remove(which);
        let mut text: Vec<char> = text.chars().collect();
        for (place, length, replacement) in damage {
            let start = (place * text.len() as f64) as usize;
            let end = (start + length).min(text.len());
            text.splice(start..end, replacement.chars());
        }
        let text: String = text.into_iter().collect();
        match litellm(&name, &text) {
            Ok(imported) => proptest::prop_assert!(imported.notes.iter().all(|note| note.line <= text.lines().count())),
            Err(err) => proptest::prop_assert!(err.line.is_none_or(|line| line <= text.lines().count() + 1)),
        }
    }
}
