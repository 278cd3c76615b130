//! A replica's side of the protocol, as decisions: which message to send next, what a reply means. No I/O and no
//! clock, so that the simulated cluster runs the very code that [`super::client`] runs.
//!
//! Times are milliseconds of the replica's own clock, which must count suspensions ([`super::client::boot_ms`]).

use std::sync::Arc;

use ahash::AHashMap;

use super::core::mutant::{Mutant, on};
use super::core::{Caller, Incarnation, Join, Memory, Ms, PoolReport, Reply, Rest, Sync, TTL};
use super::ledger::{Ledger, PoolBooks};

/// How long attempts may take at most; told to the state, which posts a dead replica's holds only after that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// From RESERVE to an answer's head, ms.
    pub head: Ms,
    /// From RESERVE to its end, ms.
    pub end: Ms,
}

/// One replica's side.
#[derive(Debug)]
pub struct Side {
    name: String,
    deadlines: Deadlines,
    last_k: u64,
    life: Option<Arc<Ledger>>,
    /// The data set of this name must be told of the life before anything else is said.
    unknown_to: Option<u64>,
    /// Books of the life before, for what they remember of the windows.
    past: Option<Arc<Ledger>>,
    roster: Vec<Incarnation>,
    roster_at: Ms,                 // own clock; 0: never heard
    ack: Option<(Ms, Ms)>,         // logical time of the newest reply; own clock when it came
    rests: AHashMap<Arc<str>, Ms>, // until when
}

/// What a SYNC that is on its way says.
#[derive(Debug)]
pub struct Told {
    ledger: Arc<Ledger>,
    epoch: u64,
    books: Vec<Arc<PoolBooks>>,
    reports: Vec<PoolReport>,
    rests: Vec<Rest>,
    counted: bool,
}

/// What a reply came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// It was taken.
    Taken {
        /// Replicas alive, this one included, if they were counted.
        live: Option<usize>,
        /// The data set is learning what it may have lost: it grants nothing yet.
        learning: bool,
    },
    /// The life is over; what was to be told of it is void.
    Lost,
    /// The data set is another one, and must be told of this life first.
    Unknown,
    /// The data set is learning what it has lost.
    Learning,
    /// Not an answer to this question.
    Unexpected,
}

impl Side {
    /// Of the replica `name`, whose lives so far were numbered up to `last_k`.
    pub fn new(name: String, deadlines: Deadlines, last_k: u64) -> Side {
        Side {
            name,
            deadlines,
            last_k,
            life: None,
            unknown_to: None,
            past: None,
            roster: Vec::new(),
            roster_at: 0,
            ack: None,
            rests: AHashMap::new(),
        }
    }

    /// The current life's books, if the data set knows of it; else a JOIN is due.
    pub fn ledger(&self) -> Option<&Arc<Ledger>> {
        self.life.as_ref().filter(|_| self.unknown_to.is_none())
    }

    /// See [`Deadlines`].
    pub fn deadlines(&self) -> Deadlines {
        self.deadlines
    }

    /// The number of the latest life.
    pub fn last_k(&self) -> u64 {
        self.last_k
    }

    /// Logical time of the newest reply; 0: none.
    pub fn heard_at(&self) -> Ms {
        self.ack.map_or(0, |(l, _)| l)
    }

    /// What a message of `ledger`'s life says of its sender.
    pub fn caller(&self, ledger: &Ledger, now: Ms) -> Caller {
        let (l_ack, x) = self.ack.map_or((0, 0), |(l, at)| (l, now.saturating_sub(at)));
        Caller { epoch: ledger.epoch(), inc: ledger.inc.clone(), l_ack, x }
    }

    /// Has the state not been heard for so long that it would put a call off?
    pub fn is_behind(&self, now: Ms) -> bool {
        self.ledger().is_some() && self.ack.is_some_and(|(_, at)| now.saturating_sub(at) > TTL / 2)
    }

    /// A reply of the data set `epoch` told logical time `l`.
    pub fn saw(&mut self, epoch: u64, l: Ms, now: Ms) {
        let current = self.life.as_ref().is_some_and(|ledger| ledger.epoch() == epoch);
        if current && l > self.heard_at() {
            self.ack = Some((l, now));
        }
    }

    /// The JOIN that begins the next life, or the HELLO that continues this one in another data set.
    pub fn join(&mut self, now: Ms) -> Join {
        let roster = self.roster.clone();
        let mut pools = self.past.as_ref().map_or(Vec::new(), |past| past.memories(now));
        let (inc, epoch) = match (&self.life, self.unknown_to) {
            (Some(life), Some(epoch)) => {
                pools.extend(life.turn(epoch, now));
                (life.inc.clone(), epoch)
            }
            _ => {
                self.last_k += 1;
                (Incarnation { name: self.name.clone(), k: self.last_k }, 0)
            }
        };
        let Deadlines { head: d_head, end: d_end } = self.deadlines;
        Join {
            inc,
            d_head,
            d_end,
            epoch,
            memory: Memory { age: now.saturating_sub(self.roster_at), roster, pools },
        }
    }

    /// The answer to it: the number of replicas alive; none if another JOIN is due.
    pub fn joined(&mut self, join: &Join, reply: &Reply, now: Ms) -> Option<usize> {
        match reply {
            Reply::Joined(joined) => {
                if join.epoch == 0 {
                    self.life = Some(Arc::new(Ledger::new(join.inc.clone(), joined.epoch)));
                } else if self.unknown_to != Some(join.epoch) {
                    return None; // meanwhile there is yet another data set
                }
                self.unknown_to = None;
                self.ack = None; // another data set may tell another time
                self.saw(joined.epoch, joined.l, now);
                return Some(joined.live);
            }
            Reply::Gone(highest) => self.lost(&join.inc, *highest),
            Reply::Epoch(epoch) => self.moved(&join.inc, *epoch),
            _ => {}
        }
        None
    }

    /// The data set that answered `inc` is `epoch`, not the one that was spoken to.
    fn moved(&mut self, inc: &Incarnation, epoch: u64) {
        if self.life.as_ref().is_some_and(|life| life.inc == *inc && life.epoch() != epoch) {
            self.unknown_to = Some(epoch);
        }
    }

    /// What a reply means that is not the one hoped for.
    pub fn refused(&mut self, inc: &Incarnation, reply: &Reply) -> Heard {
        match reply {
            Reply::Gone(highest) => {
                self.lost(inc, *highest);
                Heard::Lost
            }
            Reply::Epoch(epoch) => {
                self.moved(inc, *epoch);
                Heard::Unknown
            }
            Reply::Learning(_) => Heard::Learning,
            _ => Heard::Unexpected,
        }
    }

    /// Notes that a pool is to be left alone until `until`, by every replica.
    pub fn rest(&mut self, key: Arc<str>, until: Ms) {
        let known = self.rests.entry(key).or_default();
        *known = until.max(*known);
    }

    /// The next SYNC of the current life; if one that counts the living, it also looks at windows, to remember them.
    pub fn sync(&mut self, now: Ms, count: bool) -> Option<(Sync, Told)> {
        let ledger = self.ledger()?.clone();
        let left = |(key, until): (Arc<str>, Ms)| Rest { key, for_ms: until.saturating_sub(now) };
        let rests: Vec<Rest> = self.rests.drain().map(left).filter(|rest| rest.for_ms > 0).collect();
        let (books, reports) = ledger.report(count);
        let caller = self.caller(&ledger, now);
        let (said, epoch) = (reports.clone(), caller.epoch);
        let told = Told { ledger, epoch, books, reports: said, rests: rests.clone(), counted: count };
        Some((Sync { caller, reports, rests, count }, told))
    }

    /// The answer to a SYNC.
    pub fn synced(&mut self, told: Told, reply: Reply, now: Ms) -> Heard {
        let inc = told.ledger.inc.clone();
        let own = self.ledger().is_some_and(|ledger| Arc::ptr_eq(ledger, &told.ledger));
        let current = own && (told.ledger.epoch() == told.epoch || on(Mutant::OldEpochSyncTaken));
        match reply {
            Reply::Synced(synced) if current => {
                self.saw(told.epoch, synced.l, now);
                told.ledger.heard(&told.books, &told.reports, synced.pools, now);
                if told.counted {
                    (self.roster, self.roster_at) = (synced.live, now);
                }
                Heard::Taken { live: told.counted.then_some(self.roster.len()), learning: synced.learning }
            }
            reply => {
                self.unanswered(told, now);
                self.refused(&inc, &reply)
            }
        }
    }

    /// A SYNC was not answered: everything in it is said again.
    pub fn unanswered(&mut self, told: Told, now: Ms) {
        told.ledger.unheard(&told.books);
        self.say_again(told.rests, now);
    }

    fn say_again(&mut self, rests: Vec<Rest>, now: Ms) {
        rests.into_iter().for_each(|rest| self.rest(rest.key, now + rest.for_ms));
    }

    /// The life `inc` is over; `highest` is the highest number that the state knows of this name.
    pub fn lost(&mut self, inc: &Incarnation, highest: u64) {
        self.last_k = self.last_k.max(highest);
        if self.life.as_ref().is_some_and(|ledger| ledger.inc == *inc) {
            self.past = self.life.take();
            self.unknown_to = None;
        }
    }
}
