//! What a replica is lent ([`super::core::lend`]): how much it wants of each pool. (How a call takes it: [`look`].)
//!
//! It wants what its calls drew lately in the time between two SYNCs that count, twice over and some more, for they come by chance, so
//! that the next answer comes before it is used up; and of a pool with few calls nothing, for each loan keeps room from others, and a question costs little there. Nor does it
//! keep anything of a pool that is nearly full, that rests, or whose provider allows less than its limit: there the state looks at
//! each call, and what lies idle is missing elsewhere.
//!
//! Pools that calls on loans look at are *followed*: every SYNC that counts reports them, so that their rests and their use are known
//! here, also of those that are not drawn on and of those that have no limit at all.

mod look;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use smallvec::SmallVec;

use super::books::{Entry, PoolBooks};
use super::core::life::ended;
use super::core::meter::share;
use super::core::mutant::{Mutant, on};
use super::core::{Declared, Mode, Ms, PoolDecl, TTL, Want};

pub use look::{Lent, Takes};

/// What is worth a loan.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// So many calls at least in the time that is lent for: for fewer a question each costs less.
    pub calls: f64,
    /// Of windows so long at least, ms. What is lent of shorter ones is missing elsewhere at once.
    pub window: Ms,
}

/// That of replicas.
pub const POLICY: Policy = Policy { calls: 8.0, window: 5_000 };
/// Time between two SYNCs that count, ms.
const PERIOD: Ms = 200;
/// So many of these are lent for.
const PERIODS: f64 = 2.0;
/// Calls come by chance: so many times the standard deviation of their number is lent besides.
const SPREAD: f64 = 2.0;
/// A rate that falls is believed half in this time, one that rises in a period.
const FALLS: Ms = 1_000;
/// Rates are not looked at again before.
const SHORTEST: Ms = PERIOD / 4;
/// A loan that is larger than what is wanted is given back if it is larger by this part of it.
const SLACK: u64 = 2;
/// Nothing is kept of a pool that is used beyond this, millionths: there calls are told apart ([`super::core::fair::YIELD`]).
const KEPT_UP_TO: u64 = super::core::fair::YIELD;
/// The same of calls in flight. What lies idle of a window is little beside all of it, and over with it; of these it would be as many as
/// there are calls.
const IN_FLIGHT_UP_TO: u64 = 500_000;
/// Calls in flight vary: so many times the standard deviation of their number is held besides, and so many calls.
const SWELL: f64 = 4.0;
/// A pool at which no call looked for so long is followed no more.
const FOLLOWED: Ms = 1_000;
/// What was heard of a pool longer ago is not gone by.
const FRESH: Ms = TTL;

/// What a pool's books keep of loans.
#[derive(Debug, Default)]
pub(super) struct Lending {
    appetite: Mutex<Appetite>, // before the meters where both are locked
    calls: AtomicU64,          // that drew on it on loans, or lacked them
    heard: AtomicU64,          // own clock, when that was asked for which was heard last
    looked: AtomicU64,         // own clock, when such a call looked at it last
    pub followed: AtomicBool,  // changes under the lock of the list of them
    unfit: AtomicBool,         // calls on it cannot be on loans
    window: AtomicU64,         // the shortest, ms
}

/// How much calls draw on a pool.
#[derive(Debug, Default)]
struct Appetite {
    at: Ms,
    calls: u64,
    drawn: Vec<u64>,
    call_rate: f64,  // per ms
    rates: Vec<f64>, // per ms; of calls in flight, their number
}

impl Appetite {
    /// So many calls drew on the meters up to `now`.
    fn look(&mut self, calls: u64, meters: &[Entry], now: Ms) {
        let passed = now.saturating_sub(self.at);
        if self.at > 0 && passed < SHORTEST {
            return;
        }
        if self.at > 0 {
            let weight = |half: Ms| 1.0 - 0.5_f64.powf(passed as f64 / half as f64);
            let (rising, falling) = (weight(PERIOD), weight(FALLS));
            let blend = |rate: &mut f64, seen: f64| {
                let change = seen - *rate;
                *rate += change * if change > 0.0 { rising } else { falling };
            };
            let per_ms = |now: u64, then: u64| now.saturating_sub(then) as f64 / passed as f64;
            blend(&mut self.call_rate, per_ms(calls, self.calls));
            self.rates.resize(meters.len(), 0.0);
            for ((rate, entry), then) in self.rates.iter_mut().zip(meters).zip(&self.drawn) {
                let seen = if entry.in_flight { entry.in_use() as f64 } else { per_ms(entry.drawn, *then) };
                blend(rate, seen);
            }
        }
        (self.at, self.calls) = (now, calls);
        self.drawn = meters.iter().map(|entry| entry.drawn).collect();
    }

    /// What is wanted of a meter ([`Entry::target`]), if so many calls at least are worth it.
    fn target(&self, meter: usize, in_flight: bool, least: f64) -> u64 {
        let time = PERIODS * PERIOD as f64;
        let calls = self.call_rate * time;
        let Some(rate) = self.rates.get(meter).filter(|_| calls >= least) else { return 0 };
        let wanted = match in_flight {
            true => rate + SWELL * (rate.sqrt() + 1.0),
            false => rate * time * (1.0 + SPREAD / calls.sqrt()),
        };
        wanted.ceil() as u64
    }
}

/// May calls be lent room on a pool? What is kept even or starts slowly counts each call when it comes; a budget's period ends.
fn is_plain(decl: &PoolDecl) -> bool {
    let is_even = decl.meters.iter().any(|meter| meter.pace > 0);
    !is_even && decl.slow_start.is_none() && ended(&decl.key).is_none()
}

/// The shortest window of a pool, ms.
fn shortest(decl: &PoolDecl) -> Ms {
    let windows = decl.meters.iter().filter(|meter| meter.shape.mode == Mode::Window);
    windows.map(|meter| meter.shape.span()).min().unwrap_or(Ms::MAX)
}

impl Lending {
    /// Of a pool that is declared so.
    pub(super) fn of(decl: &PoolDecl) -> Lending {
        let lending = Lending::default();
        lending.declare(decl);
        lending
    }

    pub(super) fn declare(&self, decl: &PoolDecl) {
        self.unfit.store(!is_plain(decl), Ordering::Relaxed);
        self.window.store(shortest(decl), Ordering::Relaxed);
    }

    /// What was heard of the pool was asked for then.
    pub(super) fn heard(&self, sent: Ms) {
        self.heard.fetch_max(sent, Ordering::Relaxed);
    }

    /// A call on loans looks at it, or would.
    fn looks(&self, now: Ms) {
        self.looked.store(now, Ordering::Relaxed);
    }

    /// Are calls on it never on loans?
    fn is_unfit(&self, policy: Policy) -> bool {
        self.unfit.load(Ordering::Relaxed) || self.window.load(Ordering::Relaxed) < policy.window
    }

    fn is_fresh(&self, now: Ms) -> bool {
        let heard = self.heard.load(Ordering::Relaxed);
        heard > 0 && now.saturating_sub(heard) < FRESH
    }
}

impl PoolBooks {
    /// A call draws so much that lacked a loan.
    pub(super) fn lacked(&self, amounts: &[u64]) {
        for (entry, amount) in self.meters.lock().iter_mut().zip(amounts) {
            entry.drawn += amount;
        }
        self.lending.calls.fetch_add(1, Ordering::Relaxed);
    }

    /// What the next SYNC asks for of a pool that is followed; what is too much is given back. None: it need not be followed.
    pub(super) fn wants(&self, now: Ms, policy: Policy) -> Option<Vec<Want>> {
        let decl = self.declared();
        let keeps = self.keeps(&decl, policy, now);
        let mut appetite = self.lending.appetite.lock();
        let mut meters = self.meters.lock();
        let calls = self.lending.calls.load(Ordering::Relaxed);
        appetite.look(calls, &meters, now);
        let mut wants = Vec::with_capacity(meters.len());
        for (at, (entry, declared)) in meters.iter_mut().zip(decl.meters.iter()).enumerate() {
            entry.target = if keeps { appetite.target(at, entry.in_flight, policy.calls) } else { 0 };
            let stock = entry.stock();
            let excess = entry.lent.saturating_sub(stock);
            if excess > stock / SLACK {
                entry.lent -= excess;
                entry.returned += excess;
            }
            let level = entry.consumed + stock.saturating_sub(entry.lent);
            wants.push(Want { level, cap: declared.cap });
        }
        if meters.iter().any(|entry| entry.target > 0) {
            return Some(wants);
        }
        let looked = self.lending.looked.load(Ordering::Relaxed);
        (now.saturating_sub(looked) < FOLLOWED).then(Vec::new)
    }

    /// Is anything of it to be in stock?
    fn keeps(&self, decl: &PoolDecl, policy: Policy, now: Ms) -> bool {
        let fit = !self.lending.is_unfit(policy);
        let has_room = |(share, meter): (&u64, &Declared)| match meter.shape.mode {
            Mode::Window => *share <= KEPT_UP_TO,
            Mode::Gauge => *share <= IN_FLIGHT_UP_TO,
        };
        let shares = self.shares_with(decl, &[]);
        fit && self.rest_left(now) == 0
            && !self.is_lowered()
            && shares.iter().zip(&*decl.meters).all(has_room)
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

    /// What is lent and not used, per meter.
    pub(super) fn lent(&self) -> super::core::Amounts {
        self.meters.lock().iter().map(|entry| entry.lent).collect()
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
        self.lending.calls.fetch_add(1, Ordering::Relaxed);
        true
    }

    /// The call is not made.
    fn put(&self, amounts: &[u64]) {
        for (entry, amount) in self.meters.lock().iter_mut().zip(amounts) {
            entry.lent += amount;
            entry.drawn -= amount;
        }
        self.lending.calls.fetch_sub(1, Ordering::Relaxed);
    }

    /// The highest share in use with so much more, as heard last, millionths: of the limits that are declared, or in force, or that the
    /// provider allows, whichever is lowest. What lies idle here is not in use.
    fn share_with(&self, decl: &PoolDecl, more: &[u64]) -> u64 {
        self.shares_with(decl, more).into_iter().max().unwrap_or(0)
    }

    /// The same of each meter.
    fn shares_with(&self, decl: &PoolDecl, more: &[u64]) -> SmallVec<[u64; 4]> {
        let meters = self.meters.lock();
        let view = self.seen_last();
        let of = |(at, meter): (usize, &Declared)| {
            let known = |list: &[u64]| list.get(at).copied();
            let cap = [known(&view.cap), known(&view.bounds)].into_iter().flatten().fold(meter.cap, u64::min);
            let idle = meters.get(at).map_or(0, |entry| entry.lent);
            let used = known(&view.used).unwrap_or(0).saturating_sub(idle);
            share(used + known(more).unwrap_or(0), cap.max(1))
        };
        decl.meters.iter().enumerate().map(of).collect()
    }
}
