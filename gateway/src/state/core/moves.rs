//! Sessions that moved lately, told to replicas that remember where sessions are ([`crate::state::pins`]).
//!
//! Every SYNC that counts is answered with all of the last [`KEPT`] ms: one that is lost is made up for by the next, and who has heard of
//! none for so long knows that it may have missed some.

use std::collections::VecDeque;

use super::Ms;

/// How long a move is told of, ms.
pub const KEPT: Ms = 2_000;
/// So many are told of; if more move, only that is told.
const MOST: usize = 256;

/// What moved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Moves {
    /// When, the session's key, the tag of the deployment where it is now; in the order in which they moved.
    pub latest: VecDeque<(Ms, String, u64)>,
    /// When the newest moved that is not kept for want of room; 0: never.
    pub dropped: Ms,
}

/// What a SYNC is told of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// There were others as well.
    pub more: bool,
    /// The session's key, and the tag of the deployment where it is now, in the order in which they moved.
    pub to: Vec<(String, u64)>,
}

impl Moves {
    pub(super) fn note(&mut self, session: &str, tag: u64, l: Ms) {
        self.latest.retain(|(at, ..)| at + KEPT >= l);
        self.latest.push_back((l, session.to_owned(), tag));
        if self.latest.len() > MOST {
            self.dropped = self.latest.pop_front().map_or(0, |(at, ..)| at);
        }
    }

    pub(super) fn told(&self, l: Ms) -> Moved {
        let late = self.latest.iter().filter(|(at, ..)| at + KEPT >= l);
        Moved {
            more: self.dropped > 0 && self.dropped + KEPT >= l,
            to: late.map(|(_, session, tag)| (session.clone(), *tag)).collect(),
        }
    }
}
