//! Faults of the world that came later, see [`what`]: what cuts off, freezes and fells.

use super::plan::{Op, what};
use super::world::World;
use crate::state::core::Ms;

/// The longest that a process freezes: five of a life's [`crate::state::core::TTL`].
pub(super) const FROZEN: Ms = 5_000;
/// The longest that the shared state answers nobody.
const PAUSED: Ms = 1_500;

impl World {
    pub(super) fn fault(&mut self, op: Op, who: usize) {
        let (mild, t) = (self.plan.knobs.is_mild(), self.t);
        match op.what {
            // Nothing gets through, in either direction; calls go on being asked.
            what::CUT if !mild => self.replicas[who].cut_until = t + 20 + op.n % 4_000,
            // Commands wait, and are all executed in the end, long after their senders gave up.
            what::PAUSE => self.paused_until = t + 20 + op.n % (PAUSED - 20),
            what::FREEZE if !mild => self.replicas[who].stalled_until = t + 500 + op.n % (FROZEN - 500),
            what::FELL if !mild => {
                let fallen = (0..self.replicas.len()).filter(|who| op.n >> who & 1 == 1);
                fallen.collect::<Vec<_>>().into_iter().for_each(|who| self.crash(who));
            }
            what::LOSE if self.plan.knobs.losses => self.lose(op.n),
            _ => {}
        }
    }
}
