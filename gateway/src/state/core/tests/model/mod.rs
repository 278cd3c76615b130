//! The protocol searched exhaustively: two replicas, one pool, and everything that can happen in every order.

mod check;
mod cluster;
mod print;
mod replica;
mod search;
mod setting;

use setting::Setting;

use crate::state::core::Stage;

const PLAIN: Setting = Setting {
    name: "plain",
    tick: 1_000,
    width: 1_000,
    buckets: 2,
    stage: Stage::Head,
    d_head: 1_000,
    d_end: 1_000,
    limit: 3,
    calls: &[2, 2],
    wire: 2,
    joins: 0,
    crashes: 0,
    doubles: 0,
    flushes: 0,
    failovers: 0,
    lost_within: 3_000,
    steps: 0,
    step: 1_000,
    idle: false,
};

fn number(name: &str, usual: u8) -> u8 {
    std::env::var(name).ok().and_then(|n| n.parse().ok()).unwrap_or(usual)
}

#[test]
fn try_it() {
    const CALLS: [&[u64]; 5] = [&[2], &[2, 2], &[2, 1, 1], &[1, 1, 1, 1], &[2, 2, 2]];
    let setting = Setting {
        calls: CALLS[number("CALLS", 1) as usize],
        wire: number("WIRE", 1) as usize,
        joins: number("JOINS", 0),
        crashes: number("CRASHES", 0),
        doubles: number("DOUBLES", 0),
        flushes: number("FLUSHES", 0),
        failovers: number("FAILOVERS", 0),
        lost_within: 1_000 * u64::from(number("LOST", 2)),
        steps: number("STEPS", 0),
        ..PLAIN
    };
    let outcome = search::search(setting, 1_000_000 * number("MILLIONS", 1) as usize);
    println!("{outcome:#?}");
}
