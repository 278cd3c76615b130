//! The shared state's part.

use super::{Group, Print};
use crate::state::core::{Incarnation, Learn, Life, Meter, Ms, State};

impl Print<'_> {
    pub(super) fn state(&mut self, state: &State, which: u64) {
        let l = state.clock.l;
        for (inc, life) in &state.lives {
            self.lives(inc, life, l, which);
        }
        for (name, (k, _)) in &state.names {
            self.begin(Group::Name);
            self.number(which);
            self.life(u8::from(name == "b"), *k);
        }
        for pending in &state.pending {
            self.begin(Group::Pending);
            self.number(which);
            self.ago(l, pending.due);
            self.number(pending.amount);
        }
        state.learn.iter().for_each(|learn| self.learn(learn, l, which));
        self.begin(Group::State);
        self.number(which);
        self.epoch(state.epoch);
        self.number(u64::from(state.run == self.of.run));
        self.ago(self.l, l);
        self.number(l % self.of.rules.setting.width);
        self.ago(self.of.now(), state.clock.wall);
        for pool in state.pools.values() {
            self.epoch(pool.epoch);
            pool.meters.iter().for_each(|meter| self.meter(meter, l));
        }
    }

    fn lives(&mut self, inc: &Incarnation, life: &Life, l: Ms, which: u64) {
        self.begin(Group::Lives);
        self.number(which);
        self.inc(inc);
        self.ago(l, life.exp);
        match life.told {
            Some(epoch) if epoch > 0 => self.epoch(epoch),
            other => self.number(u64::from(other.is_some())),
        }
        for c in life.counters.values().flatten() {
            self.counters(inc, &[c.granted, c.returned], &[c.posted]);
        }
    }

    fn learn(&mut self, learn: &Learn, l: Ms, which: u64) {
        for inc in &learn.roster {
            self.begin(Group::Awaited);
            self.number(which);
            self.inc(inc);
        }
        self.begin(Group::Learn);
        self.number(which);
        self.ago(l, learn.since);
        self.number(u64::from(learn.told));
        self.number(u64::from(learn.fresh));
        self.number(u64::from(learn.whole));
        self.ago(l, learn.known.0);
        self.ago(l, learn.known.1);
        learn.looked.values().for_each(|at| self.ago(l, *at));
        for (seen, bearer, held) in learn.others.values() {
            self.ago(l, *seen);
            self.inc(bearer);
            self.numbers(held);
        }
        for inc in &learn.left {
            self.begin(Group::Left);
            self.number(which);
            self.inc(inc);
        }
        for (inc, (heard, kept)) in learn.kept.values().flatten() {
            self.begin(Group::Kept);
            self.number(which);
            self.inc(inc);
            self.ago(l, *heard);
            self.numbers(kept);
        }
    }

    fn meter(&mut self, meter: &Meter, l: Ms) {
        self.number(meter.hold);
        if self.loses {
            self.numbers(&[meter.posted, meter.image_posted]);
        }
        let (now, slots) = (l / meter.shape.width, meter.shape.slots());
        for age in 0..slots {
            let bucket = now - age;
            let at = (bucket % slots) as usize;
            let kept = bucket + slots > meter.last;
            let own = match bucket.cmp(&meter.last) {
                std::cmp::Ordering::Equal => meter.cur,
                std::cmp::Ordering::Less if kept => meter.ring[at],
                _ => 0,
            };
            let image = meter.image.get(at).filter(|_| kept && bucket <= meter.last).copied();
            self.numbers(&[own, image.unwrap_or(0)]);
        }
    }
}
