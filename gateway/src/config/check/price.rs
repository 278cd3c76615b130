//! `price`: of a deployment, and of the entries of a price table.

use std::path::Path;
use std::sync::Arc;

use super::super::tree::{At, Field, Reading};
use super::super::units::Count;
use super::super::{Factors, Price, Prices, Rates, raw};

/// No rate is higher, US$ per million tokens; with the most tokens of a call its cost is a number all the same.
const MOST: f64 = 1e6;
/// What a rate is, for who writes more.
const RATE: &str = "prices are US$ per million tokens";
/// No way to be served costs so many times what the usual one does.
const MOST_FACTOR: f64 = 100.0;

/// The table of prices: that of a file, or the one that is built in.
pub(super) fn table(file: &Field<String>, cx: &mut Reading<'_>) -> Arc<Prices> {
    let read = match file {
        Field::Absent => Prices::built_in(),
        Field::Bad => return Arc::default(),
        Field::Is(at) => Prices::load(Path::new(&at.value), &mut cx.sources),
    };
    read.map_err(|report| cx.others.push(report)).unwrap_or_default()
}

/// Cached input costs what other input costs, unless the price says otherwise.
pub(in crate::config) fn price(at: &At<raw::Price>, cx: &mut Reading<'_>) -> Price {
    let raw::Price { input, output, cache_read, cache_write, cache_write_1h, request, long, service } =
        &at.value;
    within(&[input, output, cache_read, cache_write, cache_write_1h, request], (MOST, RATE), cx);
    let rates = rates([input, output, cache_read, cache_write, cache_write_1h], request.or(0.0));
    let long = long.value().map(|long| {
        let raw::LongPrice { above, input, output, cache_read, cache_write, cache_write_1h } = long;
        let parts = [input, output, cache_read, cache_write, cache_write_1h];
        within(&parts, (MOST, RATE), cx);
        (above.value().map_or(0, |Count(tokens)| *tokens), self::rates(parts, rates.request))
    });
    let service = service.value().map(|service| {
        let raw::ServiceFactors { flex, priority, fast, batch } = service;
        within(&[flex, priority, fast, batch], (MOST_FACTOR, "it is how many times the usual price"), cx);
        let factor = |field: &Field<f64>| field.value().copied();
        Factors { flex: factor(flex), priority: factor(priority), fast: factor(fast), batch: factor(batch) }
    });
    Price { rates, long, service }
}

fn rates([input, output, read, write, write_long]: [&Field<f64>; 5], request: f64) -> Rates {
    let input = input.or(0.0);
    let cache_write = write.or(input);
    Rates {
        input,
        output: output.or(0.0),
        cache_read: read.or(input),
        cache_write,
        cache_write_long: write_long.or(cache_write),
        request,
    }
}

fn within(fields: &[&Field<f64>], (most, what): (f64, &str), cx: &mut Reading<'_>) {
    for part in fields.iter().filter_map(|field| field.get()) {
        if part.value < 0.0 {
            cx.problem(&part.span, "a price is not negative");
        } else if part.value > most {
            cx.problem(&part.span, format!("more than {most}: {what}"));
        }
    }
}
