//! Strategies on deployments that serve in simulated time ([`crate::plan`]): three replicas with the code that routes, learns, shares
//! and reserves, on one state. Each deployment serves its calls side by side, the slower the more there are (as engines that batch
//! do). `tests/bench/strategies` runs this and keeps the numbers.
//!
//! Sizes are log-normal: input of 800 tokens in the middle (sigma 1.2), output of 250 (sigma 1.0), as in production traces of chat.

#[path = "standing/simulated_world.rs"]
mod world;

use std::time::{Duration, Instant};

use crate::config::ModelId;
use crate::plan::load::Coming;
use crate::plan::tally::Count;
use crate::standing::Look;
use world::*;

/// 1:2:4 in tokens a second, 4:2:1 in the time to the first: as providers serve, so many calls at once and each as fast as any.
fn providers(prices: [f64; 3]) -> [Engine; 3] {
    let engine = |at: usize, speed: f64| {
        let (slots, price) = (f64::INFINITY, prices[at]);
        Engine { speed: 25.0 * speed, first: 0.8 / speed, slots, price, rpm: None, concurrency: Some(20) }
    };
    [engine(0, 1.0), engine(1, 2.0), engine(2, 4.0)]
}

/// The same, as one's own engines serve: any number, the slower the more.
fn engines(prices: [f64; 3]) -> [Engine; 3] {
    providers(prices).map(|engine| Engine { slots: 8.0, concurrency: None, ..engine })
}

/// In `tests/bench/strategies` all is longer, with several seeds, and held to more.
fn is_bench() -> bool {
    std::env::var_os("WEIR_BENCH").is_some()
}

fn seeds() -> std::ops::Range<u64> {
    1..if is_bench() { 4 } else { 2 }
}

/// At 60 % load: learns for some minutes, then some are counted.
fn at_sixty(engines: &[Engine], model: &str, seed: u64) -> Count {
    let rate = 0.6 * engines.iter().map(|engine| engine.capacity()).sum::<f64>();
    let times = if is_bench() { (180, 720) } else { (60, 180) };
    let world = simulate(engines, &[model], &[Offered { rate, spike: None }], times, seed);
    let came = world.tally.all;
    let by_deployment: Vec<u64> = world.tally.deployments.iter().map(|of| of.served).collect();
    println!(
        "| {model}, {} | {} | {:.1} s | {:.1} s | {:?} | {:.2} |",
        match (engines[0].concurrency, engines[2].price > 1.0) {
            (Some(_), false) => "providers",
            (Some(_), true) => "providers, the fastest five times as dear",
            (None, _) => "engines",
        },
        came.served,
        came.took.mean() / 1e6,
        p95(&came),
        by_deployment,
        per_call(&came) * 1e3
    );
    came
}

/// p95 of completion by each strategy, the mean of three seeds, and what a call costs.
fn compare(engines: &[Engine], strategies: &[&str]) -> Vec<(f64, f64)> {
    let by = |strategy: &&str| {
        let all: Vec<Count> =
            seeds().map(|seed| at_sixty(engines, &format!("strategy = \"{strategy}\""), seed)).collect();
        let mean = |of: fn(&Count) -> f64| all.iter().map(of).sum::<f64>() / all.len() as f64;
        (mean(p95), mean(per_call))
    };
    strategies.iter().map(by).collect()
}

/// Broken on purpose to see it fail: the fastest taken whatever is in flight (engines).
#[test]
fn what_is_predicted_beats_what_was_measured() {
    let bound = if is_bench() { 0.85 } else { 1.0 };
    let of = compare(&providers([1.0; 3]), &["latency", "predictive"]);
    assert!(
        of[1].0 < bound * of[0].0,
        "providers: p95 {:.1} s by latency, {:.1} s predicted",
        of[0].0,
        of[1].0
    );
    let of = compare(&engines([1.0; 3]), &["latency", "predictive"]);
    assert!(of[1].0 < of[0].0, "engines: p95 {:.1} s by latency, {:.1} s predicted", of[0].0, of[1].0);
}

/// Broken on purpose to see it fail: the dear one in one tier with the others (it costs too much).
#[test]
fn composite_costs_as_little_as_cost_and_is_faster() {
    let all = [providers([1.0, 1.0, 5.0]), providers([1.0; 3]), engines([1.0; 3])];
    for engines in if is_bench() { &all[..] } else { &all[..1] } {
        let of = compare(engines, &["cost", "composite"]);
        let ((before, paid), (after, pays)) = (of[0], of[1]);
        let most = if is_bench() { 1.02 } else { 1.05 }; // a short run is one of chance
        assert!(pays <= most * paid && after < before, "cost {pays} over {paid}, p95 {after} under {before}");
    }
}

/// A model that may go anywhere, and one whose spike every two minutes only the first deployment can serve.
fn spiked(strategy: &str, seed: u64) -> [Count; 2] {
    let engine = |first: f64| Engine {
        speed: 100.0,
        first,
        slots: 60.0,
        price: 1.0,
        rpm: Some(300),
        concurrency: None,
    };
    let engines = [Engine { speed: 400.0, ..engine(0.1) }, engine(0.5), engine(0.5)];
    let only = format!("{strategy}\ndeployments = [\"d0\"]");
    let offered = [Offered { rate: 6.0, spike: None }, Offered { rate: 8.0, spike: Some((25.0, 120.0)) }];
    let times = (120, if is_bench() { 600 } else { 240 });
    let world = simulate(&engines, &[strategy, &only], &offered, times, seed);
    let [any, one] = [0, 1].map(|at| world.tally.names[at].clone());
    println!(
        "| {} | {} of {} | {:.1} s | {} of {} |",
        strategy,
        any.refusals(),
        any.came,
        p95(&any),
        one.refusals(),
        one.came,
    );
    [any, one]
}

/// Broken on purpose to see it fail: what the next minute brings left out.
#[test]
fn room_is_left_for_a_spike_that_comes_again() {
    let by = |strategy: &str| -> f64 {
        let refused = |seed| spiked(strategy, seed).iter().map(Count::refusals).sum::<u64>();
        seeds().map(refused).sum::<u64>() as f64
    };
    let (latency, predictive) = (by("strategy = \"latency\""), by("strategy = \"predictive\""));
    assert!(predictive < 0.6 * latency && latency > 50.0, "refused {predictive}, by latency {latency}");
}

/// Broken on purpose to see it fail: sums not told.
#[test]
fn a_replica_that_has_just_begun_knows_what_the_others_learnt() {
    let offered = [Offered { rate: 3.0, spike: None }];
    let mut world = world(&engines([1.0; 3]), &["strategy = \"predictive\""], &offered, (0, 240), 1);
    world.run(&mut |world| world.time().0 < 120_000_000); // in the middle, for what is known is known of such a load
    world.begin_anew(2).unwrap();
    let by = world.config().models[0].ranking.latency.measure;
    let look = Look { input: 800, output: 250, by, expects: true, replicas: 3 };
    for at in 0..3 {
        let [old, new] = [0, 2].map(|of| world.replicas[of].standings[at].outlook_at(look, world.ms()));
        let (old, new) = (old.expected.unwrap(), new.expected.unwrap());
        assert!((new / old - 1.0).abs() < 0.5, "{new:.2} s, not {old:.2}");
    }
}

fn middling() -> Coming {
    let (input, output) = (800, 250);
    let (at, name, tenant, max_tokens, stream, took) = (0, 0, None, None, true, None);
    Coming { at, name, tenant, input, weighs: input, output, max_tokens, stream, took }
}

/// Printed, and bounded in a release build.
#[test]
fn decisions_take_microseconds() {
    for (count, of) in [
        (5, "capacity"),
        (5, "latency"),
        (5, "predictive"),
        (64, "latency"),
        (64, "predictive"),
        (64, "composite"),
    ] {
        let engine =
            Engine { speed: 100.0, first: 0.1, slots: 50.0, price: 1.0, rpm: Some(1_000), concurrency: None };
        let offered = [Offered { rate: 40.0, spike: None }];
        let time = if is_bench() { 120 } else { 4 };
        let strategy = format!("strategy = \"{of}\"");
        let mut world = simulate(&vec![engine; count], &[&strategy], &offered, (0, time), 1);
        let config = world.config().clone();
        let mut decisions: Vec<Duration> = (0..if is_bench() { 5_000 } else { 200 })
            .map(|at| {
                let begun = Instant::now();
                let ranked = world.rank_at(at % REPLICAS, &middling(), (ModelId(0), true, None), &config);
                assert_eq!(ranked.len(), count);
                begun.elapsed()
            })
            .collect();
        decisions.sort_unstable();
        let at = |share: f64| decisions[(decisions.len() as f64 * share) as usize];
        println!("| {of}, {count} candidates | {:?} | {:?} |", at(0.5), at(0.99));
        assert!(!is_bench() || at(0.99) < Duration::from_millis(1));
    }
}
