//! What a call puts before the model, as ranges of its body.

use std::ops::Range;

use bytes::Bytes;
use serde_json::value::RawValue;

use super::fields::{Field, Fields};
use super::{Api, BadRequest, bad, non_empty, range_in, wrong_type};
use crate::dialect::json::Cursor;

/// Where the parts of the input stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// Text, or values with text in them: messages, prompts, items, documents.
    texts: [Range<usize>; 2],
    /// Put before the model as they are: tools, functions, the form of the answer.
    schemas: [Range<usize>; 3],
    /// How often the first text is put before the model.
    pub repeats: u64,
    /// Prompts that are answered each for itself.
    pub(super) prompts: u64,
}

impl Input {
    pub(super) fn read(api: Api, text: &str, fields: &Fields<'_>) -> Result<Input, BadRequest> {
        let raw =
            |field| fields.get(field).map(RawValue::get).filter(|raw| *raw != "null").unwrap_or_default();
        let texts = match api {
            Api::Chat => [read_messages(fields.get(Field::Messages))?, ""],
            Api::Completions => [raw(Field::Prompt), raw(Field::Suffix)],
            Api::Embeddings => [required(raw(Field::Input), "input")?, ""],
            Api::Rerank => [
                required(raw(Field::Query), "query")?,
                array(required(raw(Field::Documents), "documents")?, "documents")?,
            ],
            Api::Responses => [text_or_items(raw(Field::Input))?, raw(Field::Instructions)],
        };
        let schemas = match api {
            Api::Responses => [raw(Field::Tools), raw(Field::Text), ""],
            _ => [raw(Field::Tools), raw(Field::Functions), raw(Field::ResponseFormat)],
        };
        let range = |raw: &str| if raw.is_empty() { 0..0 } else { range_in(text, raw) };
        Ok(Input {
            // A reranker reads the query with every document.
            repeats: if api == Api::Rerank { count(texts[1]) } else { 1 },
            prompts: if api == Api::Completions { prompts(texts[0]) } else { 1 },
            texts: texts.map(range),
            schemas: schemas.map(range),
        })
    }

    /// The raw values with text in them, empty where absent.
    pub fn texts<'a>(&self, body: &'a Bytes) -> [&'a [u8]; 2] {
        self.texts.clone().map(|range| body.get(range).unwrap_or_default())
    }

    /// The raw values of schemas, empty where absent.
    pub fn schemas<'a>(&self, body: &'a Bytes) -> [&'a [u8]; 3] {
        self.schemas.clone().map(|range| body.get(range).unwrap_or_default())
    }
}

fn read_messages(raw: Option<&RawValue>) -> Result<&str, BadRequest> {
    const NAME: &str = "messages";
    match raw.map(RawValue::get) {
        None | Some("null") => Err(missing(NAME)),
        Some(raw) if !raw.starts_with('[') => Err(wrong_type(NAME, "an array of objects", raw)),
        Some(raw) if !non_empty(raw) => {
            Err(bad(Some(NAME), "Invalid 'messages': empty array. Expected at least one message.".to_owned()))
        }
        Some(raw) => Ok(raw),
    }
}

fn required<'a>(raw: &'a str, name: &'static str) -> Result<&'a str, BadRequest> {
    if raw.is_empty() { Err(missing(name)) } else { Ok(raw) }
}

fn missing(name: &'static str) -> BadRequest {
    bad(Some(name), format!("Missing required parameter: '{name}'."))
}

fn array<'a>(raw: &'a str, name: &'static str) -> Result<&'a str, BadRequest> {
    if raw.starts_with('[') { Ok(raw) } else { Err(wrong_type(name, "an array", raw)) }
}

/// A Responses `input`; it may be absent where a kept prompt or conversation stands for it.
fn text_or_items(raw: &str) -> Result<&str, BadRequest> {
    match raw.as_bytes().first() {
        None | Some(b'"' | b'[') => Ok(raw),
        Some(_) => Err(wrong_type("input", "a string or an array of items", raw)),
    }
}

/// A prompt is a string or a list of token ids; several come as a list of those.
fn prompts(raw: &str) -> u64 {
    let inside = raw.strip_prefix('[').unwrap_or_default();
    match Cursor::new(inside.as_bytes()).next_byte() {
        Some(b'"' | b'[') => count(raw),
        _ => 1,
    }
}

/// Elements of a raw array, at least 1.
fn count(raw: &str) -> u64 {
    let mut count = 0;
    let walked = Cursor::new(raw.as_bytes()).elements(|cursor| {
        count += 1;
        cursor.skip()
    });
    walked.map_or(1, |()| count).max(1)
}
