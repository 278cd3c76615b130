//! Without the state: when it counts as away, and how this replica's part of the limits is asked.

use std::sync::Arc;

use super::Side;
use crate::state::core::mutant::{Mutant, on};
use crate::state::core::{Caller, Ms, Reserve, TTL};
use crate::state::ledger::Ledger;
use crate::state::living::Life;
use crate::state::share::{Before, Share, Shared};

/// After so long without an answer the state counts as away for everybody: nobody was answered within [`TTL`], so
/// whoever is answered next meets the rejoin barrier.
pub const AWAY_AFTER: Ms = TTL + TTL / 2;
/// Tries to ask the state that are further apart than this do not show that it was away in between.
const STALL: Ms = 500;
/// A state that has been asked in vain for less than this may only have hitched: a reply was late, a connection broke.
pub const HITCH: Ms = 400;

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
    /// How many replicas there are, this one included, as far as it knows; 0: it does not.
    pub fn replicas(&self) -> u64 {
        self.most.0.max(self.expected)
    }

    /// Among how many limits are shared while the state is away; none if nobody knows.
    pub fn shares(&self) -> Option<u64> {
        let shares = if on(Mutant::WholeShares) { 1 } else { self.replicas() };
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
            self.lives.iter().for_each(|life| life.ledger.give_back()); // a part is drawn on instead
            if self.lives.last().is_none_or(|life| life.to_tell != Some(0)) {
                self.begin();
            }
            if let Some(life) = self.lives.last_mut() {
                life.tell(0); // what was told of it so far is out of date from now on
            }
            let mut before: Vec<_> = self
                .past
                .iter()
                .map(|(past, _)| past.clone())
                .chain(self.lives.iter().map(Life::before))
                .collect();
            before.sort_by_key(|life| life.ledger.inc().k); // as they were begun
            let Some(Before { ledger, .. }) = before.pop() else { return Alone::Never };
            let mut share = Share::new(shares, ledger, before, self.longest, self.heard, now);
            self.rests.iter().for_each(|(key, rest)| share.rest(key, rest.until));
            self.share = Some(share);
        }
        let (Some(share), Some(life)) = (&mut self.share, self.lives.last_mut()) else { return Alone::Never };
        let (l_ack, x) = (0, 0);
        Arc::make_mut(ask).caller = Caller { epoch: life.ledger.epoch(), inc: life.ledger.inc(), l_ack, x };
        share.exchange(&mut self.circuits);
        let shared = share.reserve(ask, counts, pin, now);
        share.exchange(&mut self.circuits);
        if let Shared::Granted(..) = shared {
            life.granted(now);
        }
        Alone::Shared(life.ledger.clone(), shared)
    }

    /// Among how many limits are being shared.
    pub fn is_sharing(&self) -> Option<u64> {
        self.share.as_ref().map(Share::of)
    }

    /// The state was asked and did not answer.
    pub fn failed(&mut self, now: Ms) {
        // After a stall of this process nothing is known of the time before.
        let since = self.failing.filter(|(_, last)| now.saturating_sub(*last) <= STALL);
        self.failing = Some((since.map_or(now, |(since, _)| since), now));
    }

    /// How long to go on asking a state that does not answer before limits are taken to be without it.
    pub fn hitch_left(&self, now: Ms) -> Option<Ms> {
        let since = self.failing.map_or(now, |(since, _)| since);
        (since + HITCH).checked_sub(now).filter(|left| *left > 0)
    }
}
