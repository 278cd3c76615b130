//! Blocks that are told whole, when they are complete.

use serde_json::{Map, Value, json};

use super::super::blocks;
use crate::dialect::talk::{Piece, Refused};

/// The most that is kept of one block.
const MOST: usize = 64 << 20;

/// A block that only this dialect has, or that others take only whole.
#[derive(Debug)]
pub(super) struct Gathered {
    key: &'static str,
    body: Map<String, Value>,
    arguments: String,
    size: usize,
}

impl Gathered {
    /// One that began as `body`.
    pub(super) fn new(key: &'static str, body: Map<String, Value>) -> Gathered {
        Gathered { key, body, arguments: String::new(), size: 0 }
    }

    /// More of a call's arguments.
    pub(super) fn argue(&mut self, more: &str) -> Result<(), Refused> {
        self.size = grown(self.size, more.len())?;
        self.arguments.push_str(more);
        Ok(())
    }

    /// More of a field, by an event of `size` bytes: to a list its members, else the value.
    pub(super) fn add(&mut self, name: &str, value: Value, size: usize) -> Result<(), Refused> {
        self.size = grown(self.size, size)?;
        match (self.body.get_mut(name), value) {
            (Some(Value::Array(list)), Value::Array(more)) => list.extend(more),
            (_, value) => {
                self.body.insert(name.to_owned(), value);
            }
        }
        Ok(())
    }

    /// The piece, as a whole answer would have it.
    pub(super) fn piece(mut self) -> Result<Piece, Refused> {
        if self.key == "toolUse" {
            let text = self.arguments;
            let input =
                if text.is_empty() { json!({}) } else { serde_json::from_str(&text).unwrap_or(text.into()) };
            self.body.insert("input".to_owned(), input);
        }
        if self.key == "toolResult" {
            self.body.entry("content").or_insert_with(|| json!([]));
        }
        let block = Map::from_iter([(self.key.to_owned(), Value::Object(self.body))]);
        let pieces = blocks::pieces(vec![Value::Object(block)], "content")?;
        pieces.into_iter().next().ok_or_else(|| Refused::whole("A block of the stream is empty."))
    }
}

/// The size of what is kept, if it may grow so much.
pub(super) fn grown(size: usize, by: usize) -> Result<usize, Refused> {
    let size = size.saturating_add(by);
    if size > MOST { Err(Refused::whole("A block of the stream is too long.")) } else { Ok(size) }
}
