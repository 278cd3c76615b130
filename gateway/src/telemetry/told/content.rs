//! What clients ask and models answer, in the form of the conventions for GenAI (`gen_ai.input.messages` and its like), for
//! who wants it told. Secrets in it are taken out with those of everything else ([`crate::telemetry::redact`]).
//!
//! It is cut so that it stays JSON: long texts, and what is left when an attribute is full. Media are never told.

use opentelemetry::KeyValue;
use serde_json::{Value, json};

use super::read;
use crate::dialect::talk::{
    Call, Choice, Media, MediaKind, Message, Part, Piece, Request, Role, Source, Tool, ToolKind, ToolResult,
};
use crate::telemetry::{cut, names};

/// Of one text, bytes.
const LONGEST_TEXT: usize = 8 << 10;
/// Of one attribute, about.
const MOST: usize = 64 << 10;

/// Of a request.
pub(super) fn asked(request: &Request, said: &mut Vec<KeyValue>) {
    let is_ours = |message: &&Message| matches!(message.role, Role::System | Role::Developer);
    let instructions: Vec<&Message> = request.messages.iter().take_while(is_ours).collect();
    let mut room = Room(MOST);
    let parts = instructions.iter().flat_map(|message| parts(&message.pieces, &mut room)).collect();
    add(names::SYSTEM_INSTRUCTIONS, parts, said);
    let mut room = Room(MOST);
    // The newest are told, if not all can be: the turn that the answer is to.
    let turns = request.messages.iter().skip(instructions.len()).rev();
    let mut messages: Vec<Value> = turns.map_while(|message| turn(message, &mut room)).collect();
    messages.reverse();
    add(names::INPUT_MESSAGES, messages, said);
    let mut room = Room(MOST);
    let tools = request.tools.iter().map_while(|tool| room.take(definition(tool))).collect();
    add(names::TOOL_DEFINITIONS, tools, said);
}

/// Of an answer.
pub(super) fn answered(choices: &[Choice], said: &mut Vec<KeyValue>) {
    let mut room = Room(MOST);
    let message = |choice: &Choice| {
        let finish = choice.finish.as_ref().map_or_else(|| "error".to_owned(), read::finish);
        let parts = parts(&choice.pieces, &mut room);
        json!({ "role": "assistant", "parts": parts, "finish_reason": finish })
    };
    let messages = choices.iter().map(message).collect();
    add(names::OUTPUT_MESSAGES, messages, said);
}

fn add(name: &'static str, list: Vec<Value>, said: &mut Vec<KeyValue>) {
    if !list.is_empty() {
        said.push(KeyValue::new(name, Value::Array(list).to_string()));
    }
}

/// What an attribute may still hold, bytes.
struct Room(usize);

impl Room {
    /// The value, if there is room for it.
    fn take(&mut self, value: Value) -> Option<Value> {
        let size = value.to_string().len();
        let fits = size <= self.0;
        self.0 = if fits { self.0 - size } else { 0 };
        fits.then_some(value)
    }
}

fn turn(message: &Message, room: &mut Room) -> Option<Value> {
    if room.0 == 0 {
        return None;
    }
    let returns = |piece: &Piece| matches!(piece.part, Part::Result(_));
    let role = match message.role {
        Role::System | Role::Developer => "system",
        Role::Assistant => "assistant",
        Role::User if !message.pieces.is_empty() && message.pieces.iter().all(returns) => "tool",
        Role::User => "user",
    };
    let mut turn = json!({ "role": role, "parts": parts(&message.pieces, room) });
    if let Some(name) = &message.name {
        turn["name"] = name.clone().into();
    }
    Some(turn)
}

fn parts(pieces: &[Piece], room: &mut Room) -> Vec<Value> {
    let mut told: Vec<Value> = pieces.iter().map_while(|piece| room.take(part(&piece.part))).collect();
    if told.len() < pieces.len() {
        told.push(json!({ "type": "left_out", "parts": pieces.len() - told.len() }));
    }
    told
}

fn part(part: &Part) -> Value {
    match part {
        Part::Text { text, .. } => json!({ "type": "text", "content": short(text) }),
        Part::Refusal(text) => json!({ "type": "refusal", "content": short(text) }),
        Part::Reasoning(thought) => {
            let text =
                if thought.text.is_empty() { thought.summary.join("\n") } else { thought.text.clone() };
            json!({ "type": "reasoning", "content": short(&text) })
        }
        Part::Media(media) => medium(media),
        Part::Call(call) => called(call),
        Part::Result(result) => returned(result),
        Part::Foreign(..) => json!({ "type": "other" }),
    }
}

fn called(call: &Call) -> Value {
    let read = serde_json::from_str::<Value>(&call.arguments).ok();
    let fits = read.filter(|_| call.arguments.len() <= LONGEST_TEXT);
    let arguments = fits.unwrap_or_else(|| short(&call.arguments).into());
    json!({ "type": "tool_call", "id": call.id, "name": call.name, "arguments": arguments })
}

fn returned(result: &ToolResult) -> Value {
    let text = |piece: &Piece| match &piece.part {
        Part::Text { text, .. } => text.clone(),
        _ => "[no text]".to_owned(),
    };
    let texts: Vec<String> = result.pieces.iter().map(text).collect();
    let json = result.json.as_ref().map(Value::to_string);
    let response = short(&json.unwrap_or_else(|| texts.join("\n")));
    json!({ "type": "tool_call_response", "id": result.id, "response": response })
}

fn medium(media: &Media) -> Value {
    let modality = match media.kind {
        MediaKind::Image => "image",
        MediaKind::Audio => "audio",
        MediaKind::Video => "video",
        MediaKind::Document => "document",
    };
    let (kind, bytes) = match &media.source {
        Source::Base64(text) => ("blob", text.len() / 4 * 3),
        Source::Text(text) => ("blob", text.len()),
        Source::Url(_) => ("uri", 0),
        Source::File(_) => ("file", 0),
    };
    json!({ "type": kind, "modality": modality, "mime_type": media.mime, "bytes": bytes })
}

fn definition(tool: &Tool) -> Value {
    match &tool.kind {
        ToolKind::Foreign(..) => json!({ "type": "other", "name": tool.name }),
        ToolKind::Custom(_) => {
            json!({ "type": "custom", "name": tool.name, "description": tool.description })
        }
        ToolKind::Bare => json!({ "type": "function", "name": tool.name, "description": tool.description }),
        ToolKind::Function(schema) => {
            json!({ "type": "function", "name": tool.name, "description": tool.description, "parameters": schema })
        }
    }
}

fn short(text: &str) -> String {
    cut(text, LONGEST_TEXT).into_owned()
}
