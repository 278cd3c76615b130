//! The turns of a conversation in Anthropic's order: instructions apart, the user first, roles in turn, results of tools
//! before all else that the user says.

use serde_json::{Map, Value, json};

use super::super::answer::media_note;
use super::super::ids::clean;
use super::super::model::Model;
use super::block::{self, content_of};
use crate::dialect::talk::ids::Ids;
use crate::dialect::talk::{Dialect, Message, Part, Refused, Role};

/// Stands before a conversation that the assistant begins, which Anthropic refuses.
const BEGINNING: &str = "...";

/// A conversation.
#[derive(Default)]
pub(super) struct Turns {
    /// Blocks of the field `system`.
    pub(super) system: Vec<Value>,
    turns: Vec<Turn>,
}

struct Turn {
    role: &'static str,
    blocks: Vec<Value>,
    extra: Map<String, Value>,
    /// Instructions of another dialect, which Anthropic takes only in some places.
    moves: bool,
}

impl Turns {
    /// Of the messages of a request, and what else the model is told.
    pub(super) fn of(messages: &[Message], more: Option<String>, model: Model) -> Result<Turns, Refused> {
        let mut turns = Turns::default();
        let mut ids = Ids::new(clean);
        for message in messages {
            match message.role {
                Role::System | Role::Developer => turns.instruct(message, model)?,
                Role::User => turns.say("user", message, &mut ids)?,
                Role::Assistant => turns.say("assistant", message, &mut ids)?,
            }
        }
        turns.place_instructions();
        turns.system.extend(more.map(|text| json!({"type": "text", "text": text})));
        turns.settle();
        Ok(turns)
    }

    /// Instructions between the turns stay there only where the model takes them, and else go to the top.
    fn instruct(&mut self, message: &Message, model: Model) -> Result<(), Refused> {
        if message.pieces.iter().any(|piece| matches!(piece.part, Part::Media(_))) {
            return Err(Refused::field("messages", "Instructions to this model can hold only text."));
        }
        let blocks = block::write_pieces(&message.pieces)?;
        let moves = message.extra.get(Dialect::Messages, "role").is_none();
        match self.turns.last_mut() {
            _ if blocks.is_empty() => {}
            Some(last) if last.moves && moves => last.blocks.extend(blocks),
            Some(_) if model.instructed || !moves => {
                self.turns.push(Turn { role: "system", blocks, extra: extra_of(message), moves });
            }
            _ => self.system.extend(blocks),
        }
        Ok(())
    }

    /// Anthropic takes instructions only behind the user and before the assistant; others go to the top.
    fn place_instructions(&mut self) {
        let roles: Vec<_> = self.turns.iter().map(|turn| turn.role).collect();
        let role = |at: usize| roles.get(at).copied();
        let before = |at: usize| at.checked_sub(1).and_then(role);
        for (at, turn) in std::mem::take(&mut self.turns).into_iter().enumerate() {
            let taken = before(at) == Some("user") && matches!(role(at + 1), None | Some("assistant"));
            if turn.moves && !taken {
                self.system.extend(turn.blocks);
                continue;
            }
            match self.turns.last_mut().filter(|last| last.role == turn.role) {
                Some(last) => {
                    last.blocks.extend(turn.blocks);
                    last.extra.extend(turn.extra);
                }
                None => self.turns.push(turn),
            }
        }
    }

    fn say(&mut self, role: &'static str, message: &Message, ids: &mut Ids) -> Result<(), Refused> {
        let mut blocks = Vec::with_capacity(message.pieces.len());
        let spoken = message.pieces.iter().any(block::is_spoken);
        for piece in &message.pieces {
            // Anthropic knows no media of the model's.
            if let (Part::Media(media), Role::Assistant) = (&piece.part, message.role) {
                blocks.push(json!({"type": "text", "text": media_note(media)}));
                continue;
            }
            blocks.extend(block::write(piece, spoken, ids)?.map(Value::Object));
        }
        if blocks.is_empty() {
            return Ok(());
        }
        match self.turns.last_mut().filter(|last| last.role == role) {
            Some(last) => {
                last.blocks.extend(blocks);
                last.extra.extend(extra_of(message));
            }
            None => self.turns.push(Turn { role, blocks, extra: extra_of(message), moves: false }),
        }
        Ok(())
    }

    fn settle(&mut self) {
        if self.turns.is_empty() && !self.system.is_empty() {
            // Anthropic demands a turn; OpenAI takes instructions alone.
            let blocks = std::mem::take(&mut self.system);
            self.turns.push(Turn { role: "user", blocks, extra: Map::new(), moves: false });
        }
        if self.turns.first().is_some_and(|turn| turn.role == "assistant") {
            let blocks = vec![json!({"type": "text", "text": BEGINNING})];
            self.turns.insert(0, Turn { role: "user", blocks, extra: Map::new(), moves: false });
        }
        for turn in self.turns.iter_mut().filter(|turn| turn.role == "user") {
            turn.blocks.sort_by_key(|block| kind(block) != "tool_result");
        }
        if let Some(last) = self.turns.last_mut().filter(|turn| turn.role == "assistant") {
            trim_end(last.blocks.last_mut());
        }
    }

    /// Takes the mark from the last block, where the request itself bears it.
    pub(super) fn unmark_last(&mut self) {
        let last = self.turns.last_mut().and_then(|turn| turn.blocks.last_mut());
        if let Some(Value::Object(block)) = last {
            block.remove("cache_control");
        }
    }

    /// The tools that the history calls.
    pub(super) fn called(&self) -> impl Iterator<Item = String> {
        let calls = self.turns.iter().flat_map(|turn| &turn.blocks).filter(|block| kind(block) == "tool_use");
        calls.filter_map(|call| call.get("name")?.as_str().map(str::to_owned))
    }

    /// The last turn with calls is answered now and does not begin with thinking: with a budget, Anthropic wants back what
    /// the model thought before the calls.
    pub(super) fn lost_thought(&self) -> bool {
        let mut back = self.turns.iter().rev().filter(|turn| turn.role != "system");
        let (Some(last), Some(before)) = (back.next(), back.next()) else { return false };
        let answers = last.blocks.first().is_some_and(|block| kind(block) == "tool_result");
        let thought = before.blocks.first().is_some_and(|block| kind(block).ends_with("thinking"));
        answers && before.role == "assistant" && !thought
    }

    /// The field `messages`.
    pub(super) fn write(self) -> Value {
        let turns = self.turns.into_iter().map(|turn| {
            let mut map = turn.extra;
            map.insert("role".to_owned(), json!(turn.role));
            map.insert("content".to_owned(), content_of(turn.blocks));
            Value::Object(map)
        });
        turns.collect()
    }
}

fn extra_of(message: &Message) -> Map<String, Value> {
    message.extra.fields(Dialect::Messages).map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn kind(block: &Value) -> &str {
    block.get("type").and_then(Value::as_str).unwrap_or_default()
}

/// An answer that is begun must not end in white space: Anthropic refuses it.
fn trim_end(block: Option<&mut Value>) {
    if let Some(Value::String(text)) = block.and_then(|block| block.get_mut("text")) {
        text.truncate(text.trim_end().len());
    }
}
