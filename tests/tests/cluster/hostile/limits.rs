//! More than its own: mallory has 30 requests a minute, over all replicas, keys and ways to say a key.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::json;
use tokio::task::JoinSet;
use weir_tests::client::{Ask, Client};
use weir_tests::provider::Upstream;

use super::listeners::Keeper;
use super::wire::{Raw, chat};
use super::{Case, MALLORY, MALLORYS_OTHER, QUICK, arrived, at_each, case, start, tenants};
use crate::in_turn;

const LIMIT: usize = 30;
/// Within this time nothing of the limit is free again.
const WHILE: Duration = Duration::from_secs(50);

#[test]
fn nothing_that_a_tenant_says_gives_it_more_than_its_limit() -> Result<()> {
    in_turn(async {
        let keeper = Keeper::start().await?;
        let models = "[[models]]\nname = \"m\"\naliases = [\"other-name\"]\ndeployments = [\"a\"]\n";
        let limits = format!("limits = {{ rpm = {LIMIT} }}");
        let text = format!("{models}{}{}", keeper.config(), tenants("", &limits));
        let site = start("hostile-limits", vec![Upstream::new("a").behaving(QUICK)], text).await?;
        let made = Raw::post("/v1/responses", &json!({ "model": "kept", "input": "mine" })).key(MALLORY);
        let made = made.to(site.replicas[0].addr()).await?;
        let id =
            made.text.split("\"id\":\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default();
        ensure!(made.status == 200 && keeper.keeps(id), "void: {}", made.text);
        let kept = keeper.log().len();
        let begun = Instant::now();
        // All at once, by both keys and at all replicas: what is left of the limit is served, and no more.
        let mut open = JoinSet::new();
        for at in 0..4 * LIMIT {
            let client = Client::new(site.replicas[at % 3].addr());
            let key = [MALLORY, MALLORYS_OTHER][at / 3 % 2];
            open.spawn(async move { client.call(&Ask::new("m").max_tokens(4).key(key)).await.status });
        }
        let served = open.join_all().await.into_iter().filter(|status| *status == 200).count();
        let seen = arrived(&site.providers).await?[0];
        ensure!(
            seen < LIMIT,
            "{seen} calls came to the provider, and one before to another: the limit is {LIMIT}"
        );
        ensure!(seen + 4 >= LIMIT && served == seen, "void: only {served} were served, and {seen} came");
        for case in cases(id) {
            at_each(&site, &case, |said| {
                ensure!((400..500).contains(&said.status), "answered {}: {}", said.status, said.text);
                Ok(())
            })
            .await?;
            let now = arrived(&site.providers).await?[0];
            ensure!(now == seen, "{:?}: {} calls more came to the provider", case.name, now - seen);
            ensure!(
                keeper.log().len() == kept,
                "{:?}: a request more came to the provider that keeps",
                case.name
            );
            ensure!(begun.elapsed() < WHILE, "void: so slow that the limit is free again");
        }
        Ok(())
    })
}

fn cases(id: &str) -> Vec<Case> {
    let told = |name: &str, value: &str| {
        case(format!("{name}: {value}"), Raw::chat("m").key(MALLORY).header(name, value))
    };
    let mut all = by_each_way_to_say_a_key();
    all.extend(by_each_way_to_call());
    for (method, part) in [("GET", ""), ("GET", "/input_items"), ("POST", "/cancel"), ("DELETE", "")] {
        let target = format!("/v1/responses/{id}{part}");
        all.push(case(
            format!("{method} of what is kept for it{part}"),
            Raw::new(method, &target).key(MALLORY),
        ));
    }
    for (name, value) in [
        ("x-forwarded-for", "203.0.113.77"),
        ("forwarded", "for=203.0.113.77"),
        ("x-real-ip", "203.0.113.77"),
        ("x-weir-tenant", "acme"),
        ("x-weir-priority", "high"),
        ("x-weir-tags", ""),
        ("x-weir-explain", "1"),
        ("x-weir-timeout-ms", "10000"),
        ("x-weir-attempts", "0"),
        ("x-session-id", "a-session"),
        ("x-ratelimit-limit-requests", "1000000"),
        ("x-ratelimit-remaining-requests", "1000000"),
        ("retry-after", "0"),
        ("x-should-retry", "true"),
        ("openai-organization", "acme"),
        ("x-stainless-retry-count", "1"),
        ("idempotency-key", "one"),
        ("x-request-id", "one"),
        ("x-weir-replica", "replica-9"),
        ("x-http-method-override", "GET"),
        ("transfer-encoding", "identity"),
    ] {
        all.push(told(name, value));
    }
    all
}

fn by_each_way_to_say_a_key() -> Vec<Case> {
    let queried = |key: &str| Raw::post(&format!("/v1/chat/completions?key={key}"), &chat("m"));
    let said = |value: String| Raw::chat("m").header("authorization", value);
    vec![
        case("plainly", Raw::chat("m").key(MALLORY)),
        case("by its other key", Raw::chat("m").key(MALLORYS_OTHER)),
        case("the key in capitals", Raw::chat("m").key(&MALLORY.to_uppercase())),
        case("the scheme in capitals", said(format!("BEARER {MALLORY}"))),
        case("spaces around the key", said(format!("Bearer   {MALLORY}  "))),
        case("as x-api-key", Raw::chat("m").header("x-api-key", MALLORY)),
        case("as api-key", Raw::chat("m").header("api-key", MALLORY)),
        case("as x-goog-api-key", Raw::chat("m").header("x-goog-api-key", MALLORY)),
        case("in the query", queried(MALLORY)),
        case("in the query, in escapes", queried(&MALLORY.replacen('s', "%73", 1))),
        case("both keys, one in the query", queried(MALLORYS_OTHER).key(MALLORY)),
        case("both keys, in two headers", Raw::chat("m").key(MALLORY).header("x-api-key", MALLORYS_OTHER)),
        case("both keys, in one header twice", Raw::chat("m").key(MALLORY).key(MALLORYS_OTHER)),
        case("a bad key first", Raw::chat("m").key("sk-nobodys").header("x-api-key", MALLORY)),
        case("a bad key, and its own in the query", queried(MALLORY).key("sk-nobodys")),
        case("no key", Raw::chat("m")),
        case("an empty key", said("Bearer ".to_owned())),
        case("the hash of its key", Raw::chat("m").key(&weir::auth::hash(MALLORY))),
    ]
}

fn by_each_way_to_call() -> Vec<Case> {
    let azure = "/openai/deployments/m/chat/completions?api-version=2024-10-21";
    let google = json!({
        "contents": [{ "parts": [{ "text": "hi" }] }], "generationConfig": { "maxOutputTokens": 4 },
    });
    let response = json!({ "model": "m", "input": "hi", "max_output_tokens": 4 });
    let (mut streamed, mut empty) = (chat("m"), chat("m"));
    streamed["stream"] = json!(true);
    empty["max_tokens"] = json!(1);
    empty["messages"] = json!([{ "role": "user", "content": "" }]);
    vec![
        case("by another name of the model", Raw::chat("other-name").key(MALLORY)),
        case("by Azure's path", Raw::post(azure, &chat("m")).header("api-key", MALLORY)),
        case("in Anthropic's dialect", Raw::post("/v1/messages", &chat("m")).header("x-api-key", MALLORY)),
        case(
            "in Google's dialect",
            Raw::post("/v1beta/models/m:generateContent", &google).header("x-goog-api-key", MALLORY),
        ),
        case("as a response", Raw::post("/v1/responses", &response).key(MALLORY)),
        case("streamed", Raw::post("/v1/chat/completions", &streamed).key(MALLORY)),
        case("of no tokens", Raw::post("/v1/chat/completions", &empty).key(MALLORY)),
    ]
}
