//! A reservation: the proof that a call may be sent, and the duty to settle it exactly once.
//!
//! It settles in two steps, head and end, each posting what the provider is known to have charged. Dropped
//! unsettled, it posts the whole estimate: bytes may have been sent.

mod heard;

use std::sync::Arc;
use std::time::Instant;

use super::asking::Wish;
use super::bell::Bell;
use super::books::PoolBooks;
use super::core::Granted;
use super::core::SessionOutcome;
use super::core::mutant::{Mutant, on};
use super::core::{Amounts, Mode, Ms, Stage};
use super::ledger::Attempt;
use super::ledger::{Drawn, Ledger};
use super::pools::{Actual, PoolInfo};
use crate::config::Price;
use crate::dialect::quota::Left;

/// Granted room on every pool that an attempt touches.
#[derive(Debug)]
pub struct Reservation {
    /// Index of the chosen candidate.
    pub index: usize,
    /// What became of the call's session.
    pub session: SessionOutcome,
    /// Highest share in use over the drawn meters, millionths.
    pub share: u64,
    /// That of a probe of an open circuit; else 0.
    pub permit: u64,
    /// It was had from what this replica was lent: the state was not asked.
    pub leased: bool,
    /// Nothing may be sent on it later; ms of [`crate::clock::boot_ms`]. (The two below are for timers, which stand still
    /// while the machine is suspended; the state goes on counting.)
    pub send_by: Ms,
    /// The answer's head must have come by now, or the attempt is given up.
    pub head_by: Instant,
    /// The attempt is over by now.
    pub end_by: Instant,
    /// Logical time of the grant.
    pub(super) granted_at: Ms,
    pub(super) parts: Vec<Part>,
    pub(super) home: Option<(Attempt, Arc<Bell>)>,
    pub(super) head_settled: bool,
    /// By what budgets count.
    pub(super) price: Option<Box<Price>>,
}

/// What is held on one pool.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) info: Arc<PoolInfo>,
    pub(super) books: Arc<PoolBooks>,
    pub(super) amounts: Amounts,
    /// What all replicas had counted then, and ever, of each meter in turn; empty unless it was asked for.
    pub(super) used: Amounts,
}

impl Reservation {
    /// One of a world in simulated time, where no timer ends it: what `wish` was granted in the books of `ledger`.
    pub fn simulated(
        ledger: &Arc<Ledger>,
        bell: &Arc<Bell>,
        wish: &Wish,
        granted: &Granted,
        drawn: Vec<Drawn>,
    ) -> Reservation {
        let now = Instant::now();
        let part = |(pool, books, amounts): Drawn| Part {
            info: wish.infos[pool].clone(),
            books,
            amounts,
            used: Amounts::new(),
        };
        Reservation {
            index: granted.index,
            session: granted.session,
            share: granted.share,
            permit: granted.permit,
            leased: false,
            send_by: Ms::MAX,
            head_by: now,
            end_by: now,
            granted_at: granted.l,
            parts: drawn.into_iter().map(part).collect(),
            price: wish.prices.get(granted.index).copied().flatten().map(Box::new),
            home: Some((ledger.attempt(), bell.clone())),
            head_settled: false,
        }
    }

    /// Estimated tokens held on the provider's side, for the error of estimates: the largest token amount.
    pub fn held_tokens(&self) -> u64 {
        use crate::config::MeterKind::Tokens;
        let of = |part: &Part| {
            part.info.kinds.iter().zip(&part.amounts).filter(|(k, _)| **k == Tokens).map(|(_, n)| *n).max()
        };
        self.parts.iter().filter_map(of).max().unwrap_or(0)
    }

    /// The answer says what its provider has left of its limits; `limited`: whether they are those of a pool. To be called
    /// before the head is settled, which may ring.
    pub fn heard(&self, quota: &[Left], limited: impl Fn(&PoolInfo) -> bool) {
        let Some((ledger, _)) = self.home.as_ref().filter(|_| !quota.is_empty()) else { return };
        for part in self.parts.iter().filter(|part| limited(&part.info)) {
            let heard = heard::of(part, quota, self.granted_at);
            part.info.watch(heard.matters || part.books.is_lowered());
            if !part.used.is_empty() {
                ledger.heed(&part.books, &heard.said, heard.lowers);
            }
        }
    }

    /// The answer's head has come: what is charged by then is posted.
    pub fn head(&mut self) {
        if !self.head_settled {
            self.head_settled = true;
            self.post(Actual::Failed, |stage| stage == Stage::Head);
        }
    }

    /// The attempt is over.
    pub fn settle(mut self, actual: Actual) {
        self.finish(actual);
    }

    /// Provably no byte was sent: everything is given back and nothing posted.
    pub fn cancel(mut self) {
        let Some((ledger, bell)) = self.home.take() else { return };
        for part in &self.parts {
            for (meter, held) in part.amounts.iter().enumerate() {
                ledger.settle(&part.books, meter, *held, 0);
            }
        }
        bell.ring(self.parts.iter().map(|part| &*part.books), true);
    }

    fn finish(&mut self, actual: Actual) {
        if self.head_settled {
            self.post_excess(actual);
            self.post(actual, |stage| stage == Stage::End);
        } else {
            self.post(actual, |_| true);
        }
        self.home = None;
    }

    fn post(&self, actual: Actual, stages: impl Fn(Stage) -> bool) {
        let Some((ledger, bell)) = &self.home else { return };
        let mut freed = false;
        for part in &self.parts {
            for (meter, held) in part.amounts.iter().enumerate() {
                let shape = part.info.decl.meters[meter].shape;
                if stages(shape.stage) {
                    let amount = part.info.charge(meter, *held, actual, self.price.as_deref());
                    let amount = if on(Mutant::ExcessDropped) { amount.min(*held) } else { amount };
                    let gave = ledger.settle(&part.books, meter, *held, amount);
                    freed |= gave && shape.mode == Mode::Gauge;
                }
            }
        }
        bell.ring(self.parts.iter().map(|part| &*part.books), freed);
    }

    /// What a head meter is charged beyond the estimate that was posted with the head.
    fn post_excess(&self, actual: Actual) {
        let Some((ledger, _)) = &self.home else { return };
        for part in &self.parts {
            for (meter, held) in part.amounts.iter().enumerate() {
                if part.info.decl.meters[meter].shape.stage == Stage::Head {
                    let at_head = part.info.charge(meter, *held, Actual::Failed, None);
                    let in_all = part.info.charge(meter, *held, actual, None);
                    if in_all > at_head {
                        ledger.settle(&part.books, meter, 0, in_all - at_head);
                    }
                }
            }
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.home.is_some() {
            self.finish(Actual::Abandoned);
        }
    }
}
