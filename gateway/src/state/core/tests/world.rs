//! A whole cluster in one thread: the core as the shared state, replicas with their real books, a network that
//! loses, doubles, delays and reorders, providers, and a clock that only this file moves.
//!
//! Time is in ms; things of the same ms happen in the order in which they were scheduled.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

use super::alone::Outage;
use super::audit::{self, Audit};
use super::call::Call;
use super::forgotten::{Era, Losses};
use super::judge::{Breach, Judge, breach};
use super::plan::Plan;
use super::providers::Providers;
use super::replica::Replica;
use crate::state::core::{Command, Incarnation, Ms, Reply, State};

/// Time between SYNCs.
const PERIOD: Ms = 200;
pub(super) const BORN: Ms = 100_000_000;

/// One process of a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Process {
    pub who: usize,
    pub run: u32,
}

/// What a message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum About {
    Join(u64),
    Reserve(usize),
    Sync(u64),
    Bye,
    Over(u64),
    Lie,
}

#[derive(Debug)]
pub(super) enum Event {
    Op(usize),
    Arrive(usize),
    Answer(Process, About, Reply),
    GiveUp(Process, About),
    Tick(Process),
    Flush(Process),
    Again(Process, u64, u8),
    Charged(usize, usize),
    Refused(usize),
    Head(usize),
    End(usize),
    HeadBy(usize),
    EndBy(usize),
    Start(usize),
    Calm,
}

#[derive(Debug)]
struct Timed {
    at: Ms,
    seq: u64,
    event: Event,
}

impl PartialEq for Timed {
    fn eq(&self, other: &Timed) -> bool {
        (self.at, self.seq) == (other.at, other.seq)
    }
}
impl Eq for Timed {}
impl PartialOrd for Timed {
    fn partial_cmp(&self, other: &Timed) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Timed {
    fn cmp(&self, other: &Timed) -> std::cmp::Ordering {
        (self.at, self.seq).cmp(&(other.at, other.seq))
    }
}

/// A command on its way, kept for replays.
#[derive(Debug)]
pub(super) struct Letter {
    pub run: u64,
    pub from: Process,
    pub about: About,
    pub command: Command,
}

/// What a run amounted to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub steps: u64,
    pub granted: u64,
    pub denied: u64,
    pub sent: u64,
    pub deaths: u64,
    pub gone: u64,
    pub losses: u64,
    pub outages: u64,
    /// Calls that were granted without the state.
    pub shared: u64,
    /// Calls on loans.
    pub borrowed: u64,
    /// Times that a provider had a reason to refuse.
    pub refused: u64,
    /// Charges that the state may have forgotten.
    pub forgotten: u64,
    pub checked: u64,
    /// Worst window, permille of its limit.
    pub fullest: u64,
}

impl Tally {
    pub(super) fn add(&mut self, other: Tally) {
        self.steps += other.steps;
        self.granted += other.granted;
        self.denied += other.denied;
        self.sent += other.sent;
        self.borrowed += other.borrowed;
        self.deaths += other.deaths;
        self.gone += other.gone;
        self.losses += other.losses;
        self.outages += other.outages;
        self.shared += other.shared;
        self.refused += other.refused;
        self.forgotten += other.forgotten;
        self.checked += other.checked;
        self.fullest = self.fullest.max(other.fullest);
    }
}

pub(super) struct World {
    pub plan: Plan,
    /// Whether every step of the state is printed (`WEIR_TRACE`).
    pub traced: bool,
    pub t: Ms,
    pub ahead: i64,
    pub stepped: bool,
    pub state: State,
    /// Copies of it, the newest last, as another server would have it.
    pub copies: VecDeque<(Ms, State, Vec<Era>)>,
    /// It is gone; the next command finds nothing.
    pub flushed: bool,
    /// It answers nobody before this time.
    pub paused_until: Ms,
    /// Nothing gets through to it before this time.
    pub down_until: Ms,
    pub outages: Vec<Outage>,
    pub forgotten: Losses,
    /// Which server it is on.
    pub run: u64,
    pub noise: fastrand::Rng,
    queue: BinaryHeap<Reverse<Timed>>,
    seq: u64,
    pub replicas: Vec<Replica>,
    pub calls: Vec<Call>,
    pub letters: Vec<Letter>,
    pub audit: Audit,
    pub judge: Judge,
    pub providers: Providers,
    /// The first rule that a provider saw broken.
    pub wrong: Option<Breach>,
    /// Set when nothing bad happens any more: when all is over.
    pub end: Option<Ms>,
    /// Per pool, no grant before this time.
    pub rests: Vec<Ms>,
    /// Excess that the state has not heard of: the life, pool, meter, counter that includes it, the charge.
    /// What paced meters admitted, and when.
    pub paced: BTreeMap<(usize, usize), Vec<(Ms, u64)>>,
    pub unheard: Vec<(Incarnation, usize, usize, u64, usize)>,
    pub tally: Tally,
}

impl World {
    /// Runs a plan to its end, or to the first broken rule.
    pub(super) fn run(plan: &Plan) -> Result<Tally, Breach> {
        World::lived(plan).map(|world| world.tally)
    }

    /// As [`World::run`]; the world as it ended.
    pub(super) fn lived(plan: &Plan) -> Result<World, Breach> {
        let mut world = World::new(plan);
        world.open()?;
        while let Some(Reverse(next)) = world.queue.pop() {
            world.t = world.t.max(next.at);
            world.happen(next.event)?;
            world.wrong.take().map_or(Ok(()), Err)?;
        }
        world.close()?;
        Ok(world)
    }

    pub(super) fn new(plan: &Plan) -> World {
        let replicas = 2 + plan.knobs.more as usize % 3;
        World {
            plan: plan.clone(),
            traced: std::env::var_os("WEIR_TRACE").is_some(),
            t: BORN,
            ahead: 0,
            stepped: false,
            state: State { run: 1, ..State::new(7, BORN) },
            copies: VecDeque::new(),
            flushed: false,
            paused_until: 0,
            down_until: 0,
            outages: Vec::new(),
            forgotten: Losses::default(),
            run: 1,
            noise: fastrand::Rng::with_seed(plan.knobs.seed),
            queue: BinaryHeap::new(),
            seq: 0,
            replicas: (0..replicas).map(|who| Replica::new(who, plan)).collect(),
            calls: Vec::new(),
            letters: Vec::new(),
            audit: Audit::default(),
            judge: Judge::default(),
            providers: Providers::new(plan, BORN),
            wrong: None,
            end: None,
            rests: vec![0; plan.pools(0).len()],
            unheard: Vec::new(),
            paced: BTreeMap::new(),
            tally: Tally::default(),
        }
    }

    fn open(&mut self) -> Result<(), Breach> {
        for who in 0..self.replicas.len() {
            self.start(who);
            let process = self.replicas[who].process();
            let Some((about, join)) = self.replicas[who].join(self.t) else { continue };
            let About::Join(k) = about else { continue };
            self.letters.push(Letter { run: self.run, from: process, about, command: join.clone() });
            let reply = self.serve(process, about, &join)?;
            self.replicas[who].joined(k, &reply, self.t);
        }
        self.declare()?;
        let mut at = self.t;
        let last = at + self.plan.active();
        for op in 0..self.plan.ops.len() {
            at += self.plan.stretched(self.plan.ops[op].wait);
            if at > last {
                break;
            }
            self.schedule(at, Event::Op(op));
        }
        self.schedule(at.min(last) + 1, Event::Calm);
        Ok(())
    }

    /// The first replica, which knows the lowest limits, names them all.
    fn declare(&mut self) -> Result<(), Breach> {
        let ask = self.replicas[0].declaration(&self.plan, self.t);
        self.serve(self.replicas[0].process(), About::Lie, &Command::Reserve(ask.into())).map(|_| ())
    }

    pub(super) fn schedule(&mut self, at: Ms, event: Event) {
        self.seq += 1;
        self.queue.push(Reverse(Timed { at, seq: self.seq, event }));
    }

    fn close(&mut self) -> Result<(), Breach> {
        let up = self.replicas.iter().filter(|replica| replica.up).count();
        audit::nothing_left(&self.state, up)?;
        let idle = |r: &Replica| !r.up || r.ledger().is_some_and(|ledger| ledger.is_idle());
        if !self.replicas.iter().all(idle) {
            return Err(breach("I5 no leak", "a replica's books are not idle"));
        }
        self.forgive();
        let pools = self.plan.pools(0);
        for (pool, info) in pools.iter().enumerate() {
            for (meter, declared) in info.decl.meters.iter().enumerate() {
                let worst = self.judge.verdict((pool, meter), self.plan.per(pool, meter), declared.cap)?;
                self.tally.fullest = self.tally.fullest.max(worst * 1_000 / declared.cap);
                let posted = self
                    .state
                    .pools
                    .get(&info.decl.key)
                    .and_then(|p| p.meters.get(meter))
                    .map_or(0, |m| m.posted);
                let charged = self.judge.reported((pool, meter));
                // (What had left every window when data were lost need not be learnt again.)
                if declared.shape.span() > 0 && posted < charged && !self.plan.knobs.losses {
                    let detail = format!("pool {pool} meter {meter}: {posted} posted, {charged} charged");
                    return Err(breach("I4 what was charged was posted", detail));
                }
            }
        }
        Ok(())
    }

    fn happen(&mut self, event: Event) -> Result<(), Breach> {
        let Some((event, late)) = self.present(event) else { return Ok(()) };
        if let Some(until) = late {
            self.schedule(until, event);
            return Ok(());
        }
        match event {
            Event::Op(op) => self.act(self.plan.ops[op]),
            Event::Arrive(letter) => self.arrive(letter)?,
            Event::Answer(process, about, reply) => self.answer(process.who, about, reply),
            Event::GiveUp(process, about) => self.give_up(process.who, about),
            Event::Tick(process) => {
                self.sync(process.who);
                if self.end.is_none_or(|end| self.t < end) {
                    self.schedule(self.t + PERIOD, Event::Tick(process));
                }
            }
            Event::Flush(process) => self.sync(process.who),
            Event::Again(process, n, times) => self.begin_call(process.who, n, times),
            Event::Charged(call, which) => self.charged(call, which),
            Event::Refused(call) => self.refused(call),
            Event::Head(call) => self.head(call),
            Event::End(call) => self.end(call),
            Event::HeadBy(call) => self.head_by(call),
            Event::EndBy(call) => self.end_by(call),
            Event::Start(who) => self.start(who),
            Event::Calm => self.calm_down(),
        }
        Ok(())
    }

    /// Leaves out what concerns a process that is no more, and puts off what a stalled one cannot do. When it
    /// goes on, it sees the answers that waited before its own clocks.
    fn present(&self, event: Event) -> Option<(Event, Option<Ms>)> {
        let (process, timer) = match &event {
            Event::Answer(process, ..) => (*process, false),
            Event::Head(call) | Event::End(call) | Event::Refused(call) => (self.calls[*call].of, false),
            Event::HeadBy(call) | Event::EndBy(call) => (self.calls[*call].of, true),
            Event::GiveUp(p, _) | Event::Tick(p) | Event::Flush(p) | Event::Again(p, ..) => (*p, true),
            Event::Op(_) | Event::Arrive(_) | Event::Charged(..) | Event::Start(_) | Event::Calm => {
                return Some((event, None));
            }
        };
        let replica = &self.replicas[process.who];
        if !replica.up || replica.run != process.run {
            return None;
        }
        let late = replica.stalled_until > self.t;
        Some((event, late.then_some(replica.stalled_until + Ms::from(timer))))
    }
}
