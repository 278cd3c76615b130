//! Fairness: who goes first where there is not room for all.
//!
//! Calls that find a model full wait at their replicas. When room comes, whoever asks first would get it, and a tenant that asks
//! more often would get more. So a call that waits, or that comes while others may wait, says whose it is: its *flow*, the
//! calls of one tenant in one order of urgency. The state remembers for each flow how much it was served, in tokens by the
//! tenant's weight, whether its calls wait, and when they were told to ask again. A flow that is ahead of one that waits
//! leaves it the last of the room ([`YIELD`]), and about the time at which the other asks again ([`GRACE`]) all of it. All
//! replicas ask the same state, so this holds among them as it does within one. Who waits for what others do not want, a
//! deployment that can do more, holds them up for no longer than that.
//!
//! Service is counted as in start-time fair queueing (Goyal, Vin, Cheng 1996): a call starts where its flow ended, but not
//! before that of who waits and was served least, or if nobody waits the latest start of all that were served; so who was
//! away saves nothing up. A flow may be
//! [`AHEAD`] calls ahead of another, or each grant would need a turn of its own, which costs more round trips than it is worth.
//!
//! It is advice: it bounds who takes the last of the room, never how much is taken.

use std::collections::BTreeMap;

use super::meter::WHOLE;
use super::mutant::{Mutant, on};
use super::{Ms, Reserve, State};

/// Who yields leaves free what is above this share of a cap, millionths.
pub const YIELD: u64 = 950_000;
/// So long before and after a flow is to ask again others leave it all of the room, ms.
pub const GRACE: Ms = 50;
/// Who yields asks again after this long, ms.
pub const YIELDED: Ms = 25;
/// So many calls, of its own size, a flow may be ahead of one that waits.
pub const AHEAD: u64 = 8;
/// A flow waits for so long after it has said so, ms.
pub const WAITS: Ms = 1_000;
/// Who waits asks again after this long at the latest, ms.
pub const ASKS: Ms = 500;
/// A flow that was not heard of for so long is forgotten, ms,
pub const IDLE: Ms = 10_000;
/// and a line after this.
pub const FORGOTTEN: Ms = 60_000;
/// So many flows of a line are known at most; of more those are forgotten that were not heard of for longest.
pub const MOST: usize = 64;

/// What a call says of its place among others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Key of the line: calls of one line compete.
    pub line: String,
    /// The flow's tag.
    pub flow: u64,
    /// Lower first, whatever was served.
    pub rank: u64,
    /// What it counts for: thousandths of a token by the tenant's weight.
    pub cost: u64,
    /// It waits if there is no room.
    pub waits: bool,
    /// Others of its flow wait behind it.
    pub more: bool,
}

/// A flow as it is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// Its tag.
    pub tag: u64,
    /// As in [`Turn::rank`]; the same tenant's calls of another are another flow.
    pub rank: u64,
    /// Where its next call starts.
    pub start: u64,
    /// Its calls wait until then.
    pub waits_until: Ms,
    /// When the next of them asks.
    pub asks_at: Ms,
    /// When it was last heard of.
    pub seen: Ms,
}

/// The flows that compete.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// The virtual time: the latest start of a call that was served.
    pub served: u64,
    /// Forgotten after this.
    pub until: Ms,
    /// In the order in which they came.
    pub flows: Vec<Flow>,
}

impl Line {
    /// The flow of `turn`, which is heard of now.
    fn flow(&mut self, turn: &Turn, l: Ms) -> usize {
        self.flows.retain(|flow| flow.seen + IDLE > l);
        let known = self.flows.iter().position(|flow| (flow.tag, flow.rank) == (turn.flow, turn.rank));
        let at = known.unwrap_or_else(|| {
            if self.flows.len() == MOST {
                let (oldest, _) =
                    self.flows.iter().enumerate().fold((0, Ms::MAX), |(at, least), (index, flow)| {
                        if flow.seen < least { (index, flow.seen) } else { (at, least) }
                    });
                self.flows.remove(oldest);
            }
            self.flows.push(Flow {
                tag: turn.flow,
                rank: turn.rank,
                start: 0,
                waits_until: 0,
                asks_at: 0,
                seen: l,
            });
            self.flows.len() - 1
        });
        let waiting = self.flows.iter().filter(|flow| flow.waits_until > l).map(|flow| flow.start).min();
        let flow = &mut self.flows[at];
        if flow.waits_until <= l && !on(Mutant::SavesUp) {
            flow.start = flow.start.max(waiting.unwrap_or(self.served));
        }
        flow.seen = l;
        at
    }

    /// Above which share of a cap a call of flow `at` leaves the room to others that wait, millionths.
    fn yields(&self, at: usize, cost: u64, l: Ms) -> u64 {
        let own = &self.flows[at];
        let goes_first = |other: &Flow| {
            other.rank < own.rank || other.rank == own.rank && other.start + AHEAD * cost < own.start
        };
        let leaves = |other: &Flow| if other.asks_at.abs_diff(l) <= GRACE { 0 } else { YIELD };
        let others = self.flows.iter().enumerate().filter(|(index, _)| *index != at).map(|(_, other)| other);
        let ahead = others.filter(|other| other.waits_until > l && goes_first(other));
        if on(Mutant::NobodyYields) { WHOLE } else { ahead.map(leaves).min().unwrap_or(WHOLE) }
    }
}

/// A call's place, looked up.
#[derive(Clone, Copy)]
pub(super) struct Place {
    flow: usize,
    pub(super) yields: u64,
}

impl State {
    /// Where the call stands among others.
    pub(super) fn place(&mut self, ask: &Reserve) -> Option<Place> {
        let (turn, l) = (ask.turn.as_ref()?, self.clock.l);
        let line = self.lines.entry(turn.line.clone()).or_default();
        if line.until <= l {
            *line = Line::default();
        }
        line.until = l + FORGOTTEN;
        let flow = line.flow(turn, l);
        Some(Place { flow, yields: line.yields(flow, turn.cost, l) })
    }

    /// The call was served (none), or waits for room until then.
    pub(super) fn note_turn(&mut self, ask: &Reserve, place: Option<Place>, waits: Option<Ms>) {
        let (Some(turn), Some(place), l) = (&ask.turn, place, self.clock.l) else { return };
        let Some(line) = self.lines.get_mut(&turn.line) else { return };
        let flow = &mut line.flows[place.flow];
        match waits {
            None => {
                line.served = line.served.max(flow.start);
                flow.start += turn.cost;
                if turn.more {
                    (flow.waits_until, flow.asks_at) = (l + WAITS, l);
                } else {
                    // Others of it may wait at other replicas: they ask by then.
                    flow.waits_until = flow.waits_until.min(l + ASKS);
                }
            }
            Some(at) if turn.waits => (flow.waits_until, flow.asks_at) = (l + WAITS, at.min(l + ASKS)),
            Some(_) => {}
        }
    }
}

/// So much of a cap may a call use that is let in up to `most` millionths of it; one that is larger has it alone.
pub(super) fn bounded(cap: u64, most: u64, amount: u64) -> u64 {
    if most >= WHOLE {
        return cap; // in doubles the whole of a large cap may come out one below
    }
    ((cap as f64 * most as f64 / WHOLE as f64).floor() as u64).max(amount).min(cap)
}

/// By their keys.
pub type Lines = BTreeMap<String, Line>;
