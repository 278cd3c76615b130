//! RESERVE: choose a candidate and draw on every pool that the call touches, all or nothing.
//!
//! Candidates come ranked. Within a tier the first one whose share of use stays under its own threshold wins
//! (thresholds are drawn by the replica between soft and hard, so that load shifts gradually and replicas do not
//! herd); else the least used one that fits at all; then the next tier. A session's pin goes before all of them
//! while it fits, but for who is cheaper than a warm cache ([`kin`]): it is advice and yields to limits, rests and open
//! circuits. Who comes back from an open circuit is passed by at first, more seldom from moment to moment, and taken if
//! nobody else fits.

mod kin;
mod look;
mod messages;

use super::circuit::Gate;
use super::fair::{YIELDED, bounded};
use super::learned::Bound;
use super::meter::{Fit, Meter, WHOLE};
use super::mutant::{Mutant, on};
use super::slow::{self, SlowStart, Start};
use super::{Caller, NEXT_SYNC, Pin, PoolDecl, Reply, State, TTL};

use look::{Best, Bounds, Fits, Left, Look, Wait};

pub use kin::{DEAR, Kin, Likeness};
pub use messages::*;

impl Reserve {
    /// Adds up draws on the same pool: within each list, and where a candidate draws on a common pool the
    /// common draw moves into every candidate. After this no pool is checked twice for one candidate.
    pub fn normalise(&mut self) {
        if on(Mutant::SamePoolCheckedTwice) {
            return;
        }
        let shared =
            |draw: &Draw| self.candidates.iter().any(|c| c.draws.iter().any(|own| own.pool == draw.pool));
        let (moved, kept): (Vec<Draw>, Vec<Draw>) =
            std::mem::take(&mut self.common).into_iter().partition(shared);
        self.common = kept;
        merge(&mut self.common);
        for candidate in &mut self.candidates {
            candidate.draws.extend(moved.iter().cloned());
            merge(&mut candidate.draws);
        }
    }
}

fn merge(draws: &mut Vec<Draw>) {
    let mut at = 0;
    while at < draws.len() {
        let pool = draws[at].pool;
        if let Some(first) = draws[..at].iter().position(|d| d.pool == pool) {
            let again = draws.remove(at);
            for (sum, amount) in draws[first].amounts.iter_mut().zip(again.amounts) {
                *sum = sum.saturating_add(amount);
            }
        } else {
            at += 1;
        }
    }
}

impl State {
    pub(super) fn reserve(&mut self, ask: &Reserve) -> Reply {
        if self.is_lost(&ask.caller) && !on(Mutant::DeafDraws) {
            return Reply::Reserved(Reserved::Denied(Denied {
                retry_in: NEXT_SYNC,
                exact: false,
                pool: 0,
                common: false,
                open: false,
                told: Told::default(),
            }));
        }
        let mut why = vec![Verdict::NotLooked; ask.candidates.len()];
        let mut reserved = self.choose(ask, &mut why);
        // Plain: the first is taken, or what all draw on stands in the way.
        let is_plain = match &reserved {
            Reserved::Granted(granted) => granted.index == 0,
            Reserved::Denied(denied) => denied.common,
            Reserved::TooBig { .. } => true,
        };
        if !ask.tell.why && (is_plain || why.first().is_none_or(|first| *first == Verdict::NotLooked)) {
            why.clear();
        }
        if let Reserved::Granted(Granted { told, .. }) | Reserved::Denied(Denied { told, .. }) = &mut reserved
        {
            *told = Told { left: self.left(ask), why };
        }
        Reply::Reserved(reserved)
    }

    /// Has the caller lapsed, without having heard from us lately? It must hear first: what it draws prolongs its
    /// life, and a replica that hears nothing must not go on drawing.
    fn is_lost(&self, caller: &Caller) -> bool {
        let l = self.clock.l;
        let lapsed = self.lives.get(&caller.inc).is_some_and(|life| l > life.exp);
        lapsed && l.saturating_sub(caller.l_ack) > TTL / 2
    }

    /// What is left of the pool that is asked after.
    fn left(&mut self, ask: &Reserve) -> Amounts {
        let Some(at) = ask.tell.left else { return Amounts::new() };
        let left = |meter: &Meter| meter.cap.saturating_sub(meter.used());
        self.touch(&ask.pools[at]).meters.iter().map(left).collect()
    }

    fn choose(&mut self, ask: &Reserve, why: &mut [Verdict]) -> Reserved {
        let (shared, common) = match self.fits(ask, &ask.common, Bounds::NONE) {
            Fits::Yes(share) => (share, None),
            Fits::Wait(wait) => (0, Some(wait)),
            Fits::Never { pool, meter } => return Reserved::TooBig { pool, meter },
        };
        let (pin, place) = (self.pin_of(ask), self.place(ask));
        let bounds = Bounds { most: ask.most, yields: place.map_or(WHOLE, |place| place.yields) };
        let best = self.best(ask, pin, bounds, why);
        if common.is_none() {
            match best {
                Best::Fits { .. } => self.note_turn(ask, place, None),
                Best::Waits(Wait { at, open: false, .. }) => self.note_turn(ask, place, Some(at)),
                Best::Waits(_) | Best::Never { .. } | Best::NoCandidate => {}
            }
        }
        match (best, common) {
            (Best::Fits { index, share }, None) => self.grant(ask, index, share.max(shared), pin),
            (Best::Fits { .. }, Some(common)) => self.denied(common, true),
            (Best::Waits(own), Some(common)) if !on(Mutant::CommonWaitAlone) => {
                let both = Wait { exact: own.exact && common.exact, ..own.max(common) };
                self.denied(both, common.at >= own.at)
            }
            (Best::Waits(_), Some(common)) => self.denied(common, true),
            (Best::Waits(own), None) => self.denied(own, false),
            (Best::Never { pool, meter }, _) => Reserved::TooBig { pool, meter },
            (Best::NoCandidate, Some(common)) => self.denied(common, true),
            (Best::NoCandidate, None) => {
                self.denied(Wait { at: self.clock.l, exact: false, pool: 0, open: false }, false)
            }
        }
    }

    /// The candidate to take; if none fits, how long the first one to fit must wait.
    fn best(&mut self, ask: &Reserve, pin: Option<Pin>, bounds: Bounds, why: &mut [Verdict]) -> Best {
        let l = self.clock.l;
        let mut note = |index: usize, look: Look| {
            if let Some(verdict) = why.get_mut(index) {
                *verdict = look.verdict(l);
            }
            look
        };
        let pinned = pin.and_then(|pin| ask.candidates.iter().position(|c| c.tag == pin.tag));
        let pinned = pinned.map(|index| (index, note(index, self.look(ask, index, bounds))));
        let mut look = |state: &mut State, index: usize| match pinned {
            Some((at, look)) if at == index => look,
            _ => note(index, state.look(ask, index, bounds)),
        };
        match pinned {
            Some((index, Look { fits: Fits::Yes(share), gate: Gate::Closed | Gate::Ramp })) => {
                let (index, share) = self.cheaper(ask, index, &mut look).unwrap_or((index, share));
                return Best::Fits { index, share };
            }
            Some((index, _)) if on(Mutant::PinBeatsLimits) => return Best::Fits { index, share: 0 },
            Some(_) | None => {}
        }
        if let Some((index, share)) = self.next_home(ask, pinned.map(|(at, _)| at), &mut look) {
            return Best::Fits { index, share };
        }
        let mut left = Left::default();
        let mut least: Option<(u64, usize)> = None;
        for (index, candidate) in ask.candidates.iter().enumerate() {
            let look = look(self, index);
            match look.share() {
                Some(share) if share <= candidate.threshold => return Best::Fits { index, share },
                Some(share) if least.is_none_or(|(lowest, _)| share < lowest) => least = Some((share, index)),
                Some(_) => {}
                None => left.note(index, look, l),
            }
            let tier_ends = ask.candidates.get(index + 1).is_none_or(|next| next.tier != candidate.tier);
            if let (true, Some((share, index))) = (tier_ends, least) {
                return Best::Fits { index, share };
            }
        }
        left.best()
    }

    fn look(&mut self, ask: &Reserve, index: usize, bounds: Bounds) -> Look {
        let candidate = &ask.candidates[index];
        let gate = self.circuits.gate(candidate.gates(), self.clock.l, ask.luck);
        Look { fits: self.fits(ask, &candidate.draws, bounds), gate }
    }

    fn denied(&self, wait: Wait, common: bool) -> Reserved {
        let Wait { at, exact, pool, open } = wait;
        let retry_in = at - self.clock.l;
        Reserved::Denied(Denied { retry_in, exact, pool, common, open, told: Told::default() })
    }

    /// Checks every meter of every draw; touches the pools.
    fn fits(&mut self, ask: &Reserve, draws: &[Draw], bounds: Bounds) -> Fits {
        let l = self.clock.l;
        let mut share = 0;
        let mut wait: Option<Wait> = None;
        let mut waits = |new: Wait| {
            let exact = new.exact && wait.is_none_or(|wait| wait.exact);
            wait = Some(Wait { exact, ..wait.map_or(new, |wait| new.max(wait)) });
        };
        for draw in draws {
            let decl = &ask.pools[draw.pool];
            let learned = self.learned.of(&decl.key, l).cloned();
            let slow = slow::of(decl).map(|slow| (slow, self.started(decl, slow)));
            let pool = self.touch(decl);
            if pool.rest_until > l && !on(Mutant::RestIgnored) {
                waits(Wait { at: pool.rest_until, exact: true, pool: draw.pool, open: false });
            }
            for (index, (meter, amount)) in pool.meters.iter().zip(&draw.amounts).enumerate() {
                if *amount == 0 {
                    continue; // nothing is asked of it, however full it is
                }
                let bound =
                    learned.as_ref().map_or(Bound::of(meter.cap), |known| known.bound(index, meter.cap, l));
                let bound =
                    slow.as_ref().map_or(bound, |(slow, start)| slow.within(start, index, *amount, bound));
                let most = bounded(bound.cap, bounds.most, *amount);
                match meter.fit(*amount, bound, most, decl.meters[index].pace, l) {
                    Fit::Yes(used) if used > bounds.yields && meter.used() > 0 => {
                        waits(Wait { at: l + YIELDED, exact: false, pool: draw.pool, open: false });
                    }
                    Fit::Yes(used) => share = share.max(used),
                    Fit::Wait { at, exact } => waits(Wait { at, exact, pool: draw.pool, open: false }),
                    Fit::Never => return Fits::Never { pool: draw.pool, meter: index },
                }
                if on(Mutant::PartialReserve) {
                    break;
                }
            }
        }
        wait.map_or(Fits::Yes(share), Fits::Wait)
    }

    /// How far a pool has come that starts slowly.
    fn started(&mut self, decl: &PoolDecl, slow: SlowStart) -> Start {
        let (l, before) = (self.clock.l, self.starts.remove(&decl.key));
        let start = slow.at(before, &self.touch(decl).meters, l);
        self.starts.insert(decl.key.clone(), start.clone());
        start
    }

    fn grant(&mut self, ask: &Reserve, index: usize, share: u64, pin: Option<Pin>) -> Reserved {
        let l = self.clock.l;
        if let Some(life) = self.lives.get_mut(&ask.caller.inc).filter(|_| !on(Mutant::LapsedDraws)) {
            life.exp = life.exp.max(l); // its holds are posted d_head or d_end after that, and not before
        }
        for draw in ask.common.iter().chain(&ask.candidates[index].draws) {
            let decl = &ask.pools[draw.pool];
            let Some(pool) = self.pools.get_mut(&decl.key).filter(|p| !p.meters.is_empty()) else { continue };
            let Some(life) = self.lives.get_mut(&ask.caller.inc) else { continue };
            let counters = life.counters.entry(decl.key.clone()).or_default();
            counters.resize(pool.meters.len(), Default::default());
            for (at, amount) in draw.amounts.iter().enumerate() {
                pool.meters[at].take(*amount, decl.meters[at].pace, l);
                counters[at].granted += amount;
            }
        }
        let Candidate { tag, .. } = ask.candidates[index];
        let answered = self.lives.get(&ask.caller.inc).map_or(0, |life| life.d_head);
        let permit = self.circuits.probe(ask.candidates[index].gates(), l, answered);
        let session = self.pin(ask, tag, pin);
        let used = if ask.tell.used { self.used(ask, index) } else { Amounts::new() };
        Reserved::Granted(Granted { index, session, share, l, permit, used, told: Told::default() })
    }

    /// What is counted on a candidate's own pools, and was ever.
    fn used(&self, ask: &Reserve, index: usize) -> Amounts {
        let draws = ask.candidates[index].draws.iter();
        let pools = draws.filter_map(|draw| self.pools.get(&ask.pools[draw.pool].key));
        let counted = |meter: &Meter| [meter.used(), meter.posted + meter.hold];
        pools.flat_map(|pool| pool.meters.iter().flat_map(counted)).collect()
    }

    fn pin_of(&self, ask: &Reserve) -> Option<Pin> {
        let session = ask.session.as_ref()?;
        let forever = on(Mutant::PinNeverExpires);
        self.pins.get(&session.key).filter(|pin| pin.expires > self.clock.l || forever).copied()
    }

    /// Pins the session to the chosen deployment. An unmoved pin is renewed when a quarter of its time is gone.
    fn pin(&mut self, ask: &Reserve, tag: u64, pin: Option<Pin>) -> SessionOutcome {
        let Some(session) = &ask.session else { return SessionOutcome::None };
        let expires = self.clock.l + session.ttl;
        let (outcome, version) = match pin {
            Some(pin) if pin.tag == tag => {
                if pin.expires + session.ttl / 4 > expires {
                    return SessionOutcome::Hit;
                }
                (SessionOutcome::Hit, pin.version)
            }
            Some(pin) => {
                self.moves.note(&session.key, tag, self.clock.l);
                (SessionOutcome::Moved, pin.version + 1)
            }
            None => (SessionOutcome::New, self.pins.get(&session.key).map_or(1, |old| old.version + 1)),
        };
        self.pins.insert(session.key.clone(), Pin { tag, version, expires });
        outcome
    }
}
