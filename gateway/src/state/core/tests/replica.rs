//! A replica of the world: what `client.rs` does, with the real books and reservations, in the world's time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::plan::Plan;
use super::world::{About, Process, World};
use crate::state::core::mutant::{Mutant, on};
use crate::state::core::{
    Caller, Candidate, Command, Draw, Incarnation, Join, Ms, PoolReport, Reply, Reserve, Rest, Sync,
};
use crate::state::ledger::{Account, Ledger};
use crate::state::{Client, Deadlines, PoolInfo};

pub(super) struct Replica {
    pub name: String,
    pub run: u32,
    pub up: bool,
    /// The number of its latest life.
    pub k: u64,
    joining: bool,
    deadlines: (Ms, Ms),
    pub infos: Vec<Arc<PoolInfo>>,
    pub client: Arc<Client>,
    pub ledger: Option<Arc<Ledger>>,
    /// Logical time of the newest reply, and when it came.
    pub ack: (Ms, Ms),
    syncing: Option<(u64, Vec<Arc<Account>>, Vec<Rest>)>,
    syncs: u64,
    pub flushing: bool,
    /// What the last reports said was posted, by pool.
    said: BTreeMap<Arc<str>, Vec<u64>>,
    pub rests: Vec<Rest>,
    pub leaving: bool,
    pub stalled_until: Ms,
    pub muted_until: Ms,
    pub deaf_until: Ms,
    who: usize,
}

impl Replica {
    pub(super) fn new(who: usize, plan: &Plan) -> Replica {
        let deadlines = Deadlines { head: Duration::from_secs(1), end: Duration::from_secs(1) };
        Replica {
            name: format!("r{who}"),
            run: 0,
            up: false,
            k: 0,
            joining: false,
            deadlines: plan.deadlines(),
            infos: plan.pools(who),
            client: Client::new(format!("r{who}"), deadlines),
            ledger: None,
            ack: (0, 0),
            syncing: None,
            syncs: 0,
            flushing: false,
            said: BTreeMap::new(),
            rests: Vec::new(),
            leaving: false,
            stalled_until: 0,
            muted_until: 0,
            deaf_until: 0,
            who,
        }
    }

    pub(super) fn process(&self) -> Process {
        Process { who: self.who, run: self.run }
    }

    pub(super) fn caller(&self, t: Ms) -> Caller {
        let ledger = self.ledger.as_ref();
        Caller {
            epoch: ledger.map_or(0, |ledger| ledger.epoch),
            inc: ledger.map_or(Incarnation { name: self.name.clone(), k: 0 }, |ledger| ledger.inc.clone()),
            l_ack: self.ack.0,
            x: if self.ack.0 == 0 { 0 } else { t - self.ack.1 },
        }
    }

    /// Broken: what was posted is told a message later than what was given back.
    fn say_posted_late(&mut self, report: &mut PoolReport) {
        let before = self.said.insert(report.key.clone(), report.posted.clone());
        report.posted = before.unwrap_or_else(|| vec![0; report.posted.len()]);
    }

    pub(super) fn saw(&mut self, l: Ms, t: Ms) {
        if l > self.ack.0 {
            self.ack = (l, t);
        }
    }

    /// The next process of this replica. Numbers of lives go on (they come from the time).
    pub(super) fn restarted(&self, plan: &Plan) -> Replica {
        let again = u64::from(on(Mutant::IncarnationReused) && self.k > 0);
        Replica { k: self.k - again, run: self.run + 1, up: true, ..Replica::new(self.who, plan) }
    }

    /// A JOIN, unless one is under way.
    pub(super) fn join(&mut self) -> Option<Command> {
        if self.joining || self.leaving {
            return None;
        }
        self.joining = true;
        self.k += 1;
        let inc = Incarnation { name: self.name.clone(), k: self.k };
        Some(Command::Join(Join { inc, d_head: self.deadlines.0, d_end: self.deadlines.1 }))
    }

    pub(super) fn joined(&mut self, reply: &Reply, t: Ms) {
        self.joining = false;
        match reply {
            Reply::Joined(joined) => {
                let inc = Incarnation { name: self.name.clone(), k: self.k };
                self.ledger = Some(Arc::new(Ledger::new(inc, joined.epoch)));
                self.ack = (0, 0);
                self.saw(joined.l, t);
            }
            Reply::Gone(highest) => self.k = self.k.max(*highest),
            _ => {}
        }
    }

    pub(super) fn lost_life(&mut self, inc: &Incarnation, highest: u64) {
        self.k = self.k.max(highest);
        if self.ledger.as_ref().is_some_and(|ledger| ledger.inc == *inc) {
            self.ledger = None;
            self.syncing = None;
        }
    }

    /// A RESERVE that draws nothing and names every pool.
    pub(super) fn declaration(&self, plan: &Plan, t: Ms) -> Reserve {
        let infos = plan.pools(self.who);
        let nothing = |pool: usize| Draw { pool, amounts: infos[pool].kinds.iter().map(|_| 0).collect() };
        let candidate = Candidate { tag: 9, tier: 0, threshold: 1_000_000, draws: vec![] };
        Reserve {
            caller: self.caller(t),
            pools: infos.iter().map(|info| info.decl.clone()).collect(),
            common: (0..infos.len()).map(nothing).collect(),
            candidates: vec![candidate],
            session: None,
        }
    }
}

/// A replica's doings.
impl World {
    pub(super) fn live(&mut self, who: usize) -> Option<Arc<Ledger>> {
        let replica = &mut self.replicas[who];
        if replica.ledger.is_none() && replica.up {
            let process = replica.process();
            if let Some(join) = replica.join() {
                let k = replica.k;
                self.send(process, About::Join(k), join);
            }
        }
        self.replicas[who].ledger.clone()
    }

    pub(super) fn sync(&mut self, who: usize) {
        self.replicas[who].flushing = false;
        let replica = &self.replicas[who];
        if !replica.up || replica.syncing.is_some() || replica.stalled_until > self.t {
            return;
        }
        if replica.leaving && replica.ledger.is_none() {
            return self.left(who);
        }
        let Some(ledger) = self.live(who) else { return };
        let replica = &mut self.replicas[who];
        let rests = std::mem::take(&mut replica.rests);
        let (accounts, mut reports) = ledger.report();
        if on(Mutant::ReturnedBeforePosted) {
            reports.iter_mut().for_each(|report| replica.say_posted_late(report));
        }
        let sync = Sync { caller: replica.caller(self.t), reports, rests: rests.clone(), count: true };
        replica.syncs += 1;
        replica.syncing = Some((replica.syncs, accounts, rests));
        let (process, about) = (replica.process(), About::Sync(replica.syncs));
        self.send(process, about, Command::Sync(sync));
    }

    pub(super) fn answer(&mut self, who: usize, about: About, reply: Reply) {
        match about {
            About::Join(k) if self.replicas[who].joining && self.replicas[who].k == k => {
                self.replicas[who].joined(&reply, self.t);
            }
            About::Reserve(call) => self.reserved(who, call, reply),
            About::Sync(n) => self.synced(who, n, reply),
            About::Bye => self.left(who),
            About::Join(_) | About::Lie => {}
        }
    }

    pub(super) fn give_up(&mut self, who: usize, about: About) {
        let replica = &mut self.replicas[who];
        match about {
            About::Join(k) if replica.joining && replica.k == k => replica.joining = false,
            About::Reserve(call) => drop(self.calls[call].outstanding.take()),
            About::Sync(n) if replica.syncing.as_ref().is_some_and(|(at, ..)| *at == n) => {
                if let (Some((_, accounts, rests)), Some(ledger)) = (replica.syncing.take(), &replica.ledger)
                {
                    ledger.unheard(&accounts);
                    replica.rests.extend(rests);
                }
                if replica.leaving {
                    self.left(who);
                }
            }
            About::Bye => self.left(who),
            About::Join(_) | About::Sync(_) | About::Lie => {}
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
        if replica.syncing.as_ref().is_none_or(|(at, ..)| *at != n) {
            return;
        }
        let (Some((_, accounts, rests)), Some(ledger)) = (replica.syncing.take(), replica.ledger.clone())
        else {
            return;
        };
        match reply {
            Reply::Synced(synced) => {
                replica.saw(synced.l, t);
                ledger.heard(&accounts, synced.pools);
            }
            Reply::Gone(k) => {
                replica.rests.extend(rests);
                replica.lost_life(&ledger.inc, k);
            }
            _ => replica.lost_life(&ledger.inc, 0),
        }
        if replica.leaving {
            let (process, caller) = (replica.process(), replica.caller(t));
            self.send(process, About::Bye, Command::Bye(caller));
        }
    }
}
