//! What a tenant has left, out of what the state told of its pool.

use std::time::Duration;

use smallvec::SmallVec;

use crate::config::MeterKind;
use crate::dialect::openai::limits::Left;
use crate::state::PoolInfo;

/// The limits that the dialect has headers for: of requests and of tokens, of each the one with the shortest window.
/// `left` is per meter of the pool.
pub(super) fn of(pool: &PoolInfo, left: &[u64]) -> SmallVec<[Left; 2]> {
    let of = |kind: MeterKind| {
        let meters = pool.kinds.iter().zip(pool.decl.meters.iter()).zip(left);
        let (meter, left) = meters
            .filter(|((own, _), _)| **own == kind)
            .map(|((_, meter), left)| (meter, *left))
            .min_by_key(|(meter, _)| meter.shape.span())?;
        // What was used a moment ago leaves with the window, and with the buckets that are kept beyond it.
        let reset = Duration::from_millis(meter.shape.slots() * meter.shape.width);
        Some(Left { requests: kind == MeterKind::Requests, limit: meter.cap, left, reset })
    };
    [MeterKind::Requests, MeterKind::Tokens].into_iter().filter_map(of).collect()
}
