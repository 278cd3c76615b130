//! A call at its provider: let in or refused when it arrives, charged at its moment, also when its replica is dead.

use super::judge::{Charge, breach};
use super::plan::Plan;
use super::providers::{At, Due, Slack};
use super::world::{Event, World};
use crate::config::Side;
use crate::state::Actual;
use crate::state::core::Ms;

/// A charge that is still to come: on which meter, and which one at the judge.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owed {
    at: At,
    charge: usize,
}

/// When within `lo..=hi` a charge falls: on arrival, at the end, half-way, or anywhere.
fn moment(plan: &Plan, n: u64, charge: &Charge) -> Ms {
    let (lo, hi) = (charge.lo, charge.hi.max(charge.lo));
    match plan.knobs.moment {
        0 => lo,
        1 => hi,
        2 => lo.midpoint(hi),
        _ => fastrand::Rng::with_seed(n ^ hi).u64(lo..=hi),
    }
}

impl World {
    /// A call reaches its provider. Whether it is let in.
    pub(super) fn knock(&mut self, id: usize) -> bool {
        let charges = self.calls[id].charges.iter();
        let owed = charges.map(|(pool, meter, charge)| Owed { at: (*pool, *meter), charge: *charge });
        let owed: Vec<Owed> = owed.filter(|owed| self.providers.count(owed.at)).collect();
        for owed in &owed {
            let charge = self.charge_of(owed);
            // Nobody knows yet what it will cost beyond its estimate.
            if self.too_much(owed, charge.amount - charge.excess) {
                self.refuse(id);
                return false;
            }
        }
        for owed in owed {
            let at = moment(&self.plan, self.calls[id].n, self.charge_of(&owed));
            self.schedule(at, Event::Charged(id, self.calls[id].owed.len()));
            self.calls[id].owed.push(Some(owed));
        }
        true
    }

    /// The moment of one of its charges has come.
    pub(super) fn charged(&mut self, id: usize, which: usize) {
        let Some(owed) = self.calls[id].owed.get_mut(which).and_then(Option::take) else { return };
        let amount = self.charge_of(&owed).amount;
        self.too_much(&owed, amount);
        let due = self.due(&owed, amount);
        self.providers.charge(owed.at, self.t, due);
    }

    /// The connection was closed: what is charged at all is charged now.
    pub(super) fn hung_up(&mut self, id: usize) {
        (0..self.calls[id].owed.len()).for_each(|which| self.charged(id, which));
    }

    fn charge_of(&self, owed: &Owed) -> &Charge {
        &self.judge.charges[&owed.at][owed.charge]
    }

    fn due(&self, owed: &Owed, amount: u64) -> Due {
        Due { amount, delay: self.t - self.charge_of(owed).granted }
    }

    /// Is it more than the provider allows? Wrong, unless something excuses it that the bound allows for.
    fn too_much(&mut self, owed: &Owed, amount: u64) -> bool {
        let slack = Slack { stepped: self.stepped, losses: self.tally.losses + 2 * self.tally.outages };
        let due = self.due(owed, amount);
        if !self.providers.refuses(owed.at, self.t, due, slack) {
            return false;
        }
        self.tally.refused += 1;
        let since = self.providers.since(owed.at, self.t);
        let excuses = |charge: &Charge| {
            charge.lo <= self.t
                && charge.hi >= since
                && (charge.excess > 0
                    || self.is_forgotten(owed.at.0, charge)
                    || self.is_unseen(owed.at.0, charge))
        };
        if !self.judge.charges[&owed.at].iter().any(excuses) && self.wrong.is_none() {
            let detail = format!("meter {:?} at {}: {due:?}", owed.at, self.t);
            self.wrong = Some(breach("no provider has a reason to refuse", detail));
        }
        true
    }

    /// The provider answers 429. Some count such a request all the same, as what it asked for.
    fn refuse(&mut self, id: usize) {
        for (pool, meter, at) in &self.calls[id].charges {
            if let Some(charge) = self.judge.charges.get_mut(&(*pool, *meter)).and_then(|c| c.get_mut(*at)) {
                charge.hi = charge.hi.min(self.t);
                charge.amount -= std::mem::take(&mut charge.excess);
            }
        }
        self.schedule(self.t + 1, Event::Refused(id));
    }

    /// The 429 is heard: what the provider limits rests, and the call may try again.
    pub(super) fn refused(&mut self, id: usize) {
        let call = &mut self.calls[id];
        let Some(reservation) = call.reservation.take() else { return };
        reservation.settle(Actual::Failed);
        let (of, n, insists, times) = (call.of, call.n, call.fate.insist > 0, call.times);
        let ask = call.ask.clone();
        let wait = 1 + n % 150;
        for draw in &ask.candidates[call.index].draws {
            let info = &self.replicas[of.who].infos[draw.pool];
            if matches!(info.side, Side::Provider(_)) {
                let key = info.decl.key.clone();
                self.replicas[of.who].side.rest(key, self.t + wait, true);
            }
        }
        self.sync(of.who);
        if insists && self.end.is_none() {
            self.schedule(self.t + wait, Event::Again(of, n, times + 1));
        }
    }
}
