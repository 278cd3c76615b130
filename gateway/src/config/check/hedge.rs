//! `hedge`; key by key, the nearest wins.

use super::super::tree::{At, Field, Reading};
use super::super::{After, Hedge, raw};

/// Second attempts cost tokens and what is left of limits: more of them than this are no tail.
const MOST: f64 = 0.05;
/// What holds where `hedge` says no more than that there is one.
const PLAIN: Hedge = Hedge { after: After::P95, budget: 30_000 };

/// `hedge` over that of the level above; `false` for none.
pub(super) fn hedge(field: &Field<raw::Hedge>, base: Option<Hedge>, cx: &mut Reading<'_>) -> Option<Hedge> {
    let written = match field.get() {
        Some(At { value: raw::Hedge::Off, .. }) => return None,
        Some(At { value: raw::Hedge::On(table), .. }) => table,
        None => return base,
    };
    let base = base.unwrap_or(PLAIN);
    let raw::HedgeTable { after, budget } = written;
    let budget = match budget.get() {
        Some(At { value, span }) if *value > MOST || *value < 0.001 => {
            cx.problem(span, "expected a share of the calls from 0.001 to 0.05");
            base.budget
        }
        Some(At { value, .. }) => (value * 1e6).round() as u64,
        None => base.budget,
    };
    Some(Hedge { after: after.or(base.after), budget })
}
