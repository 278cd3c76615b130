//! A replica of the version before: its scripts, and what it knows of.

use std::sync::Arc;

use redis::Value;
use weir::state::core::*;
use weir::state::layout;
use weir::state::scripts::{Call, Keys};

use crate::redis_server::Server;

/// The scripts of the version before.
fn scripts(command: &Command) -> String {
    let text = match command {
        Command::Join(_) => include_str!("join.lua"),
        Command::Reserve(_) => include_str!("reserve.lua"),
        Command::Sync(_) => include_str!("sync.lua"),
        Command::Bye(_) => include_str!("bye.lua"),
    };
    [include_str!("common.lua"), text].concat()
}

/// What a replica of the version before cannot ask for is not asked for.
pub(crate) fn asking_for_nothing(command: &Command) -> Command {
    match command {
        Command::Reserve(ask) => {
            let mut ask =
                Reserve { tell: Tell::default(), most: meter::WHOLE, turn: None, ..(**ask).clone() };
            ask.pools.iter_mut().for_each(|pool| pool.slow_start = None);
            ask.session.iter_mut().for_each(|session| session.kin = Kin::default());
            // (The version before makes a call wait for a meter of which it asks nothing.)
            let draws = ask.common.iter_mut().chain(ask.candidates.iter_mut().flat_map(|one| &mut one.draws));
            draws.flat_map(|draw| &mut draw.amounts).for_each(|amount| *amount = (*amount).max(1));
            Command::Reserve(Arc::new(ask))
        }
        other => other.clone(),
    }
}

/// How attempts ended, how deployments behave and what providers said is not told in the version before, and it holds nobody to either.
pub(crate) fn without_outcomes(command: Command) -> Command {
    match command {
        Command::Sync(mut sync) => {
            sync.reports.iter_mut().for_each(|report| report.said.clear());
            sync.rests.iter_mut().for_each(|rest| rest.refused = false);
            Command::Sync(Sync { outcomes: vec![], telling: None, ..sync })
        }
        other => other,
    }
}

/// When the end of other calls makes room is a guess, and the version before guessed otherwise: of two refusals of which one
/// is a guess nothing is compared.
pub(crate) fn without_guesses(one: Reply, other: Reply) -> (Reply, Reply) {
    let denied = |reply: &Reply| match reply {
        Reply::Reserved(Reserved::Denied(denied)) => Some(denied.exact),
        _ => None,
    };
    match (denied(&one), denied(&other)) {
        (Some(exact), Some(same)) if !exact || !same => (one.clone(), one),
        _ => (one, other),
    }
}

/// The version before tells nothing unasked.
pub(crate) fn untold(reply: Reply) -> Reply {
    match reply {
        Reply::Reserved(Reserved::Granted(granted)) => {
            let used = Amounts::new();
            Reply::Reserved(Reserved::Granted(Granted { told: Told::default(), used, ..granted }))
        }
        Reply::Reserved(Reserved::Denied(denied)) => {
            Reply::Reserved(Reserved::Denied(Denied { told: Told::default(), ..denied }))
        }
        other => other,
    }
}

/// Runs a command as a replica of the version before would.
pub(crate) fn run(server: &mut Server, keys: &Keys, command: &Command, stamp: Stamp) -> Reply {
    let call = Call::new(keys, command, stamp);
    let value: Value = call.by_other_text(&scripts(command)).query(&mut server.connection).unwrap();
    layout::reply(call.asked, &value).unwrap()
}
