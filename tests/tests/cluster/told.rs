//! What clients and operators are told beside the answers: why a call went where it went, what a tenant has left, that a
//! stream is still coming, which models there are.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use weir_tests::client::{Answer, Ask, get, post};
use weir_tests::process::eventually;
use weir_tests::provider::Upstream;
use weir_tests::site::{Plan, Site};

use crate::in_turn;

fn quick(name: &'static str) -> Upstream {
    Upstream::new(name).behaving("--output 5 --latency 1ms --pace 0ms")
}

/// What the log says of the candidates of a call; it is written a moment after the answer.
async fn candidates(site: &Site, answer: &Answer) -> Result<String> {
    let id = answer.header("x-request-id");
    let mut told = None;
    eventually("the call's line in the log", async || {
        let log = site.replicas[0].log()?;
        let line = log.lines().find(|line| line.contains("\"weir::call\"") && line.contains(id));
        told = line.map(str::to_owned);
        Ok(told.is_some())
    })
    .await?;
    let line: Value = serde_json::from_str(&told.context("no line")?)?;
    Ok(line["candidates"].as_str().unwrap_or_default().to_owned())
}

const EXPLAINED: &str = r#"
[[models]]
name = "m"
deployments = [{ name = "one", priority = 0 }, { name = "other", priority = 1 }]
[[models]]
name = "large"
deployments = ["narrow", "tight"]
[[models]]
name = "short"
deployments = ["brief"]
"#;

/// Broken on purpose to see it fail: the header left out; candidates one off; nothing told of a call larger than a limit; what
/// the state tells unasked thrown away.
#[test]
fn why_a_call_went_where_it_went_is_told_to_who_asks_and_logged() -> Result<()> {
    in_turn(async {
        let upstreams = vec![
            Upstream { rpm: Some(1), ..quick("one") },
            quick("other"),
            Upstream { tpm: Some(600), ..quick("narrow") },
            Upstream { tpm: Some(700), ..quick("tight") },
            Upstream { context_window: Some(10), max_output: 5, ..quick("brief") },
        ];
        let models = Some(EXPLAINED.to_owned());
        let site = Site::start(Plan { replicas: 1, models, ..Plan::new("told-why", upstreams) }).await?;
        let ask = |model: &str| Ask::new(model).header("x-weir-explain", "1");
        let explained = |answer: &Answer| answer.header("x-weir-explain").to_owned();

        let first = site.client.call(&ask("m")).await;
        ensure!(first.is_good(false) && explained(&first) == "other: not looked at; one: taken", "{first:?}");
        let second = site.client.call(&ask("m")).await;
        let why = explained(&second);
        ensure!(second.deployment == "other", "{second:?}");
        ensure!(why.starts_with("one: no room for ") && why.ends_with(" s; other: taken"), "{why}");
        ensure!(!why.contains("account"), "the client learns of accounts: {why}");

        // Nobody asks, and the log tells all the same.
        let moved = site.client.call(&Ask::new("m")).await;
        ensure!(moved.is_good(false) && !moved.headers.contains_key("x-weir-explain"), "{moved:?}");
        let why = candidates(&site, &moved).await?;
        ensure!(why.starts_with("one: no room for ") && why.contains(" in account/one/all; "), "{why}");
        ensure!(why.ends_with("; other: taken"), "{why}");

        let large = site.client.call(&ask("large").max_tokens(5_000)).await;
        ensure!(large.status == 429, "{large:?}");
        let sorted = |why: String| {
            let mut each: Vec<String> = why.split("; ").map(str::to_owned).collect();
            each.sort(); // they are ranked by chance
            each.join("; ")
        };
        let why = sorted(explained(&large));
        ensure!(why == "narrow: larger than a limit; tight: larger than a limit", "{why}");
        let why = sorted(candidates(&site, &large).await?);
        ensure!(why.contains("of account/narrow/all; ") && why.ends_with("of account/tight/all"), "{why}");

        // Longer than any can read: told in the log, asked or not.
        let long = site.client.call(&Ask::new("short").max_tokens(50)).await;
        ensure!(long.status == 400, "{long:?}");
        let why = candidates(&site, &long).await?;
        ensure!(why == "brief: the call is longer than its context", "{why}");
        Ok(())
    })
}

/// Two tenants, by the hashes of their keys, `sk-tenant-t` and `sk-tenant-u`.
const TENANTS: &str = r#"
[[models]]
name = "m"
deployments = ["a"]
[[tenants]]
name = "t"
keys = ["sha256:358323b897425e54dd3887270ca7407d8434c1b363f5daf10e070f9356b272d3"]
models = ["*"]
limits = { rpm = 3, tpm = 100_000 }
[[tenants]]
name = "u"
keys = ["sha256:9e839911214700e3c98ba8acef9aca3b9b487e89ab2520b2ca1788be296aae5d"]
models = ["*"]
limits = { rpm = 50, tpm = 7_000 }
"#;

/// Broken on purpose to see it fail: nothing asked of what is left.
#[test]
fn a_tenant_is_told_what_it_has_left_and_nothing_of_others() -> Result<()> {
    in_turn(async {
        let upstream = Upstream { tpm: Some(900_000), ..quick("a") };
        let plan = Plan { models: Some(TENANTS.to_owned()), ..Plan::new("told-left", vec![upstream]) };
        let site = Site::start(Plan { replicas: 2, ..plan }).await?;
        let ask = |key: &str| {
            Ask::new("m").max_tokens(40).header("authorization", format!("Bearer sk-tenant-{key}"))
        };
        let figure = |answer: &Answer, what: &str| -> Result<u64> {
            let text = answer.header(&format!("x-ratelimit-{what}"));
            text.parse().with_context(|| format!("x-ratelimit-{what} is {text:?}"))
        };
        for made in 0..3 {
            // Whichever replica serves it.
            let answer = site.replicas[made % 2].client.call(&ask("t")).await;
            ensure!(answer.is_good(false), "{answer:?}");
            let left = (figure(&answer, "remaining-requests")?, figure(&answer, "limit-requests")?);
            ensure!(left == (2 - made as u64, 3), "{left:?} after {made}");
            ensure!(figure(&answer, "limit-tokens")? == 100_000);
            // At the provider: what was used before, and what this call may use at most.
            let before = &site.providers[0].arrivals().await?[..made];
            let used: u64 = before.iter().map(|a| a.prompt_tokens + a.output_tokens).sum();
            let remaining = figure(&answer, "remaining-tokens")?;
            let most = 100_000 - used;
            ensure!((most - 200..most).contains(&remaining), "{remaining} remaining, {used} used before");
            ensure!(answer.header("x-ratelimit-reset-requests").ends_with('s'), "{answer:?}");
        }
        let refused = site.client.call(&ask("t")).await;
        // A minute and its two spare buckets.
        ensure!(refused.status == 429 && refused.retry_after.is_some_and(|s| s <= 63), "{refused:?}");
        ensure!(figure(&refused, "remaining-requests")? == 0);
        let other = site.client.call(&ask("u")).await;
        let left = (figure(&other, "remaining-requests")?, figure(&other, "limit-tokens")?);
        ensure!(other.is_good(false) && left == (49, 7_000), "{left:?}, {other:?}");
        Ok(())
    })
}

/// Nothing comes for three times as long as the client waits for a sign: before the first content, and between two pieces.
/// Broken on purpose to see it fail: the alarm for a sign taken for the end of the patience; no
/// beat told.
#[test]
fn a_stream_that_pauses_shows_that_it_is_still_coming() -> Result<()> {
    in_turn(async {
        let upstream = Upstream::new("a").behaving("--output 2 --latency 1600ms --pace 1600ms");
        let server = "stream_keepalive = \"500ms\"\ndrain_delay = \"0s\"\n".to_owned();
        let site =
            Site::start(Plan { server, replicas: 1, ..Plan::new("told-alive", vec![upstream]) }).await?;
        let body = r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"word"}]}"#;
        let (status, text) = post(site.replicas[0].addr(), "/v1/chat/completions", body.to_owned()).await?;
        let text = String::from_utf8(text.to_vec())?;
        ensure!(status == 200 && text.ends_with("data: [DONE]\n\n"), "{status}: {text}");
        let is_sign = |event: &&str| event.starts_with(": ");
        let events: Vec<&str> = text.split_terminator("\n\n").collect();
        let first = events.iter().take_while(|event| is_sign(event)).count();
        let later = events.iter().skip(first).filter(|event| is_sign(event)).count();
        ensure!(first >= 2, "{first} signs before the first content: {text}");
        ensure!(later >= 2, "{later} signs afterwards: {text}");
        ensure!(events.iter().all(|event| is_sign(event) || event.starts_with("data: ")), "{text}");
        Ok(())
    })
}

const NAMED: &str = r#"
[[models]]
name = "vendor/one"
aliases = ["one", "uno"]
deployments = ["a"]
[[models]]
name = "any-*"
deployments = ["a"]
"#;

/// Broken on purpose to see it fail: aliases not listed; a wildcard listed.
#[test]
fn models_are_listed_with_their_aliases_and_read_under_a_wildcard() -> Result<()> {
    in_turn(async {
        let plan = Plan { models: Some(NAMED.to_owned()), ..Plan::new("told-models", vec![quick("a")]) };
        let site = Site::start(Plan { replicas: 1, ..plan }).await?;
        let addr = site.replicas[0].addr();
        let (_, body) = get(addr, "/v1/models").await?;
        let list: Value = serde_json::from_slice(&body)?;
        let ids: Vec<&str> =
            list["data"].as_array().into_iter().flatten().filter_map(|m| m["id"].as_str()).collect();
        ensure!(ids == ["vendor/one", "one", "uno"], "{list}");
        for (name, status) in [("vendor/one", 200), ("uno", 200), ("any-thing", 200), ("two", 404)] {
            let (found, body) = get(addr, &format!("/v1/models/{name}")).await?;
            ensure!(found == status, "{name}: {found}");
            let told: Value = serde_json::from_slice(&body)?;
            ensure!(status != 200 || told["id"] == name, "{told}");
            let called = site.client.call(&Ask::new(name)).await.status;
            ensure!(called == status, "a call of {name}: {called}");
        }
        Ok(())
    })
}
