//! Accounts whose key is refused or whose credit is spent, by three replicas: none of their deployments is called for a while.

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use weir_tests::client::{Ask, unix_us};
use weir_tests::load::all_served;
use weir_tests::provider::Upstream;
use weir_tests::site::{Plan, Site};

use crate::in_turn;
use crate::life::reload::rewritten;

const QUICK: &str = "--output 8 --latency 5ms --pace 1ms";
/// As refusals are written by OpenAI.
pub(crate) const KEY: &str = "status=401,body={\"error\":{\"message\":\"Incorrect API key provided: sk-up***.\",\"type\":\"invalid_request_error\",\"param\":null,\"code\":\"invalid_api_key\"}}";
const CREDIT: &str = "status=429,body={\"error\":{\"message\":\"You exceeded your current quota, please check your plan and billing details.\",\"type\":\"insufficient_quota\",\"param\":null,\"code\":\"insufficient_quota\"}}";
/// From one try to the next: `cooldown.max` where it is below half a minute.
const PERIOD: Duration = Duration::from_secs(2);
/// Calls a second.
const RATE: f64 = 40.0;

/// Two deployments of the account `refused`, one of another's.
async fn site(name: &str, defaults: &str) -> Result<Site> {
    let mut refused = Upstream::new("refused").behaving(QUICK);
    refused.deployment =
        "\n[[deployments]]\nname = \"refused-too\"\naccount = \"refused\"\nmodel = \"up-too\"\n".into();
    let upstreams = vec![refused, Upstream::new("lives").behaving(QUICK)];
    let models =
        "[[models]]\nname = \"m\"\ndeployments = [\"refused\", \"refused-too\", \"lives\"]\n".to_owned();
    Site::start(Plan { models: Some(models), defaults: defaults.to_owned(), ..Plan::new(name, upstreams) })
        .await
}

async fn load(site: &Site, time: Duration) -> Result<()> {
    all_served(&site.load(RATE, time).finish().await)
}

/// An account is refused and served again.
async fn refused(name: &str, failure: &str, reason: &str) -> Result<()> {
    let site = site(name, "cooldown = { default = \"1s\", max = \"2s\" }\n").await?;
    load(&site, Duration::from_secs(2)).await?;
    let account = &site.providers[0];
    account.fail(&[failure]).await?;
    let from = unix_us();
    let periods = 4;
    load(&site, PERIOD * periods).await?;
    let (settled, until) = (from + 500_000, unix_us());
    let before = account.seen(from, settled).await?;
    let tries = account.seen(settled, until).await?;
    println!("{name}: {before} calls until all knew, then {tries} in {periods} periods");
    ensure!(before <= 12, "{before} calls went there after it had been refused");
    ensure!((2..=periods as usize).contains(&tries), "{tries} tries in {periods} periods");
    says_so(&site, reason).await?;
    account.fail(&[]).await?;
    load(&site, PERIOD + Duration::from_secs(1)).await?;
    let healed = unix_us();
    load(&site, Duration::from_secs(2)).await?;
    let back = account.seen(healed, unix_us()).await?;
    ensure!(back >= 36, "two thirds of 80 calls were due, {back} came");
    for replica in &site.replicas {
        let log = replica.log()?;
        let count = |words: &str| log.lines().filter(|line| line.contains(words)).count();
        let told = (count("account left alone"), count("account takes calls again"));
        ensure!(told == (1, 1), "told of more than of changes: {told:?}");
        ensure!(!log.contains(&account.upstream.key()), "the log shows a key");
    }
    Ok(())
}

/// That an account is left alone is told wherever it is promised. Broken on purpose to see it fail: the metric not
/// recorded.
async fn says_so(site: &Site, reason: &str) -> Result<()> {
    let replica = &site.replicas[0];
    let labels = format!("reason=\"{reason}\"");
    let shown = replica.metric("weir_account_shut", &labels).await?;
    ensure!(shown == 1.0, "the metric says {shown}");
    let page = replica.state().await?;
    let all = page["deployments"].as_array().cloned().unwrap_or_default();
    let states: Vec<_> = all.iter().map(|one| (&one["name"], &one["account_state"]["state"])).collect();
    for deployment in ["refused", "refused-too"] {
        ensure!(states.contains(&(&deployment.into(), &reason.into())), "{states:?}");
    }
    for _ in 0..50 {
        let answer = site.client.call(&Ask::new("m").header("x-weir-explain", "1")).await;
        if answer.header("x-weir-explain").contains(&format!("({reason}), left alone for")) {
            return Ok(());
        }
    }
    bail!("no explanation says why it is passed by")
}

/// Broken on purpose to see it fail: the account's tag not sent with candidates.
#[test]
fn a_refused_key_costs_no_client_an_error_and_is_tried_once_per_period_by_all() -> Result<()> {
    in_turn(refused("accounts-key", KEY, "auth"))
}

/// Broken on purpose to see it fail: as above.
#[test]
fn spent_credit_costs_no_client_an_error_and_is_tried_once_per_period_by_all() -> Result<()> {
    in_turn(refused("accounts-credit", CREDIT, "quota"))
}

/// Broken on purpose to see it fail: the key left out of the account's tag.
#[test]
fn another_key_is_tried_at_once() -> Result<()> {
    in_turn(async {
        let site = site("accounts-reload", "").await?; // the first period is half a minute
        let (account, right) = (&site.providers[0], site.providers[0].upstream.key());
        rewritten(&site, &right, "sk-wrong").await?;
        load(&site, Duration::from_secs(2)).await?;
        let (shut, from) = (Instant::now(), unix_us() - 1_000_000);
        load(&site, Duration::from_secs(3)).await?;
        let tries = account.seen(from, unix_us()).await?;
        ensure!(tries == 0, "{tries} tries with a key that is refused");
        rewritten(&site, "sk-wrong", &right).await?;
        let from = unix_us();
        load(&site, Duration::from_secs(2)).await?;
        ensure!(shut.elapsed() < Duration::from_secs(25), "too slow to tell");
        let back = account.seen(from, unix_us()).await?;
        ensure!(back >= 36, "two thirds of 80 calls were due, {back} came");
        Ok(())
    })
}
