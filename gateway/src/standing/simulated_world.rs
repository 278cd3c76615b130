//! Strategies in the simulated cluster ([`crate::plan`]): deployments as engines or providers serve, and what came of their calls.

use std::path::Path;
use std::sync::Arc;

use crate::config::Config;
use crate::config::check::check;
use crate::plan::draws::{Pattern, Size};
use crate::plan::load::{Load, Source};
use crate::plan::service::Service;
use crate::plan::tally::Count;
use crate::plan::world::{Setting, World};

pub(super) const REPLICAS: usize = 3;
const MEAN_OUTPUT: f64 = 412.0; // 250 * e^0.5

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

    /// Ten thousand tokens of input take as long as a hundred of output.
    fn service(self) -> Service {
        let Engine { speed, first, slots, .. } = self;
        Service { first, per_input: 1.0 / 100.0 / speed, per_output: 1.0 / speed, spread: 0.0, slots }
    }
}

/// A model's calls.
#[derive(Clone, Copy)]
pub(super) struct Offered {
    /// Calls a second.
    pub(super) rate: f64,
    /// Only in the first so many seconds of each so many; none: always.
    pub(super) spike: Option<(f64, f64)>,
}

impl Offered {
    fn source(self, model: usize) -> Source {
        let spiked = |(lasts, every)| Pattern::Spike { times: 1.0, lasts, every, between: 0.0 };
        Source {
            model: format!("m{model}"),
            rate: self.rate,
            pattern: self.spike.map_or(Pattern::Constant, spiked),
            even: false,
            tenants: Vec::new(),
            input: Size::LogNormal { median: 800.0, sigma: 1.2, most: 60_000 },
            output: Size::LogNormal { median: 250.0, sigma: 1.0, most: 8_000 },
            max_tokens: None,
            weighs: 1.0,
            stream_share: 0.5,
        }
    }
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
        text += &format!("[[models]]\nname = \"m{at}\"\nqueue = {{ max = 0 }}\n{deployments}{model}\n");
    }
    check(Path::new("weir.toml"), &text, &|_| None).unwrap_or_else(|report| panic!("{report}"))
}

/// What these engines make of what is offered, of which the first `learns` seconds are not counted.
pub(super) fn simulate(
    engines: &[Engine],
    models: &[&str],
    offered: &[Offered],
    times: (u64, u64),
    seed: u64,
) -> World {
    let mut world = world(engines, models, offered, times, seed);
    world.run(&mut |_| true);
    world
}

/// The same before anything has come.
pub(super) fn world(
    engines: &[Engine],
    models: &[&str],
    offered: &[Offered],
    (learns, counts): (u64, u64),
    seed: u64,
) -> World {
    let set = Setting {
        config: Arc::new(config(engines, models)),
        replicas: REPLICAS,
        leases: false,
        services: engines.iter().map(|engine| engine.service()).collect(),
        unix: 0,
        seed,
        warm_up: learns * 1_000_000,
    };
    let sources = offered.iter().enumerate().map(|(model, offered)| offered.source(model)).collect();
    let load = Load::mix(sources, (learns + counts) * 1_000_000);
    World::new(set, load).unwrap_or_else(|err| panic!("{err:#}"))
}

/// The 95th percentile of how long calls took, seconds.
pub(super) fn p95(came: &Count) -> f64 {
    came.took.within(0.95) / 1e6
}

/// What a call cost, US$.
pub(super) fn per_call(came: &Count) -> f64 {
    came.cost / came.served as f64
}
