//! The items of `input` and `output`: messages, calls, what tools returned, reasoning, and what only this dialect has.
//!
//! What the model says is a row of items here and one message elsewhere. Two marks keep apart what would run together: a
//! piece with `#item` begins a message item, a foreign piece with `#part` stands in one.

mod read;
mod write;

use super::fields::mark;
use super::parts::is_part;
use crate::dialect::talk::Piece;

pub(super) use read::{Item, read, read_output, say};
pub(super) use write::{is_foreign, item_fields, reasoning, sealed, write};

/// Pieces that make one item.
pub(super) enum Group<'a> {
    /// A message item.
    Message(Vec<&'a Piece>),
    /// An item that is one piece.
    Item(&'a Piece),
}

/// The items that pieces make, in their order.
pub(super) fn groups(pieces: &[Piece]) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for piece in pieces {
        match groups.last_mut() {
            _ if !is_part(piece) => groups.push(Group::Item(piece)),
            Some(Group::Message(parts)) if mark(&piece.extra, "#item").is_none() => parts.push(piece),
            _ => groups.push(Group::Message(vec![piece])),
        }
    }
    groups
}
