//! Worlds from seeds and from proptest.

use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};

use super::judge::Breach;
use super::plan::Plan;
use super::world::{Tally, World};

/// `WEIR_WORLDS`, or `usual`.
fn worlds(usual: u64) -> u64 {
    std::env::var("WEIR_WORLDS").ok().and_then(|n| n.parse().ok()).unwrap_or(usual)
}

/// `WEIR_SEED`, or a fresh one; printed, so that a failure can be repeated.
fn seed() -> u64 {
    let fresh = || fastrand::u64(..) >> 16;
    let seed = std::env::var("WEIR_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or_else(fresh);
    println!("WEIR_SEED={seed}");
    seed
}

/// Worlds that once broke a rule, or do so without some protection. They are tried first.
fn kept() -> impl Iterator<Item = u64> {
    let lines = include_str!("seeds.txt").lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| {
        line.split(" | ").next().and_then(|seed| seed.parse().ok()).expect("SEED | what it found")
    })
}

#[test]
fn no_rule_breaks_in_any_world() {
    let first = seed();
    let mut sum = Tally::default();
    for world in kept().chain(first..first + worlds(1_000)) {
        match World::run(&Plan::random(world)) {
            Ok(tally) => sum.add(tally),
            Err(Breach { rule, detail }) => {
                let knobs = Plan::random(world).knobs;
                panic!(
                    "world {world}: {rule}\n{detail}\n{knobs:?}\n\
                    WEIR_WORLDS=1 WEIR_SEED={world} WEIR_TRACE=1 shows it. Add to seeds.txt what it found:\n\
                    {world} | {rule}"
                )
            }
        }
    }
    println!("{sum:?}");
    assert!((sum.granted + sum.shared) * 50 > sum.steps, "the worlds grant too rarely to mean much");
    assert!(sum.deaths > 0 && sum.gone > 0 && sum.checked > 0 && sum.fullest >= 1_000, "{sum:?}");
}

#[test]
fn no_rule_breaks_in_a_world_that_shrinks() {
    let config = Config {
        cases: worlds(150) as u32,
        max_shrink_iters: 20_000,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(seed()),
        ..Config::default()
    };
    let result = TestRunner::new(config).run(&Plan::any(), |plan| match World::run(&plan) {
        Ok(_) => Ok(()),
        Err(breach) => Err(TestCaseError::fail(format!("{}: {}", breach.rule, breach.detail))),
    });
    if let Err(failure) = result {
        panic!("{failure}");
    }
}
