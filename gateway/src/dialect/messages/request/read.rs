//! Reads a request's body.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::super::block::{read_content, ttl_of};
use super::super::fields::{Fields, missing, parse};
use super::{format, thinking, tools};
use crate::dialect::talk::{Cache, Dialect, Extra, Message, Own, Part, Refused, Request, Role};

/// Reads a request's body.
///
/// # Errors
/// It is no JSON object, a field has the wrong type, or one that must be there is not.
pub fn read_request(body: &[u8]) -> Result<Request, Refused> {
    let mut fields = Fields::of(parse(body)?, String::new())?;
    let mut extra = Map::new();
    let mut request = Request {
        model: fields.text("model")?.unwrap_or_default(),
        messages: read_messages(&mut fields)?.into(),
        tools: tools::read(&mut fields)?.into(),
        max_output: fields.count("max_tokens")?,
        temperature: fields.real("temperature")?,
        top_p: fields.real("top_p")?,
        top_k: fields.count("top_k")?,
        stop: fields.texts("stop_sequences")?,
        user: read_user(&mut fields, &mut extra)?,
        service_tier: fields.text("service_tier")?.map(|tier| Own::new(Dialect::Messages, tier)),
        stream: fields.flag("stream")?.unwrap_or(false),
        // Every stream of this dialect says it.
        stream_usage: true,
        ..Request::default()
    };
    (request.tool_choice, request.parallel_calls) = tools::read_choice(&mut fields)?;
    let mut config = fields.fields("output_config")?;
    request.format = format::read(&mut fields, config.as_mut())?;
    request.thinking = thinking::read(&mut fields, config.as_mut())?;
    if let Some(rest) = config.map(Fields::rest).filter(|rest| !rest.is_empty()) {
        extra.insert("output_config".to_owned(), Value::Object(rest));
    }
    extra.extend(fields.rest());
    request.extra = Extra::of(Dialect::Messages, extra);
    name_results(&mut request.messages);
    mark_last(&mut request);
    Ok(request)
}

/// A mark on the whole request means its last block, where others have it. The request keeps it too.
fn mark_last(request: &mut Request) {
    let Some(mark) = request.extra.get(Dialect::Messages, "cache_control") else { return };
    let ttl = mark.get("ttl").and_then(Value::as_str).and_then(ttl_of);
    let last = request.messages.last_mut().and_then(|message| message.pieces.last_mut());
    if let Some(piece) = last.filter(|piece| piece.cache.is_none()) {
        piece.cache = Some(Cache { ttl });
    }
}

/// Anthropic's one note about a request, the user. Others stay where they are.
fn read_user(fields: &mut Fields, extra: &mut Map<String, Value>) -> Result<Option<String>, Refused> {
    let Some(mut metadata) = fields.fields("metadata")? else { return Ok(None) };
    let user = metadata.text("user_id")?;
    let rest = metadata.rest();
    if !rest.is_empty() {
        extra.insert("metadata".to_owned(), Value::Object(rest));
    }
    Ok(user)
}

fn read_messages(fields: &mut Fields) -> Result<Vec<Message>, Refused> {
    let system = read_content(fields.take("system"), "system", true)?;
    let mut messages = Vec::new();
    if !system.is_empty() {
        messages.push(Message { role: Role::System, pieces: system, name: None, extra: Extra::default() });
    }
    let turns = fields.list("messages")?.ok_or_else(|| missing("messages".to_owned()))?;
    for (index, turn) in turns.into_iter().enumerate() {
        messages.push(read_message(turn, format!("messages[{index}]"))?);
    }
    Ok(messages)
}

/// Instructions between the turns, which new models take, say so in their `Extra`: others' go to `system`.
fn read_message(turn: Value, at: String) -> Result<Message, Refused> {
    let mut fields = Fields::of(turn, at)?;
    let word = fields.need_text("role")?;
    let role = match word.as_str() {
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "system" => Role::System,
        _ => return Err(Refused::field(fields.at("role"), "The role must be user, assistant or system.")),
    };
    let at = fields.at("content");
    let pieces = read_content(fields.take("content"), &at, false)?;
    if role == Role::System {
        fields.put("role", Value::String(word));
    }
    Ok(Message { role, pieces, name: None, extra: Extra::of(Dialect::Messages, fields.rest()) })
}

/// Dialects without ids know a result by its tool's name, which here only the call says.
fn name_results(messages: &mut [Message]) {
    let mut names: HashMap<String, String> = HashMap::new();
    for piece in messages.iter_mut().flat_map(|message| &mut message.pieces) {
        match &mut piece.part {
            Part::Call(call) => {
                names.insert(call.id.clone(), call.name.clone());
            }
            Part::Result(result) => result.name = names.get(&result.id).cloned().unwrap_or_default(),
            _ => {}
        }
    }
}
