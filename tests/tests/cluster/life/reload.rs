//! How a replica takes another configuration.

use std::time::Duration;

use anyhow::{Result, ensure};
use weir_tests::client::{Ask, unix_us};
use weir_tests::judge::Verdict;
use weir_tests::load::{Load, Phase, load_ended};
use weir_tests::meters;
use weir_tests::process::eventually;
use weir_tests::provider::{Arrival, Upstream};
use weir_tests::scale::Scale;
use weir_tests::site::{Plan, Site};

use super::{none_failed, nothing_held};
use crate::in_turn;

/// What the provider allows, and what the file says for a while.
const LIMITS: (u64, u64) = (300, 120);

/// Waits until every replica says that it works by one and the same configuration, which is not `before`.
pub(crate) async fn all_reloaded(site: &Site, before: &str) -> Result<()> {
    eventually("reload everywhere", async || {
        for replica in &site.replicas {
            let state = replica.state().await?;
            let replicas = state["replicas"].as_array().cloned().unwrap_or_default();
            let told = replicas.iter().all(|replica| replica["config"] == state["config"]);
            if state["config"] == before || state["config_skew"] != false || !told {
                return Ok(false);
            }
        }
        Ok(true)
    })
    .await
}

/// Every replica's file with `to` in place of `from`, and waits until they work by it.
pub(crate) async fn rewritten(site: &Site, from: &str, to: &str) -> Result<()> {
    let before = site.replicas[0].state().await?["config"].as_str().unwrap_or_default().to_owned();
    site.replicas.iter().try_for_each(|replica| replica.rewrite(|text| text.replace(from, to)))?;
    all_reloaded(site, &before).await
}

/// The most arrivals in a window that ends between `from` and `to`, of those that the provider admitted.
fn worst(arrivals: &[Arrival], window: Duration, from: u64, to: u64) -> usize {
    let times: Vec<u64> = arrivals.iter().filter(|a| a.status != 429).map(|a| a.arrival_us).collect();
    let within = |end: &&u64| (from..to).contains(*end);
    let window = window.as_micros() as u64;
    let before = |end: u64| times.iter().filter(|at| **at <= end && **at + window > end).count();
    times.iter().filter(within).map(|end| before(*end)).max().unwrap_or(0)
}

/// Under half as much again as fits: a file with a mistake, then a lower limit, then the old one again; once by a change
/// of the file, once by SIGHUP.
/// Broken on purpose to see it fail: `Shared::adopt` that does not store the snapshot.
#[test]
fn reloads_under_load_fail_no_call_and_keep_every_limit() -> Result<()> {
    in_turn(async {
        let scale = Scale::short();
        let upstream = Upstream {
            rpm: Some(LIMITS.0),
            ..Upstream::new("a").behaving("--output 4..8 --latency 20ms --pace 2ms --jitter 0.5")
        };
        let site = Site::start(Plan::new("life-reload", vec![upstream])).await?;
        let rate = 1.5 * LIMITS.0 as f64 / scale.window.as_secs_f64();
        let phases = [Phase { time: Duration::from_secs(33), rate }];
        let load = Load::start(site.client.clone(), 0, &phases, |at| Ask::new("m").streamed(at % 2 == 0));
        tokio::time::sleep(scale.window / 2).await;
        refuse_a_mistake(&site).await?;

        let (limit, lower) = (format!("limit = {}", LIMITS.0), format!("limit = {}", LIMITS.1));
        change(&site, &limit, &lower, false).await?;
        let lowered = unix_us() + 100_000; // what was admitted before is on its way
        tokio::time::sleep(scale.window * 3 / 2).await;
        let raised = unix_us();
        change(&site, &lower, &limit, true).await?;

        let answers = load.finish().await;
        none_failed(&answers)?;
        Verdict::on(&site.providers, scale.window, load_ended(&answers)).await?.must_be_clean()?;
        let arrivals = site.providers[0].arrivals().await?;
        let most = [(lowered, raised), (raised, u64::MAX)].map(|(a, b)| worst(&arrivals, scale.window, a, b));
        println!("at most {most:?} in a window, lowered and raised");
        // Whatever the window held when the limit was lowered ages; nothing is admitted before it is below.
        let admitted = arrivals.iter().filter(|a| (lowered..raised).contains(&a.arrival_us)).count();
        ensure!(admitted > 0, "void: nothing was admitted while the limit was lower");
        ensure!(most[0] as u64 <= LIMITS.1, "{} in a window of a limit of {}", most[0], LIMITS.1);
        ensure!(most[1] as u64 > LIMITS.1, "void: the limit was never raised again");
        nothing_held(&site).await
    })
}

/// A file with a mistake changes nothing and is told everywhere; a mended one is taken.
async fn refuse_a_mistake(site: &Site) -> Result<()> {
    let before = site.replicas[0].state().await?["config"].clone();
    for replica in &site.replicas {
        ensure!(replica.metric("weir_config_last_reload_successful", "").await? == 1.0);
        replica.rewrite(|text| text.replace("[defaults]", "[defaults]\nstrategy = 5"))?;
    }
    for replica in &site.replicas {
        eventually("refusal", async || {
            let state = replica.state().await?;
            let told = state["config_refused"][0].as_str().unwrap_or_default().to_owned();
            let metric = replica.metric("weir_config_last_reload_successful", "").await?;
            let logged = replica.log()?.contains("configuration refused"); // written a moment later
            Ok(state["config"] == before && told.contains(".toml:") && metric == 0.0 && logged)
        })
        .await?;
        replica.rewrite(|text| text.replace("[defaults]\nstrategy = 5", "[defaults]"))?;
    }
    for replica in &site.replicas {
        eventually("mended file", async || Ok(replica.state().await?["config_refused"].is_null())).await?;
    }
    Ok(())
}

/// Changes a limit in every replica's file, and waits until all work by it.
async fn change(site: &Site, from: &str, to: &str, hang_up: bool) -> Result<()> {
    let before = site.replicas[0].state().await?["config"].as_str().unwrap_or_default().to_owned();
    for replica in &site.replicas {
        replica.rewrite(|text| text.replace(from, to))?;
        if hang_up {
            replica.signal("HUP")?;
        }
    }
    all_reloaded(site, &before).await
}

/// Broken on purpose to see it fail: every replica shown with one and the same configuration; SIGHUP that only looks whether
/// a file has changed.
#[test]
fn replicas_that_differ_say_so_and_sighup_reads_what_has_not_changed() -> Result<()> {
    in_turn(async {
        let upstream = Upstream { rpm: Some(LIMITS.0), ..Upstream::new("a").behaving("--output 5") };
        let site = Site::start(Plan { replicas: 2, ..Plan::new("life-skew", vec![upstream]) }).await?;
        let differ = async |so: bool| -> Result<bool> {
            let mut all = true;
            for replica in &site.replicas {
                let state = replica.state().await?;
                let replicas = state["replicas"].as_array().cloned().unwrap_or_default();
                let others = replicas.iter().any(|replica| replica["config"] != state["config"]);
                all &= state["config_skew"] == so && others == so && replicas.len() == 2;
            }
            Ok(all)
        };
        eventually("one configuration", async || differ(false).await).await?;
        let (limit, lower) = (format!("limit = {}", LIMITS.0), format!("limit = {}", LIMITS.1));
        site.replicas[0].rewrite(|text| text.replace(&limit, &lower))?;
        eventually("two configurations", async || differ(true).await).await?;
        site.replicas[1].rewrite(|text| text.replace(&limit, &lower))?;
        eventually("one configuration again", async || differ(false).await).await?;

        let reloads =
            || -> Result<usize> { Ok(site.replicas[0].log()?.matches("configuration reloaded").count()) };
        let before = reloads()?;
        site.replicas[0].signal("HUP")?;
        eventually("another reload", async || Ok(reloads()? > before)).await
    })
}

/// Time-outs that grow: calls in flight keep theirs, what the state is told of new ones follows, nothing stays held.
/// Broken on purpose to see it fail: `Side::retime` without another life.
#[test]
fn longer_time_outs_begin_another_life_and_cut_nothing() -> Result<()> {
    in_turn(async {
        let slow = Upstream::new("a").behaving("--output 30 --latency 20ms --pace 100ms");
        let upstream = Upstream { tpm: Some(100_000), concurrency: Some(50), charge: "end-actual", ..slow };
        let site = Site::start(Plan { replicas: 1, ..Plan::new("life-retimed", vec![upstream]) }).await?;
        let client = site.client.clone();
        let ask = Ask::new("m").max_tokens(30).streamed(true);
        let stream = tokio::spawn({
            let ask = ask.clone();
            async move { client.call(&ask).await }
        });
        eventually("call", async || Ok(site.replicas[0].metric("weir_calls", "").await? == 1.0)).await?;
        site.replicas[0].rewrite(|text| text.replace("total = \"5000ms\"", "total = \"9000ms\""))?;
        site.replicas[0].signal("HUP")?;
        eventually("another life", async || {
            let state = meters::read(&site.redis.url())?;
            Ok(state.is_some_and(|state| state.lives.values().map(|life| life.d_end).eq([5_250, 9_250])))
        })
        .await?;
        let after = site.client.call(&ask).await;
        ensure!(after.is_good(true), "a call after it: {after:?}");
        let before = stream.await?;
        ensure!(before.is_good(true), "a call before it: {before:?}");
        eventually("end of the older life", async || {
            let state = meters::read(&site.redis.url())?;
            Ok(state.is_some_and(|state| state.lives.values().map(|life| life.d_end).eq([9_250])))
        })
        .await?;
        nothing_held(&site).await
    })
}

/// What only a restart changes is told and left; a secret in a file of its own is taken when that file changes.
/// Broken on purpose to see it fail: `Shared::adopt` that does not store the snapshot.
#[test]
fn listeners_stay_and_secrets_in_files_are_followed() -> Result<()> {
    in_turn(async {
        let upstream = Upstream::new("a").behaving("--output 5");
        let site = Site::start(Plan { replicas: 1, ..Plan::new("life-secret", vec![upstream]) }).await?;
        let replica = &site.replicas[0];
        let folder =
            std::env::temp_dir().join(format!("weir-secret-{}-{}", std::process::id(), fastrand::u32(..)));
        std::fs::create_dir(&folder)?;
        let secret = folder.join("key");
        std::fs::write(&secret, "sk-wrong\n")?;
        let reference = format!("${{file:{}}}", secret.display());
        replica.rewrite(|text| {
            text.replace("sk-up-a", &reference)
                .replace("anonymous = true", "anonymous = true\nmetrics_listen = \"127.0.0.1:1\"")
        })?;
        eventually("the wrong key", async || Ok(site.client.call(&Ask::new("m")).await.status == 502))
            .await?;
        eventually("a word on the listener", async || Ok(replica.log()?.contains("server.metrics_listen")))
            .await?;
        std::fs::write(&secret, "sk-up-a\n")?;
        eventually("the right key", async || Ok(site.client.call(&Ask::new("m")).await.is_good(false)))
            .await?;
        Ok(std::fs::remove_dir_all(folder)?)
    })
}
