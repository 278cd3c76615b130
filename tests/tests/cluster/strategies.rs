//! Strategies, by three replicas: the providers' logs show how the calls were spread.

use std::time::Duration;

use anyhow::{Result, ensure};
use weir_tests::client::{Answer, Ask};
use weir_tests::judge::Verdict;
use weir_tests::load::{Load, Phase, load_ended};
use weir_tests::provider::Upstream;
use weir_tests::scale::Scale;
use weir_tests::site::{Plan, Site};

use crate::in_turn;

const QUICK: &str = "--output 8 --latency 5ms --pace 1ms";

/// A site whose model is served by `upstreams`, with these settings.
async fn site(name: &str, upstreams: Vec<Upstream>, model: &str) -> Result<Site> {
    let names: Vec<String> = upstreams.iter().map(|upstream| format!("\"{}\"", upstream.name)).collect();
    let deployments = if model.contains("deployments") {
        String::new()
    } else {
        format!("deployments = [{}]\n", names.join(", "))
    };
    let models = Some(format!("[[models]]\nname = \"m\"\n{deployments}{model}\n"));
    // Circuits would keep calls away from who fails whatever the strategy does.
    let defaults = "circuit = { enabled = false }\n".to_owned();
    Site::start(Plan { models, defaults, ..Plan::new(name, upstreams) }).await
}

/// Calls at `rate` per second for `seconds`, every other one streamed.
async fn load(site: &Site, rate: f64, seconds: f64) -> Vec<Answer> {
    let phase = Phase { time: Duration::from_secs_f64(seconds), rate };
    let ask = |at: usize| Ask::new("m").max_tokens(64).streamed(at.is_multiple_of(2));
    Load::start(site.client.clone(), 0, &[phase], ask).finish().await
}

/// How many calls each provider saw.
async fn seen(site: &Site) -> Result<Vec<f64>> {
    let mut counts = Vec::new();
    for provider in &site.providers {
        counts.push(provider.arrivals().await?.len() as f64);
    }
    println!("{}: {counts:?}", site.plan.name);
    Ok(counts)
}

fn all_served(answers: &[Answer]) -> Result<()> {
    let odd = answers.iter().find(|answer| answer.status != 200);
    ensure!(odd.is_none(), "{odd:?}");
    Ok(())
}

/// Broken on purpose to see it fail: every weight taken for 1.
#[test]
fn weights_are_kept_within_one_percent() -> Result<()> {
    in_turn(async {
        let upstreams = ["a", "b", "c"].map(|name| Upstream::new(name).behaving(QUICK)).to_vec();
        let weighted = "strategy = \"weighted\"\ndeployments = [{ name = \"a\", weight = 5 }, \
                        { name = \"b\", weight = 3 }, { name = \"c\", weight = 2 }]";
        let site = site("strategies-weighted", upstreams, weighted).await?;
        all_served(&load(&site, 300.0, 10.0).await)?;
        let counts = seen(&site).await?;
        let all: f64 = counts.iter().sum();
        ensure!(all >= 3_000.0, "{all} calls");
        for (count, due) in counts.iter().zip([0.5, 0.3, 0.2]) {
            ensure!((count / all - due).abs() < 0.01, "{count} of {all}, not {due}");
        }
        Ok(())
    })
}

/// Broken on purpose to see it fail: the dearest first.
#[test]
fn the_cheapest_is_used_up_before_a_dearer_one_is() -> Result<()> {
    in_turn(async {
        let scale = Scale::short();
        let limited = |name, rpm, price| Upstream {
            rpm: Some(scale.limit(rpm)),
            ..Upstream::new(name).behaving(QUICK).priced(price, 4.0 * price)
        };
        let dear = Upstream::new("dear").behaving(QUICK).priced(3.0, 12.0);
        let upstreams = vec![dear, limited("middle", 600, 2.0), limited("cheap", 600, 1.0)];
        let site = site("strategies-cost", upstreams, "strategy = \"cost\"").await?;
        let fitting = scale.limit(600) as f64 / scale.window.as_secs_f64();
        let window = scale.window.as_secs_f64();
        // Half of what the cheap one bears: it gets all of it.
        all_served(&load(&site, 0.5 * fitting, window).await)?;
        let counts = seen(&site).await?;
        ensure!(counts[0] == 0.0 && counts[1] == 0.0, "none was to spill: {counts:?}");
        // Two and a half times as much: two are used up, and the rest goes to the dear one.
        let answers = load(&site, 2.5 * fitting, 3.0 * window).await;
        all_served(&answers)?;
        let counts = seen(&site).await?;
        let verdict = Verdict::on(&site.providers[1..], scale.window, load_ended(&answers)).await?;
        verdict.must_be_clean()?;
        let offered = 2.5 * fitting * 3.0 * window;
        ensure!(counts[2] > 0.9 * 3.0 * fitting * window, "the cheapest is not used up: {counts:?}");
        ensure!(counts[1] > 0.9 * 3.0 * fitting * window, "the middle one is not used up: {counts:?}");
        ensure!(counts[0] < 0.35 * offered, "the dear one gets too much: {counts:?}");
        Ok(())
    })
}

/// Broken on purpose to see it fail: one drawn at random instead of the faster of two.
#[test]
fn the_fast_one_is_preferred_and_not_flooded() -> Result<()> {
    in_turn(async {
        let paced = |name, latency, pace| {
            Upstream::new(name)
                .behaving(&format!("--output 20 --latency {latency}ms --pace {pace}ms --jitter 0.3"))
        };
        let upstreams = vec![paced("slow", 200, 8), paced("middle", 80, 4), paced("fast", 20, 1)];
        let site = site("strategies-latency", upstreams, "strategy = \"latency\"").await?;
        all_served(&load(&site, 60.0, 12.0).await)?;
        let counts = seen(&site).await?;
        let all: f64 = counts.iter().sum();
        ensure!(counts[2] > 0.5 * all && counts[2] < 0.9 * all, "the fast one: {counts:?}");
        ensure!(counts[2] > counts[1] && counts[1] > counts[0], "the slower the less: {counts:?}");
        Ok(())
    })
}

/// Broken on purpose to see it fail: failures that cost no time.
#[test]
fn one_who_fails_at_once_is_not_taken_for_fast() -> Result<()> {
    in_turn(async {
        let fine = |name| Upstream::new(name).behaving("--output 20 --latency 60ms --pace 3ms");
        let hole = Upstream::new("hole").behaving("--output 20 --latency 1ms --fail status=500");
        let site =
            site("strategies-hole", vec![hole, fine("a"), fine("b")], "strategy = \"latency\"").await?;
        let answers = load(&site, 80.0, 12.0).await;
        all_served(&answers)?;
        let counts = seen(&site).await?;
        ensure!(counts[0] < 0.02 * answers.len() as f64, "{counts:?}");
        Ok(())
    })
}

/// Broken on purpose to see it fail: no order by failures.
#[test]
fn who_fails_seldom_gets_more_than_who_fails_often() -> Result<()> {
    in_turn(async {
        let failing =
            |name, share| Upstream::new(name).behaving(&format!("{QUICK} --fail status=500,share={share}"));
        let upstreams = vec![failing("often", 0.05), failing("seldom", 0.001), failing("as-seldom", 0.001)];
        // (A tie-break by latency would prefer who fails less by itself: failures count as slow.)
        let by = "strategy = \"error-rate\"\ntiebreak = \"round-robin\"";
        let site = site("strategies-errors", upstreams, by).await?;
        all_served(&load(&site, 150.0, 12.0).await)?;
        let counts = seen(&site).await?;
        ensure!(counts[0] < 0.4 * counts[1] && counts[0] < 0.4 * counts[2], "{counts:?}");
        Ok(())
    })
}
