//! The life of an incarnation: JOIN, expiry in two steps, BYE.
//!
//! An incarnation that lapses (not heard of for [`TTL`]) merely stops being counted; a late SYNC revives it, and so
//! does a RESERVE of a replica that has heard from us lately (each grant must be followed by `d_head` of life). It is
//! dead `d_head` after that, when none of its calls can still be waiting for an answer's head: its head holds are
//! posted, for the provider may have charged them. Its end holds (output tokens, concurrency) wait for `d_end`.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::meter::{Mode, Stage};
use super::mutant::{Mutant, on};
use super::{Caller, Counters, Incarnation, Memory, Ms, Pending, Pool, REMEMBER, Reply, State, TTL};

/// Begins a life, or continues it in another data set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Join {
    /// Its number must be higher than any seen of its name.
    pub inc: Incarnation,
    /// From RESERVE to an answer's head at most, ms.
    pub d_head: Ms,
    /// From RESERVE to an answer's end at most, ms; not less than `d_head`.
    pub d_end: Ms,
    /// Continues the life in this epoch (a HELLO); 0: begins it, in whatever epoch.
    pub epoch: u64,
    /// What the replica knows, for a data set that has lost it.
    pub memory: Memory,
    /// It knows more, and tells it next: what this says is a part.
    pub more: bool,
}

/// The answer to a [`Join`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// To be named in every message from now on.
    pub epoch: u64,
    /// Logical time.
    pub l: Ms,
    /// Replicas alive, this one included.
    pub live: usize,
}

/// An incarnation's record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Life {
    /// Lapses after this time.
    pub exp: Ms,
    /// See [`Join::d_head`].
    pub d_head: Ms,
    /// See [`Join::d_end`].
    pub d_end: Ms,
    /// The epoch of the last JOIN or HELLO whose knowledge was taken; 0: that of a JOIN.
    pub told: Option<u64>,
    /// By pool key, one per meter.
    pub counters: BTreeMap<Arc<str>, Vec<Counters>>,
}

/// So long after its end a period is over for all replicas, whose clocks may differ.
const OVER: Ms = 60_000;

/// When the period of a budget ends, by the clock of the server; none of other pools. Their keys end in `@TIME|uSPANe`.
pub fn ended(key: &str) -> Option<Ms> {
    let (name, shape) = key.rsplit_once('|')?;
    let span = shape.strip_prefix('u')?.strip_suffix('e')?;
    let (_, until) = name.rsplit_once('@')?;
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    (is_number(span) && is_number(until) && until.len() < 16).then(|| until.parse().ok())?
}

impl State {
    pub(super) fn join(&mut self, join: &Join) -> Reply {
        if join.epoch != 0 && join.epoch != self.epoch {
            return Reply::Epoch(self.epoch);
        }
        let highest = self.names.get(&join.inc.name).map(|(k, _)| *k);
        let known = self.lives.contains_key(&join.inc);
        // What was lost may have been an older life of a name than one that has told already.
        let lost = self.learn.as_ref().is_some_and(|learn| !learn.whole && !learn.left.contains(&join.inc));
        let told_late = lost && join.epoch != 0 && !on(Mutant::OlderLivesUntold);
        let stale = highest.is_some_and(|k| join.inc.k <= k) && !told_late && !on(Mutant::IncarnationReused);
        if stale && !known && !on(Mutant::DuplicateJoinRecreates) {
            return Reply::Gone(highest.unwrap_or(0)); // a late duplicate must not raise the dead
        }
        if !known || on(Mutant::IncarnationReused) {
            self.begin(&join.inc, join.d_head, join.d_end);
        }
        self.hear_out(join);
        Reply::Joined(Joined { epoch: self.epoch, l: self.clock.l, live: self.live() })
    }

    /// Takes what the replica knows of windows once for a JOIN and once for the HELLO of an epoch, for it may come
    /// twice. Its counters only grow: they are taken whenever they come. (A JOIN has some if the life began out of
    /// reach of this state.)
    fn hear_out(&mut self, join: &Join) {
        let l = self.clock.l;
        let Some(life) = self.lives.get_mut(&join.inc) else { return };
        let news = life.told.is_none_or(|told| join.epoch != 0 && told != join.epoch);
        if news {
            life.exp = life.exp.max(l + TTL);
        }
        if news && !join.more {
            life.told = Some(join.epoch);
        }
        // Else nothing was forgotten that it could add.
        let forgot = self.learn.is_some() || join.epoch != 0;
        self.take_memory(&join.inc, &join.memory, (news && forgot) || on(Mutant::ToldTwice));
        if news && forgot {
            self.believe(&join.inc, &join.memory, join.epoch != 0);
        }
    }

    fn begin(&mut self, inc: &Incarnation, d_head: Ms, d_end: Ms) {
        let exp = self.clock.l + TTL;
        self.lives.insert(inc.clone(), Life { exp, d_head, d_end, told: None, counters: BTreeMap::new() });
        let (highest, forget) = self.names.entry(inc.name.clone()).or_default();
        if inc.k >= *highest {
            (*highest, *forget) = (inc.k, 0);
        }
    }

    /// A message of an incarnation without a record: refused. (A broken variant makes the record anew.)
    pub(super) fn revive(&mut self, caller: &Caller) -> bool {
        if on(Mutant::AbsentRecordRecreated) {
            self.begin(&caller.inc, 1_000, 2_000);
        }
        on(Mutant::AbsentRecordRecreated)
    }

    pub(super) fn bye(&mut self, caller: &Caller) -> Reply {
        let holds = |life: &Life| life.counters.values().flatten().any(|c| c.granted > c.returned);
        if self.lives.get(&caller.inc).is_some_and(holds) {
            return Reply::Left(false);
        }
        self.bury(&caller.inc);
        Reply::Left(true)
    }

    fn bury(&mut self, inc: &Incarnation) {
        if let Some(life) = self.lives.remove(inc) {
            life.counters.keys().for_each(|pool| self.sweep(pool));
        }
        if let Some(learn) = &mut self.learn {
            learn.roster.remove(inc);
            learn.left.insert(inc.clone());
        }
        if let Some(name) = self.names.get_mut(&inc.name)
            && name.0 == inc.k
        {
            name.1 = self.clock.l + REMEMBER;
        }
    }

    /// A budget whose period is over is not needed when the last life has ended that drew on it.
    fn sweep(&mut self, key: &Arc<str>) {
        let is_over = ended(key).is_some_and(|until| self.clock.wall > until + OVER);
        let is_drawn_on = || self.lives.values().any(|life| life.counters.contains_key(key));
        let holds = |pool: &Pool| pool.meters.iter().any(|meter| meter.hold > 0);
        if !is_over || is_drawn_on() || on(Mutant::BudgetsKept) || self.pools.get(key).is_some_and(holds) {
            return;
        }
        self.pools.remove(key);
    }

    /// Whoever lives shall not lapse: for a copy of the state that only its own replica asks.
    pub fn immortalise(&mut self) {
        self.lives.values_mut().for_each(|life| life.exp = Ms::MAX / 4);
    }

    /// Everything that is due: all of it, before anything is granted.
    pub(super) fn expire(&mut self) {
        let l = self.clock.l;
        let early = on(Mutant::ExpiredHoldPostedEarly);
        // Nobody dies while others tell: a data set that lags knows less of who was heard of, and who is dead by what
        // it knows could not tell any more.
        let dies = self.learn.is_none() || on(Mutant::DeathWhileLearning);
        let due = |life: &Life| dies && l > life.exp + if early { 0 } else { life.d_head };
        let dead: Vec<Incarnation> =
            self.lives.iter().filter(|(_, life)| due(life)).map(|(inc, _)| inc.clone()).collect();
        let limit = if on(Mutant::OneExpiryPerStep) { 1 } else { usize::MAX };
        for inc in dead.iter().take(limit) {
            if let Some(life) = self.lives.get(inc).cloned() {
                self.let_die(&life);
            }
            self.bury(inc);
        }
        let (due, kept): (Vec<Pending>, Vec<Pending>) =
            std::mem::take(&mut self.pending).into_iter().partition(|p| l > p.due);
        self.pending = kept;
        for pending in due {
            self.release(&pending.pool, pending.meter, pending.amount);
        }
        self.names.retain(|_, (_, forget)| *forget == 0 || l <= *forget);
    }

    fn let_die(&mut self, life: &Life) {
        let early = on(Mutant::ExpiredHoldPostedEarly) || on(Mutant::EndHoldPostedWithHead);
        for (pool, counters) in &life.counters {
            for (meter, counter) in counters.iter().enumerate() {
                let amount = counter.granted - counter.returned;
                let stage = self.pools.get(pool).map(|p| p.meters[meter].shape.stage);
                match stage {
                    _ if amount == 0 => {}
                    Some(Stage::End) if !early => self.pending.push(Pending {
                        due: life.exp + life.d_end,
                        pool: pool.clone(),
                        meter,
                        amount,
                    }),
                    Some(_) => self.release(pool, meter, amount),
                    None => {}
                }
            }
        }
    }

    /// Ends a dead replica's hold: posted to a window, dropped from a gauge.
    fn release(&mut self, pool: &Arc<str>, meter: usize, amount: u64) {
        let (epoch, l) = (self.epoch, self.clock.l);
        let pool = self.pools.get_mut(pool).map(|pool| pool.current(epoch, l, self.learn.as_ref()));
        let Some(meter) = pool.and_then(|p| p.meters.get_mut(meter)) else { return };
        meter.advance(l);
        meter.hold -= amount;
        if meter.shape.mode == Mode::Window && !on(Mutant::ExpiredHoldReleased) {
            meter.post(amount);
        }
    }
}
