//! The conversation: `system` and `messages`.

use serde_json::{Map, Value, json};

use super::super::blocks::Blocks;
use super::super::models::Maker;
use crate::dialect::talk::{Dialect, Message, Part, Refused, Request, Role};

/// What is said, as Converse has it.
pub(super) struct Conversation {
    /// Instructions, wherever they stood: there is one place for them.
    pub(super) system: Vec<Value>,
    /// Turns of users and models, alternating.
    pub(super) messages: Vec<Value>,
}

/// Writes it.
pub(super) fn write(request: &Request, maker: Maker) -> Result<Conversation, Refused> {
    let mut blocks = Blocks::asked(maker);
    let mut system = Vec::new();
    let mut turns: Vec<Turn> = Vec::new();
    for message in &request.messages {
        let role = match message.role {
            Role::System | Role::Developer => {
                instructions(message, &mut blocks, &mut system)?;
                continue;
            }
            Role::User => "user",
            Role::Assistant => "assistant",
        };
        if turns.last().is_none_or(|turn| turn.role != role) {
            turns.push(Turn { role, content: Vec::new(), extra: Map::new() });
        }
        let Some(turn) = turns.last_mut() else { continue };
        blocks.write(&message.pieces, &mut turn.content)?;
        let own = message.extra.fields(Dialect::Converse);
        turn.extra.extend(own.map(|(name, value)| (name.clone(), value.clone())));
    }
    let mut turns = merged(turns);
    if turns.is_empty() {
        turns.extend(ask_instead(&mut system));
    }
    Ok(Conversation { system, messages: turns.into_iter().map(Turn::value).collect() })
}

struct Turn {
    role: &'static str,
    content: Vec<Value>,
    extra: Map<String, Value>,
}

impl Turn {
    fn value(mut self) -> Value {
        self.describe_documents();
        self.extra.insert("role".to_owned(), self.role.into());
        self.extra.insert("content".to_owned(), Value::Array(self.content));
        Value::Object(self.extra)
    }

    /// "If you include a document, you must also include a text."
    fn describe_documents(&mut self) {
        let has = |key: &str| self.content.iter().any(|block| block.get(key).is_some());
        if has("document") && !has("text") {
            self.content.push(json!({ "text": "See the attached document." }));
        }
    }
}

/// Turns of which nothing could be said are left out; their neighbours may then be of one role.
fn merged(turns: Vec<Turn>) -> Vec<Turn> {
    let mut kept: Vec<Turn> = Vec::with_capacity(turns.len());
    for turn in turns.into_iter().filter(|turn| !turn.content.is_empty()) {
        match kept.last_mut() {
            Some(before) if before.role == turn.role => {
                before.content.extend(turn.content);
                before.extra.extend(turn.extra);
            }
            _ => kept.push(turn),
        }
    }
    kept
}

fn instructions(message: &Message, blocks: &mut Blocks, system: &mut Vec<Value>) -> Result<(), Refused> {
    let fits = |part: &Part| matches!(part, Part::Text { .. } | Part::Refusal(_) | Part::Foreign(..));
    if !message.pieces.iter().all(|piece| fits(&piece.part)) {
        return Err(Refused::field("messages", "Bedrock takes only text as instructions (`system`)."));
    }
    blocks.write(&message.pieces, system)
}

/// Instructions alone are no conversation there: they become what the user says.
fn ask_instead(system: &mut Vec<Value>) -> Option<Turn> {
    if !system.iter().any(|block| block.get("text").is_some()) {
        return None;
    }
    Some(Turn { role: "user", content: std::mem::take(system), extra: Map::new() })
}
