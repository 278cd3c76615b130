//! The simulated cluster: replicas with the code that routes, admits, reserves, shares and queues, on one shared state, before
//! deployments that serve by a formula. Time is simulated and goes from event to event; nothing waits.
//!
//! The state is the core itself, asked in no time. What is left out: failures of providers and what follows from them (retries,
//! circuits, hedges, rests), time-outs, sessions, experiments, and what clients do that are refused.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ahash::AHashMap;
use parking_lot::Mutex;

use super::call::Call;
use super::load::{Coming, Load};
use super::replica::Replica;
use super::service::{Moment, Server, Service, Us};
use super::tally::{Of, Tally};
use crate::config::{Config, ModelId};
use crate::state::core::{Ms, State};
use crate::state::{PoolInfo, pools};

/// Time between two SYNCs of a replica that count.
const PERIOD: Us = 200_000;
/// Limits are looked at so often.
const LOOK: Us = 1_000_000;
/// The state's time at the begin, ms.
const START: Ms = 1_000_000;

/// A replica begins.
fn join(
    at: usize,
    set: &Setting,
    infos: &[Arc<PoolInfo>],
    (state, now): (&mut State, Ms),
) -> anyhow::Result<Replica> {
    let count = set.replicas as u64;
    Replica::join(format!("r{at}"), (&set.config, infos), set.leases, count, (state, now))
}

/// What is simulated, besides the load.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Models, deployments, limits, tenants.
    pub config: Arc<Config>,
    /// How many replicas there are.
    pub replicas: usize,
    /// Replicas are lent room for calls to come.
    pub leases: bool,
    /// How each deployment serves.
    pub services: Vec<Service>,
    /// The time of day at which prices are those that hold, Unix seconds.
    pub unix: u64,
    /// What chance begins with.
    pub seed: u64,
    /// Calls that come before are left out of what is counted.
    pub warm_up: Us,
}

/// Something that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// The next call comes.
    Arrive,
    /// Something is due at a deployment.
    Serve(usize),
    /// A replica's SYNC is due in its time, or early.
    Tick(usize),
    Flush(usize),
    /// A call that waits asks again, or gives up: its slot, number, and the wait that it is about.
    Again(usize, u64, u32),
    /// Limits are looked at.
    Look,
}

/// The cluster.
#[derive(Debug)]
pub struct World {
    pub(super) set: Setting,
    pub(super) infos: Vec<Arc<PoolInfo>>,
    pub(super) pool_of: AHashMap<Arc<str>, usize>,
    pub(super) models: Vec<Option<ModelId>>, // by the names that are asked for
    pub(super) model_names: Vec<Arc<str>>,
    pub(super) state: State,
    pub(crate) replicas: Vec<Replica>,
    pub(super) servers: Vec<Server>,
    pub(super) rng: fastrand::Rng,
    draws: fastrand::Rng, // of the load alone: the same comes whatever becomes of it
    pub(super) calls: Vec<Option<Call>>,
    pub(super) free: Vec<usize>,
    pub(super) waiting: u64,
    pub(super) called: Arc<Mutex<Vec<usize>>>,
    /// What was counted.
    pub tally: Tally,
    pub(super) load: Load,
    next: Option<Coming>,
    events: BinaryHeap<Reverse<(Us, u64, Event)>>,
    scheduled: u64,
    pub(super) now: Us,
    begun: Instant, // what stands for the begin where code wants such a time
    open: usize,    // calls
    pub(super) numbers: u64,
}

impl World {
    /// A cluster that nothing has come to. An error if a replica cannot join, which does not happen.
    pub fn new(set: Setting, load: Load) -> anyhow::Result<World> {
        let config = set.config.clone();
        let infos = pools::table(&config, set.unix * 1_000);
        let mut state = State::new(1, START);
        let replicas = (0..set.replicas).map(|at| join(at, &set, &infos, (&mut state, START)));
        let replicas = replicas.collect::<anyhow::Result<Vec<_>>>()?;
        let mut rng = fastrand::Rng::with_seed(set.seed);
        let star = |wildcard| if wildcard { "*" } else { "" };
        Ok(World {
            pool_of: config.pools.iter().enumerate().map(|(at, pool)| (pool.name.clone(), at)).collect(),
            models: load.names.iter().map(|name| config.find_model(name)).collect(),
            model_names: config
                .models
                .iter()
                .map(|m| format!("{}{}", m.name, star(m.wildcard)).into())
                .collect(),
            servers: set.services.iter().map(|service| Server::new(service.slots)).collect(),
            draws: rng.fork(),
            rng,
            tally: Tally::new(&config, load.names.len(), (set.warm_up, load.until())),
            infos,
            state,
            replicas,
            calls: Vec::new(),
            free: Vec::new(),
            waiting: 0,
            called: Arc::default(),
            load,
            next: None,
            events: BinaryHeap::new(),
            scheduled: 0,
            now: 0,
            begun: Instant::now(),
            open: 0,
            numbers: 0,
            set,
        })
    }

    /// Runs until all that comes is served or refused; `watch` is told each second, and more often where much happens, how far it is, and
    /// may end it.
    pub fn run(&mut self, watch: &mut dyn FnMut(&World) -> bool) {
        // What draws by itself, without being given chance, does so by the same seed.
        fastrand::seed(self.set.seed);
        self.open_up();
        let mut steps = 0u64;
        while let Some(Reverse((at, _, event))) = self.events.pop() {
            self.now = at;
            self.happen(event);
            self.call_up();
            steps += 1;
            let is_stopped = (event == Event::Look || steps.is_multiple_of(8_192)) && !watch(self);
            if is_stopped || self.next.is_none() && self.open == 0 {
                break;
            }
        }
    }

    /// What is simulated.
    pub fn config(&self) -> &Arc<Config> {
        &self.set.config
    }

    /// A replica ends without a word, and another of its name begins and hears of the others.
    #[cfg(test)]
    pub(crate) fn begin_anew(&mut self, at: usize) -> anyhow::Result<()> {
        let now = self.ms();
        self.replicas[at] = join(at, &self.set, &self.infos, (&mut self.state, now))?;
        self.sync(at, true);
        Ok(())
    }

    /// How far it is: simulated time, and when nothing comes any more.
    pub fn time(&self) -> (Us, Us) {
        (self.now, self.load.until())
    }

    fn open_up(&mut self) {
        let count = self.replicas.len() as Us;
        (0..self.replicas.len()).for_each(|at| self.schedule(at as Us * PERIOD / count, Event::Tick(at)));
        self.schedule(LOOK, Event::Look);
        self.expect();
    }

    /// Draws the next call.
    fn expect(&mut self) {
        self.next = self.load.next(&mut self.draws);
        if let Some(at) = self.next.as_ref().map(|call| call.at) {
            self.schedule(at, Event::Arrive);
        }
    }

    fn schedule(&mut self, at: Us, event: Event) {
        self.scheduled += 1;
        self.events.push(Reverse((at.max(self.now), self.scheduled, event)));
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Arrive => {
                let Some(coming) = self.next.take() else { return };
                self.expect();
                self.arrive(coming);
            }
            Event::Serve(deployment) => self.serve(deployment),
            Event::Tick(at) => {
                self.sync(at, true);
                self.schedule(self.now + PERIOD, Event::Tick(at));
            }
            Event::Flush(at) if self.replicas[at].flush_at == Some(self.now) => self.sync(at, false),
            Event::Flush(_) => {} // it was told before
            Event::Again(slot, number, wait) => self.again(slot, number, wait),
            Event::Look => {
                self.look();
                self.schedule(self.now + LOOK, Event::Look);
            }
        }
    }

    /// The state's time.
    pub(crate) fn ms(&self) -> Ms {
        START + self.now / 1_000
    }

    /// The same for code that wants another kind of time.
    pub(super) fn instant(&self) -> Instant {
        self.begun + Duration::from_micros(self.now)
    }

    fn sync(&mut self, at: usize, count: bool) {
        let now = self.ms();
        self.tally.messages[2] += 1;
        self.replicas[at].flush_at = None;
        self.replicas[at].sync(&mut self.state, now, count);
    }

    /// What a replica gave back may have to be told soon.
    pub(super) fn ring(&mut self, at: usize) {
        let Some(due) = self.replicas[at].rung() else { return };
        let due = self.now + due.as_micros() as Us;
        if self.replicas[at].flush_at.is_none_or(|already| due < already) {
            self.replicas[at].flush_at = Some(due);
            self.schedule(due, Event::Flush(at));
        }
    }

    /// A call waits until then at most.
    pub(super) fn wake(&mut self, at: Us, (slot, number, wait): (usize, u64, u32)) {
        self.schedule(at, Event::Again(slot, number, wait));
    }

    /// A place for a call.
    pub(super) fn keep(&mut self, call: Call) -> usize {
        self.open += 1;
        match self.free.pop() {
            Some(slot) => {
                self.calls[slot] = Some(call);
                slot
            }
            None => {
                self.calls.push(Some(call));
                self.calls.len() - 1
            }
        }
    }

    /// The call is over.
    pub(super) fn forget(&mut self, slot: usize) -> Option<Call> {
        let call = self.calls[slot].take()?;
        self.open -= 1;
        self.free.push(slot);
        Some(call)
    }

    /// A call is sent to a deployment.
    pub(super) fn send(&mut self, deployment: usize, slot: usize, (first, whole): (Option<f64>, f64)) {
        self.servers[deployment].begin(self.now, slot, first, whole);
        self.look_again(deployment);
    }

    fn look_again(&mut self, deployment: usize) {
        let server = &mut self.servers[deployment];
        if let Some(next) = server.next().filter(|next| *next < server.looked_at) {
            server.looked_at = next;
            self.schedule(next, Event::Serve(deployment));
        }
    }

    fn serve(&mut self, deployment: usize) {
        if self.servers[deployment].looked_at == self.now {
            self.servers[deployment].looked_at = Us::MAX;
        }
        while let Some((slot, moment)) = self.servers[deployment].take(self.now) {
            match moment {
                Moment::First => self.began(slot),
                Moment::End => self.ended(slot, deployment),
            }
        }
        self.look_again(deployment);
    }

    /// How full each pool is.
    fn look(&mut self) {
        let l = self.ms();
        for (at, (spec, info)) in self.set.config.pools.iter().zip(&self.infos).enumerate() {
            let Some(pool) = self.state.pools.get_mut(&info.decl.key) else { continue };
            let shares: Vec<(f64, u64)> = spec
                .meters
                .iter()
                .zip(&mut pool.meters)
                .map(|(spec, meter)| {
                    meter.advance(l);
                    (meter.used() as f64 / spec.limit.max(1) as f64, meter.posted)
                })
                .collect();
            self.tally.looked(self.now, at, &shares);
        }
        self.tally.waits(self.now, self.waiting);
    }

    /// Which call, for the tally.
    pub(super) fn of(&self, coming: &Coming) -> Of {
        Of { came: coming.at, name: coming.name, tenant: coming.tenant }
    }
}
