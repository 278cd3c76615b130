//! Loans: room that a replica holds before it has calls for it, so that it need not ask for each.
//!
//! A loan is a grant like any other: it is held from the moment in which it is made, and given back or posted call by call. So every
//! bound holds with loans as without, and a replica that dies with some leaves holds behind, which expire as those of its calls do.
//! It may begin calls on what it was lent for as long as its life lasts by the state's last word, as if it had asked for each in that
//! moment.
//!
//! What is asked for is a level of the grants that were ever made, not an amount: a report that comes twice lends once. Of what is left
//! below [`LENT_UP_TO`] of a cap ([`IN_FLIGHT_UP_TO`] of calls in flight), all that live together get half at most with one report of each, so loans shrink as a pool fills, and
//! what lies idle at one replica is little where others want it.

use super::mutant::{Mutant, on};
use super::{Caller, Mode, PoolReport, State};

/// Nothing is lent above this share of a cap, percent.
const LENT_UP_TO: u64 = 95;
/// The same of calls in flight: there what lies idle is not over with a window.
const IN_FLIGHT_UP_TO: u64 = 50;

/// What a replica wants of a meter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Want {
    /// Up to this level of all that was ever granted to this life.
    pub level: u64,
    /// The cap that it knows: who asks for no calls declares it so.
    pub cap: u64,
}

impl State {
    /// Lends what a report wants of its pool, the same part of it on each meter: a call needs all of them.
    pub(super) fn lend(&mut self, caller: &Caller, report: &PoolReport, living: u64) {
        let l = self.clock.l;
        let learned = self.learned.of(&report.key, l).cloned();
        let life = self.lives.get_mut(&caller.inc);
        let Some(counters) = life.and_then(|life| life.counters.get_mut(&report.key)) else { return };
        let Some(pool) = self.pools.get_mut(&report.key) else { return };
        if report.wants.len() != pool.meters.len() {
            return;
        }
        for (meter, want) in pool.meters.iter_mut().zip(&report.wants) {
            meter.advance(l);
            meter.declare(want.cap, l);
        }
        if pool.rest_until > l {
            return;
        }
        let (mut part, mut lacks) = (1.0_f64, Vec::with_capacity(pool.meters.len()));
        for (at, meter) in pool.meters.iter().enumerate() {
            let granted = if on(Mutant::LoansPileUp) { 0 } else { counters[at].granted };
            let lack = report.wants[at].level.saturating_sub(granted);
            let bound = learned.as_ref().map_or(meter.cap, |known| known.bound(at, meter.cap, l).cap);
            let used = if on(Mutant::LentWithoutRoom) { 0 } else { meter.used() };
            let up_to = if meter.shape.mode == Mode::Gauge { IN_FLIGHT_UP_TO } else { LENT_UP_TO };
            let room = (bound * up_to / 100).saturating_sub(used).div_ceil(2 * living);
            if lack > 0 {
                part = part.min(lack.min(room) as f64 / lack as f64);
            }
            lacks.push(lack);
        }
        for ((meter, counter), lack) in pool.meters.iter_mut().zip(counters).zip(lacks) {
            let lent = (lack as f64 * part).floor() as u64;
            counter.granted += lent;
            meter.hold += lent;
        }
    }
}
