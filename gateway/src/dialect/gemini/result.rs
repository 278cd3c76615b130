//! What tools returned: `functionResponse`.
//!
//! Its `response` is an object of any shape. Google's documentation gives two keys a meaning, and so do we when such a
//! key stands alone: `output` is what the tool returned, `error` why it failed.

use serde_json::{Map, Value, json};

use super::fields::{Fields, Path};
use super::media;
use super::part::Context;
use crate::dialect::talk::{Dialect, Extra, MediaKind, Part, Piece, Refused, ToolResult};

/// Marks media that our own client put inside a result.
const INSIDE: &str = "#inside";

fn is_inside(piece: &Piece) -> bool {
    piece.extra.get(Dialect::Gemini, INSIDE).is_some()
}

/// Reads one, and what of it we do not know.
pub(super) fn read(value: Value, at: &Path) -> Result<(ToolResult, Map<String, Value>), Refused> {
    let mut fields = Fields::new(value, at)?;
    let mut result = ToolResult {
        id: fields.text("id")?.unwrap_or_default(),
        name: fields.text("name")?.unwrap_or_default(),
        ..ToolResult::default()
    };
    let response = fields.object("response")?.unwrap_or_default();
    let media = fields.list("parts");
    if media.is_empty() || !response.is_empty() {
        settle(response, &mut result);
    }
    for (index, part) in media.into_iter().enumerate() {
        result.pieces.push(read_media(part, &Path::Index(&Path::Field(at, "parts"), index))?);
    }
    Ok((result, fields.rest()))
}

fn settle(response: Map<String, Value>, result: &mut ToolResult) {
    let mut members = response.iter();
    match (members.next(), members.next()) {
        (Some((key, Value::String(text))), None) if key == "output" || key == "error" => {
            result.pieces.push(Part::text(text.as_str()).into());
            result.failed = (key == "error").then_some(true);
        }
        (Some((key, value)), None) if key == "error" => {
            result.json = Some(value.clone());
            result.failed = Some(true);
        }
        _ => result.json = Some(response.into()),
    }
}

fn read_media(part: Value, at: &Path) -> Result<Piece, Refused> {
    let mut fields = Fields::new(part, at)?;
    let (inline, file) = (Path::Field(at, "inlineData"), Path::Field(at, "fileData"));
    let media = match (fields.take("inlineData"), fields.take("fileData")) {
        (Some(data), _) => media::read_inline(data, &inline)?,
        (None, Some(data)) => media::read_file(data, &file)?,
        (None, None) => return Err(at.refuse("must have `inlineData` or `fileData`")),
    };
    let mut extra = fields.rest();
    extra.insert(INSIDE.into(), true.into());
    media::keep_name(&media, &mut extra);
    Ok(Piece { part: Part::Media(media), cache: None, extra: Extra::of(Dialect::Gemini, extra) })
}

/// Writes one; media that cannot stand in it goes to `behind`, for the same content.
pub(super) fn write(
    result: &ToolResult,
    context: &Context,
    behind: &mut Vec<Value>,
) -> Result<Map<String, Value>, Refused> {
    let mut data = Map::new();
    if !result.id.is_empty() {
        data.insert("id".into(), result.id.as_str().into());
    }
    let known = context.names.get(result.id.as_str()).copied().unwrap_or_default();
    let name = if result.name.is_empty() { known } else { &result.name };
    if name.is_empty() {
        return Err(Refused::whole(format!(
            "The result of the call `{}` belongs to no earlier call, and Gemini wants the tool's name.",
            result.id.chars().take(64).collect::<String>()
        )));
    }
    data.insert("name".into(), name.into());
    let inside = write_media(result, context, behind)?;
    data.insert("response".into(), response(result));
    if !inside.is_empty() {
        data.insert("parts".into(), inside.into());
    }
    Ok(data)
}

fn response(result: &ToolResult) -> Value {
    let key = if result.failed == Some(true) { "error" } else { "output" };
    let text = |piece: &Piece| match &piece.part {
        Part::Text { text, .. } | Part::Refusal(text) => Some(text.clone()),
        _ => None,
    };
    let texts: Vec<String> = result.pieces.iter().filter_map(text).collect();
    match &result.json {
        Some(json) if texts.is_empty() && json.is_object() && key == "output" => json.clone(),
        Some(json) if texts.is_empty() => json!({key: json}),
        Some(json) => json!({key: json, "text": texts.join("\n")}),
        None if texts.is_empty() && result.pieces.iter().any(is_inside) => json!({}),
        None => json!({key: texts.join("\n")}),
    }
}

fn write_media(
    result: &ToolResult,
    context: &Context,
    behind: &mut Vec<Value>,
) -> Result<Vec<Value>, Refused> {
    let mut inside = Vec::new();
    for piece in &result.pieces {
        let Part::Media(media) = &piece.part else { continue };
        let (name, mut data) = media::write(media)?;
        if let (Some(kept), Some(map)) = (media::kept_name(&piece.extra), data.as_object_mut()) {
            map.insert("displayName".into(), kept.clone());
        }
        let part = json!({name: data});
        // Only since Gemini 3 does a result hold media, and only what stands still; a client's own is its affair.
        let still = matches!(media.kind, MediaKind::Image | MediaKind::Document);
        let old = context.to.is_some_and(|model| model.old());
        if is_inside(piece) || still && !old { inside.push(part) } else { behind.push(part) }
    }
    Ok(inside)
}
