//! What is acme's to know: its limits and what is left of them, what it has used, its models, that there is such a tenant at all.

use anyhow::{Context, Result, ensure};
use serde_json::json;
use weir_tests::client::Ask;
use weir_tests::provider::Upstream;

use super::wire::{Raw, Said, chat};
use super::{ACME, Case, MALLORY, QUICK, at_each, case, must_not_tell, start, tenants};
use crate::in_turn;

/// What mallory may do in a minute.
const OWN: u64 = 2_000;
/// What must not be read: names of the other tenant and of what is its alone, its limits, its key and the hash of that.
const MARKS: [&str; 9] = [
    "acme",
    "acme-only",
    "acme-own",
    "77777",
    "8888888",
    "5f2d8c0b7e914a36",
    "sk-up-",
    "127.0.0.1",
    "operators-token",
];

#[test]
fn nothing_of_anothers_limits_use_or_names_is_read() -> Result<()> {
    in_turn(async {
        let full = Upstream { rpm: Some(6), ..Upstream::new("full").behaving(QUICK) };
        let upstreams =
            vec![Upstream::new("shared").behaving(QUICK), Upstream::new("acme-own").behaving(QUICK), full];
        let models = "[[models]]\nname = \"m\"\ndeployments = [\"shared\"]\n\
                      [[models]]\nname = \"acme-only\"\ndeployments = [\"acme-own\"]\n\
                      [[models]]\nname = \"full\"\ndeployments = [\"full\"]\n";
        let limits = format!("models = [\"m\", \"full\"]\nlimits = {{ rpm = {OWN}, tpm = 500_000 }}");
        let tenants = tenants("limits = { rpm = 77777, tpm = 8888888 }", &limits);
        let site = start("hostile-reads", upstreams, format!("{models}{tenants}")).await?;
        // What acme does, and all of a limit that both could use.
        for at in 0..60 {
            let client = site.replicas[at % 3].client();
            let model = ["m", "acme-only", "full"][at % 3];
            client.call(&Ask::new(model).max_tokens(4).key(ACME).session(format!("acme-session-{at}"))).await;
        }
        let mut own = 0;
        for case in cases() {
            at_each(&site, &case, |said| {
                own += 1;
                must_not_tell(&MARKS, &case.sends, said)?;
                of_its_own(said, own)
            })
            .await?;
        }
        let answer = site.replicas[0].client().call(&Ask::new("m").max_tokens(4).key(ACME)).await;
        let limit = answer.header("x-ratelimit-limit-requests");
        ensure!(limit == "77777", "void: what must not leak is {limit:?}, and not looked for");
        let left: u64 =
            answer.header("x-ratelimit-remaining-requests").parse().context("acme is told of no limit")?;
        ensure!(
            left >= 77_777 - 61,
            "{left} are left to acme, who made 61 calls: others used what is its own"
        );
        Ok(())
    })
}

/// What is told of limits is mallory's own, of which at most its own calls are gone.
fn of_its_own(said: &Said, calls: u64) -> Result<()> {
    let limit = said.header("x-ratelimit-limit-requests");
    if limit.is_empty() {
        return Ok(());
    }
    ensure!(limit == OWN.to_string(), "the limit of somebody else: {limit}");
    let left: u64 = said.header("x-ratelimit-remaining-requests").parse().context("no number is left")?;
    ensure!(left + calls >= OWN, "{left} of {OWN} are left after {calls} calls: what others use shows");
    Ok(())
}

fn cases() -> Vec<Case> {
    let explained = |raw: Raw| raw.key(MALLORY).header("x-weir-explain", "1");
    let mut all = vec![
        case("a call, explained", explained(Raw::chat("m"))),
        case("a model whose provider's limit acme has used up, explained", explained(Raw::chat("full"))),
        case("a model that only acme may use, explained", explained(Raw::chat("acme-only"))),
        case("no such model, explained", explained(Raw::chat("m2"))),
        case(
            "more than a whole limit",
            explained(Raw::post("/v1/chat/completions", &{
                let mut body = chat("m");
                body["max_tokens"] = json!(600_000);
                body
            })),
        ),
        case("a tag that nothing has", explained(Raw::chat("m")).header("x-weir-tags", "only-theirs")),
        case("no JSON", explained(Raw::post("/v1/chat/completions", &json!("x")))),
        case("no key", Raw::chat("m")),
        case("a key that is nobody's", Raw::chat("m").key("sk-nobodys")),
        case(
            "a key of the form of those that are made",
            Raw::chat("m").key(&format!("sk-weir-{}", "0".repeat(64))),
        ),
        case("the list of models", Raw::get("/v1/models").key(MALLORY)),
        case(
            "the same for Anthropic's clients",
            Raw::get("/v1/models").key(MALLORY).header("anthropic-version", "2023-06-01"),
        ),
        case("the same for Google's", Raw::get("/v1beta/models").header("x-goog-api-key", MALLORY)),
        case("a model that only acme may use", Raw::get("/v1/models/acme-only").key(MALLORY)),
        case("a model by a wildcard", Raw::get("/v1/models/*").key(MALLORY)),
        case(
            "in Anthropic's dialect",
            Raw::post("/v1/messages", &chat("m")).header("x-api-key", MALLORY).header("x-weir-explain", "1"),
        ),
        case(
            "in Google's",
            explained(Raw::post(
                "/v1beta/models/m:generateContent",
                &json!({ "contents": [{ "parts": [{ "text": "hi" }] }], "generationConfig": { "maxOutputTokens": 4 } }),
            )),
        ),
        case("a wrong method", Raw::new("PUT", "/v1/chat/completions").key(MALLORY)),
    ];
    // Pages that other gateways and the providers have, and ours where they are not.
    for page in [
        "/v1/usage",
        "/v1/organization/costs",
        "/v1/organization/usage/completions",
        "/dashboard/billing/usage",
        "/usage?tenant=acme",
        "/v1/limits",
        "/v1/organizations",
        "/key/info",
        "/spend/logs",
        "/model/info",
        "/metrics",
        "/admin/v1/costs?by=tenant",
        "/admin/v1/keys?tenant=acme",
        "/v1/models?tenant=acme&key=",
        "/v1/chat/completions?tenant=acme",
    ] {
        all.push(case(format!("the page {page}"), Raw::get(page).key(MALLORY)));
    }
    // Who says that he is somebody else.
    for (name, value) in [
        ("x-weir-tenant", "acme"),
        ("x-weir-key", "acme"),
        ("x-tenant-id", "acme"),
        ("x-user-id", "acme"),
        ("x-forwarded-user", "acme"),
        ("openai-organization", "acme"),
        ("openai-project", "acme"),
        ("x-litellm-team-id", "acme"),
        ("x-consumer-username", "acme"),
        ("x-weir-replica", "acme"),
        ("x-forwarded-for", "10.0.0.1"),
        ("x-real-ip", "10.0.0.1"),
        ("cookie", "tenant=acme"),
    ] {
        all.push(case(format!("a call with {name}: {value}"), explained(Raw::chat("m")).header(name, value)));
    }
    for member in ["user", "safety_identifier", "tenant", "organization"] {
        let mut body = chat("m");
        body[member] = json!("acme");
        all.push(case(
            format!("a call whose {member} is acme"),
            explained(Raw::post("/v1/chat/completions", &body)),
        ));
    }
    all
}
