//! What clients ask and models answer, in the form of the conventions for GenAI (`gen_ai.input.messages` and its like), for
//! who wants it told.
//!
//! Each text is looked through by itself, as it is meant and not as JSON writes it, and cut then, so that the whole stays JSON; what
//! has no room left is left out. Media are never told.

use opentelemetry::KeyValue;
use serde_json::{Value, json};

use super::read;
use crate::dialect::talk::{
    Call, Choice, Media, MediaKind, Message, Part, Piece, Request, Role, Source, Tool, ToolKind, ToolResult,
};
use crate::telemetry::names;
use crate::telemetry::redact::Redactor;

/// Of one text, bytes.
const LONGEST_TEXT: usize = 8 << 10;
/// Of one attribute, about.
const MOST: usize = 64 << 10;

/// Of a request.
pub(super) fn asked(request: &Request, redactor: &Redactor, said: &mut Vec<KeyValue>) {
    let is_ours = |message: &&Message| matches!(message.role, Role::System | Role::Developer);
    let instructions: Vec<&Message> = request.messages.iter().take_while(is_ours).collect();
    let mut page = Page::new(redactor);
    let parts = instructions.iter().flat_map(|message| page.parts(&message.pieces)).collect();
    add(names::SYSTEM_INSTRUCTIONS, parts, said);
    // The newest are told, if not all can be: the turn that the answer is to.
    let (mut page, turns) = (Page::new(redactor), request.messages.iter().skip(instructions.len()).rev());
    let mut messages: Vec<Value> = turns.map_while(|message| page.turn(message)).collect();
    messages.reverse();
    add(names::INPUT_MESSAGES, messages, said);
    let mut page = Page::new(redactor);
    let tools = request.tools.iter().map_while(|tool| page.tool(tool)).collect();
    add(names::TOOL_DEFINITIONS, tools, said);
}

/// Of an answer.
pub(super) fn answered(choices: &[Choice], redactor: &Redactor, said: &mut Vec<KeyValue>) {
    let mut page = Page::new(redactor);
    let message = |choice: &Choice| {
        let finish = choice.finish.as_ref().map_or_else(|| "error".to_owned(), read::finish);
        let (parts, finish) = (page.parts(&choice.pieces), page.clean(finish.into()));
        json!({ "role": "assistant", "parts": parts, "finish_reason": finish })
    };
    add(names::OUTPUT_MESSAGES, choices.iter().map(message).collect(), said);
}

fn add(name: &'static str, list: Vec<Value>, said: &mut Vec<KeyValue>) {
    if !list.is_empty() {
        said.push(KeyValue::new(name, Value::Array(list).to_string()));
    }
}

/// One attribute while it is written.
struct Page<'r> {
    redactor: &'r Redactor,
    /// What it may still hold, bytes.
    room: usize,
}

impl Page<'_> {
    fn new(redactor: &Redactor) -> Page<'_> {
        Page { redactor, room: MOST }
    }

    /// The value, if there is room for it; nothing comes behind one that has none.
    fn fit(&mut self, value: Value) -> Option<Value> {
        let size = value.to_string().len();
        let fits = size <= self.room;
        self.room = if fits { self.room - size } else { 0 };
        fits.then_some(value)
    }

    /// Without secrets, and with no text that is too long.
    fn clean(&self, mut value: Value) -> Value {
        self.redactor.json(&mut value, LONGEST_TEXT);
        value
    }

    fn turn(&mut self, message: &Message) -> Option<Value> {
        if self.room == 0 {
            return None;
        }
        let returns = |piece: &Piece| matches!(piece.part, Part::Result(_));
        let role = match message.role {
            Role::System | Role::Developer => "system",
            Role::Assistant => "assistant",
            Role::User if !message.pieces.is_empty() && message.pieces.iter().all(returns) => "tool",
            Role::User => "user",
        };
        let mut turn = json!({ "role": role, "parts": self.parts(&message.pieces) });
        if let Some(name) = &message.name {
            turn["name"] = self.clean(name.as_str().into());
        }
        Some(turn)
    }

    fn parts(&mut self, pieces: &[Piece]) -> Vec<Value> {
        let mut told = Vec::new();
        for piece in pieces {
            let part = self.clean(part(&piece.part));
            match self.fit(part) {
                Some(part) => told.push(part),
                None => break,
            }
        }
        if told.len() < pieces.len() {
            told.push(json!({ "type": "left_out", "parts": pieces.len() - told.len() }));
        }
        told
    }

    fn tool(&mut self, tool: &Tool) -> Option<Value> {
        let kind = match &tool.kind {
            ToolKind::Foreign(..) => "other",
            ToolKind::Custom(_) => "custom",
            ToolKind::Bare | ToolKind::Function(_) => "function",
        };
        let mut said = json!({ "type": kind, "name": tool.name });
        if let Some(description) = &tool.description {
            said["description"] = description.as_str().into();
        }
        if let ToolKind::Function(schema) = &tool.kind {
            said["parameters"] = schema.clone();
        }
        self.fit(self.clean(said))
    }
}

fn part(part: &Part) -> Value {
    match part {
        Part::Text { text, .. } => json!({ "type": "text", "content": text }),
        Part::Refusal(text) => json!({ "type": "refusal", "content": text }),
        Part::Reasoning(thought) if thought.text.is_empty() => {
            json!({ "type": "reasoning", "content": thought.summary.join("\n") })
        }
        Part::Reasoning(thought) => json!({ "type": "reasoning", "content": thought.text }),
        Part::Media(media) => medium(media),
        Part::Call(call) => called(call),
        Part::Result(result) => returned(result),
        Part::Foreign(..) => json!({ "type": "other" }),
    }
}

/// Arguments that are no JSON, of an answer that was cut for example, are a text.
fn called(call: &Call) -> Value {
    let arguments = serde_json::from_str::<Value>(&call.arguments);
    let arguments = arguments.unwrap_or_else(|_| call.arguments.as_str().into());
    json!({ "type": "tool_call", "id": call.id, "name": call.name, "arguments": arguments })
}

fn returned(result: &ToolResult) -> Value {
    let text = |piece: &Piece| match &piece.part {
        Part::Text { text, .. } => text.clone(),
        _ => "[no text]".to_owned(),
    };
    let texts = || result.pieces.iter().map(text).collect::<Vec<String>>().join("\n");
    let response = result.json.clone().unwrap_or_else(|| texts().into());
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
