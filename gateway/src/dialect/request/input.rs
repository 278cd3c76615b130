//! What a call puts before the model, as ranges of its body.

use std::ops::Range;

use bytes::Bytes;
use serde_json::value::RawValue;

use super::fields::{Field, Fields};
use super::flaw::{BadRequest, Flaw, Shape, bad, flawed};
use super::values::{non_empty, present};
use super::{Api, range_in};
use crate::dialect::json::Cursor;
use crate::dialect::voice::Voice;

/// Most values that one call puts before the model as they are.
const SCHEMAS: usize = 4;

/// Where the parts of the input stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// Text, or values with text in them: messages, prompts, items, documents.
    texts: [Range<usize>; 2],
    /// Put before the model as they are: tools, functions, the form of the answer.
    schemas: [Range<usize>; SCHEMAS],
    /// How often the first text is put before the model.
    pub repeats: u64,
    /// Input that the provider keeps, and that the request only names, is put before it.
    pub cached: bool,
    /// Prompts that are answered each for itself.
    pub(super) prompts: u64,
}

impl Input {
    /// Of OpenAI's calls.
    pub(super) fn of_openai(api: Api, text: &str, fields: &Fields<'_>) -> Result<Input, BadRequest> {
        let raw = |field| present(fields.get(field)).unwrap_or_default();
        let texts = match api {
            Api::Completions => [raw(Field::Prompt), raw(Field::Suffix)],
            Api::Embeddings => [required(raw(Field::Input), "input")?, ""],
            Api::Rerank => [
                required(raw(Field::Query), "query")?,
                array(required(raw(Field::Documents), "documents")?, "documents")?,
            ],
            Api::Responses => [text_or_items(raw(Field::Input))?, raw(Field::Instructions)],
            _ => [read_messages(Voice::OpenAi, fields.get(Field::Messages))?, ""],
        };
        let schemas = match api {
            Api::Responses => [raw(Field::Tools), raw(Field::Text), "", ""],
            _ => [raw(Field::Tools), raw(Field::Functions), raw(Field::ResponseFormat), ""],
        };
        Ok(Input {
            // A reranker reads the query with every document.
            repeats: if api == Api::Rerank { count(texts[1]) } else { 1 },
            prompts: if api == Api::Completions { prompts(texts[0]) } else { 1 },
            ..Input::new(text, texts, schemas)
        })
    }

    /// Of Anthropic's calls.
    pub(super) fn of_messages(text: &str, fields: &Fields<'_>) -> Result<Input, BadRequest> {
        let raw = |field| present(fields.get(field)).unwrap_or_default();
        let messages = read_messages(Voice::Anthropic, fields.get(Field::Messages))?;
        let system = raw(Field::System);
        if !system.is_empty() && !system.starts_with(['"', '[']) {
            return Err(flawed(Voice::Anthropic, "system", Flaw::Not(Shape::TextOrItems, system)));
        }
        let schemas = [Field::Tools, Field::OutputConfig, Field::ResponseFormat, Field::Prefill].map(raw);
        Ok(Input::new(text, [messages, system], schemas))
    }

    /// Of Google's calls; `forms` are the schemas of `generationConfig`.
    pub(super) fn of_gemini(
        api: Api,
        text: &str,
        fields: &Fields<'_>,
        forms: [&str; 2],
    ) -> Result<Input, BadRequest> {
        let raw = |field| present(fields.get(field)).unwrap_or_default();
        let (field, name) = match api {
            Api::EmbedContent => (Field::Contents, "content"),
            Api::BatchEmbedContents => (Field::Requests, "requests"),
            _ => (Field::Contents, "contents"),
        };
        let contents = raw(field);
        match contents.as_bytes().first() {
            // A list of one may be written without its brackets.
            Some(b'[' | b'{') if non_empty(contents) => {}
            Some(b'[' | b'{') | None if api == Api::GeminiCountTokens => {}
            Some(b'[' | b'{') | None => return Err(flawed(Voice::Google, name, Flaw::Missing)),
            Some(_) => return Err(flawed(Voice::Google, name, Flaw::Not(Shape::Objects, contents))),
        }
        let [one, other] = forms;
        let cached = !raw(Field::Cached).is_empty();
        Ok(Input {
            cached,
            ..Input::new(text, [contents, raw(Field::System)], [raw(Field::Tools), one, other, ""])
        })
    }

    fn new(text: &str, texts: [&str; 2], schemas: [&str; SCHEMAS]) -> Input {
        let range = |raw: &str| if raw.is_empty() { 0..0 } else { range_in(text, raw) };
        Input { repeats: 1, cached: false, prompts: 1, texts: texts.map(range), schemas: schemas.map(range) }
    }

    /// The raw values with text in them, empty where absent.
    pub fn texts<'a>(&self, body: &'a Bytes) -> [&'a [u8]; 2] {
        self.texts.clone().map(|range| body.get(range).unwrap_or_default())
    }

    /// The raw values of schemas, empty where absent.
    pub fn schemas<'a>(&self, body: &'a Bytes) -> [&'a [u8]; SCHEMAS] {
        self.schemas.clone().map(|range| body.get(range).unwrap_or_default())
    }
}

fn read_messages(voice: Voice, raw: Option<&RawValue>) -> Result<&str, BadRequest> {
    const NAME: &str = "messages";
    match present(raw) {
        None => Err(flawed(voice, NAME, Flaw::Missing)),
        Some(raw) if !raw.starts_with('[') => Err(flawed(voice, NAME, Flaw::Not(Shape::Objects, raw))),
        Some(raw) if !non_empty(raw) => Err(match voice {
            Voice::Anthropic => bad(Some(NAME), "messages: at least one message is required".to_owned()),
            Voice::OpenAi | Voice::Google => {
                let message = "Invalid 'messages': empty array. Expected at least one message.";
                bad(Some(NAME), message.to_owned())
            }
        }),
        Some(raw) => Ok(raw),
    }
}

fn required<'a>(raw: &'a str, name: &'static str) -> Result<&'a str, BadRequest> {
    if raw.is_empty() { Err(flawed(Voice::OpenAi, name, Flaw::Missing)) } else { Ok(raw) }
}

fn array<'a>(raw: &'a str, name: &'static str) -> Result<&'a str, BadRequest> {
    match raw.starts_with('[') {
        true => Ok(raw),
        false => Err(flawed(Voice::OpenAi, name, Flaw::Not(Shape::Array, raw))),
    }
}

/// A Responses `input`; it may be absent where a kept prompt or conversation stands for it.
fn text_or_items(raw: &str) -> Result<&str, BadRequest> {
    match raw.as_bytes().first() {
        None | Some(b'"' | b'[') => Ok(raw),
        Some(_) => Err(flawed(Voice::OpenAi, "input", Flaw::Not(Shape::TextOrItems, raw))),
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
