//! The words that each API has for kinds of errors, and the status that each stands for.
//!
//! Anthropic's: <https://platform.claude.com/docs/en/api/errors>. Google's: `google/rpc/code.proto`, with the status that it
//! gives to each. OpenAI's `type` is an open set of which only the usual are written by us.

use http::StatusCode;

/// Anthropic's `type`s.
const ANTHROPIC: [(&str, u16); 10] = [
    ("invalid_request_error", 400),
    ("authentication_error", 401),
    ("billing_error", 402),
    ("permission_error", 403),
    ("not_found_error", 404),
    ("request_too_large", 413),
    ("rate_limit_error", 429),
    ("api_error", 500),
    ("timeout_error", 504),
    ("overloaded_error", 529),
];

/// Those of them that OpenAI does not use.
const ANTHROPIC_ALONE: [&str; 6] = [
    "billing_error",
    "not_found_error",
    "request_too_large",
    "api_error",
    "timeout_error",
    "overloaded_error",
];

/// Google's statuses.
const GOOGLE: [(&str, u16); 16] = [
    ("INVALID_ARGUMENT", 400),
    ("FAILED_PRECONDITION", 400),
    ("OUT_OF_RANGE", 400),
    ("UNAUTHENTICATED", 401),
    ("PERMISSION_DENIED", 403),
    ("NOT_FOUND", 404),
    ("ABORTED", 409),
    ("ALREADY_EXISTS", 409),
    ("RESOURCE_EXHAUSTED", 429),
    ("CANCELLED", 499),
    ("INTERNAL", 500),
    ("DATA_LOSS", 500),
    ("UNKNOWN", 500),
    ("UNIMPLEMENTED", 501),
    ("UNAVAILABLE", 503),
    ("DEADLINE_EXCEEDED", 504),
];

/// Types and codes of OpenAI, and AWS' exceptions, where they say more than that something failed.
const OTHERS: [(&str, u16); 17] = [
    ("invalid_api_key", 401),
    ("model_not_found", 404),
    ("context_length_exceeded", 400),
    ("content_filter", 400),
    ("rate_limit_exceeded", 429),
    ("insufficient_quota", 429),
    ("tokens", 429),
    ("requests", 429),
    ("server_error", 500),
    ("service_unavailable_error", 503),
    ("server_is_overloaded", 503),
    ("slow_down", 503),
    ("validationException", 400),
    ("throttlingException", 429),
    ("modelStreamErrorException", 424),
    ("serviceUnavailableException", 503),
    ("modelTimeoutException", 504),
];

fn find(words: &[(&'static str, u16)], word: &str) -> Option<(&'static str, u16)> {
    words.iter().find(|(name, _)| *name == word).copied()
}

/// The status that an error of this kind has, in whichever dialect it was said.
pub(super) fn status_of(word: &str) -> Option<StatusCode> {
    let known = [&ANTHROPIC[..], &GOOGLE, &OTHERS].into_iter().find_map(|words| find(words, word));
    StatusCode::from_u16(known?.1).ok()
}

/// A code that OpenAI's clients may meet. One of Anthropic's words is also our code for a request that is too large.
pub(super) fn is_openai_code(word: &str) -> bool {
    word == "request_too_large" || is_openai(word)
}

/// A word that OpenAI's clients may meet: theirs is an open set, but others' words are not in it.
pub(super) fn is_openai(word: &str) -> bool {
    find(&GOOGLE, word).is_none() && !ANTHROPIC_ALONE.contains(&word) && !word.ends_with("Exception")
}

/// OpenAI's `type` for a status.
pub(super) fn openai(status: StatusCode) -> &'static str {
    match status.as_u16() {
        403 => "permission_error",
        429 => "rate_limit_error",
        400..=499 => "invalid_request_error",
        503 => "service_unavailable_error",
        _ => "server_error",
    }
}

/// Anthropic's `type` for a status, and for the word that was said if that is one of its own.
pub(super) fn anthropic(status: StatusCode, said: Option<&str>) -> &'static str {
    if let Some((word, _)) = said.and_then(|word| find(&ANTHROPIC, word)) {
        return word;
    }
    match status.as_u16() {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        400..=499 => "invalid_request_error",
        504 => "timeout_error",
        // 529 is Anthropic's own; ours is the status that everybody knows.
        503 | 529 => "overloaded_error",
        _ => "api_error",
    }
}

/// Google's `status` for a status, and for the word that was said if that is one of its own.
pub(super) fn google(status: StatusCode, said: Option<&str>) -> &'static str {
    if let Some((word, _)) = said.and_then(|word| find(&GOOGLE, word)) {
        return word;
    }
    match status.as_u16() {
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        409 => "ABORTED",
        429 => "RESOURCE_EXHAUSTED",
        499 => "CANCELLED",
        408 | 504 => "DEADLINE_EXCEEDED",
        400..=499 => "INVALID_ARGUMENT",
        501 => "UNIMPLEMENTED",
        503 | 529 => "UNAVAILABLE",
        _ => "INTERNAL",
    }
}
