//! Bytes of the shared state: the messages to the scripts, their replies, and the packed records. The only place
//! that knows them on this side; `lua/common.lua` describes the records.

mod messages;
mod msgpack;
mod records;
mod replies;

use std::fmt::Write;
use std::sync::Arc;

pub use messages::{head, join, reserve, sync};
pub use records::{decode, decode_line, decode_lives, decode_pin};
pub use replies::{Asked, reply};

use super::core::{Mode, Shape, Stage};

/// The version of the records; a script refuses records of another.
pub const LAYOUT: u64 = 3;

/// A reply or a record that cannot be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// A Weir whose records have another layout owns this state.
    #[error("the shared state has records of another layout")]
    OtherLayout,
    /// It does not have the expected form; what was being read.
    #[error("unexpected {0} from the shared state")]
    Unexpected(&'static str),
}

fn malformed(what: &'static str) -> Malformed {
    Malformed::Unexpected(what)
}

/// The name of a budget in the period that ends then, Unix time, ms.
pub fn dated(name: &str, until: u64) -> String {
    format!("{name}@{until}")
}

/// The key of a pool: its name and the shape of its meters, so that a pool of another shape is another record.
/// Example: `account/a/gpt-4o|r60000.t60000e`.
pub fn pool_key(name: &str, meters: impl IntoIterator<Item = (char, Shape)>) -> Arc<str> {
    let mut key = String::from(name);
    for (at, (letter, shape)) in meters.into_iter().enumerate() {
        key.push(if at == 0 { '|' } else { '.' });
        let stage = if shape.stage == Stage::End { "e" } else { "" };
        // Writing to a String cannot fail.
        let _ = match shape.mode {
            Mode::Window => write!(key, "{letter}{}{stage}", shape.span()),
            Mode::Gauge => write!(key, "{letter}"),
        };
    }
    key.into()
}
