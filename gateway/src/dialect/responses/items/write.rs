//! Writing items that go to a model.

use serde_json::{Value, json};

use super::{Group, groups};
use crate::dialect::responses::fields::{Fields, mark, put, put_extra};
use crate::dialect::responses::parts;
use crate::dialect::talk::ids::Ids;
use crate::dialect::talk::{Call, Dialect, Message, Part, Piece, Reasoning, Refused, Role, ToolResult};

/// Appends the items that say a message.
pub(in crate::dialect::responses) fn write(
    message: &Message,
    ids: &mut Ids,
    to: &mut Vec<Value>,
    path: &str,
) -> Result<(), Refused> {
    for group in groups(&message.pieces) {
        match group {
            Group::Message(pieces) => to.extend(write_message(message, &pieces, path)?),
            Group::Item(piece) => to.extend(write_item(piece, ids, path)?),
        }
    }
    Ok(())
}

fn write_message(message: &Message, pieces: &[&Piece], path: &str) -> Result<Option<Value>, Refused> {
    let role = match message.role {
        Role::System => "system",
        Role::Developer => "developer",
        Role::User => "user",
        Role::Assistant => "assistant",
    };
    let mut out = Fields::new();
    put(&mut out, "type", Some("message"));
    put(&mut out, "role", Some(role));
    match (item_fields(pieces), &message.extra) {
        (Some(fields), _) => out.extend(fields.clone()),
        (None, extra) => put_extra(&mut out, extra),
    }
    // An item with an id is the model's own, and those must have a list.
    let content = match parts::bare_text(pieces).filter(|_| !out.contains_key("id")) {
        Some(text) => Value::String(text),
        None => parts::write(pieces, message.role == Role::Assistant, &parts::content_path(path))?.into(),
    };
    // Chat's assistants say an empty text beside calls.
    let silent = message.role == Role::Assistant && content.as_str().is_some_and(str::is_empty);
    if silent || content.as_array().is_some_and(Vec::is_empty) {
        return Ok(None);
    }
    put(&mut out, "content", Some(content));
    Ok(Some(Value::Object(out)))
}

/// The fields of the message item that begins with these pieces.
pub(in crate::dialect::responses) fn item_fields<'a>(pieces: &[&'a Piece]) -> Option<&'a Fields> {
    mark(&pieces.first()?.extra, "#item")?.as_object()
}

fn write_item(piece: &Piece, ids: &mut Ids, path: &str) -> Result<Option<Value>, Refused> {
    let mut out = match &piece.part {
        Part::Call(call) => write_call(call, ids.call(call)),
        Part::Result(result) => write_result(result, ids.result(result), path)?,
        // The item must have an id, and what another provider encrypted or signed this one would refuse.
        Part::Reasoning(thought) if is_foreign(thought) => return Ok(None),
        Part::Reasoning(thought) => reasoning(thought, sealed(thought)),
        Part::Foreign(Dialect::Responses, item) => return Ok(Some(item.clone())),
        _ => return Ok(None),
    };
    put_extra(&mut out, &piece.extra);
    Ok(Some(Value::Object(out)))
}

fn write_call(call: &Call, id: String) -> Fields {
    let (kind, name) =
        if call.custom { ("custom_tool_call", "input") } else { ("function_call", "arguments") };
    // No text at all is no JSON; providers read it as damaged.
    let arguments = if call.is_bare() { "{}" } else { call.arguments.as_str() };
    let mut out = Fields::new();
    put(&mut out, "type", Some(kind));
    put(&mut out, "call_id", Some(id));
    put(&mut out, "name", Some(call.name.as_str()));
    put(&mut out, name, Some(arguments));
    out
}

fn write_result(result: &ToolResult, id: String, path: &str) -> Result<Fields, Refused> {
    let json = result.json.as_ref().map(|json| Piece::from(Part::text(json.to_string())));
    let pieces: Vec<&Piece> = json.iter().chain(&result.pieces).collect();
    let output = match parts::bare_text(&pieces) {
        _ if pieces.is_empty() && result.failed == Some(true) => "The tool failed.".into(),
        _ if pieces.is_empty() => "".into(),
        Some(text) => Value::String(text),
        None => parts::write(&pieces, false, &format!("{path}.output"))?.into(),
    };
    let kind = if result.custom { "custom_tool_call_output" } else { "function_call_output" };
    let mut out = Fields::new();
    put(&mut out, "type", Some(kind));
    put(&mut out, "call_id", Some(id));
    put(&mut out, "output", Some(output));
    Ok(out)
}

/// Did another dialect's provider make it? An id without any proof is this dialect's: no other needs one.
pub(in crate::dialect::responses) fn is_foreign(thought: &Reasoning) -> bool {
    let own = sealed(thought).is_some();
    let proven = thought.signature.is_some() || thought.encrypted.is_some();
    !own && (proven || thought.id.is_none())
}

/// What a provider of this dialect told encrypted.
pub(in crate::dialect::responses) fn sealed(thought: &Reasoning) -> Option<&str> {
    thought.encrypted.as_ref()?.proof_for(Dialect::Responses)
}

/// A reasoning item.
pub(in crate::dialect::responses) fn reasoning(thought: &Reasoning, encrypted: Option<&str>) -> Fields {
    let summary: Vec<Value> =
        thought.summary.iter().map(|text| json!({"type": "summary_text", "text": text})).collect();
    let mut out = Fields::new();
    put(&mut out, "type", Some("reasoning"));
    put(&mut out, "id", thought.id.as_deref());
    put(&mut out, "summary", Some(summary));
    if !thought.text.is_empty() {
        put(&mut out, "content", Some(json!([{"type": "reasoning_text", "text": thought.text}])));
    }
    put(&mut out, "encrypted_content", encrypted);
    out
}
