//! A replica's side of the protocol, as decisions: which message to send next, what a reply means. No I/O and no
//! clock, so that the simulated cluster runs the very code that [`super::client`] runs.
//!
//! A replica lives one life after another, and may have several at once: the current one, which new calls are booked
//! in, and older ones whose calls still run. A life begins in books that no data set knows of; a JOIN makes it known,
//! before the first call as a rule. While the state is away calls are booked all the same ([`super::share`]), and the
//! JOIN tells of them later.
//!
//! Times are milliseconds of the replica's own clock, which must count suspensions ([`crate::clock::boot_ms`]).

mod alone;
mod behaviours;
mod borrowing;
mod circuits;
mod forecast;
mod report;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use alone::{AWAY_AFTER, Alone, HITCH};
use behaviours::Watching;

pub use behaviours::Watch;
pub use borrowing::Borrowed;
pub use circuits::News;
pub use report::Told;

use super::books::PoolBooks;
use super::core::life::ended;
use super::core::mutant::{Mutant, on};
use super::core::{
    Caller, Cause, Circuits, Incarnation, Join, Memory, Moved, Ms, Outcome, PoolDecl, Reply, TTL,
};
use super::lease::Policy;
use super::ledger::Ledger;
use super::living::Life;
use super::share::{Before, Share};

/// For so long at most an answer to a JOIN is waited for before sharing goes on; calls wait as well.
const ASKING: Ms = 300;
/// Pools that one JOIN tells of at most: a script must be over long before a command times out.
const TOLD_AT_ONCE: usize = 64;
/// The highest number of replicas heard of within this time is what limits are divided by.
const MOST_WITHIN: Ms = 300_000;

/// How long attempts may take at most; told to the state, which posts a dead replica's holds only after that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deadlines {
    /// From RESERVE to an answer's head, ms.
    pub head: Ms,
    /// From RESERVE to its end, ms.
    pub end: Ms,
}

impl Deadlines {
    /// What covers both.
    fn max(self, other: Deadlines) -> Deadlines {
        Deadlines { head: self.head.max(other.head), end: self.end.max(other.end) }
    }
}

/// One replica's side.
#[derive(Debug)]
pub struct Side {
    name: String,
    deadlines: Deadlines, // of the next life
    longest: Deadlines,   // that ever were; others may still have calls by them
    last_k: u64,
    lives: Vec<Life>,        // the current one last
    past: Vec<(Before, Ms)>, // lives that the state buried, until the current one has seen what they used, or so long
    roster: Vec<Incarnation>,
    roster_at: Ms,              // own clock; 0: never heard
    ack: Option<(u64, Ms, Ms)>, // of the newest reply: data set, logical time; own clock when it came
    heard: Ms, // own clock at the newest reply, of whatever data set; before it, at the start
    rests: BTreeMap<Arc<str>, Resting>,
    outcomes: BTreeMap<u64, Outcome>, // of attempts that ended since the last SYNC, by the deployment's tag
    circuits: Circuits,               // as heard last; own clock
    failed: BTreeMap<u64, Ms>,        // since they were: what failed here, by tag, and when last; own clock
    accounts: Vec<(u64, Arc<str>)>,   // those whose circuits are of interest, by tag
    shut: Vec<(Arc<str>, Cause)>,     // those of them that were left alone when that was asked last
    watching: Watching,               // how deployments behave
    expected: u64,                    // replicas, by the configuration; 0: it does not say
    most: (u64, Ms),                  // replicas alive, the most heard of lately, and when
    share: Option<Share>,
    failing: Option<(Ms, Ms)>, // since when, and when last, the state was asked in vain; own clock
    asking_until: Ms, // own clock; until then nothing is shared, for the state may be about to answer
    at_once: usize,   // pools that one JOIN tells of at most
    leaving: bool,    // nothing will be shared any more
    borrows: Option<Policy>, // none: it asks for each call
}

/// A pool to be left alone.
#[derive(Clone, Copy, Debug, Default)]
struct Resting {
    until: Ms,     // own clock
    refused: bool, // because its provider refused a call
}

/// What a reply came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// It was taken.
    Taken {
        /// If the living were counted: how many they are, this one included; which sessions moved; when that was asked for, by the own
        /// clock.
        counted: Option<(usize, Moved, Ms)>,
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
    /// Of the replica `name`, whose lives so far were numbered up to `last_k`; it starts at `now`. `expected`: replicas
    /// by the configuration, 0 if it does not say.
    pub fn new(name: String, deadlines: Deadlines, last_k: u64, expected: u64, now: Ms) -> Side {
        Side {
            name,
            deadlines,
            longest: deadlines,
            last_k,
            lives: Vec::new(),
            past: Vec::new(),
            roster: Vec::new(),
            roster_at: 0,
            ack: None,
            heard: now,
            rests: BTreeMap::new(),
            outcomes: BTreeMap::new(),
            circuits: Circuits::default(),
            failed: BTreeMap::new(),
            accounts: Vec::new(),
            shut: Vec::new(),
            watching: Watching::default(),
            expected,
            most: (0, 0),
            share: None,
            failing: None,
            asking_until: 0,
            at_once: TOLD_AT_ONCE,
            leaving: false,
            borrows: None,
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

    /// New calls have other deadlines from now on. A life has those that the state was told with it, so another one
    /// begins: at once, or when the state knows of the current one.
    pub fn retime(&mut self, deadlines: Deadlines) {
        self.deadlines = deadlines;
        self.longest = self.longest.max(deadlines);
        self.begin_if_retimed();
    }

    /// The limits of pools are these from now on.
    pub fn declare(&self, decls: &[PoolDecl]) {
        self.ledgers().for_each(|ledger| ledger.declare(decls));
    }

    /// While the state does not know of the current life, it may be about to, or limits are being shared in it.
    fn begin_if_retimed(&mut self) {
        if self.ledger().is_some_and(|ledger| ledger.deadlines() != self.deadlines) {
            self.begin();
        }
    }

    /// The number of the latest life.
    pub fn last_k(&self) -> u64 {
        self.last_k
    }

    /// Logical time of the newest reply; 0: none.
    pub fn heard_at(&self) -> Ms {
        self.ack.map_or(0, |(_, l, _)| l)
    }

    /// What a message of `ledger`'s life says of its sender.
    pub fn caller(&self, ledger: &Ledger, now: Ms) -> Caller {
        let (l_ack, x) = self.ack.map_or((0, 0), |(_, l, at)| (l, now.saturating_sub(at)));
        Caller { epoch: ledger.epoch(), inc: ledger.inc(), l_ack, x }
    }

    /// Has the state not been heard for so long that it would put a call off?
    pub fn is_behind(&self, now: Ms) -> bool {
        self.ledger().is_some() && self.ack.is_some_and(|(.., at)| now.saturating_sub(at) > TTL / 2)
    }

    /// A reply of the data set `epoch` told logical time `l`.
    pub fn saw(&mut self, epoch: u64, l: Ms, now: Ms) {
        if !self.lives.iter().any(|life| life.to_tell.is_none() && life.ledger.epoch() == epoch) {
            return;
        }
        self.answered(now);
        if l > self.heard_at() {
            self.ack = Some((epoch, l, now));
        }
    }

    /// No call will come any more: lives that are over need not be remembered for a time without the state.
    pub fn leave(&mut self) {
        self.leaving = true;
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
        let mut names: std::collections::BTreeSet<_> = self.roster.iter().map(|inc| &inc.name).collect();
        // Who hears of others is one itself, also when it has just lapsed.
        if !names.is_empty() {
            names.insert(&self.name);
        }
        names.len()
    }

    /// Begins another life if a budget is known to the current one whose period is over at `unix`, ms, of the time of day: lives
    /// end that others may be swept, and none of them knows more periods with every day.
    pub fn leave_periods(&mut self, unix: Ms) {
        let is_over = |key: &str| ended(key).is_some_and(|until| until < unix);
        if self.ledger().is_some_and(|ledger| ledger.pools().iter().any(|pool| is_over(&pool.decl.key))) {
            self.begin_without(&is_over);
        }
    }

    /// Begins the next life, in books that no data set knows of.
    fn begin(&mut self) {
        self.begin_without(&|_| false);
    }

    fn begin_without(&mut self, is_over: &dyn Fn(&str) -> bool) {
        self.last_k += 1;
        let inc = Incarnation { name: self.name.clone(), k: self.last_k };
        let ledger = match self.lives.last() {
            Some(life) => life.ledger.heir(inc, is_over),
            None => Ledger::new(inc, 0),
        };
        self.lives.push(Life::unknown(ledger.within(self.deadlines)));
    }

    /// The next JOIN that makes a life known, or HELLO that continues it in another data set; none if all are known.
    /// Until it is answered, or known not to be, nothing is shared.
    pub fn due(&mut self, now: Ms) -> Option<Join> {
        if self.lives.is_empty() {
            self.begin();
        }
        self.begin_if_retimed();
        let life = self.lives.iter_mut().rev().find(|life| life.to_tell.is_some())?;
        let epoch = life.to_tell?;
        self.asking_until = now + ASKING;
        life.telling();
        life.ledger.give_back(); // what is told is what calls hold
        life.ledger.turn(epoch);
        let untold = life.untold.get_or_insert_with(|| in_own_order(life.ledger.pools(), &self.name));
        let (part, more) = (untold.len().saturating_sub(self.at_once), untold.len() > self.at_once);
        let pools = untold[part..].iter().filter_map(|pool| pool.memory(now)).collect();
        untold[part..].iter().for_each(|pool| drop(pool.say(pool.counters().iter().map(|c| c.returned))));
        let ledger = life.ledger.clone();
        let Deadlines { head: d_head, end: d_end } = ledger.deadlines();
        let memory =
            Memory { age: now.saturating_sub(self.roster_at), roster: self.known_to_live(&ledger), pools };
        Some(Join { inc: ledger.inc(), d_head, d_end, epoch, memory, more })
    }

    /// The replicas that were counted last; of this one `ledger`'s life and those older than it that a data set knows.
    fn known_to_live(&self, ledger: &Ledger) -> Vec<Incarnation> {
        let others = self.roster.iter().filter(|inc| inc.name != self.name).cloned();
        let known = self.lives.iter().filter(|life| life.to_tell != Some(0)).map(|life| life.ledger.inc());
        others.chain(known.filter(|inc| inc.k <= ledger.inc().k)).collect()
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
                // The other lives were known to the data set before this one.
                let others = self.lives.iter_mut().filter(|life| life.to_tell.is_none());
                let strangers = others.filter(|life| life.ledger.epoch() != joined.epoch);
                strangers.for_each(|life| life.tell(joined.epoch));
                // Another data set may tell another time; of this one an older life's answer may come late.
                self.ack = self.ack.filter(|(epoch, ..)| *epoch == joined.epoch);
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

    /// The state belongs to replicas of another version, which are granted the whole of every limit: nothing is shared.
    pub fn is_others(&mut self, now: Ms) {
        self.answered(now);
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
                self.lost(inc, *highest, now);
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

    /// Notes that a pool is to be left alone until `until`, by every replica; `refused`: its provider refused a call.
    pub fn rest(&mut self, key: Arc<str>, until: Ms, refused: bool) {
        if let Some(pool) = self.ledgers().last().and_then(|ledger| ledger.find(&key)) {
            pool.rests(until);
        }
        if let Some(share) = &mut self.share {
            share.rest(&key, until);
        }
        let known = self.rests.entry(key).or_default();
        *known = Resting { until: until.max(known.until), refused: refused || known.refused };
    }

    /// The life `inc` is over; `highest` is the highest number that the state knows of this name.
    pub fn lost(&mut self, inc: &Incarnation, highest: u64, now: Ms) {
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
        self.retire(at, now);
    }

    /// The state has buried a life: what it used since the current one looked counts all the same where limits are shared.
    fn retire(&mut self, at: usize, now: Ms) {
        let past = Before { over: Some(now), ..self.lives.remove(at).before() };
        if let Some(current) = self.lives.last() {
            current.ledger.look_at_all_of(&past.ledger);
        }
        let until = now + TTL + self.longest.end + past.ledger.longest_span(); // then no window holds any of it
        self.past.push((past, until));
        self.forget_past(now);
    }

    /// The current life has seen all of some that are past by now.
    fn forget_past(&mut self, now: Ms) {
        let Some(current) = self.lives.last() else { return };
        let seen =
            |past: &Before| past.over.is_some_and(|over| current.ledger.saw_all_of(&past.ledger, over));
        let counts = |(past, until): &(Before, Ms)| now <= *until && !seen(past);
        self.past.retain(|past| counts(past) && !on(Mutant::PastForgotten));
    }
}

/// Each replica begins to tell somewhere else: should there be too much to tell in time, each pool is told of by some.
fn in_own_order(mut pools: Vec<Arc<PoolBooks>>, name: &str) -> Vec<Arc<PoolBooks>> {
    let hash = name.bytes().fold(0usize, |hash, byte| hash.wrapping_mul(31).wrapping_add(byte.into()));
    let from = hash % pools.len().max(1);
    pools.rotate_left(from);
    pools
}
