//! What is under way: a RESERVE without its answer yet, and an attempt that may still post.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Ledger;
use crate::state::books::PoolBooks;
use crate::state::core::mutant::{Mutant, on};
use crate::state::core::{Amounts, Reserve};

/// What was drawn on a pool: its index in the request, its books, the amounts.
pub type Drawn = (usize, Arc<PoolBooks>, Amounts);

/// An attempt that may still post into a life's books, even if it holds nothing any more: what it costs beyond its
/// estimate is known at its end only.
#[derive(Debug)]
pub(in crate::state) struct Attempt(Arc<Ledger>);

impl std::ops::Deref for Attempt {
    type Target = Ledger;

    fn deref(&self) -> &Ledger {
        &self.0
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.0.attempts.fetch_sub(1, Ordering::Release); // what it posted is in the books by now
    }
}

/// A RESERVE on its way. Dropped without an answer, it leaves its pools in doubt for a while.
#[derive(Debug)]
pub struct Outstanding {
    ledger: Arc<Ledger>,
    ask: Arc<Reserve>,
    id: u64,
    resolved: bool,
    lacks: bool, // it would not have been sent with loans enough
}

impl Ledger {
    /// Books a RESERVE that is about to be sent.
    pub fn sending(self: &Arc<Self>, ask: Arc<Reserve>) -> Outstanding {
        self.open(&ask);
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        self.outstanding.lock().insert(id, ask.clone());
        Outstanding { ledger: self.clone(), ask, id, resolved: false, lacks: false }
    }

    /// An attempt is granted: until that is dropped it may post here.
    pub(in crate::state) fn attempt(self: &Arc<Self>) -> Attempt {
        self.attempts.fetch_add(1, Ordering::Relaxed);
        Attempt(self.clone())
    }
}

impl Outstanding {
    /// It would not have been sent with loans enough: if it is granted, more is wanted.
    pub fn lacking(mut self, lacks: bool) -> Outstanding {
        self.lacks = lacks;
        self
    }

    /// It was granted to candidate `index`: the books of every pool drawn on, with the amounts. None if the data set
    /// that granted it has been replaced: the one that replaced it does not know of the grant.
    pub fn granted(mut self, index: usize, share: u64) -> Option<Vec<Drawn>> {
        let ledger = self.ledger.clone();
        let epoch = ledger.epoch.read();
        if *epoch != self.ask.caller.epoch && !on(Mutant::OldEpochGrantUsed) {
            return None;
        }
        let mut drawn = Vec::with_capacity(self.ask.pools.len());
        for draw in self.ask.common.iter().chain(&self.ask.candidates[index].draws) {
            let decl = &self.ask.pools[draw.pool];
            if !decl.meters.is_empty() {
                let pool = self.ledger.pool(decl);
                self.ledger.consume(&pool, &draw.amounts);
                if self.lacks {
                    pool.lacked(&draw.amounts);
                }
                pool.saw_share(share);
                drawn.push((draw.pool, pool, draw.amounts.clone()));
            }
        }
        self.resolved = true;
        Some(drawn)
    }

    /// It was answered without a grant.
    pub fn refused(mut self) {
        self.resolved = true;
    }
}

impl Drop for Outstanding {
    fn drop(&mut self) {
        if !self.resolved {
            self.ledger.doubt(&self.ask);
        }
        self.ledger.outstanding.lock().remove(&self.id);
    }
}
