//! What a failure of an OpenAI-family upstream means: whose limit was met, and whether another candidate, a pause
//! or nothing can help.
//!
//! Providers agree on statuses less than on codes, and on codes less than one would wish: a spent budget comes as
//! 429 like a busy minute, a request larger than the whole limit as 413 or 429, a withdrawn model as 400 or 404.
//! So the order is: code, then type, then status, and the wording only where a provider gives nothing else. The
//! tables below are what was observed; they drift, and an unknown failure falls back to its status.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, StatusCode};

use super::answer::{UpstreamError, parse_error};
use super::retry_after::retry_after;
use super::stream::StreamError;

/// What happened, and thereby what can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Our share of a limit is used up: the pool rests, others can serve.
    RateLimited {
        /// When the upstream says so, how long.
        retry_after: Option<Duration>,
    },
    /// The upstream has no capacity, whatever our limits say.
    Overloaded {
        /// When the upstream says so, how long.
        retry_after: Option<Duration>,
    },
    /// Money or a long-term quota is spent: waiting for the next minute does not help.
    QuotaExhausted {
        /// When the upstream says so, how long.
        retry_after: Option<Duration>,
    },
    /// The request needs more than the whole limit: only a larger pool can serve it.
    TooBigForPool,
    /// The request is longer than the model's context.
    ContextTooLong,
    /// The provider's content policy refused it.
    ContentFiltered,
    /// Our credentials are refused.
    Auth,
    /// The endpoint does not have the model, or there is no such endpoint: our configuration is wrong.
    NotFound,
    /// The account does not keep the response or the conversation that the request refers to; another may.
    NotKept,
    /// The request itself is wrong; every upstream would say so.
    BadRequest,
    /// A fault of the moment.
    Transient,
}

impl Class {
    /// Do its words tell of the provider's account: its name, limits and what others have used of them?
    pub fn tells_of_account(self) -> bool {
        match self {
            Class::RateLimited { .. }
            | Class::Overloaded { .. }
            | Class::QuotaExhausted { .. }
            | Class::TooBigForPool
            | Class::Auth => true,
            Class::ContextTooLong
            | Class::ContentFiltered
            | Class::NotFound
            | Class::NotKept
            | Class::BadRequest
            | Class::Transient => false,
        }
    }

    /// The status of a failure that came without one, inside a stream.
    pub fn status(self) -> StatusCode {
        match self {
            Class::RateLimited { .. } | Class::QuotaExhausted { .. } => StatusCode::TOO_MANY_REQUESTS,
            Class::Overloaded { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Class::TooBigForPool => StatusCode::PAYLOAD_TOO_LARGE,
            Class::ContextTooLong | Class::ContentFiltered | Class::BadRequest => StatusCode::BAD_REQUEST,
            Class::Auth => StatusCode::UNAUTHORIZED,
            Class::NotFound | Class::NotKept => StatusCode::NOT_FOUND,
            Class::Transient => StatusCode::BAD_GATEWAY,
        }
    }
}

/// A classified failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What it means.
    pub class: Class,
    /// The upstream's `x-should-retry`.
    pub should_retry: Option<bool>,
    /// What the upstream said, if it can be read.
    pub error: Option<UpstreamError>,
}

impl Failure {
    /// From an answer whose status is not a success. `now` is for dates in `retry-after`.
    pub fn of_answer(status: StatusCode, headers: &HeaderMap, body: &[u8], now: SystemTime) -> Failure {
        let error = parse_error(body);
        let class = class(status.as_u16(), headers, error.as_ref(), now);
        let should_retry = match headers.get("x-should-retry").map(|value| value.as_bytes().trim_ascii()) {
            Some(b"true") => Some(true),
            Some(b"false") => Some(false),
            _ => None,
        };
        Failure { class, should_retry, error }
    }

    /// From an error event inside a stream that began with 200. `headers` are those of the answer.
    pub fn of_stream(failed: &StreamError, headers: &HeaderMap, now: SystemTime) -> Failure {
        let status = failed.status.unwrap_or_else(|| implied_status(&failed.error));
        // The rate limit headers of a 200 describe a call that was admitted, not this error.
        let retry_after_only: HeaderMap = headers
            .iter()
            .filter(|(name, _)| name.as_str().starts_with("retry-after"))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        let class = class(status, &retry_after_only, Some(&failed.error), now);
        Failure { class, should_retry: None, error: Some(failed.error.clone()) }
    }
}

/// The status that an error would have had, from its words.
fn implied_status(error: &UpstreamError) -> u16 {
    let names = [error.code.as_deref(), error.kind.as_deref()];
    let known = |name: &str| match name {
        "invalid_request_error" | "BadRequestError" => Some(400),
        "authentication_error" => Some(401),
        "permission_error" => Some(403),
        "rate_limit_error" | "too_many_requests" => Some(429),
        _ => None,
    };
    names.into_iter().flatten().find_map(known).unwrap_or(500)
}

/// A rest this long is a quota, not a rate.
const LONG: Duration = Duration::from_secs(3600);

fn class(status: u16, headers: &HeaderMap, error: Option<&UpstreamError>, now: SystemTime) -> Class {
    let message = error.map(|e| e.message.to_ascii_lowercase()).unwrap_or_default();
    let wait = retry_after(headers, &message, now);
    if too_big(status, &message) {
        return Class::TooBigForPool;
    }
    let named = error.and_then(|e| {
        let name = |name: &Option<String>| by_name(name.as_deref().unwrap_or_default(), wait);
        name(&e.code).or_else(|| name(&e.kind))
    });
    let class =
        named.or_else(|| by_wording(status, &message, wait)).unwrap_or_else(|| by_status(status, wait));
    match class {
        Class::RateLimited { retry_after } if retry_after >= Some(LONG) || not_in_plan(headers) => {
            Class::QuotaExhausted { retry_after }
        }
        class => class,
    }
}

/// Codes and types that mean one thing at every status.
fn by_name(name: &str, retry_after: Option<Duration>) -> Option<Class> {
    Some(match name {
        "rate_limit_exceeded" | "rate_limited" | "RateLimitReached" => Class::RateLimited { retry_after },
        "slow_down"
        | "server_is_overloaded"
        | "service_unavailable_error"
        | "overloaded_error"
        | "engine_overloaded_error" => Class::Overloaded { retry_after },
        "insufficient_quota"
        | "credit_balance_exhausted"
        | "organization_spend_limit_exceeded"
        | "project_spend_limit_exceeded"
        | "organization_usage_limit_exceeded"
        | "billing_hard_limit_reached"
        | "billing_not_active" => Class::QuotaExhausted { retry_after },
        "context_length_exceeded" | "string_above_max_length" | "too_many_prompt_tokens" => {
            Class::ContextTooLong
        }
        "content_filter"
        | "content_filter_error"
        | "content_policy_violation"
        | "misalignment_policy_violation"
        | "cyber_policy"
        | "invalid_prompt"
        | "ResponsibleAIPolicyViolation" => Class::ContentFiltered,
        "invalid_api_key" | "authentication_error" => Class::Auth,
        "previous_response_not_found" | "conversation_not_found" => Class::NotKept,
        "model_not_found" | "DeploymentNotFound" | "invalid_model" => Class::NotFound,
        _ => return None,
    })
}

/// Wordings of providers that give neither a telling code nor a telling status. `message` is in lower case.
fn by_wording(status: u16, message: &str, retry_after: Option<Duration>) -> Option<Class> {
    let says = |parts: &[&str]| parts.iter().any(|part| message.contains(part));
    match status {
        400 | 413 | 422 if says(&TOO_LONG) => Some(Class::ContextTooLong),
        400 if says(&["incorrect api key"]) => Some(Class::Auth), // xAI
        400 if says(&["not a valid model id", "supported api model names", "model not found"]) => {
            Some(Class::NotFound)
        }
        400 if message.starts_with("model ") && says(&[" does not exist"]) => Some(Class::NotFound), // OpenRouter
        403 if says(&["flagged"]) => Some(Class::ContentFiltered),
        429 if says(&["exceeded your current quota"]) => Some(Class::QuotaExhausted { retry_after }),
        429 if says(&["experiencing high demand", "rate-limited upstream", "resource exhausted"]) => {
            Some(Class::Overloaded { retry_after })
        }
        _ => None,
    }
}

const TOO_LONG: [&str; 8] = [
    "maximum context length",
    "max context length",
    "context window",
    "prompt is too long",
    "prompt too long",
    "input is too long",
    "too many tokens",
    "total length of all messages is too long",
];

fn by_status(status: u16, retry_after: Option<Duration>) -> Class {
    match status {
        429 => Class::RateLimited { retry_after },
        498 | 503 | 529 => Class::Overloaded { retry_after },
        402 => Class::QuotaExhausted { retry_after },
        401 | 403 | 407 => Class::Auth,
        // A redirect is not followed: the base URL is wrong.
        300..=399 | 404 | 405 | 410 => Class::NotFound,
        408 | 409 | 424 | 425 | 499 => Class::Transient,
        400..=499 => Class::BadRequest,
        _ => Class::Transient,
    }
}

/// A request larger than the whole limit: OpenAI and Groq name both numbers ("Limit 8000, Requested 10098").
fn too_big(status: u16, message: &str) -> bool {
    if !matches!(status, 413 | 429) {
        return false;
    }
    match (number_behind(message, "limit "), number_behind(message, "requested ")) {
        (Some(limit), Some(requested)) => requested > limit,
        _ => message.starts_with("request too large for"),
    }
}

/// The number behind the last `word` that one follows.
fn number_behind(message: &str, word: &str) -> Option<u64> {
    let candidates = message.rmatch_indices(word).filter_map(|(at, _)| message.get(at + word.len()..));
    let mut numbers = candidates.filter_map(|rest| {
        let digits = rest.bytes().take_while(|b| b.is_ascii_digit() || *b == b',').collect::<Vec<u8>>();
        let digits = String::from_utf8(digits).ok()?.replace(',', "");
        digits.parse().ok()
    });
    numbers.next()
}

/// Mistral announces a limit of 0 requests for a model outside the plan.
fn not_in_plan(headers: &HeaderMap) -> bool {
    headers.get("x-ratelimit-limit-req-minute").is_some_and(|value| value.as_bytes() == b"0")
}

#[cfg(test)]
#[path = "failure_tests.rs"]
mod tests;
