//! One life of a replica: its books, and what of them a data set must still be told before it may be spoken to.

use std::sync::Arc;

use super::books::PoolBooks;
use super::core::{Join, Ms};
use super::ledger::Ledger;
use super::share::Before;

#[derive(Debug)]
pub(super) struct Life {
    pub ledger: Arc<Ledger>,
    pub alone: Option<Ms>,    // own clock at the last grant without the state
    pub done: Option<Ms>,     // own clock when nothing ran in it any more and all of it was told
    pub to_tell: Option<u64>, // the data set of this name must be told of it before anything else; 0: any, by a JOIN
    pub untold: Option<Vec<Arc<PoolBooks>>>, // pools that it was not told of yet, once that has begun
    told: u64,                // the data set that was told of the others
    grants: u64,              // without the state
    told_of: u64,             // of these, when the last JOIN was written
}

impl Life {
    /// One that no data set knows of.
    pub(super) fn unknown(ledger: Ledger) -> Life {
        Life {
            ledger: Arc::new(ledger),
            alone: None,
            done: None,
            to_tell: Some(0),
            untold: None,
            told: 0,
            grants: 0,
            told_of: 0,
        }
    }

    /// As one before the current one, that may go on.
    pub(super) fn before(&self) -> Before {
        Before { ledger: self.ledger.clone(), alone: self.alone, over: None }
    }

    /// It was granted something without the state.
    pub(super) fn granted(&mut self, now: Ms) {
        self.alone = Some(now);
        self.grants += 1;
        (self.untold, self.told) = (None, 0); // what was told so far is out of date
    }

    /// A JOIN is written: it tells of all grants so far.
    pub(super) fn telling(&mut self) {
        self.told_of = self.grants;
    }

    /// The data set `epoch` took what `join` told. Whether it knows all now.
    pub(super) fn took(&mut self, epoch: u64, join: &Join, at_once: usize) -> bool {
        let before = std::mem::replace(&mut self.told, epoch);
        if before != 0 && before != epoch || self.told_of != self.grants {
            // Another one than that which took the parts before, or more was granted since: all over again.
            self.untold = None;
            return false;
        }
        if join.more {
            if let Some(untold) = &mut self.untold {
                untold.truncate(untold.len().saturating_sub(at_once));
            }
            return false;
        }
        (self.to_tell, self.untold, self.told) = (None, None, 0);
        self.ledger.turn(epoch);
        true
    }

    /// It must be told to the data set `epoch`, from the beginning.
    pub(super) fn tell(&mut self, epoch: u64) {
        (self.to_tell, self.untold, self.told) = (Some(epoch), None, 0);
    }
}
