use super::*;
use crate::state::core::{Declared, Joined, Shape, Stage};

fn decl(key: String) -> PoolDecl {
    let declared = Declared { shape: Shape::window(6_000, Stage::Head), cap: 10, pace: 0 };
    PoolDecl { key: key.into(), meters: [declared].into(), slow_start: None }
}

/// Broken on purpose once: not rotated.
#[test]
fn replicas_tell_of_pools_in_orders_of_their_own() {
    let pools: Vec<_> = (0..50).map(|at| Arc::new(PoolBooks::new(decl(format!("p{at:02}"))))).collect();
    let told = |name| -> Vec<Arc<str>> {
        in_own_order(pools.clone(), name).iter().map(|pool| pool.decl.key.clone()).collect()
    };
    let (mut one, mut two) = (told("weir-0"), told("weir-1"));
    assert_ne!(one, two);
    one.sort();
    two.sort();
    assert_eq!(one, two, "each tells of all");
    assert!(in_own_order(Vec::new(), "weir-0").is_empty());
}

/// A replica with a life that the state knows, in which something was used.
fn with_a_life() -> Side {
    let deadlines = Deadlines { head: 500, end: 900 };
    let mut side = Side::new("one".into(), deadlines, 0, 0, 0);
    let join = side.due(10).expect("a JOIN");
    let joined = Reply::Joined(Joined { epoch: 1, l: 1_000, live: 1 });
    assert!(side.joined(&join, &joined, 10));
    let ledger = side.ledger().expect("a life").clone();
    let pool = ledger.pool(&decl("p".into()));
    ledger.settle(&pool, 0, 0, 3);
    side
}

/// Broken on purpose once: the bound without the window's span.
#[test]
fn what_a_life_that_is_over_used_is_remembered_while_a_window_may_hold_it() {
    let mut side = with_a_life();
    let inc = side.ledger().expect("a life").inc();
    side.lost(&inc, 1, 100);
    let over = 100 + TTL + 900 + Shape::window(6_000, Stage::Head).span();
    side.forget_past(over);
    assert_eq!(side.past.len(), 1);
    side.forget_past(over + 1);
    assert!(side.past.is_empty());
}

/// Broken on purpose once: the current life waited for to look.
#[test]
fn an_older_life_ends_at_once_when_the_replica_leaves() {
    let mut side = with_a_life();
    side.retime(Deadlines { head: 600, end: 900 });
    let join = side.due(20).expect("a JOIN");
    assert!(side.joined(&join, &Reply::Joined(Joined { epoch: 1, l: 1_010, live: 1 }), 20));
    let (_, _told) = side.older(30).pop().expect("an older life, and all of it told");
    assert!(side.over(30).is_empty(), "nobody has seen yet what was used in it");
    side.leave();
    assert_eq!(side.over(30).len(), 1);
}
