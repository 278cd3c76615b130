//! Which candidates of a call may be used while the state is away, by what each pool's limit says (`on_outage`).

use std::sync::Arc;

use super::core::{Draw, Reserve};
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

/// Looks at every pool that the call touches.
pub fn usable(infos: &[Arc<PoolInfo>], ask: &Reserve) -> Usable {
    let is = |draws: &[Draw], mode: OnOutage| draws.iter().any(|draw| mode_of(&infos[draw.pool]) == mode);
    if is(&ask.common, OnOutage::Closed) {
        return Usable::Nothing;
    }
    let open = |at: &usize| !is(&ask.candidates[*at].draws, OnOutage::Closed);
    let kept: Vec<usize> = (0..ask.candidates.len()).filter(open).collect();
    let shares = |at: &usize| is(&ask.candidates[*at].draws, OnOutage::Share);
    match kept.is_empty() {
        true => Usable::Nothing,
        false if is(&ask.common, OnOutage::Share) || kept.iter().any(shares) => Usable::Shared(kept),
        false => Usable::Freely(kept),
    }
}

/// Is the pool's use counted meanwhile?
pub fn counts(info: &PoolInfo) -> bool {
    info.on_outage == OnOutage::Share
}

/// A pool without limits has nothing to share.
fn mode_of(info: &PoolInfo) -> OnOutage {
    match info.on_outage {
        OnOutage::Share if info.decl.meters.is_empty() => OnOutage::Open,
        mode => mode,
    }
}

/// The request with these candidates only.
pub fn only(ask: &Reserve, kept: &[usize]) -> Reserve {
    Reserve { candidates: kept.iter().map(|at| ask.candidates[*at].clone()).collect(), ..ask.clone() }
}
