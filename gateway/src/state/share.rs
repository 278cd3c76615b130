//! Limits while the shared state is away: each of N replicas may use an N-th of what was left.
//!
//! The decision is that of [`super::core`] itself, on a copy that this replica keeps: it is told what the replica knows
//! as a data set is told after a loss ([`super::core::learn`]), what others held stays held until their calls must be
//! over, and what is drawn from now on counts N times. So `seen in use + N * own <= cap`, and N replicas together use
//! no more than the cap and what the others drew after each one's last look. A pool of which nothing was ever seen
//! counts as full until all that could have been in it has left.
//!
//! What is granted is booked under a life that the shared state does not know of yet; when it is back it is told.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Deadlines;
use super::core::mutant::{Mutant, on};
use super::core::{
    Amounts, Caller, Candidate, Circuits, Command, Counters, Draw, Granted, Join, Memory, Ms, Pending, Pin,
    PoolDecl, PoolMemory, Reply, Reserve, Reserved, Stage, Stamp, State, TTL, Tell,
};
use super::ledger::{Drawn, Ledger};

/// Sessions are swept when there are more than this, and twice as many as after the last time.
const SWEEP_ABOVE: usize = 100_000;
/// Name of the copy's epoch: any will do.
const EPOCH: u64 = 1;

/// A replica's part of the limits.
#[derive(Debug)]
pub struct Share {
    core: State,
    of: u64,
    ledger: Arc<Ledger>,
    before: Vec<Before>,
    known: BTreeSet<Arc<str>>,
    since: Ms,
    deadlines: Deadlines,
    swept: usize,
}

/// An earlier life, whose calls may still run, or which is over.
#[derive(Clone, Debug)]
pub struct Before {
    /// Its books.
    pub ledger: Arc<Ledger>,
    /// When it was granted something without the state last, by the own clock.
    pub alone: Option<Ms>,
    /// When it was over, by the own clock: who looks at a pool after that sees all that it used.
    pub over: Option<Ms>,
}

impl Before {
    /// Has `current` seen all that it used of the pool?
    fn is_seen(&self, current: &Ledger, pool: &Arc<str>) -> bool {
        self.over.is_some_and(|over| current.find(pool).is_some_and(|books| books.saw(over)))
    }
}

/// The answer to a call that asks for a part.
#[derive(Debug)]
pub enum Shared {
    /// Drawn, and booked.
    Granted(Granted, Vec<Drawn>),
    /// Not now.
    Denied(super::core::Denied),
    /// Larger than a limit: the pool's index and the meter's.
    TooBig(usize, usize),
    /// It would fit the limit, but no replica's part of it.
    TooSmallAPart,
}

impl Share {
    /// One part `of` so many, to be booked in `ledger`. The state was heard last at `since`; lives of `before` may
    /// still have calls in flight.
    pub fn new(
        of: u64,
        ledger: Arc<Ledger>,
        before: Vec<Before>,
        deadlines: Deadlines,
        since: Ms,
        now: Ms,
    ) -> Share {
        let mut core = State::lost(Stamp { now, nonce: EPOCH, run: 0 });
        let (mut known, current) = (BTreeSet::new(), ledger.inc());
        let mut tell = |ledger: &Ledger, mut pools: Vec<PoolMemory>| {
            known.extend(pools.iter().filter(|p| !p.window.is_empty()).map(|p| p.decl.key.clone()));
            if ledger.is(&current) {
                pools.iter_mut().for_each(|pool| pool.counters.clear()); // not part of what was seen
            }
            let (d_head, d_end) = (deadlines.head, deadlines.end);
            let memory = Memory { age: now - since, roster: Vec::new(), pools };
            let join = Join { inc: ledger.inc(), d_head, d_end, epoch: EPOCH, memory, more: false };
            core.step(&Command::Join(join), now);
        };
        for life in &before {
            let pools = life.ledger.told(now).into_iter();
            tell(&life.ledger, pools.filter(|pool| !life.is_seen(&ledger, &pool.decl.key)).collect());
        }
        tell(&ledger, ledger.told(now));
        core.conclude();
        core.immortalise();
        Share { core, of, ledger, before, known, since, deadlines, swept: 0 }
    }

    /// A pool is to be left alone until `until` of the own clock, which is the copy's.
    pub fn rest(&mut self, key: &Arc<str>, until: Ms) {
        let pool = self.core.pools.entry(key.clone()).or_default();
        pool.rest_until = pool.rest_until.max(until);
    }

    /// How many parts there are.
    pub fn of(&self) -> u64 {
        self.of
    }

    /// Its circuits, by the own clock; exchanged for others.
    pub fn exchange(&mut self, circuits: &mut Circuits) {
        std::mem::swap(&mut self.core.circuits, circuits);
    }

    /// Asks for room; `counts` says of each pool of the call whether it counts at all, `pin` where its session went last.
    pub fn reserve(
        &mut self,
        ask: &Arc<Reserve>,
        counts: impl Fn(usize) -> bool,
        pin: Option<u64>,
        now: Ms,
    ) -> Shared {
        let (l, wall) = (self.core.clock.l, self.core.clock.wall);
        let caller = Caller { epoch: EPOCH, inc: self.ledger.inc(), l_ack: l, x: now.saturating_sub(wall) };
        self.core.clock.advance(now, caller.l_ack, caller.x);
        let ask = &Arc::new(counted(ask, counts));
        for (_, pool) in ask.pools.iter().enumerate().filter(|(at, _)| draws_on(ask, *at)) {
            self.bring_in(pool);
        }
        self.remember(ask, pin);
        let scaled = Reserve {
            caller,
            pools: ask.pools.iter().map(|decl| self.in_force(decl)).collect(),
            common: self.scaled(&ask.common),
            candidates: ask.candidates.iter().map(|c| self.candidate(c)).collect(),
            session: ask.session.clone(),
            tell: Tell { left: None, used: false, ..ask.tell }, // a part of what is left says nothing
            luck: ask.luck,
            most: ask.most,
            turn: ask.turn.clone(),
        };
        let outstanding = self.ledger.sending(ask.clone());
        let reply = self.core.step(&Command::Reserve(scaled.into()), now);
        match reply {
            Reply::Reserved(Reserved::Granted(granted)) => {
                match outstanding.granted(granted.index, granted.share) {
                    Some(drawn) => Shared::Granted(granted, drawn),
                    None => Shared::TooSmallAPart, // never: this ledger belongs to no data set that could change
                }
            }
            other => {
                outstanding.refused();
                self.denied(ask, other)
            }
        }
    }

    fn remember(&mut self, ask: &Reserve, pin: Option<u64>) {
        if self.core.pins.len() > self.swept.max(SWEEP_ABOVE) {
            self.core.forget_pins();
            self.swept = 2 * self.core.pins.len();
        }
        if let (Some(session), Some(tag)) = (&ask.session, pin) {
            let expires = self.core.clock.l + session.ttl;
            self.core.pins.entry(session.key.clone()).or_insert(Pin { tag, version: 0, expires });
        }
    }

    fn denied(&self, ask: &Reserve, reply: Reply) -> Shared {
        match reply {
            Reply::Reserved(Reserved::Denied(denied)) => Shared::Denied(denied),
            Reply::Reserved(Reserved::TooBig { pool, meter }) => {
                let cap = ask.pools[pool].meters[meter].cap;
                let draws = ask.common.iter().chain(ask.candidates.iter().flat_map(|c| &c.draws));
                let asked = draws.filter(|d| d.pool == pool).map(|d| d.amounts[meter]).max().unwrap_or(0);
                if asked > cap { Shared::TooBig(pool, meter) } else { Shared::TooSmallAPart }
            }
            _ => Shared::TooSmallAPart,
        }
    }

    /// Brings the copy of a pool to what the books say now.
    fn bring_in(&mut self, decl: &PoolDecl) {
        if !self.known.contains(&decl.key) && !on(Mutant::UnseenIsEmpty) {
            self.known.insert(decl.key.clone());
            self.assume_full(decl);
        }
        let seen = self.ledger.find(&decl.key).and_then(|books| books.seen_at());
        for life in self.before.iter().filter(|life| !life.is_seen(&self.ledger, &decl.key)) {
            if let Some(books) = life.ledger.find(&decl.key) {
                // The state was back too shortly to be looked at: what the others drew meanwhile, each within its part,
                // is as unknown as if it had stayed away.
                let factor = if life.alone > seen { self.of } else { 1 };
                let counters = books.counters().into_iter().map(|c| times(factor, c)).collect();
                self.core.recount(&life.ledger.inc(), decl, counters);
            }
        }
        if let Some(books) = self.ledger.find(&decl.key) {
            let counters = books.counters().into_iter().map(|c| times(self.of, c)).collect();
            self.core.recount(&self.ledger.inc(), decl, counters);
        }
    }

    /// Others may have used all of it before the state went away.
    fn assume_full(&mut self, decl: &PoolDecl) {
        let l = self.core.clock.l;
        for (at, meter) in decl.meters.iter().enumerate() {
            let longest =
                if meter.shape.stage == Stage::Head { self.deadlines.head } else { self.deadlines.end };
            let due = self.since + TTL + longest;
            if l <= due + meter.shape.span() {
                let pending =
                    Pending { due: due.max(l), pool: decl.key.clone(), meter: at, amount: meter.cap };
                self.core.withhold(decl, pending);
            }
        }
    }

    /// The limits that were in force when the state was heard last, if they are lower: who declared them is still there.
    fn in_force(&self, decl: &PoolDecl) -> PoolDecl {
        let books = self.ledger.find(&decl.key).filter(|_| !on(Mutant::SharedLimitRaised));
        books.map_or_else(|| decl.clone(), |books| books.in_force(decl))
    }

    fn candidate(&self, candidate: &Candidate) -> Candidate {
        Candidate { draws: self.scaled(&candidate.draws), ..candidate.clone() }
    }

    fn scaled(&self, draws: &[Draw]) -> Vec<Draw> {
        let amounts =
            |draw: &Draw| -> Amounts { draw.amounts.iter().map(|n| n.saturating_mul(self.of)).collect() };
        draws.iter().map(|draw| Draw { pool: draw.pool, amounts: amounts(draw) }).collect()
    }
}

/// The request without what it draws on pools that do not count.
fn counted(ask: &Reserve, counts: impl Fn(usize) -> bool) -> Reserve {
    let only = |draws: &[Draw]| {
        draws.iter().filter(|draw| counts(draw.pool) || on(Mutant::UncountedDrawsShared)).cloned().collect()
    };
    let candidate = |of: &Candidate| Candidate { draws: only(&of.draws), ..of.clone() };
    Reserve {
        common: only(&ask.common),
        candidates: ask.candidates.iter().map(candidate).collect(),
        ..ask.clone()
    }
}

fn draws_on(ask: &Reserve, pool: usize) -> bool {
    ask.common.iter().chain(ask.candidates.iter().flat_map(|of| &of.draws)).any(|draw| draw.pool == pool)
}

fn times(factor: u64, c: Counters) -> Counters {
    Counters { granted: c.granted * factor, returned: c.returned * factor, posted: c.posted * factor }
}
