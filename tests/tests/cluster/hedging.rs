//! A second attempt beside one that is long in coming: the clients' clocks and the providers' logs are the judges.

use std::time::Duration;

use anyhow::{Result, ensure};
use weir_tests::client::Ask;
use weir_tests::load::{Load, Phase};
use weir_tests::meters;
use weir_tests::provider::{Arrival, Upstream};
use weir_tests::site::{Plan, Site, Timeouts};

use crate::in_turn;

const QUICK: &str = "--output 8 --latency 5ms --pace 1ms";

/// Two deployments, whose slow answers come in time.
fn plan(name: &str, rpm: Option<u64>, charge: &'static str) -> Plan {
    let upstream = |name| Upstream { rpm, charge, ..Upstream::new(name).behaving(QUICK) };
    let ms = Duration::from_millis;
    Plan {
        timeouts: Timeouts { connect: ms(1_000), first_token: ms(6_000), total: ms(9_000) },
        ..Plan::new(name, ["a", "b"].map(upstream).to_vec())
    }
}

async fn site(name: &str, hedge: &str, charge: &'static str) -> Result<Site> {
    Site::start(Plan { defaults: hedge.to_owned(), ..plan(name, Some(1_000), charge) }).await
}

async fn arrivals(site: &Site) -> Result<Vec<Arrival>> {
    let mut all = Vec::new();
    for provider in &site.providers {
        all.extend(provider.arrivals().await?);
    }
    Ok(all)
}

/// How long calls took, in order, and what the providers saw of them.
async fn run(site: &Site, streamed: bool) -> Result<(Vec<Duration>, Vec<Arrival>)> {
    let phase = Phase { time: Duration::from_secs(20), rate: 20.0 };
    let ask = move |_| Ask::new("m").max_tokens(16).streamed(streamed);
    let answers = Load::start(site.client.clone(), 0, &[phase], ask).finish().await;
    let odd = answers.iter().find(|answer| !answer.is_good(streamed));
    ensure!(odd.is_none(), "{odd:?}");
    let mut took: Vec<Duration> = answers.iter().map(|answer| answer.took).collect();
    took.sort();
    Ok((took, arrivals(site).await?))
}

/// Everything that was held is given back, and leaves with its window.
async fn nothing_is_left(site: &Site) -> Result<()> {
    meters::zero_within(&site.redis.url(), Duration::from_secs(25)).await
}

#[test]
fn a_slow_tail_is_cut_for_a_few_second_attempts_and_nothing_of_them_is_left() -> Result<()> {
    in_turn(async {
        let site = site("hedging", "hedge = { after = \"400ms\", budget = 0.05 }\n", "end-actual").await?;
        site.providers[0].fail(&["slow=3s,share=0.05"]).await?;
        let (took, seen) = run(&site, true).await?;
        let slow = took.iter().filter(|took| **took > Duration::from_millis(2_500)).count();
        let given_up = seen.iter().filter(|arrival| arrival.aborted).count();
        println!("hedging: {} calls, {} arrivals, {given_up} given up, {slow} slow", took.len(), seen.len());
        ensure!(given_up >= 5, "{given_up} first attempts were overtaken");
        ensure!(slow * 2 < given_up, "{slow} calls took as long as the slow provider, {given_up} did not");
        ensure!(seen.len() <= took.len() + took.len() / 20 + 3 * 3, "{} arrivals", seen.len());
        ensure!(seen.len() - given_up == took.len(), "each call is answered once");
        let mut second = 0.0;
        for replica in &site.replicas {
            second += replica.metric("weir_hedges_total", "won=\"second\"").await?;
        }
        ensure!(second as usize >= given_up / 2, "{second} told, {given_up} seen");
        nothing_is_left(&site).await
    })
}

/// Broken on purpose to see it fail: a budget that is never spent.
#[test]
fn second_attempts_stay_within_their_budget_where_half_of_all_calls_are_slow() -> Result<()> {
    in_turn(async {
        let site =
            site("hedging-budget", "hedge = { after = \"200ms\", budget = 0.05 }\n", "end-actual").await?;
        site.providers[0].fail(&["slow=900ms,share=1.0"]).await?;
        let (took, seen) = run(&site, true).await?;
        println!("hedging-budget: {} calls, {} arrivals", took.len(), seen.len());
        ensure!(seen.len() > took.len(), "nobody was asked twice");
        ensure!(seen.len() <= took.len() + took.len() / 20 + 3 * 3, "{} arrivals", seen.len());
        Ok(())
    })
}

/// Broken on purpose to see it fail: a second attempt that failed looked at when the first has ended.
#[test]
fn what_a_second_attempt_is_refused_for_is_obeyed_though_the_first_goes_on() -> Result<()> {
    in_turn(async {
        let on = "hedge = { after = \"200ms\", budget = 0.05 }";
        let models = format!(
            "[[models]]\nname = \"m\"\n{on}\n\
             deployments = [{{ name = \"a\", priority = 0 }}, {{ name = \"b\", priority = 1 }}]\n"
        );
        let plan = plan("hedging-refused", None, "end-actual");
        let site = Site::start(Plan { models: Some(models), ..plan }).await?;
        site.providers[0].fail(&["slow=4s"]).await?;
        site.providers[1].fail(&["status=429,retry-after=30"]).await?;
        let mut calls = Vec::new();
        for replica in &site.replicas {
            let client = weir_tests::client::Client::new(replica.addr());
            let ask = Ask::new("m").max_tokens(16).streamed(true);
            calls.push(tokio::spawn(async move { client.call(&ask).await }));
            tokio::time::sleep(Duration::from_millis(1_000)).await; // and the first is far from its end
        }
        for call in calls {
            let answer = call.await?;
            ensure!(answer.is_good(true) && answer.deployment == "a", "{answer:?}");
        }
        let refused = site.providers[1].arrivals().await?.len();
        ensure!(refused == 1, "{refused} calls were refused, each by another replica");
        Ok(())
    })
}

/// Broken on purpose to see it fail: who may not be second not counted among those that are left.
#[test]
fn where_both_are_long_in_coming_another_is_asked() -> Result<()> {
    in_turn(async {
        let on = "hedge = { after = \"200ms\", budget = 0.05 }";
        let models = format!(
            "[[models]]\nname = \"m\"\n{on}\ndeployments = [\"a\", \"b\", {{ name = \"c\", priority = 1 }}]\n"
        );
        let ms = Duration::from_millis;
        let mut plan = plan("hedging-third", None, "end-actual");
        plan.timeouts = Timeouts { connect: ms(500), first_token: ms(1_500), total: ms(20_000) };
        plan.upstreams.push(Upstream {
            rpm: Some(1_000),
            charge: "admission-max",
            ..Upstream::new("c").behaving(QUICK)
        });
        let site = Site::start(Plan { models: Some(models), ..plan }).await?;
        for hangs in &site.providers[..2] {
            hangs.fail(&["stall=before"]).await?;
        }
        for replica in &site.replicas {
            let ask = Ask::new("m").max_tokens(16).streamed(true);
            let answer = weir_tests::client::Client::new(replica.addr()).call(&ask).await;
            ensure!(answer.is_good(true) && answer.deployment == "c", "{answer:?}");
            ensure!(answer.took < ms(6_000), "{answer:?}");
        }
        let seen = site.seen().await?;
        ensure!(seen == [3, 3, 3], "each was asked once for each call: {seen:?}");
        Ok(())
    })
}

/// Broken on purpose to see it fail: the second waited for.
#[test]
fn what_a_request_is_refused_for_is_told_at_once_whatever_the_second_does() -> Result<()> {
    in_turn(async {
        let on = "hedge = { after = \"200ms\", budget = 0.05 }";
        let models = format!(
            "[[models]]\nname = \"m\"\n{on}\ndeployments = [\"a\", {{ name = \"b\", priority = 1 }}]\n"
        );
        let mut plan = plan("hedging-refusal", None, "end-actual");
        plan.upstreams[0] = Upstream::new("a").behaving("--output 8 --latency 700ms");
        let site = Site::start(Plan { models: Some(models), ..plan }).await?;
        site.providers[0].fail(&["status=400"]).await?;
        site.providers[1].fail(&["stall=before"]).await?;
        for replica in &site.replicas {
            let ask = Ask::new("m").max_tokens(16).streamed(true);
            let answer = weir_tests::client::Client::new(replica.addr()).call(&ask).await;
            ensure!(answer.status == 400 && answer.took < Duration::from_millis(2_000), "{answer:?}");
        }
        let seen = site.seen().await?;
        ensure!(seen == [3, 3], "{seen:?}");
        nothing_is_left(&site).await
    })
}

#[test]
fn nobody_is_asked_twice_who_did_not_ask_for_it_or_whose_provider_charges_on_arrival() -> Result<()> {
    in_turn(async {
        let on = "hedge = { after = \"200ms\" }\n";
        for (name, hedge, charge, streamed) in [
            ("hedging-charge", on, "admission-max", true),
            ("hedging-plain", on, "end-actual", false),
            ("hedging-off", "", "end-actual", true),
        ] {
            let site = site(name, hedge, charge).await?;
            site.providers[0].fail(&["slow=900ms,share=0.2"]).await?;
            let (took, seen) = run(&site, streamed).await?;
            ensure!(seen.len() == took.len(), "{name}: {} calls, {} arrivals", took.len(), seen.len());
        }
        Ok(())
    })
}

#[test]
fn a_client_that_leaves_takes_both_attempts_along() -> Result<()> {
    in_turn(async {
        let site =
            site("hedging-left", "hedge = { after = \"200ms\", budget = 0.05 }\n", "end-actual").await?;
        for provider in &site.providers {
            provider.fail(&["slow=4s"]).await?;
        }
        for replica in &site.replicas {
            let client = weir_tests::client::Client::new(replica.addr());
            let ask = Ask::new("m").max_tokens(16).streamed(true);
            let left = tokio::time::timeout(Duration::from_millis(1_500), client.call(&ask)).await;
            ensure!(left.is_err(), "it was answered: {left:?}");
        }
        tokio::time::sleep(Duration::from_millis(1_000)).await; // for closed connections to be seen
        let seen = arrivals(&site).await?;
        ensure!(seen.len() == 6, "each of three calls had a second attempt: {}", seen.len());
        let ended = seen
            .iter()
            .all(|one| one.aborted && one.end_us.is_some_and(|end| end - one.arrival_us < 2_500_000));
        ensure!(ended, "{seen:?}");
        let mut told = 0.0;
        for replica in &site.replicas {
            told += replica.metric("weir_hedges_total", "won=\"none\"").await?;
        }
        ensure!(told == 3.0, "{told} second attempts are told of");
        nothing_is_left(&site).await
    })
}
