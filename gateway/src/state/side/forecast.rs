//! How full a pool will be in the next minute: what its windows hold, less what leaves them, and what is going to come.
//!
//! What is going to come is told by the minutes before, of all replicas: as much in a minute as came in the busiest of late.
//! The mean would forget a spike that comes again before it is there; the busiest minute counts the less the longer it is ago.

use crate::state::core::behaviour::{Demand, MINUTE, MINUTES};
use crate::state::core::{Mode, Ms, Shape};

/// What a minute counts beside the one after it.
const OLDER: f64 = 0.97;
/// Of the current minute at least so much must have passed to tell what it will bring, ms.
const TELLING: Ms = 10_000;

/// A meter, as it was seen last.
pub(super) struct Meter<'a> {
    pub(super) shape: Shape,
    pub(super) cap: u64,
    /// Held by all.
    pub(super) held: u64,
    /// How long ago each bucket had ended, and what it holds.
    pub(super) window: &'a [(Ms, u64)],
    /// How long ago it was seen, ms.
    pub(super) age: Ms,
}

/// Calls, input and output tokens that a minute is expected to bring; `passed`: of the current one, ms.
pub(super) fn inflow(past: &[Demand; MINUTES], passed: Ms) -> [f64; 3] {
    let mut most = [0.0_f64; 3];
    for (age, demand) in past.iter().enumerate() {
        let part = if age == 0 && passed >= TELLING { passed as f64 / MINUTE as f64 } else { 1.0 };
        let weight = OLDER.powi(age as i32) / part;
        most.iter_mut().zip(demand).for_each(|(most, n)| *most = most.max(*n as f64 * weight));
    }
    most
}

/// The share of the cap in use now, and at the fullest in the next minute if `inflow` comes in it.
pub(super) fn shares(meter: &Meter<'_>, inflow: f64) -> (f64, f64) {
    let cap = meter.cap.max(1) as f64;
    if meter.shape.mode == Mode::Gauge {
        let share = meter.held as f64 / cap;
        return (share, share);
    }
    let span = meter.shape.span();
    let left = |ahead: Ms| {
        let stays = |ended: Ms| ended + meter.age + ahead <= span;
        let window: u64 = meter.window.iter().filter(|(ended, _)| stays(*ended)).map(|(_, n)| n).sum();
        (window + meter.held) as f64
    };
    let now = left(0) / cap;
    let most = span.min(MINUTE);
    let ahead = [most / 4, most / 2, most * 3 / 4, most];
    let then = ahead.map(|ahead| (left(ahead) + inflow * ahead as f64 / MINUTE as f64) / cap);
    (now, then.into_iter().fold(now, f64::max))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::core::Stage;

    fn meter(window: &[(Ms, u64)], held: u64, age: Ms) -> Meter<'_> {
        Meter { shape: Shape::window(MINUTE, Stage::Head), cap: 100, held, window, age }
    }

    /// Broken on purpose to see it fail: what leaves the window not taken off; the age not added.
    #[test]
    fn what_leaves_the_window_makes_room_for_what_comes() {
        let near = |got: (f64, f64), due: (f64, f64)| {
            assert!((got.0 - due.0).abs() < 1e-9 && (got.1 - due.1).abs() < 1e-9, "{got:?}, not {due:?}");
        };
        let old = [(50_000, 60), (1_000, 20)];
        near(shares(&meter(&old, 5, 0), 0.0), (0.85, 0.85));
        near(shares(&meter(&old, 5, 15_000), 0.0), (0.25, 0.25));
        // In a quarter of a minute the 60 are gone, and in a whole one all but what is held.
        near(shares(&meter(&old, 5, 0), 90.0), (0.85, 0.95));
        near(shares(&meter(&[(1_000, 20)], 0, 0), 80.0), (0.2, 0.8));
        near(shares(&meter(&[], 40, 0), 0.0), (0.4, 0.4));
        let gauge = Meter { shape: Shape::gauge(), ..meter(&[], 40, 0) };
        near(shares(&gauge, 500.0), (0.4, 0.4));
    }

    /// Broken on purpose to see it fail: the mean of the minutes; the current one taken for whole.
    #[test]
    fn a_spike_is_expected_again_for_some_minutes() {
        let mut past = [[10, 100, 100]; MINUTES];
        past[3] = [100, 1_000, 10];
        let ([calls, input, output], due) = (inflow(&past, 0), 100.0 * OLDER.powi(3));
        assert!((calls - due).abs() < 1e-9 && (input - 10.0 * due).abs() < 1e-9 && output == 100.0);
        past[0] = [40, 0, 0];
        assert_eq!(inflow(&past, 20_000)[0], 120.0, "40 in a third of a minute");
        assert!((inflow(&past, 5_000)[0] - due).abs() < 1e-9, "too soon to tell");
    }
}
