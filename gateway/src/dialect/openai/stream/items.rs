//! What one event of a streamed response means for the call.
//!
//! Every event names its type; most of them carry a piece of one output item, few the whole response: at its beginning,
//! and at its end with the usage.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::classify::text_bytes;
use super::{Chunk, Event, StreamError};
use crate::dialect::json::Cursor;
use crate::dialect::openai::answer;
use crate::dialect::voice::Told;

/// A response that was begun: as much of it as is needed to say that it failed, and that it may be referred to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begun {
    /// Its id.
    pub id: String,
    /// The raw object.
    response: Bytes,
    /// The newest event.
    last: Event,
}

/// May this be `error.code` of a failed response?
pub fn is_failure_code(code: &str) -> bool {
    FAILURE_CODES.contains(&code)
}

/// OpenAI's API reference, `ResponseError`.
const FAILURE_CODES: [&str; 18] = [
    "server_error",
    "rate_limit_exceeded",
    "invalid_prompt",
    "vector_store_timeout",
    "invalid_image",
    "invalid_image_format",
    "invalid_base64_image",
    "invalid_image_url",
    "image_too_large",
    "image_too_small",
    "image_parse_error",
    "image_content_policy_violation",
    "invalid_image_mode",
    "image_file_too_large",
    "unsupported_image_media_type",
    "empty_image_file",
    "failed_to_download_image",
    "image_file_not_found",
];

impl Begun {
    /// Takes note of a later event.
    pub fn note(&mut self, event: &Event) {
        self.last = event.clone(); // its number is read only if it must be gone on from
    }

    /// `response.failed`, as the next event.
    pub fn failed(&self, told: &Told<'_>) -> Bytes {
        let mut response: Map<String, Value> = serde_json::from_slice(&self.response).unwrap_or_default();
        response.insert("id".into(), self.id.as_str().into());
        response.insert("object".into(), "response".into());
        response.insert("status".into(), "failed".into());
        let code = told.code.filter(|code| is_failure_code(code)).unwrap_or("server_error");
        response.insert("error".into(), json!({ "code": code, "message": told.message }));
        let event = json!({
            "type": "response.failed", "sequence_number": sequence_of(&self.last).map_or(0, |last| last.saturating_add(1)), "response": response,
        });
        format!("event: response.failed\ndata: {event}\n\n").into()
    }
}

/// Reads an event.
pub(super) fn classify(event: &Event) -> Chunk {
    let Some(data) = event.data() else { return Chunk::Comment };
    let data = data.trim_ascii();
    if data == b"[DONE]" {
        return Chunk::Done; // some servers send it here as well
    }
    let mut seen = Seen::default();
    let whole = Cursor::new(data).members(|cursor, key| seen.member(cursor, key));
    let kind = match seen.kind {
        b"" if event.is_named(b"error") || seen.error => b"error",
        kind => kind,
    };
    match (whole, kind) {
        (_, b"error") => Chunk::Error(StreamError::read(data)),
        (_, b"response.failed") => Chunk::Error(StreamError::read(seen.response)),
        (None, _) => Chunk::NoContent,
        (_, b"response.completed" | b"response.incomplete") => {
            Chunk::Finished { usage: answer::usage_of(seen.response) }
        }
        (_, b"response.created") => begun(event, &seen).map_or(Chunk::NoContent, Chunk::Begun),
        (_, b"response.in_progress" | b"response.queued") => Chunk::NoContent,
        _ => Chunk::Content { output_bytes: if seen.is_delta() { text_bytes(seen.delta) } else { 0 } },
    }
}

fn begun(event: &Event, seen: &Seen<'_>) -> Option<Begun> {
    let id = answer::id_of(seen.response)?;
    // A slice of the event's own buffer where its data stands in one line, which is the rule.
    let inside = event.raw.as_ptr_range().contains(&seen.response.as_ptr());
    let response =
        if inside { event.raw.slice_ref(seen.response) } else { Bytes::copy_from_slice(seen.response) };
    Some(Begun { id, response, last: event.clone() })
}

fn sequence_of(event: &Event) -> Option<u64> {
    let data = event.data()?;
    let mut seen = Seen::default();
    Cursor::new(data.trim_ascii()).members(|cursor, key| seen.member(cursor, key))?;
    seen.sequence
}

/// What the walk over one event found.
#[derive(Default)]
struct Seen<'a> {
    kind: &'a [u8],
    response: &'a [u8],
    delta: &'a [u8],
    sequence: Option<u64>,
    error: bool,
}

impl<'a> Seen<'a> {
    fn member(&mut self, cursor: &mut Cursor<'a>, key: &'a [u8]) -> Option<()> {
        match key {
            b"type" if cursor.next_byte()? == b'"' => self.kind = cursor.string()?,
            b"response" => self.response = cursor.value()?,
            b"delta" => self.delta = cursor.value()?,
            b"sequence_number" => {
                let raw = std::str::from_utf8(cursor.value()?).ok()?;
                self.sequence = raw.parse().ok();
            }
            b"error" => self.error = cursor.value()? != b"null",
            _ => cursor.skip()?,
        }
        Some(())
    }

    /// A piece of text, reasoning, arguments or code; sound and images are not counted in bytes of text.
    fn is_delta(&self) -> bool {
        self.delta.starts_with(b"\"") && !self.kind.starts_with(b"response.audio.")
    }
}

#[cfg(test)]
#[path = "items_tests.rs"]
mod tests;
