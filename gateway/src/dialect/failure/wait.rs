//! How long an upstream asks us to wait. There are six places where it may say so; what cannot be read counts as not
//! said.

use std::time::{Duration, SystemTime};

use http::HeaderMap;

use super::said::Said;
use super::times;

/// The wait that a failure asks for, in the order of PROVIDERS.md: its headers, else its body (`hint`), else the reset
/// of the dimension that is exhausted. Headers inside the error count after those of the answer.
pub(super) fn wait(
    headers: &HeaderMap,
    said: &Said,
    hint: Option<Duration>,
    now: SystemTime,
) -> Option<Duration> {
    let stated = stated(headers, now).or_else(|| stated(&said.headers, now)).or(hint);
    let reset = || reset_of_exhausted(headers, now).or_else(|| reset_of_exhausted(&said.headers, now));
    let wait = stated.max(reset_of_type(headers, now)).or_else(reset);
    wait.filter(|wait| !wait.is_zero())
}

/// What the body says: Google's `RetryInfo`, or the words; `text` is in lower case.
pub(super) fn hint(said: &Said, text: &str, now: SystemTime) -> Option<Duration> {
    said.delay.or_else(|| in_text(text, now)).filter(|wait| !wait.is_zero())
}

/// Of the headers of an answer that began with 200 those that an error behind them may use: its rate limit headers
/// describe a call that was admitted.
pub(super) fn of_admitted(headers: &HeaderMap) -> HeaderMap {
    let kept = headers.iter().filter(|(name, _)| name.as_str().starts_with("retry-after"));
    kept.map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn stated(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let millis = header(headers, "retry-after-ms").and_then(times::millis);
    let plain = header(headers, "retry-after").and_then(|text| times::wait(text, now));
    // Azure sends `retry-after-ms: 0` beside `retry-after: 1`: the larger one is meant.
    millis.max(plain).filter(|wait| !wait.is_zero())
}

/// Azure's `x-ratelimit-type` names the dimension, whose window ends later than its `retry-after` says at times.
fn reset_of_type(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let kind = header(headers, "x-ratelimit-type")?.trim().to_ascii_lowercase();
    times::wait(header(headers, &format!("x-ratelimit-reset-{kind}"))?, now).filter(|wait| !wait.is_zero())
}

/// Names of the remaining and the reset of one dimension, and the dimension's own.
fn dimension(name: &str) -> Option<(String, &str)> {
    if let Some(dimension) = name.strip_prefix("x-ratelimit-remaining") {
        return Some((format!("x-ratelimit-reset{dimension}"), dimension));
    }
    if let Some(dimension) = name.strip_prefix("anthropic-").and_then(|name| name.strip_suffix("-remaining"))
    {
        return Some((format!("anthropic-{dimension}-reset"), dimension));
    }
    match name {
        "ratelimit-remaining" => Some(("ratelimit-reset".to_owned(), "")),
        "x-ratelimitbysize-remaining-minute" => Some(("ratelimitbysize-reset".to_owned(), "tokens-minute")),
        _ => None,
    }
}

/// The dimensions of which nothing remains, with their resets.
fn all_exhausted(headers: &HeaderMap) -> impl Iterator<Item = (Option<&str>, &str)> {
    headers.iter().filter_map(|(name, value)| {
        let (reset, dimension) = dimension(name.as_str())?;
        let remaining = number(value.to_str().ok()?)?;
        // Limits of 0 and -1 stand for "unknown" (Azure's Responses).
        let limit = header(headers, &name.as_str().replace("remaining", "limit")).and_then(number);
        (remaining == 0.0 && limit.is_none_or(|limit| limit > 0.0))
            .then(|| (header(headers, &reset), dimension))
    })
}

/// The name of a dimension of which nothing remains (`tokens-day`, `input-tokens`).
pub(super) fn exhausted(headers: &HeaderMap) -> Option<&str> {
    all_exhausted(headers).map(|(_, dimension)| dimension).find(|dimension| !dimension.is_empty())
}

fn reset_of_exhausted(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let resets = all_exhausted(headers).filter_map(|(reset, _)| times::wait(reset?, now));
    resets.max().filter(|wait| !wait.is_zero())
}

fn number(text: &str) -> Option<f64> {
    text.replace(',', "").trim().parse().ok()
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// What stands before a wait in words.
const LEADS: [&str; 9] = [
    "try again in ",
    "retry in ",
    "retry after ",
    "replenished in ",
    "resets in ",
    "reset in ",
    "available in ",
    "please wait ",
    "retry-after: ",
];

/// "Please try again in 41.724s", "retry after 37 seconds", "replenished in 00:12:30", "regain access on 2026-02-01 at
/// 00:00 UTC".
fn in_text(text: &str, now: SystemTime) -> Option<Duration> {
    let waits = LEADS.iter().filter_map(|lead| times::in_words(text.split_once(lead)?.1));
    let longest = waits.max();
    longest.or_else(|| times::on_date(text.split_once("regain access on ")?.1, now))
}

#[cfg(test)]
#[path = "wait_tests.rs"]
mod tests;
