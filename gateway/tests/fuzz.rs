//! Every parser of foreign bytes, on its corpus and on mutants of it. `cargo fuzz` runs the same targets (`fuzz/README.md`).
//!
//! `WEIR_FUZZ_SECONDS=60` looks so long for something at each target; `WEIR_FUZZ_TARGET=sse` at one alone;
//! `WEIR_FUZZ_SEED=7` repeats a run; `WEIR_FUZZ_INPUT=FILE` runs one input of the target that is named. `WEIR_TRAFFIC`
//! names a folder of recorded traffic, whose bodies are taken as corpus besides.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails by panicking")]

#[path = "fuzz/long.rs"]
mod long;
#[path = "fuzz/mutate.rs"]
mod mutate;
#[path = "fuzz/run.rs"]
mod run;
#[path = "fuzz/targets.rs"]
mod targets;
#[path = "fuzz/traffic.rs"]
mod traffic;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use run::{Bound, Findings};
use targets::{TARGETS, Target};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus")
}

/// The inputs of a target's corpus, by name.
fn corpus(target: &Target) -> Vec<Vec<u8>> {
    let folder = folder().join(target.name);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|err| panic!("{}: {err}", folder.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} has no corpus", target.name);
    files.iter().map(|file| std::fs::read(file).unwrap()).collect()
}

fn chosen() -> impl Iterator<Item = &'static Target> {
    let name = std::env::var("WEIR_FUZZ_TARGET").ok();
    TARGETS.iter().filter(move |target| name.as_deref().is_none_or(|name| name == target.name))
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect("a number"))
}

#[test]
fn every_folder_of_the_corpus_has_a_target_and_all_are_small() {
    let mut size = 0;
    for entry in std::fs::read_dir(folder()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let target = TARGETS.iter().find(|target| target.name == name);
        size +=
            corpus(target.unwrap_or_else(|| panic!("no target {name}"))).iter().map(Vec::len).sum::<usize>();
    }
    assert!(size < 300 << 10, "{size} bytes");
}

#[test]
fn the_corpus_passes() {
    run::listen();
    let mut found = Findings::default();
    for target in chosen() {
        found.try_input(target, b"");
        corpus(target).iter().for_each(|input| found.try_input(target, input));
    }
    found.conclude();
}

/// Seen to fail: it found a key that passed behind an escape, an index that no client reads, and instructions without a
/// turn beside them (`shown.rs`, Chat's and Converse's own tests say which).
#[test]
fn mutants_of_the_corpus_pass() {
    run::listen();
    let seed = number("WEIR_FUZZ_SEED").unwrap_or(1);
    let bound = match number("WEIR_FUZZ_SECONDS") {
        Some(seconds) => Bound::Time(Duration::from_secs(seconds)),
        None => Bound::Inputs(100),
    };
    let mut found = Findings::default();
    for target in chosen() {
        let mut inputs = corpus(target);
        inputs.extend(traffic::inputs(target.name));
        let begin = Instant::now();
        let runs = run::search(target, &inputs, seed, &bound, &mut found);
        println!("{}: seed {seed}, {runs} inputs in {:.1?}", target.name, begin.elapsed());
    }
    found.conclude();
}

#[test]
fn long_inputs_take_time_in_proportion() {
    run::listen();
    let thorough = number("WEIR_FUZZ_SECONDS").is_some();
    // (A configuration is the operator's own, and each of its problems is shown with its line.)
    for target in chosen().filter(|target| target.name != "config") {
        let begin = Instant::now();
        long::check(target, &corpus(target), thorough);
        println!("{}: long inputs in {:.1?}", target.name, begin.elapsed());
    }
}

/// Runs the input that `WEIR_FUZZ_INPUT` names; what a run found repeats so.
#[test]
fn one_input() {
    let Ok(file) = std::env::var("WEIR_FUZZ_INPUT") else { return };
    let input = std::fs::read(&file).unwrap();
    chosen().for_each(|target| (target.run)(&input));
}
