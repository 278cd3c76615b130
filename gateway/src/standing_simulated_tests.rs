//! Strategies on deployments that serve in simulated time: three replicas with the code that routes, learns, shares and
//! reserves, on one state. Each deployment serves its calls side by side, the slower the more there are (as engines that batch
//! do). `tests/bench/strategies` runs this and keeps the numbers.
//!
//! Sizes are log-normal: input of 800 tokens in the middle (sigma 1.2), output of 250 (sigma 1.0), as in production traces of chat.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::{Look, Standing};
use crate::admit::estimate::Estimate;
use crate::admit::{AskFor, wish};
use crate::config::check::check;
use crate::config::{Config, DeploymentId};
use crate::route::behaviour::Answered;
use crate::route::predict::Size;
use crate::route::rotation::Rotation;
use crate::route::{self, Needs};
use crate::state::books::PoolBooks;
use crate::state::core::{Command, Mode, Ms, Reply, Reserved, State};
use crate::state::side::Side;
use crate::state::{Deadlines, Watch, pools};

/// Simulated time goes on in steps of so many ms.
const STEP: Ms = 10;
const REPLICAS: usize = 3;
/// Between SYNCs of a replica, ms.
const PERIOD: Ms = 200;
const START: Ms = 1_000_000;
const MEAN_OUTPUT: f64 = 412.0; // 250 * e^0.5

/// What serves a deployment.
#[derive(Clone, Copy, Debug)]
struct Engine {
    /// Tokens of output a second, of a call alone.
    speed: f64,
    /// Seconds to the first, of a call alone without input.
    first: f64,
    /// With so many calls at once each is half as fast.
    slots: f64,
    /// US$ per million tokens.
    price: f64,
    /// Calls a minute.
    rpm: Option<u64>,
    /// Calls at once.
    concurrency: Option<u64>,
}

impl Engine {
    /// Calls a second that keep it busy for ever.
    fn capacity(self) -> f64 {
        self.concurrency.map_or(self.slots, |most| most as f64) / (self.first + MEAN_OUTPUT / self.speed)
    }
}

struct Running {
    replica: usize,
    model: usize,
    input: u64,
    output: u64,
    load: u64,
    held: Vec<Arc<PoolBooks>>,
    sent: Ms,
    first: Option<Ms>,
    /// Seconds of work to the first token, tokens after it.
    left: (f64, f64),
}

struct Replica {
    side: Side,
    standings: Vec<Arc<Standing>>,
    rotations: Vec<Mutex<Rotation>>,
}

/// A model's calls.
#[derive(Clone, Copy)]
struct Offered {
    /// Calls a second.
    rate: f64,
    /// Only in the first so many seconds of each so many; none: always.
    spike: Option<(Ms, Ms)>,
}

/// What came of one model's calls.
#[derive(Clone, Debug, Default)]
struct Came {
    seconds: Vec<f64>,
    refused: usize,
    cost: f64,
    by_deployment: Vec<usize>,
}

impl Came {
    fn p95(&self) -> f64 {
        let mut all = self.seconds.clone();
        all.sort_by(f64::total_cmp);
        all.get((all.len() as f64 * 0.95) as usize).copied().unwrap_or(0.0)
    }

    fn per_call(&self) -> f64 {
        self.cost / self.seconds.len() as f64
    }
}

struct Sim {
    config: Config,
    engines: Vec<Engine>,
    state: State,
    replicas: Vec<Replica>,
    running: Vec<Vec<Running>>,
    now: Ms,
    rng: fastrand::Rng,
    came: Vec<Came>,
    decisions: Vec<Duration>,
}

/// `models`: what stands of each beside its name.
fn config(engines: &[Engine], models: &[&str]) -> Config {
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
    fn new(at: usize, config: &Config, now: Ms) -> Replica {
        let deadlines = Deadlines { head: 30_000, end: 600_000 };
        let mut side = Side::new(format!("r{at}"), deadlines, now, 3, now);
        let new = |tag| Arc::new(Standing::new(tag));
        let standings: Vec<_> = config.deployments.iter().map(|of| new(of.tag)).collect();
        let infos = pools::table(config);
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
    fn new(engines: &[Engine], models: &[&str], seed: u64) -> Sim {
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
    fn join(&mut self, at: usize) {
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

    fn sync(&mut self, at: usize, count: bool) {
        let Some((sync, told)) = self.replicas[at].side.sync(self.now, count) else { return };
        let reply = self.state.step(&Command::Sync(sync), self.now);
        self.replicas[at].side.synced(told, reply, self.now);
    }

    fn log_normal(&mut self, median: f64, sigma: f64) -> u64 {
        let (a, b) = (self.rng.f64().max(1e-12), self.rng.f64());
        let normal = (-2.0 * a.ln()).sqrt() * (std::f64::consts::TAU * b).cos();
        (median * (sigma * normal).exp()).clamp(1.0, 60_000.0) as u64
    }

    /// A call comes to one of the replicas.
    fn arrive(&mut self, model: usize) {
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
        let needs = Needs { input, output: 0, expected: 250, beginning: None };
        let (begun, rng) = (Instant::now(), &mut self.rng);
        let ranked =
            route::rank(&self.config, of, &replica.rotations[model], needs, &|_| true, &outlook, &mut || {
                rng.f64()
            });
        self.decisions.push(begun.elapsed());
        let estimate = |_: &_, _| Estimate { input, output, guessed_input: 0, explicit_output: false };
        let infos = pools::table(&self.config);
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
                Mode::Window => ledger.settle(&books, 0, 1, 1), // charged on arrival
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
    fn work(&mut self) {
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
                call.held.iter().for_each(|books| ledger.settle(books, 0, 1, 0));
                freed[call.replica] |= !call.held.is_empty();
                self.came[call.model].seconds.push(whole.as_secs_f64());
            }
        }
        // As the bell has it.
        (0..REPLICAS).filter(|at| freed[*at]).for_each(|at| self.sync(at, false));
    }

    /// Goes on for so long.
    fn run(&mut self, time: Ms, offered: &[Offered]) {
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
    fn forget(&mut self) {
        let deployments = self.engines.len();
        self.came.fill(Came { by_deployment: vec![0; deployments], ..Came::default() });
    }
}

/// 1:2:4 in tokens a second, 4:2:1 in the time to the first: as providers serve, so many calls at once and each as fast as any.
fn providers(prices: [f64; 3]) -> [Engine; 3] {
    let engine = |at: usize, speed: f64| {
        let (slots, price) = (f64::INFINITY, prices[at]);
        Engine { speed: 25.0 * speed, first: 0.8 / speed, slots, price, rpm: None, concurrency: Some(20) }
    };
    [engine(0, 1.0), engine(1, 2.0), engine(2, 4.0)]
}

/// The same, as one's own engines serve: any number, the slower the more.
fn engines(prices: [f64; 3]) -> [Engine; 3] {
    providers(prices).map(|engine| Engine { slots: 8.0, concurrency: None, ..engine })
}

/// In `tests/bench/strategies` all is longer, with several seeds, and held to more.
fn is_bench() -> bool {
    std::env::var_os("WEIR_BENCH").is_some()
}

fn seeds() -> std::ops::Range<u64> {
    1..if is_bench() { 4 } else { 2 }
}

/// At 60 % load: learns for some minutes, then some are counted.
fn at_sixty(engines: &[Engine], model: &str, seed: u64) -> Came {
    let mut sim = Sim::new(engines, &[model], seed);
    let rate = 0.6 * engines.iter().map(|engine| engine.capacity()).sum::<f64>();
    let offered = [Offered { rate, spike: None }];
    let (learns, counts) = if is_bench() { (180_000, 720_000) } else { (60_000, 180_000) };
    sim.run(learns, &offered);
    sim.forget();
    sim.run(counts, &offered);
    let came = sim.came.remove(0);
    println!(
        "| {model}, {} | {} | {:.1} s | {:.1} s | {:?} | {:.2} |",
        match (engines[0].concurrency, engines[2].price > 1.0) {
            (Some(_), false) => "providers",
            (Some(_), true) => "providers, the fastest five times as dear",
            (None, _) => "engines",
        },
        came.seconds.len(),
        came.seconds.iter().sum::<f64>() / came.seconds.len() as f64,
        came.p95(),
        came.by_deployment,
        came.per_call() * 1e3
    );
    came
}

/// p95 of completion by each strategy, the mean of three seeds, and what a call costs.
fn compare(engines: &[Engine], strategies: &[&str]) -> Vec<(f64, f64)> {
    let by = |strategy: &&str| {
        let all: Vec<Came> =
            seeds().map(|seed| at_sixty(engines, &format!("strategy = \"{strategy}\""), seed)).collect();
        let mean = |of: fn(&Came) -> f64| all.iter().map(of).sum::<f64>() / all.len() as f64;
        (mean(Came::p95), mean(Came::per_call))
    };
    strategies.iter().map(by).collect()
}

/// Broken on purpose to see it fail: the fastest taken whatever is in flight (engines).
#[test]
fn what_is_predicted_beats_what_was_measured() {
    let bound = if is_bench() { 0.85 } else { 1.0 };
    let of = compare(&providers([1.0; 3]), &["latency", "predictive"]);
    assert!(
        of[1].0 < bound * of[0].0,
        "providers: p95 {:.1} s by latency, {:.1} s predicted",
        of[0].0,
        of[1].0
    );
    let of = compare(&engines([1.0; 3]), &["latency", "predictive"]);
    assert!(of[1].0 < of[0].0, "engines: p95 {:.1} s by latency, {:.1} s predicted", of[0].0, of[1].0);
}

/// Broken on purpose to see it fail: the dear one in one tier with the others (it costs too much).
#[test]
fn composite_costs_as_little_as_cost_and_is_faster() {
    let all = [providers([1.0, 1.0, 5.0]), providers([1.0; 3]), engines([1.0; 3])];
    for engines in if is_bench() { &all[..] } else { &all[..1] } {
        let of = compare(engines, &["cost", "composite"]);
        let ((before, paid), (after, pays)) = (of[0], of[1]);
        let faster = after < before || !is_bench();
        assert!(pays <= 1.02 * paid && faster, "cost {pays} over {paid}, p95 {after} under {before}");
    }
}

/// A model that may go anywhere, and one whose spike every two minutes only the first deployment can serve.
fn spiked(strategy: &str, seed: u64) -> [Came; 2] {
    let engine = |first: f64| Engine {
        speed: 100.0,
        first,
        slots: 60.0,
        price: 1.0,
        rpm: Some(300),
        concurrency: None,
    };
    let engines = [Engine { speed: 400.0, ..engine(0.1) }, engine(0.5), engine(0.5)];
    let only = format!("{strategy}\ndeployments = [\"d0\"]");
    let mut sim = Sim::new(&engines, &[strategy, &only], seed);
    let offered = [Offered { rate: 6.0, spike: None }, Offered { rate: 8.0, spike: Some((25_000, 120_000)) }];
    sim.run(120_000, &offered);
    sim.forget();
    sim.run(if is_bench() { 600_000 } else { 240_000 }, &offered);
    let [any, one] = [0, 1].map(|at| sim.came[at].clone());
    println!(
        "| {} | {} of {} | {:.1} s | {} of {} |",
        strategy,
        any.refused,
        any.refused + any.seconds.len(),
        any.p95(),
        one.refused,
        one.refused + one.seconds.len(),
    );
    [any, one]
}

/// Broken on purpose to see it fail: what the next minute brings left out.
#[test]
fn room_is_left_for_a_spike_that_comes_again() {
    let by = |strategy: &str| -> f64 {
        let refused = |seed| spiked(strategy, seed).iter().map(|came| came.refused).sum::<usize>();
        seeds().map(refused).sum::<usize>() as f64
    };
    let (latency, predictive) = (by("strategy = \"latency\""), by("strategy = \"predictive\""));
    assert!(predictive < 0.6 * latency && latency > 50.0, "refused {predictive}, by latency {latency}");
}

/// Broken on purpose to see it fail: sums not told.
#[test]
fn a_replica_that_has_just_begun_knows_what_the_others_learnt() {
    let engines = engines([1.0; 3]);
    let mut sim = Sim::new(&engines, &["strategy = \"predictive\""], 1);
    let offered = [Offered { rate: 3.0, spike: None }];
    sim.run(120_000, &offered);
    sim.join(2);
    sim.sync(2, true);
    let by = sim.config.models[0].ranking.latency.measure;
    let look = Look { input: 800, output: 250, by, expects: true, replicas: 3 };
    for at in 0..3 {
        let [old, new] = [0, 2].map(|of| sim.replicas[of].standings[at].outlook_at(look, sim.now));
        let (old, new) = (old.expected.unwrap(), new.expected.unwrap());
        assert!((new / old - 1.0).abs() < 0.5, "{new:.2} s, not {old:.2}");
    }
}

/// Printed, and bounded in a release build.
#[test]
fn decisions_take_microseconds() {
    for (count, of) in [
        (5, "capacity"),
        (5, "latency"),
        (5, "predictive"),
        (64, "latency"),
        (64, "predictive"),
        (64, "composite"),
    ] {
        let engine =
            Engine { speed: 100.0, first: 0.1, slots: 50.0, price: 1.0, rpm: Some(1_000), concurrency: None };
        let mut sim = Sim::new(&vec![engine; count], &[&format!("strategy = \"{of}\"")], 1);
        sim.run(if is_bench() { 120_000 } else { 4_000 }, &[Offered { rate: 40.0, spike: None }]);
        let decisions = &mut sim.decisions;
        decisions.sort_unstable();
        let at = |share: f64| decisions[(decisions.len() as f64 * share) as usize];
        println!("| {of}, {count} candidates | {:?} | {:?} |", at(0.5), at(0.99));
        assert!(!is_bench() || at(0.99) < Duration::from_millis(1));
    }
}
