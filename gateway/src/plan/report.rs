//! What a simulation came to, in the numbers that people and programs read. Pure.

use serde::Serialize;
use std::collections::BTreeMap;

use super::tally::{Count, Tally, Why};
use super::world::Setting;
use crate::config::{Config, MeterKind, MeterSpec, Side};

/// Everything that is told.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Replicas.
    pub replicas: usize,
    /// Replicas were lent room.
    pub leases: bool,
    /// What chance began with.
    pub seed: u64,
    /// Seconds that are counted.
    pub seconds: f64,
    /// Seconds before that.
    pub warm_up_seconds: f64,
    /// All calls.
    pub total: Row,
    /// By the name that was asked for.
    pub models: Vec<Row>,
    /// By tenant.
    pub tenants: Vec<Row>,
    /// By deployment.
    pub deployments: Vec<Row>,
    /// Limits.
    pub pools: Vec<Pool>,
    /// Of the shared state, a second.
    pub state: State,
    /// What to enlarge.
    pub advice: Option<super::advice::Advice>,
    /// In time.
    pub plot: Plot,
}

/// Questions to the shared state, a second of simulated time, the warm-up included.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct State {
    /// Questions for room.
    pub reserves: f64,
    /// Calls on loans: without a question.
    pub on_loans: f64,
    /// SYNCs.
    pub syncs: f64,
}

/// What became of the calls of something.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// Calls that came.
    pub came: u64,
    /// Calls that were served.
    pub served: u64,
    /// The share that was served.
    pub share: f64,
    /// Served a second.
    pub per_second: f64,
    /// Those that were not, by why.
    pub refused: BTreeMap<&'static str, u64>,
    /// Milliseconds that served calls waited for room: mean, half, 95 in 100 stay within.
    pub wait_ms: [f64; 3],
    /// Milliseconds from when a call came to the end of its answer: the same.
    pub latency_ms: [f64; 3],
    /// Milliseconds to the first token, of streams: the same.
    pub first_token_ms: [f64; 3],
    /// Tokens a minute, input and output.
    pub tokens_per_minute: [f64; 2],
    /// US$ in an hour; calls whose price nobody knows are not in it.
    pub usd_per_hour: f64,
    /// How many those are.
    pub unpriced: u64,
    /// Of a deployment: the share in use of the fullest of its limits, in the mean and at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub utilisation: Option<[f64; 2]>,
}

/// A pool.
#[derive(Clone, Debug, Serialize)]
pub struct Pool {
    /// Its name.
    pub name: String,
    /// A provider's limits, not ours.
    pub is_providers: bool,
    /// Calls that were refused because of it.
    pub refused: u64,
    /// Its limits.
    pub limits: Vec<Limit>,
}

/// A limit of a pool.
#[derive(Clone, Debug, Serialize)]
pub struct Limit {
    /// As settings call it.
    pub limit: String,
    /// How much.
    pub of: u64,
    /// How much of it calls may use.
    pub usable: f64,
    /// The mean share of it in use (window and holds).
    pub mean: f64,
    /// The share at most.
    pub worst: f64,
    /// The share that was posted, by the time: what was used for good; none where that is not counted.
    pub used: Option<f64>,
}

/// Points in time.
#[derive(Clone, Debug, Serialize)]
pub struct Plot {
    /// Seconds from one point to the next.
    pub step_seconds: f64,
    /// Calls a second that came, were served, were refused.
    pub per_second: [Vec<f64>; 3],
    /// Calls that waited, at most.
    pub waiting: Vec<u64>,
    /// The share in use of the fullest limit of each pool, at most, in the order of the pools.
    pub pools: Vec<Vec<f64>>,
}

/// The report of what was counted in so many seconds.
pub fn report(set: &Setting, names: &[String], tally: &Tally, until: u64) -> Report {
    let config = &*set.config;
    let (seconds, all) = (until.saturating_sub(tally.from) as f64 / 1e6, until as f64 / 1e6);
    let pools = pools(config, tally);
    let row = |(name, count): (&str, &Count)| row(name, count, seconds);
    let tenants = config.tenants.iter().map(|tenant| &*tenant.name).chain(["(no tenant)"]);
    let deployments = config.deployments.iter().zip(&tally.deployments).map(|(deployment, count)| Row {
        utilisation: fullest(deployment.pools.iter().map(|id| &pools[id.0])),
        ..row((&deployment.name, count))
    });
    let per_second = |count: u64| count as f64 / all.max(1e-9);
    Report {
        replicas: set.replicas,
        leases: set.leases,
        seed: set.seed,
        seconds,
        warm_up_seconds: tally.from as f64 / 1e6,
        total: row(("all", &tally.all)),
        models: by_name(names, tally).iter().map(|(name, count)| row((name, count))).collect(),
        tenants: tenants.zip(&tally.tenants).filter(|(_, count)| count.came > 0).map(row).collect(),
        deployments: deployments.collect(),
        state: State {
            reserves: per_second(tally.messages[0]),
            on_loans: per_second(tally.messages[1]),
            syncs: per_second(tally.messages[2]),
        },
        advice: None,
        plot: plot(tally, pools.len()),
        pools,
    }
}

/// Several streams of calls may ask for one name.
fn by_name<'n>(names: &'n [String], tally: &Tally) -> BTreeMap<&'n str, Count> {
    let mut all: BTreeMap<&str, Count> = BTreeMap::new();
    for (name, count) in names.iter().zip(&tally.names) {
        all.entry(name).or_default().add(count);
    }
    all
}

fn row(name: &str, count: &Count, seconds: f64) -> Row {
    let ms = |spread: &super::spread::Spread| {
        [spread.mean(), spread.within(0.5), spread.within(0.95)].map(|us| us / 1e3)
    };
    let per_minute = |tokens: u64| tokens as f64 / seconds.max(1e-9) * 60.0;
    let refused = Why::ALL.iter().zip(count.refused).filter(|(_, count)| *count > 0);
    Row {
        name: name.to_owned(),
        came: count.came,
        served: count.served,
        share: count.share(),
        per_second: count.served as f64 / seconds.max(1e-9),
        refused: refused.map(|(why, count)| (why.word(), count)).collect(),
        wait_ms: ms(&count.waits),
        latency_ms: ms(&count.took),
        first_token_ms: ms(&count.first),
        tokens_per_minute: [per_minute(count.tokens.0), per_minute(count.tokens.1)],
        usd_per_hour: count.cost / seconds.max(1e-9) * 3_600.0,
        unpriced: count.unpriced,
        utilisation: None,
    }
}

fn fullest<'p>(pools: impl Iterator<Item = &'p Pool>) -> Option<[f64; 2]> {
    let limits = pools.flat_map(|pool| &pool.limits);
    limits.map(|limit| [limit.mean, limit.worst]).reduce(|a, b| [a[0].max(b[0]), a[1].max(b[1])])
}

fn pools(config: &Config, tally: &Tally) -> Vec<Pool> {
    let all = config.pools.iter().zip(&tally.uses).zip(&tally.refusals);
    let pool = |((spec, uses), refused): ((&crate::config::PoolSpec, &Vec<super::tally::Use>), &u64)| Pool {
        name: spec.name.to_string(),
        is_providers: matches!(spec.side, Side::Provider(_)) && spec.period.is_none(),
        refused: *refused,
        limits: spec
            .meters
            .iter()
            .zip(uses)
            .map(|(meter, of)| Limit {
                limit: limit_word(meter),
                of: meter.limit,
                usable: f64::from(spec.hard_permille) / 1e3,
                mean: of.mean(),
                worst: of.most,
                used: of
                    .posted_per_second()
                    .filter(|_| meter.per_ms > 0)
                    .map(|posted| posted * (meter.per_ms as f64 / 1e3) / meter.limit.max(1) as f64),
            })
            .collect(),
    };
    all.map(pool).collect()
}

/// The word for a limit.
pub fn limit_word(meter: &MeterSpec) -> String {
    let known = MeterSpec::LIMITS.iter().find(|(_, kind, per)| (*kind, *per) == (meter.kind, meter.per_ms));
    if let Some((word, ..)) = known {
        return (*word).to_owned();
    }
    let kind = match meter.kind {
        MeterKind::Requests => "requests",
        MeterKind::Tokens => "tokens",
        MeterKind::InputTokens => "input_tokens",
        MeterKind::OutputTokens => "output_tokens",
        MeterKind::Concurrency => "concurrency",
        MeterKind::Usd => "usd",
    };
    let per = humantime::format_duration(std::time::Duration::from_millis(meter.per_ms));
    format!("{kind} per {per}")
}

fn plot(tally: &Tally, pools: usize) -> Plot {
    let step = tally.step as f64 / 1e6;
    let of = |which: usize| tally.points.iter().map(|point| point.calls[which] as f64 / step).collect();
    Plot {
        step_seconds: step,
        per_second: [of(0), of(1), of(2)],
        waiting: tally.points.iter().map(|point| point.waiting).collect(),
        pools: (0..pools).map(|at| tally.points.iter().map(|point| point.pools[at]).collect()).collect(),
    }
}
