//! The world in which strategies are simulated: deployments as engines or providers serve, replicas with their real routing,
//! admission and books, and the state's core, in simulated time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::admit::estimate::Estimate;
use crate::admit::{AskFor, wish};
use crate::config::check::check;
use crate::config::{Config, DeploymentId};
use crate::dialect::openai::answer::Service;
use crate::route::behaviour::Answered;
use crate::route::predict::Size;
use crate::route::rotation::Rotation;
use crate::route::{self, Needs};
use crate::standing::{Look, Standing};
use crate::state::books::PoolBooks;
use crate::state::core::{Command, Mode, Ms, Reply, Reserved, State};
use crate::state::side::Side;
use crate::state::{Deadlines, Watch, pools};

/// Simulated time goes on in steps of so many ms.
pub(super) const STEP: Ms = 10;
pub(super) const REPLICAS: usize = 3;
/// Between SYNCs of a replica, ms.
pub(super) const PERIOD: Ms = 200;
pub(super) const START: Ms = 1_000_000;
pub(super) const MEAN_OUTPUT: f64 = 412.0; // 250 * e^0.5

/// What serves a deployment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Engine {
    /// Tokens of output a second, of a call alone.
    pub(super) speed: f64,
    /// Seconds to the first, of a call alone without input.
    pub(super) first: f64,
    /// With so many calls at once each is half as fast.
    pub(super) slots: f64,
    /// US$ per million tokens.
    pub(super) price: f64,
    /// Calls a minute.
    pub(super) rpm: Option<u64>,
    /// Calls at once.
    pub(super) concurrency: Option<u64>,
}

impl Engine {
    /// Calls a second that keep it busy for ever.
    pub(super) fn capacity(self) -> f64 {
        self.concurrency.map_or(self.slots, |most| most as f64) / (self.first + MEAN_OUTPUT / self.speed)
    }
}

pub(super) struct Running {
    pub(super) replica: usize,
    pub(super) model: usize,
    pub(super) input: u64,
    pub(super) output: u64,
    pub(super) load: u64,
    pub(super) held: Vec<Arc<PoolBooks>>,
    pub(super) sent: Ms,
    pub(super) first: Option<Ms>,
    /// Seconds of work to the first token, tokens after it.
    pub(super) left: (f64, f64),
}

pub(super) struct Replica {
    pub(super) side: Side,
    pub(super) standings: Vec<Arc<Standing>>,
    pub(super) rotations: Vec<Mutex<Rotation>>,
}

/// A model's calls.
#[derive(Clone, Copy)]
pub(super) struct Offered {
    /// Calls a second.
    pub(super) rate: f64,
    /// Only in the first so many seconds of each so many; none: always.
    pub(super) spike: Option<(Ms, Ms)>,
}

/// What came of one model's calls.
#[derive(Clone, Debug, Default)]
pub(super) struct Came {
    pub(super) seconds: Vec<f64>,
    pub(super) refused: usize,
    pub(super) cost: f64,
    pub(super) by_deployment: Vec<usize>,
}

impl Came {
    pub(super) fn p95(&self) -> f64 {
        let mut all = self.seconds.clone();
        all.sort_by(f64::total_cmp);
        all.get((all.len() as f64 * 0.95) as usize).copied().unwrap_or(0.0)
    }

    pub(super) fn per_call(&self) -> f64 {
        self.cost / self.seconds.len() as f64
    }
}

pub(super) struct Sim {
    pub(super) config: Config,
    pub(super) engines: Vec<Engine>,
    pub(super) state: State,
    pub(super) replicas: Vec<Replica>,
    pub(super) running: Vec<Vec<Running>>,
    pub(super) now: Ms,
    pub(super) rng: fastrand::Rng,
    pub(super) came: Vec<Came>,
    pub(super) decisions: Vec<Duration>,
}

/// `models`: what stands of each beside its name.
pub(super) fn config(engines: &[Engine], models: &[&str]) -> Config {
    let mut text = "version = 1\n[[accounts]]\nname = \"a\"\nprovider = \"openai-compatible\"\n\
                    base_url = \"http://127.0.0.1:1/v1\"\n"
        .to_owned();
    for (at, engine) in engines.iter().enumerate() {
        let limit = |name: &str, n: Option<u64>| n.map(|n| format!("{name} = {n}"));
        let limits = limit("rpm", engine.rpm).or(limit("concurrency", engine.concurrency));
        let limits = limits.map_or(String::new(), |limits| format!("limits = {{ {limits} }}\n"));
        text += &format!(
            "[[deployments]]\nname = \"d{at}\"\naccount = \"a\"\nmodel = \"x\"\n{limits}\
             price = {{ input = {0:?}, output = {0:?} }}\n",
            engine.price
        );
    }
    let all: Vec<String> = (0..engines.len()).map(|at| format!("\"d{at}\"")).collect();
    for (at, model) in models.iter().enumerate() {
        let deployments = if model.contains("deployments") {
            String::new()
        } else {
            format!("deployments = [{}]\n", all.join(", "))
        };
        text += &format!("[[models]]\nname = \"m{at}\"\n{deployments}{model}\n");
    }
    check(std::path::Path::new("weir.toml"), &text, &|_| None).unwrap_or_else(|report| panic!("{report}"))
}

impl Replica {
    pub(super) fn new(at: usize, config: &Config, now: Ms) -> Replica {
        let deadlines = Deadlines { head: 30_000, end: 600_000 };
        let mut side = Side::new(format!("r{at}"), deadlines, now, 3, now);
        let new = |tag| Arc::new(Standing::new(tag));
        let standings: Vec<_> = config.deployments.iter().map(|of| new(of.tag)).collect();
        let infos = pools::table(config, 0);
        let watch = |(at, standing): (usize, &Arc<Standing>)| {
            standing.set_watched(true);
            let pools = config.deployments[at].pools.iter().map(|id| infos[id.0].clone()).collect();
            Watch { of: standing.watched().unwrap().clone(), pools }
        };
        side.watch(standings.iter().enumerate().map(watch).collect());
        Replica { side, standings, rotations: config.models.iter().map(|_| Mutex::default()).collect() }
    }
}

impl Sim {
    pub(super) fn new(engines: &[Engine], models: &[&str], seed: u64) -> Sim {
        let config = config(engines, models);
        let mut sim = Sim {
            engines: engines.to_vec(),
            state: State::new(1, START),
            replicas: Vec::new(),
            running: engines.iter().map(|_| Vec::new()).collect(),
            now: START,
            rng: fastrand::Rng::with_seed(seed),
            came: vec![Came { by_deployment: vec![0; engines.len()], ..Came::default() }; models.len()],
            decisions: Vec::new(),
            config,
        };
        (0..REPLICAS).for_each(|at| sim.join(at));
        sim
    }

    /// Another replica begins, or one begins anew.
    pub(super) fn join(&mut self, at: usize) {
        let mut replica = Replica::new(at, &self.config, self.now);
        while let Some(join) = replica.side.due(self.now) {
            let reply = self.state.step(&Command::Join(join.clone()), self.now);
            assert!(replica.side.joined(&join, &reply, self.now));
        }
        if at < self.replicas.len() {
            self.replicas[at] = replica;
        } else {
            self.replicas.push(replica);
        }
    }

    pub(super) fn sync(&mut self, at: usize, count: bool) {
        let Some((sync, told)) = self.replicas[at].side.sync(self.now, count) else { return };
        let reply = self.state.step(&Command::Sync(sync), self.now);
        self.replicas[at].side.synced(told, reply, self.now);
    }

    pub(super) fn log_normal(&mut self, median: f64, sigma: f64) -> u64 {
        let (a, b) = (self.rng.f64().max(1e-12), self.rng.f64());
        let normal = (-2.0 * a.ln()).sqrt() * (std::f64::consts::TAU * b).cos();
        (median * (sigma * normal).exp()).clamp(1.0, 60_000.0) as u64
    }

    /// A call comes to one of the replicas.
    pub(super) fn arrive(&mut self, model: usize) {
        let (input, output) = (self.log_normal(800.0, 1.2), self.log_normal(250.0, 1.0).min(8_000));
        let (at, now) = (self.rng.usize(..REPLICAS), self.now);
        let replica = &self.replicas[at];
        let of = &self.config.models[model];
        let look = Look {
            input,
            output: 250, // what half of such calls stay within
            by: of.ranking.latency.measure,
            expects: route::expects(of),
            replicas: REPLICAS as u64,
        };
        let outlook = |id: DeploymentId| replica.standings[id.0].outlook_at(look, now);
        let needs = Needs { input, output: 0, expected: 250, beginning: None, at: 0 };
        let (begun, rng) = (Instant::now(), &mut self.rng);
        let ranked = route::rank(
            &self.config,
            of,
            &replica.rotations[model],
            needs,
            &|target| Some(target.weight),
            &outlook,
            &mut || rng.f64(),
        );
        self.decisions.push(begun.elapsed());
        let estimate = |_: &_, _| Estimate {
            input,
            output,
            guessed_input: 0,
            explicit_output: false,
            service: Service::Standard,
        };
        let infos = pools::table(&self.config, 0);
        let mut wish = wish(&self.config, &infos, &[], &ranked, estimate, None, AskFor::default());
        let ledger = replica.side.ledger().unwrap().clone();
        Arc::make_mut(&mut wish.ask).caller = replica.side.caller(&ledger, now);
        let outstanding = ledger.sending(wish.ask.clone());
        let Reply::Reserved(reserved) = self.state.step(&Command::Reserve(wish.ask.clone()), now) else {
            panic!("a state that does not reserve");
        };
        let Reserved::Granted(granted) = reserved else {
            outstanding.refused();
            let all = ranked.iter().map(|ranked| &replica.standings[ranked.target.deployment.0]);
            all.for_each(|standing| standing.missed(input, output));
            self.came[model].refused += 1;
            return;
        };
        let mut held = Vec::new();
        for (_, books, _) in outstanding.granted(granted.index, granted.share).unwrap() {
            match books.decl.meters[0].shape.mode {
                Mode::Window => _ = ledger.settle(&books, 0, 1, 1), // charged on arrival
                Mode::Gauge => held.push(books),
            }
        }
        let to = ranked[granted.index].target.deployment.0;
        let load = replica.standings[to].begin(now);
        let engine = self.engines[to];
        self.came[model].by_deployment[to] += 1;
        self.came[model].cost += (input + output) as f64 * engine.price / 1e6;
        // Ten thousand tokens of input take as long as a hundred of output.
        let left = (engine.first + input as f64 / 100.0 / engine.speed, output as f64);
        self.running[to].push(Running {
            replica: at,
            model,
            input,
            output,
            load,
            held,
            sent: now,
            first: None,
            left,
        });
    }

    /// All engines work for a step.
    pub(super) fn work(&mut self) {
        let mut freed = [false; REPLICAS];
        for (at, running) in self.running.iter_mut().enumerate() {
            let engine = self.engines[at];
            let seconds = STEP as f64 / 1e3 / (1.0 + running.len() as f64 / engine.slots);
            for call in running.iter_mut() {
                let mut part = seconds.min(call.left.0);
                call.left.0 -= part;
                if call.left.0 <= 0.0 {
                    call.first.get_or_insert(self.now);
                    part = seconds - part;
                    call.left.1 -= part * engine.speed;
                }
            }
            let now = self.now;
            for call in running.extract_if(.., |call| call.left.0 <= 0.0 && call.left.1 <= 0.0) {
                let since = |at: Ms| Duration::from_millis(at - call.sent);
                let streamed = call.output % 2 == 0;
                let (first, whole) = (call.first.filter(|_| streamed).map(since), since(now));
                let standing = &self.replicas[call.replica].standings[at];
                let size = Size { input: call.input, output: call.output, load: call.load as f64 };
                standing.answered(size, Answered { first, whole, output: Some(call.output) }, now);
                standing.watched.end();
                let ledger = self.replicas[call.replica].side.ledger().unwrap();
                for books in &call.held {
                    ledger.settle(books, 0, 1, 0);
                }
                freed[call.replica] |= !call.held.is_empty();
                self.came[call.model].seconds.push(whole.as_secs_f64());
            }
        }
        // As the bell has it.
        (0..REPLICAS).filter(|at| freed[*at]).for_each(|at| self.sync(at, false));
    }

    /// Goes on for so long.
    pub(super) fn run(&mut self, time: Ms, offered: &[Offered]) {
        let until = self.now + time;
        while self.now < until {
            self.now += STEP;
            for (model, offered) in offered.iter().enumerate() {
                let is_on = offered.spike.is_none_or(|(most, of)| (self.now - START) % of < most);
                if is_on && self.rng.f64() < offered.rate * STEP as f64 / 1e3 {
                    self.arrive(model);
                }
            }
            self.work();
            for at in 0..REPLICAS {
                if self.now % PERIOD == (at as Ms * PERIOD / REPLICAS as Ms) / STEP * STEP {
                    self.sync(at, true);
                }
            }
        }
    }

    /// What came of it is forgotten.
    pub(super) fn forget(&mut self) {
        let deployments = self.engines.len();
        self.came.fill(Came { by_deployment: vec![0; deployments], ..Came::default() });
    }
}
