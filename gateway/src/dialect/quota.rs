//! What a provider says is left of its limits: the rate limit headers of an answer, whoever's.
//!
//! Names are read by their parts, not by a list of providers: `x-ratelimit-remaining-tokens`,
//! `x-ratelimit-limit-req-minute`, `anthropic-ratelimit-input-tokens-reset`. What a name does not say (OpenAI's `requests`
//! are a day's for some accounts, Groq's always) is left open; who uses it must get along without. Total: what cannot be
//! read says nothing.

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::DATE;
use smallvec::SmallVec;

use super::failure::{Measure, Period, http_date, wait_of};

/// What is left of one limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    /// What it counts.
    pub of: Measure,
    /// Over what time, if the name says so.
    pub per: Option<Period>,
    /// The whole of it, if that is told.
    pub limit: Option<u64>,
    /// What is left, after this call.
    pub left: u64,
    /// It may be so much more or less: some round.
    pub off: u64,
    /// When nothing of it will be used any more, if nobody calls; none: not told, or too soon to be told.
    pub reset: Option<Duration>,
}

/// Anthropic rounds to the next thousand tokens.
const ROUNDED: u64 = 500;

/// The limits that these headers tell of.
pub fn read(headers: &HeaderMap, now: SystemTime) -> SmallVec<[Left; 4]> {
    let mut limits: SmallVec<[Parts<'_>; 4]> = SmallVec::new();
    for (name, value) in headers {
        let Some((which, part)) = parts(name.as_str()) else { continue };
        let Ok(value) = value.to_str() else { continue };
        let at = limits.iter().position(|known| known.which == which).unwrap_or_else(|| {
            limits.push(Parts { which, ..Parts::default() });
            limits.len() - 1
        });
        match part {
            Part::Limit => limits[at].limit = number(value),
            Part::Left => limits[at].left = number(value),
            Part::Reset => limits[at].reset = wait_of(value, told_at(headers, value, now)),
        }
    }
    limits.into_iter().filter_map(Parts::left).collect()
}

/// When it was said. A date is held against the provider's own clock, if that is told: others' are never compared with ours.
fn told_at(headers: &HeaderMap, reset: &str, now: SystemTime) -> SystemTime {
    let date = || headers.get(DATE)?.to_str().ok().and_then(http_date);
    if reset.contains('T') { date().unwrap_or(now) } else { now }
}

/// What was found of one limit.
#[derive(Default)]
struct Parts<'a> {
    which: Which<'a>,
    limit: Option<u64>,
    left: Option<u64>,
    reset: Option<Duration>,
}

/// Whose limit, and which.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Which<'a> {
    anthropic: bool,
    name: &'a str,
}

enum Part {
    Limit,
    Left,
    Reset,
}

impl Parts<'_> {
    fn left(self) -> Option<Left> {
        let Which { anthropic, name } = self.which;
        let (of, per) = meaning(name)?;
        let per = if anthropic { Some(Period::Minute) } else { per };
        let limit = self.limit.filter(|limit| *limit > 0);
        let off = if anthropic && of != Measure::Requests { ROUNDED } else { 0 };
        let reset = self.reset.filter(|reset| !reset.is_zero());
        Some(Left { of, per, limit, left: self.left?, off, reset })
    }
}

/// Which limit a header is about, and what of it.
fn parts(name: &str) -> Option<(Which<'_>, Part)> {
    let which = |name| Which { anthropic: false, name };
    if let Some(rest) = name.strip_prefix("anthropic-ratelimit-") {
        let (name, last) = rest.rsplit_once('-')?;
        return Some((Which { anthropic: true, name }, part(last)?));
    }
    if let Some(rest) = name.strip_prefix("x-ratelimit-") {
        let (first, name) = rest.split_once('-').unwrap_or((rest, "requests"));
        return Some((which(name), part(first)?));
    }
    if let Some(last) = name.strip_prefix("x-trial-endpoint-call-") {
        return Some((which("req-minute"), part(last)?));
    }
    // Mistral's older ones, of which some have another name besides.
    let rest = name.strip_prefix("x-ratelimitbysize-").or_else(|| name.strip_prefix("ratelimitbysize-"))?;
    match rest.split_once('-').unwrap_or((rest, "minute")) {
        (first, "minute") => Some((which("tokens-minute"), part(first)?)),
        (first, "month") => Some((which("tokens-month"), part(first)?)),
        _ => None,
    }
}

fn part(word: &str) -> Option<Part> {
    match word {
        "limit" => Some(Part::Limit),
        "remaining" => Some(Part::Left),
        "reset" => Some(Part::Reset),
        _ => None,
    }
}

/// What a limit's name says that it counts, and over what time.
fn meaning(name: &str) -> Option<(Measure, Option<Period>)> {
    let (what, per) = match name.rsplit_once('-') {
        Some((what, "second")) => (what, Some(Period::Second)),
        Some((what, "minute")) => (what, Some(Period::Minute)),
        Some((what, "hour")) => (what, Some(Period::Hour)),
        Some((what, "day")) => (what, Some(Period::Day)),
        Some((what, "month")) => (what, Some(Period::Month)),
        _ => (name, None),
    };
    let of = match what {
        "requests" | "req" | "project-requests" => Measure::Requests,
        "tokens" | "project-tokens" | "tokens_usage_based" => Measure::Tokens,
        "input-tokens" => Measure::InputTokens,
        "output-tokens" => Measure::OutputTokens,
        _ => return None,
    };
    Some((of, per))
}

/// A whole number, perhaps with commas; providers say -1 where they have nothing to say.
fn number(text: &str) -> Option<u64> {
    let text = text.trim();
    if text.contains(',') { text.replace(',', "").parse().ok() } else { text.parse().ok() }
}

#[cfg(test)]
#[path = "quota_tests.rs"]
mod tests;
