//! A replica's side of the protocol, as decisions: which message to send next, what a reply means. No I/O and no
//! clock, so that the simulated cluster runs the very code that [`super::client`] runs.
//!
//! A replica lives one life after another, and may have several at once: the current one, which new calls are booked
//! in, and older ones whose calls still run. A life begins in books that no data set knows of; a JOIN makes it known,
//! before the first call as a rule. While the state is away calls are booked all the same ([`super::share`]), and the
//! JOIN tells of them later.
//!
//! Times are milliseconds of the replica's own clock, which must count suspensions ([`super::client::boot_ms`]).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::books::PoolBooks;
use super::core::mutant::{Mutant, on};
use super::core::{Caller, Incarnation, Join, Memory, Ms, PoolReport, Reply, Reserve, Rest, Sync, TTL};
use super::ledger::Ledger;
use super::living::Life;
use super::share::{Before, Share, Shared};

/// After so long without an answer the state counts as away for everybody: nobody was answered within [`TTL`], so
/// whoever is answered next meets the rejoin barrier.
pub const AWAY_AFTER: Ms = TTL + TTL / 2;
/// Tries to ask the state that are further apart than this do not show that it was away in between.
const STALL: Ms = 500;
/// For so long at most an answer to a JOIN is waited for before sharing goes on; calls wait as well.
const ASKING: Ms = 300;
/// Pools that one JOIN tells of at most: a script must be over long before a command times out.
const TOLD_AT_ONCE: usize = 64;
/// The highest number of replicas heard of within this time is what limits are divided by.
const MOST_WITHIN: Ms = 300_000;

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
    lives: Vec<Life>, // the current one last
    roster: Vec<Incarnation>,
    roster_at: Ms,                 // own clock; 0: never heard
    ack: Option<(Ms, Ms)>,         // logical time of the newest reply; own clock when it came
    heard: Ms, // own clock at the newest reply, of whatever data set; before it, at the start
    rests: BTreeMap<Arc<str>, Ms>, // until when
    expected: u64, // replicas, by the configuration; 0: it does not say
    most: (u64, Ms), // replicas alive, the most heard of lately, and when
    share: Option<Share>,
    failing: Option<(Ms, Ms)>, // since when, and when last, the state was asked in vain; own clock
    asking_until: Ms, // own clock; until then nothing is shared, for the state may be about to answer
    at_once: usize,   // pools that one JOIN tells of at most
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

/// What may be done without the state.
#[derive(Debug)]
pub enum Alone {
    /// Nothing yet: the state was heard this ms ago too lately, others may still be asking it.
    NotYet(Ms),
    /// Nothing: nobody knows among how many to share.
    Never,
    /// A part of the limits was asked.
    Shared(Arc<Ledger>, Shared),
}

impl Side {
    /// Of the replica `name`, whose lives so far were numbered up to `last_k`; it starts at `now`. `expected`: replicas
    /// by the configuration, 0 if it does not say.
    pub fn new(name: String, deadlines: Deadlines, last_k: u64, expected: u64, now: Ms) -> Side {
        Side {
            name,
            deadlines,
            last_k,
            lives: Vec::new(),
            roster: Vec::new(),
            roster_at: 0,
            ack: None,
            heard: now,
            rests: BTreeMap::new(),
            expected,
            most: (0, 0),
            share: None,
            failing: None,
            asking_until: 0,
            at_once: TOLD_AT_ONCE,
        }
    }

    /// Tells of so many pools at once at most.
    #[cfg(test)]
    pub fn telling(self, at_once: usize) -> Side {
        Side { at_once, ..self }
    }

    /// The current life's books, if the data set knows of it; else a JOIN is due.
    pub fn ledger(&self) -> Option<&Arc<Ledger>> {
        self.lives.last().filter(|life| life.to_tell.is_none()).map(|life| &life.ledger)
    }

    /// Books of all lives that are not over.
    pub fn ledgers(&self) -> impl Iterator<Item = &Arc<Ledger>> {
        self.lives.iter().map(|life| &life.ledger)
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
        Caller { epoch: ledger.epoch(), inc: ledger.inc(), l_ack, x }
    }

    /// Has the state not been heard for so long that it would put a call off?
    pub fn is_behind(&self, now: Ms) -> bool {
        self.ledger().is_some() && self.ack.is_some_and(|(_, at)| now.saturating_sub(at) > TTL / 2)
    }

    /// A reply of the data set `epoch` told logical time `l`.
    pub fn saw(&mut self, epoch: u64, l: Ms, now: Ms) {
        if !self.lives.iter().any(|life| life.to_tell.is_none() && life.ledger.epoch() == epoch) {
            return;
        }
        self.answered(now);
        if l > self.heard_at() {
            self.ack = Some((l, now));
        }
    }

    /// Takes note of who lives: replicas, each of which may have several lives.
    fn count(&mut self, living: Vec<Incarnation>, now: Ms) {
        (self.roster, self.roster_at) = (living, now);
        let live = self.live() as u64;
        if live >= self.most.0 || now.saturating_sub(self.most.1) > MOST_WITHIN {
            self.most = (live, now);
        }
    }

    /// Replicas alive, this one included, when they were counted last.
    fn live(&self) -> usize {
        self.roster.iter().map(|inc| &inc.name).collect::<std::collections::BTreeSet<_>>().len()
    }

    /// Among how many limits are shared while the state is away; none if nobody knows.
    pub fn shares(&self) -> Option<u64> {
        let shares = self.most.0.max(self.expected);
        let shares = if on(Mutant::WholeShares) { 1 } else { shares };
        (shares > 0).then_some(shares)
    }

    /// Asks for a part of the limits while the state is away.
    pub fn ask_alone(
        &mut self,
        ask: &mut Arc<Reserve>,
        counts: impl Fn(usize) -> bool,
        pin: Option<u64>,
        now: Ms,
    ) -> Alone {
        let since = self.failing.map_or(now, |(since, _)| since);
        let away = if on(Mutant::SharedAtOnce) { 0 } else { self.heard.max(since) + AWAY_AFTER };
        let due = away.max(self.asking_until);
        if now < due {
            return Alone::NotYet(due - now);
        }
        if self.share.is_none() {
            let Some(shares) = self.shares() else { return Alone::Never };
            if self.lives.last().is_none_or(|life| life.to_tell != Some(0)) {
                self.begin();
            }
            if let Some(life) = self.lives.last_mut() {
                life.tell(0); // what was told of it so far is out of date from now on
            }
            let of = |life: &Life| Before { ledger: life.ledger.clone(), alone: life.alone };
            let mut before: Vec<_> = self.lives.iter().map(of).collect();
            let Some(Before { ledger, .. }) = before.pop() else { return Alone::Never };
            let mut share = Share::new(shares, ledger, before, self.deadlines, self.heard, now);
            self.rests.iter().for_each(|(key, until)| share.rest(key, *until));
            self.share = Some(share);
        }
        let (Some(share), Some(life)) = (&mut self.share, self.lives.last_mut()) else { return Alone::Never };
        let (l_ack, x) = (0, 0);
        Arc::make_mut(ask).caller = Caller { epoch: life.ledger.epoch(), inc: life.ledger.inc(), l_ack, x };
        let shared = share.reserve(ask, counts, pin, now);
        if let Shared::Granted(..) = shared {
            life.granted(now);
        }
        Alone::Shared(life.ledger.clone(), shared)
    }

    /// Among how many limits are being shared.
    pub fn is_sharing(&self) -> Option<u64> {
        self.share.as_ref().map(Share::of)
    }

    /// Begins the next life, in books that no data set knows of.
    fn begin(&mut self) {
        self.last_k += 1;
        let inc = Incarnation { name: self.name.clone(), k: self.last_k };
        let ledger = match self.lives.last() {
            Some(life) => life.ledger.heir(inc),
            None => Ledger::new(inc, 0),
        };
        self.lives.push(Life::unknown(ledger));
    }

    /// The next JOIN that makes a life known, or HELLO that continues it in another data set; none if all are known.
    /// Until it is answered, or known not to be, nothing is shared.
    pub fn due(&mut self, now: Ms) -> Option<Join> {
        if self.lives.is_empty() {
            self.begin();
        }
        let life = self.lives.iter_mut().rev().find(|life| life.to_tell.is_some())?;
        let epoch = life.to_tell?;
        self.asking_until = now + ASKING;
        life.telling();
        life.ledger.turn(epoch);
        let untold = life.untold.get_or_insert_with(|| life.ledger.pools());
        let (part, more) = (untold.len().saturating_sub(self.at_once), untold.len() > self.at_once);
        let pools = untold[part..].iter().filter_map(|pool| pool.memory(now)).collect();
        let ledger = life.ledger.clone();
        let Deadlines { head: d_head, end: d_end } = self.deadlines;
        let memory = Memory { age: now.saturating_sub(self.roster_at), roster: self.roster.clone(), pools };
        Some(Join { inc: ledger.inc(), d_head, d_end, epoch, memory, more })
    }

    /// The answer to it; whether it was the one hoped for.
    pub fn joined(&mut self, join: &Join, reply: &Reply, now: Ms) -> bool {
        let at_once = self.at_once;
        match reply {
            Reply::Joined(joined) => {
                self.answered(now);
                let life = self.life(&join.inc).filter(|life| life.to_tell == Some(join.epoch));
                let Some(life) = life else { return false };
                if !life.took(joined.epoch, join, at_once) {
                    return true;
                }
                self.ack = None; // another data set may tell another time
                self.saw(joined.epoch, joined.l, now);
                true
            }
            other => {
                self.refused(&join.inc, other, now);
                false
            }
        }
    }

    /// The state has answered: nothing is shared any more, what was is told first.
    fn answered(&mut self, now: Ms) {
        self.heard = self.heard.max(now);
        (self.share, self.asking_until, self.failing) = (None, 0, None);
    }

    /// The state was asked and did not answer.
    pub fn failed(&mut self, now: Ms) {
        // After a stall of this process nothing is known of the time before.
        let since = self.failing.filter(|(_, last)| now.saturating_sub(*last) <= STALL);
        self.failing = Some((since.map_or(now, |(since, _)| since), now));
    }

    /// A JOIN was not answered; sharing goes on.
    pub fn unjoined(&mut self) {
        self.asking_until = 0;
    }

    fn life(&mut self, inc: &Incarnation) -> Option<&mut Life> {
        self.lives.iter_mut().find(|life| life.ledger.is(inc))
    }

    /// The data set that answered `inc` is `epoch`, not the one that was spoken to.
    fn moved(&mut self, inc: &Incarnation, epoch: u64) {
        if let Some(life) = self.life(inc).filter(|l| l.to_tell != Some(0) && l.ledger.epoch() != epoch) {
            life.tell(epoch);
        }
    }

    /// What a reply means that is not the one hoped for.
    pub fn refused(&mut self, inc: &Incarnation, reply: &Reply, now: Ms) -> Heard {
        self.answered(now);
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
        if let Some(pool) = self.ledgers().last().and_then(|ledger| ledger.find(&key)) {
            pool.rests(until);
        }
        if let Some(share) = &mut self.share {
            share.rest(&key, until);
        }
        let known = self.rests.entry(key).or_default();
        *known = until.max(*known);
    }

    /// The next SYNC of the current life; if one that counts the living, it also looks at windows, to remember them.
    pub fn sync(&mut self, now: Ms, count: bool) -> Option<(Sync, Told)> {
        let ledger = self.ledger()?.clone();
        let left = |(key, until): (Arc<str>, Ms)| Rest { key, for_ms: until.saturating_sub(now) };
        let rests = std::mem::take(&mut self.rests).into_iter().map(left);
        let rests: Vec<Rest> = rests.filter(|rest| rest.for_ms > 0).collect();
        Some(self.report(ledger, rests, now, count))
    }

    /// The next SYNCs of older lives.
    pub fn older(&mut self, now: Ms) -> Vec<(Sync, Told)> {
        let older = &self.lives[..self.lives.len().saturating_sub(1)];
        let known = older.iter().filter(|life| life.to_tell.is_none()).map(|life| life.ledger.clone());
        let known: Vec<_> = known.collect();
        known.into_iter().map(|ledger| self.report(ledger, Vec::new(), now, false)).collect()
    }

    fn report(&self, ledger: Arc<Ledger>, rests: Vec<Rest>, now: Ms, count: bool) -> (Sync, Told) {
        let (books, reports) = ledger.report(count);
        let caller = self.caller(&ledger, now);
        let (said, epoch) = (reports.clone(), caller.epoch);
        let told = Told { ledger, epoch, books, reports: said, rests: rests.clone(), counted: count };
        (Sync { caller, reports, rests, count }, told)
    }

    /// The answer to a SYNC.
    pub fn synced(&mut self, told: Told, reply: Reply, now: Ms) -> Heard {
        let inc = told.ledger.inc();
        let own = self.lives.iter().any(|l| l.to_tell.is_none() && Arc::ptr_eq(&l.ledger, &told.ledger));
        let current = own && told.ledger.epoch() == told.epoch;
        match reply {
            Reply::Synced(synced) if current => {
                self.saw(told.epoch, synced.l, now);
                told.ledger.heard(&told.books, &told.reports, synced.pools, now);
                // (While it learns, the living are those that are still to tell as well.)
                if told.counted && !synced.learning {
                    self.count(synced.live, now);
                }
                Heard::Taken { live: told.counted.then(|| self.live()), learning: synced.learning }
            }
            reply => {
                self.unanswered(told, now);
                self.refused(&inc, &reply, now)
            }
        }
    }

    /// A SYNC was not answered: everything in it is said again.
    pub fn unanswered(&mut self, told: Told, now: Ms) {
        told.ledger.unheard(&told.books);
        told.rests.into_iter().for_each(|rest| self.rest(rest.key, now + rest.for_ms));
    }

    /// Older lives that are over: nothing runs in them, all of it was told, and what was granted without the state was
    /// seen in it since. A BYE is due.
    pub fn over(&self, now: Ms) -> Vec<Caller> {
        let older = &self.lives[..self.lives.len().saturating_sub(1)];
        let seen = |life: &Life| {
            life.alone.is_none_or(|alone| self.ledger().is_some_and(|l| l.saw_all_of(&life.ledger, alone)))
        };
        let over = |life: &&Life| {
            life.to_tell.is_none() && life.ledger.is_idle() && life.ledger.is_told() && seen(life)
        };
        older.iter().filter(over).map(|life| self.caller(&life.ledger, now)).collect()
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

    /// The life `inc` is over; `highest` is the highest number that the state knows of this name.
    pub fn lost(&mut self, inc: &Incarnation, highest: u64) {
        self.last_k = self.last_k.max(highest);
        let Some(at) = self.lives.iter().position(|life| life.ledger.is(inc)) else { return };
        let current = at + 1 == self.lives.len();
        if self.lives[at].to_tell == Some(0) {
            // Its number was used before. What is told again under another one counts twice at most.
            self.last_k += 1;
            self.lives[at].tell(0);
            self.lives[at].ledger.rename(Incarnation { name: self.name.clone(), k: self.last_k });
            return;
        }
        if current {
            self.begin();
        }
        self.lives.remove(at);
    }
}
