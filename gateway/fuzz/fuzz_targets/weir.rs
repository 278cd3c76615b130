//! One of the targets of `tests/fuzz/targets.rs`, which `WEIR_FUZZ_TARGET` names, under libFuzzer.

#![no_main]

#[path = "../../tests/fuzz/targets.rs"]
mod targets;

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use targets::{TARGETS, Target};

static CHOSEN: LazyLock<&Target> = LazyLock::new(|| {
    let name = std::env::var("WEIR_FUZZ_TARGET").unwrap_or_default();
    let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
    let found = TARGETS.iter().find(|target| target.name == name);
    found.unwrap_or_else(|| panic!("WEIR_FUZZ_TARGET must be one of {}", names.join(", ")))
});

fuzz_target!(|input: &[u8]| (CHOSEN.run)(input));
