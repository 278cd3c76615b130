//! Controls: with one protection removed from the gateway, the judge must find what the storm does to the limits.
//! They show that the tests can fail.

use anyhow::{Result, bail, ensure};
use weir_tests::gateway::Binary;
use weir_tests::judge::Unit;
use weir_tests::place;
use weir_tests::scale::Scale;

use crate::circuits;
use crate::faults::fault::Fault;
use crate::faults::row::{Row, SLOW, clock_bound};
use crate::in_turn;
use crate::storm::{must_hold, storm};

#[test]
#[ignore = "builds a gateway with the feature `controls`"]
fn releasing_the_holds_of_the_dead_breaks_the_limits() -> Result<()> {
    must_break("release-expired")
}

#[test]
#[ignore = "builds a gateway with the feature `controls`"]
fn counting_in_two_weighted_buckets_breaks_the_limits() -> Result<()> {
    must_break("two-buckets")
}

#[test]
#[ignore = "builds a gateway with the feature `controls`"]
fn checking_and_reserving_in_two_steps_breaks_the_limits() -> Result<()> {
    must_break("split-check")
}

#[test]
#[ignore = "builds a gateway with the feature `controls`"]
fn releasing_the_holds_of_the_dead_breaks_the_limits_under_faults() -> Result<()> {
    must_break_under(
        "release-expired",
        Row { behaviour: SLOW, ..Row::new("control: kill -9", Fault::KillReplica) },
    )?;
    must_break_under(
        "release-expired",
        Row { behaviour: SLOW, ..Row::new("control: SIGSTOP", Fault::StopReplica) },
    )
}

#[test]
#[ignore = "builds a gateway with the feature `controls`"]
fn forgetting_what_replicas_saw_breaks_the_limits_when_data_are_lost() -> Result<()> {
    must_break_under("forget-images", Row::new("control: FLUSHALL", Fault::Flush))?;
    must_break_under("forget-images", Row::new("control: emptied", Fault::EmptyRedis))
}

#[test]
#[ignore = "builds a gateway with the feature `controls`"]
fn believing_the_clock_of_redis_breaks_the_bound() -> Result<()> {
    let row = Row::new("control: clock", Fault::StepClock);
    must_break_under("believe-clock", Row { bound: clock_bound, ..row })
}

#[test]
#[ignore = "builds a gateway with the feature `controls`"]
fn letting_probes_pile_up_is_noticed() -> Result<()> {
    // (At a rate at which calls come while a probe is on its way.)
    let binary = Some(Binary { path: place::damageable_weir()?, control: Some("probes-pile-up") });
    let (_, probes) = in_turn(circuits::one_dies(binary, 600.0))?;
    ensure!(probes > circuits::PERIODS as usize, "probes-pile-up passes unnoticed");
    Ok(())
}

/// A row of the faults on a gateway with a damage must exceed its bound.
fn must_break_under(control: &'static str, row: Row) -> Result<()> {
    let path = place::damageable_weir()?;
    for _ in 0..TIMES {
        let binary = Some(Binary { path: path.clone(), control: Some(control) });
        let breaches = in_turn(Row { binary, ..row.clone() }.suffer(Scale::short()))?.breaches();
        println!("{control}: {breaches:?}");
        if !breaches.is_empty() {
            return Ok(());
        }
    }
    bail!("{control} passes unnoticed")
}

fn must_break(control: &'static str) -> Result<()> {
    let path = place::damageable_weir()?;
    in_turn(async {
        for unit in [Unit::Requests, Unit::Tokens] {
            let damaged = || Some(Binary { path: path.clone(), control: Some(control) });
            ensure!(
                is_noticed(control, unit, damaged).await,
                "{control} passes unnoticed where {unit:?} are limited"
            );
        }
        // And the same binary undamaged keeps them, so it is the damage that shows.
        let unharmed = Some(Binary { path, control: None });
        must_hold(&storm(Unit::Requests, unharmed, Scale::from_env()).await?, Unit::Requests)
    })
}

/// Where a window begins, when calls end and what a fault meets is chance, so a damage may pass unnoticed twice.
const TIMES: usize = 3;

async fn is_noticed(control: &str, unit: Unit, damaged: impl Fn() -> Option<Binary>) -> bool {
    for _ in 0..TIMES {
        match storm(unit, damaged(), Scale::from_env()).await {
            Ok(verdict) => {
                let failures = verdict.failures();
                println!("{control}, {unit:?}: {failures:?}");
                if !failures.is_empty() {
                    return true;
                }
            }
            Err(void) => println!("{control}, {unit:?}: {void:#}"),
        }
    }
    false
}
