//! What is allowed is also given: demand above a limit uses it up.

use super::mutants::call_to;
use super::plan::{Knobs, MINUTE, Op, Plan};
use super::world::{BORN, World};

#[test]
fn demand_above_a_limit_gets_93_percent_of_it() {
    let knobs = Knobs { windows: MINUTE, more: 1, ..Knobs::default() };
    let n = call_to(1, &knobs, 1..20);
    let (windows, per, cap) = (22, 6_000, 4);
    // Three replicas ask every 50 ms, for ever.
    let ops = (0..windows * per / 50).map(|at| Op { wait: 50, what: 0, who: at as u8, n }).collect();
    let world = World::lived(&Plan { knobs, ops }).map_err(|breach| panic!("{breach:?}")).unwrap();
    let (first, last) = (BORN + per, BORN + (windows - 1) * per);
    let charges = &world.judge.charges[&(1, 0)];
    let used = charges.iter().filter(|charge| charge.lo >= first && charge.lo < last).count() as u64;
    let most = cap * (windows - 2);
    assert!(used * 100 >= most * 93, "{used} of {most}");
    println!("{used} of {most}");
}
