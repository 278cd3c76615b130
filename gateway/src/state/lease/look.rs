//! A call on loans: which candidate it takes, as the state would choose by what was heard last, and the taking.
//!
//! The choice is RESERVE's own ([`crate::state::core::reserve`]) among the first tier: the first candidate whose share of use stays under
//! its threshold, else the least used. What it goes by is as old as the last SYNC, but for what was drawn here since. Whatever the
//! state has to decide about is asked for: a session's place, a probe, who goes first where room is scarce.

use std::sync::Arc;

use smallvec::SmallVec;

use super::Policy;
use crate::state::books::PoolBooks;
use crate::state::core::circuit::Gate;
use crate::state::core::fair::YIELD;
use crate::state::core::{Amounts, Candidate, Draw, Ms, Reserve, Verdict};
use crate::state::ledger::{Drawn, Ledger};

/// Where a provider says what it has left, the state is asked for a call this often at least: what it counts then is compared.
const COMPARED_EVERY: Ms = 1_000;

/// What a call drew on loans.
#[derive(Debug)]
pub struct Lent {
    /// The candidate's index.
    pub index: usize,
    /// From where.
    pub drawn: Vec<Drawn>,
    /// Highest share in use, as heard last, over all pools, millionths.
    pub share: u64,
    /// What is left of the pool that was asked after.
    pub left: Amounts,
    /// What became of every candidate, if the first was looked at and not taken.
    pub why: Vec<Verdict>,
}

/// Does a call take what it draws from what is lent?
#[derive(Debug)]
pub enum Takes {
    /// It did.
    Lent(Lent),
    /// It would, if there were loans enough, or if it were known how full its pools are.
    Lacks,
    /// The state must decide.
    Asks,
}

/// What is known of one candidate, or of what all draw on.
enum Look {
    Fits(u64),
    Passed(Verdict),
    Unheard,
    Asks,
}

impl Ledger {
    /// Takes what a request draws from what is lent, all or nothing; `home`: the tag of the deployment where its session is, as heard
    /// lately; `gate`: what a candidate's circuits say.
    pub fn take_lent(
        &self,
        ask: &Reserve,
        home: Option<u64>,
        gate: impl Fn(&Candidate) -> Gate,
        (policy, now): (Policy, Ms),
    ) -> Takes {
        if ask.tell.why || ask.session.is_some() && home.is_none() {
            return Takes::Asks;
        }
        let common = match self.look(ask, &ask.common, (policy, now)) {
            Look::Fits(share) => share,
            Look::Unheard => return Takes::Lacks,
            Look::Passed(_) | Look::Asks => return Takes::Asks,
        };
        let mut why = SmallVec::new();
        let chosen = match home.filter(|_| ask.session.is_some()) {
            Some(home) => self.stay(ask, home, gate, (policy, now)),
            None => self.choose(ask, gate, (policy, now), &mut why),
        };
        let (index, own) = match chosen {
            Ok(chosen) => chosen,
            Err(takes) => return takes,
        };
        let share = common.max(own);
        let is_scarce = ask.turn.is_some() && share >= YIELD;
        if own > ask.most || is_scarce || self.is_to_be_compared(ask, index, now) {
            return Takes::Asks;
        }
        let Some(drawn) = self.take_all(ask, index) else { return Takes::Lacks };
        let left = ask.tell.left.and_then(|at| self.find(&ask.pools[at].key));
        let left = left.map_or_else(Amounts::new, |books| books.left());
        let mut why = why.into_vec();
        if index == 0 {
            why.clear();
        } else if !why.is_empty() {
            why.resize(ask.candidates.len(), Verdict::NotLooked);
        }
        Takes::Lent(Lent { index, drawn, share, left, why })
    }

    /// Calls like this one lack loans: what they look at is followed. (`home` as above.)
    pub fn follow(&self, ask: &Reserve, home: Option<u64>, now: Ms) {
        let tier = ask.candidates.first().map(|first| first.tier);
        let looks = |candidate: &&Candidate| match home {
            Some(home) => candidate.tag == home,
            None => Some(candidate.tier) == tier,
        };
        let own = ask.candidates.iter().filter(looks);
        for draw in ask.common.iter().chain(own.flat_map(|candidate| &candidate.draws)) {
            let books = self.pool(&ask.pools[draw.pool]);
            books.lending.looks(now);
            self.follow_pool(&books);
        }
    }

    /// The candidate where the session is, and its share in use. Whether it moves the state decides.
    fn stay(
        &self,
        ask: &Reserve,
        home: u64,
        gate: impl Fn(&Candidate) -> Gate,
        (policy, now): (Policy, Ms),
    ) -> Result<(usize, u64), Takes> {
        let Some(index) = ask.candidates.iter().position(|candidate| candidate.tag == home) else {
            return Err(Takes::Asks);
        };
        let candidate = &ask.candidates[index];
        if ask.may_leave(index) || !matches!(gate(candidate), Gate::Closed) {
            return Err(Takes::Asks);
        }
        match self.look(ask, &candidate.draws, (policy, now)) {
            Look::Fits(share) => Ok((index, share)),
            Look::Unheard => Err(Takes::Lacks),
            Look::Passed(_) | Look::Asks => Err(Takes::Asks),
        }
    }

    /// The candidate of the first tier that the state would take, and its share in use.
    fn choose(
        &self,
        ask: &Reserve,
        gate: impl Fn(&Candidate) -> Gate,
        (policy, now): (Policy, Ms),
        why: &mut SmallVec<[Verdict; 8]>,
    ) -> Result<(usize, u64), Takes> {
        let Some(tier) = ask.candidates.first().map(|first| first.tier) else { return Err(Takes::Asks) };
        let mut least: Option<(u64, usize)> = None;
        let of_tier = ask.candidates.iter().take_while(|candidate| candidate.tier == tier);
        for (index, candidate) in of_tier.enumerate() {
            let look = match gate(candidate) {
                Gate::Closed => self.look(ask, &candidate.draws, (policy, now)),
                Gate::Open { next, cause, .. } => {
                    Look::Passed(Verdict::Open(next.saturating_sub(now), cause))
                }
                Gate::Probe | Gate::Ramp => Look::Asks,
            };
            match look {
                Look::Fits(share) if share <= candidate.threshold => return Ok((index, share)),
                Look::Fits(share) => {
                    why.push(Verdict::Fits(share));
                    least = least.filter(|(lowest, _)| *lowest <= share).or(Some((share, index)));
                }
                Look::Passed(verdict) => why.push(verdict),
                Look::Unheard => return Err(Takes::Lacks),
                Look::Asks => return Err(Takes::Asks),
            }
        }
        least.map(|(share, index)| (index, share)).ok_or(Takes::Asks)
    }

    /// What was heard of the pools of these draws.
    fn look(&self, ask: &Reserve, draws: &[Draw], (policy, now): (Policy, Ms)) -> Look {
        let (mut share, mut rests) = (0, None);
        for draw in draws {
            let decl = &ask.pools[draw.pool];
            let Some(books) = self.find(&decl.key) else { return Look::Unheard };
            if books.lending.is_unfit(policy) {
                return Look::Asks;
            }
            books.lending.looks(now);
            if !books.lending.is_fresh(now) {
                return Look::Unheard;
            }
            let rest = books.rest_left(now);
            if rest > 0 {
                rests = rests.filter(|(longest, _)| *longest >= rest).or(Some((rest, draw.pool)));
                continue;
            }
            let is_larger = |(amount, meter): (&u64, &crate::state::core::Declared)| *amount > meter.cap;
            if books.is_lowered() || draw.amounts.iter().zip(decl.meters.iter()).any(is_larger) {
                return Look::Asks;
            }
            share = share.max(books.share_with(decl, &draw.amounts));
        }
        rests.map_or(Look::Fits(share), |(rest, pool)| Look::Passed(Verdict::Waits(rest, pool)))
    }

    /// Does a provider say what it has left, and was that not compared lately?
    fn is_to_be_compared(&self, ask: &Reserve, index: usize, now: Ms) -> bool {
        let due = |draw: &Draw| {
            let decl = &ask.pools[draw.pool];
            let due = |books: Arc<PoolBooks>| books.is_to_be_compared(COMPARED_EVERY, now);
            !decl.meters.is_empty() && self.find(&decl.key).is_none_or(due)
        };
        // (All of them, for one call compares them all.)
        ask.tell.used && ask.candidates[index].draws.iter().fold(false, |any, draw| due(draw) | any)
    }

    /// All of it, or nothing.
    fn take_all(&self, ask: &Reserve, index: usize) -> Option<Vec<Drawn>> {
        let mut drawn: Vec<Drawn> = Vec::with_capacity(ask.pools.len());
        for draw in ask.common.iter().chain(&ask.candidates[index].draws) {
            if ask.pools[draw.pool].meters.is_empty() {
                continue;
            }
            let books = self.find(&ask.pools[draw.pool].key).filter(|books| books.take(&draw.amounts));
            let Some(books) = books else {
                drawn.iter().for_each(|(_, books, amounts)| books.put(amounts));
                return None;
            };
            drawn.push((draw.pool, books, draw.amounts.clone()));
        }
        Some(drawn)
    }
}
