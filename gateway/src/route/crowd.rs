//! The strategies that go by what is in flight: fewest first, soonest complete first, and the hot-cold rule.
//!
//! What other replicas have in flight is up to a fifth of a second old. A replica that always took the best would meet all
//! others there. So two are drawn and the better is taken (the power of two choices; Mitzenmacher 2001); or, where
//! the best is meant, what this replica has sent since the others heard of it is taken for what each of them has sent as well
//! ([`Outlook::crowd`]).

use super::order::{SOON, mix, shuffle, weight, with_failures};
use super::{Candidate, Outlook};
use crate::config::Model;

/// A prompt is warm at so many: the better is taken.
const WARM: usize = 2;
/// One is crowded that has more than so many times what the others have by their weights, and so many calls more.
const CROWDED: (f64, f64) = (3.0, 8.0);

/// Of `choices` drawn at random the one with fewest calls in flight for its weight, then the others by the same. Among equals
/// the order that they have stands.
pub(super) fn least_busy_first(
    group: &mut [Candidate<'_>],
    choices: usize,
    beginning: Option<u64>,
    draw: &mut dyn FnMut() -> f64,
) {
    for (at, candidate) in group.iter_mut().enumerate() {
        let Outlook { busy, .. } = candidate.outlook;
        (candidate.score, candidate.place) = ((busy + 1) as f64 / weight(candidate).max(1e-9), at);
    }
    mix(group, beginning, draw);
    take_best(group, choices);
}

/// Puts the best of the first few first, and the others behind it, the better the sooner.
fn take_best(group: &mut [Candidate<'_>], choices: usize) {
    let order =
        |a: &Candidate<'_>, b: &Candidate<'_>| a.score.total_cmp(&b.score).then(a.place.cmp(&b.place));
    let choices = choices.min(group.len());
    if let Some(best) = (0..choices).min_by(|a, b| order(&group[*a], &group[*b])) {
        group.swap(0, best);
        group[1..].sort_by(order);
    }
}

/// By when the call would be complete. Those that are about to be full stand behind all others.
pub(super) fn soonest_first(group: &mut [Candidate<'_>], model: &Model, draw: &mut dyn FnMut() -> f64) {
    let longest = expect(group);
    for candidate in group.iter_mut().filter(|candidate| is_filling(candidate, model, draw)) {
        candidate.score += longest;
    }
    shuffle(group, draw);
    group.sort_by(|a, b| a.score.total_cmp(&b.score));
}

/// What the next minute is expected to bring is passed over with a probability that grows from `headroom.soft` to `hard`.
fn is_filling(candidate: &Candidate<'_>, model: &Model, draw: &mut dyn FnMut() -> f64) -> bool {
    let (soft, hard) = (f64::from(model.headroom.soft) / 1e3, f64::from(model.headroom.hard) / 1e3);
    candidate.outlook.full > soft + (hard - soft) * draw()
}

/// Sets scores to the times to be expected, with what failures cost; the longest. One of which nothing is known is as fast as the
/// fastest, and a call in flight there counts once more.
fn expect(group: &mut [Candidate<'_>]) -> f64 {
    let known = group.iter().filter_map(|candidate| candidate.outlook.expected);
    let fastest = known.min_by(f64::total_cmp).unwrap_or(1.0).max(SOON);
    for candidate in group.iter_mut() {
        let Outlook { expected, errors, crowd, .. } = candidate.outlook;
        let time = expected.map_or(fastest * (1.0 + crowd), |time| time.max(SOON));
        candidate.score = with_failures(time, errors);
    }
    group.iter().map(|candidate| candidate.score).fold(0.0, f64::max)
}

/// The hot-cold rule (Prequal, Wydrowski et al., NSDI 2024): of those that are cold the one that is to be complete soonest; a hot
/// one comes after any cold one, and of two hot ones the less busy. Prequal calls hot who is above a quantile of what all
/// have in flight. A handful of deployments has no quantiles, and limits of their own; here one is hot that is crowded, or by chance the
/// sooner the less headroom the next minute leaves it.
pub(super) fn cold_first(
    group: &mut [Candidate<'_>],
    model: &Model,
    beginning: Option<u64>,
    draw: &mut dyn FnMut() -> f64,
) {
    let longest = expect(group);
    let (calls, weights) = group.iter().fold((0.0, 0.0), |(calls, weights), candidate| {
        (calls + candidate.outlook.crowd, weights + weight(candidate))
    });
    for candidate in group.iter_mut() {
        let (own, weight, (times, more)) = (candidate.outlook.crowd, weight(candidate).max(1e-9), CROWDED);
        let others = (calls - own) / (weights - weight).max(1e-9);
        if own > times * others * weight + more || is_filling(candidate, model, draw) {
            candidate.score = longest + (1.0 + own) / weight;
        }
    }
    mix(group, beginning, draw);
    match beginning {
        Some(_) => take_best(group, WARM), // the better of those where the prompt may be warm
        None => group.sort_by(|a, b| a.score.total_cmp(&b.score)),
    }
}
