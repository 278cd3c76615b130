//! What the gateway needs to know of a request, and the request as the upstream gets it.
//!
//! The body passes through byte for byte, so it is never rebuilt: [`peek`] validates it once with borrowed serde
//! and keeps ranges, [`rewrite`] splices two places. What is read here decides what is reserved and charged, so a
//! second reading by somebody else must not come out differently: a field that we read may stand in the body only
//! once, under its exact name (Go servers match names without regard to case), and its value must have the type
//! that OpenAI documents. Everything else is left to the upstream to judge.

mod continues;
mod fields;
mod input;
mod rewrite;

use std::ops::Range;

use bytes::Bytes;
use serde_json::value::RawValue;

use super::api::Api;
use crate::dialect::json::{self, Cursor};
pub use continues::Continues;
use fields::{Field, Fields, read_fields};
pub use input::Input;
pub use rewrite::rewrite;
use rewrite::{ModelPlace, Splice, StreamOptions};

/// Deepest nesting of arrays and objects; what serde_json itself allows when it builds values.
const MAX_DEPTH: u32 = 128;
/// Longest model name, bytes: it is looked up, logged and quoted in errors.
const MAX_MODEL: usize = 256;
/// Largest believable output bound, tokens.
const MAX_TOKENS: u64 = 1 << 32;
/// Largest `n` that OpenAI documents.
const MAX_CHOICES: u64 = 128;

/// A request that cannot be served as written. Both texts are for the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRequest {
    /// What is wrong, in a sentence.
    pub message: String,
    /// The field, as OpenAI's error body names it.
    pub param: Option<&'static str>,
}

/// What the gateway reads of a request. What it keeps of positions is meant for the body that was peeked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peek {
    /// Which call it is.
    pub api: Api,
    /// The model asked for.
    pub model: String,
    /// The answer is to be streamed.
    pub stream: bool,
    /// The client asked for the usage chunk itself, or gets usage anyway.
    pub include_usage: bool,
    /// The largest of the output bounds that the request sets, tokens per choice; 0 if it generates nothing.
    pub max_output: Option<u64>,
    /// Choices asked for, at least 1.
    pub choices: u64,
    /// Tools or functions are offered.
    pub has_tools: bool,
    /// What it continues that a provider has kept.
    pub continues: Option<Continues>,
    /// The provider keeps the answer, for later calls to refer to.
    pub kept: bool,
    /// The answer is made after the call has ended.
    pub background: bool,
    input: Input,
    model_place: ModelPlace,
    usage_splice: Option<Splice>,
}

impl Peek {
    /// What is put before the model, for its weight.
    pub fn input(&self) -> &Input {
        &self.input
    }
}

/// Reads and checks the body of a call. `named` is the model that the path names instead.
pub fn peek(api: Api, body: &Bytes, named: Option<&str>) -> Result<Peek, BadRequest> {
    let text = std::str::from_utf8(body)
        .map_err(|err| bad(None, format!("The request body is not UTF-8 at byte {}.", err.valid_up_to())))?;
    let fields = read_fields(api, text)?;
    bound_depth(body)?;

    let written = fields.get(Field::Model).map(RawValue::get);
    let model = match named {
        Some(name) => bounded_model(name.to_owned())?,
        None => read_model(written)?,
    };
    let input = Input::read(api, text, &fields)?;
    let stream = read_bool(fields.get(Field::Stream), "stream")?.unwrap_or(false);
    let options = StreamOptions::read(fields.get(Field::StreamOptions))?;
    let model_place = ModelPlace::new(text, written, named.is_some(), fields.is_empty());
    let ask = stream && api.asks_for_usage() && !options.include_usage;
    let background = read_bool(fields.get(Field::Background), "background")?.unwrap_or(false);
    Ok(Peek {
        api,
        stream,
        include_usage: !ask,
        max_output: read_max_output(api, &fields)?,
        choices: read_choices(&fields)?.saturating_mul(input.prompts),
        has_tools: [Field::Tools, Field::Functions].iter().any(|f| non_empty_array(fields.get(*f))),
        continues: Continues::read(&fields)?,
        kept: api == Api::Responses
            && (read_bool(fields.get(Field::Store), "store")?.unwrap_or(true) || background),
        background,
        input,
        usage_splice: ask.then(|| options.splice(text, &model_place)),
        model,
        model_place,
    })
}

fn read_model(raw: Option<&str>) -> Result<String, BadRequest> {
    const NAME: &str = "model";
    let raw = raw
        .filter(|raw| *raw != "null")
        .ok_or_else(|| bad(Some(NAME), "You must provide a model parameter.".to_owned()))?;
    if !raw.starts_with('"') {
        return Err(wrong_type(NAME, "a string", raw));
    }
    let model: String = serde_json::from_str(raw)
        .map_err(|_| bad(Some(NAME), "Invalid 'model': the string holds a lone surrogate.".to_owned()))?;
    bounded_model(model)
}

fn bounded_model(model: String) -> Result<String, BadRequest> {
    if model.is_empty() || model.len() > MAX_MODEL {
        let message = format!("Invalid 'model': it must be 1 to {MAX_MODEL} bytes long.");
        return Err(bad(Some("model"), message));
    }
    Ok(model)
}

fn read_bool(raw: Option<&RawValue>, name: &'static str) -> Result<Option<bool>, BadRequest> {
    match raw.map(RawValue::get) {
        None | Some("null") => Ok(None),
        Some("true") => Ok(Some(true)),
        Some("false") => Ok(Some(false)),
        Some(raw) => Err(wrong_type(name, "a boolean", raw)),
    }
}

/// A whole number between `least` and `most`.
fn read_count(
    raw: Option<&RawValue>,
    name: &'static str,
    least: u64,
    most: u64,
) -> Result<Option<u64>, BadRequest> {
    let Some(raw) = raw.map(RawValue::get).filter(|raw| *raw != "null") else { return Ok(None) };
    let digits = raw.strip_prefix('-').unwrap_or(raw);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(wrong_type(name, "an integer", raw));
    }
    match raw.parse::<u64>() {
        Ok(count) if (least..=most).contains(&count) => Ok(Some(count)),
        _ => Err(bad(
            Some(name),
            format!("Invalid '{name}': integer out of range. Expected {least} to {most}."),
        )),
    }
}

/// The largest bound that any reader of the body could honour. Only the call's own names make a bound; a name of
/// another call can raise it, but an upstream that does not know that name would generate past it.
fn read_max_output(api: Api, fields: &Fields<'_>) -> Result<Option<u64>, BadRequest> {
    if !api.generates() {
        return Ok(Some(0));
    }
    let read = |(field, name)| read_count(fields.get(field), name, 0, MAX_TOKENS);
    let max_tokens = read((Field::MaxTokens, "max_tokens"))?;
    let of_chat = max_tokens.max(read((Field::MaxCompletionTokens, "max_completion_tokens"))?);
    let of_responses = read((Field::MaxOutputTokens, "max_output_tokens"))?;
    let (own, other) = match api {
        Api::Responses => (of_responses, of_chat),
        _ => (of_chat, of_responses),
    };
    Ok(own.map(|own| own.max(other.unwrap_or(0))))
}

/// `n`, or `best_of` if that is more: all of those are generated.
fn read_choices(fields: &Fields<'_>) -> Result<u64, BadRequest> {
    let read = |field, name| read_count(fields.get(field), name, 1, MAX_CHOICES);
    let best_of = read(Field::BestOf, "best_of")?.unwrap_or(1);
    Ok(read(Field::Choices, "n")?.unwrap_or(1).max(best_of))
}

fn non_empty_array(raw: Option<&RawValue>) -> bool {
    raw.is_some_and(|raw| raw.get().starts_with('[') && non_empty(raw.get()))
}

/// Does a raw array or object have content? The first byte behind the bracket that is not white space tells.
fn non_empty(raw: &str) -> bool {
    let inside = raw.get(1..).unwrap_or_default();
    !matches!(Cursor::new(inside.as_bytes()).next_byte(), None | Some(b']' | b'}'))
}

/// Refuses nesting that a recursive reader behind us might not survive. serde_json skips values without recursion
/// and without a bound. The count of brackets settles nearly every body at the speed of a vector loop.
fn bound_depth(body: &[u8]) -> Result<(), BadRequest> {
    // 0x20 is all that '[' and '{' differ in.
    let opened = body.chunks(128).map(|part| part.iter().map(|b| u8::from(b | 0x20 == b'{')).sum::<u8>());
    if opened.map(u32::from).sum::<u32>() <= MAX_DEPTH {
        return Ok(());
    }
    let mut depth = 0u32;
    let mut at = 0;
    while let Some(&byte) = body.get(at) {
        match byte {
            b'"' => at = json::end_of_string(body, at + 1).unwrap_or(body.len()),
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return Err(bad(None, format!("The request body nests deeper than {MAX_DEPTH} levels.")));
        }
        at += 1;
    }
    Ok(())
}

/// Where `part`, a slice of `text`, stands in it.
fn range_in(text: &str, part: &str) -> Range<usize> {
    let start = (part.as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
    start..start + part.len()
}

fn wrong_type(name: &'static str, expected: &str, raw: &str) -> BadRequest {
    let got = match raw.as_bytes().first() {
        Some(b'"') => "a string",
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "another number",
    };
    bad(Some(name), format!("Invalid type for '{name}': expected {expected}, but got {got} instead."))
}

fn bad(param: Option<&'static str>, message: String) -> BadRequest {
    BadRequest { message, param }
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
