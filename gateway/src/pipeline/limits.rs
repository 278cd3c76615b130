//! What a tenant has left, out of what the state told of its pool.

use std::time::Duration;

use smallvec::SmallVec;

use crate::config::MeterKind;
use crate::dialect::limits::{Left, Unit};
use crate::state::PoolInfo;

/// What dialects have headers for.
const TOLD: [(MeterKind, Unit); 4] = [
    (MeterKind::Requests, Unit::Requests),
    (MeterKind::Tokens, Unit::Tokens),
    (MeterKind::InputTokens, Unit::InputTokens),
    (MeterKind::OutputTokens, Unit::OutputTokens),
];

/// Has the pool limits that clients are told of?
pub(super) fn are_told(pool: &PoolInfo) -> bool {
    pool.kinds.iter().any(|kind| TOLD.iter().any(|(told, _)| told == kind))
}

/// The limits that a dialect has headers for, of each the one with the shortest window. `left` is per meter of the pool.
pub(super) fn of(pool: &PoolInfo, left: &[u64]) -> SmallVec<[Left; 2]> {
    let of = |(kind, counted): (MeterKind, Unit)| {
        let meters = pool.kinds.iter().zip(pool.decl.meters.iter()).zip(left);
        let (meter, left) = meters
            .filter(|((own, _), _)| **own == kind)
            .map(|((_, meter), left)| (meter, *left))
            .min_by_key(|(meter, _)| meter.shape.span())?;
        // What was used a moment ago leaves with the window, and with the buckets that are kept beyond it.
        let reset = Duration::from_millis(meter.shape.slots() * meter.shape.width);
        Some(Left { counted, limit: meter.cap, left, reset })
    };
    TOLD.into_iter().filter_map(of).collect()
}
