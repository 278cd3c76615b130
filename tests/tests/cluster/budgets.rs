//! Budgets at three replicas: what providers billed is reckoned from their own logs.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use sha2::{Digest, Sha256};
use weir_tests::client::{Answer, Ask, Client};
use weir_tests::provider::{Provider, Upstream};
use weir_tests::site::{Plan, Site};

use crate::in_turn;

const BEHAVIOUR: &str = "--output 4..32 --latency 20ms --pace 1ms --jitter 0.5";
/// US dollars per million tokens.
const PRICE: (f64, f64) = (10.0, 30.0);
/// More than any call here costs, US dollars.
const ONE_CALL: f64 = 0.002;
const DAY: u64 = 86_400;

fn provider(name: &'static str) -> Upstream {
    Upstream::new(name).behaving(BEHAVIOUR).priced(PRICE.0, PRICE.1)
}

fn tenant(name: &str, budgets: &str) -> String {
    let key = hex::encode(Sha256::digest(name));
    format!("[[tenants]]\nname = \"{name}\"\nkeys = [\"sha256:{key}\"]\nbudgets = [{budgets}]\n")
}

fn ask(tenant: &str) -> Ask {
    Ask::new("m").max_tokens(32).header("authorization", format!("Bearer {tenant}"))
}

/// What a provider bills for the calls that came before `until`, Unix microseconds; US dollars.
async fn billed(provider: &Provider, until: u64) -> Result<f64> {
    let arrivals = provider.arrivals().await?;
    let served = arrivals.iter().filter(|one| one.status == 200 && one.arrival_us < until);
    Ok(served
        .map(|one| (one.prompt_tokens as f64 * PRICE.0 + one.output_tokens as f64 * PRICE.1) / 1e6)
        .sum())
}

/// So many clients, each calling one time after the other until it has been refused `refusals` times.
async fn spend(client: &Arc<Client>, clients: usize, refusals: usize, ask: Ask) -> Result<Vec<Answer>> {
    let mut tasks = Vec::new();
    for at in 0..clients {
        let (client, ask) = (client.clone(), ask.clone().streamed(at % 2 == 0));
        tasks.push(tokio::spawn(async move {
            let mut answers: Vec<Answer> = Vec::new();
            while answers.iter().filter(|answer| answer.status != 200).count() < refusals {
                answers.push(client.call(&ask).await);
                if answers.last().is_some_and(|answer| answer.status != 200) {
                    tokio::time::sleep(Duration::from_millis(300)).await; // what others hold may be free by then
                }
            }
            answers
        }));
    }
    let mut all = Vec::new();
    for task in tasks {
        all.extend(task.await?);
    }
    Ok(all)
}

fn code(answer: &Answer) -> Result<String> {
    let body: Value = serde_json::from_slice(&answer.body)?;
    Ok(body["error"]["code"].as_str().context("an error without a code")?.to_owned())
}

/// Seconds from now to midnight, UTC.
fn to_midnight(ahead: u64) -> Result<u64> {
    Ok(DAY - (SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() + ahead) % DAY)
}

/// Refused for good: the budget is spent.
fn is_spent(answer: &Answer) -> Result<()> {
    ensure!(answer.status == 429 && code(answer)? == "insufficient_quota", "{answer:?}");
    ensure!(answer.header("x-should-retry") == "false", "{answer:?}");
    let (wait, left) = (answer.retry_after.context("no retry-after")?, to_midnight(0)?);
    ensure!(wait.abs_diff(left) <= 2, "{wait} s to wait, {left} s to midnight");
    Ok(())
}

/// Broken on purpose to see it fail: a budget that holds nothing, posts only; a price that is not known when it is settled.
#[test]
fn fifty_spend_at_once_and_no_more_than_there_is() -> Result<()> {
    in_turn(async {
        let tenants = tenant("t", "{ usd = 0.05, per = \"day\" }, { usd = 100.0, per = \"month\" }");
        let models = Some(format!("[[models]]\nname = \"m\"\ndeployments = [\"p\"]\n{tenants}"));
        let mut site =
            Site::start(Plan { models, ..Plan::new("budgets-fifty", vec![provider("p")]) }).await?;
        let answers = spend(&site.client, 50, 4, ask("t")).await?;
        let odd = answers.iter().find(|answer| !(answer.is_good(answer.streamed) || answer.status == 429));
        ensure!(odd.is_none(), "{odd:?}");
        let cost = billed(&site.providers[0], u64::MAX).await?;
        println!("budgets-fifty: {} calls, {cost:.6} of 0.05 US dollars", answers.len());
        ensure!(cost <= 0.05 + ONE_CALL, "{cost} of 0.05");
        ensure!(cost > 0.05 - 2.0 * ONE_CALL, "{cost} of 0.05: much is left");
        for replica in &site.replicas {
            let client = Client::new(replica.addr());
            let mut left = client.call(&ask("t")).await;
            while left.status == 200 {
                left = client.call(&ask("t")).await; // small calls may still fit
            }
            is_spent(&left)?;
        }
        // What was spent stays so, whoever serves.
        for replica in &mut site.replicas {
            replica.kill()?;
        }
        for replica in &mut site.replicas {
            replica.replace().await?;
        }
        let again = spend(&site.client, 10, 2, ask("t")).await?;
        let cost = billed(&site.providers[0], u64::MAX).await?;
        ensure!(cost <= 0.05 + ONE_CALL, "{cost} of 0.05 after a restart of all, {} calls", again.len());
        Ok(())
    })
}

/// Broken on purpose to see it fail: the account's budget not drawn on.
#[test]
fn an_account_that_has_spent_its_budget_is_no_candidate() -> Result<()> {
    in_turn(async {
        let mut first = provider("first");
        first.account = "budgets = [{ usd = 0.01, per = \"day\" }]\n".to_owned();
        let models = Some(
            "[[models]]\nname = \"m\"\ndeployments = [{ name = \"first\", priority = 0 }, \
             { name = \"second\", priority = 1 }]\n"
                .to_owned(),
        );
        let plan = Plan { models, ..Plan::new("budgets-account", vec![first, provider("second")]) };
        let site = Site::start(plan).await?;
        let answers = site.load(60.0, Duration::from_secs(4)).finish().await;
        weir_tests::load::all_served(&answers)?;
        let [first, second] = [&site.providers[0], &site.providers[1]];
        let (cost, rest) = (billed(first, u64::MAX).await?, second.arrivals().await?.len());
        println!("budgets-account: {cost:.6} of 0.01 US dollars, then {rest} calls elsewhere");
        ensure!(cost <= 0.01 + ONE_CALL && cost > 0.01 - 2.0 * ONE_CALL, "{cost} of 0.01");
        ensure!(rest > answers.len() / 2, "{rest} of {} calls went on", answers.len());
        Ok(())
    })
}

/// Broken on purpose to see it fail: a budget with the same key in every period.
#[test]
fn a_budget_begins_anew_at_midnight() -> Result<()> {
    in_turn(async {
        let tenants = tenant("t", "{ usd = 0.01, per = \"day\" }");
        let models = Some(format!("[[models]]\nname = \"m\"\ndeployments = [\"p\"]\n{tenants}"));
        // The replicas' clocks are so far ahead that their day ends soon.
        let ahead = to_midnight(0)?.saturating_sub(12);
        let environment = [
            ("LD_PRELOAD", "/usr/$LIB/faketime/libfaketime.so.1".to_owned()),
            ("FAKETIME", format!("+{ahead}s")),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value)).to_vec();
        let plan = Plan { models, environment, ..Plan::new("budgets-midnight", vec![provider("p")]) };
        let site = Site::start(plan).await?;
        spend(&site.client, 10, 2, ask("t")).await?;
        let left = to_midnight(ahead)?;
        ensure!(left <= 12, "the day has ended while it was spent: {left} s");
        let first = billed(&site.providers[0], u64::MAX).await?;
        tokio::time::sleep(Duration::from_secs(left + 1)).await;
        spend(&site.client, 10, 2, ask("t")).await?;
        let both = billed(&site.providers[0], u64::MAX).await?;
        println!("budgets-midnight: {first:.6} and {:.6} of 0.01 US dollars", both - first);
        for cost in [first, both - first] {
            ensure!(cost <= 0.01 + ONE_CALL && cost > 0.01 - 2.0 * ONE_CALL, "{cost} of 0.01");
        }
        Ok(())
    })
}
