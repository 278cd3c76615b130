//! Circuits, as this replica knows them: what it tells of attempts, and what it heard of others'.

use std::collections::BTreeMap;

use super::Side;
use crate::state::core::circuit::Gate;
use crate::state::core::{Circuit, Ending, Ms, Outcome, Reserve, TTL, Trip};

impl Side {
    /// An attempt at the deployment `tag` ended; `permit`: that of a probe, else 0. It is told with the next SYNC, or judged
    /// here while the state is away.
    pub fn ended(&mut self, tag: u64, trip: Trip, ending: Ending, permit: u64, now: Ms) {
        let mut one = Outcome::none(tag, trip);
        if now.saturating_sub(self.heard) > TTL {
            one.add(ending, permit);
            self.circuits.take(&one, now);
            self.circuits.settle(now);
            return;
        }
        let outcome = self.outcomes.entry(tag).or_insert(one);
        outcome.trip = trip;
        outcome.add(ending, permit);
    }

    /// Puts the candidates whose circuit is open behind the others.
    pub fn open_last(&self, ask: &Reserve, candidates: &mut [usize], now: Ms) {
        let is_open = |at: &usize| {
            matches!(self.circuits.gate(ask.candidates[*at].tag, now, ask.luck), Gate::Open { .. })
        };
        candidates.sort_by_key(is_open);
    }

    /// Is the circuit of the deployment `tag` open, as far as this replica knows?
    pub fn is_open(&self, tag: u64) -> bool {
        self.circuits.known.get(&tag).is_some_and(Circuit::is_open)
    }

    /// May a call that asks so be let through an open circuit?
    pub fn may_probe(&self, ask: &Reserve) -> bool {
        ask.candidates.iter().any(|candidate| self.is_open(candidate.tag))
    }

    /// What the next SYNC tells. What went well can wait for the next that counts the living (`count`): it is what a row of
    /// failures is held against.
    pub(super) fn due_outcomes(&mut self, count: bool) -> Vec<Outcome> {
        let due = |outcome: &Outcome| count || outcome.failed > 0 || !outcome.probes.is_empty();
        let all = std::mem::take(&mut self.outcomes);
        let (due, later): (BTreeMap<_, _>, _) = all.into_iter().partition(|(_, outcome)| due(outcome));
        self.outcomes = later;
        due.into_values().collect()
    }

    /// A SYNC was surely not taken: what it told of is told again.
    pub(super) fn untold(&mut self, outcomes: &[Outcome]) {
        for before in outcomes {
            let later = self.outcomes.remove(&before.tag).unwrap_or(Outcome::none(before.tag, before.trip));
            self.outcomes.insert(before.tag, before.clone().and(&later));
        }
    }

    /// What the state knows of circuits at its time `l`; what was judged here meanwhile is over.
    pub(super) fn learn_circuits(&mut self, circuits: Vec<(u64, Circuit)>, l: Ms, now: Ms) {
        let here = |(tag, circuit): (u64, Circuit)| (tag, circuit.moved(l, now));
        self.circuits.known = circuits.into_iter().map(here).collect();
        self.circuits.counts.clear();
    }
}
