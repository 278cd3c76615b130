//! What a data set may have forgotten when it was lost together with replicas. The bound then is L and what those
//! were granted whom nobody told of: who did not tell in time, since one of those that did last looked at the pool,
//! and since the copy was made that took over.
//!
//! Only the loss of data counts as an excuse, and only as far as the replicas' messages show it: who told, and how
//! old that was which they told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::judge::Charge;
use super::world::{About, Process, World};
use crate::state::core::{Command, Incarnation, Ms, Reply};

/// One loss, and what was learnt after it.
#[derive(Clone, Debug, Default)]
pub(super) struct Era {
    /// What was granted by then
    lost: Ms,
    /// and after this may be forgotten,
    kept: Ms,
    /// unless somebody looked later (by pool),
    seen: BTreeMap<Arc<str>, Ms>,
    /// or its replica itself told.
    told: BTreeSet<Incarnation>,
}

/// A replica, its process, and the number of its message.
type Message = (usize, u32, u64);

/// Everything about losses.
#[derive(Debug, Default)]
pub(super) struct Losses {
    eras: Vec<Era>,
    /// What is being learnt: more than one loss if what took over was copied while an earlier one was.
    pub learning: Vec<Era>,
    /// Until when the data set that will be found knows everything but what it was learning, if it was replaced.
    pub kept: Option<(Ms, Vec<Era>)>,
    /// Images on their way to a replica: their pools, and when they were taken.
    coming: BTreeMap<Message, (Ms, Vec<Arc<str>>)>,
    /// When that was taken which a process came to see at some time.
    looks: BTreeMap<(usize, u32, Arc<str>, Ms), Ms>,
    /// By JOIN, what its sender had seen, and when that was taken.
    telling: BTreeMap<Message, Vec<(Arc<str>, Ms)>>,
}

impl Losses {
    /// When that was taken which a process came to see at `at`.
    pub(super) fn taken(&self, who: usize, run: u32, pool: &Arc<str>, at: Ms) -> Option<Ms> {
        self.looks.get(&(who, run, pool.clone(), at)).copied()
    }
}

impl World {
    /// A step of the state has been made.
    pub(super) fn note_losses(
        &mut self,
        from: Process,
        about: About,
        epoch: u64,
        command: &Command,
        reply: &Reply,
    ) {
        let t = self.t;
        let losses = &mut self.forgotten;
        if epoch != self.state.epoch {
            let (kept, learning) = losses.kept.take().unwrap_or((t, std::mem::take(&mut losses.learning)));
            losses.learning = learning;
            losses.learning.push(Era { lost: t, kept, ..Era::default() });
        }
        match (about, command, reply) {
            (About::Sync(n), _, Reply::Synced(synced)) => {
                let Command::Sync(sync) = command else { return };
                let seen = sync.reports.iter().zip(&synced.pools).filter(|(_, view)| view.image.is_some());
                let pools = seen.map(|(report, _)| report.key.clone()).collect();
                losses.coming.entry((from.who, from.run, n)).or_insert((t, pools));
            }
            (About::Join(n), Command::Join(join), Reply::Joined(_)) => {
                for era in &mut losses.learning {
                    if join.epoch == self.state.epoch && !join.more {
                        era.told.insert(join.inc.clone()); // a late copy of an old JOIN tells nothing
                    }
                    for (pool, taken) in losses.telling.get(&(from.who, from.run, n)).into_iter().flatten() {
                        let seen = era.seen.entry(pool.clone()).or_default();
                        *seen = (*seen).max(*taken);
                    }
                }
            }
            _ => {}
        }
        if self.state.learn.is_none() {
            losses.eras.append(&mut losses.learning);
        }
    }

    /// A replica has taken the answer to its SYNC `n`.
    pub(super) fn note_look(&mut self, from: Process, n: u64) {
        let losses = &mut self.forgotten;
        let Some((taken, pools)) = losses.coming.remove(&(from.who, from.run, n)) else { return };
        losses.looks.extend(pools.into_iter().map(|pool| ((from.who, from.run, pool, self.t), taken)));
    }

    /// A replica sends what it has seen.
    pub(super) fn note_telling(&mut self, from: Process, about: About, command: &Command) {
        let (About::Join(n), Command::Join(join)) = (about, command) else { return };
        let losses = &mut self.forgotten;
        let told = join.memory.pools.iter().filter(|pool| !pool.window.is_empty());
        let taken = told.filter_map(|pool| {
            let key = pool.decl.key.clone();
            losses.taken(from.who, from.run, &key, self.t - pool.age).map(|taken| (key, taken))
        });
        let taken = taken.collect();
        losses.telling.insert((from.who, from.run, n), taken);
    }

    /// May the state have forgotten this charge?
    pub(super) fn is_forgotten(&self, pool: usize, charge: &Charge) -> bool {
        self.is_lost(pool, charge, charge.granted)
    }

    /// The same of what it cost above its estimate: that was told when the call was settled.
    fn is_excess_forgotten(&self, pool: usize, charge: &Charge) -> bool {
        charge.known.is_some_and(|known| self.is_lost(pool, charge, known))
    }

    /// May the state have forgotten what it learnt of this charge at a time?
    fn is_lost(&self, pool: usize, charge: &Charge, learnt: Ms) -> bool {
        let inc = &self.calls[charge.call].ledger.inc();
        let key = &self.replicas[0].infos[pool].decl.key;
        let by = |era: &Era| {
            let known = era.kept.max(era.seen.get(key).copied().unwrap_or(0));
            // (What was known at an instant need not include what was granted in the same millisecond.)
            learnt <= era.lost && learnt >= known && !era.told.contains(inc)
        };
        !self.could_tell(charge) && self.forgotten.eras.iter().any(by)
    }

    /// Where nobody dies and messages come through, a process that runs on tells of all its lives.
    fn could_tell(&self, charge: &Charge) -> bool {
        let of = self.calls[charge.call].of;
        self.plan.knobs.is_mild() && self.replicas[of.who].run == of.run
    }

    /// What was forgotten is as if nobody had ever known of it.
    pub(super) fn forgive(&mut self) {
        let mut charges = std::mem::take(&mut self.judge.charges);
        for (at, charges) in &mut charges {
            let told_in_vain = |charge: &Charge| {
                self.is_excess_unseen(at.0, charge) || self.is_excess_forgotten(at.0, charge)
            };
            for charge in charges.iter_mut().filter(|charge| told_in_vain(charge)) {
                charge.known = None;
            }
        }
        self.judge.charges = charges;
        let mut forgotten = Vec::new();
        for (at, charges) in &self.judge.charges {
            let excused = |charge: &Charge| self.is_forgotten(at.0, charge) || self.is_unseen(at.0, charge);
            let of = charges.iter().enumerate().filter(|(_, charge)| excused(charge));
            forgotten.extend(of.map(|(charge, _)| (*at, charge)));
        }
        self.tally.forgotten += forgotten.len() as u64;
        for (at, charge) in forgotten {
            let charge = self.judge.charges.get_mut(&at).map(|charges| &mut charges[charge]);
            if let Some(charge) = charge {
                (charge.excess, charge.known) = (charge.amount, None);
            }
        }
    }
}
