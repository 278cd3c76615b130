//! The parts of a message's content, and of a tool's output.

use serde_json::{Value, json};

use super::fields::{
    Fields, at, extra, has_extra, mark, marks, need_text, object, put_extra, take_list, wrong,
};
use super::{citations, media};
use crate::dialect::talk::{Cache, Citation, Dialect, Part, Piece, Refused};

/// Reads `content`: a string, or a list of parts or strings. The log probabilities of its texts go to `logprobs` if that
/// is wanted; else they stay where they are.
pub(super) fn read(
    content: Value,
    path: &str,
    mut logprobs: Option<&mut Vec<Value>>,
) -> Result<Vec<Piece>, Refused> {
    let parts = match content {
        Value::Null => return Ok(Vec::new()),
        Value::String(text) => return Ok(vec![Part::text(text).into()]),
        Value::Array(parts) => parts,
        _ => return Err(Refused::field(path, format!("`{path}` must be a string or a list."))),
    };
    let numbered = parts.into_iter().enumerate();
    numbered
        .map(|(index, part)| read_part(part, &format!("{path}[{index}]"), logprobs.as_deref_mut()))
        .collect()
}

fn read_part(part: Value, path: &str, logprobs: Option<&mut Vec<Value>>) -> Result<Piece, Refused> {
    if let Value::String(text) = part {
        return Ok(Part::text(text).into());
    }
    let mut fields = object(part, path)?;
    let kind = fields.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut own = Fields::new();
    let part = match kind.as_str() {
        "input_text" | "output_text" | "text" | "summary_text" | "reasoning_text" => {
            let text = need_text(&mut fields, path, "text")?;
            let annotations = take_list(&mut fields, path, "annotations")?;
            own = take_logprobs(&mut fields, path, logprobs)?;
            let citations = annotations.into_iter().map(citations::read).collect();
            Part::Text { text, signature: None, citations }
        }
        "refusal" => Part::Refusal(need_text(&mut fields, path, "refusal")?),
        "input_image" => Part::Media(media::take_image(&mut fields, path)?),
        "input_file" => Part::Media(media::take_file(&mut fields, path)?),
        "input_audio" => Part::Media(media::take_audio(&mut fields, path)?),
        "" => return Err(wrong(path, "type", "given, as a string")),
        _ => return Ok(foreign(Value::Object(fields))),
    };
    fields.remove("type");
    let cache = fields.contains_key("prompt_cache_breakpoint").then(Cache::default);
    Ok(Piece { part, cache, extra: extra(fields, own) })
}

/// A part of an unknown kind.
pub(super) fn foreign(part: Value) -> Piece {
    let extra = extra(Fields::new(), marks("#part", true));
    Piece { part: Part::Foreign(Dialect::Responses, part), cache: None, extra }
}

fn take_logprobs(fields: &mut Fields, path: &str, to: Option<&mut Vec<Value>>) -> Result<Fields, Refused> {
    let tokens = take_list(fields, path, "logprobs")?;
    if tokens.is_empty() {
        return Ok(Fields::new());
    }
    let Some(to) = to else {
        fields.insert("logprobs".to_owned(), Value::Array(tokens));
        return Ok(Fields::new());
    };
    let own = marks("#logprobs", tokens.len());
    to.extend(tokens);
    Ok(own)
}

/// Is it a part of a message's content, not an item of its own?
pub(super) fn is_part(piece: &Piece) -> bool {
    match &piece.part {
        Part::Text { .. } | Part::Media(_) | Part::Refusal(_) => true,
        Part::Foreign(Dialect::Responses, _) => mark(&piece.extra, "#part").is_some(),
        _ => false,
    }
}

/// The text, if it is nothing but text.
pub(super) fn bare_text(pieces: &[&Piece]) -> Option<String> {
    let [Piece { part: Part::Text { text, citations, .. }, extra, .. }] = pieces else { return None };
    (citations.is_empty() && !has_extra(extra)).then(|| text.clone())
}

/// Writes parts that go to a model.
pub(super) fn write(pieces: &[&Piece], said: bool, path: &str) -> Result<Vec<Value>, Refused> {
    let mut parts = Vec::new();
    for (index, piece) in pieces.iter().enumerate() {
        let path = format!("{path}[{index}]");
        parts.extend(write_part(piece, said, &path)?);
    }
    Ok(parts)
}

/// Writes one; `said` by the model.
fn write_part(piece: &Piece, said: bool, path: &str) -> Result<Option<Value>, Refused> {
    let mut out = match &piece.part {
        Part::Text { text, citations, .. } if said => {
            let mut out = text_part("output_text", "text", text);
            let annotations = annotations(citations, text, 0);
            if !annotations.is_empty() {
                out.insert("annotations".to_owned(), annotations.into());
            }
            out
        }
        Part::Refusal(text) if said => text_part("refusal", "refusal", text),
        Part::Text { text, .. } | Part::Refusal(text) => text_part("input_text", "text", text),
        Part::Media(_) if said => {
            let message = "The Responses API cannot carry media that the model has made in a conversation.";
            return Err(Refused::field(path, message));
        }
        Part::Media(media) => media::write(media, path)?,
        Part::Foreign(Dialect::Responses, part) => return Ok(Some(part.clone())),
        // No part of content, or another dialect's.
        _ => return Ok(None),
    };
    put_extra(&mut out, &piece.extra);
    Ok(Some(Value::Object(out)))
}

/// Writes a text of an answer; the SDKs want both lists.
pub(super) fn answer_text(text: &str, annotations: Vec<Value>, logprobs: Vec<Value>) -> Value {
    json!({"type": "output_text", "text": text, "annotations": annotations, "logprobs": logprobs})
}

/// Writes the citations of a text that begins at the letter `from`.
pub(super) fn annotations(citations: &[Citation], text: &str, from: usize) -> Vec<Value> {
    // Counting letters only if there is something to count for.
    let to = if citations.is_empty() { from } else { from + text.chars().count() };
    citations.iter().filter_map(|citation| citations::write(citation, from, to)).collect()
}

fn text_part(kind: &str, name: &str, text: &str) -> Fields {
    Fields::from_iter([("type".to_owned(), kind.into()), (name.to_owned(), text.into())])
}

/// The path of a message's content.
pub(super) fn content_path(path: &str) -> String {
    at(path, "content")
}
