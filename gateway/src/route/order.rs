//! The strategies: in which order the candidates of a tier come.

use parking_lot::Mutex;

use super::rotation::Rotation;
use super::{Candidate, Outlook, crowd, warm};
use crate::config::{Model, Strategy, Target};

/// Fewer failures than this share are no difference: one of a hundred attempts is chance.
const FEW_ERRORS: f64 = 0.01;
/// What a failure costs, seconds: about what one waits for an answer in vain.
const FAILURE: f64 = 30.0;
/// The least that it costs, in times of the answer.
const FAILURE_TIMES: f64 = 10.0;
/// `min_share` of an automatic weight that has none. (64 of them are fewer than all calls.)
const AUTO_MIN_SHARE: f64 = 0.01;
/// Shorter times are no difference, seconds.
pub(super) const SOON: f64 = 0.001;

/// Candidates that are equal to the strategy, in order.
pub(super) struct Order<'c, 'a> {
    pub(super) group: &'c [Candidate<'a>],
    /// So many of the first are about equal.
    pub(super) equals: usize,
    /// The strategy that has ordered them.
    pub(super) by: Strategy,
    /// Or where the call's prompt is warm: the first below `headroom.soft` takes it.
    pub(super) warm: bool,
    /// They serve only what those before them cannot.
    pub(super) after: bool,
}

/// Orders the candidates of one tier that are as near as each other. What costs the same, fails as seldom or would be complete as
/// soon, within `tiebreak_within`, is one group; by other strategies all are.
///
/// Where a call's beginning counts it takes the place of chance, and of nothing else: of the shuffle, of whose turn it is, of the
/// draw of the two whose times, calls or scores are compared. So weights hold over many prompts instead of over any few calls, the
/// slower of two is still not taken, and nobody pays more, or meets more failures, for the sake of a cache that may be cold.
pub(super) fn order<'c, 'a>(
    tier: &'c mut [Candidate<'a>],
    model: &Model,
    rotation: &Mutex<Rotation>,
    beginning: Option<u64>,
    draw: &mut dyn FnMut() -> f64,
) -> Vec<Order<'c, 'a>> {
    let ranking = &model.ranking;
    let strategy = ranking.strategy;
    if strategy == Strategy::LeastBusy && ranking.tiebreak != strategy {
        by(ranking.tiebreak, tier, model, rotation, beginning, draw);
    }
    by(strategy, tier, model, rotation, beginning, draw);
    let warms = |strategy| {
        let by_chance = matches!(strategy, Strategy::Capacity | Strategy::Weighted | Strategy::RoundRobin);
        by_chance && beginning.is_some()
    };
    let equals = about_equal(tier, strategy, ranking.tiebreak_within);
    if strategy == Strategy::Latency && ranking.tiebreak != strategy {
        by(ranking.tiebreak, &mut tier[..equals], model, rotation, beginning, draw);
    }
    let score: fn(&Candidate<'_>) -> f64 = match strategy {
        Strategy::Cost | Strategy::Composite => |candidate| candidate.cost,
        Strategy::ErrorRate => errors,
        Strategy::Predictive => |candidate| candidate.score,
        Strategy::Capacity
        | Strategy::Weighted
        | Strategy::RoundRobin
        | Strategy::Latency
        | Strategy::LeastBusy => {
            return vec![Order { group: tier, equals, by: strategy, warm: warms(strategy), after: true }];
        }
    };
    let tiebreak = if strategy == Strategy::Composite { strategy } else { ranking.tiebreak };
    let mut groups: Vec<Order<'c, 'a>> = Vec::new();
    let mut rest = tier;
    while !rest.is_empty() {
        let (group, after) = rest.split_at_mut(ties(rest, score, ranking.tiebreak_within));
        rest = after;
        let one = group.len() == 1;
        let mut warm = warms(tiebreak) && !one;
        match (strategy, beginning) {
            _ if one => {}
            (Strategy::Composite, _) => crowd::cold_first(group, model, beginning, draw),
            _ if tiebreak != strategy => by(tiebreak, group, model, rotation, beginning, draw),
            (_, Some(beginning)) => {
                warm::order(group, beginning, true); // they are about equal
                warm = true;
            }
            (_, None) => {}
        }
        // A capacity choice takes none at first sight, so none but its own may stand in its tier.
        let compared = groups.last().is_none_or(|last| last.by == Strategy::Capacity);
        let after = matches!(strategy, Strategy::Cost | Strategy::Composite) || compared;
        let by = if one { strategy } else { tiebreak };
        let equals = about_equal(group, by, ranking.tiebreak_within);
        groups.push(Order { group, equals, by, warm, after });
    }
    groups
}

/// Orders candidates by a strategy alone.
fn by(
    strategy: Strategy,
    group: &mut [Candidate<'_>],
    model: &Model,
    rotation: &Mutex<Rotation>,
    beginning: Option<u64>,
    draw: &mut dyn FnMut() -> f64,
) {
    match (strategy, beginning) {
        (Strategy::Weighted, Some(beginning)) => warm::order(group, beginning, true),
        (Strategy::RoundRobin, Some(beginning)) => warm::order(group, beginning, false),
        (Strategy::Capacity, _) => mix(group, beginning, draw),
        (Strategy::Weighted, None) => {
            let all = all_weights(group);
            let weight = |c: &Candidate<'_>| (c.target.deployment, weight(c).max(min_share(c.target) * all));
            rotation.lock().order(group, weight, draw);
        }
        (Strategy::RoundRobin, None) => rotation.lock().order(group, |c| (c.target.deployment, 1.0), draw),
        (Strategy::Latency, _) => {
            mix(group, beginning, draw);
            fastest_first(group, model.ranking.latency.choices);
        }
        // (A composite tie-break can only be of those that do not compare prices.)
        (Strategy::Cost | Strategy::Composite, _) => group.sort_by(|a, b| a.cost.total_cmp(&b.cost)),
        (Strategy::ErrorRate, _) => group.sort_by(|a, b| errors(a).total_cmp(&errors(b))),
        (Strategy::LeastBusy, _) => {
            crowd::least_busy_first(group, model.ranking.latency.choices, beginning, draw);
        }
        (Strategy::Predictive, _) => crowd::soonest_first(group, model, draw),
    }
}

/// A target's weight as it is now. One that is automatic falls with the headroom of its fullest pool, and with what fails.
pub(super) fn weight(candidate: &Candidate<'_>) -> f64 {
    let Outlook { used, errors, .. } = candidate.outlook;
    let well = (1.0 - errors).max(0.0);
    let share = if candidate.target.auto { (1.0 - used).clamp(0.0, 1.0) * well * well } else { 1.0 };
    candidate.weight * share
}

/// What gets no calls is never known to be well again, and an automatic weight may fall to nothing.
fn min_share(target: &Target) -> f64 {
    if target.auto && target.min_share == 0.0 { AUTO_MIN_SHARE } else { target.min_share }
}

/// What a share of all weights is a share of: where all have fallen to nothing, of what they are by themselves.
fn all_weights(group: &[Candidate<'_>]) -> f64 {
    let sum: f64 = group.iter().map(weight).sum();
    if sum > 0.0 { sum } else { group.iter().map(|candidate| candidate.weight).sum() }
}

/// How many of the first have a score that is not worse than the best's by more than this share of it.
fn ties(sorted: &[Candidate<'_>], score: impl Fn(&Candidate<'_>) -> f64, within: f64) -> usize {
    let Some(best) = sorted.first().map(&score) else { return 0 };
    sorted.iter().take_while(|candidate| score(candidate) <= best + best * within).count().max(1)
}

/// How many of the first of an ordered group are about equal to who has ordered it. (What costs the same, fails as seldom or is
/// complete as soon is a group of its own already.)
fn about_equal(group: &[Candidate<'_>], by: Strategy, within: f64) -> usize {
    match by {
        Strategy::Latency => {
            let fastest = fastest(group);
            ties(group, |candidate| expected_time(candidate, fastest), within)
        }
        Strategy::LeastBusy | Strategy::Composite => ties(group, |candidate| candidate.score, within),
        _ => group.len(),
    }
}

fn errors(candidate: &Candidate<'_>) -> f64 {
    candidate.outlook.errors.max(FEW_ERRORS)
}

/// Of the first `choices`, which were drawn, the fastest, then the others by their time: what is known is old, and all replicas
/// would go to the fastest of all at once (the power of two choices; Mitzenmacher 2001). A time counts once more for every attempt in
/// flight there from here, and failures count as slow. One of which nothing is known is as fast as the fastest.
fn fastest_first(group: &mut [Candidate<'_>], choices: usize) {
    let fastest = fastest(group);
    let time = |candidate: &Candidate<'_>| expected_time(candidate, fastest);
    let choices = choices.min(group.len());
    let best = (0..choices).min_by(|a, b| time(&group[*a]).total_cmp(&time(&group[*b])));
    if let Some(best) = best {
        group.swap(0, best);
        group[1..].sort_by(|a, b| time(a).total_cmp(&time(b)));
    }
}

/// The shortest time that is known of any, seconds.
fn fastest(group: &[Candidate<'_>]) -> f64 {
    group.iter().filter_map(|candidate| candidate.outlook.time).min_by(f64::total_cmp).unwrap_or(1.0)
}

fn expected_time(candidate: &Candidate<'_>, fastest: f64) -> f64 {
    let Outlook { time, errors, own, .. } = candidate.outlook;
    with_failures(time.unwrap_or(fastest).max(SOON) * (1.0 + own as f64), errors)
}

/// A time with what failures cost besides.
pub(super) fn with_failures(time: f64, errors: f64) -> f64 {
    time + errors * FAILURE.max(FAILURE_TIMES * time)
}

/// An order by chance, or by where a prompt that begins so is warm.
pub(super) fn mix(group: &mut [Candidate<'_>], beginning: Option<u64>, draw: &mut dyn FnMut() -> f64) {
    match beginning {
        Some(beginning) => warm::order(group, beginning, true),
        None => shuffle(group, draw),
    }
}

pub(super) fn shuffle<T>(items: &mut [T], draw: &mut dyn FnMut() -> f64) {
    for at in (1..items.len()).rev() {
        items.swap(at, ((at + 1) as f64 * draw()) as usize);
    }
}
