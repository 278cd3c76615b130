//! Metrics of experiments, by variant, as this replica has them. Their labels come from the configuration, so they are few.

use std::sync::Arc;

use ahash::AHashMap;
use opentelemetry::KeyValue;
use opentelemetry::metrics::{BoundCounter, Counter, Histogram};
use parking_lot::RwLock;

use super::calls::SECONDS;
use super::instruments::Make;
use super::late::Late;
use super::levels::Levels;
use crate::experiment::{Assigned, Ending, Sample, Trial};

/// Their instruments.
#[derive(Debug)]
pub(super) struct Variants {
    calls: Counter<u64>,
    spilled: Counter<u64>,
    duration: Histogram<f64>,
    first_token: Histogram<f64>,
    tokens: Counter<u64>,
    cost: Counter<f64>,
    share: Levels,
    series: RwLock<AHashMap<Of, Arc<Series>>>, // short sections
}

/// Experiment and variant.
type Of = (Arc<str>, Arc<str>);

/// Instruments bound to one variant.
#[derive(Debug)]
struct Series {
    calls: [BoundCounter<u64>; 4],
    spilled: BoundCounter<u64>,
    duration: Late<Histogram<f64>>,
    first_token: Late<Histogram<f64>>,
    tokens: [BoundCounter<u64>; 2],
    cost: BoundCounter<f64>,
}

const ENDINGS: [(Ending, &str); 4] = [
    (Ending::Served, "served"),
    (Ending::Failed, "failed"),
    (Ending::Left, "client_gone"),
    (Ending::Refused, "refused"),
];

impl Variants {
    pub(super) fn new(make: Make<'_>) -> Variants {
        let spilled = "Calls of a variant that went elsewhere than to its deployments";
        let duration = "From request to the end of the answer, of calls served";
        let first = "From request to first content, of calls served";
        let share = "The share of an experiment's units that a variant has now";
        Variants {
            calls: make.count("weir_experiment_calls", "Calls of a variant, by what became of them"),
            spilled: make.count("weir_experiment_spilled", spilled),
            duration: make.seconds("weir_experiment_duration", duration, &SECONDS),
            first_token: make.seconds("weir_experiment_time_to_first_token", first, &SECONDS),
            tokens: make.count("weir_experiment_tokens", "Tokens as providers counted them"),
            cost: make.dollars("weir_experiment_cost_usd", "US dollars spent"),
            share: make.levels("weir_experiment_share_ratio", share, 0.0),
            series: RwLock::default(),
        }
    }

    /// A call of a variant ended.
    pub(super) fn note(&self, assigned: &Assigned, sample: &Sample) {
        let series = self.series(assigned);
        let ending = ENDINGS.iter().position(|(ending, _)| *ending == sample.ending);
        series.calls[ending.unwrap_or(0)].add(1);
        if sample.spilled {
            series.spilled.add(1);
        }
        if sample.ending == Ending::Served {
            series.duration.record(sample.whole.as_secs_f64());
            sample.first.into_iter().for_each(|first| series.first_token.record(first.as_secs_f64()));
        }
        if let Some((input, output)) = sample.tokens {
            series.tokens[0].add(input);
            series.tokens[1].add(output);
        }
        if sample.cost > 0.0 {
            series.cost.add(sample.cost);
        }
    }

    /// Gauges of the shares.
    pub(super) fn shares(&self) -> &Levels {
        &self.share
    }

    /// The shares that hold.
    pub(super) fn show(&self, trial: &Trial) {
        let live = trial.live();
        let all: f64 = live.shares.iter().sum();
        for (name, share) in trial.variants().iter().zip(&live.shares) {
            self.share.show(share / all, &labels(&trial.name, name));
        }
    }

    fn series(&self, assigned: &Assigned) -> Arc<Series> {
        let of = (assigned.experiment.clone(), assigned.name.clone());
        if let Some(series) = self.series.read().get(&of) {
            return series.clone();
        }
        let mut all = self.series.write();
        all.entry(of.clone()).or_insert_with(|| Arc::new(self.bind(&of))).clone()
    }

    fn bind(&self, (experiment, variant): &Of) -> Series {
        let who = labels(experiment, variant);
        let with = |name: &'static str, value: &'static str| {
            let [experiment, variant] = who.clone();
            [experiment, variant, KeyValue::new(name, value)]
        };
        Series {
            calls: ENDINGS.map(|(_, outcome)| self.calls.bind(&with("outcome", outcome))),
            spilled: self.spilled.bind(&who),
            duration: Late::new(&self.duration, &who),
            first_token: Late::new(&self.first_token, &who),
            tokens: ["input", "output"].map(|kind| self.tokens.bind(&with("type", kind))),
            cost: self.cost.bind(&who),
        }
    }
}

fn labels(experiment: &Arc<str>, variant: &Arc<str>) -> [KeyValue; 2] {
    [KeyValue::new("experiment", experiment.clone()), KeyValue::new("variant", variant.clone())]
}
