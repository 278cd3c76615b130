//! Prompts: what a provider keeps of acme is neither read, nor deleted, nor gone on with by mallory, though both use one account.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use weir_tests::client::Ask;
use weir_tests::provider::Upstream;

use super::listeners::{Arrived, Keeper, Mood};
use super::wire::Raw;
use super::{ACME, Case, MALLORY, QUICK, at_each, case, must_not_tell, start, tenants};
use crate::in_turn;

const PROMPT: &str = "the secret recipe of acme";

#[test]
fn what_is_kept_for_one_tenant_is_not_anothers_to_read_or_delete() -> Result<()> {
    in_turn(async {
        let keeper = Keeper::start().await?;
        let models = "[[models]]\nname = \"m\"\ndeployments = [\"a\"]\n";
        let text = format!("{models}{}{}", keeper.config(), tenants("", ""));
        let site = start("hostile-kept", vec![Upstream::new("a").behaving(QUICK)], text).await?;
        let made =
            Raw::post("/v1/responses", &json!({ "model": "kept", "input": PROMPT, "store": true })).key(ACME);
        let said = made.to(site.replicas[0].addr()).await?;
        let id = id_of(&said.text).with_context(|| format!("no response was made: {}", said.text))?;
        ensure!(keeper.keeps(&id), "void: the provider does not keep {id}");
        let read = Raw::get(&format!("/v1/responses/{id}")).key(ACME);
        for replica in &site.replicas {
            let said = read.to(replica.addr()).await?;
            ensure!(
                said.status == 200 && said.text.contains(PROMPT),
                "void: acme cannot read it either: {}",
                said.text
            );
        }
        let talk = in_conversation(ACME);
        let said = talk.to(site.replicas[0].addr()).await?;
        ensure!(said.status == 200, "void: acme has no conversation: {}", said.text);
        let before = keeper.log().len();
        for case in cases(&id).into_iter().chain(of_the_conversation()) {
            at_each(&site, &case, |said| {
                must_not_tell(&[PROMPT], &case.sends, said)?;
                let reached: Vec<Arrived> = keeper.log().split_off(before);
                ensure!(reached.is_empty(), "it came to the provider: {reached:?}");
                ensure!((400..500).contains(&said.status), "answered {}: {}", said.status, said.text);
                Ok(())
            })
            .await?;
        }
        ensure!(keeper.keeps(&id), "it was deleted");
        let said = read.to(site.replicas[1].addr()).await?;
        ensure!(
            said.status == 200 && said.text.contains(PROMPT),
            "acme cannot read it any more: {}",
            said.text
        );
        let said = talk.to(site.replicas[2].addr()).await?;
        ensure!(said.status == 200, "acme cannot go on with its conversation: {}", said.text);
        // That these paths are not shut for everybody: mallory's own.
        let own = made_by_mallory(&site.replicas[2].client, &keeper).await?;
        let said = Raw::get(&format!("/v1/responses/{own}")).key(MALLORY).to(site.replicas[0].addr()).await?;
        ensure!(said.status == 200, "mallory cannot read its own: {}", said.text);
        Ok(())
    })
}

const CONVERSATION: &str = "conv_6f1d0c2b";

fn in_conversation(key: &str) -> Raw {
    Raw::post("/v1/responses", &json!({ "model": "kept", "input": PROMPT, "conversation": CONVERSATION }))
        .key(key)
}

/// (It was made at the provider: acme has gone on with it.)
fn of_the_conversation() -> Vec<Case> {
    let asked = |change: fn(&mut Value)| {
        let mut body = json!({ "model": "kept", "input": "say it again", "conversation": CONVERSATION });
        change(&mut body);
        Raw::post("/v1/responses", &body).key(MALLORY)
    };
    vec![
        case("acme's conversation", asked(|_| ())),
        case("the same by an object", asked(|body| body["conversation"] = json!({ "id": CONVERSATION }))),
        case("the same, streamed", asked(|body| body["stream"] = json!(true))),
        case("the same, not to be kept", asked(|body| body["store"] = json!(false))),
        case(
            "the same, as if it were acme",
            asked(|body| body["user"] = json!("acme")).header("x-weir-tenant", "acme"),
        ),
    ]
}

/// Two who begin at once, at different replicas: one gets in. So it is to the provider: of the other nothing comes there, then or later.
/// Broken on purpose to see it fail: nothing claimed before the call is sent, whose it is told with the answer alone.
#[test]
fn of_two_who_begin_a_conversation_at_once_one_is_in_it() -> Result<()> {
    in_turn(async {
        let keeper = Keeper::start().await?;
        let text = format!("{}{}", keeper.config(), tenants("", ""));
        let site = start("hostile-conversations", vec![Upstream::new("a").behaving(QUICK)], text).await?;
        let in_it = |key: &str, round: usize| {
            let body = json!({ "model": "kept", "input": key, "conversation": format!("conv_of_{round}") });
            Raw::post("/v1/responses", &body).key(key)
        };
        let (mut firsts, mut closest) = ([0, 0], 0);
        for round in 0..40 {
            let before = keeper.log().len();
            let (one, other) = (round % 3, (round + 1 + round / 3 % 2) % 3);
            let (acme, mallory) = (in_it(ACME, round), in_it(MALLORY, round));
            let (acme_said, mallory_said) = tokio::try_join!(
                acme.to(site.replicas[one].addr()),
                mallory.to(site.replicas[other].addr())
            )?;
            let statuses = [acme_said.status, mallory_said.status];
            let first = statuses.iter().position(|status| *status == 200).context("neither is served")?;
            let refused = statuses[1 - first];
            ensure!((400..500).contains(&refused), "round {round}: {statuses:?}, in the same conversation");
            // The loser was refused by a claim, not by what the winner had kept: they were there at the same time.
            closest += usize::from([&acme_said, &mallory_said][1 - first].text.contains("not found"));
            firsts[first] += 1;
            for replica in &site.replicas {
                let said = in_it([MALLORY, ACME][first], round).to(replica.addr()).await?;
                ensure!((400..500).contains(&said.status), "round {round}: in it later, {}", said.status);
            }
            let reached: Vec<Arrived> = keeper.log().split_off(before);
            let theirs = |arrived: &Arrived| arrived.body.contains([ACME, MALLORY][first]);
            ensure!(reached.len() == 1 && reached.iter().all(theirs), "round {round}: {reached:?}");
        }
        println!("first: acme {}, mallory {}; {closest} refused as not found", firsts[0], firsts[1]);
        Ok(())
    })
}

/// Whoever leaves before his answer has come was in the conversation all the same: the provider has read it.
/// Broken on purpose to see it fail: nothing claimed before the call is sent.
#[test]
fn a_conversation_stays_whose_client_left_before_the_answer() -> Result<()> {
    in_turn(async {
        let keeper = Keeper::start().await?;
        let text = format!("{}{}", keeper.config(), tenants("", ""));
        let site = start("hostile-left", vec![Upstream::new("a").behaving(QUICK)], text).await?;
        keeper.turn(Mood::Dawdles);
        let asking = in_conversation(ACME);
        let leaving = asking.to(site.replicas[0].addr());
        tokio::select! {
            said = leaving => anyhow::bail!("void: answered {}", said?.status),
            () = keeper.heard(1) => {}
        }
        keeper.turn(Mood::Keeps);
        for case in of_the_conversation() {
            at_each(&site, &case, |said| {
                ensure!((400..500).contains(&said.status), "answered {}: {}", said.status, said.text);
                Ok(())
            })
            .await?;
        }
        ensure!(keeper.log().len() == 1, "it came to the provider");
        let said = in_conversation(ACME).to(site.replicas[1].addr()).await?;
        ensure!(said.status == 200, "acme cannot go on with it: {}", said.text);
        Ok(())
    })
}

/// What a tenant runs must end though it may run no more: these requests wait for limits of requests, and for no others.
/// Broken on purpose to see it fail: room asked for as for a call.
#[test]
fn what_runs_is_ended_by_who_may_run_no_more() -> Result<()> {
    in_turn(async {
        let keeper = Keeper::start().await?;
        let limits = "limits = { concurrency = 1, rpm = 1000, tpm = 1000 }";
        let text = format!("{}{}", keeper.config(), tenants(limits, ""));
        let site = start("hostile-ended", vec![Upstream::new("a").behaving(QUICK)], text).await?;
        let said = Raw::post("/v1/responses", &json!({ "model": "kept", "input": PROMPT, "store": true }))
            .key(ACME)
            .to(site.replicas[0].addr())
            .await?;
        let id = id_of(&said.text).with_context(|| format!("no response was made: {}", said.text))?;
        keeper.turn(Mood::Dawdles);
        let asking = in_conversation(ACME);
        let running = async {
            loop {
                let said = asking.to(site.replicas[0].addr()).await?;
                ensure!(said.status == 429, "void: answered {}", said.status); // what was made runs until that is told
            }
        };
        let mut running = std::pin::pin!(running);
        tokio::select! {
            ended = &mut running => return ended,
            () = keeper.heard(2) => {}
        }
        keeper.turn(Mood::Keeps);
        let second = in_conversation(ACME).to(site.replicas[1].addr()).await?;
        ensure!(second.status == 429, "void: it may run more: {}", second.text);
        for (method, part) in [("GET", ""), ("GET", "/input_items"), ("POST", "/cancel"), ("DELETE", "")] {
            let request = Raw::new(method, &format!("/v1/responses/{id}{part}")).key(ACME);
            let said = request.to(site.replicas[1].addr()).await?;
            ensure!(said.status == 200, "{method}{part}: {}", said.text);
        }
        Ok(())
    })
}

async fn made_by_mallory(client: &weir_tests::client::Client, keeper: &Keeper) -> Result<String> {
    let made = Raw::post("/v1/responses", &json!({ "model": "kept", "input": "mine" })).key(MALLORY);
    let said = made.to(client.addr()).await?;
    let id = id_of(&said.text).with_context(|| format!("mallory makes no response: {}", said.text))?;
    ensure!(keeper.keeps(&id));
    let own = json!({ "model": "kept", "input": "mine", "conversation": "conv_of_mallory" });
    let said = Raw::post("/v1/responses", &own).key(MALLORY).to(client.addr()).await?;
    ensure!(said.status == 200, "mallory cannot go on with a conversation of nobody: {}", said.text);
    // A chat goes on working for both: nothing here was about the keys.
    let answer = client.call(&Ask::new("m").max_tokens(4).key(MALLORY)).await;
    ensure!(answer.is_good(false), "{answer:?}");
    Ok(id)
}

fn id_of(text: &str) -> Option<String> {
    let (_, body) = text.split_once("\r\n\r\n")?;
    let start = body.find('{')?;
    let end = body.rfind('}')?;
    let body: Value = serde_json::from_str(&body[start..=end]).ok()?;
    body["id"].as_str().map(str::to_owned)
}

fn cases(id: &str) -> Vec<Case> {
    let at = |path: &str| path.replace("ID", id);
    let mut all = Vec::new();
    for (method, path) in [
        ("GET", "/v1/responses/ID"),
        ("GET", "/openai/v1/responses/ID"),
        ("GET", "/openai/responses/ID?api-version=2025-04-01-preview"),
        ("GET", "/v1/responses/ID?stream=true"),
        ("GET", "/v1/responses/ID?include=message.input_image.image_url"),
        ("GET", "/v1/responses/ID/input_items"),
        ("GET", "/v1/responses/ID/input_items?limit=100&tenant=acme"),
        ("POST", "/v1/responses/ID/cancel"),
        ("DELETE", "/v1/responses/ID"),
        ("DELETE", "/openai/v1/responses/ID"),
        ("GET", "/v1/responses/ID/"),
        ("GET", "/v1//responses/ID"),
        ("GET", "/v1/responses/./ID"),
        ("GET", "/v1/responses/x/../ID"),
        ("GET", "/v1/responses/x%2F..%2FID"),
        ("GET", "/v1/responses/%2E%2E/responses/ID"),
        ("GET", "/v1/responses?id=ID"),
        ("GET", "/v1/responses"),
        ("GET", "/v1/responses/ID%00"),
        ("GET", "/v1/responses/ID%3Fx"),
        ("GET", "/v1/conversations/ID"),
    ] {
        all.push(case(format!("{method} {path}"), Raw::new(method, &at(path)).key(MALLORY)));
    }
    let encoded = id.replacen('r', "%72", 1);
    all.push(case("the id in escapes", Raw::get(&format!("/v1/responses/{encoded}")).key(MALLORY)));
    let read = || Raw::get(&at("/v1/responses/ID"));
    all.push(case("as if it were acme", read().key(MALLORY).header("x-weir-tenant", "acme")));
    all.push(case("acme's name as the key", read().key("acme")));
    all.push(case("without a key", read()));
    all.push(case(
        "the key in the query, and a tenant",
        Raw::get(&format!("{}?key={MALLORY}&tenant=acme", at("/v1/responses/ID"))),
    ));
    let goes_on = |body: Value| Raw::post("/v1/responses", &body).key(MALLORY);
    let mut further =
        json!({ "model": "kept", "input": "say all of the above again", "previous_response_id": id });
    all.push(case("going on with it", goes_on(further.clone())));
    further["stream"] = json!(true);
    all.push(case("going on with it, streamed", goes_on(further.clone())));
    further["background"] = json!(true);
    all.push(case("going on with it in the background", goes_on(further)));
    all.push(case(
        "its id named twice",
        goes_on(json!({})).with_body(format!(
            r#"{{"model":"kept","input":"x","previous_response_id":null,"previous_response_id":"{id}"}}"#
        )),
    ));
    all.push(case(
        "its id in escapes",
        goes_on(json!({})).with_body(format!(
            r#"{{"model":"kept","input":"x","previous_response_id":"\u0072{}"}}"#,
            &id[1..]
        )),
    ));
    all
}
