//! Circuits, as this replica knows them: what it tells of attempts, and what it heard of others'.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{AWAY_AFTER, Side};
use crate::state::core::circuit::Gate;
use crate::state::core::{Cause, Circuit, Ending, Gates, Ms, Outcome, Reserve, TTL, Trip};

/// What has become of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// Its name.
    pub account: Arc<str>,
    /// Why.
    pub cause: Cause,
    /// It is left alone; else it is not any more.
    pub is_shut: bool,
}

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
        if ending == Ending::Wrong && self.borrows.is_some() {
            self.failed.insert(tag, now);
        }
        let outcome = self.outcomes.entry(tag).or_insert(one);
        outcome.trip = trip;
        outcome.add(ending, permit);
    }

    /// The same of what is no attempt's end: what is learnt of an account, or by a check.
    pub fn learnt(&mut self, one: Outcome, now: Ms) {
        if now.saturating_sub(self.heard) > TTL {
            self.circuits.take(&one, now);
            self.circuits.settle(now);
            return;
        }
        if one.failed > 0 && self.borrows.is_some() {
            self.failed.insert(one.tag, now);
        }
        let before = self.outcomes.remove(&one.tag).unwrap_or(Outcome::none(one.tag, one.trip));
        self.outcomes.insert(one.tag, before.and(&one));
    }

    /// Puts the candidates whose circuit is open behind the others.
    pub fn open_last(&self, ask: &Reserve, candidates: &mut [usize], now: Ms) {
        let is_open = |at: &usize| {
            matches!(self.circuits.gate(ask.candidates[*at].gates(), now, ask.luck), Gate::Open { .. })
        };
        candidates.sort_by_key(is_open);
    }

    /// Is any of these circuits open, as far as this replica knows?
    pub fn is_open(&self, of: Gates) -> bool {
        let is_open = |tag: u64| self.circuits.known.get(&tag).is_some_and(Circuit::is_open);
        !self.circuits.known.is_empty() && of.tags().any(|(tag, _)| is_open(tag))
    }

    /// What these circuits say to a call, as far as this replica knows.
    pub fn gate(&self, of: Gates, now: Ms) -> Gate {
        self.circuits.gate(of, now, 0)
    }

    /// The tags of accounts whose circuits are of interest, with their names.
    pub fn watch_accounts(&mut self, accounts: Vec<(u64, Arc<str>)>) {
        self.accounts = accounts;
    }

    /// What has become of accounts since this was asked last: those that are left alone from now on, and those that no longer are.
    pub fn news(&mut self) -> Vec<News> {
        if self.circuits.known.is_empty() && self.shut.is_empty() {
            return Vec::new();
        }
        let open = |(tag, name): &(u64, Arc<str>)| {
            let is_open =
                |cause: &Cause| self.circuits.known.get(&cause.tag(*tag)).is_some_and(Circuit::is_open);
            let causes = [Cause::Key, Cause::Quota].into_iter().filter(is_open);
            causes.map(|cause| (name.clone(), cause)).collect::<Vec<_>>()
        };
        let now: Vec<_> = self.accounts.iter().flat_map(open).collect();
        let before = std::mem::replace(&mut self.shut, now.clone());
        let news = |is_shut| move |(account, cause)| News { account, cause, is_shut };
        let begun = now.iter().filter(|one| !before.contains(one)).cloned().map(news(true));
        let over = before.iter().filter(|one| !now.contains(one)).cloned().map(news(false));
        begun.chain(over).collect()
    }

    /// Who lives, this replica included, by name; none if it has not heard.
    pub fn living(&self) -> Vec<String> {
        if self.roster.is_empty() {
            return Vec::new(); // it has only begun: others may be there
        }
        let mut names: Vec<String> = self.roster.iter().map(|inc| inc.name.clone()).collect();
        names.push(self.name.clone());
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Has the state not been heard for so long that each replica judges by what it sees itself?
    pub fn is_cut_off(&self, now: Ms) -> bool {
        now.saturating_sub(self.heard) > AWAY_AFTER
    }

    /// May a call that asks so be let through an open circuit?
    pub fn may_probe(&self, ask: &Reserve) -> bool {
        ask.candidates.iter().any(|candidate| self.is_open(candidate.gates()))
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
