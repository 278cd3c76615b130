//! The inside audit: after every step of the state, its holds and posts must follow from the counters of the
//! living, what the dead left, and nothing else.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::judge::{Breach, breach};
use crate::state::core::{Counters, Incarnation, Mode, Reserve, State};

type Books = BTreeMap<Arc<str>, Vec<Counters>>;

/// What was seen so far.
#[derive(Debug, Default)]
pub(super) struct Audit {
    epoch: u64,
    /// Data were lost: what was posted no longer follows from the counters.
    lost: bool,
    /// Somebody still had to tell before the step: nobody dies then.
    learnt: bool,
    lives: BTreeMap<Incarnation, Books>,
    dead: BTreeMap<(Arc<str>, usize), Left>,
}

/// Of all lives that ended, on one meter.
#[derive(Clone, Copy, Debug, Default)]
struct Left {
    posted: u64,
    expired: u64,
}

impl State {
    /// Hold, window and image of every meter, to be read by people.
    pub(super) fn in_short(&self) -> BTreeMap<&str, Vec<[u64; 3]>> {
        let meters = |pool: &super::super::Pool| {
            pool.meters.iter().map(|m| [m.hold, m.sum, m.image_sum]).collect::<Vec<_>>()
        };
        self.pools.iter().map(|(key, pool)| (&**key, meters(pool))).collect()
    }
}

impl Audit {
    /// One that begins with this state; `lost`: data were lost before.
    pub(super) fn since(state: &State, lost: bool) -> Audit {
        let lives = state.lives.iter().map(|(inc, life)| (inc.clone(), life.counters.clone())).collect();
        let learnt = state.learn.is_some();
        let mut audit = Audit { epoch: state.epoch, lost, learnt, lives, dead: BTreeMap::new() };
        for (key, pool) in &state.pools {
            for (at, meter) in pool.meters.iter().enumerate() {
                let waits: u64 =
                    state.pending.iter().filter(|p| p.pool == *key && p.meter == at).map(|p| p.amount).sum();
                let counters = state.lives.values().filter_map(|life| life.counters.get(key)?.get(at));
                let known: u64 = counters.map(|c| c.posted).sum();
                let posted = (meter.posted + waits).saturating_sub(known);
                audit.dead.insert((key.clone(), at), Left { posted, expired: 0 });
            }
        }
        audit
    }

    /// Looks at the state after a step in the name of `caller`.
    pub(super) fn after(&mut self, state: &State, caller: &Incarnation) -> Result<(), Breach> {
        if self.epoch != 0 && self.epoch != state.epoch {
            *self = Audit { lost: true, ..Audit::default() };
        }
        self.epoch = state.epoch;
        self.bury(state)?;
        if let Some(life) = state.lives.get(caller) {
            let known = self.lives.entry(caller.clone()).or_default();
            if *known != life.counters {
                only_grow(known, &life.counters)?;
                *known = life.counters.clone();
            }
        }
        on_time(state, std::mem::replace(&mut self.learnt, state.learn.is_some()))?;
        self.holds_and_posts(state)
    }

    fn bury(&mut self, state: &State) -> Result<(), Breach> {
        let dead: Vec<Incarnation> =
            self.lives.keys().filter(|inc| !state.lives.contains_key(inc)).cloned().collect();
        for inc in dead {
            for (pool, counters) in self.lives.remove(&inc).unwrap_or_default() {
                for (meter, c) in counters.iter().enumerate() {
                    let left = self.dead.entry((pool.clone(), meter)).or_default();
                    left.posted += c.posted;
                    left.expired += c.granted.checked_sub(c.returned).ok_or(breach("I3 holds", "R > G"))?;
                }
            }
        }
        Ok(())
    }

    fn holds_and_posts(&self, state: &State) -> Result<(), Breach> {
        for (key, pool) in &state.pools {
            for (at, meter) in pool.meters.iter().enumerate() {
                let lives: Vec<Counters> = state
                    .lives
                    .values()
                    .filter_map(|life| life.counters.get(key)?.get(at).copied())
                    .collect();
                let waits = |p: &&super::super::Pending| p.pool == *key && p.meter == at;
                let pending: u64 = state.pending.iter().filter(waits).map(|p| p.amount).sum();
                let held: i128 = lives.iter().map(|c| i128::from(c.granted) - i128::from(c.returned)).sum();
                if i128::from(meter.hold) != held + i128::from(pending) {
                    let detail = format!("{key}/{at}: hold {} is not {held} + {pending}", meter.hold);
                    return Err(breach("I3 holds = granted - returned + pending", detail));
                }
                let left = self.dead.get(&(key.clone(), at)).copied().unwrap_or_default();
                let posts = lives.iter().map(|c| c.posted).sum::<u64>() + left.posted + left.expired;
                if meter.shape.mode == Mode::Window && meter.posted + pending != posts && !self.lost {
                    let detail = format!("{key}/{at}: posted {} + {pending}, not {posts}", meter.posted);
                    return Err(breach("I4 posted or expired once", detail));
                }
                let own = meter.sum == meter.ring.iter().sum::<u64>() + meter.cur;
                if !own || meter.image_sum != meter.image.iter().sum::<u64>() {
                    return Err(breach("I3 window = its buckets", format!("{key}/{at}: {meter:?}")));
                }
            }
        }
        Ok(())
    }
}

fn only_grow(old: &Books, new: &Books) -> Result<(), Breach> {
    let grown = |(pool, old): (&Arc<str>, &Vec<Counters>)| {
        new.get(pool).is_some_and(|new| {
            let pair = |(o, n): (&Counters, &Counters)| {
                o.granted <= n.granted && o.returned <= n.returned && o.posted <= n.posted
            };
            new.len() == old.len() && old.iter().zip(new).all(pair)
        })
    };
    if old.iter().all(grown) {
        Ok(())
    } else {
        Err(breach("I4 counters only grow", format!("{old:?} {new:?}")))
    }
}

/// Whatever is due was expired before anything else was done; lives are spared in a step that began while others told.
fn on_time(state: &State, learnt: bool) -> Result<(), Breach> {
    let l = state.clock.l;
    let spared = learnt || state.learn.is_some();
    let late = state.lives.iter().find(|(_, life)| !spared && l > life.exp + life.d_head);
    if let Some((inc, life)) = late {
        return Err(breach("I3 expiry on time", format!("{inc} should be dead at {l}: {life:?}")));
    }
    match state.pending.iter().find(|p| l > p.due) {
        Some(p) => Err(breach("I3 expiry on time", format!("at {l}: {p:?}"))),
        None => Ok(()),
    }
}

/// A grant leaves window and hold within the cap on every meter that it drew on.
pub(super) fn within_caps(state: &State, ask: &Reserve, index: usize) -> Result<(), Breach> {
    for draw in ask.common.iter().chain(&ask.candidates[index].draws) {
        let key = &ask.pools[draw.pool].key;
        for (at, meter) in state.pools.get(key).map_or(&[][..], |p| &p.meters).iter().enumerate() {
            if meter.sum + meter.image_sum + meter.hold > meter.cap {
                let detail = format!("{key}/{at}: {} + {} of {}", meter.sum, meter.hold, meter.cap);
                return Err(breach("I1 window + hold <= cap at a grant", detail));
            }
        }
    }
    Ok(())
}

/// When all is over, nothing is left: no hold, nothing in a window, no debt of a dead replica, no extra life.
pub(super) fn nothing_left(state: &State, up: usize) -> Result<(), Breach> {
    for (key, pool) in &state.pools {
        for (at, meter) in pool.meters.iter().enumerate() {
            let mut meter = meter.clone();
            meter.advance(state.clock.l);
            if meter.hold + meter.sum + meter.image_sum + meter.cur + meter.ring.iter().sum::<u64>() > 0 {
                return Err(breach("I5 no leak", format!("{key}/{at} at {}: {meter:?}", state.clock.l)));
            }
        }
    }
    if !state.pending.is_empty() || state.lives.len() > up {
        return Err(breach("I5 no leak", format!("{:?} {:?}", state.pending, state.lives.keys())));
    }
    Ok(())
}
