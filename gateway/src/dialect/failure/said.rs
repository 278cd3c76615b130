//! An error as an upstream words it, in whichever of the providers' shapes.

use std::time::Duration;

use http::HeaderMap;
use serde_json::Value;

use super::details;
use crate::dialect::openai::answer::UpstreamError;

/// An error larger than this is none that anybody reads.
const READ: usize = 64 << 10;
/// As much of a text without structure is looked at.
const LOOKED_AT: usize = 2000;
/// Errors stand inside errors (OpenRouter's `metadata.raw`, relays' messages), but not deeper than this.
const DEEPEST: u8 = 3;

/// What was said; what was left out is empty.
#[derive(Default)]
pub(super) struct Said {
    /// For people.
    pub(super) message: String,
    /// `type`.
    pub(super) kind: Option<String>,
    /// `code`; a number in its decimal form.
    pub(super) code: Option<String>,
    /// `param`.
    pub(super) param: Option<String>,
    /// The status that the error itself names.
    pub(super) status: Option<u16>,
    /// Everything that may name the error, the most telling first: codes, types, reasons.
    pub(super) names: Vec<String>,
    /// Further texts, which no client sees: details and errors inside this one.
    pub(super) aside: String,
    /// Quotas of Google that were exceeded, by their ids.
    pub(super) quotas: Vec<String>,
    /// Google's `RetryInfo`.
    pub(super) delay: Option<Duration>,
    /// Headers that the error itself carries (OpenRouter's `metadata.headers`, `headers` of Responses errors).
    pub(super) headers: HeaderMap,
    /// A relay (OpenRouter) passes on the failure of a provider behind it.
    pub(super) relayed: bool,
    /// A quota whose limit is 0: this account never has the model.
    pub(super) none_at_all: bool,
}

impl Said {
    /// Reads a body. Text without structure counts as a message; a page of HTML, binary bytes and nothing are `None`.
    pub(super) fn read(body: &[u8]) -> Option<Said> {
        Said::read_at(body, 0)
    }

    pub(super) fn read_at(body: &[u8], depth: u8) -> Option<Said> {
        if depth > DEEPEST {
            return None;
        }
        match json(body) {
            Some(Value::String(text)) => Said::of_text(text.as_bytes()),
            Some(whole) => Said::of_value(&whole, depth),
            None => Said::of_text(body),
        }
    }

    fn of_text(text: &[u8]) -> Option<Said> {
        let text = text.trim_ascii();
        let text = text.get(..LOOKED_AT).unwrap_or(text);
        let told = !text.is_empty() && text.first() != Some(&b'<') && !text.contains(&0);
        told.then(|| Said { message: String::from_utf8_lossy(text).into_owned(), ..Said::default() })
    }

    /// Reads an error in any of the shapes: nested under `error` (most), flat (Mistral, Cohere, AWS), `error` as a
    /// string (xAI, Ollama), FastAPI's `detail`, a list of `errors`, and a list of one of these (Gemini's streams).
    pub(super) fn of_value(whole: &Value, depth: u8) -> Option<Said> {
        if depth > DEEPEST {
            return None;
        }
        let members = match whole {
            Value::Array(items) => return Said::of_value(items.first()?, depth + 1),
            other => other.as_object()?,
        };
        let nested = ["error", "detail", "errors"].iter().find_map(|name| members.get(*name));
        let mut said = match nested {
            // Beside a message it is the name of the error.
            Some(Value::String(name)) if members.get("message").is_some_and(Value::is_string) => {
                Said { names: vec![name.clone()], ..Said::default() }
            }
            Some(Value::String(message)) => Said { message: message.clone(), ..Said::default() },
            Some(Value::Array(faults)) if !faults.is_empty() => first_fault(faults, depth)?,
            Some(nested @ Value::Object(members)) if !members.is_empty() => {
                Said::of_value(nested, depth + 1)?
            }
            _ => Said::default(),
        };
        said.describe(whole, depth);
        // What surrounds an error may be the client's: a failed response repeats its `metadata`.
        if nested.is_none() {
            details::add(&mut said, whole, depth);
        }
        (!said.is_empty()).then_some(said)
    }

    /// Takes what an object says by itself; what was read from inside it counts more.
    fn describe(&mut self, value: &Value, depth: u8) {
        let text = |name: &str| match value.get(name)? {
            Value::String(text) if !text.is_empty() => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        if let Some(Value::Object(_)) = value.get("message") {
            // Mistral wraps FastAPI's `detail` so.
            if let Some(inner) = value.get("message").and_then(|inner| Said::of_value(inner, depth + 1)) {
                self.take(inner);
            }
        }
        let message =
            ["message", "Message", "error_message", "msg", "title"].iter().find_map(|name| text(name));
        self.message = [std::mem::take(&mut self.message), message.unwrap_or_default()]
            .into_iter()
            .find(|message| !message.is_empty())
            .unwrap_or_default();
        // The frames of streams have a `type` of their own around the error's.
        let kind = text("type").filter(|kind| kind != "error" && !kind.starts_with("response."));
        let code = text("code").or_else(|| text("Code"));
        let further = ["error_type", "__type", "status"].map(text);
        self.names.extend([code.clone(), kind.clone()].into_iter().chain(further).flatten());
        self.kind = self.kind.take().or(kind);
        self.code = self.code.take().or(code);
        self.param = self.param.take().or_else(|| text("param"));
        self.status = self.status.or_else(|| status_of(value));
    }

    /// Takes the words of an error inside this one.
    pub(super) fn take(&mut self, inner: Said) {
        self.aside.push('\n');
        self.aside.push_str(&inner.message);
        self.aside.push_str(&inner.aside);
        if self.message.is_empty() || self.message.eq_ignore_ascii_case("provider returned error") {
            self.message = inner.message;
        }
        self.names.extend(inner.names);
        self.quotas.extend(inner.quotas);
        self.delay = self.delay.max(inner.delay);
        self.param = self.param.take().or(inner.param);
        self.none_at_all |= inner.none_at_all;
    }

    /// From an error that was read elsewhere.
    pub(super) fn of_error(error: &UpstreamError, status: Option<u16>) -> Said {
        let UpstreamError { message, kind, code, param } = error.clone();
        let mut said = Said { message, param, status, ..Said::default() };
        said.names.extend([code.clone(), kind.clone()].into_iter().flatten());
        (said.kind, said.code) = (kind, code);
        details::add_inner(&mut said, 0);
        said
    }

    /// From a kind and a message.
    pub(super) fn of_words(kind: &str, message: &str) -> Said {
        let kind = Some(kind.to_owned()).filter(|kind| !kind.is_empty());
        Said::of_error(&UpstreamError { message: message.to_owned(), kind, ..UpstreamError::default() }, None)
    }

    /// Nothing that anybody could read?
    pub(super) fn is_empty(&self) -> bool {
        self.message.is_empty() && self.names.is_empty() && self.aside.trim().is_empty()
    }

    /// `x-amzn-errortype`, which comes before everything else.
    pub(super) fn add_aws_name(&mut self, headers: &HeaderMap) {
        if let Some(name) = headers.get("x-amzn-errortype").and_then(|value| value.to_str().ok()) {
            self.names.insert(0, name.to_owned());
        }
    }

    /// The upstream's word on retrying: `x-should-retry` (OpenAI, Anthropic), or what errors inside Responses streams
    /// carry in its place.
    pub(super) fn should_retry(&self, headers: &HeaderMap) -> Option<bool> {
        let flag = |headers: &HeaderMap| match headers.get("x-should-retry")?.as_bytes().trim_ascii() {
            b"true" => Some(true),
            b"false" => Some(false),
            _ => None,
        };
        let never = self.headers.get("x-retry-metadata").is_some_and(|value| value == "NO_MORE_RETRY");
        flag(headers).or_else(|| flag(&self.headers)).or(never.then_some(false))
    }

    /// Everything that was said, in lower case.
    pub(super) fn text(&self) -> String {
        format!("{}\n{}", self.message, self.aside).to_ascii_lowercase()
    }
}

/// Reads JSON that is short enough to be an error's.
pub(super) fn json(body: &[u8]) -> Option<Value> {
    body.get(..=READ).is_none().then(|| serde_json::from_slice(body.trim_ascii()).ok()).flatten()
}

/// The status inside an error, where it is a number: `code` (Google, OpenRouter), `status_code` (Groq), `status`,
/// `statusCode` (APIM), `raw_status_code` (Mistral).
fn status_of(value: &Value) -> Option<u16> {
    ["status_code", "status", "statusCode", "raw_status_code", "code"].iter().find_map(|name| {
        let value = value.get(name)?;
        let number = value.as_u64().or_else(|| value.as_str()?.parse().ok())?;
        u16::try_from(number).ok().filter(|status| (400..600).contains(status))
    })
}

/// FastAPI's list of `{"loc": [...], "msg", "type"}`, or a list of errors.
fn first_fault(faults: &[Value], depth: u8) -> Option<Said> {
    let fault = faults.first()?;
    let mut said = match fault {
        Value::String(message) => Said { message: message.clone(), ..Said::default() },
        other => Said::of_value(other, depth + 1)?,
    };
    let place = fault.get("loc").and_then(Value::as_array);
    let last = place.and_then(|path| path.last()).and_then(Value::as_str);
    said.param = said.param.or_else(|| last.map(str::to_owned));
    Some(said)
}
