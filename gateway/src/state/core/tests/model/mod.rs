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

/// The first so many states of each setting that is searched.
#[test]
fn states_that_look_alike_go_on_alike() {
    let most = if scopes::is_full() { 20_000 } else { 300 };
    let mut failed = Vec::new();
    for setting in scopes::QUICK.iter().chain(scopes::FULL) {
        match search::states_that_look_alike_go_on_alike(*setting, most) {
            Ok(alike) => assert!(alike > most / 10, "{}: {alike} are too few to tell", setting.name),
            Err(ways) => failed.push(format!("{}: one can do what the other cannot\n{ways}", setting.name)),
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
