//! What must not be told, and what is told if that is asked for.

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use weir_tests::client::Ask;
use weir_tests::collector::Collector;
use weir_tests::provider::Upstream;
use weir_tests::site::{Plan, Site};

use super::{ask, tree, upstream};
use crate::in_turn;

/// Planted in the request's headers, in its text, in the configuration and in what the provider says.
const PLANTED: [&str; 8] = [
    "sk-client-0123456789abcdef",
    "plain-looking-admin-word",
    "plain-looking-account-word",
    "collector-word-of-ours",
    "sk-leaked-by-provider-0123456789",
    "jane.doe@example.com",
    "4111 1111 1111 1111",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dBjftJeZ4CVPmB92K27uhb",
];

async fn site_with_secrets(name: &str, further: &str) -> Result<(Site, Collector)> {
    let collector = Collector::start().await?;
    let headers = "otlp_headers = { authorization = \"Bearer collector-word-of-ours\", x-tenant = \"t\" }\n";
    let telemetry = collector.settings("grpc", &format!("{headers}{further}"));
    let account = "headers = { x-org = \"plain-looking-account-word\" }\n".to_owned();
    let upstreams = ["a", "b"].map(|name| Upstream { account: account.clone(), ..upstream(name) }).to_vec();
    let plan = super::plan(name, &telemetry);
    let server = format!("admin_token = \"plain-looking-admin-word\"\n{}", plan.server);
    Ok((Site::start(Plan { upstreams, server, ..plan }).await?, collector))
}

/// A call that says all of it, first to a provider that says more.
async fn call(site: &Site) -> Result<String> {
    let said = PLANTED.join(" and ");
    let error = json!({ "error": { "message": format!("bad key {said}"), "type": "x", "code": "y" } });
    site.providers[0].fail(&[&format!("status=500,times=1,body={error}")]).await?;
    let ask: Ask = ask()
        .saying(format!("My secrets are {said}, and the sky is blue."))
        .header("authorization", format!("Bearer {}", PLANTED[0]))
        .header("user-agent", format!("curl {}", PLANTED[7]))
        .header("tracestate", "vendor=1");
    let answer = site.client.call(&ask).await;
    ensure!(answer.is_good(true), "{answer:?}");
    Ok(answer.header("x-request-id").to_owned())
}

/// Broken on purpose to see it fail: the agent's name told as it came; bodies of errors told.
#[test]
fn no_secret_is_in_any_span_record_or_metric() -> Result<()> {
    in_turn(async {
        let (site, collector) = site_with_secrets("telemetry-secrets", "").await?;
        let id = call(&site).await?;
        tree(&collector, &id).await?;
        collector
            .spans_when("metrics and records", |_| {
                let told = collector.told();
                !told.metric("weir_requests").is_empty() && told.records().len() > 2
            })
            .await?;
        let everything = collector.told().everything();
        ensure!(everything.contains("curl"), "the agent is told");
        ensure!(!everything.contains("sky is blue"), "contents are told though nobody asked for them");
        for secret in PLANTED.iter().chain(&["sk-up-a", "sk-up-b", "hunter2"]) {
            ensure!(!everything.contains(secret), "{secret} was told");
            ensure!(!site.replicas[0].log()?.contains(secret), "{secret} is in the log");
        }
        // (They came where they should.)
        let told = collector.told();
        ensure!(
            told.headers
                .iter()
                .any(|headers| headers.get("authorization").is_some_and(|value| value.contains(PLANTED[3])))
        );
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
