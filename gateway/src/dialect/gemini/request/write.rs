//! Writing a request.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::{config, tools};
use crate::dialect::gemini::fields::add;
use crate::dialect::gemini::model::Model;
use crate::dialect::gemini::part::{self, Context};
use crate::dialect::talk::tier::asked_tier;
use crate::dialect::talk::{Dialect, Message, Part, Piece, Refused, Request, Role};

/// Instead of the signature of a call that this provider did not make. Since Gemini 3, Google refuses a history whose
/// calls have none, and offers this word for histories from elsewhere (`skip_thought_signature_validator`, in base64).
const UNSIGNED: &str = "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I=";

/// Writes a request's body. The path has its model and whether to stream; yet `model` decides how thinking and the
/// history's calls are said, so it should be the provider's name of it.
pub fn write_request(request: &Request) -> Result<Value, Refused> {
    let mut body = Map::new();
    add(&mut body, request.extra.fields(Dialect::Gemini));
    write_messages(request, &mut body)?;
    tools::write(request, &mut body)?;
    config::write(request, &mut body)?;
    if let Some(tier) = request.service_tier.as_ref().and_then(|tier| asked_tier(tier, Dialect::Gemini)) {
        body.insert("serviceTier".into(), tier.into());
    }
    Ok(body.into())
}

fn write_messages(request: &Request, body: &mut Map<String, Value>) -> Result<(), Refused> {
    let mut context = Context { to: Some(Model(&request.model)), names: HashMap::new() };
    let mut system = Vec::new();
    let mut contents: Vec<(&Message, Vec<Value>)> = Vec::new();
    for message in &request.messages {
        let mut parts = Vec::new();
        for piece in message.pieces.iter().filter(|piece| !is_void(piece, message)) {
            if let Part::Call(call) = &piece.part
                && !call.id.is_empty()
            {
                context.names.insert(&call.id, &call.name);
            }
            part::write(piece, &context, &mut parts)?;
        }
        match (message.role, contents.last_mut()) {
            _ if parts.is_empty() => {}
            (Role::System | Role::Developer, _) => system.append(&mut parts),
            (_, Some((before, theirs))) if belong(before, message) => theirs.append(&mut parts),
            _ => contents.push((message, parts)),
        }
    }
    let model = Model(&request.model);
    let mut contents: Vec<Value> =
        contents.into_iter().map(|(of, parts)| content(of, parts, model)).collect();
    if contents.is_empty() && !system.is_empty() {
        // Google wants something to answer.
        contents.push(json!({"role": "user", "parts": std::mem::take(&mut system)}));
    }
    if contents.is_empty() {
        return Err(Refused::field("messages", "Gemini needs at least one message with content."));
    }
    if !system.is_empty() {
        body.insert("systemInstruction".into(), json!({"parts": system}));
    }
    body.insert("contents".into(), contents.into());
    Ok(())
}

/// Vertex refuses empty texts, unless they bear a signature of Google's. Only a user who says nothing at all says it.
fn is_void(piece: &Piece, message: &Message) -> bool {
    let empty = match &piece.part {
        Part::Text { text, signature, .. } => {
            text.is_empty() && signature.as_ref().and_then(part::proof).is_none()
        }
        _ => false,
    };
    empty && !(message.role == Role::User && message.pieces.len() == 1)
}

/// All calls of a turn must stand in one content, and all their results in the next; else Google refuses the history.
fn belong(before: &Message, message: &Message) -> bool {
    let has = |message: &Message, is: fn(&Part) -> bool| message.pieces.iter().any(|piece| is(&piece.part));
    let call = |part: &Part| matches!(part, Part::Call(_));
    let result = |part: &Part| matches!(part, Part::Result(_));
    before.role == message.role
        && match message.role {
            Role::Assistant => has(before, call) || has(message, call),
            _ => has(before, result) && has(message, result),
        }
}

fn content(message: &Message, mut parts: Vec<Value>, model: Model) -> Value {
    let role = if message.role == Role::Assistant { "model" } else { "user" };
    if role == "model" && model.wants_signatures() {
        sign(&mut parts);
    }
    let mut content = Map::from_iter([("role".to_owned(), role.into()), ("parts".to_owned(), parts.into())]);
    add(&mut content, message.extra.fields(Dialect::Gemini));
    content.into()
}

/// Google itself signs only the first of several calls.
fn sign(parts: &mut [Value]) {
    let mut calls = parts.iter_mut().filter(|part| part.get("functionCall").is_some());
    let first = calls.next().and_then(Value::as_object_mut);
    if let Some(first) = first.filter(|first| !first.contains_key("thoughtSignature")) {
        first.insert("thoughtSignature".into(), UNSIGNED.into());
    }
}
