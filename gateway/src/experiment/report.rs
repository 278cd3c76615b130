//! What an experiment has shown so far, for people: by variant, and how each differs from the first.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::interval::{self, Known};
use super::measures::{Measures, Times};
use super::trial::{Live, Trial};
use crate::config::Experiment;

/// What all replicas measured of each variant.
#[derive(Debug)]
pub struct Page {
    variants: Vec<(Arc<str>, Measures)>,
    /// What others told was heard; else it is this replica's alone.
    whole: bool,
}

impl Page {
    /// What others told (see [`crate::state::Port::measured`]), and what is known here.
    pub fn of(live: &Live, told: BTreeMap<String, String>) -> Page {
        let mut page = Page::here(live);
        page.whole = true;
        let own = format!("life:{}", live.book.id); // here it is known to this moment
        let others = told
            .iter()
            .filter(|(field, _)| (field.starts_with("life:") || *field == "sum") && **field != own);
        for (_, text) in others {
            // (What cannot be read is of a version that measures otherwise.)
            let Ok(read) = serde_json::from_str::<BTreeMap<String, Measures>>(text) else { continue };
            for (name, measures) in &mut page.variants {
                read.get(&**name).into_iter().for_each(|more| measures.add(more));
            }
        }
        page
    }

    /// What is known here alone.
    pub fn here(live: &Live) -> Page {
        let variants = live.book.measures().map(|(name, measures)| (name.clone(), measures)).collect();
        Page { variants, whole: false }
    }

    /// As JSON: shares that hold, and what was measured.
    pub fn json(&self, experiment: &Experiment, trial: &Trial, model: &str) -> Value {
        let live = trial.live();
        let all: f64 = live.shares.iter().sum();
        let first = self.variants.first().map(|(_, measures)| measures);
        let variants =
            self.variants.iter().zip(&live.shares).enumerate().map(|(at, ((name, measures), share))| {
                let mut shown = variant(measures);
                shown["name"] = json!(&**name);
                shown["share"] = json!(share);
                shown["share_of_units"] = json!(share / all);
                if let Some(first) = first.filter(|_| at > 0) {
                    shown["difference"] = difference(first, measures);
                }
                shown
            });
        json!({
            "name": &*experiment.name, "model": model, "by": experiment.by.word(),
            "shares_from": if live.is_told { "run time" } else { "file" },
            "version": live.told.as_ref().map_or(0, |told| told.version),
            "measured": live.book.key, "whole_cluster": self.whole,
            "variants": variants.collect::<Vec<_>>(),
        })
    }
}

fn variant(measures: &Measures) -> Value {
    let tried = measures.served() + measures.failed;
    json!({
        "calls": measures.calls, "served": measures.served(), "errors": measures.failed,
        "client_gone": measures.left, "refused": measures.refused, "spilled": measures.spilled,
        "error_rate": known(interval::rate(measures.failed, tried), 1.0),
        "latency_ms": times(&measures.whole), "first_token_ms": times(&measures.first),
        "input_tokens": measures.input, "output_tokens": measures.output,
        "cost_usd": measures.cost.sum, "cost_usd_per_call": known(interval::mean(measures.cost), 1.0),
    })
}

/// Milliseconds.
fn times(times: &Times) -> Value {
    let share = |share| known(interval::percentile(times, share), 1e3);
    json!({
        "calls": times.sums.n, "mean": known(interval::mean(times.sums), 1e3),
        "p50": share(0.5), "p95": share(0.95), "p99": share(0.99),
    })
}

/// How much more it is than the first variant's: where the interval holds 0, it may be chance.
fn difference(first: &Measures, other: &Measures) -> Value {
    let rate = |of: &Measures| interval::rate(of.failed, of.served() + of.failed);
    let rates = rate(first).zip(rate(other)).map(|(first, other)| interval::rate_difference(first, other));
    json!({
        "error_rate": known(rates, 1.0),
        "latency_ms": known(interval::mean_difference(first.whole.sums, other.whole.sums), 1e3),
        "first_token_ms": known(interval::mean_difference(first.first.sums, other.first.sums), 1e3),
        "cost_usd_per_call": known(interval::mean_difference(first.cost, other.cost), 1.0),
    })
}

fn known(known: Option<Known>, times: f64) -> Value {
    known.map_or(Value::Null, |Known { value, low, high }| {
        json!({ "value": value * times, "low": low * times, "high": high * times })
    })
}
