//! Redis killed, and Redis frozen, in the middle of the load: calls do what `on_outage` says, none hangs, and the
//! service is back soon after Redis is.

use std::time::Duration;

use anyhow::{Result, ensure};
use weir_tests::client::{Answer, Ask, unix_us};
use weir_tests::load::{Load, Phase};
use weir_tests::provider::Upstream;
use weir_tests::site::{Plan, Site};

use crate::alone;

const CALLS_PER_SECOND: f64 = 80.0;
const SECOND_US: u64 = 1_000_000;

#[derive(Clone, Copy, PartialEq)]
enum Fault {
    Killed,
    Frozen,
}

/// Broken on purpose to see it fail: `on_outage` of the plan swapped.
#[test]
fn a_killed_redis_closes_the_gateway() -> Result<()> {
    alone(outage("outage-killed-closed", Fault::Killed, "closed"))
}

/// Broken on purpose to see it fail: `on_outage` of the plan swapped.
#[test]
fn a_frozen_redis_closes_the_gateway() -> Result<()> {
    alone(outage("outage-frozen-closed", Fault::Frozen, "closed"))
}

/// Broken on purpose to see it fail: `on_outage` of the plan swapped.
#[test]
fn a_killed_redis_opens_the_gateway_if_wanted() -> Result<()> {
    alone(outage("outage-killed-open", Fault::Killed, "open"))
}

/// Broken on purpose to see it fail: `on_outage` of the plan swapped.
#[test]
fn a_frozen_redis_opens_the_gateway_if_wanted() -> Result<()> {
    alone(outage("outage-frozen-open", Fault::Frozen, "open"))
}

/// Broken on purpose to see it fail: `on_outage` of the plan swapped.
#[test]
fn with_a_killed_redis_limits_are_shared() -> Result<()> {
    alone(outage("outage-killed-share", Fault::Killed, "share"))
}

/// Broken on purpose to see it fail: `on_outage` of the plan swapped.
#[test]
fn with_a_frozen_redis_limits_are_shared() -> Result<()> {
    alone(outage("outage-frozen-share", Fault::Frozen, "share"))
}

/// Connections that died while no call used them must not cost the next call. Broken on purpose to see it fail:
/// lanes that notice a dead connection only when a call uses it.
#[test]
fn an_outage_while_nobody_calls_costs_no_call() -> Result<()> {
    alone(async {
        let upstream =
            Upstream { rpm: Some(100_000), ..Upstream::new("a").behaving("--output 4 --latency 10ms") };
        let mut site = Site::start(Plan::new("outage-unnoticed", vec![upstream])).await?;
        let calls = |site: &Site| Load::start(site.client.clone(), 60, &[], |_| Ask::new("m")).finish();
        must_all(calls(&site).await.iter(), "before the outage", |answer| answer.status == 200)?;
        site.redis.kill()?;
        tokio::time::sleep(Duration::from_millis(500)).await;
        site.redis.restart().await?;
        tokio::time::sleep(Duration::from_secs(2)).await;
        let answers = calls(&site).await;
        let failed: Vec<&Answer> = answers.iter().filter(|answer| answer.status != 200).collect();
        let (count, all) = (failed.len(), answers.len());
        ensure!(
            count == 0,
            "{count} of {all} calls failed 2 s after Redis was back, such as {:?}",
            failed[0]
        );
        Ok(())
    })
}

async fn outage(name: &str, fault: Fault, on_outage: &'static str) -> Result<()> {
    let upstream =
        Upstream { rpm: Some(100_000), ..Upstream::new("a").behaving("--output 4 --latency 10ms") };
    let mut site = Site::start(Plan { on_outage, ..Plan::new(name, vec![upstream]) }).await?;
    let phases = [Phase { time: Duration::from_millis(7_500), rate: CALLS_PER_SECOND }];
    let load = Load::start(site.client.clone(), 0, &phases, |_| Ask::new("m"));
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let gone = unix_us();
    match fault {
        Fault::Killed => site.redis.kill()?,
        Fault::Frozen => site.redis.freeze()?,
    }
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    for replica in &site.replicas {
        let (status, _) = weir_tests::client::get(replica.addr(), "/readyz").await?;
        ensure!(status == 200, "losing Redis must not fail readiness: {status}");
    }
    let returning = unix_us();
    match fault {
        Fault::Killed => site.redis.restart().await?,
        Fault::Frozen => site.redis.thaw()?,
    }
    let back = unix_us();
    let answers = load.finish().await;
    report(&answers, gone, back);

    let part = |from: u64, to: u64| answers.iter().filter(move |a| (from..to).contains(&a.sent_us));
    must_all(part(0, gone - SECOND_US / 10), "before the outage", |answer| answer.status == 200)?;
    must_all(part(gone + SECOND_US, returning), "during the outage", |answer| match on_outage {
        "open" | "share" => answer.status == 200,
        _ => answer.status == 503 && answer.retry_after.is_some() && answer.retry_after_ms.is_some(),
    })?;
    must_all(part(back + 2 * SECOND_US, u64::MAX), "after the outage", |answer| answer.status == 200)?;
    must_all(answers.iter(), "at any time", |answer| answer.took < Duration::from_secs(3))?;
    let changing = |answer: &Answer| matches!(answer.status, 200 | 503);
    must_all(answers.iter(), "at any time", changing)
}

/// Prints when the last call was refused, for the worst replica.
fn report(answers: &[Answer], gone: u64, back: u64) {
    let refused: Vec<&Answer> = answers.iter().filter(|answer| answer.status == 503).collect();
    let ms = |us: u64, since: u64| (us as i64 - since as i64) / 1_000;
    if let (Some(first), Some(last)) = (refused.first(), refused.last()) {
        let (first, last) = (ms(first.sent_us, gone), ms(last.sent_us, back));
        println!(
            "{} refused, the first {first} ms after Redis went, the last {last} ms after it came back",
            refused.len()
        );
    }
    let longest = answers.iter().map(|answer| answer.took).max().unwrap_or_default();
    println!("the longest call took {longest:?}");
}

fn must_all<'a>(
    answers: impl Iterator<Item = &'a Answer>,
    when: &str,
    fine: impl Fn(&Answer) -> bool,
) -> Result<()> {
    let mut count = 0;
    for answer in answers {
        ensure!(fine(answer), "{when}: {answer:?}");
        count += 1;
    }
    ensure!(count > 20, "void: only {count} calls {when}");
    Ok(())
}
