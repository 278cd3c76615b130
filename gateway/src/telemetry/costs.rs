//! Metrics of what attempts cost, as this replica has them.

use std::sync::Arc;

use ahash::AHashMap;
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Gauge};
use parking_lot::RwLock;

use super::instruments::Make;
use super::late::Late;
use crate::cost::{Place, Spent};

/// Their instruments.
#[derive(Debug)]
pub(super) struct Spending {
    cost: Counter<f64>,
    estimated: Counter<f64>,
    unknown: Counter<u64>,
    saved: Counter<f64>,
    excess: Counter<f64>,
    age: Gauge<u64>,
    stale: Gauge<u64>,
    series: RwLock<AHashMap<Place, Arc<Series>>>, // short sections
}

/// Instruments bound to one place. Each is shown only when something has come to it: of what nobody knows the cost of none
/// must show.
#[derive(Debug)]
struct Series {
    cost: Late<Counter<f64>>,
    estimated: Late<Counter<f64>>,
    unknown: Late<Counter<u64>>,
    baseline: Compared,
    dearest: Compared,
}

/// What was saved, and what was spent in excess, beside the same thing: counters only grow.
#[derive(Debug)]
struct Compared {
    saved: Late<Counter<f64>>,
    excess: Late<Counter<f64>>,
}

impl Compared {
    fn note(&self, saved: Option<f64>) {
        match saved {
            Some(saved) if saved >= 0.0 => self.saved.add(saved),
            Some(saved) => self.excess.add(-saved),
            None => {}
        }
    }
}

impl Spending {
    pub(super) fn new(make: Make<'_>) -> Spending {
        let estimated = "Of the US dollars spent: for tokens that no provider counted";
        let saved = "US dollars that the same tokens would have cost more elsewhere";
        let excess = "US dollars that the same tokens would have cost less elsewhere";
        let age = "Seconds since the oldest price of the table that is in use was looked up";
        let stale = "Deployments whose price of the table is over, or a year old";
        Spending {
            cost: make.dollars("weir_cost_usd", "US dollars spent"),
            estimated: make.dollars("weir_cost_estimated_usd", estimated),
            unknown: make.count("weir_cost_unknown", "Attempts of which nobody knows what they cost"),
            saved: make.dollars("weir_cost_saved_usd", saved),
            excess: make.dollars("weir_cost_excess_usd", excess),
            age: make.level("weir_price_age_seconds", age),
            stale: make.level("weir_prices_stale", stale),
            series: RwLock::default(),
        }
    }

    /// An attempt came to this.
    pub(super) fn note(&self, place: &Place, spent: &Spent) {
        let series = self.series(place);
        match spent.usd {
            Some(usd) => {
                series.cost.add(usd);
                if spent.estimated {
                    series.estimated.add(usd);
                }
            }
            None => series.unknown.add(1),
        }
        series.baseline.note(spent.saved.baseline);
        series.dearest.note(spent.saved.dearest);
    }

    /// How old the prices are, and of how many deployments they are out of date.
    pub(super) fn prices(&self, age_days: u64, stale: usize) {
        self.age.record(age_days * 86_400, &[]);
        self.stale.record(stale as u64, &[]);
    }

    fn series(&self, place: &Place) -> Arc<Series> {
        if let Some(series) = self.series.read().get(place) {
            return series.clone();
        }
        let mut all = self.series.write();
        all.entry(place.clone()).or_insert_with(|| Arc::new(self.bind(place))).clone()
    }

    fn bind(&self, (tenant, model, deployment): &Place) -> Series {
        let model = KeyValue::new("model", model.clone());
        let who = [
            KeyValue::new("tenant", tenant.clone()),
            model.clone(),
            KeyValue::new("deployment", deployment.clone()),
        ];
        let beside = |what: &'static str| {
            let labels = [model.clone(), KeyValue::new("against", what)];
            Compared { saved: Late::new(&self.saved, &labels), excess: Late::new(&self.excess, &labels) }
        };
        Series {
            cost: Late::new(&self.cost, &who),
            estimated: Late::new(&self.estimated, &who),
            unknown: Late::new(&self.unknown, &who),
            baseline: beside("baseline"),
            dearest: beside("dearest"),
        }
    }
}
