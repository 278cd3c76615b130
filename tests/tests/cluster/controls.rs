//! Controls: with one protection removed from the gateway, the judge must find what the storm does to the limits.
//! They show that the tests can fail.

use anyhow::{Result, ensure};
use weir_tests::gateway::Binary;
use weir_tests::judge::Unit;
use weir_tests::place;
use weir_tests::scale::Scale;

use crate::alone;
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

fn must_break(control: &'static str) -> Result<()> {
    let path = place::damageable_weir()?;
    alone(async {
        for unit in [Unit::Requests, Unit::Tokens] {
            let binary = Binary { path: path.clone(), control: Some(control) };
            let failures = storm(unit, Some(binary), Scale::from_env()).await?.failures();
            println!("{control}, {unit:?}: {failures:?}");
            ensure!(!failures.is_empty(), "{control} passes unnoticed where {unit:?} are limited");
        }
        // And the same binary undamaged keeps them, so it is the damage that shows.
        let unharmed = Some(Binary { path, control: None });
        must_hold(&storm(Unit::Requests, unharmed, Scale::from_env()).await?, Unit::Requests)
    })
}
