//! The protocol searched exhaustively: two replicas, one pool, and everything that can happen in every order.

mod act;
mod check;
mod cluster;
mod notes;
mod print;
mod replica;
mod search;
mod setting;
mod twin;

use setting::{PLAIN, Setting};

use crate::state::core::Stage;
use crate::state::core::mutant::{Mutant, without};

fn number(name: &str, usual: u32) -> u32 {
    std::env::var(name).ok().and_then(|n| n.parse().ok()).unwrap_or(usual)
}

fn byte(name: &str, usual: u32) -> u8 {
    number(name, usual) as u8
}

#[test]
fn try_it() {
    const CALLS: [&[u64]; 5] = [&[2], &[2, 2], &[2, 1, 1], &[1, 1, 1, 1], &[2, 2, 2]];
    let end = number("END", 0) > 0;
    let setting = Setting {
        calls: CALLS[number("CALLS", 1) as usize],
        wire: number("WIRE", 1) as usize,
        late: byte("LATE", 0),
        lives: number("LIVES", 2).into(),
        crashes: byte("CRASHES", 0),
        doubles: byte("DOUBLES", 0),
        flushes: byte("FLUSHES", 0),
        failovers: byte("FAILOVERS", 0),
        lost_within: 1_000 * u64::from(number("LOST", 2)),
        steps: byte("STEPS", 0),
        step: [1_000, -2_000, 3_600_000][number("STEP", 0) as usize],
        stage: if end { Stage::End } else { Stage::Head },
        d_head: 1_000 * u64::from(number("HEAD", 1)),
        d_end: 1_000 * u64::from(number("HEAD", 1).max(number("END", 1))),
        idle: number("IDLE", 0) > 0,
        ..PLAIN
    };
    let outcome = search::search(setting, 1_000_000 * number("MILLIONS", 1) as usize);
    println!("{outcome:#?}");
}

#[test]
fn explore() {
    let prompt = Setting { wire: 0, ..PLAIN };
    let settings = [
        Setting { name: "late", late: 1, ..prompt },
        Setting { name: "late2", late: 2, ..prompt },
        Setting { name: "late-crash", late: 1, crashes: 1, ..prompt },
        Setting { name: "late-flush", late: 1, flushes: 1, ..prompt },
        Setting { name: "late-double", late: 1, doubles: 1, ..prompt },
        Setting { name: "late-double-crash", late: 1, doubles: 1, crashes: 1, ..prompt },
        Setting { name: "late-failover", late: 1, failovers: 1, ..prompt },
        Setting { name: "flush112", calls: &[2, 1, 1], flushes: 1, ..prompt },
        Setting { name: "prompt", crashes: 1, steps: 1, ..prompt },
        Setting { name: "prompt-hour", steps: 1, step: 3_600_000, ..prompt },
        Setting { name: "prompt-back", steps: 1, step: -3_600_000, ..prompt },
        Setting { name: "prompt-head3", d_head: 3_000, d_end: 3_000, crashes: 1, ..prompt },
        Setting { name: "prompt-end", stage: Stage::End, d_end: 4_000, crashes: 1, ..prompt },
        Setting { name: "prompt-flush", flushes: 1, ..prompt },
        Setting { name: "prompt-failover", failovers: 1, ..prompt },
        Setting { name: "prompt-flushcrash", flushes: 1, crashes: 1, d_head: 2_000, d_end: 2_000, ..prompt },
        Setting { name: "plain", ..PLAIN },
        Setting { name: "twice", doubles: 1, crashes: 1, ..PLAIN },
        Setting { name: "flush", flushes: 1, ..PLAIN },
        Setting { name: "flushtwice", flushes: 1, doubles: 1, ..PLAIN },
        Setting { name: "wire2", wire: 2, ..PLAIN },
        Setting { name: "flush2", flushes: 1, wire: 2, ..PLAIN },
    ];
    let settings = &settings[..number("SETTINGS", 22) as usize];
    std::panic::set_hook(Box::new(|_| {}));
    let only = std::env::var("WEIR_MUTANT").ok();
    for mutant in Mutant::ALL.iter().filter(|m| only.as_ref().is_none_or(|only| *only == format!("{m:?}"))) {
        print!("{mutant:?}");
        for setting in settings.iter().copied() {
            let outcome = without(*mutant, || search::search(setting, number("K", 100) as usize * 1_000));
            if *mutant == Mutant::HardShareFloored {
                print!(
                    " | {} {} {} {:.1} s",
                    setting.name, outcome.states, outcome.exhausted, outcome.seconds
                );
            }
            if let Some((breach, way)) = outcome.breach {
                print!(" | {} {} ({}) {}", setting.name, outcome.states, way.len(), &breach.rule[..2]);
            }
        }
        println!();
    }
}

#[test]
fn alike() {
    let setting = Setting {
        wire: number("WIRE", 0) as usize,
        late: byte("LATE", 0),
        crashes: byte("CRASHES", 0),
        doubles: byte("DOUBLES", 0),
        flushes: byte("FLUSHES", 0),
        failovers: byte("FAILOVERS", 0),
        steps: byte("STEPS", 0),
        ..PLAIN
    };
    println!(
        "{}",
        search::states_that_look_alike_go_on_alike(setting, number("K", 20) as usize * 1000)
            .unwrap_or_else(|e| panic!("{e}"))
    );
}
