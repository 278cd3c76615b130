//! What must not be told, and what is told if that is asked for.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use weir_tests::client::{Ask, get, get_by, post};
use weir_tests::collector::Collector;
use weir_tests::process::eventually;
use weir_tests::provider::Upstream;
use weir_tests::site::{Plan, Site};

use super::{ask, tree, upstream};
use crate::in_turn;

/// Planted in the request's headers, in its text, in the configuration, in the environment and in what the provider says.
const PLANTED: [&str; 11] = [
    "sk-client-0123456789abcdef",
    ADMIN,
    "plain-looking-account-word",
    "collector-word-of-ours",
    "sk-leaked-by-provider-0123456789",
    "jane.doe@example.com",
    "4111 1111 1111 1111",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dBjftJeZ4CVPmB92K27uhb",
    "plain-looking-webhook-word",
    "plain-looking-environment-word",
    "sk-in-the-state-0123456789",
];
const ADMIN: &str = "plain-looking-admin-word";
/// Said in calls that come to nothing: behind `?key=`, as a part of a path, as the name of a model.
const SAID_ELSEWHERE: [&str; 3] =
    ["plain-looking-query-word", "sk-in-a-path-0123456789abcdef", "sk-as-a-model-0123456789abcdef"];
/// In a file that is refused.
const MISTAKEN: &str = "plain-looking-mistaken-word";
/// What operators can ask for.
const PAGES: [&str; 9] = [
    "/metrics",
    "/admin/v1/state",
    "/admin/v1/costs",
    "/admin/v1/deployments",
    "/admin/v1/deployments/a",
    "/admin/v1/experiments",
    "/admin/v1/keys",
    "/dashboard",
    "/dashboard/start.js",
];

async fn site_with_secrets(name: &str, further: &str) -> Result<(Site, Collector)> {
    let collector = Collector::start().await?;
    let headers = "otlp_headers = { authorization = \"Bearer collector-word-of-ours\", x-tenant = \"t\" }\n";
    let alerts = "\n[alerts]\nwebhook = \"http://127.0.0.1:9/services/plain-looking-webhook-word\"\n";
    let telemetry = collector.settings("grpc", &format!("{headers}{further}{alerts}"));
    let account = "headers = { x-org = \"${WORD_OF_ACCOUNT}\" }\n".to_owned();
    let upstreams = ["a", "b"].map(|name| Upstream { account: account.clone(), ..upstream(name) }).to_vec();
    let plan = super::plan(name, &telemetry);
    let server = format!("admin_token = \"{ADMIN}\"\n{}", plan.server);
    let environment = [
        ("WORD_OF_ACCOUNT", "plain-looking-account-word"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-more=plain-looking-environment-word"),
    ];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    Ok((Site::start(Plan { upstreams, server, environment, ..plan }).await?, collector))
}

/// A call that says all of it, first to a provider that says more.
async fn call(site: &Site) -> Result<String> {
    let said = PLANTED.join(" and ");
    let error = json!({ "error": { "message": format!("bad key {said}"), "type": "x", "code": "y" } });
    site.providers[0].fail(&[&format!("status=500,times=1,body={error}")]).await?;
    let ask: Ask = ask()
        .saying(format!("My secrets are {said}, and the sky is blue."))
        .header("authorization", format!("Bearer {}", PLANTED[0]))
        .header("user-agent", format!("curl {} {}", PLANTED[7], PLANTED[9]))
        .header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
        .header("tracestate", format!("vendor={}", PLANTED[10]));
    let answer = site.client.call(&ask).await;
    ensure!(answer.is_good(true), "{answer:?}");
    Ok(answer.header("x-request-id").to_owned())
}

/// Calls that nobody serves, with secrets where there should be none. What they are answered is their clients' own.
async fn calls_in_vain(site: &Site) -> Result<()> {
    let [query, path, model] = SAID_ELSEWHERE;
    let body = json!({ "contents": [{ "role": "user", "parts": [{ "text": "Hi." }] }] }).to_string();
    let addr = site.replicas[0].addr();
    post(addr, &format!("/v1beta/models/none:generateContent?key={query}"), body).await?;
    get(addr, &format!("/v1/models/{path}")).await?;
    let answer = site.client.call(&Ask::new(model)).await;
    ensure!(answer.status == 404, "{answer:?}");
    Ok(())
}

/// Somebody watches while a call is made: what is shown, once the call is.
async fn watched(site: &Site) -> Result<String> {
    let (admin, mut seen) = (site.replicas[0].admin(), String::new());
    eventually("the call on the dashboard", async || {
        let watching = get_by(admin, "/admin/v1/events", ADMIN, Duration::from_secs(3));
        let calling = async {
            tokio::time::sleep(Duration::from_secs(1)).await; // who is not watched yet shows nothing, and is asked again
            call(site).await
        };
        let (shown, id) = tokio::join!(watching, calling);
        let (status, shown) = shown?;
        ensure!(status == 200, "the events answer {status}");
        seen = String::from_utf8_lossy(&shown).into_owned();
        Ok(seen.contains(&id?))
    })
    .await?;
    Ok(seen)
}

/// Everything that a replica shows to operators, with what it is.
async fn shown(site: &Site) -> Result<Vec<(&'static str, String)>> {
    let mut all = vec![("/admin/v1/events", watched(site).await?)];
    for path in PAGES {
        let (status, page) = get_by(site.replicas[0].admin(), path, ADMIN, Duration::from_secs(5)).await?;
        ensure!(status == 200, "{path} answers {status}");
        all.push((path, String::from_utf8_lossy(&page).into_owned()));
    }
    Ok(all)
}

/// A file with a mistake where a secret stands is refused, and told of.
async fn refused(site: &Site) -> Result<String> {
    let mistake = format!("[server]\nadmin_tokn = \"{MISTAKEN}\"\n");
    site.replicas[0].rewrite(|text| text.replacen("[server]\n", &mistake, 1))?;
    let (admin, mut page) = (site.replicas[0].admin(), String::new());
    eventually("word of the refusal", async || {
        let (_, state) = get_by(admin, "/admin/v1/state", ADMIN, Duration::from_secs(5)).await?;
        page = String::from_utf8_lossy(&state).into_owned();
        Ok(!serde_json::from_slice::<Value>(&state)?["config_refused"].is_null())
    })
    .await?;
    Ok(page)
}

/// Broken on purpose to see it fail: the agent's name told as it came; bodies of errors told.
#[test]
fn no_secret_is_in_any_span_record_metric_log_or_page() -> Result<()> {
    in_turn(async {
        let (site, collector) = site_with_secrets("telemetry-secrets", "").await?;
        let id = call(&site).await?;
        calls_in_vain(&site).await?;
        tree(&collector, &id).await?;
        let mut all = shown(&site).await?;
        all.push(("the state after a mistake", refused(&site).await?));
        collector
            .spans_when("metrics and records", |_| {
                let told = collector.told();
                !told.metric("weir_requests").is_empty() && told.records().len() > 2
            })
            .await?;
        let everything = collector.told().everything();
        ensure!(everything.contains("curl"), "the agent is told");
        all.push(("what the collector was told", everything));
        all.push(("the log", site.replicas[0].log()?));
        let planted = PLANTED.iter().chain(&SAID_ELSEWHERE).chain(&[MISTAKEN, "sk-up-a", "sk-up-b"]);
        for secret in planted {
            let found = all.iter().find(|(_, text)| text.contains(secret));
            ensure!(found.is_none(), "{secret} is in {}", found.map_or("", |(place, _)| place));
        }
        let told = all.iter().find(|(_, text)| text.contains("sky is blue"));
        ensure!(
            told.is_none(),
            "contents are told though nobody asked for them: {}",
            told.map_or("", |of| of.0)
        );
        // (They came where they should.)
        let told = collector.told();
        for (name, secret) in [("authorization", PLANTED[3]), ("x-more", PLANTED[9])] {
            let has_it = |value: &String| value.contains(secret);
            ensure!(told.headers.iter().any(|headers| headers.get(name).is_some_and(has_it)), "{name}");
        }
        Ok(())
    })
}

/// Broken on purpose to see it fail: contents that are not looked through.
#[test]
fn contents_are_told_if_that_is_asked_for_and_without_secrets() -> Result<()> {
    in_turn(async {
        let (site, collector) = site_with_secrets("telemetry-contents", "capture_content = true").await?;
        let id = call(&site).await?;
        let (_, attempts) = tree(&collector, &id).await?;
        let asked: Value = serde_json::from_str(&attempts[1].attribute("gen_ai.input.messages"))?;
        let text = asked[0]["parts"][0]["content"].as_str().unwrap_or_default();
        ensure!(asked[0]["role"] == "user" && text.ends_with("and the sky is blue."), "{asked}");
        ensure!(text.contains("[redacted]"), "{text}");
        let said: Value = serde_json::from_str(&attempts[1].attribute("gen_ai.output.messages"))?;
        ensure!(said[0]["finish_reason"] == "stop" && said[0]["parts"][0]["type"] == "text", "{said}");
        let everything = collector.told().everything();
        for secret in PLANTED {
            ensure!(!everything.contains(secret), "{secret} was told");
        }
        Ok(())
    })
}

/// JSON in a text, where the letter of an escape stands before a key; a key at the place where a text is cut. Broken on purpose to
/// see it fail: words that begin at word boundaries alone; cut, and then looked through.
#[test]
fn no_secret_hides_behind_an_escape_or_at_a_cut() -> Result<()> {
    in_turn(async {
        let (site, collector) = site_with_secrets("telemetry-hidden", "capture_content = true").await?;
        let lines = PLANTED.map(|secret| format!("line\n{secret}"));
        let inner = json!({ "content": lines, "password": "hunter2-hunter2" });
        for said in [
            format!("{inner} and the sky is blue."),
            format!("{} {ADMIN} and the sky is blue.", "x".repeat((8 << 10) - ADMIN.len() + 2)),
        ] {
            let answer = site.client.call(&ask().saying(said)).await;
            ensure!(answer.is_good(true), "{answer:?}");
            let (_, attempts) = tree(&collector, answer.header("x-request-id")).await?;
            let told = attempts[0].attribute("gen_ai.input.messages");
            ensure!(told.contains("\"content\":"), "void: nothing is told: {told}");
        }
        let everything = collector.told().everything();
        ensure!(everything.contains("sky is blue"), "void: the text is not told");
        for secret in PLANTED.iter().chain(&["hunter2", &ADMIN[..16]]) {
            ensure!(!everything.contains(secret), "{secret} was told");
        }
        Ok(())
    })
}
