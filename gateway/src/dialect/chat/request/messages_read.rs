//! Messages, read.

use std::collections::HashMap;

use serde_json::Value;

use super::super::fields::{Fields, at, extra, need_text, object, take, take_text};
use super::super::{calls, content, message};
use crate::dialect::talk::{Dialect, Extra, Message, Part, Piece, Refused, Role, ToolResult};

/// The calls so far: for each id the tool, and whether it is a custom one.
type Calls = HashMap<String, (String, bool)>;

/// Reads `messages`.
pub(super) fn read(list: Vec<Value>) -> Result<Vec<Message>, Refused> {
    let mut calls = Calls::new();
    list.into_iter()
        .enumerate()
        .map(|(n, value)| read_message(value, &format!("messages[{n}]"), &mut calls))
        .collect()
}

fn read_message(value: Value, path: &str, calls: &mut Calls) -> Result<Message, Refused> {
    let mut fields = object(value, path)?;
    match need_text(&mut fields, path, "role")?.as_str() {
        "system" => read_plain(Role::System, fields, path),
        "developer" => read_plain(Role::Developer, fields, path),
        "user" => read_plain(Role::User, fields, path),
        "assistant" => read_assistant(fields, path, calls),
        "tool" => read_result(fields, path, calls),
        "function" => read_legacy_result(fields, path),
        _ => {
            let roles = "system, developer, user, assistant, tool or function";
            Err(Refused::field(at(path, "role"), format!("`{path}.role` must be {roles}.")))
        }
    }
}

fn read_plain(role: Role, mut left: Fields, path: &str) -> Result<Message, Refused> {
    let name = take_text(&mut left, path, "name")?;
    let mut pieces = content::read(take(&mut left, "content"), path)?;
    content::cache_of_message(&left, &mut pieces);
    Ok(Message { role, pieces, name, extra: extra(left, Fields::new()) })
}

fn read_assistant(mut left: Fields, path: &str, seen: &mut Calls) -> Result<Message, Refused> {
    let name = take_text(&mut left, path, "name")?;
    let mut marks = Fields::new();
    let mut pieces = message::read(&mut left, &mut marks, path)?;
    calls::complete(&mut pieces);
    for piece in &pieces {
        if let Part::Call(call) = &piece.part {
            seen.insert(call.id.clone(), (call.name.clone(), call.custom));
        }
    }
    Ok(Message { role: Role::Assistant, pieces, name, extra: extra(left, marks) })
}

/// A message of the role `tool` is one result.
fn read_result(mut left: Fields, path: &str, calls: &Calls) -> Result<Message, Refused> {
    let id = take_text(&mut left, path, "tool_call_id")?.unwrap_or_default();
    let (called, custom) = calls.get(&id).cloned().unwrap_or_default();
    let mut marks = Fields::new();
    let said = take_text(&mut left, path, "name")?;
    if said.is_some() {
        marks.insert("#name".into(), true.into());
    }
    let mut pieces = content::read(take(&mut left, "content"), path)?;
    content::cache_of_message(&left, &mut pieces);
    pieces.iter_mut().for_each(keep_media_here);
    // A mark on the last part is one on the result, where the other dialects have it.
    let cache = pieces.last_mut().and_then(|last| last.cache.take());
    let name = said.unwrap_or(called);
    let part = Part::Result(ToolResult { id, name, pieces, custom, ..ToolResult::default() });
    let pieces = vec![Piece { part, cache, extra: Extra::default() }];
    Ok(Message { role: Role::User, pieces, name: None, extra: extra(left, marks) })
}

/// OpenAI takes only text from tools, some others media, too: who sends it so has such a provider.
fn keep_media_here(piece: &mut Piece) {
    if matches!(piece.part, Part::Media(_)) {
        let mut marks: Fields =
            piece.extra.fields(Dialect::Chat).map(|(name, value)| (name.clone(), value.clone())).collect();
        marks.insert("#here".into(), true.into());
        piece.extra = Extra::of(Dialect::Chat, marks);
    }
}

/// A message of the role `function`: a result without an id.
fn read_legacy_result(mut left: Fields, path: &str) -> Result<Message, Refused> {
    let name = need_text(&mut left, path, "name")?;
    let pieces = content::read(take(&mut left, "content"), path)?;
    let part = Part::Result(ToolResult { name, pieces, ..ToolResult::default() });
    let marks = Fields::from_iter([("#function".to_owned(), true.into())]);
    Ok(Message { role: Role::User, pieces: vec![part.into()], name: None, extra: extra(left, marks) })
}
