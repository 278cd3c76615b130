//! A tier that takes over from one that died, before three replicas: its use grows step by step. Its provider's log is the judge.

use std::time::Duration;

use anyhow::{Result, ensure};
use weir_tests::client::Answer;
use weir_tests::load::all_served;
use weir_tests::provider::{Provider, Upstream};
use weir_tests::site::{Plan, Site, Timeouts};

use crate::in_turn;

const QUICK: &str = "--output 8 --latency 5ms --pace 1ms";
/// Per window of 6 s.
const LIMIT: u64 = 120;
const WINDOW_US: u64 = 6_000_000;
const PERIOD_US: u64 = 2_000_000;

async fn site(name: &str, names: &[&'static str], queue: &'static str) -> Result<Site> {
    let upstream = |name: &&'static str| {
        let rpm = (*name == "cold").then_some(LIMIT);
        Upstream { rpm, ..Upstream::new(name).behaving(QUICK) }
    };
    let tiers: Vec<String> = names
        .iter()
        .enumerate()
        .map(|(at, name)| format!("{{ name = \"{name}\", priority = {at} }}"))
        .collect();
    let ms = Duration::from_millis;
    Site::start(Plan {
        models: Some(format!("[[models]]\nname = \"m\"\ndeployments = [{}]\n", tiers.join(", "))),
        defaults: "slow_start = { from = 0.1, factor = 1.5, per = \"2s\" }\n".to_owned(),
        timeouts: Timeouts { connect: ms(2_000), first_token: ms(10_000), total: ms(30_000) },
        queue: queue.into(),
        on_outage: "share", // a busy machine
        ..Plan::new(name, names.iter().map(upstream).collect())
    })
    .await
}

async fn load(site: &Site, rate: f64, seconds: u64) -> Result<Vec<Answer>> {
    let answers = site.load(rate, Duration::from_secs(seconds)).finish().await;
    all_served(&answers)?;
    Ok(answers)
}

/// When calls came to a provider, after the first of them.
async fn arrivals(provider: &Provider) -> Result<Vec<u64>> {
    let mut times: Vec<u64> = provider.arrivals().await?.iter().map(|one| one.arrival_us).collect();
    times.sort_unstable();
    let first = times.first().copied().unwrap_or(0);
    Ok(times.into_iter().map(|time| time - first).collect())
}

/// In no window more than the share that it begins with, and a half more for each period that has begun since.
fn grows_by_steps(times: &[u64]) -> Result<()> {
    for (at, time) in times.iter().enumerate() {
        let within = times[..=at].iter().filter(|other| **other + WINDOW_US > *time).count() as u64;
        let periods = (time + 100_000) / PERIOD_US; // a call is on its way for a moment
        let top = (0..periods).fold(LIMIT / 10, |top, _| (top * 3).div_ceil(2)).min(LIMIT);
        ensure!(
            within <= top,
            "{within} calls in the window that ends {time} us after the first, at most {top}"
        );
    }
    Ok(())
}

/// Broken on purpose to see it fail: no `slow_start` (the first window is full at once).
#[test]
fn a_cold_tier_takes_over_step_by_step_and_another_takes_the_rest() -> Result<()> {
    in_turn(async {
        let site = site("slow-start", &["hot", "cold", "rest"], "{ max = 0 }").await?;
        load(&site, 15.0, 3).await?;
        ensure!(arrivals(&site.providers[1]).await?.is_empty(), "it is not cold");
        site.providers[0].fail(&["status=500"]).await?;
        let answers = load(&site, 15.0, 22).await?;
        let times = arrivals(&site.providers[1]).await?;
        grows_by_steps(&times)?;
        let rest = answers.iter().filter(|answer| answer.deployment == "rest").count();
        let late = times.iter().filter(|time| **time > 16_000_000).count();
        println!(
            "slow-start: {} calls, {} to the cold tier, {rest} to the rest; {late} after 16 s",
            answers.len(),
            times.len()
        );
        ensure!(rest >= 40, "{rest} had to go elsewhere");
        ensure!(late >= 55, "in the end it takes nearly all: {late}");
        Ok(())
    })
}

#[test]
fn what_a_cold_tier_cannot_take_yet_waits_for_it() -> Result<()> {
    in_turn(async {
        let site = site("slow-start-queue", &["hot", "cold"], "{ max = 256, wait = \"10s\" }").await?;
        load(&site, 8.0, 2).await?;
        site.providers[0].fail(&["status=500"]).await?;
        let answers = load(&site, 8.0, 14).await?;
        let times = arrivals(&site.providers[1]).await?;
        grows_by_steps(&times)?;
        let waited = answers.iter().filter(|answer| answer.took > Duration::from_millis(500)).count();
        println!("slow-start-queue: {} calls, {waited} waited", answers.len());
        ensure!(waited > 10, "{waited} waited");
        Ok(())
    })
}
