//! Where a prompt is warm: calls that begin alike go to the same deployment, so that its provider's prompt cache is met, on
//! every replica and without a word between them.
//!
//! Rendezvous hashing (Thaler and Ravishankar 1998) orders the candidates by a hash of prompt and deployment: one that
//! comes or goes moves no other prompt. Weights are kept over many prompts by the logarithmic method (Resch 2015). One
//! prompt that all calls share must not go to one deployment: the load of each is bounded (Mirrokni, Thorup and
//! Zadimoghaddam 2018); beyond that the next in order takes it, which is again the same one for everybody.

use super::Candidate;

/// A deployment has at most so many times its part of all that is in flight.
const BOUND: f64 = 1.25;
/// So few calls in flight are no load, and their average says nothing.
const FEW: f64 = 8.0;

/// Orders a group by where a prompt that begins so is warm; those with too much in flight come last. `weigh`: by their weights.
pub(super) fn order(group: &mut [Candidate<'_>], beginning: u64, weigh: bool) {
    let weight = |candidate: &Candidate<'_>| if weigh { candidate.weight } else { 1.0 };
    let weights: f64 = group.iter().map(weight).sum();
    let one_more = 1.0 + group.iter().map(|candidate| candidate.outlook.busy as f64).sum::<f64>();
    let is_loaded = |candidate: &Candidate<'_>| {
        let part = one_more * weight(candidate) / weights;
        candidate.outlook.busy as f64 >= (BOUND * part).ceil().max(FEW)
    };
    let distance = |candidate: &Candidate<'_>| -draw(beginning, candidate.tag).ln() / weight(candidate);
    group.sort_by(|a, b| is_loaded(a).cmp(&is_loaded(b)).then(distance(a).total_cmp(&distance(b))));
}

/// Evenly from (0, 1), the same for the same prompt and deployment on every replica.
pub(super) fn draw(beginning: u64, tag: u64) -> f64 {
    // The finaliser of SplitMix64 (Steele, Lea and Flood 2014).
    let mut mixed = beginning ^ tag.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    ((mixed >> 11) as f64 + 0.5) / (1u64 << 53) as f64
}
