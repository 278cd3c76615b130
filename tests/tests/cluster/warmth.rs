//! Conversations whose clients name no session in a header: the request's own members name it, or how the prompt begins; and
//! where sessions go that cannot stay. The providers' logs show who got what: each conversation is told by its length.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use weir_tests::client::{Answer, Ask};
use weir_tests::provider::Upstream;
use weir_tests::site::{Plan, Site};

use crate::in_turn;

const CONVERSATIONS: usize = 12;
const TURNS: usize = 4;
/// Words of the first conversation's first message, and how many more each further one has: no turn adds as many.
const WORDS: usize = 1_400;
const MORE_WORDS: usize = 100;

/// A strategy that sends calls to all in turn unless something holds them (seven in a round: a replica sees four conversations a
/// turn); and deployments of two models at three accounts.
const MODELS: &str = r#"
[[models]]
name = "begins"
strategy = "weighted"
affinity = { fields = false, prefix = true }
deployments = [{ name = "a", weight = 3 }, { name = "b", weight = 2 }, { name = "c", weight = 2 }]
[[models]]
name = "named"
strategy = "weighted"
affinity = { fields = ["prompt_cache_key", "user"] }
deployments = [{ name = "a", weight = 3 }, { name = "b", weight = 2 }, { name = "c", weight = 2 }]
[[models]]
name = "unasked"
strategy = "weighted"
deployments = [{ name = "a", weight = 3 }, { name = "b", weight = 2 }, { name = "c", weight = 2 }]
[[deployments]]
name = "one"
account = "a"
model = "x"
[[deployments]]
name = "other"
account = "b"
model = "y"
[[deployments]]
name = "alike"
account = "c"
model = "x"
[[models]]
name = "kin"
strategy = "weighted"
deployments = [{ name = "one", weight = 100 }, { name = "other", weight = 10 }, { name = "alike", weight = 0.1 }]
"#;

/// Broken on purpose to see it fail: no beginnings (`Call::beginning`); no members (`Call::session`); sessions without kin.
#[test]
fn conversations_stay_where_they_are_warm_though_no_header_names_them() -> Result<()> {
    in_turn(async {
        let upstream = |name| {
            let quick = Upstream::new(name).behaving("--output 2 --latency 2ms");
            Upstream { rpm: Some(1_000_000), ..quick }
        };
        let plan = Plan::new("warmth", vec![upstream("a"), upstream("b"), upstream("c")]);
        let site = Site::start(Plan { models: Some(MODELS.to_owned()), ..plan }).await?;
        let nothing = |_: usize| Vec::new();
        by_the_logs(&site, "begins", true, nothing).await?;
        by_the_logs(&site, "named", true, |conversation| vec![("user", json!(format!("u{conversation}")))])
            .await?;
        let key = |conversation| ("prompt_cache_key", json!(format!("k{conversation}")));
        by_the_logs(&site, "unasked", true, |conversation| vec![key(conversation)]).await?;
        // Whose name says too little by itself, or who says nothing, is held by nothing.
        by_the_logs(&site, "unasked", false, |_| vec![("user", json!("all"))]).await?;
        what_answers_say(&site).await?;
        a_session_that_cannot_stay_goes_to_the_same_model(&site).await
    })
}

/// All turns of conversations, each at another replica; by the providers' logs each was
/// held at one of them, or not.
async fn by_the_logs(
    site: &Site,
    model: &str,
    held: bool,
    members: impl Fn(usize) -> Vec<(&'static str, Value)>,
) -> Result<()> {
    let before = lengths(site).await?;
    for turn in 0..TURNS {
        for conversation in 0..CONVERSATIONS {
            let mut ask = Ask::new(model).member("messages", json!(messages(conversation, turn)));
            for (name, value) in members(conversation) {
                ask = ask.member(name, value);
            }
            let replica = &site.replicas[(conversation + turn) % site.replicas.len()];
            let answer = replica.client.call(&ask).await;
            ensure!(answer.is_good(false), "{model}, {conversation}, turn {turn}: {answer:?}");
        }
    }
    let mut seen: BTreeMap<u64, BTreeSet<usize>> = BTreeMap::new();
    let mut shortest = u64::MAX;
    let after = lengths(site).await?;
    let new = |at: usize| after[at][before[at].len()..].iter();
    for provider in 0..after.len() {
        shortest = new(provider).copied().min().unwrap_or(u64::MAX).min(shortest);
    }
    for provider in 0..after.len() {
        for length in new(provider) {
            // The provider counts five tokens for four words.
            seen.entry((length - shortest) / (MORE_WORDS as u64 * 5 / 4)).or_default().insert(provider);
        }
    }
    println!("{model}: {seen:?}");
    ensure!(seen.len() == CONVERSATIONS, "{model}: conversations cannot be told apart: {seen:?}");
    let moved = seen.values().filter(|providers| providers.len() > 1).count();
    ensure!(if held { moved == 0 } else { 2 * moved > CONVERSATIONS }, "{model}: {moved} moved: {seen:?}");
    let used: BTreeSet<&usize> = seen.values().flatten().collect();
    ensure!(used.len() > 1, "{model}: all conversations at {used:?}");
    Ok(())
}

fn messages(conversation: usize, turns: usize) -> Vec<Value> {
    let first = "word ".repeat(WORDS + MORE_WORDS * conversation);
    let mut messages = vec![
        json!({ "role": "system", "content": "You are terse." }),
        json!({ "role": "user", "content": format!("{conversation} {first}") }),
    ];
    for _ in 0..turns {
        messages.push(json!({ "role": "assistant", "content": "word word" }));
        messages.push(json!({ "role": "user", "content": "word word word" }));
    }
    messages
}

/// The input of every call that each provider has seen, tokens.
async fn lengths(site: &Site) -> Result<Vec<Vec<u64>>> {
    let mut all = Vec::new();
    for provider in &site.providers {
        all.push(provider.arrivals().await?.iter().map(|arrival| arrival.prompt_tokens).collect());
    }
    Ok(all)
}

/// The header goes before a member; a call of which nothing says whose it is has no session.
async fn what_answers_say(site: &Site) -> Result<()> {
    let ask = || Ask::new("named").member("prompt_cache_key", json!("said"));
    let call = async |at: usize, ask: Ask| site.replicas[at].client.call(&ask).await;
    ensure!(call(0, ask()).await.session == "new");
    ensure!(call(1, ask()).await.session == "hit", "another replica");
    ensure!(call(2, ask().session("said".to_owned())).await.session == "new", "the same word in a header");
    let user = Ask::new("named").member("user", json!("said"));
    ensure!(call(0, user).await.session == "new", "and in another member");
    ensure!(call(0, Ask::new("named")).await.session.is_empty());
    ensure!(call(0, Ask::new("begins").member("prompt_cache_key", json!("said"))).await.session.is_empty());
    Ok(())
}

/// The account of one deployment rests: its sessions go to the deployment of the same model, though it has hardly any weight.
async fn a_session_that_cannot_stay_goes_to_the_same_model(site: &Site) -> Result<()> {
    let turn = async |session: usize, at: usize| -> Answer {
        let ask = Ask::new("kin").session(format!("kin-{session}"));
        site.replicas[(session + at) % site.replicas.len()].client.call(&ask).await
    };
    let mut at_one = Vec::new();
    for session in 0..20 {
        let answer = turn(session, 0).await;
        ensure!(answer.is_good(false), "{answer:?}");
        at_one.extend((answer.deployment == "one").then_some(session));
    }
    ensure!(at_one.len() >= 15, "{at_one:?}");
    let rests = site.providers.first().context("a provider")?;
    rests.fail(&["status=429,retry-after=20"]).await?;
    for round in 1..3 {
        for session in &at_one {
            let answer = turn(*session, round).await;
            ensure!(answer.is_good(false) && answer.deployment == "alike", "{session}: {answer:?}");
            ensure!(answer.session == if round == 1 { "moved" } else { "hit" }, "{session}: {answer:?}");
        }
    }
    rests.fail(&[]).await
}
