//! SYNC and BYE: what is told of lives that the state knows, and what its answers mean.

use std::sync::Arc;

use super::{Heard, Resting, Side};
use crate::state::books::{Given, PoolBooks};
use crate::state::core::mutant::{Mutant, on};
use crate::state::core::{Caller, Incarnation, Ms, Outcome, PoolReport, Reply, Rest, Sync, Telling};
use crate::state::lease::Policy;
use crate::state::ledger::Ledger;
use crate::state::living::Life;

/// What a SYNC that is on its way says.
#[derive(Debug)]
pub struct Told {
    ledger: Arc<Ledger>,
    epoch: u64,
    books: Vec<Arc<PoolBooks>>,
    given: Vec<Given>, // before
    reports: Vec<PoolReport>,
    rests: Vec<Rest>,
    outcomes: Vec<Outcome>,
    telling: Option<Telling>,
    counted: bool,
    sent: Ms, // own clock; it went out then or later
}

impl Side {
    /// The next SYNC of the current life; if one that counts the living, it also looks at windows, to remember them.
    pub fn sync(&mut self, now: Ms, count: bool) -> Option<(Sync, Told)> {
        let ledger = self.ledger()?.clone();
        let left = |(key, Resting { until, refused }): (Arc<str>, Resting)| Rest {
            key,
            for_ms: until.saturating_sub(now),
            refused,
        };
        let rests = std::mem::take(&mut self.rests).into_iter().map(left);
        let rests: Vec<Rest> = rests.filter(|rest| rest.for_ms > 0 || rest.refused).collect();
        let outcomes = self.due_outcomes(count);
        let telling = self.due_telling(&ledger, count);
        if self.leaving || !ledger.lasts(now) {
            ledger.give_back();
        }
        let borrows = self.borrows.filter(|_| count && !self.leaving).map(|policy| (now, policy));
        let (sync, told) = self.report(ledger, rests, (now, borrows), count, count);
        let sync = Sync { outcomes: outcomes.clone(), telling: telling.clone(), ..sync };
        Some((sync, Told { outcomes, telling, ..told }))
    }

    /// The next SYNCs of older lives. They look as well: after a loss of data what was posted since a look is posted again.
    pub fn older(&mut self, now: Ms) -> Vec<(Sync, Told)> {
        let older = &self.lives[..self.lives.len().saturating_sub(1)];
        let known = older.iter().filter(|life| life.to_tell.is_none()).map(|life| life.ledger.clone());
        let known: Vec<_> = known.collect();
        known.iter().for_each(|ledger| ledger.give_back());
        known.into_iter().map(|ledger| self.report(ledger, Vec::new(), (now, None), true, false)).collect()
    }

    fn report(
        &self,
        ledger: Arc<Ledger>,
        rests: Vec<Rest>,
        (now, borrows): (Ms, Option<(Ms, Policy)>),
        look: bool,
        count: bool,
    ) -> (Sync, Told) {
        let (books, reports) = ledger.report(look, borrows);
        let caller = self.caller(&ledger, now);
        let say = |(pool, report): (&Arc<PoolBooks>, &PoolReport)| pool.say(report.returned.iter().copied());
        let told = Told {
            ledger,
            epoch: caller.epoch,
            given: books.iter().zip(&reports).map(say).collect(),
            books,
            reports: reports.clone(),
            rests: rests.clone(),
            outcomes: Vec::new(),
            telling: None,
            counted: count,
            sent: now,
        };
        (Sync { caller, reports, rests, outcomes: Vec::new(), telling: None, count }, told)
    }

    /// The answer to a SYNC.
    pub fn synced(&mut self, told: Told, reply: Reply, now: Ms) -> Heard {
        let inc = told.ledger.inc();
        let own = self.lives.iter().any(|l| l.to_tell.is_none() && Arc::ptr_eq(&l.ledger, &told.ledger));
        let current = own && told.ledger.epoch() == told.epoch;
        match reply {
            Reply::Synced(synced) if current => {
                self.saw(told.epoch, synced.l, now);
                if synced.lease {
                    Side::renewed(&told.ledger, told.sent);
                }
                told.ledger.heard(&told.books, &told.reports, synced.pools, told.sent, now);
                // (While it learns, the living are those that are still to tell as well.)
                if told.counted {
                    self.learn_circuits(synced.circuits, synced.l, now);
                    self.circuits_were_told(told.sent);
                }
                if told.telling.is_some() {
                    self.learn_behaviours(synced.behaviours, &synced.live, &inc, (synced.l, now));
                }
                if told.counted && !synced.learning {
                    self.count(synced.live, now);
                    self.forget_past(now);
                }
                let counted = told.counted.then(|| (self.live(), synced.moved, told.sent));
                Heard::Taken { counted, learning: synced.learning }
            }
            reply => {
                if matches!(reply, Reply::Epoch(_) | Reply::Gone(_)) {
                    self.untold(&told.outcomes); // nothing of it was taken
                    self.untold_behaviour(&told.telling, true);
                }
                if matches!(reply, Reply::Epoch(_)) {
                    told.books.iter().zip(told.given.clone()).for_each(|(pool, given)| pool.unsay(given));
                }
                self.unanswered(told, now);
                self.refused(&inc, &reply, now)
            }
        }
    }

    /// A SYNC was not answered: everything in it is said again, but for how attempts ended, which may have been heard.
    pub fn unanswered(&mut self, told: Told, now: Ms) {
        told.ledger.unheard(&told.books, &told.reports);
        self.untold_behaviour(&told.telling, false);
        told.rests.into_iter().for_each(|rest| self.rest(rest.key, now + rest.for_ms, rest.refused));
    }

    /// Older lives that are over: nothing runs in them, all of it was told, and the current one has seen it since, so that
    /// it knows of it should the state go away. A BYE is due.
    pub fn over(&mut self, now: Ms) -> Vec<Caller> {
        let leaving = self.leaving;
        let Some((current, older)) = self.lives.split_last_mut() else { return Vec::new() };
        let idle = |life: &Life| life.to_tell.is_none() && life.ledger.is_idle() && life.ledger.is_told();
        for life in older.iter_mut().filter(|life| life.done.is_none() && idle(life)) {
            life.done = Some(now);
            current.ledger.look_at_all_of(&life.ledger);
        }
        let over = |life: &&Life| {
            let seen = |done| current.ledger.saw_all_of(&life.ledger, done) || on(Mutant::PastForgotten);
            idle(life) && (leaving || life.done.is_some_and(seen))
        };
        let over: Vec<_> = older.iter().filter(over).map(|life| life.ledger.clone()).collect();
        over.iter().map(|ledger| self.caller(ledger, now)).collect()
    }

    /// The answer to a BYE of an older life.
    pub fn left(&mut self, inc: &Incarnation, reply: &Reply, now: Ms) {
        match reply {
            Reply::Left(true) => self.lives.retain(|life| !life.ledger.is(inc)),
            Reply::Left(false) => {} // a grant that nobody waits for: a SYNC gives it back
            reply => {
                self.refused(inc, reply, now);
            }
        }
    }
}
