//! Which pool stands in the way first, and how large it would have to be. Pure; who searches simulates.
//!
//! What is refused because of a pool, beside what is served through it, says how much larger the pool would have to be if load were
//! even (reckoned). It is not: spikes need more, and behind one pool may stand another. So the load is simulated again with pools so
//! enlarged, and these again where that is not enough (searched).

use std::collections::BTreeMap;

use serde::Serialize;

use super::report::Report;
use super::tally::Tally;
use crate::config::{Config, Side};

/// What to enlarge.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Advice {
    /// The share of the load that is to be served, but for what limits of our own refuse.
    pub target: f64,
    /// The share that is.
    pub served: f64,
    /// The pools that stand in the way, the one that does most first.
    pub pools: Vec<Larger>,
    /// How often it was simulated anew with larger pools; 0: the numbers are reckoned from what was refused.
    pub runs: u32,
    /// The share that was served with the pools so enlarged, if it was simulated.
    pub then_served: Option<f64>,
    /// If nothing stands in the way: the fullest pool and limit, its share in use at most, and by what the load could grow until it does.
    pub first: Option<First>,
}

/// A pool that is to be larger.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Larger {
    /// Which.
    pub pool: String,
    /// How many calls it refused.
    pub refused: u64,
    /// By what to multiply its limits.
    pub factor: f64,
    /// How many accounts (or deployments) of its size that are.
    pub count: u64,
}

/// The pool that would be the first to stand in the way.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct First {
    /// Which.
    pub pool: String,
    /// Its limit.
    pub limit: String,
    /// The share of it in use at most.
    pub worst: f64,
    /// By what the load could grow.
    pub growth: f64,
}

/// By what pools are multiplied, by their index.
pub type Factors = BTreeMap<usize, f64>;

/// A pool that refuses a little is enlarged by this at least, or a search would not end.
const LEAST: f64 = 1.02;

/// The share of what our own limits did not refuse that was served.
pub fn served(tally: &Tally) -> f64 {
    let (all, wanted) = (&tally.all, tally.all.served + tally.all.for_want_of_room());
    if wanted == 0 { 1.0 } else { all.served as f64 / wanted as f64 }
}

/// The factors by which pools have to be larger than in this run, in which they were so large already.
pub fn grown(config: &Config, tally: &Tally, before: &Factors) -> Factors {
    let mut factors = before.clone();
    for (at, refused) in tally.refusals.iter().enumerate().filter(|(_, refused)| **refused > 0) {
        let spec = &config.pools[at];
        if !matches!(spec.side, Side::Provider(_)) || spec.period.is_some() {
            continue;
        }
        let through = config.deployments.iter().zip(&tally.deployments);
        let through = through.filter(|(deployment, _)| deployment.pools.iter().any(|id| id.0 == at));
        let served: u64 = through.map(|(_, count)| count.served).sum();
        // Where next to nothing fits, nobody can say how much would; it is doubled until something does.
        let growth = if served == 0 { 2.0 } else { 1.0 + *refused as f64 / served as f64 };
        *factors.entry(at).or_insert(1.0) *= growth.max(LEAST);
    }
    factors
}

/// The configuration with its pools enlarged.
pub fn enlarged(config: &Config, factors: &Factors) -> Config {
    let mut config = config.clone();
    for (at, factor) in factors {
        for meter in &mut config.pools[*at].meters {
            meter.limit = (meter.limit as f64 * factor).ceil() as u64;
        }
    }
    config
}

/// What to say of a run, and of the search that followed it: the factors, the runs, and what was served in the last.
pub fn advice(
    config: &Config,
    (report, tally): (&Report, &Tally),
    target: f64,
    (factors, runs, then_served): (&Factors, u32, Option<f64>),
) -> Advice {
    let larger = |(at, factor): (&usize, &f64)| Larger {
        pool: config.pools[*at].name.to_string(),
        refused: tally.refusals[*at],
        factor: (factor * 100.0).ceil() / 100.0,
        count: factor.ceil() as u64,
    };
    let mut pools: Vec<Larger> = factors.iter().map(larger).collect();
    pools.sort_by(|a, b| b.refused.cmp(&a.refused).then_with(|| a.pool.cmp(&b.pool)));
    let first = if pools.is_empty() { first(report) } else { None };
    Advice { target, served: served(tally), pools, runs, then_served, first }
}

fn first(report: &Report) -> Option<First> {
    let limits = report.pools.iter().filter(|pool| pool.is_providers);
    let limits = limits.flat_map(|pool| pool.limits.iter().map(move |limit| (pool, limit)));
    let of = |limit: &super::report::Limit| limit.worst / limit.usable.max(1e-9);
    let (pool, limit) = limits.max_by(|(_, a), (_, b)| of(a).total_cmp(&of(b)))?;
    (limit.worst > 0.0).then(|| First {
        pool: pool.name.clone(),
        limit: limit.limit.clone(),
        worst: limit.worst,
        growth: limit.usable / limit.worst,
    })
}

impl Advice {
    /// In sentences.
    pub fn sentences(&self) -> Vec<String> {
        let percent = |share: f64| format!("{:.2} %", 100.0 * share);
        let mut said = Vec::new();
        if let Some(first) = &self.first {
            said.push(format!(
                "No provider's limit stood in the way. The fullest is {} of {}: {} in use at most; about {:.1} times the load would fill it.",
                first.limit, first.pool, percent(first.worst), first.growth.max(1.0)
            ));
        }
        for (at, larger) in self.pools.iter().enumerate() {
            let Larger { pool, refused, factor, count } = larger;
            let place = match (at, refused) {
                (0, _) => format!("{pool} stands in the way first ({refused} calls refused)"),
                (_, 0) => format!("Behind it {pool} would stand in the way"),
                _ => format!("{pool} stands in the way as well ({refused} calls refused)"),
            };
            said.push(format!(
                "{place}: {factor:.2} times its limits, or {count} {} of its size.",
                what(pool)
            ));
        }
        if !self.pools.is_empty() {
            said.push(match self.then_served {
                Some(then) => format!(
                    "So {} of the load would be served instead of {} (found by simulating it again, {} times; asked for: {}).",
                    percent(then), percent(self.served), self.runs, percent(self.target)
                ),
                None => format!(
                    "Reckoned from what was refused, as if the load were even: {} of it is served (asked for: {}).",
                    percent(self.served), percent(self.target)
                ),
            });
        }
        said
    }
}

/// What there would be several of.
fn what(pool: &str) -> &'static str {
    if pool.starts_with("account/") { "accounts" } else { "deployments" }
}
