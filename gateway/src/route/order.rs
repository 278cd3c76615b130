//! The strategies: in which order the candidates of a tier come.

use parking_lot::Mutex;

use super::rotation::Rotation;
use super::{Candidate, Outlook};
use crate::config::{Model, Strategy};

/// Fewer failures than this share are no difference: one of a hundred attempts is chance.
const FEW_ERRORS: f64 = 0.01;
/// What a failure costs, seconds: about what one waits for an answer in vain.
const FAILURE: f64 = 30.0;
/// The least that it costs, in times of the answer.
const FAILURE_TIMES: f64 = 10.0;
/// Shorter times are no difference, seconds.
const SOON: f64 = 0.001;

/// Candidates that are equal to the strategy, in order.
pub(super) struct Order<'c, 'a> {
    pub(super) group: &'c [Candidate<'a>],
    /// The strategy that has ordered them.
    pub(super) by: Strategy,
    /// They serve only what those before them cannot.
    pub(super) after: bool,
}

/// Orders the candidates of one tier that are as near as each other. What costs the same, or fails as seldom, within `tiebreak_within`, is one group; by other
/// strategies all are.
pub(super) fn order<'c, 'a>(
    tier: &'c mut [Candidate<'a>],
    model: &Model,
    rotation: &Mutex<Rotation>,
    draw: &mut dyn FnMut() -> f64,
) -> Vec<Order<'c, 'a>> {
    let mut by = |strategy, group: &mut [Candidate<'a>]| match strategy {
        Strategy::Capacity => shuffle(group, draw),
        Strategy::Weighted => rotation.lock().order(group, |c| (c.target.deployment, c.target.weight), draw),
        Strategy::RoundRobin => rotation.lock().order(group, |c| (c.target.deployment, 1.0), draw),
        Strategy::Latency => fastest_first(group, model.ranking.latency.choices, draw),
        Strategy::Cost => group.sort_by(|a, b| a.cost.total_cmp(&b.cost)),
        Strategy::ErrorRate => group.sort_by(|a, b| errors(a).total_cmp(&errors(b))),
    };
    let strategy = model.ranking.strategy;
    by(strategy, tier);
    let score: fn(&Candidate<'_>) -> f64 = match strategy {
        Strategy::Cost => |candidate| candidate.cost,
        Strategy::ErrorRate => errors,
        Strategy::Capacity | Strategy::Weighted | Strategy::RoundRobin | Strategy::Latency => {
            return vec![Order { group: tier, by: strategy, after: true }];
        }
    };
    let mut groups: Vec<Order<'c, 'a>> = Vec::new();
    let mut rest = tier;
    while !rest.is_empty() {
        let (group, after) = rest.split_at_mut(ties(rest, score, model.ranking.tiebreak_within));
        rest = after;
        let one = group.len() == 1 || model.ranking.tiebreak == strategy;
        if !one {
            by(model.ranking.tiebreak, group);
        }
        // A capacity choice takes none at first sight, so none but its own may stand in its tier.
        let compared = groups.last().is_none_or(|last| last.by == Strategy::Capacity);
        let after = strategy == Strategy::Cost || compared;
        groups.push(Order { group, by: if one { strategy } else { model.ranking.tiebreak }, after });
    }
    groups
}

/// How many of the first have a score that is not worse than the best's by more than this share of it.
fn ties(sorted: &[Candidate<'_>], score: impl Fn(&Candidate<'_>) -> f64, within: f64) -> usize {
    let Some(best) = sorted.first().map(&score) else { return 0 };
    sorted.iter().take_while(|candidate| score(candidate) <= best + best * within).count().max(1)
}

fn errors(candidate: &Candidate<'_>) -> f64 {
    candidate.outlook.errors.max(FEW_ERRORS)
}

/// Of `choices` drawn at random the fastest, then the others by their time: what is known is old, and all replicas would go
/// to the fastest of all at once (the power of two choices; Mitzenmacher 2001). A time counts once more for every attempt in
/// flight there, and failures count as slow. One of which nothing is known is as fast as the fastest.
fn fastest_first(group: &mut [Candidate<'_>], choices: usize, draw: &mut dyn FnMut() -> f64) {
    let known = group.iter().filter_map(|candidate| candidate.outlook.time);
    let fastest = known.min_by(f64::total_cmp).unwrap_or(1.0);
    let time = |candidate: &Candidate<'_>| {
        let Outlook { time, errors, busy } = candidate.outlook;
        let time = time.unwrap_or(fastest).max(SOON) * (1.0 + f64::from(busy));
        time + errors * FAILURE.max(FAILURE_TIMES * time)
    };
    shuffle(group, draw);
    let choices = choices.min(group.len());
    let best = (0..choices).min_by(|a, b| time(&group[*a]).total_cmp(&time(&group[*b])));
    if let Some(best) = best {
        group.swap(0, best);
        group[1..].sort_by(|a, b| time(a).total_cmp(&time(b)));
    }
}

fn shuffle<T>(items: &mut [T], draw: &mut dyn FnMut() -> f64) {
    for at in (1..items.len()).rev() {
        items.swap(at, ((at + 1) as f64 * draw()) as usize);
    }
}
