//! Reading items.

use serde_json::Value;

use crate::dialect::responses::fields::{
    Fields, add_mark, extra, need_text, object, take, take_list, take_text, wrong,
};
use crate::dialect::responses::parts::{self, content_path, is_part};
use crate::dialect::talk::carry::{Parcel, split_id};
use crate::dialect::talk::{Call, Dialect, Message, Own, Part, Piece, Reasoning, Refused, Role, ToolResult};

/// What an item is.
pub(in crate::dialect::responses) enum Item {
    /// The model said it.
    Said(Vec<Piece>),
    /// The client, or a tool, returned it.
    Returned(Piece),
    /// A turn of its own.
    Turn(Message),
}

/// Reads an item of `input`, or of `output` if `logprobs` are gathered.
pub(in crate::dialect::responses) fn read(
    item: Value,
    path: &str,
    logprobs: Option<&mut Vec<Value>>,
) -> Result<Item, Refused> {
    if let Value::String(text) = item {
        return Ok(Item::Turn(turn(Role::User, vec![Part::text(text).into()], Fields::new())));
    }
    let mut fields = object(item, path)?;
    let kind = match take_text(&mut fields, path, "type")? {
        Some(kind) => kind,
        // Clients leave the type of messages out, and the schema that of references.
        None if fields.contains_key("role") => "message".to_owned(),
        None if fields.contains_key("id") => "item_reference".to_owned(),
        None => return Err(wrong(path, "type", "given, as a string")),
    };
    match kind.as_str() {
        "message" => message(fields, path, logprobs),
        "function_call" | "custom_tool_call" => Ok(Item::Said(vec![call(fields, path, &kind)?])),
        "function_call_output" | "custom_tool_call_output" => {
            Ok(Item::Returned(result(fields, path, &kind)?))
        }
        "reasoning" => Ok(Item::Said(vec![reasoning(fields, path)?])),
        _ => Ok(foreign(fields, kind)),
    }
}

/// Reads `output`.
pub(in crate::dialect::responses) fn read_output(
    items: Vec<Value>,
    path: &str,
    logprobs: &mut Vec<Value>,
) -> Result<Vec<Piece>, Refused> {
    let mut pieces = Vec::new();
    for (index, item) in items.into_iter().enumerate() {
        match read(item, &format!("{path}[{index}]"), Some(&mut *logprobs))? {
            Item::Said(more) => say(&mut pieces, more),
            Item::Returned(piece) => pieces.push(piece),
            // Nobody but the model speaks in an answer, whatever role is written there.
            Item::Turn(message) => say(&mut pieces, message.pieces),
        }
    }
    Ok(pieces)
}

/// Appends an item's pieces; a message behind another begins with a mark.
pub(in crate::dialect::responses) fn say(to: &mut Vec<Piece>, mut more: Vec<Piece>) {
    if let (Some(last), Some(first)) = (to.last(), more.first_mut())
        && is_part(last)
        && is_part(first)
        && first.extra.get(Dialect::Responses, "#item").is_none()
    {
        add_mark(&mut first.extra, "#item", Fields::new());
    }
    to.append(&mut more);
}

fn turn(role: Role, pieces: Vec<Piece>, left: Fields) -> Message {
    Message { role, pieces, name: None, extra: extra(left, Fields::new()) }
}

fn message(mut fields: Fields, path: &str, logprobs: Option<&mut Vec<Value>>) -> Result<Item, Refused> {
    let role = match take_text(&mut fields, path, "role")?.as_deref() {
        Some("user") => Role::User,
        Some("system") => Role::System,
        Some("developer") => Role::Developer,
        // Some providers leave it out of what they answer.
        Some("assistant") => Role::Assistant,
        None if logprobs.is_some() => Role::Assistant,
        _ => return Err(wrong(path, "role", "`user`, `assistant`, `system` or `developer`")),
    };
    let content = fields.remove("content").unwrap_or_default();
    let mut pieces = parts::read(content, &content_path(path), logprobs)?;
    if role != Role::Assistant {
        return Ok(Item::Turn(turn(role, pieces, fields)));
    }
    fields.retain(|name, value| !name.starts_with('#') && !value.is_null());
    if fields.is_empty() && pieces == [Piece::from(Part::text(""))] {
        // Said beside calls by those who know Chat.
        pieces.clear();
    }
    if let Some(first) = pieces.first_mut().filter(|_| !fields.is_empty()) {
        add_mark(&mut first.extra, "#item", fields);
    }
    Ok(Item::Said(pieces))
}

fn call(mut fields: Fields, path: &str, kind: &str) -> Result<Piece, Refused> {
    let custom = kind == "custom_tool_call";
    let (id, signature) = split_id(need_text(&mut fields, path, "call_id")?);
    let name = need_text(&mut fields, path, "name")?;
    let arguments = match take(&mut fields, if custom { "input" } else { "arguments" }) {
        None => String::new(),
        Some(Value::String(text)) => text,
        // An object where its text belongs.
        Some(arguments @ Value::Object(_)) if !custom => arguments.to_string(),
        Some(_) => return Err(wrong(path, if custom { "input" } else { "arguments" }, "a string")),
    };
    let part = Part::Call(Call { id, name, arguments, custom, signature });
    Ok(Piece { part, cache: None, extra: extra(fields, Fields::new()) })
}

fn result(mut fields: Fields, path: &str, kind: &str) -> Result<Piece, Refused> {
    let (id, _) = split_id(need_text(&mut fields, path, "call_id")?);
    let output = match fields.remove("output") {
        Some(Value::String(text)) if text.is_empty() => Value::Null,
        output => output.unwrap_or_default(),
    };
    let pieces = parts::read(output, &format!("{path}.output"), None)?;
    let custom = kind == "custom_tool_call_output";
    let part = Part::Result(ToolResult { id, pieces, custom, ..ToolResult::default() });
    Ok(Piece { part, cache: None, extra: extra(fields, Fields::new()) })
}

fn reasoning(mut fields: Fields, path: &str) -> Result<Piece, Refused> {
    let id = take_text(&mut fields, path, "id")?;
    let summary = texts(&mut fields, path, "summary")?;
    let text = texts(&mut fields, path, "content")?.concat();
    let encrypted = take_text(&mut fields, path, "encrypted_content")?.filter(|text| !text.is_empty());
    let reasoning = match encrypted.as_deref().and_then(Parcel::open) {
        // Reasoning that no provider of this dialect made; the id was made up here, so it goes.
        Some(Parcel { id, signature, encrypted, summary: short }) => {
            // The client had asked for summaries, and this is none.
            let long = !short && text.is_empty();
            let (text, summary) = if long { (summary.concat(), Vec::new()) } else { (text, summary) };
            Reasoning { id, text, summary, signature, encrypted }
        }
        None => {
            let encrypted = encrypted.map(|sealed| Own::new(Dialect::Responses, sealed));
            Reasoning { id, text, summary, signature: None, encrypted }
        }
    };
    Ok(Piece { part: Part::Reasoning(reasoning), cache: None, extra: extra(fields, Fields::new()) })
}

/// The texts of `summary` or `content`.
fn texts(fields: &mut Fields, path: &str, name: &str) -> Result<Vec<String>, Refused> {
    let mut texts = Vec::new();
    for (index, part) in take_list(fields, path, name)?.into_iter().enumerate() {
        let path = format!("{path}.{name}[{index}]");
        texts.push(need_text(&mut object(part, &path)?, &path, "text")?);
    }
    Ok(texts)
}

/// An item that only this dialect has: a tool that the provider runs, a reference to what it keeps.
fn foreign(mut fields: Fields, kind: String) -> Item {
    let returned = kind.ends_with("_output") || kind == "mcp_approval_response" || kind == "additional_tools";
    fields.insert("type".to_owned(), kind.into());
    let piece = Piece::from(Part::Foreign(Dialect::Responses, Value::Object(fields)));
    if returned { Item::Returned(piece) } else { Item::Said(vec![piece]) }
}
