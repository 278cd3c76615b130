//! Which limit a failure is about: what it counts, and over what time.

use http::HeaderMap;

use super::said::Said;
use super::wait;

/// A limit, as far as the upstream says which.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limit {
    /// What it counts.
    pub of: Option<Measure>,
    /// Over what time.
    pub per: Option<Period>,
}

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Calls.
    Requests,
    /// Tokens of both directions.
    Tokens,
    /// Tokens of prompts.
    InputTokens,
    /// Tokens of answers.
    OutputTokens,
    /// Calls at the same time.
    Concurrency,
}

/// Over what time a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    /// A second.
    Second,
    /// A minute.
    Minute,
    /// An hour.
    Hour,
    /// A day.
    Day,
    /// A month.
    Month,
}

impl Limit {
    fn known(self) -> bool {
        self.of.is_some() || self.per.is_some()
    }

    /// What is missing here, from there.
    fn or(self, other: Limit) -> Limit {
        Limit { of: self.of.or(other.of), per: self.per.or(other.per) }
    }
}

/// The limit that the ids of quotas, the type of the error, its words or the exhausted headers name, in this order.
/// `text` is the error's in lower case.
pub(super) fn read(headers: &HeaderMap, said: &Said, text: &str) -> Limit {
    // The longest period is the one that keeps us waiting.
    let quotas = said.quotas.iter().map(|id| of_id(id)).filter(|limit| limit.known());
    let quota = quotas.max_by_key(|limit| limit.per.map(|per| per as u8)).unwrap_or_default();
    let typed = headers.get("x-ratelimit-type").and_then(|value| value.to_str().ok());
    let kinds = [said.kind.as_deref(), said.code.as_deref(), typed];
    let kind = kinds.into_iter().flatten().map(of_kind).find(|limit| limit.known()).unwrap_or_default();
    let worded = of_text(text);
    // The words may tell input from output tokens where the type does not.
    let told = quota.or(if worded.of.is_some() { worded.or(kind) } else { kind.or(worded) });
    told.or(wait::exhausted(headers)
        .or_else(|| wait::exhausted(&said.headers))
        .map_or(Limit::default(), of_id))
}

/// `GenerateContentInputTokensPerModelPerMinute-FreeTier`, `tokens-day`, `input-tokens`, `req-minute`.
fn of_id(id: &str) -> Limit {
    let id: String = id.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    let has = |parts: &[&str]| parts.iter().any(|part| id.contains(part));
    let of = match () {
        () if has(&["inputtoken"]) => Some(Measure::InputTokens),
        () if has(&["outputtoken"]) => Some(Measure::OutputTokens),
        () if has(&["token"]) => Some(Measure::Tokens),
        () if has(&["concurren"]) => Some(Measure::Concurrency),
        () if has(&["req"]) => Some(Measure::Requests),
        () => None,
    };
    let per = match () {
        () if has(&["month"]) => Some(Period::Month),
        () if has(&["day"]) => Some(Period::Day),
        () if has(&["hour"]) => Some(Period::Hour),
        () if has(&["minute"]) => Some(Period::Minute),
        () if has(&["second"]) => Some(Period::Second),
        () => None,
    };
    Limit { of, per }
}

/// Types and codes that name a measure; most names of errors hold the word "request" and mean something else.
fn of_kind(kind: &str) -> Limit {
    let of = match kind.to_ascii_lowercase().as_str() {
        "tokens" | "tokens_usage_based" | "token_quota_exceeded" => Some(Measure::Tokens),
        "input_tokens" => Some(Measure::InputTokens),
        "output_tokens" => Some(Measure::OutputTokens),
        "requests" | "request_quota_exceeded" => Some(Measure::Requests),
        _ => None,
    };
    Limit { of, per: None }
}

/// "on tokens per min (TPM)", "50,000 input tokens per minute", "20 API calls / minute", "your per-minute rate limit".
fn of_text(text: &str) -> Limit {
    let mut words: Vec<&str> = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '/').collect();
    words.retain(|word| !word.is_empty());
    let mut found = Limit { of: by_phrase(text), per: None };
    for (at, word) in words.iter().enumerate() {
        if !matches!(*word, "per" | "/") {
            continue;
        }
        let Some(per) = words.get(at + 1).and_then(|word| period(word)) else { continue };
        let before = at.checked_sub(1).and_then(|at| words.get(at)).and_then(|word| measure(word));
        let side = at.checked_sub(2).and_then(|at| words.get(at)).copied().unwrap_or_default();
        let of = match (before, side) {
            (Some(Measure::Tokens), "input" | "prompt") => Some(Measure::InputTokens),
            (Some(Measure::Tokens), "output" | "completion") => Some(Measure::OutputTokens),
            (of, _) => of,
        };
        if of.is_some() {
            return Limit { of, per: Some(per) };
        }
        found.per = found.per.or(Some(per));
    }
    found
}

fn measure(word: &str) -> Option<Measure> {
    match word {
        "token" | "tokens" => Some(Measure::Tokens),
        "request" | "requests" | "call" | "calls" | "queries" | "models" => Some(Measure::Requests),
        _ => None,
    }
}

fn period(word: &str) -> Option<Period> {
    match word {
        "s" | "sec" | "second" => Some(Period::Second),
        "m" | "min" | "minute" => Some(Period::Minute),
        "h" | "hour" => Some(Period::Hour),
        "d" | "day" => Some(Period::Day),
        "month" => Some(Period::Month),
        _ => None,
    }
}

/// Phrases that name a measure without its period.
fn by_phrase(text: &str) -> Option<Measure> {
    let says = |parts: &[&str]| parts.iter().any(|part| text.contains(part));
    match () {
        () if says(&["concurren", "too many connections"]) => Some(Measure::Concurrency),
        () if says(&[
            "token rate limit",
            "too many tokens",
            "request tokens",
            "token limit",
            "token quota",
        ]) =>
        {
            Some(Measure::Tokens)
        }
        () if says(&[
            "call rate limit",
            "request rate limit",
            "too many requests, please wait",
            "call volume",
        ]) =>
        {
            Some(Measure::Requests)
        }
        () => None,
    }
}
