//! The protocol searched exhaustively: two replicas, one pool, and everything that can happen, in every order.
//!
//! The shared state is the real core, and its commands and replies are the real ones. The replicas are small models that
//! can be copied and compared; [`twin`] holds them to the real ones, word for word. Time goes in ticks of a second (a
//! bucket, and a life's TTL). [`search`] visits every state once, those with less time passed first, so that what it
//! finds is short. [`check`] says what must hold in each; [`scopes`] within which bounds; [`kills`] that it would see it
//! if a protection were missing.

mod act;
mod check;
mod cluster;
mod kills;
mod notes;
mod print;
mod replica;
mod scopes;
mod search;
mod setting;
mod twin;

use setting::Setting;

#[test]
fn nothing_that_can_happen_breaks_the_protocol() {
    let more = if scopes::is_full() { scopes::FULL } else { &[] };
    for setting in scopes::QUICK.iter().chain(more) {
        let outcome = search::search(*setting, usize::MAX);
        println!("{}: {outcome}", setting.name);
        if let Some((breach, way)) = outcome.breach {
            panic!("{}: {}\n{}\n{way:?}", setting.name, breach.rule, breach.detail);
        }
        assert!(outcome.exhausted, "{}", setting.name);
    }
}

/// The first so many states of a setting that has everything in it, and of one where most messages are late.
#[test]
fn states_that_look_alike_go_on_alike() {
    let most = if scopes::is_full() { 50_000 } else { 300 };
    let all =
        Setting { late: 1, crashes: 1, doubles: 1, flushes: 1, failovers: 1, steps: 1, ..scopes::PROMPT };
    let wire = Setting { wire: 2, crashes: 1, ..setting::PLAIN };
    for setting in [scopes::CRASH, scopes::FLUSH, scopes::FAILOVER, all, wire] {
        match search::states_that_look_alike_go_on_alike(setting, most) {
            Ok(alike) => assert!(alike > most, "{alike} are too few to tell"),
            Err(ways) => panic!("{}: one can do what the other cannot\n{ways}", setting.name),
        }
    }
}
