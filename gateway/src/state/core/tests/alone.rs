//! The shared state away from everybody: replicas share what was left, and tell of it when it is back.
//!
//! The bound then is L and what the others were granted that a replica had not seen when it began to share: it takes
//! its part of a limit that it believes less used than it is.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::call::{Call, Fate, ask};
use super::judge::Charge;
use super::plan::Plan;
use super::world::World;
use crate::state::Deadlines;
use crate::state::core::{Caller, Incarnation, Ms};
use crate::state::share::Shared;
use crate::state::side::{Alone, Side};

/// The shortest and the longest outage.
const SHORT: Ms = 100;
const LONG: Ms = 5_000;
/// Things happen so much more slowly where outages are to be lived through.
pub(super) const SLOWER: Ms = 6;

/// One outage.
#[derive(Debug, Default)]
pub(super) struct Outage {
    began: Ms,
    until: Ms,
    /// How many replicas each knows of that shares.
    known: BTreeMap<usize, u64>,
    /// By replica and pool, when that was taken which it had seen of it.
    seen: BTreeMap<(usize, Arc<str>), Ms>,
}

impl Outage {
    /// At that time, were there replicas that shared and of which another one knew nothing? (M > N replicas may use M / N
    /// of a limit. Who never came to be alive before, for its messages were lost, is such a one.)
    fn had_strangers(&self, at: Ms) -> bool {
        let share = self.known.len() as u64;
        (self.began..=self.until).contains(&at) && self.known.values().any(|known| *known < share)
    }
}

impl World {
    /// The shared state cannot be reached by anybody for a while; with `losses` it may come back empty or older.
    pub(super) fn go_away(&mut self, n: u64) {
        if self.down_until <= self.t {
            self.outages.push(Outage { began: self.t, ..Outage::default() });
        }
        self.down_until = self.down_until.max(self.t + SHORT + n % (LONG - SHORT));
        if let Some(outage) = self.outages.last_mut() {
            outage.until = self.down_until;
        }
        if self.plan.knobs.losses && n.is_multiple_of(3) {
            self.lose(n / 3);
        }
        self.tally.outages += 1;
    }

    /// Is there a connection to the shared state?
    pub(super) fn reaches(&self, who: usize) -> bool {
        self.t >= self.down_until.max(self.replicas[who].cut_until)
    }

    /// A call while the shared state is away. Whether that was tried.
    pub(super) fn begin_alone(&mut self, who: usize, n: u64, times: u8) -> bool {
        if self.reaches(who) || !self.plan.knobs.outages {
            return false;
        }
        let t = self.t;
        let replica = &mut self.replicas[who];
        replica.side.failed(t);
        let fate = Fate::of(n, &self.plan);
        let nobody = Caller { epoch: 0, inc: Incarnation { name: String::new(), k: 0 }, l_ack: 0, x: 0 };
        let mut wish = Arc::new(ask(n, &fate, &replica.infos, nobody));
        let begins = replica.side.is_sharing().is_none();
        let Alone::Shared(ledger, shared) = replica.side.ask_alone(&mut wish, |_| true, None, t) else {
            return true;
        };
        let (of, infos) = (replica.process(), replica.infos.clone());
        if begins {
            self.note_sight(who);
        }
        let Shared::Granted(granted, drawn) = shared else { return true };
        let id = self.calls.len();
        let call = Call {
            of,
            n,
            fate,
            ask: wish,
            infos,
            asked: t,
            granted: t,
            grants: vec![(granted.l, t)],
            outstanding: None,
            ledger,
            reservation: None,
            charges: Vec::new(),
            owed: Vec::new(),
            index: granted.index,
            headed: false,
            times,
        };
        self.calls.push(call);
        self.tally.shared += 1;
        self.book(id, &granted, drawn);
        self.dispatch(id);
        true
    }

    /// What a replica that begins to share has seen.
    fn note_sight(&mut self, who: usize) {
        let (t, run) = (self.t, self.replicas[who].run);
        let known = self.replicas[who].side.replicas();
        let told: Vec<_> = self.replicas[who].side.ledgers().flat_map(|ledger| ledger.told(t)).collect();
        let Some(outage) = self.outages.last_mut() else { return };
        outage.known.insert(who, known);
        for pool in told.iter().filter(|pool| !pool.window.is_empty()) {
            let key = pool.decl.key.clone();
            if let Some(taken) = self.forgotten.taken(who, run, &key, t - pool.age) {
                let seen = outage.seen.entry((who, key)).or_default();
                *seen = taken.max(*seen);
            }
        }
    }

    /// Was it granted when somebody who shared later did not see it any more, or by one of more who share than one of them
    /// had ever heard of?
    pub(super) fn is_unseen(&self, pool: usize, charge: &Charge) -> bool {
        self.is_missed(pool, charge) || self.outages.iter().any(|outage| outage.had_strangers(charge.granted))
    }

    fn is_missed(&self, pool: usize, charge: &Charge) -> bool {
        let key = &self.replicas[0].infos[pool].decl.key;
        let owner = self.calls[charge.call].of.who;
        let missed = |outage: &Outage| {
            let by = |((who, pool), taken): (&(usize, Arc<str>), &Ms)| {
                pool == key && *who != owner && charge.granted >= *taken
            };
            charge.granted <= outage.began && outage.seen.iter().any(by)
        };
        self.outages.iter().any(missed)
    }
}

impl World {
    /// Somebody shared who had not seen yet what the state had learnt of costs above an estimate.
    pub(super) fn is_excess_unseen(&self, pool: usize, charge: &Charge) -> bool {
        let key = &self.replicas[0].infos[pool].decl.key;
        let owner = self.calls[charge.call].of.who;
        let missed = |outage: &Outage| {
            let by = |((who, pool), taken): (&(usize, Arc<str>), &Ms)| {
                pool == key && *who != owner && charge.known.is_some_and(|known| *taken <= known)
            };
            charge.known.is_some_and(|known| known <= outage.began) && outage.seen.iter().any(by)
        };
        charge.excess > 0 && self.outages.iter().any(missed)
    }
}

impl Plan {
    /// How much later than written something happens.
    pub(super) fn stretched(&self, wait: u16) -> Ms {
        Ms::from(wait) * if self.knobs.outages { SLOWER } else { 1 }
    }
}

/// Broken on purpose once: `failed` never restarted.
#[test]
fn a_replica_that_stood_still_does_not_share_at_once() {
    let plan = Plan { knobs: Default::default(), ops: Vec::new() };
    let nobody = Caller { epoch: 0, inc: Incarnation { name: String::new(), k: 0 }, l_ack: 0, x: 0 };
    let mut wish = Arc::new(ask(7, &Fate::of(7, &plan), &plan.pools(0), nobody));
    let mut side = Side::new("r".into(), Deadlines { head: 120, end: 240 }, 0, 1, 0);
    let mut shares = |side: &mut Side, now| {
        side.failed(now);
        matches!(side.ask_alone(&mut wish, |_| true, None, now), Alone::Shared(..))
    };
    assert!(!shares(&mut side, 2_000), "it knows only that it did not ask");
    (2_200..3_500).step_by(200).for_each(|now| side.failed(now));
    assert!(shares(&mut side, 3_500));
    assert!(!shares(&mut side, 9_000), "others may have asked since");
}
