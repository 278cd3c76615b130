//! Values of members by their types.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::fields::{Field, Fields};
use super::flaw::{BadRequest, Flaw, Shape, bad, flawed};
use crate::dialect::json::Cursor;
use crate::dialect::openai::answer::Service;
use crate::dialect::voice::Voice;

/// Longest model name, bytes: it is looked up, logged and quoted in errors.
const MAX_MODEL: usize = 256;
/// Largest believable output bound, tokens.
pub(super) const MAX_TOKENS: u64 = 1 << 32;
/// Largest `n` that OpenAI documents; nobody allows more.
pub(super) const MAX_CHOICES: u64 = 128;

/// The raw value, if there is one that is not `null`.
pub(super) fn present(raw: Option<&RawValue>) -> Option<&str> {
    raw.map(RawValue::get).filter(|raw| *raw != "null")
}

pub(super) fn read_model(voice: Voice, raw: Option<&RawValue>) -> Result<String, BadRequest> {
    const NAME: &str = "model";
    let raw = present(raw).ok_or_else(|| match voice {
        Voice::OpenAi => bad(Some(NAME), "You must provide a model parameter.".to_owned()),
        Voice::Anthropic | Voice::Google => flawed(voice, NAME, Flaw::Missing),
    })?;
    if !raw.starts_with('"') {
        return Err(flawed(voice, NAME, Flaw::Not(Shape::Text, raw)));
    }
    let model: String = serde_json::from_str(raw)
        .map_err(|_| bad(Some(NAME), "Invalid 'model': the string holds a lone surrogate.".to_owned()))?;
    bounded_model(model)
}

pub(super) fn bounded_model(model: String) -> Result<String, BadRequest> {
    if model.is_empty() || model.len() > MAX_MODEL {
        let message = format!("Invalid 'model': it must be 1 to {MAX_MODEL} bytes long.");
        return Err(bad(Some("model"), message));
    }
    Ok(model)
}

pub(super) fn read_bool(
    voice: Voice,
    raw: Option<&RawValue>,
    name: &'static str,
) -> Result<Option<bool>, BadRequest> {
    match present(raw) {
        None => Ok(None),
        Some("true") => Ok(Some(true)),
        Some("false") => Ok(Some(false)),
        Some(raw) => Err(flawed(voice, name, Flaw::Not(Shape::Bool, raw))),
    }
}

/// A whole number between `least` and `most`. Google's JSON writes a number as a string as well.
pub(super) fn read_count(
    voice: Voice,
    raw: Option<&RawValue>,
    name: &'static str,
    (least, most): (u64, u64),
) -> Result<Option<u64>, BadRequest> {
    let Some(raw) = present(raw) else { return Ok(None) };
    let number = match voice {
        Voice::OpenAi | Voice::Anthropic => raw,
        Voice::Google => raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(raw),
    };
    let digits = number.strip_prefix('-').unwrap_or(number);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(flawed(voice, name, Flaw::Not(Shape::Integer, raw)));
    }
    match number.parse::<u64>() {
        Ok(count) if (least..=most).contains(&count) => Ok(Some(count)),
        _ => Err(flawed(voice, name, Flaw::Outside(least, most))),
    }
}

/// In which way a call asks to be served. What has no name here, and two ways at once, may be any.
pub(super) fn read_service(fields: &Fields<'_>) -> Service {
    let of = |field| present(fields.get(field)).map_or(Service::Standard, asked_service);
    match (of(Field::Service), of(Field::Speed)) {
        (asked, Service::Standard) | (Service::Standard, asked) => asked,
        _ => Service::Other,
    }
}

fn asked_service(raw: &str) -> Service {
    match serde_json::from_str::<Cow<'_, str>>(raw).as_deref() {
        Ok("standard_only") => Service::Standard, // Anthropic's
        Ok(word) => Service::of(word),
        Err(_) => Service::Other,
    }
}

pub(super) fn non_empty_array(raw: Option<&RawValue>) -> bool {
    raw.is_some_and(|raw| raw.get().starts_with('[') && non_empty(raw.get()))
}

/// Does a raw array or object have content? The first byte behind the bracket that is not white space tells.
pub(super) fn non_empty(raw: &str) -> bool {
    let inside = raw.get(1..).unwrap_or_default();
    !matches!(Cursor::new(inside.as_bytes()).next_byte(), None | Some(b']' | b'}'))
}
