//! Redis away for two windows, and back empty, under a load that the limits do not allow.

use anyhow::{Result, ensure};
use weir_tests::client::Answer;
use weir_tests::scale::Scale;

use super::fault::Fault;
use super::row::{Row, share_bound};
use crate::in_turn;

const SECOND_US: u64 = 1_000_000;

/// Broken on purpose to see it fail: `on_outage = "open"`.
#[test]
fn redis_away_closes_the_gateway_and_its_return_opens_it() -> Result<()> {
    away(
        Row { closes: true, least_used: [0.3; 3], ..Row::new("Redis away, closed", Fault::RedisAway) },
        |answer| answer.status == 503 && answer.retry_after.is_some() && answer.took.as_secs() < 1,
    )
}

/// Broken on purpose to see it fail: `on_outage = "open"`.
#[test]
fn redis_away_leaves_each_replica_its_share() -> Result<()> {
    let row = Row {
        on_outage: "share",
        bound: share_bound,
        shares: true,
        least_used: [0.6; 3],
        ..Row::new("Redis away, share", Fault::RedisAway)
    };
    away(row, |answer| matches!(answer.status, 200 | 429))
}

/// Runs the row; a second after Redis went until it is back every answer must be `fine`, and two seconds after its
/// return none may be for want of it.
fn away(row: Row, fine: fn(&Answer) -> bool) -> Result<()> {
    let row = Row { windows: 4, ..row };
    let outcome = in_turn(row.suffer(Scale::from_env()))?;
    let part = |from: u64, to: u64| outcome.answers.iter().filter(move |a| (from..to).contains(&a.sent_us));
    for strike in &outcome.strikes {
        let mut during = 0;
        for answer in part(strike.began_us + SECOND_US, strike.mended_us - SECOND_US / 2) {
            ensure!(fine(answer), "while Redis was away: {answer:?}");
            during += 1;
        }
        ensure!(during > 50, "void: only {during} calls while Redis was away");
        let back = part(strike.mended_us + 2 * SECOND_US, u64::MAX);
        let closed: Vec<&Answer> = back.filter(|answer| answer.status == 503).collect();
        ensure!(
            closed.is_empty(),
            "{} calls failed 2 s after its return, such as {:?}",
            closed.len(),
            closed[0]
        );
    }
    outcome.must_hold(&row)?;
    row.must_leave_nothing(outcome)
}
