//! `slow_start`; key by key, the nearest wins.

use std::time::Duration;

use super::super::tree::{At, Field, Reading};
use super::super::{SlowStart, raw};

/// What holds where `slow_start` says no more than that there is one.
const PLAIN: SlowStart =
    SlowStart { from_permille: 100, factor_permille: 1_500, per: Duration::from_secs(30) };

/// `slow_start` over that of the level above; one that begins with everything is none.
pub(super) fn slow_start(
    field: &Field<raw::SlowStart>,
    base: Option<SlowStart>,
    cx: &mut Reading<'_>,
) -> Option<SlowStart> {
    let Some(At { value: written, .. }) = field.get() else { return base };
    let raw::SlowStart { from, factor, per } = written;
    let base = base.unwrap_or(PLAIN);
    let found = SlowStart {
        from_permille: permille(from, (0.001, 1.0), base.from_permille, "a share from 0.001 to 1", cx),
        factor_permille: permille(factor, (1.001, 4.0), base.factor_permille, "a factor from 1.001 to 4", cx),
        per: period(per, base.per, cx),
    };
    (found.from_permille < 1_000).then_some(found)
}

fn permille(
    field: &Field<f64>,
    (least, most): (f64, f64),
    base: u64,
    what: &str,
    cx: &mut Reading<'_>,
) -> u64 {
    let Some(At { value, span }) = field.get() else { return base };
    if !(least..=most).contains(value) {
        cx.problem(span, format!("expected {what}"));
        return base;
    }
    (value * 1_000.0).round() as u64
}

fn period(field: &Field<Duration>, base: Duration, cx: &mut Reading<'_>) -> Duration {
    let Some(At { value, span }) = field.get() else { return base };
    if *value < Duration::from_secs(1) || *value > Duration::from_secs(3_600) {
        cx.problem(span, "expected a time from 1s to 1h");
        return base;
    }
    *value
}
