//! What restricts a key and its tenant, by the providers' logs: limits of the key, of the tenants above, tags, models.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use weir_tests::client::{Answer, Ask};
use weir_tests::provider::{Arrival, Upstream};
use weir_tests::site::{Plan, Site};

use super::{CONFIGURED, HASH, Key, QUICK, call, clients, everywhere, make, plan, start, tenant};
use crate::in_turn;

/// So many calls with each key at once, each by another replica than the one before.
async fn at_once(site: &Site, keys: &[&str], each: usize) -> Vec<Answer> {
    let mut calls = JoinSet::new();
    let clients: Vec<_> = clients(site).into_iter().map(std::sync::Arc::new).collect();
    for at in 0..each * keys.len() {
        let (client, key) = (clients[at % clients.len()].clone(), keys[at / each].to_owned());
        calls.spawn(async move { call(&client, &key).await });
    }
    calls.join_all().await
}

fn count(answers: &[Answer], status: u16) -> usize {
    answers.iter().filter(|answer| answer.status == status).count()
}

/// The most calls that a provider had at once.
fn most_at_once(arrivals: &[Arrival]) -> usize {
    let at = |time: u64| {
        let is_there = |one: &&Arrival| one.arrival_us <= time && one.end_us.is_none_or(|end| end > time);
        arrivals.iter().filter(is_there).count()
    };
    arrivals.iter().map(|one| at(one.arrival_us)).max().unwrap_or(0)
}

/// Keys that every replica knows.
async fn known<const N: usize>(site: &Site, wanted: [Value; N]) -> Result<[Key; N]> {
    let mut keys = Vec::new();
    for (at, wanted) in wanted.into_iter().enumerate() {
        keys.push(make(&site.replicas[at % site.replicas.len()], wanted).await?);
    }
    let clients = clients(site);
    for key in &keys {
        let known = |answer: &Answer| answer.status != 401;
        everywhere(&clients, &key.clear, std::time::Instant::now(), known).await?;
    }
    keys.try_into().map_err(|_| anyhow::anyhow!("as many keys as were wanted"))
}

/// Broken on purpose to see it fail: a key's pool left out of what a call draws on.
#[test]
fn a_keys_own_limits_hold_over_all_replicas_and_bind_no_other_key() -> Result<()> {
    in_turn(async {
        let site = start(plan("keys-limits"), &tenant()).await?;
        // (Three calls find out that all know it.)
        let [bound, free] =
            known(&site, [json!({ "tenant": "t", "limits": { "rpm": 23 } }), json!({ "tenant": "t" })])
                .await?;
        let before = site.providers[0].arrivals().await?.len();
        let answers = at_once(&site, &[&bound.clear], 60).await;
        ensure!((count(&answers, 200), count(&answers, 429)) == (20, 40), "{} served", count(&answers, 200));
        ensure!(site.providers[0].arrivals().await?.len() - before == 20, "not by the provider's log");
        for refused in answers.iter().filter(|answer| answer.status == 429) {
            ensure!(refused.retry_after.is_some(), "{refused:?}");
        }
        let served = answers.iter().find(|answer| answer.status == 200);
        let told = served.map(|answer| answer.header("x-ratelimit-limit-requests").to_owned());
        ensure!(told.as_deref() == Some("23"), "the client is told of its own limit: {told:?}");
        let others = at_once(&site, &[&free.clear, CONFIGURED], 30).await;
        ensure!(count(&others, 200) == 60, "others are not bound by it");
        Ok(())
    })
}

/// Broken on purpose to see it fail: a key's pool left out of what a call draws on.
#[test]
fn a_key_has_no_more_calls_at_once_than_it_may() -> Result<()> {
    in_turn(async {
        let slow = Upstream::new("a").behaving("--output 4 --latency 150ms --pace 0ms");
        let site = start(Plan { upstreams: vec![slow], ..plan("keys-concurrency") }, &tenant()).await?;
        let [key] = known(&site, [json!({ "tenant": "t", "limits": { "concurrency": 3 } })]).await?;
        let from = site.providers[0].arrivals().await?.len();
        for _ in 0..5 {
            let answers = at_once(&site, &[&key.clear], 12).await;
            ensure!(answers.iter().all(|answer| matches!(answer.status, 200 | 429)), "{answers:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let arrivals = site.providers[0].arrivals().await?.split_off(from);
        let most = most_at_once(&arrivals);
        ensure!(most == 3, "{most} at once");
        ensure!(arrivals.len() >= 10, "void: {} calls", arrivals.len());
        Ok(())
    })
}

/// Broken on purpose to see it fail: only a tenant's own pool drawn on.
#[test]
fn what_is_above_a_tenant_bounds_all_below_it_together() -> Result<()> {
    in_turn(async {
        let tenants = format!(
            "[[tenants]]\nname = \"org\"\nlimits = {{ rpm = 46 }}\n\
             [[tenants]]\nname = \"team-a\"\nparent = \"org\"\nkeys = [\"{HASH}\"]\n\
             [[tenants]]\nname = \"team-b\"\nparent = \"org\"\nlimits = {{ rpm = 1_000 }}\n\
             [[tenants]]\nname = \"app\"\nparent = \"team-b\"\nlimits = {{ rpm = 13 }}\n\
             [[tenants]]\nname = \"other\"\n"
        );
        let site = start(plan("keys-parents"), &tenants).await?;
        let wanted = ["team-b", "app"].map(|tenant| json!({ "tenant": tenant }));
        let [team, app] = known(&site, wanted).await?; // six calls of the org, three of the app
        let before = site.providers[0].arrivals().await?.len();
        let own = at_once(&site, &[&app.clear], 30).await;
        ensure!(count(&own, 200) == 10, "{} of the app", count(&own, 200));
        let all = at_once(&site, &[CONFIGURED, &team.clear], 40).await;
        ensure!(count(&all, 200) == 30, "{} of the teams", count(&all, 200));
        ensure!(site.providers[0].arrivals().await?.len() - before == 40, "not by the provider's log");
        let [other] = known(&site, [json!({ "tenant": "other" })]).await?;
        ensure!(count(&at_once(&site, &[&other.clear], 20).await, 200) == 20, "it is below nobody");
        Ok(())
    })
}

/// Broken on purpose to see it fail: the tags of a tenant and those above, and of a key, left out of what a call demands; a key's models
/// not looked at.
#[test]
fn keys_and_tenants_keep_to_their_models_and_to_deployments_with_their_tags() -> Result<()> {
    in_turn(async {
        let tagged = |name: &'static str, tags: &str| Upstream {
            deployment: format!("tags = {tags}\n"),
            ..Upstream::new(name).behaving(QUICK)
        };
        let upstreams = vec![
            tagged("eu-fast", "[\"eu\", \"fast\"]"),
            tagged("eu", "[\"eu\"]"),
            tagged("us", "[\"us\", \"fast\"]"),
        ];
        let tenants = "[[models]]\nname = \"n\"\ndeployments = [\"us\"]\n\
                       [[tenants]]\nname = \"europe\"\ntags = [\"eu\"]\n\
                       [[tenants]]\nname = \"team\"\nparent = \"europe\"\n\
                       [[tenants]]\nname = \"world\"\n";
        let defaults = "strategy = \"round-robin\"\n".to_owned();
        let site = start(Plan { upstreams, defaults, ..plan("keys-tags") }, tenants).await?;
        let [of_team, fast, worldly] = known(
            &site,
            [
                json!({ "tenant": "team" }),
                json!({ "tenant": "team", "tags": ["fast"] }),
                json!({ "tenant": "world", "models": ["m"] }),
            ],
        )
        .await?;
        let before = site.seen().await?;
        let served = at_once(&site, &[&of_team.clear], 30).await;
        ensure!(count(&served, 200) == 30, "{served:?}");
        let after = site.seen().await?;
        ensure!(
            after[2] == before[2] && after[0] > before[0] && after[1] > before[1],
            "{before:?} {after:?}"
        );
        let served = at_once(&site, &[&fast.clear], 30).await;
        ensure!(count(&served, 200) == 30, "{served:?}");
        let last = site.seen().await?;
        ensure!((last[0], last[1], last[2]) == (after[0] + 30, after[1], after[2]), "{after:?} {last:?}");
        let client = &clients(&site)[1];
        let nobody = client.call(&Ask::new("n").key(&of_team.clear)).await;
        ensure!(nobody.status == 400, "no deployment of that model has the tag: {nobody:?}");
        let header = client.call(&Ask::new("m").key(&of_team.clear).header("x-weir-tags", "us")).await;
        ensure!(header.status == 400, "what a call demands comes on top: {header:?}");
        let forbidden = client.call(&Ask::new("n").key(&worldly.clear)).await;
        ensure!(forbidden.status == 403, "{forbidden:?}");
        Ok(())
    })
}
