//! Rules, and what is looked at before the choice: the providers' logs show who got what.

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use weir_tests::client::{Answer, Ask, get, post};
use weir_tests::provider::Upstream;
use weir_tests::site::{Plan, Site};

use crate::in_turn;
use crate::life::reload::all_reloaded;

/// Nobody has a model `auto`: what it is, rules say.
const RULES: &str = r#"
[[models]]
name = "small"
deployments = ["small"]
[[models]]
name = "large"
deployments = ["far", "near", { name = "eu", priority = 1 }]
regions = "nearest"
[[models]]
name = "first"
deployments = ["near"]
fallbacks = ["last"]
[[models]]
name = "last"
deployments = ["eu"]

[[rules]]
name = "sees"
when = { model = "auto", images = true }
use = "large"
[[rules]]
name = "sql"
when = { model = "auto", prompt = '(?i)\bselect\b' }
use = "large"
tier = 1
[[rules]]
name = "eu-data"
when = { model = ["auto", "large"], metadata = { data = "eu" } }
use = "large"
require = ["eu"]
[[rules]]
name = "hard"
when = { model = "auto", complexity = 0.5 }
use = "large"
[[rules]]
name = "easy"
when = { model = "auto", max_tokens = 2000, tools = false }
use = "small"
"#;

fn upstream(name: &'static str, account: &str, deployment: &str) -> Upstream {
    let quick = Upstream::new(name).behaving("--output 8 --latency 5ms --pace 1ms");
    Upstream { account: format!("{account}\n"), deployment: format!("{deployment}\n"), ..quick }
}

async fn site() -> Result<Site> {
    let upstreams = vec![
        upstream("small", "", "supports = [\"json_schema\"]"),
        upstream("far", "region = \"us-east-1\"", "tags = [\"us\"]"),
        upstream("near", "region = \"us-west-2\"", "tags = [\"us\"]"),
        upstream("eu", "region = \"eu\"", "tags = [\"eu\"]\nsupports = [\"tools\"]"),
    ];
    let plan = Plan::new("rules", upstreams);
    let server = format!("{}region = \"us-west-2\"\n", plan.server);
    // What fails is asked again at once.
    let defaults = "circuit = { enabled = false }\n".to_owned();
    Site::start(Plan { models: Some(RULES.to_owned()), server, defaults, ..plan }).await
}

/// The answers of every replica.
async fn by_each(site: &Site, ask: &Ask) -> Vec<Answer> {
    let mut answers = Vec::new();
    for replica in &site.replicas {
        answers.push(replica.client.call(&ask.clone().header("x-weir-explain", "1")).await);
    }
    answers
}

/// Whoever is asked, the call goes to `to`, because of `rule` if that is not empty.
async fn goes(site: &Site, ask: Ask, to: &str, rule: &str) -> Result<()> {
    for answer in by_each(site, &ask).await {
        let why = answer.header("x-weir-explain");
        let told = if rule.is_empty() {
            !why.contains(" chose ")
        } else {
            why.starts_with(&format!("{rule} chose "))
        };
        ensure!(
            answer.is_good(false) && answer.deployment == to && told,
            "{to} by {rule}: {why}: {answer:?}"
        );
    }
    Ok(())
}

/// Nobody serves the call; the client is told why.
async fn fails(site: &Site, ask: Ask, status: u16, words: &[&str]) -> Result<()> {
    for answer in by_each(site, &ask).await {
        let body = String::from_utf8_lossy(&answer.body).into_owned();
        ensure!(
            answer.status == status && words.iter().all(|word| body.contains(word)),
            "{words:?}: {answer:?}"
        );
    }
    Ok(())
}

fn tools() -> Value {
    json!([{ "type": "function", "function": { "name": "f", "parameters": { "type": "object" } } }])
}

/// Broken on purpose to see it fail: the last rule that is met; a call's tags not demanded of fallbacks; distances all 0; rules
/// dropped by a reload.
#[test]
fn rules_choose_and_what_cannot_serve_a_call_is_not_asked() -> Result<()> {
    in_turn(async {
        let site = site().await?;
        rules_choose(&site).await?;
        what_is_lacking_is_said(&site).await?;
        regions_come_in_their_order_and_data_stays(&site).await?;
        other_dialects_are_ruled_too(&site).await?;
        a_reload_takes_other_rules(&site).await
    })
}

async fn rules_choose(site: &Site) -> Result<()> {
    let auto = || Ask::new("auto");
    goes(site, auto(), "small", "easy").await?;
    let picture = json!([{ "type": "text", "text": "select what is on it" },
        { "type": "image_url", "image_url": { "url": "data:image/png;base64,iVBORw0KGgoAAAANSUhEUg==" } }]);
    goes(site, auto().saying(picture), "near", "sees").await?;
    goes(site, auto().saying("SELECT 1"), "eu", "sql").await?;
    let hard = "- {a} = [b];\n- why?\n- how?\n```\nx\n```\n```\ny\n```\n";
    goes(site, auto().saying(hard.repeat(3)), "near", "hard").await?;
    let data = || json!({ "data": "eu" });
    goes(site, auto().member("metadata", data()), "eu", "eu-data").await?;
    goes(site, Ask::new("large").member("metadata", data()), "eu", "eu-data").await?;
    goes(site, Ask::new("large"), "near", "").await?;
    ensure!(site.seen().await? == [3, 0, 9, 9], "{:?}", site.seen().await?);
    // No rule is met.
    fails(site, auto().saying("word ".repeat(3_000)), 404, &["model_not_found", "`auto`"]).await?;
    let (status, list) = get(site.replicas[0].addr(), "/v1/models").await?;
    let list: Value = serde_json::from_slice(&list)?;
    let ids: Vec<&str> =
        list["data"].as_array().into_iter().flatten().filter_map(|m| m["id"].as_str()).collect();
    ensure!(status == 200 && ids == ["small", "large", "first", "last", "auto"], "{list}");
    let (status, _) = get(site.replicas[0].addr(), "/v1/models/auto").await?;
    ensure!(status == 200, "{status}");
    Ok(())
}

async fn what_is_lacking_is_said(site: &Site) -> Result<()> {
    let before = site.seen().await?;
    let with_tools = Ask::new("small").member("tools", tools());
    fails(site, with_tools, 400, &["invalid_request_error", "does not support tools"]).await?;
    let tagged = Ask::new("small").header("x-weir-tags", "eu");
    fails(site, tagged, 400, &["does not have the tag eu"]).await?;
    fails(site, Ask::new("small").header("x-weir-tags", "a b"), 400, &["x-weir-tags"]).await?;
    ensure!(site.seen().await? == before, "nobody was to be asked");
    let schema = json!({ "type": "json_schema", "json_schema": { "name": "s", "schema": {} } });
    goes(site, Ask::new("small").member("response_format", schema.clone()), "small", "").await?;
    // The only one of the tier does not do it.
    let schema = Ask::new("auto").saying("select 1").member("response_format", schema);
    fails(site, schema, 400, &["it does not support json_schema", "it is not of priority 1"]).await
}

async fn regions_come_in_their_order_and_data_stays(site: &Site) -> Result<()> {
    let [_, far, near, _] = &site.providers[..] else { anyhow::bail!("other providers") };
    near.fail(&["status=500"]).await?;
    goes(site, Ask::new("large"), "far", "").await?;
    goes(site, Ask::new("first"), "eu", "").await?;
    far.fail(&["status=500"]).await?;
    goes(site, Ask::new("large"), "eu", "").await?;
    // What must stay in the US fails rather than leave.
    let eu = site.seen().await?[3];
    for model in ["large", "first"] {
        fails(site, Ask::new(model).header("x-weir-tags", "us, unheard-of"), 502, &[]).await?;
    }
    ensure!(site.seen().await?[3] == eu, "data left its region");
    near.fail(&[]).await?;
    far.fail(&[]).await?;
    goes(site, Ask::new("large").header("x-weir-tags", "eu"), "eu", "").await
}

/// The providers speak Chat, so it is told in it.
async fn other_dialects_are_ruled_too(site: &Site) -> Result<()> {
    let before = site.seen().await?;
    let addr = site.replicas[1].addr();
    let asks = |text: &str| {
        let messages =
            json!({ "model": "auto", "max_tokens": 9, "messages": [{ "role": "user", "content": text }] });
        let gemini = json!({ "contents": [{ "parts": [{ "text": text }] }] });
        [("/v1/messages", messages), ("/v1beta/models/auto:generateContent", gemini)]
    };
    for (path, body) in asks("hello").into_iter().chain(asks("select 1")) {
        let (status, answer) = post(addr, path, body.to_string()).await?;
        ensure!(status == 200, "{path}: {status} {}", String::from_utf8_lossy(&answer));
    }
    let after = site.seen().await?;
    ensure!(after == [before[0] + 2, before[1], before[2], before[3] + 2], "{before:?}, then {after:?}");
    for ((path, body), said) in asks(&"word ".repeat(3_000)).iter().zip(["not_found_error", "NOT_FOUND"]) {
        let (status, answer) = post(addr, path, body.to_string()).await?;
        let answer = String::from_utf8_lossy(&answer);
        ensure!(status == 404 && answer.contains(said), "{path}: {status} {answer}");
    }
    Ok(())
}

async fn a_reload_takes_other_rules(site: &Site) -> Result<()> {
    let before = site.replicas[0].state().await?["config"].as_str().unwrap_or_default().to_owned();
    for replica in &site.replicas {
        replica.rewrite(|text| {
            let easy = "tools = false }\nuse = \"small\"";
            text.replace(easy, "tools = false }\nuse = \"large\"\ntier = 1")
                .replace("\"auto\", images", "\"look\", images")
        })?;
    }
    all_reloaded(site, &before).await?;
    goes(site, Ask::new("auto"), "eu", "easy").await?;
    let picture = json!([{ "type": "image_url", "image_url": { "url": "https://x/y.png" } }]);
    goes(site, Ask::new("look").saying(picture), "near", "sees").await?;
    fails(site, Ask::new("look"), 404, &["model_not_found"]).await
}
