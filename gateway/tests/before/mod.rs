//! A replica of the version before: its scripts, and what it does not ask for.

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
    [include_str!("common.lua"), include_str!("lives.lua"), text].concat()
}

/// As the version before asks, or is answered otherwise: it makes a call wait for a meter of which it asks nothing, and lends nothing.
pub(crate) fn as_before(command: Command) -> Command {
    match command {
        Command::Reserve(ask) => {
            let mut ask = (*ask).clone();
            let draws = ask.common.iter_mut().chain(ask.candidates.iter_mut().flat_map(|one| &mut one.draws));
            draws.flat_map(|draw| &mut draw.amounts).for_each(|amount| *amount = (*amount).max(1));
            Command::Reserve(Arc::new(ask))
        }
        Command::Sync(mut sync) => {
            sync.reports.iter_mut().for_each(|report| report.wants.clear());
            Command::Sync(sync)
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
