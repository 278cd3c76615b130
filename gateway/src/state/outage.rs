//! Which candidates of a call may be used while the state is away, by what each pool's limit says (`on_outage`).

use std::sync::Arc;

use super::core::{Draw, Reserve, Told, Verdict};
use super::pools::PoolInfo;
use crate::config::OnOutage;

/// Which candidates may be used, best first, and how.
#[derive(Debug, PartialEq, Eq)]
pub enum Usable {
    /// None.
    Nothing,
    /// These, without limits.
    Freely(Vec<usize>),
    /// These, within this replica's part of the limits.
    Shared(Vec<usize>),
}

/// How a pool may be used meanwhile; of the pools that a call touches the last in this order decides.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Use {
    Freely,
    Shared,
    Not,
}

fn use_of(info: &PoolInfo) -> Use {
    match info.on_outage {
        OnOutage::Open => Use::Freely,
        OnOutage::Share if info.decl.meters.is_empty() => Use::Freely, // nothing to share
        OnOutage::Share => Use::Shared,
        OnOutage::Closed => Use::Not,
    }
}

/// Looks at every pool that the call touches.
pub fn usable(infos: &[Arc<PoolInfo>], ask: &Reserve) -> Usable {
    let of = |draws: &[Draw]| draws.iter().map(|draw| use_of(&infos[draw.pool])).max().unwrap_or(Use::Freely);
    let common = of(&ask.common);
    let uses: Vec<Use> = ask.candidates.iter().map(|candidate| of(&candidate.draws).max(common)).collect();
    let kept: Vec<usize> = (0..uses.len()).filter(|at| uses[*at] != Use::Not).collect();
    match kept.iter().map(|at| uses[*at]).max() {
        None | Some(Use::Not) => Usable::Nothing,
        Some(Use::Shared) => Usable::Shared(kept),
        Some(Use::Freely) => Usable::Freely(kept),
    }
}

/// Is the pool's use counted meanwhile?
pub fn counts(info: &PoolInfo) -> bool {
    use_of(info) == Use::Shared
}

/// What was told of the candidates in `kept`, as of all `count`.
pub fn of_all(told: Told, kept: &[usize], count: usize) -> Told {
    let mut why = vec![Verdict::NotLooked; if told.why.is_empty() { 0 } else { count }];
    for (verdict, at) in told.why.iter().zip(kept) {
        why[*at] = *verdict;
    }
    Told { why, ..told }
}

/// The request with these candidates only.
pub fn only(ask: &Reserve, kept: &[usize]) -> Reserve {
    let mut only = ask.clone();
    only.candidates = kept.iter().map(|at| ask.candidates[*at].clone()).collect();
    if let Some(session) = &mut only.session {
        session.kin.of = kept.iter().filter_map(|at| session.kin.of.get(*at).copied()).collect();
    }
    only
}
