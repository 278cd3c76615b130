//! The logical clock: time that never runs back and is never pushed far by a step of the server's clock.
//!
//! Windows age by this clock, so a forward step would forget real use. Steps up to [`GAP`] are believed (a guard
//! bucket pays for one); a larger one only as far as a caller's monotonic clock witnesses that the time passed.

use super::mutant::{Mutant, on};
use super::{GAP, Ms};

/// Logical and last seen server time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// Logical time, ms; starts at the server's time.
    pub l: Ms,
    /// The server's clock at the last step, ms.
    pub wall: Ms,
}

impl Clock {
    /// Starts at the server's time `now`.
    pub fn new(now: Ms) -> Clock {
        Clock { l: now, wall: now }
    }

    /// Moves to the server's time `now`, for a caller that received logical time `l_ack` at least `x` ms ago.
    pub fn advance(&mut self, now: Ms, l_ack: Ms, x: Ms) {
        if on(Mutant::StepBackFreezes) && now < self.wall {
            return;
        }
        let passed = now.saturating_sub(self.wall);
        self.wall = now;
        let witnessed = if l_ack == 0 { 0 } else { (l_ack + x).saturating_sub(self.l) };
        let believed = if passed > GAP && !on(Mutant::StepForwardBelieved) {
            GAP.max(passed.min(witnessed))
        } else {
            passed
        };
        self.l += believed;
    }
}
