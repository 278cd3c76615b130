//! Strategies, by three replicas: the providers' logs show how the calls were spread.

use std::time::Duration;

use anyhow::{Result, ensure};
use weir_tests::client::{Answer, Ask};
use weir_tests::judge::Verdict;
use weir_tests::load::{Load, Phase, all_served, load_ended};
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
    site.load(rate, Duration::from_secs_f64(seconds)).finish().await
}

/// How many calls each provider saw.
async fn seen(site: &Site) -> Result<Vec<f64>> {
    Ok(site.seen().await?.into_iter().map(|count| count as f64).collect())
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

/// Broken on purpose to see it fail: always from the first on.
#[test]
fn in_turn_each_gets_as_many_however_slow() -> Result<()> {
    in_turn(async {
        let slow = Upstream::new("slow").behaving("--output 8 --latency 300ms --pace 1ms").priced(3.0, 12.0);
        let quick = |name| Upstream::new(name).behaving(QUICK).priced(1.0, 4.0);
        let upstreams = vec![slow, quick("a"), quick("b")];
        let site = site("strategies-in-turn", upstreams, "strategy = \"round-robin\"").await?;
        all_served(&load(&site, 150.0, 4.0).await)?;
        let counts = seen(&site).await?;
        let due = counts.iter().sum::<f64>() / 3.0;
        // Each of three replicas goes round by itself.
        ensure!(counts.iter().all(|count| (count - due).abs() <= 3.0), "{counts:?}, not {due} each");
        Ok(())
    })
}

/// Broken on purpose to see it fail: the most used of the candidates taken.
#[test]
fn by_capacity_each_is_used_as_much_of_its_limit() -> Result<()> {
    in_turn(async {
        let scale = Scale::short();
        let limited =
            |name, rpm| Upstream { rpm: Some(scale.limit(rpm)), ..Upstream::new(name).behaving(QUICK) };
        let upstreams = vec![limited("one", 150), limited("two", 300), limited("four", 600)];
        let site = site("strategies-capacity", upstreams, "strategy = \"capacity\"").await?;
        let window = scale.window.as_secs_f64();
        let fitting = scale.limit(1_050) as f64 / window;
        let answers = load(&site, 0.85 * fitting, 2.0 * window).await;
        all_served(&answers)?;
        let counts = seen(&site).await?;
        Verdict::on(&site.providers, scale.window, load_ended(&answers)).await?.must_be_clean()?;
        let all: f64 = counts.iter().sum();
        for (count, weight) in counts.iter().zip([1.0, 2.0, 4.0]) {
            let due = all * weight / 7.0;
            ensure!((count - due).abs() < 0.05 * due + 3.0, "{counts:?}: {count} where {due:.0} are due");
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

/// Broken on purpose to see it fail: what is in flight left out.
#[test]
fn calls_go_where_fewest_are_in_flight_from_all_replicas() -> Result<()> {
    in_turn(async {
        // A sixteenth is the slow one's due. On a busy machine the fast one takes twice or thrice its time, and a seventh is.
        let slow = Upstream::new("slow").behaving("--output 20 --latency 1600ms --pace 1ms");
        let fast = Upstream::new("fast").behaving("--output 20 --latency 80ms --pace 1ms");
        let by = "strategy = \"least-busy\"\ntiebreak = \"round-robin\"";
        let site = site("strategies-busy", vec![slow, fast], by).await?;
        all_served(&load(&site, 40.0, 7.0).await)?;
        let counts = seen(&site).await?;
        let all: f64 = counts.iter().sum();
        ensure!(counts[0] < 0.2 * all, "the slow one gets too much: {counts:?}");
        // By Little's law as many are in flight at the slow one as at the fast one.
        let most = most_at_once(&site).await?;
        ensure!(most[0] <= 2 * most[1] + 4, "the slow one is crowded: {most:?} at once");
        Ok(())
    })
}

/// The most calls that each provider had at once.
async fn most_at_once(site: &Site) -> Result<Vec<usize>> {
    let mut most = Vec::new();
    for provider in &site.providers {
        let arrivals = provider.arrivals().await?;
        let mut turns: Vec<(u64, i32)> = Vec::new();
        for arrival in &arrivals {
            turns.extend([(arrival.arrival_us, 1), (arrival.end_us.unwrap_or(u64::MAX), -1)]);
        }
        turns.sort_unstable();
        let (mut now, mut top) = (0, 0);
        turns.iter().for_each(|(_, turn)| (now, top) = (now + turn, top.max(now + turn)));
        most.push(top as usize);
    }
    Ok(most)
}

/// One begins soon and goes on slowly, the other begins late and goes on fast: which is sooner complete depends on how long the
/// answer is to be. Broken on purpose to see it fail: every answer taken for as long.
#[test]
fn short_answers_go_where_they_begin_soon_and_long_ones_where_they_go_on_fast() -> Result<()> {
    in_turn(async {
        let soon = Upstream::new("soon").behaving("--output 200 --latency 40ms --pace 8ms");
        let late = Upstream::new("late").behaving("--output 200 --latency 300ms --pace 1ms");
        // Two models of the same deployments, for what an answer is expected to be long is known by model.
        let by = "strategy = \"predictive\"\ntiebreak_within = 0.0";
        let both = format!("{by}\n[[models]]\nname = \"long\"\ndeployments = [\"soon\", \"late\"]\n{by}");
        let site = site(
            "strategies-predictive",
            vec![soon, late],
            &format!("deployments = [\"soon\", \"late\"]\n{both}"),
        )
        .await?;
        let phase = Phase { time: Duration::from_secs(9), rate: 40.0 };
        let ask = |at: usize| {
            let (model, most) = if at.is_multiple_of(4) { ("long", 200) } else { ("m", 8) };
            Ask::new(model).max_tokens(most).streamed(at % 8 < 4)
        };
        all_served(&Load::start(site.client.clone(), 0, &[phase], ask).finish().await)?;
        let split = async |at: usize| -> Result<(f64, f64)> {
            let arrivals = site.providers[at].arrivals().await?;
            let second = arrivals.iter().map(|a| a.arrival_us).min().unwrap_or(0) + 4_000_000; // first they learn
            let learnt: Vec<_> = arrivals.iter().filter(|arrival| arrival.arrival_us > second).collect();
            let long = learnt.iter().filter(|arrival| arrival.output_tokens > 100).count();
            Ok(((learnt.len() - long) as f64, long as f64))
        };
        let (soon, late) = (split(0).await?, split(1).await?);
        println!("short and long: {soon:?} {late:?}");
        ensure!(soon.0 > 0.9 * (soon.0 + late.0), "short ones: {} of {}", soon.0, soon.0 + late.0);
        ensure!(late.1 > 0.9 * (soon.1 + late.1), "long ones: {} of {}", late.1, soon.1 + late.1);
        Ok(())
    })
}

/// Broken on purpose to see it fail: one of the cheap drawn at random.
#[test]
fn of_the_cheap_the_faster_is_preferred_and_the_dear_one_serves_what_they_cannot() -> Result<()> {
    in_turn(async {
        let paced = |name, latency, price: f64| {
            let behaviour = format!("--output 20 --latency {latency}ms --pace 1ms");
            Upstream::new(name).behaving(&behaviour).priced(price, 4.0 * price)
        };
        let cheap = |name, latency| Upstream { concurrency: Some(6), ..paced(name, latency, 1.0) };
        let upstreams = vec![paced("dear", 5, 3.0), cheap("slow", 240), cheap("fast", 60)];
        let site = site("strategies-composite", upstreams, "strategy = \"composite\"").await?;
        all_served(&load(&site, 40.0, 4.0).await)?;
        let before = seen(&site).await?;
        ensure!(before[0] == 0.0, "none was to spill: {before:?}");
        ensure!(before[2] > 3.0 * before[1], "the faster is preferred: {before:?}");
        // More than both bear: six at once are about 23 a second at one and 60 at the other.
        all_served(&load(&site, 160.0, 3.0).await)?;
        let after = seen(&site).await?;
        ensure!(after[0] > 100.0, "the dear one serves the rest: {after:?}");
        ensure!(
            after[1] - before[1] > 15.0 && after[2] - before[2] > 40.0,
            "the cheap ones are used up: {after:?}"
        );
        Ok(())
    })
}
