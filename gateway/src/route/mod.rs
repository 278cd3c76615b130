//! Which deployments may serve a call, and in which order they are tried. Pure: facts and draws in, an order out.

pub mod able;
pub mod attempts;
pub mod behaviour;
pub mod budget;
pub mod complexity;
mod crowd;
pub mod experiment;
mod order;
pub mod predict;
pub mod rotation;
pub mod rules;
mod warm;

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
    /// Those of one tier and set are about equal to the strategy.
    pub set: u64,
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
    /// How its prompt begins, if it had better go where others began so.
    pub beginning: Option<u64>,
    /// When, Unix seconds: prices change.
    pub at: u64,
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
    /// Until an answer is complete as a rule, seconds; none if nothing is known.
    pub time: Option<f64>,
    /// Until this very call would be complete, seconds, as it was learnt; none if nothing is known, or nobody asks.
    pub expected: Option<f64>,
    /// The share of its attempts that fail.
    pub errors: f64,
    /// Attempts in flight there from here.
    pub own: u64,
    /// Attempts in flight there, of all replicas as far as is known.
    pub busy: u64,
    /// The same, with what others may have sent since they were heard.
    pub crowd: f64,
    /// The share in use of the fullest of its pools.
    pub used: f64,
    /// The same at the fullest that the next minute is expected to bring.
    pub full: f64,
}

/// A target that can serve the call.
#[derive(Clone, Copy, Debug)]
struct Candidate<'a> {
    target: &'a Target,
    /// The deployment's.
    tag: u64,
    /// Its weight beside others', by itself.
    weight: f64,
    outlook: Outlook,
    /// What the call costs there, US$; without a price more than anywhere else.
    cost: f64,
    /// What a strategy goes by; the less the better.
    score: f64,
    /// Where it stood before, for equals.
    place: usize,
}

/// Does the order depend on what is known of the deployments, or of the call's output?
pub fn looks(model: &Model) -> bool {
    let looks = |strategy| match strategy {
        Strategy::Capacity | Strategy::RoundRobin => false,
        Strategy::Weighted => model.targets.iter().any(|target| target.auto),
        Strategy::Latency | Strategy::Cost | Strategy::ErrorRate => true,
        Strategy::LeastBusy | Strategy::Predictive | Strategy::Composite => true,
    };
    looks(model.ranking.strategy)
}

/// Does it depend on how long this very call would take?
pub fn expects(model: &Model) -> bool {
    model.ranking.uses(Strategy::Predictive) || model.ranking.uses(Strategy::Composite)
}

/// Ranks the targets of a model that are `able` to serve the call, each with its weight; of others there is none. `draw` yields
/// numbers in [0, 1).
///
/// Between `headroom.soft` and `hard` each candidate is passed over with a probability that grows with its load:
/// its threshold is drawn uniformly between the two. A capacity choice compares instead of taking the first. By cost a
/// dearer one serves only what a cheaper cannot. Inside a tier those that are farther away serve only what nearer ones cannot,
/// whatever the strategy, where the model says so.
///
/// A call that says how it begins is taken where that is warm, among candidates that the strategy holds for equal only
/// ([`warm`]). No warm one is taken beyond `headroom.soft` while a cooler one is below.
pub fn rank<'a>(
    config: &Config,
    model: &'a Model,
    rotation: &Mutex<Rotation>,
    needs: Needs,
    able: &dyn Fn(&Target) -> Option<f64>,
    outlook: &dyn Fn(DeploymentId) -> Outlook,
    draw: &mut dyn FnMut() -> f64,
) -> Vec<Ranked<'a>> {
    let looks = looks(model) || needs.beginning.is_some();
    let candidate = |target: &'a Target| {
        let deployment = &config.deployments[target.deployment.0];
        let weight = able(target).filter(|_| needs.fit(deployment.context_window))?;
        let price = deployment.pricing.at(needs.at);
        let cost = price.map_or(f64::INFINITY, |price| price.of(needs.input, 0, 0, needs.expected));
        let outlook = if looks { outlook(target.deployment) } else { Outlook::default() };
        Some(Candidate { target, tag: deployment.tag, weight, outlook, cost, score: 0.0, place: 0 })
    };
    let mut candidates: Vec<Candidate<'a>> = model.targets.iter().filter_map(candidate).collect();
    let place = |candidate: &Candidate<'_>| (candidate.target.tier, candidate.target.distance);
    candidates.sort_by_key(place);
    let mut ranked = Vec::with_capacity(candidates.len());
    for equals in candidates.chunk_by_mut(|a, b| place(a) == place(b)) {
        let begin = ranked.len();
        for Order { group, equals, by, warm, after } in order(equals, model, rotation, needs.beginning, draw)
        {
            let (next, set) = ranked
                .last()
                .map_or((0, 0), |last: &Ranked<'_>| (last.tier + u64::from(after), last.set + 1));
            ranked.extend(group.iter().enumerate().map(|(at, candidate)| Ranked {
                target: candidate.target,
                tier: next + u64::from(by == Strategy::Capacity && at >= COMPARED),
                threshold: match (warm, by) {
                    (true, _) => threshold(model, &mut || 0.0),
                    (false, Strategy::Capacity) => 0,
                    (false, _) => threshold(model, draw),
                },
                set: set + u64::from(at >= equals),
            }));
        }
        if model.ranking.strategy != Strategy::Weighted {
            keep_warm(&mut ranked[begin..], model, draw);
        }
    }
    ranked
}

/// Now and then one comes first that is to have a least share (`min_share`), whatever the strategy: what gets no calls is not
/// known. (Weights see to it by themselves.)
fn keep_warm(tier: &mut [Ranked<'_>], model: &Model, draw: &mut dyn FnMut() -> f64) {
    if tier.iter().all(|ranked| ranked.target.min_share == 0.0) {
        return;
    }
    let mut luck = draw();
    let drawn = tier.iter().position(|ranked| {
        luck -= ranked.target.min_share;
        luck < 0.0
    });
    if let Some(drawn) = drawn {
        tier[drawn].tier = tier[0].tier;
        tier[drawn].threshold = threshold(model, draw); // of a capacity choice: taken at first sight
        tier[..=drawn].rotate_right(1);
    }
}

fn threshold(model: &Model, draw: &mut dyn FnMut() -> f64) -> u64 {
    let (soft, hard) = (f64::from(model.headroom.soft), f64::from(model.headroom.hard));
    // Shares are counted against the cap, which is hard * limit already.
    ((soft + (hard - soft) * draw()) / hard * 1e6) as u64
}

#[cfg(test)]
mod tests;
