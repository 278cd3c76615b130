//! How often a call is attempted on a model, and in which of its tiers.

use super::Ranked;
use crate::config::{Model, Target};

/// The attempts of a call on one model.
#[derive(Clone, Debug)]
pub struct Attempts<'m> {
    model: &'m Model,
    made: u32,
    /// One of them reached a provider, perhaps.
    sent: bool,
    /// Of each of [`Model::tiers`].
    in_tiers: Vec<u32>,
}

impl<'m> Attempts<'m> {
    /// None has been made.
    pub fn new(model: &'m Model) -> Attempts<'m> {
        Attempts { model, made: 0, sent: false, in_tiers: vec![0; model.tiers.len()] }
    }

    /// How many were made.
    pub fn made(&self) -> u32 {
        self.made
    }

    /// Has one of them reached a provider, as far as is known?
    pub fn sent(&self) -> bool {
        self.sent
    }

    /// May there be another?
    pub fn are_left(&self) -> bool {
        self.made < self.model.retry.attempts
    }

    /// One more, at this target; it may have been `sent`.
    pub fn count(&mut self, target: &Target, sent: bool) {
        self.made += 1;
        self.sent |= sent;
        for (tier, made) in self.model.tiers.iter().zip(&mut self.in_tiers) {
            *made += u32::from(tier.priority == target.tier);
        }
    }

    /// Has the target's tier attempts left?
    pub fn may_go_to(&self, target: &Target) -> bool {
        self.left_in(target.tier) > 0
    }

    /// May another of the ranked be tried after the one that is taken? Hardly one that is `shut`.
    pub fn may_go_on(&self, ranked: &[Ranked<'_>], taken: usize, shut: impl Fn(&Target) -> bool) -> bool {
        let tier = ranked[taken].target.tier;
        let others = ranked.iter().enumerate().filter(|(at, _)| *at != taken).map(|(_, other)| other.target);
        let mut others = others.filter(|other| self.left_in(other.tier) > u32::from(other.tier == tier));
        self.made + 1 < self.model.retry.attempts && others.any(|other| !shut(other))
    }

    fn left_in(&self, priority: u32) -> u32 {
        let mut tiers = self.model.tiers.iter().zip(&self.in_tiers);
        let found = tiers.find(|(tier, _)| tier.priority == priority);
        found.map_or(u32::MAX, |(tier, made)| tier.attempts.saturating_sub(*made))
    }
}

#[cfg(test)]
#[path = "attempts_tests.rs"]
mod tests;
