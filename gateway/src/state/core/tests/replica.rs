//! A replica of the world: the real decisions, books and reservations, in the world's time. What `client.rs` does
//! between them (locks, waiting, giving up) is done here by the world's events.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::plan::Plan;
use super::world::{About, BORN, Process, World};
use crate::state::bell::Bell;
use crate::state::core::mutant::{Mutant, on};
use crate::state::core::{
    Caller, Candidate, Command, Draw, Incarnation, Join, Ms, PoolReport, Reply, Reserve,
};
use crate::state::lease::Policy;
use crate::state::ledger::Ledger;
use crate::state::side::{Heard, Side, Told};
use crate::state::{Deadlines, PoolInfo};

/// Worlds are short, and their limits small: there everything is worth a loan.
const EAGER: Policy = Policy { calls: 0.5, window: 0 };

pub(super) struct Replica {
    pub run: u32,
    pub up: bool,
    joining: Option<(u64, Join)>,
    joins: u64,
    pub infos: Vec<Arc<PoolInfo>>,
    pub side: Side,
    pub bell: Arc<Bell>,
    syncing: Vec<(u64, Told)>,
    byes: Vec<(u64, Incarnation)>, // of older lives
    syncs: u64,
    pub flushing: bool,
    /// What the last reports said was posted, by pool.
    said: BTreeMap<Arc<str>, Vec<u64>>,
    pub leaving: bool,
    pub stalled_until: Ms,
    pub muted_until: Ms,
    pub deaf_until: Ms,
    /// Nothing gets through to the shared state, in either direction.
    pub cut_until: Ms,
    who: usize,
}

impl Replica {
    pub(super) fn new(who: usize, plan: &Plan) -> Replica {
        Replica::with_lives(who, plan, 0, BORN)
    }

    fn with_lives(who: usize, plan: &Plan, last_k: u64, t: Ms) -> Replica {
        let (head, end) = plan.deadlines();
        let side = Side::new(format!("r{who}"), Deadlines { head, end }, last_k, 0, t).telling(4);
        Replica {
            run: 0,
            up: false,
            joining: None,
            joins: 0,
            infos: plan.pools(who),
            side: if plan.knobs.borrows > 0 { side.borrowing(EAGER) } else { side },
            bell: Arc::default(),
            syncing: Vec::new(),
            byes: Vec::new(),
            syncs: 0,
            flushing: false,
            said: BTreeMap::new(),
            leaving: false,
            stalled_until: 0,
            muted_until: 0,
            deaf_until: 0,
            cut_until: 0,
            who,
        }
    }

    pub(super) fn process(&self) -> Process {
        Process { who: self.who, run: self.run }
    }

    pub(super) fn ledger(&self) -> Option<&Arc<Ledger>> {
        self.side.ledger()
    }

    /// Who speaks, also before its first life.
    pub(super) fn caller(&self, t: Ms) -> Caller {
        let nobody = Incarnation { name: format!("r{}", self.who), k: 0 };
        self.ledger().map_or(Caller { epoch: 0, inc: nobody, l_ack: 0, x: 0 }, |l| self.side.caller(l, t))
    }

    /// Broken: what was posted is told a message later than what was given back.
    fn say_posted_late(&mut self, report: &mut PoolReport) {
        let before = self.said.insert(report.key.clone(), report.posted.clone());
        report.posted = before.unwrap_or_else(|| vec![0; report.posted.len()]);
    }

    /// The next process of this replica. Numbers of lives go on (they come from the time).
    pub(super) fn restarted(&self, plan: &Plan, t: Ms) -> Replica {
        let k = self.side.last_k();
        let again = u64::from(on(Mutant::IncarnationReused) && k > 0);
        Replica { run: self.run + 1, up: true, ..Replica::with_lives(self.who, plan, k - again, t) }
    }

    /// A JOIN, unless one is under way.
    pub(super) fn join(&mut self, t: Ms) -> Option<(About, Command)> {
        if self.joining.is_some() || self.leaving {
            return None;
        }
        let join = self.side.due(t)?;
        self.joins += 1;
        self.joining = Some((self.joins, join.clone()));
        Some((About::Join(self.joins), Command::Join(join)))
    }

    pub(super) fn joined(&mut self, n: u64, reply: &Reply, t: Ms) {
        if let Some((_, join)) = self.joining.take_if(|(at, _)| *at == n) {
            self.side.joined(&join, reply, t);
        }
    }

    /// A RESERVE that draws nothing and names every pool.
    pub(super) fn declaration(&self, plan: &Plan, t: Ms) -> Reserve {
        let infos = plan.pools(self.who);
        let nothing = |pool: usize| Draw { pool, amounts: infos[pool].kinds.iter().map(|_| 0).collect() };
        let candidate =
            Candidate { tag: 9, tier: 0, threshold: 1_000_000, circuit: None, account: 0, draws: vec![] };
        Reserve {
            caller: self.caller(t),
            pools: infos.iter().map(|info| info.decl.clone()).collect(),
            common: (0..infos.len()).map(nothing).collect(),
            candidates: vec![candidate],
            session: None,
            tell: Default::default(),
            luck: 0,
            most: crate::state::core::meter::WHOLE,
            turn: None,
        }
    }
}

/// A replica's doings.
impl World {
    pub(super) fn live(&mut self, who: usize) -> Option<Arc<Ledger>> {
        let replica = &mut self.replicas[who];
        if replica.ledger().is_none() && replica.up {
            let process = replica.process();
            if let Some((about, join)) = replica.join(self.t) {
                self.send(process, about, join);
            }
        }
        self.replicas[who].ledger().cloned()
    }

    pub(super) fn sync(&mut self, who: usize) {
        self.replicas[who].flushing = false;
        let replica = &self.replicas[who];
        if !replica.up || !replica.syncing.is_empty() || replica.stalled_until > self.t {
            return;
        }
        if !self.reaches(who) && self.plan.knobs.outages && self.noise.u8(..4) > 0 {
            self.replicas[who].side.failed(self.t);
            return; // there is no connection; at times that is not known yet
        }
        let replica = &self.replicas[who];
        if replica.leaving && replica.ledger().is_none() {
            return self.left(who);
        }
        if self.live(who).is_none() {
            return;
        }
        let t = self.t;
        let replica = &mut self.replicas[who];
        let process = replica.process();
        if let Some((about, join)) = replica.join(t) {
            self.send(process, about, join); // of an older life
        }
        let side = &mut self.replicas[who].side;
        let syncs: Vec<_> = side.sync(t, true).into_iter().chain(side.older(t)).collect();
        for (mut sync, told) in syncs {
            let replica = &mut self.replicas[who];
            if on(Mutant::ReturnedBeforePosted) {
                sync.reports.iter_mut().for_each(|report| replica.say_posted_late(report));
            }
            replica.syncs += 1;
            replica.syncing.push((replica.syncs, told));
            let about = About::Sync(replica.syncs);
            self.send(process, about, Command::Sync(sync));
        }
        for caller in self.replicas[who].side.over(t) {
            let replica = &mut self.replicas[who];
            replica.syncs += 1;
            replica.byes.push((replica.syncs, caller.inc.clone()));
            let about = About::Over(replica.syncs);
            self.send(process, about, Command::Bye(caller));
        }
    }

    fn took(list: &mut Vec<(u64, Told)>, n: u64) -> Option<Told> {
        let at = list.iter().position(|(number, _)| *number == n)?;
        Some(list.swap_remove(at).1)
    }

    pub(super) fn answer(&mut self, who: usize, about: About, reply: Reply) {
        match about {
            About::Join(n) => {
                let replica = &mut self.replicas[who];
                replica.joined(n, &reply, self.t);
                if matches!(reply, Reply::Joined(_))
                    && let Some((about, join)) = replica.join(self.t)
                {
                    let process = replica.process();
                    self.send(process, about, join); // the rest of it, or of another life
                }
            }
            About::Reserve(call) => self.reserved(who, call, reply),
            About::Sync(n) => self.synced(who, n, reply),
            About::Bye => self.left(who),
            About::Over(n) => {
                let replica = &mut self.replicas[who];
                let Some(at) = replica.byes.iter().position(|(number, _)| *number == n) else { return };
                let (_, inc) = replica.byes.swap_remove(at);
                replica.side.left(&inc, &reply, self.t);
            }
            About::Lie => {}
        }
    }

    pub(super) fn give_up(&mut self, who: usize, about: About) {
        let replica = &mut self.replicas[who];
        if !matches!(about, About::Lie) {
            replica.side.failed(self.t);
        }
        match about {
            About::Join(n) => {
                if replica.joining.take_if(|(at, _)| *at == n).is_some() {
                    replica.side.unjoined();
                }
            }
            About::Reserve(call) => drop(self.calls[call].outstanding.take()),
            About::Sync(n) => {
                let Some(told) = World::took(&mut replica.syncing, n) else { return };
                replica.side.unanswered(told, self.t);
                if replica.leaving {
                    self.left(who);
                }
            }
            About::Bye => self.left(who),
            About::Over(n) => replica.byes.retain(|(number, _)| *number != n),
            About::Lie => {}
        }
    }

    /// The process is over, whatever it still had under way.
    fn left(&mut self, who: usize) {
        if self.replicas[who].leaving {
            self.crash(who);
        }
    }

    fn synced(&mut self, who: usize, n: u64, reply: Reply) {
        let t = self.t;
        let replica = &mut self.replicas[who];
        let Some(told) = World::took(&mut replica.syncing, n) else { return };
        let heard = replica.side.synced(told, reply, t);
        let process = replica.process();
        if matches!(heard, Heard::Taken { .. }) {
            self.note_look(process, n);
        }
        let replica = &mut self.replicas[who];
        if heard == Heard::Unexpected || !replica.leaving {
            return;
        }
        let (process, caller) = (replica.process(), replica.caller(t));
        self.send(process, About::Bye, Command::Bye(caller));
    }
}
