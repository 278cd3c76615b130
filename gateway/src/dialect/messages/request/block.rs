//! A piece as a block of a request.

use serde_json::{Map, Value, json};

use super::super::block::{add_extra, block, input, text_block, write_cache};
use super::media;
use crate::dialect::talk::ids::Ids;
use crate::dialect::talk::{Call, Citation, Dialect, Part, Piece, Reasoning, Refused, ToolResult};

/// A block; none if the piece is nothing that Anthropic could use. `spoken`: others beside it hold words.
pub(super) fn write(
    piece: &Piece,
    spoken: bool,
    ids: &mut Ids,
) -> Result<Option<Map<String, Value>>, Refused> {
    let map = match &piece.part {
        Part::Call(call) => Some(write_call(call, ids)),
        Part::Result(result) => Some(write_result(result, ids)?),
        // Blocks of thinking take no mark.
        Part::Reasoning(reasoning) => return Ok(write_reasoning(reasoning)),
        part => write_plain(part, spoken)?,
    };
    Ok(map.map(|map| finish(map, piece)))
}

fn finish(mut map: Map<String, Value>, piece: &Piece) -> Map<String, Value> {
    add_extra(&mut map, &piece.extra);
    if let Some(cache) = piece.cache {
        map.insert("cache_control".to_owned(), write_cache(cache));
    }
    map
}

/// What may also stand inside a result.
fn write_plain(part: &Part, spoken: bool) -> Result<Option<Map<String, Value>>, Refused> {
    match part {
        Part::Text { text, citations, .. } => {
            Ok(said(text, spoken).map(|text| text_block(text, cited(citations))))
        }
        // In a conversation it is a text like others.
        Part::Refusal(text) => Ok(said(text, spoken).map(|text| text_block(text, Vec::new()))),
        Part::Media(media) => media::write(media).map(Some),
        Part::Foreign(Dialect::Messages, Value::Object(map)) => Ok(Some(map.clone())),
        Part::Foreign(..) | Part::Call(_) | Part::Result(_) | Part::Reasoning(_) => Ok(None),
    }
}

/// Anthropic refuses empty texts, and those of nothing but white space that stand alone or beside calls; but its own models
/// write such between texts.
fn said(text: &str, spoken: bool) -> Option<&str> {
    let kept = if spoken { !text.is_empty() } else { !text.trim().is_empty() };
    kept.then_some(text)
}

/// It holds words.
pub(super) fn is_spoken(piece: &Piece) -> bool {
    matches!(&piece.part, Part::Text { text, .. } if !text.trim().is_empty())
}

/// Anthropic checks what a citation points to, so only its own can go back.
fn cited(citations: &[Citation]) -> Vec<Value> {
    let own = citations.iter().filter_map(|citation| citation.original.as_ref());
    own.filter(|(dialect, _)| *dialect == Dialect::Messages).map(|(_, citation)| citation.clone()).collect()
}

/// Anthropic wants back what it signed or encrypted, and refuses what it did not: other models' reasoning is left out.
fn write_reasoning(reasoning: &Reasoning) -> Option<Map<String, Value>> {
    let signature = reasoning.signature.as_ref().and_then(|proof| proof.proof_for(Dialect::Messages));
    if let Some(signature) = signature.filter(|signature| !signature.is_empty()) {
        return Some(block(
            "thinking",
            [("thinking", json!(reasoning.text)), ("signature", json!(signature))],
        ));
    }
    let encrypted = reasoning.encrypted.as_ref()?.proof_for(Dialect::Messages)?;
    Some(block("redacted_thinking", [("data", json!(encrypted))]))
}

fn write_call(call: &Call, ids: &mut Ids) -> Map<String, Value> {
    block("tool_use", [("id", json!(ids.call(call))), ("name", json!(call.name)), ("input", input(call))])
}

fn write_result(result: &ToolResult, ids: &mut Ids) -> Result<Map<String, Value>, Refused> {
    let mut map = block("tool_result", [("tool_use_id", json!(ids.result(result)))]);
    let mut content: Vec<Value> = match &result.json {
        Some(Value::String(text)) => vec![text_block(text, Vec::new()).into()],
        Some(value) => vec![text_block(&value.to_string(), Vec::new()).into()],
        None => Vec::new(),
    };
    content.extend(write_pieces(&result.pieces)?);
    if !content.is_empty() {
        map.insert("content".to_owned(), content_of(content));
    }
    if let Some(failed) = result.failed {
        map.insert("is_error".to_owned(), json!(failed));
    }
    Ok(map)
}

/// Blocks that hold no calls: of a result, of instructions.
pub(super) fn write_pieces(pieces: &[Piece]) -> Result<Vec<Value>, Refused> {
    let blocks =
        pieces.iter().map(|piece| Ok(write_plain(&piece.part, false)?.map(|map| finish(map, piece))));
    let blocks: Result<Vec<_>, Refused> = blocks.collect();
    Ok(blocks?.into_iter().flatten().map(Value::Object).collect())
}

/// The content of a turn: the shorter form where it says the same.
pub(super) fn content_of(blocks: Vec<Value>) -> Value {
    if let [Value::Object(map)] = blocks.as_slice()
        && map.len() == 2
        && map.get("type").and_then(Value::as_str) == Some("text")
        && let Some(text @ Value::String(_)) = map.get("text")
    {
        return text.clone();
    }
    Value::Array(blocks)
}
