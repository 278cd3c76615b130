//! What a client is told of a call that is not served, and the body that says so.

use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};

use super::{Voice, words};
use crate::dialect::json::push_string;
use crate::dialect::openai::answer::{UpstreamError, error_body};

/// A failure as a client is told of it, in no voice yet.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a> {
    /// The answer's status, or the one that it would have had.
    pub status: StatusCode,
    /// A sentence.
    pub message: &'a str,
    /// The upstream's word for the kind of error, in whichever dialect; nothing where the error is ours.
    pub kind: Option<&'a str>,
    /// OpenAI's `code`, or another name.
    pub code: Option<&'a str>,
    /// The request's field that is to blame.
    pub param: Option<&'a str>,
    /// When to come back.
    pub retry_after: Option<Duration>,
    /// The id of the request; empty where it is not known.
    pub request: &'a str,
}

impl<'a> Told<'a> {
    /// An error with nothing but a message.
    pub fn new(status: StatusCode, message: &'a str) -> Told<'a> {
        Told { status, message, kind: None, code: None, param: None, retry_after: None, request: "" }
    }

    /// What an upstream says after it has begun to answer: the status is the one that its words stand for.
    pub fn upstream(said: &'a UpstreamError) -> Told<'a> {
        let words = [&said.code, &said.kind].into_iter().flatten();
        let status = words.filter_map(|word| words::status_of(word)).next();
        Told::new(status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), "").saying(said)
    }

    /// The same, in an upstream's own words.
    pub fn saying(self, said: &'a UpstreamError) -> Told<'a> {
        let (kind, code, param) = (said.kind.as_deref(), said.code.as_deref(), said.param.as_deref());
        Told { message: &said.message, kind, code, param, ..self }
    }

    /// The body of the answer, which is one line.
    pub fn body(&self, voice: Voice) -> Vec<u8> {
        match voice {
            Voice::OpenAi => self.openai(),
            Voice::Anthropic => self.anthropic(),
            Voice::Google => self.google(),
        }
    }

    fn openai(&self) -> Vec<u8> {
        let own = self.kind.filter(|word| words::is_openai(word));
        // Google's `code` is the status once more.
        let code =
            self.code.filter(|word| words::is_openai_code(word) && word.parse() != Ok(self.status.as_u16()));
        error_body(self.message, own.unwrap_or(words::openai(self.status)), code, self.param)
    }

    fn anthropic(&self) -> Vec<u8> {
        let mut out = b"{\"type\":\"error\",\"error\":{\"type\":".to_vec();
        push_string(&mut out, words::anthropic(self.status, self.kind));
        out.extend_from_slice(b",\"message\":");
        push_string(&mut out, self.message);
        out.extend_from_slice(b"},\"request_id\":");
        match self.request {
            "" => out.extend_from_slice(b"null"),
            id => push_string(&mut out, id),
        }
        out.push(b'}');
        out
    }

    fn google(&self) -> Vec<u8> {
        let status = words::google(self.status, self.kind.or(self.code));
        let mut error = json!({"code": self.status.as_u16(), "message": self.message, "status": status});
        let details = self.details();
        if !details.is_empty() {
            error["details"] = details.into();
        }
        json!({ "error": error }).to_string().into_bytes()
    }

    /// What Google's API adds for programs (`google/rpc/error_details.proto`).
    fn details(&self) -> Vec<Value> {
        let mut details = Vec::new();
        if self.status == StatusCode::UNAUTHORIZED {
            details.push(json!({
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": "API_KEY_INVALID",
                "domain": "googleapis.com",
            }));
        }
        if let Some(field) = self.param.filter(|_| self.status == StatusCode::BAD_REQUEST) {
            details.push(json!({
                "@type": "type.googleapis.com/google.rpc.BadRequest",
                "fieldViolations": [{"field": field, "description": self.message}],
            }));
        }
        if let Some(time) = self.retry_after {
            details.push(json!({
                "@type": "type.googleapis.com/google.rpc.RetryInfo",
                "retryDelay": duration(time),
            }));
        }
        details
    }
}

/// As JSON has a `google.protobuf.Duration`: seconds, with three digits behind the point or none.
fn duration(time: Duration) -> String {
    // Rounded up: who comes back a moment too soon is refused again.
    let ms = time.as_nanos().div_ceil(1_000_000);
    match ms % 1000 {
        0 => format!("{}s", ms / 1000),
        rest => format!("{}.{rest:03}s", ms / 1000),
    }
}

#[cfg(test)]
#[path = "told_tests.rs"]
mod tests;
