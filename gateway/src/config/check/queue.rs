//! `queue`, `priority` and `weight`: who waits, for how long, and who goes first.

use std::time::Duration;

use super::super::tree::{At, Field, Reading};
use super::super::{Queue, raw};

/// A replica holds no more calls than this for one model.
const MOST: u32 = 100_000;
/// The longest that a call may wait.
const LONGEST: Duration = Duration::from_secs(3600);
/// Weights by which tenants share.
const WEIGHTS: std::ops::RangeInclusive<f64> = 0.01..=1_000.0;

/// What holds if the file says nothing.
pub(super) fn built_in() -> Queue {
    Queue { max: 256, wait: Duration::from_secs(10) }
}

/// `queue` over that of the level above.
pub(super) fn queue(field: &Field<raw::Queue>, base: Queue, cx: &mut Reading<'_>) -> Queue {
    let Some(At { value: raw::Queue { max, wait }, .. }) = field.get() else { return base };
    let max = match max.get() {
        Some(At { value, span }) if *value > MOST => {
            cx.problem(span, format!("expected at most {MOST}"));
            base.max
        }
        Some(At { value, .. }) => *value as usize,
        None => base.max,
    };
    let wait = match wait.get() {
        Some(At { value, span }) if *value > LONGEST => {
            cx.problem(span, "expected a time of at most 1h");
            base.wait
        }
        Some(At { value, .. }) => *value,
        None => base.wait,
    };
    Queue { max, wait }
}

/// A tenant's `weight`.
pub(super) fn weight(field: &Field<f64>, cx: &mut Reading<'_>) -> f64 {
    match field.get() {
        Some(At { value, .. }) if WEIGHTS.contains(value) => *value,
        Some(At { span, .. }) => {
            cx.problem(span, "expected a weight from 0.01 to 1000");
            1.0
        }
        None => 1.0,
    }
}
