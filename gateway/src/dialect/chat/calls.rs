//! `tool_calls` and the older `function_call`.

use serde_json::{Value, json};

use super::fields::{Fields, at, extra, mark, marked, object, put, put_extra, take, take_object, take_text};
use crate::dialect::talk::ids::Ids;
use crate::dialect::talk::{Call, Dialect, Own, Part, Piece, Refused};

/// Under which name a [`Part::Foreign`] keeps a call of an unknown kind.
const CALL: &str = "tool_call";

/// Reads the `tool_calls` of the message at `path`.
pub(super) fn read(list: Vec<Value>, path: &str) -> Result<Vec<Piece>, Refused> {
    let read = |(n, call)| read_call(call, &format!("{path}.tool_calls[{n}]"));
    list.into_iter().enumerate().map(read).collect()
}

fn read_call(value: Value, path: &str) -> Result<Piece, Refused> {
    let mut fields = object(value, path)?;
    let kind = take_text(&mut fields, path, "type")?.unwrap_or_else(|| "function".to_owned());
    let (custom, text) = match kind.as_str() {
        "function" => (false, "arguments"),
        "custom" => (true, "input"),
        _ => {
            fields.insert("type".into(), kind.into());
            let kept = Fields::from_iter([(CALL.to_owned(), Value::Object(fields))]);
            return Ok(Part::Foreign(Dialect::Chat, Value::Object(kept)).into());
        }
    };
    let path = at(path, &kind);
    let mut inner = object(fields.remove(&kind).unwrap_or_default(), &path)?;
    let name = take_text(&mut inner, &path, "name")?.unwrap_or_default();
    let arguments = arguments(take(&mut inner, text));
    let id = take_text(&mut fields, &path, "id")?.unwrap_or_default();
    let signature = fields.get("extra_content").and_then(signature_of);
    let mut marks = Fields::new();
    if !inner.is_empty() {
        marks.insert("#inner".into(), Value::Object(inner));
    }
    let part = Part::Call(Call { id, name, arguments, custom, signature });
    Ok(Piece { part, cache: None, extra: extra(fields, marks) })
}

/// The text of arguments; some providers send the object itself.
fn arguments(value: Option<Value>) -> String {
    match value {
        None => String::new(),
        Some(Value::String(text)) => text,
        Some(other) => other.to_string(),
    }
}

/// No text at all is a call without arguments, unless it was cut off before them.
pub(super) fn complete(pieces: &mut [Piece]) {
    for piece in pieces {
        if let Part::Call(call) = &mut piece.part
            && !call.custom
            && call.arguments.trim().is_empty()
        {
            call.arguments = "{}".to_owned();
        }
    }
}

/// Google's own Chat endpoint carries thought signatures here, on calls and on messages.
pub(super) fn signature_of(extra_content: &Value) -> Option<Own<String>> {
    let signature = extra_content.get("google")?.get("thought_signature")?.as_str()?;
    Some(Own::new(Dialect::Gemini, signature))
}

/// The same, written; only Google signs calls and texts.
pub(super) fn extra_content(signature: &Own<String>) -> Option<Value> {
    let signature = signature.proof_for(Dialect::Gemini)?;
    Some(json!({"google": {"thought_signature": signature}}))
}

/// Reads `function_call`.
pub(super) fn read_legacy(left: &mut Fields, path: &str) -> Result<Option<Piece>, Refused> {
    let Some(mut call) = take_object(left, path, "function_call")? else { return Ok(None) };
    let path = at(path, "function_call");
    let name = take_text(&mut call, &path, "name")?.unwrap_or_default();
    let arguments = arguments(take(&mut call, "arguments"));
    let part = Part::Call(Call { name, arguments, ..Call::default() });
    let marks = Fields::from_iter([("#function_call".to_owned(), true.into())]);
    Ok(Some(Piece { part, cache: None, extra: extra(call, marks) }))
}

/// Was it a `function_call`?
pub(super) fn is_legacy(piece: &Piece) -> bool {
    mark(&piece.extra, "#function_call").is_some()
}

/// Writes one of `tool_calls`, which may be `cut` off; none if the piece is not a call, or of a kind that this dialect does not have.
pub(super) fn write(piece: &Piece, ids: &mut Ids, cut: bool) -> Option<Value> {
    let call = match &piece.part {
        Part::Call(call) => call,
        Part::Foreign(Dialect::Chat, value) => return value.get(CALL).cloned(),
        _ => return None,
    };
    let (kind, text) = if call.custom { ("custom", "input") } else { ("function", "arguments") };
    let mut inner = marked(&piece.extra, "#inner").unwrap_or_default();
    inner.insert("name".into(), call.name.as_str().into());
    let none = !call.custom && !cut && call.arguments.trim().is_empty();
    inner.insert(text.into(), if none { "{}" } else { call.arguments.as_str() }.into());
    let mut out =
        Fields::from_iter([("type".to_owned(), kind.into()), (kind.to_owned(), Value::Object(inner))]);
    out.insert("id".into(), ids.call(call).into());
    put(&mut out, "extra_content", call.signature.as_ref().and_then(extra_content));
    put_extra(&mut out, &piece.extra);
    Some(Value::Object(out))
}

/// Writes a `function_call`.
pub(super) fn write_legacy(call: &Call, piece: &Piece) -> Value {
    let mut out = Fields::from_iter([("name".to_owned(), call.name.as_str().into())]);
    out.insert("arguments".into(), call.arguments.as_str().into());
    put_extra(&mut out, &piece.extra);
    Value::Object(out)
}
