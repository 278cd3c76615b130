//! A replica that stands still between being granted room and sending, for longer than its grants last.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use fastrand::Rng;
use weir_tests::client::{Ask, Client, unix_us};
use weir_tests::load::Load;
use weir_tests::meters;
use weir_tests::provider::Upstream;
use weir_tests::site::{Plan, Site, Timeouts};

use super::row::{TTL, dice};
use crate::in_turn;

/// Calls at once, so that many are on their way when the replica stops.
const BURST: usize = 300;

/// The provider's log tells: what has arrived since the replica goes on was granted since, call by call. What the
/// life before was granted had been posted as used when that life ended, and is not posted again.
///
/// A worker may be stopped exactly between its look at the time and the first byte (README.md, "The bound"): a call
/// of each can come late.
///
/// Broken on purpose to see it fail: `Timely` does not look at the time (up to 42 of 300 calls were sent late).
#[test]
fn a_replica_stopped_before_it_sends_does_not_send_late() -> Result<()> {
    let ms = Duration::from_millis;
    let timeouts = Timeouts { connect: ms(200), first_token: ms(250), total: ms(2_000) };
    let d_head = timeouts.connect + timeouts.first_token + ms(250);
    in_turn(async {
        let upstream =
            Upstream { rpm: Some(1_000_000), ..Upstream::new("a").behaving("--output 4 --latency 50ms") };
        // The other replica's SYNCs end the life of the one that stands still.
        let site =
            Site::start(Plan { replicas: 2, timeouts, ..Plan::new("faults-stall", vec![upstream]) }).await?;
        let mut dice = dice("a replica stopped before it sends")?;
        let workers = std::thread::available_parallelism()?.get() as u64;
        let (mut caught, mut rounds) = (0, 0);
        while caught < 3 {
            ensure!(rounds < 30, "void: only {caught} of {rounds} stalls came between grant and arrival");
            let stall = stall(&site, TTL + d_head + ms(700), &mut dice).await?;
            println!("  {rounds}: {stall:?}");
            ensure!(
                stall.arrived_after <= stall.granted_after + workers,
                "{} calls arrived after the stall, and {} were granted since: {stall:?}",
                stall.arrived_after,
                stall.granted_after
            );
            caught += usize::from(stall.granted_before >= stall.arrived_before + 10);
            rounds += 1;
        }
        Ok(())
    })
}

/// Calls of one round.
#[derive(Debug)]
struct Stall {
    granted_before: u64,
    arrived_before: u64,
    granted_after: u64,
    arrived_after: u64,
}

/// Sends many calls to the first replica and stops it meanwhile, for `time`.
async fn stall(site: &Site, time: Duration, dice: &mut Rng) -> Result<Stall> {
    let posted_at_first = posted(site)?;
    let begun = unix_us();
    let direct = Arc::new(Client::new(site.replicas[0].addr()));
    let load = Load::start(direct, BURST, &[], |_| Ask::new("m"));
    tokio::time::sleep(Duration::from_millis(dice.u64(2..40))).await;
    site.replicas[0].freeze()?;
    tokio::time::sleep(time).await;
    let posted_at_end = settled(site, 1).await?;
    let resumed = unix_us();
    site.replicas[0].thaw()?;
    load.finish().await;
    let arrivals = site.providers[0].arrivals().await?;
    let arrived = |from: u64, to: u64| {
        arrivals.iter().filter(|call| (from..to).contains(&call.arrival_us)).count() as u64
    };
    let arrived_after = arrived(resumed, u64::MAX);
    Ok(Stall {
        granted_before: posted_at_end - posted_at_first,
        arrived_before: arrived(begun, resumed),
        granted_after: all_told(site, posted_at_end, arrived_after).await?,
        arrived_after,
    })
}

/// Requests posted since there were `before` of them: a replica tells of its last ones a moment after it has answered
/// them, so they are awaited. What was sent late is never told of.
async fn all_told(site: &Site, before: u64, arrived: u64) -> Result<u64> {
    let by = Instant::now() + Duration::from_secs(5);
    loop {
        let since = settled(site, 2).await? - before;
        if since >= arrived || Instant::now() > by {
            return Ok(since);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Requests posted ever, once `lives` replicas live and nothing is held.
async fn settled(site: &Site, lives: usize) -> Result<u64> {
    for _ in 0..100 {
        let state = meters::read(&site.redis.url())?.context("there is no state in Redis")?;
        if state.lives.len() == lives && meters::held(&state).is_empty() {
            return posted(site);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let state = meters::read(&site.redis.url())?.context("there is no state in Redis")?;
    anyhow::bail!("not {lives} lives without holds: {:?}, {:?}", state.lives.keys(), meters::held(&state))
}

fn posted(site: &Site) -> Result<u64> {
    let state = meters::read(&site.redis.url())?;
    let pools = state.into_iter().flat_map(|state| state.pools.into_values());
    Ok(pools.flat_map(|pool| pool.meters).map(|meter| meter.posted).sum())
}
