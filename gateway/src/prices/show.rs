//! Which price each deployment has at a time, where it is from, and what comes after it.

use std::fmt::Write as _;

use super::{day, moment};
use crate::config::{Config, Deployment, Factors, Listed, Price, Prices, Pricing, Rates};
use crate::cost::told::age_days;

/// Of every deployment, at a Unix time in seconds.
pub fn show(config: &Config, unix: u64) -> String {
    let mut out = String::new();
    for deployment in &config.deployments {
        let Deployment { name, account, model, .. } = deployment;
        let _ = writeln!(out, "{name} ({}, {model})", account.preset.name); // writing to a string does not fail
        for line in of(&deployment.pricing, &config.prices, unix) {
            let _ = writeln!(out, "    {line}");
        }
    }
    let without = config.deployments.iter().filter(|d| d.pricing.at(unix).is_none()).count();
    let (all, table) = (config.deployments.len(), table(&config.prices));
    let _ = write!(out, "{without} of {all} deployments have no price");
    if let Some(age) = age_days(config, unix) {
        let _ = write!(out, "; the oldest that is in use of {table} was looked up {age} days ago");
    }
    out
}

fn of(pricing: &Pricing, prices: &Prices, unix: u64) -> Vec<String> {
    let mut lines = Vec::new();
    match (pricing, pricing.listed_at(unix)) {
        (Pricing::Own(price), _) => {
            lines.extend(of_price(price));
            lines.push("its own `price`".to_owned());
        }
        (_, Some(listed)) => {
            lines.extend(of_price(&listed.price));
            lines.push(whence(listed, prices));
        }
        (_, None) => {
            lines.push(format!("unknown: {} has no price that holds for it", table(prices)));
        }
    }
    if let Some(next) = pricing.changes_after(unix) {
        let then = pricing.at(next).map_or("unknown".to_owned(), |price| rates(&price.rates));
        lines.push(format!("from {} on: {then}", moment(next)));
    }
    lines
}

fn table(prices: &Prices) -> String {
    match &prices.file {
        Some(file) => file.display().to_string(),
        None => "the table that is built in".to_owned(),
    }
}

fn whence(listed: &Listed, prices: &Prices) -> String {
    let hours = if listed.hours.is_empty() { "" } else { ", at these hours" };
    let checked = day(listed.checked);
    let sure = if listed.verified { "" } else { ", not confirmed" };
    format!("{}, line {}{hours}; looked up {checked}{sure}: {}", table(prices), listed.line, listed.source)
}

/// A price, in lines.
pub(super) fn of_price(price: &Price) -> Vec<String> {
    let mut lines = vec![rates(&price.rates)];
    if let Some((above, long)) = &price.long {
        lines.push(format!("above {above} input tokens: {}", rates(long)));
    }
    if let Some(Factors { flex, priority, fast, batch }) = price.service {
        let factors = [("flex", flex), ("priority", priority), ("fast", fast), ("batch", batch)];
        let factors: Vec<String> =
            factors.iter().filter_map(|(name, factor)| Some(format!("{name} {}", (*factor)?))).collect();
        if !factors.is_empty() {
            lines.push(format!("times, by the way it is served: {}", factors.join(", ")));
        }
    }
    lines
}

fn rates(rates: &Rates) -> String {
    let Rates { input, output, cache_read, cache_write, cache_write_long, request } = rates;
    let mut text =
        format!("input {input}, output {output}, cache_read {cache_read}, cache_write {cache_write}");
    if cache_write_long != cache_write {
        let _ = write!(text, ", cache_write_1h {cache_write_long}");
    }
    if *request > 0.0 {
        let _ = write!(text, ", request {request}");
    }
    text
}
