//! Health checks, by three replicas: one of them checks each deployment, and what it finds holds for all.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use weir_tests::client::unix_us;
use weir_tests::load::all_served;
use weir_tests::process::eventually;
use weir_tests::provider::{Arrival, Provider, Upstream};
use weir_tests::site::{Plan, Site};

use crate::in_turn;
use crate::life::reload::rewritten;

const QUICK: &str = "--output 8 --latency 5ms --pace 1ms";
const INTERVAL: Duration = Duration::from_millis(500);
/// Calls a second.
const RATE: f64 = 40.0;
/// A tenth of an interval each way, and what a busy machine adds.
const LONGEST: Duration = Duration::from_millis(850);

/// `checked`, which has a health check, and `lives`, which has none.
async fn site(name: &str, check: &str, defaults: &str, checked: Upstream) -> Result<Site> {
    site_of(None, name, check, defaults, checked).await
}

async fn site_of(
    models: Option<&str>,
    name: &str,
    check: &str,
    defaults: &str,
    checked: Upstream,
) -> Result<Site> {
    let models = models.map(str::to_owned);
    let mut checked = checked.behaving(QUICK);
    checked.deployment = format!("health_check = {check}\n");
    let upstreams = vec![checked, Upstream::new("lives").behaving(QUICK)];
    Site::start(Plan { models, defaults: defaults.to_owned(), ..Plan::new(name, upstreams) }).await
}

const MODELS: &str = "{ kind = \"models\", interval = \"500ms\", timeout = \"400ms\", successes = 2 }";

const OFF: &str = "{ kind = \"off\" }";

async fn load(site: &Site, time: Duration) -> Result<()> {
    all_served(&site.load(RATE, time).finish().await)
}

/// What came on a route between two moments, Unix microseconds, in order.
async fn seen(provider: &Provider, route: &str, from: u64, to: u64) -> Result<Vec<Arrival>> {
    let arrivals = provider.arrivals().await?;
    let it = arrivals.into_iter().filter(|one| one.route == route && (from..to).contains(&one.arrival_us));
    Ok(it.collect())
}

fn gaps(arrivals: &[Arrival]) -> Vec<Duration> {
    arrivals.windows(2).map(|two| Duration::from_micros(two[1].arrival_us - two[0].arrival_us)).collect()
}

fn callers(arrivals: &[Arrival]) -> BTreeSet<u16> {
    arrivals.iter().map(|one| one.peer).collect()
}

/// The checks of some seconds come from one connection, and so from one replica, at the interval's rate.
async fn is_checked_by_one(provider: &Provider, route: &str, time: Duration) -> Result<()> {
    let from = unix_us();
    tokio::time::sleep(time).await;
    let checks = seen(provider, route, from, unix_us()).await?;
    let (gaps, callers) = (gaps(&checks), callers(&checks));
    println!(
        "{}: {} checks in {time:?}, by {callers:?}, gaps {gaps:?}",
        provider.upstream.name,
        checks.len()
    );
    ensure!(callers.len() == 1, "checked by {callers:?}");
    ensure!(gaps.iter().all(|gap| *gap > INTERVAL / 2 && *gap < LONGEST), "{gaps:?}");
    let expected = time.as_millis() / INTERVAL.as_millis();
    let count = checks.len() as u128;
    ensure!(count * 10 >= expected * 8 && count * 10 <= expected * 12, "{count} checks for {expected}");
    Ok(())
}

/// Which replica checks: that whose own count grows.
async fn checker(site: &Site) -> Result<usize> {
    let mut counts = Vec::new();
    for replica in &site.replicas {
        counts.push(replica.metric("weir_health_checks_total", "deployment=\"checked\"").await?);
    }
    tokio::time::sleep(INTERVAL * 3).await;
    for (at, replica) in site.replicas.iter().enumerate() {
        if replica.metric("weir_health_checks_total", "deployment=\"checked\"").await? > counts[at] {
            return Ok(at);
        }
    }
    anyhow::bail!("nobody checks")
}

/// Broken on purpose to see it fail: every replica elected.
#[test]
fn one_replica_checks_and_when_it_is_killed_another_does() -> Result<()> {
    in_turn(async {
        let mut site = site("health-one", MODELS, "", Upstream::new("checked")).await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        is_checked_by_one(&site.providers[0], "models", Duration::from_secs(8)).await?;
        let elected = checker(&site).await?;
        let killed = unix_us();
        site.replicas[elected].kill()?;
        tokio::time::sleep(Duration::from_secs(4)).await;
        let checks = seen(&site.providers[0], "models", killed - 600_000, unix_us()).await?;
        let longest = gaps(&checks).into_iter().max().context("no checks")?;
        println!("health-one: {longest:?} without a check after the death of who checked");
        // A second until nobody counts it among the living, what a SYNC takes, and an interval.
        ensure!(longest < Duration::from_millis(1_000 + 500) + LONGEST, "{longest:?} without a check");
        is_checked_by_one(&site.providers[0], "models", Duration::from_secs(5)).await?;
        site.replicas[elected].replace().await?;
        tokio::time::sleep(Duration::from_secs(2)).await;
        is_checked_by_one(&site.providers[0], "models", Duration::from_secs(4)).await
    })
}

/// Broken on purpose to see it fail: failed checks not told; checks that do not put off probes; good checks not told.
#[test]
fn a_dead_deployment_is_found_and_found_well_again_without_a_clients_call() -> Result<()> {
    in_turn(async {
        let defaults = "circuit = { failures = 3, open = \"1s\", ramp = \"1s\", window = \"10s\" }\n";
        let site = site("health-dead", MODELS, defaults, Upstream::new("checked")).await?;
        let provider = &site.providers[0];
        load(&site, Duration::from_secs(1)).await?;
        provider.fail(&["status=500"]).await?;
        let state = async |replica: usize| {
            site.replicas[replica].metric("weir_circuit_state", "deployment=\"checked\"").await
        };
        eventually("open circuit", async || Ok(state(1).await? == 2.0)).await?;
        let opened = unix_us();
        load(&site, Duration::from_secs(5)).await?;
        let spent = seen(provider, "chat", opened, unix_us()).await?.len();
        ensure!(spent == 0, "{spent} calls went to a deployment that is known to be dead");
        provider.fail(&[]).await?;
        let healed = unix_us();
        eventually("closed circuit", async || Ok(state(2).await? < 2.0)).await?;
        let good = seen(provider, "models", healed, unix_us()).await?.len();
        ensure!((2..=4).contains(&good), "closed by {good} good checks");
        load(&site, Duration::from_secs(2)).await?;
        let whole = unix_us();
        load(&site, Duration::from_secs(2)).await?;
        let back = seen(provider, "chat", whole, unix_us()).await?.len();
        ensure!(back >= 28, "half of 80 calls were due, {back} came");
        Ok(())
    })
}

/// Broken on purpose to see it fail: a good check counted as a call that went well.
#[test]
fn who_lists_its_models_and_fails_every_call_is_left_alone_all_the_same() -> Result<()> {
    in_turn(async {
        let defaults = "circuit = { open = \"1s\", ramp = \"1s\", window = \"10s\" }\n";
        let site = site("health-listing", MODELS, defaults, Upstream::new("checked")).await?;
        let provider = &site.providers[0];
        load(&site, Duration::from_secs(1)).await?;
        provider.fail(&["status=500,only=chat"]).await?;
        let failing = unix_us();
        load(&site, Duration::from_secs(6)).await?;
        let spent = seen(provider, "chat", failing, unix_us()).await?.len();
        println!("health-listing: {spent} of 240 calls were tried there");
        ensure!((5..=60).contains(&spent), "{spent} of 240 calls were tried there");
        provider.fail(&[]).await?;
        load(&site, Duration::from_secs(4)).await?;
        let whole = unix_us();
        load(&site, Duration::from_secs(2)).await?;
        let back = seen(provider, "chat", whole, unix_us()).await?.len();
        ensure!(back >= 28, "half of 80 calls were due, {back} came");
        Ok(())
    })
}

/// Broken on purpose to see it fail: refusals of checks not told; checks of an account that is left alone not put off.
#[test]
fn that_a_key_is_refused_is_learnt_from_checks() -> Result<()> {
    in_turn(async {
        let defaults = "cooldown = { default = \"1s\", max = \"2s\" }\n";
        let site = site("health-key", MODELS, defaults, Upstream::new("checked")).await?;
        let provider = &site.providers[0];
        provider.fail(&["status=401"]).await?;
        let shut = async |replica: usize| {
            site.replicas[replica].metric("weir_account_shut", "reason=\"auth\"").await
        };
        eventually("account left alone", async || Ok(shut(0).await? == 1.0)).await?;
        let from = unix_us();
        load(&site, Duration::from_secs(6)).await?;
        let (calls, checks) = (
            seen(provider, "chat", from, unix_us()).await?.len(),
            seen(provider, "models", from, unix_us()).await?.len(),
        );
        println!("health-key: {calls} calls and {checks} checks in three periods");
        ensure!((1..=4).contains(&(calls + checks)), "{calls} calls and {checks} checks in three periods");
        provider.fail(&[]).await?;
        eventually("account served", async || Ok(shut(1).await? == 0.0)).await?;
        let served = unix_us();
        load(&site, Duration::from_secs(2)).await?;
        let back = seen(provider, "chat", served, unix_us()).await?.len();
        ensure!(back >= 28, "half of 80 calls were due, {back} came");
        Ok(())
    })
}

/// Broken on purpose to see it fail: nothing reserved for a check; who has heard of nobody yet elected.
#[test]
fn a_check_that_is_a_call_is_made_by_one_and_stays_within_limits() -> Result<()> {
    in_turn(async {
        let check = "{ kind = \"chat\", interval = \"500ms\", timeout = \"400ms\" }";
        let checked = Upstream { rpm: Some(24), ..Upstream::new("checked") };
        // Calls go there first, as long as there is room.
        let models = "[[models]]\nname = \"m\"\ndeployments = [{ name = \"checked\", priority = 0 }, \
                      { name = \"lives\", priority = 1 }]\n";
        let site = site_of(Some(models), "health-chat", check, "", checked).await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        is_checked_by_one(&site.providers[0], "chat", Duration::from_secs(6)).await?;
        // Calls and checks together ask for more than the limit, which the provider keeps.
        load(&site, Duration::from_secs(8)).await?;
        let all = site.providers[0].arrivals().await?;
        let refused = all.iter().filter(|one| one.status == 429).count();
        ensure!(refused == 0, "{refused} of {} calls broke the limit", all.len());
        Ok(())
    })
}

/// Broken on purpose to see it fail: a reload not told to who checks.
#[test]
fn a_reload_begins_checks_and_ends_them() -> Result<()> {
    in_turn(async {
        let site = site("health-reload", OFF, "", Upstream::new("checked")).await?;
        let provider = &site.providers[0];
        rewritten(&site, OFF, MODELS).await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        is_checked_by_one(provider, "models", Duration::from_secs(3)).await?;
        rewritten(&site, MODELS, OFF).await?;
        tokio::time::sleep(INTERVAL).await;
        let ended = unix_us();
        tokio::time::sleep(Duration::from_secs(3)).await;
        let checks = seen(provider, "models", ended, unix_us()).await?.len();
        ensure!(checks == 0, "{checks} checks of what is not to be checked");
        Ok(())
    })
}
