//! What a replica is lent ([`super::core::lend`]): how much it wants, and the taking of it without a question to anybody.
//!
//! It wants what its calls drew lately in the time between two SYNCs that count, twice over, so that the next answer comes before it is
//! used up; and of a pool with few calls nothing, for each loan keeps room from others, and a question costs little there.

use super::books::PoolBooks;
use super::core::life::ended;
use super::core::meter::share;
use super::core::mutant::{Mutant, on};
use super::core::{Amounts, Draw, Ms, PoolDecl, Reserve, Want};
use super::ledger::{Drawn, Ledger};

/// Fewer calls than this are not worth a loan.
pub(super) const LEAST_CALLS: f64 = 8.0;
/// Time between two SYNCs that count, ms.
const PERIOD: Ms = 200;
/// So many of these are lent for.
const PERIODS: f64 = 2.0;
/// Rates are not looked at again before.
const SHORTEST: Ms = PERIOD / 4;
/// A loan that is larger than what is wanted is given back if it is larger by this part of it.
const SLACK: u64 = 2;
/// Where a provider says what it has left, the state is asked for a call this often at least: what it counts then is compared.
const COMPARED_EVERY: Ms = 1_000;

/// How much calls draw on a pool.
#[derive(Debug, Default)]
pub(super) struct Appetite {
    at: Ms,
    calls: u64,
    drawn: Vec<u64>,
    call_rate: f64, // per ms
    rates: Vec<f64>,
}

impl Appetite {
    /// So many calls drew so much up to `now`.
    fn look(&mut self, calls: u64, drawn: Vec<u64>, now: Ms) {
        let passed = now.saturating_sub(self.at);
        if self.at > 0 && passed < SHORTEST {
            return;
        }
        if self.at > 0 {
            let weight = 1.0 - 0.5_f64.powf(passed as f64 / PERIOD as f64);
            let blend = |rate: &mut f64, more: u64| *rate += weight * (more as f64 / passed as f64 - *rate);
            self.rates.resize(drawn.len(), 0.0);
            blend(&mut self.call_rate, calls - self.calls);
            let more = drawn.iter().zip(&self.drawn).map(|(now, then)| now - then);
            self.rates.iter_mut().zip(more).for_each(|(rate, more)| blend(rate, more));
        }
        (self.at, self.calls, self.drawn) = (now, calls, drawn);
    }

    /// What is to be in stock of a meter, if so many calls at least are worth it.
    fn target(&self, meter: usize, least: f64) -> u64 {
        let time = PERIODS * PERIOD as f64;
        let is_worth_it = self.call_rate * time >= least;
        let rate = self.rates.get(meter).filter(|_| is_worth_it);
        rate.map_or(0, |rate| (rate * time).ceil() as u64)
    }
}

/// May calls be lent room on a pool? What is kept even or starts slowly counts each call when it comes; a budget's period ends.
fn is_lent(decl: &PoolDecl) -> bool {
    let plain = decl.meters.iter().all(|meter| meter.pace == 0) && decl.slow_start.is_none();
    plain && !decl.meters.is_empty() && ended(&decl.key).is_none()
}

impl PoolBooks {
    /// What the next SYNC asks for, and what is too much is given back; none, and all is given back, if it is not worth it.
    pub(super) fn wants(&self, now: Ms, least: f64) -> Option<Vec<Want>> {
        let decl = self.declared();
        let mut appetite = self.appetite.lock();
        let mut meters = self.meters.lock();
        appetite.look(self.calls(), meters.iter().map(|entry| entry.drawn).collect(), now);
        let mut wants = Vec::with_capacity(meters.len());
        for (at, (entry, declared)) in meters.iter_mut().zip(decl.meters.iter()).enumerate() {
            let target = if is_lent(&decl) { appetite.target(at, least) } else { 0 };
            let excess = entry.lent.saturating_sub(target);
            if excess > target / SLACK {
                entry.lent -= excess;
                entry.returned += excess;
            }
            entry.target = target;
            let level = entry.consumed + target.saturating_sub(entry.lent);
            wants.push(Want { level, cap: declared.cap });
        }
        meters.iter().any(|entry| entry.target > 0).then_some(wants)
    }

    /// Gives back all that is lent and not used. Was it anything?
    pub(super) fn give_back(&self) -> bool {
        let mut gave = false;
        for entry in self.meters.lock().iter_mut() {
            entry.returned += entry.lent;
            gave |= entry.lent > 0;
            (entry.lent, entry.target) = (0, 0);
        }
        gave
    }

    /// Takes what a call draws from what is lent, if there is enough of it.
    fn take(&self, amounts: &[u64]) -> bool {
        let mut meters = self.meters.lock();
        if meters.iter().zip(amounts).any(|(entry, amount)| entry.lent < *amount) {
            return false;
        }
        for (entry, amount) in meters.iter_mut().zip(amounts) {
            if !on(Mutant::LoanUsedTwice) {
                entry.lent -= amount;
            }
            entry.drawn += amount;
        }
        self.called();
        true
    }

    /// The call is not made.
    fn put(&self, amounts: &[u64]) {
        for (entry, amount) in self.meters.lock().iter_mut().zip(amounts) {
            entry.lent += amount;
            entry.drawn -= amount;
        }
        self.uncalled();
    }
}

/// What a call drew on loans.
#[derive(Debug)]
pub struct Lent {
    /// From where.
    pub drawn: Vec<Drawn>,
    /// Highest share in use, as heard last, over all pools, millionths.
    pub share: u64,
    /// What is left of the pool that was asked after.
    pub left: Amounts,
}

impl Ledger {
    /// Takes what the first candidate of a request draws from what is lent, all or nothing. Not of a pool that rests, or of which less
    /// is allowed than its cap, or that is full enough for calls to be told apart: there each is looked at by the state.
    pub fn take_lent(&self, ask: &Reserve, now: Ms) -> Option<Lent> {
        let candidate = ask.candidates.first()?;
        let top = candidate.threshold.min(ask.most);
        let mut lent = Lent { drawn: Vec::with_capacity(ask.pools.len()), share: 0, left: Amounts::new() };
        let own = candidate.draws.iter().map(|draw| (draw, Some(top)));
        for (draw, top) in ask.common.iter().map(|draw| (draw, None)).chain(own) {
            let Some(taken) = self.take_of(ask, draw, top, now) else {
                put_back(&lent.drawn);
                return None;
            };
            if let Some((drawn, share)) = taken {
                lent.share = lent.share.max(share);
                lent.drawn.push(drawn);
            }
        }
        let left = ask.tell.left.and_then(|at| self.find(&ask.pools[at].key));
        lent.left = left.map_or_else(Amounts::new, |books| books.left());
        Some(lent)
    }

    /// Of a candidate's own pool no more than up to `top`. `Some(None)`: nothing is to be drawn there.
    fn take_of(&self, ask: &Reserve, draw: &Draw, top: Option<u64>, now: Ms) -> Option<Option<(Drawn, u64)>> {
        let decl = &ask.pools[draw.pool];
        if decl.meters.is_empty() {
            return Some(None);
        }
        let books = self.find(&decl.key)?;
        let is_due = top.is_some() && ask.tell.used && !books.was_compared_within(COMPARED_EVERY, now);
        let share = books.share_with(&draw.amounts);
        let is_above = top.is_some_and(|top| share > top);
        if books.is_resting(now) || books.is_lowered() || books.is_hot() || is_due || is_above {
            return None;
        }
        books.take(&draw.amounts).then(|| Some(((draw.pool, books, draw.amounts.clone()), share)))
    }
}

fn put_back(drawn: &[Drawn]) {
    drawn.iter().for_each(|(_, books, amounts)| books.put(amounts));
}

/// The highest share in use of a pool's caps, millionths.
pub(super) fn highest(used: &[u64], caps: &[u64], more: &[u64]) -> u64 {
    let of = |((used, cap), more): ((&u64, &u64), &u64)| share(used + more, (*cap).max(1));
    used.iter().zip(caps).zip(more).map(of).max().unwrap_or(0)
}
