//! Which deployments may serve a call, and in which order they are tried. Pure: facts and draws in, an order out.

pub mod able;
pub mod attempts;
pub mod behaviour;
pub mod complexity;
mod order;
pub mod rotation;
pub mod rules;

use parking_lot::Mutex;

use crate::config::{Config, DeploymentId, Model, Strategy, Target};
use order::{Order, order};
use rotation::Rotation;

/// Candidates that a capacity choice compares at most; the rest follow as a tier of their own.
const COMPARED: usize = 8;

/// A target, ranked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ranked<'a> {
    /// Which.
    pub target: &'a Target,
    /// Lower first.
    pub tier: u64,
    /// Taken at first sight while its share in use stays at or under this, millionths; 0: always compared.
    pub threshold: u64,
}

/// What a call asks of a deployment.
#[derive(Clone, Copy, Debug)]
pub struct Needs {
    /// Estimated input tokens.
    pub input: u64,
    /// Output tokens that the client asks for, if it says so.
    pub output: u64,
    /// Output tokens that are to be expected.
    pub expected: u64,
}

impl Needs {
    /// Does the call fit a context of so many tokens?
    pub fn fit(&self, window: Option<u64>) -> bool {
        window.is_none_or(|window| self.input.saturating_add(self.output) <= window)
    }
}

/// What is to be expected of a deployment, as far as this replica knows.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Outlook {
    /// Until the answer is complete, seconds; none if nothing is known.
    pub time: Option<f64>,
    /// The share of its attempts that fail.
    pub errors: f64,
    /// Attempts in flight there from here.
    pub busy: u32,
}

/// A target that can serve the call.
#[derive(Clone, Copy, Debug)]
struct Candidate<'a> {
    target: &'a Target,
    outlook: Outlook,
    /// What the call costs there, US$; without a price more than anywhere else.
    cost: f64,
}

/// Does the order depend on what is known of the deployments, or of the call's output?
pub fn looks(model: &Model) -> bool {
    matches!(model.ranking.strategy, Strategy::Latency | Strategy::Cost | Strategy::ErrorRate)
}

/// Ranks the targets of a model that are `able` to serve the call. `draw` yields numbers in [0, 1).
///
/// Between `headroom.soft` and `hard` each candidate is passed over with a probability that grows with its load:
/// its threshold is drawn uniformly between the two. A capacity choice compares instead of taking the first. By cost a
/// dearer one serves only what a cheaper cannot. Inside a tier those that are farther away serve only what nearer ones cannot,
/// whatever the strategy, where the model says so.
pub fn rank<'a>(
    config: &Config,
    model: &'a Model,
    rotation: &Mutex<Rotation>,
    needs: Needs,
    able: &dyn Fn(&Target) -> bool,
    outlook: &dyn Fn(DeploymentId) -> Outlook,
    draw: &mut dyn FnMut() -> f64,
) -> Vec<Ranked<'a>> {
    let can =
        |target: &&Target| able(target) && needs.fit(config.deployments[target.deployment.0].context_window);
    let looks = looks(model);
    let candidate = |target: &'a Target| {
        let price = config.deployments[target.deployment.0].price;
        let cost = price.map_or(f64::INFINITY, |price| price.of(needs.input, 0, 0, needs.expected));
        let outlook = if looks { outlook(target.deployment) } else { Outlook::default() };
        Candidate { target, outlook, cost }
    };
    let mut candidates: Vec<Candidate<'a>> = model.targets.iter().filter(can).map(candidate).collect();
    let place = |candidate: &Candidate<'_>| (candidate.target.tier, candidate.target.distance);
    candidates.sort_by_key(place);
    let mut ranked = Vec::with_capacity(candidates.len());
    for equals in candidates.chunk_by_mut(|a, b| place(a) == place(b)) {
        for Order { group, by, after } in order(equals, model, rotation, draw) {
            let next = ranked.last().map_or(0, |last: &Ranked<'_>| last.tier + u64::from(after));
            ranked.extend(group.iter().enumerate().map(|(at, candidate)| Ranked {
                target: candidate.target,
                tier: next + u64::from(by == Strategy::Capacity && at >= COMPARED),
                threshold: if by == Strategy::Capacity { 0 } else { threshold(model, draw) },
            }));
        }
    }
    ranked
}

fn threshold(model: &Model, draw: &mut dyn FnMut() -> f64) -> u64 {
    let (soft, hard) = (f64::from(model.headroom.soft), f64::from(model.headroom.hard));
    // Shares are counted against the cap, which is hard * limit already.
    ((soft + (hard - soft) * draw()) / hard * 1e6) as u64
}

#[cfg(test)]
mod tests;
