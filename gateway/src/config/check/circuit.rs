//! `circuit`; key by key, the nearest wins.

use std::time::Duration;

use super::super::tree::{At, Field, Reading};
use super::super::units::{Count, Pause};
use super::super::{Circuit, raw};

/// What holds if the file says nothing.
pub(super) fn built_in() -> Circuit {
    let seconds = Duration::from_secs;
    Circuit {
        enabled: true,
        failures: 5,
        ratio: 500_000,
        min_calls: 20,
        window: seconds(30),
        open: seconds(30),
        successes: 2,
        ramp: seconds(30),
    }
}

/// `circuit` over that of the level above.
pub(super) fn circuit(field: &Field<raw::Circuit>, base: Circuit, cx: &mut Reading<'_>) -> Circuit {
    let Some(At { value: written, .. }) = field.get() else { return base };
    let raw::Circuit { enabled, failures, ratio, min_calls, window, open, successes, ramp } = written;
    let count = |field: &Field<Count>, base| field.value().map_or(base, |Count(count)| *count);
    Circuit {
        enabled: enabled.or(base.enabled),
        failures: count(failures, base.failures),
        ratio: share(ratio, base.ratio, cx),
        min_calls: count(min_calls, base.min_calls),
        window: short(window, base.window, cx),
        open: short(open, base.open, cx),
        successes: count(successes, base.successes),
        ramp: pause(ramp, base.ramp, cx),
    }
}

/// A share in (0, 1], as whole millionths.
fn share(field: &Field<f64>, base: u64, cx: &mut Reading<'_>) -> u64 {
    let Some(At { value, span }) = field.get() else { return base };
    let share = (value * 1e6).round();
    if *value > 1.0 || share < 1.0 {
        cx.problem(span, "expected a share from 0.000001 to 1");
        return base;
    }
    share as u64
}

/// The longest that anybody means.
const LONGEST: Duration = Duration::from_secs(86_400);

fn pause(field: &Field<Pause>, base: Duration, cx: &mut Reading<'_>) -> Duration {
    match field.get() {
        Some(At { value: Pause(time), span }) if *time > LONGEST => {
            cx.problem(span, "expected a time of at most 1day");
            base
        }
        Some(At { value: Pause(time), .. }) => *time,
        None => base,
    }
}

/// Not shorter than what attempts are counted by.
fn short(field: &Field<Duration>, base: Duration, cx: &mut Reading<'_>) -> Duration {
    let Some(At { value, span }) = field.get() else { return base };
    if *value < Duration::from_millis(10) || *value > LONGEST {
        cx.problem(span, "expected a time from 10ms to 1day");
        return base;
    }
    *value
}
