//! A content block as a piece, and the blocks that requests and answers write alike.

use serde_json::{Map, Value, json};

use super::fields::{Fields, wrong};
use crate::dialect::talk::carry::{Parcel, split_id};
use crate::dialect::talk::{
    Cache, Call, Citation, Dialect, Extra, Media, MediaKind, Own, Part, Piece, Reasoning, Refused, Source,
    ToolResult,
};

/// Where the words of a call stand that are no JSON object, which alone Anthropic takes.
const RAW: &str = "_raw";

/// Reads the content of a message: a string or blocks. Results hold no calls and no results, so `inside` one those are
/// nothing that is known.
pub(super) fn read_content(content: Option<Value>, at: &str, inside: bool) -> Result<Vec<Piece>, Refused> {
    match content {
        None => Ok(Vec::new()),
        Some(Value::String(text)) if text.is_empty() => Ok(Vec::new()),
        Some(Value::String(text)) => Ok(vec![Part::text(text).into()]),
        Some(Value::Array(blocks)) => {
            let blocks = blocks.into_iter().enumerate();
            blocks.map(|(index, block)| read_block(block, format!("{at}[{index}]"), inside)).collect()
        }
        Some(_) => Err(wrong(at.to_owned(), "a string or a list of blocks")),
    }
}

/// Reads a block. A kind that nobody else has stays as it is.
pub(super) fn read_block(block: Value, at: String, inside: bool) -> Result<Piece, Refused> {
    let mut fields = Fields::of(block, at)?;
    let cache = read_cache(&mut fields)?;
    let kind = fields.need_text("type")?;
    let part = match kind.as_str() {
        "text" => read_text(&mut fields)?,
        "image" | "document" if is_known_source(&fields) => Part::Media(read_media(&mut fields, &kind)?),
        "document"
            if content_text(fields.peek("source").and_then(|source| source.get("content"))).is_some() =>
        {
            read_written(&mut fields, "source")?
        }
        "search_result" if content_text(fields.peek("content")).is_some() => {
            let part = read_written(&mut fields, "content")?;
            fields.put("type", Value::String(kind));
            part
        }
        "thinking" => {
            let text = fields.text("thinking")?.unwrap_or_default();
            Part::Reasoning(read_reasoning(text, fields.text("signature")?))
        }
        "redacted_thinking" => {
            let encrypted = Some(Own::new(Dialect::Messages, fields.need_text("data")?));
            Part::Reasoning(Reasoning { encrypted, ..Reasoning::default() })
        }
        "tool_use" if !inside => Part::Call(read_call(&mut fields)?),
        "tool_result" if !inside => Part::Result(read_result(&mut fields)?),
        _ => {
            fields.put("type", Value::String(kind));
            let part = Part::Foreign(Dialect::Messages, Value::Object(fields.rest()));
            return Ok(Piece { part, cache, extra: Extra::default() });
        }
    };
    Ok(Piece { part, cache, extra: Extra::of(Dialect::Messages, fields.rest()) })
}

/// The reasoning of a thinking block: that of others comes back in a parcel.
fn read_reasoning(text: String, signature: Option<String>) -> Reasoning {
    let signature = signature.filter(|signature| !signature.is_empty());
    match signature.as_deref().and_then(Parcel::open) {
        Some(parcel) => parcel.reasoning(text),
        None => {
            let signature = signature.map(|signature| Own::new(Dialect::Messages, signature));
            Reasoning { text, signature, ..Reasoning::default() }
        }
    }
}

fn read_text(fields: &mut Fields) -> Result<Part, Refused> {
    let text = fields.need_text("text")?;
    let citations = fields.list("citations")?.unwrap_or_default();
    let citations = citations.into_iter().map(read_citation).collect();
    Ok(Part::Text { text, signature: None, citations })
}

/// Reads a citation; what it lacks is not missed.
pub(super) fn read_citation(citation: Value) -> Citation {
    let text = |name: &str| citation.get(name).and_then(Value::as_str).map(str::to_owned);
    let source = text("source").filter(|source| source.starts_with("http"));
    Citation {
        url: text("url").or(source),
        title: text("title").or_else(|| text("document_title")),
        text: text("cited_text"),
        range: None,
        original: Some((Dialect::Messages, citation)),
    }
}

fn is_known_source(fields: &Fields) -> bool {
    let kind = fields.peek("source").and_then(|source| source.get("type")).and_then(Value::as_str);
    matches!(kind, Some("base64" | "text" | "url" | "file"))
}

fn read_media(fields: &mut Fields, kind: &str) -> Result<Media, Refused> {
    let mut source = fields.fields("source")?.ok_or_else(|| wrong(fields.at("source"), "an object"))?;
    let document = kind == "document";
    let mut mime = source.text("media_type")?.unwrap_or_default();
    let place = match source.need_text("type")?.as_str() {
        "base64" => Source::Base64(source.need_text("data")?),
        "text" => Source::Text(source.need_text("data")?),
        "url" => {
            // The only documents that Anthropic fetches.
            if document && mime.is_empty() {
                mime = "application/pdf".to_owned();
            }
            Source::Url(source.need_text("url")?)
        }
        _ => Source::File(Own::new(Dialect::Messages, source.need_text("file_id")?)),
    };
    let kind = if document { MediaKind::Document } else { MediaKind::Image };
    let (context, cited) =
        if document { (fields.text("context")?, read_cited(fields)?) } else { (None, None) };
    Ok(Media { kind, mime, source: place, name: fields.text("title")?, detail: None, context, cited })
}

/// Is the document to be cited? What else `citations` says stays.
fn read_cited(fields: &mut Fields) -> Result<Option<bool>, Refused> {
    let Some(mut citations) = fields.fields("citations")? else { return Ok(None) };
    let enabled = citations.flag("enabled")?;
    let rest = citations.rest();
    if !rest.is_empty() {
        fields.put("citations", rest.into());
    }
    Ok(enabled)
}

/// A document or search result that is written out in blocks of text: others get the text, Anthropic the field again.
fn read_written(fields: &mut Fields, name: &str) -> Result<Part, Refused> {
    let field = fields.take(name).unwrap_or_default();
    let content = if name == "source" { field.get("content") } else { Some(&field) };
    let text = content_text(content).unwrap_or_default();
    fields.put(name, field);
    let name = fields.text("title")?;
    let (kind, mime) = (MediaKind::Document, "text/plain".to_owned());
    Ok(Part::Media(Media {
        kind,
        mime,
        source: Source::Text(text),
        name,
        detail: None,
        context: None,
        cited: None,
    }))
}

/// The text of content that is nothing but text.
fn content_text(content: Option<&Value>) -> Option<String> {
    match content? {
        Value::String(text) => Some(text.clone()),
        Value::Array(blocks) => {
            let text = |block: &Value| Some(block.get("text")?.as_str()?.to_owned());
            blocks.iter().map(text).collect::<Option<Vec<_>>>().map(|texts| texts.join("\n"))
        }
        _ => None,
    }
}

/// A call, of the model or in a client's history.
pub(super) fn read_call(fields: &mut Fields) -> Result<Call, Refused> {
    let (id, signature) = split_id(fields.need_text("id")?);
    let name = fields.need_text("name")?;
    let arguments = arguments(fields.take("input"));
    Ok(Call { id, name, arguments, custom: false, signature })
}

fn arguments(input: Option<Value>) -> String {
    match input {
        None => "{}".to_owned(),
        Some(Value::Object(map)) if map.len() == 1 && matches!(map.get(RAW), Some(Value::String(_))) => {
            map.get(RAW).and_then(Value::as_str).unwrap_or_default().to_owned()
        }
        Some(input) => input.to_string(),
    }
}

fn read_result(fields: &mut Fields) -> Result<ToolResult, Refused> {
    let (id, _) = split_id(fields.need_text("tool_use_id")?);
    let at = fields.at("content");
    let pieces = read_content(fields.take("content"), &at, true)?;
    Ok(ToolResult { id, pieces, failed: fields.flag("is_error")?, ..ToolResult::default() })
}

/// Takes `cache_control`.
pub(super) fn read_cache(fields: &mut Fields) -> Result<Option<Cache>, Refused> {
    let Some(mut mark) = fields.fields("cache_control")? else { return Ok(None) };
    let ttl = mark.text("ttl")?.as_deref().and_then(ttl_of);
    Ok(Some(Cache { ttl }))
}

/// The seconds that a word for a length means.
pub(super) fn ttl_of(word: &str) -> Option<u64> {
    match word {
        "5m" => Some(300),
        "1h" => Some(3600),
        _ => None,
    }
}

/// `cache_control`: Anthropic knows two lengths, of which the next shorter one is taken.
pub(super) fn write_cache(cache: Cache) -> Value {
    match cache.ttl {
        None => json!({"type": "ephemeral"}),
        Some(ttl) => json!({"type": "ephemeral", "ttl": if ttl < 3600 { "5m" } else { "1h" }}),
    }
}

/// A block of a kind, with its fields.
pub(super) fn block(
    kind: &str,
    fields: impl IntoIterator<Item = (&'static str, Value)>,
) -> Map<String, Value> {
    let mut map: Map<_, _> = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    map.insert("type".to_owned(), json!(kind));
    map
}

/// Adds what only this dialect says about a piece: it may replace what the neutral piece was written as.
pub(super) fn add_extra(map: &mut Map<String, Value>, extra: &Extra) {
    map.extend(extra.fields(Dialect::Messages).map(|(name, value)| (name.clone(), value.clone())));
}

/// A block of text.
pub(super) fn text_block(text: &str, citations: Vec<Value>) -> Map<String, Value> {
    let mut map = block("text", [("text", json!(text))]);
    if !citations.is_empty() {
        map.insert("citations".to_owned(), Value::Array(citations));
    }
    map
}

/// The `input` of a call: always an object. Words that are none are kept under a name that says so, and read back.
pub(super) fn input(call: &Call) -> Value {
    if call.custom {
        return json!({ "input": call.arguments });
    }
    match serde_json::from_str(&call.arguments) {
        Ok(Value::Object(map)) => Value::Object(map),
        _ if call.is_bare() => json!({}),
        _ => json!({ RAW: call.arguments }),
    }
}
