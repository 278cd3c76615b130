//! Exact under failure: three replicas under twice the load that the limits allow, while one fault strikes again and
//! again at random times. The judge is `judge.py` on the providers' logs; the table is in `tests/bench/RESULTS.md`.
//!
//! `tests/faults NAME` runs the rows whose test's name contains NAME, `tests/faults --full NAME` in real minutes;
//! `WEIR_SEED` repeats the times of a run.

mod away;
pub(crate) mod fault;
mod outcome;
pub(crate) mod row;
mod stall;

use std::time::Duration;

use anyhow::{Result, bail};
use weir_tests::apart::is_root;
use weir_tests::scale::Scale;
use weir_tests::site::Timeouts;

use fault::Fault;
use row::{Row, SLOW, clock_bound, in_minutes, share_bound};

/// Broken on purpose to see it fail: nothing, for it is what the others are compared with (`limits` has that).
#[test]
fn without_a_fault_limits_are_used() -> Result<()> {
    Row { least_used: [0.93; 3], most_lost: 0.0, ..Row::new("steady", Fault::None) }.run_in_full()
}

/// Broken on purpose to see it fail: holds of the dead released, not posted (`controls`).
#[test]
fn killed_replicas_exceed_no_limit() -> Result<()> {
    Row { behaviour: SLOW, most_lost: 0.06, ..Row::new("kill -9 of a replica", Fault::KillReplica) }.run()
}

/// Broken on purpose to see it fail: as for killed ones. (What it sends late is another test's, `stall`.)
#[test]
fn stopped_replicas_exceed_no_limit() -> Result<()> {
    Row { behaviour: SLOW, most_lost: 0.15, ..Row::new("SIGSTOP of a replica", Fault::StopReplica) }.run()
}

/// Broken on purpose to see it fail: `on_outage = "open"`.
#[test]
fn a_stopped_redis_closes_and_exceeds_no_limit() -> Result<()> {
    let row = Row::new("SIGSTOP of Redis, closed", Fault::StopRedis);
    Row { closes: true, least_used: [0.3; 3], ..row }.run_in_full()
}

/// Broken on purpose to see it fail: what was drawn without the state counted once in the next outage, though
/// the state was not back for long enough to be looked at (the seed 14933072052996892202; this was so at first).
#[test]
fn a_stopped_redis_leaves_shares_within_the_bound() -> Result<()> {
    let row = Row::new("SIGSTOP of Redis, share", Fault::StopRedis);
    // A call that meets a stop, what is learnt after it and the next stop may have waited for all of its 4 s: 504. Redis
    // stands still for half of the time.
    Row {
        most_lost: 0.08,
        on_outage: "share",
        closes: true,
        bound: share_bound,
        shares: true,
        least_used: [0.4, 0.4, 0.3],
        ..row
    }
    .run()
}

/// Broken on purpose to see it fail: what replicas saw of the windows not taken (`controls`).
#[test]
fn a_flushed_redis_exceeds_no_limit() -> Result<()> {
    Row { least_used: [0.5; 3], ..Row::new("FLUSHALL", Fault::Flush) }.run()
}

/// Broken on purpose to see it fail: scripts not sent again when Redis does not know them.
#[test]
fn forgotten_scripts_exceed_no_limit() -> Result<()> {
    let least_used = in_minutes([0.93; 3], [0.93, 0.90, 0.75]);
    Row { least_used, most_lost: 0.0, ..Row::new("SCRIPT FLUSH", Fault::ForgetScripts) }.run()
}

/// Broken on purpose to see it fail: as with shares.
#[test]
fn an_emptied_redis_closes_and_exceeds_no_limit() -> Result<()> {
    let row = Row::new("Redis restarted empty, closed", Fault::EmptyRedis);
    Row { closes: true, least_used: [0.3; 3], ..row }.run_in_full()
}

/// Broken on purpose to see it fail: as for a flushed one.
#[test]
fn an_emptied_redis_leaves_shares_within_the_bound() -> Result<()> {
    let row = Row::new("Redis restarted empty, share", Fault::EmptyRedis);
    Row { on_outage: "share", bound: share_bound, shares: true, least_used: [0.5; 3], ..row }.run()
}

/// Broken on purpose to see it fail: `on_outage = "open"`.
#[test]
fn a_replica_cut_off_from_redis_closes_and_exceeds_no_limit() -> Result<()> {
    // It answers at once, so the balancer gives it more than its part.
    let least_used = in_minutes([0.75; 3], [0.65, 0.65, 0.5]);
    cut_off(Row { closes: true, least_used, ..Row::new("a replica cut off, closed", Fault::CutOff) })
}

/// One of three uses its third besides. Broken on purpose to see it fail: `on_outage = "open"`.
#[test]
fn a_replica_cut_off_from_redis_keeps_to_its_share() -> Result<()> {
    let bound = |_| 1.0 + 1.0 / 3.0;
    cut_off(Row { on_outage: "share", bound, ..Row::new("a replica cut off, share", Fault::CutOff) })
}

fn cut_off(row: Row) -> Result<()> {
    if !is_root() {
        if Scale::from_env().is_full() {
            bail!("a replica can be cut off in a network namespace only by root");
        }
        println!("SKIPPED, NOT SHOWN: a replica cut off from Redis; network namespaces need root");
        return Ok(());
    }
    if row.closes { row.run_in_full() } else { row.run() }
}

/// Broken on purpose to see it fail: the clock of Redis believed, whatever it does (`controls`).
#[test]
fn a_stepping_clock_of_redis_exceeds_its_bound_alone() -> Result<()> {
    Row { bound: clock_bound, ..Row::new("Redis' clock stepped", Fault::StepClock) }.run()
}

/// With one trouble each, and served again in time: `topologies`.
#[test]
fn failovers_by_sentinels_exceed_no_limit() -> Result<()> {
    Row { closes: true, least_used: [0.3; 3], ..Row::new("Sentinel failover", Fault::FailOver) }.run_in_full()
}

#[test]
fn a_killed_master_of_a_cluster_exceeds_no_limit() -> Result<()> {
    Row { closes: true, least_used: [0.4; 3], ..Row::new("Cluster master killed", Fault::KillMaster) }
        .run_in_full()
}

#[test]
fn a_slot_that_moves_exceeds_no_limit() -> Result<()> {
    Row { closes: true, least_used: [0.6; 3], ..Row::new("Cluster slot moved", Fault::MoveSlot) }
        .run_in_full()
}

/// Streams that last longer than an expiry takes, of replicas that stand still across their deadlines. Broken on
/// purpose to see it fail: every limit told to Weir at twice what the provider keeps.
#[test]
fn long_streams_of_stopped_replicas_exceed_no_limit() -> Result<()> {
    let ms = Duration::from_millis;
    Row {
        timeouts: Timeouts { connect: ms(500), first_token: ms(1_000), total: ms(20_000) },
        output: 80..150,
        behaviour: "--latency 300ms --pace 100ms --jitter 0.3",
        stream_every: 1,
        limits: [60, 9_000, 15_000],
        // Streams are longer than a short window: what the dead held fills much of it.
        least_used: in_minutes([0.75, 0.75, 0.5], [0.6, 0.6, 0.2]),
        most_lost: 0.15,
        ..Row::new("SIGSTOP, streams of 8 to 15 s", Fault::StopReplica)
    }
    .run()
}
