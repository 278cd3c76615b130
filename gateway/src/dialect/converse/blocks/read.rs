use serde_json::{Map, Value};

use super::super::fields::{Fields, wrong};
use super::super::{citations, media, opaque};
use crate::dialect::talk::{
    Cache, Call, Dialect, Extra, Own, Part, Piece, Reasoning, Refused, ToolResult, base64,
};

/// Reads a list of blocks. A cache point marks the piece before it.
pub(in super::super) fn pieces(list: Vec<Value>, at: &str) -> Result<Vec<Piece>, Refused> {
    let mut pieces: Vec<Piece> = Vec::with_capacity(list.len());
    for (index, block) in list.into_iter().enumerate() {
        match (cache_point(&block), pieces.last_mut()) {
            (Some(cache), Some(before)) if before.cache.is_none() => before.cache = Some(cache),
            _ => pieces.push(piece(block, &format!("{at}[{index}]"))?),
        }
    }
    Ok(pieces)
}

/// The mark that a block is, if it is one that other dialects know.
pub(in super::super) fn cache_point(block: &Value) -> Option<Cache> {
    let point = block.get("cachePoint")?;
    if point.get("type")? != "default" {
        return None;
    }
    match point.get("ttl") {
        None => Some(Cache { ttl: None }),
        Some(ttl) if ttl == "5m" => Some(Cache { ttl: Some(300) }),
        Some(ttl) if ttl == "1h" => Some(Cache { ttl: Some(3600) }),
        Some(_) => None,
    }
}

/// The members of the union that others than this dialect can say.
const KNOWN: [&str; 9] = [
    "text",
    "image",
    "document",
    "audio",
    "video",
    "toolUse",
    "toolResult",
    "reasoningContent",
    "citationsContent",
];

fn piece(block: Value, at: &str) -> Result<Piece, Refused> {
    let Value::Object(mut union) = block else { return Err(wrong(at, "an object")) };
    let known = KNOWN.iter().find(|key| union.contains_key(**key));
    let Some((key, body)) = known.and_then(|key| union.remove_entry(*key)) else {
        return Ok(Part::Foreign(Dialect::Converse, Value::Object(union)).into());
    };
    let at = format!("{at}.{key}");
    if key == "text" {
        let Value::String(text) = body else { return Err(wrong(&at, "a string")) };
        return Ok(Piece { extra: Extra::of(Dialect::Converse, union), ..Part::text(text).into() });
    }
    let own = provider_ran(&body).then(|| body.clone());
    let read = match key.as_str() {
        _ if own.is_some() => None,
        "toolUse" => Some(call(body, &at)?),
        "toolResult" => Some(result(body, &at)?),
        "reasoningContent" => Some(reasoning(body, &at)?),
        "citationsContent" => Some(Piece::from(citations::read(body, &at)?)),
        _ => return media_piece(key, body, &at),
    };
    Ok(read.unwrap_or_else(|| foreign(key, own.unwrap_or_default())))
}

fn foreign(key: String, body: Value) -> Piece {
    Part::Foreign(Dialect::Converse, Value::Object(Map::from_iter([(key, body)]))).into()
}

/// A tool that the provider ran: the client must not run it again. Nova's grounding and code interpreter put
/// `server_tool_use` on the call and a type of their own on its result; `tool_use` says nothing.
fn provider_ran(body: &Value) -> bool {
    body.get("type").is_some_and(|kind| kind != "tool_use" && kind != "tool_result")
}

fn media_piece(key: String, body: Value, at: &str) -> Result<Piece, Refused> {
    let Some(kind) = media::kind(&key) else { return Ok(foreign(key, body)) };
    match media::read(kind, body.clone(), at)? {
        Some((media, extra)) => Ok(Piece { part: Part::Media(media), cache: None, extra }),
        None => Ok(foreign(key, body)),
    }
}

fn call(body: Value, at: &str) -> Result<Piece, Refused> {
    let mut fields = Fields::of(body, at)?;
    let (id, name) = (fields.needed_text("toolUseId")?, fields.needed_text("name")?);
    let arguments = fields.take("input").map_or_else(|| "{}".to_owned(), |input| input.to_string());
    fields.take("type");
    let part = Part::Call(Call { id, name, arguments, custom: false, signature: None });
    Ok(Piece { part, cache: None, extra: Extra::of(Dialect::Converse, fields.rest()) })
}

fn result(body: Value, at: &str) -> Result<Piece, Refused> {
    let mut fields = Fields::of(body, at)?;
    let id = fields.needed_text("toolUseId")?;
    let failed = match fields.text("status")?.as_deref() {
        None => None,
        Some("success") => Some(false),
        Some("error") => Some(true),
        Some(other) => return Err(Refused::field(fields.path("status"), format!("`{other}` is no status."))),
    };
    let mut content = fields.list("content")?;
    // The first JSON is the result's; more of it only this dialect can say.
    let json = match content.first_mut() {
        Some(Value::Object(first)) if first.len() == 1 => first.remove("json"),
        _ => None,
    };
    content.drain(..usize::from(json.is_some()));
    let pieces = pieces(content, &fields.path("content"))?;
    fields.take("type");
    let part = Part::Result(ToolResult { id, name: String::new(), pieces, json, failed, custom: false });
    Ok(Piece { part, cache: None, extra: Extra::of(Dialect::Converse, fields.rest()) })
}

fn reasoning(body: Value, at: &str) -> Result<Piece, Refused> {
    let mut fields = Fields::of(body, at)?;
    let mut reasoning = Reasoning::default();
    if let Some(bytes) = fields.text("redactedContent")? {
        let bytes = base64::decode(&bytes).ok_or_else(|| wrong(&fields.path("redactedContent"), "base64"))?;
        reasoning.encrypted = Some(Own::new(Dialect::Converse, opaque::opaque(bytes)));
    }
    let mut extra = Map::new();
    if let Some(mut told) = fields.within("reasoningText")? {
        reasoning.text = told.text("text")?.unwrap_or_default();
        reasoning.signature = told.text("signature")?.map(|proof| Own::new(Dialect::Converse, proof));
        extra = told.rest();
    } else if reasoning.encrypted.is_none() {
        return Ok(foreign("reasoningContent".to_owned(), Value::Object(fields.rest())));
    }
    Ok(Piece { part: Part::Reasoning(reasoning), cache: None, extra: Extra::of(Dialect::Converse, extra) })
}
