//! What stands beside the message of an error: Google's details, Azure's inner error, Anthropic's and OpenRouter's
//! further members.

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use super::said::{Said, json};
use super::times;

/// No error carries more of anything.
const MOST: usize = 32;

/// Adds what stands beside the message of the error `value`.
pub(super) fn add(said: &mut Said, value: &Value, depth: u8) {
    // More telling than the code: Anthropic's and Azure's.
    for path in ["/details/error_code", "/innererror/code", "/metadata/error_type"] {
        if let Some(name) = value.pointer(path).and_then(Value::as_str) {
            said.names.insert(0, name.to_owned());
        }
    }
    if let Some(Value::Array(details)) = value.get("details") {
        details.iter().take(MOST).for_each(|detail| add_google(said, detail));
    }
    if let Some(metadata) = value.get("metadata") {
        add_openrouter(said, metadata, depth);
    }
    if let Some(Value::Object(headers)) = value.get("headers") {
        add_headers(&mut said.headers, headers);
    }
    add_inner(said, depth);
}

/// Some relays put the whole error of another as JSON into their message.
pub(super) fn add_inner(said: &mut Said, depth: u8) {
    let inner = said.message.trim_start().starts_with(['{', '[']).then(|| json(said.message.as_bytes()));
    let inner = inner.flatten().and_then(|inner| Said::of_value(&inner, depth + 1));
    if let Some(inner) = inner {
        said.message.clear();
        said.status = inner.status.or(said.status);
        said.take(inner);
    }
}

/// One of `google.rpc`'s error details (github.com/googleapis/googleapis, `google/rpc/error_details.proto`).
fn add_google(said: &mut Said, detail: &Value) {
    let text = |name: &str| detail.get(name).and_then(Value::as_str).unwrap_or_default();
    let kind = text("@type").rsplit('.').next().unwrap_or_default();
    match kind {
        "RetryInfo" => said.delay = said.delay.max(detail.get("retryDelay").and_then(times::proto)),
        "QuotaFailure" => {
            let violations = detail.get("violations").and_then(Value::as_array);
            for violation in violations.into_iter().flatten().take(MOST) {
                let names = ["quotaId", "quotaMetric", "subject"];
                let id = names.iter().find_map(|name| violation.get(*name)).and_then(Value::as_str);
                said.quotas.extend(id.map(str::to_owned));
                said.none_at_all |= is_zero(violation.get("quotaValue"));
            }
        }
        "ErrorInfo" => {
            said.names.insert(0, text("reason").to_owned());
            let metadata = |name: &str| detail.get("metadata").and_then(|metadata| metadata.get(name));
            said.quotas.extend(metadata("quota_limit").and_then(Value::as_str).map(str::to_owned));
            said.none_at_all |= is_zero(metadata("quota_limit_value"));
        }
        "DebugInfo" => {
            said.aside.push('\n');
            said.aside.push_str(text("detail"));
        }
        _ => {}
    }
}

fn is_zero(value: Option<&Value>) -> bool {
    value.is_some_and(|value| value.as_str() == Some("0") || value.as_u64() == Some(0))
}

/// OpenRouter's `metadata`: who failed behind it, in which words, and the headers of its own limits; `reasons` where
/// its moderation refused (openrouter.ai/docs/api-reference/errors).
fn add_openrouter(said: &mut Said, metadata: &Value, depth: u8) {
    said.relayed |= metadata.get("provider_name").is_some_and(Value::is_string);
    if metadata.get("reasons").is_some_and(Value::is_array) {
        said.names.insert(0, "content_filter".to_owned());
    }
    let inner = match metadata.get("raw") {
        Some(Value::String(raw)) => Said::read_at(raw.as_bytes(), depth + 1),
        Some(raw) => Said::of_value(raw, depth + 1),
        None => None,
    };
    if let Some(inner) = inner {
        said.take(inner);
    }
    if let Some(Value::Object(headers)) = metadata.get("headers") {
        add_headers(&mut said.headers, headers);
    }
}

fn add_headers(headers: &mut HeaderMap, members: &serde_json::Map<String, Value>) {
    for (name, value) in members.iter().take(MOST) {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            _ => continue,
        };
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), text.parse::<HeaderValue>()) {
            headers.insert(name, value);
        }
    }
}
