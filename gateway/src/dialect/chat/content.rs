//! `content`: a string or a list of parts, and the cache marks on parts.

use serde_json::{Value, json};

use super::fields::{
    Fields, at, extra, has_extra, mark, need_text, object, put_extra, take, take_text, wrong,
};
use super::{media, reasoning};
use crate::dialect::talk::{Cache, Dialect, Extra, MediaKind, Part, Piece, Refused};

/// Reads the `content` of the message at `path`. An empty string says nothing, as does `null`: some clients need the field.
pub(super) fn read(content: Option<Value>, path: &str) -> Result<Vec<Piece>, Refused> {
    match content {
        None => Ok(Vec::new()),
        Some(Value::String(text)) if text.is_empty() => Ok(Vec::new()),
        Some(Value::String(text)) => Ok(vec![Part::text(text).into()]),
        Some(Value::Array(parts)) => {
            let read = |(n, part)| read_part(part, &format!("{path}.content[{n}]"));
            parts.into_iter().enumerate().map(read).collect()
        }
        Some(_) => Err(wrong(path, "content", "a string or a list of parts")),
    }
}

fn read_part(value: Value, path: &str) -> Result<Piece, Refused> {
    if let Value::String(text) = value {
        return Ok(Part::text(text).into());
    }
    let mut fields = object(value, path)?;
    let mut marks = Fields::new();
    let cache = take_cache(&mut fields, &mut marks);
    let kind = need_text(&mut fields, path, "type")?;
    let part = match kind.as_str() {
        "text" => Part::text(need_text(&mut fields, path, "text")?),
        "refusal" => {
            marks.insert("#part".into(), true.into());
            Part::Refusal(need_text(&mut fields, path, "refusal")?)
        }
        "thinking" => reasoning::read_thinking(&mut fields, &mut marks),
        "image_url" | "video_url" | "input_audio" | "file" | "document_url" => {
            let (media, more) = read_media(&kind, &mut fields, path)?;
            marks.extend(more);
            Part::Media(media)
        }
        _ => {
            fields.insert("type".into(), kind.into());
            Part::Foreign(Dialect::Chat, Value::Object(std::mem::take(&mut fields)))
        }
    };
    Ok(Piece { part, cache, extra: extra(fields, marks) })
}

fn read_media(kind: &str, fields: &mut Fields, path: &str) -> Result<media::Read, Refused> {
    if kind == "document_url" {
        return media::read_document_url(fields, path);
    }
    let value = fields.remove(kind).unwrap_or_default();
    let path = at(path, kind);
    match kind {
        "image_url" => media::read_url(value, MediaKind::Image, &path),
        "video_url" => media::read_url(value, MediaKind::Video, &path),
        "input_audio" => media::read_audio(value, &path),
        _ => media::read_file(value, &path),
    }
}

/// Takes an Anthropic-like `cache_control` (OpenRouter's and LiteLLM's convention), and marks how it was said.
pub(super) fn take_cache(fields: &mut Fields, marks: &mut Fields) -> Option<Cache> {
    let said = take(fields, "cache_control")?;
    let cache = parse_cache(&said);
    marks.insert("#cache".into(), said);
    cache
}

pub(super) fn parse_cache(said: &Value) -> Option<Cache> {
    let said = said.as_object()?;
    let ttl = match said.get("ttl") {
        Some(Value::String(ttl)) => seconds(ttl),
        _ => None,
    };
    Some(Cache { ttl })
}

/// `5m`, `1h`.
fn seconds(ttl: &str) -> Option<u64> {
    let unit = match ttl.chars().last()? {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        _ => return None,
    };
    ttl.get(..ttl.len() - 1)?.parse::<u64>().ok()?.checked_mul(unit)
}

/// Writes a cache mark.
pub(super) fn put_cache(out: &mut Fields, piece_cache: Option<Cache>, piece_extra: &Extra) {
    let Some(cache) = piece_cache else { return };
    let said = match mark(piece_extra, "#cache") {
        // It stood elsewhere, on the message perhaps, which puts it back.
        Some(Value::Null) => return,
        Some(said) => said.clone(),
        None => cache_control(cache),
    };
    out.insert("cache_control".into(), said);
}

/// A cache mark, worded.
pub(super) fn cache_control(cache: Cache) -> Value {
    match cache.ttl {
        None => json!({"type": "ephemeral"}),
        Some(ttl) if ttl > 0 && ttl % 3600 == 0 => {
            json!({"type": "ephemeral", "ttl": format!("{}h", ttl / 3600)})
        }
        Some(ttl) if ttl > 0 && ttl % 60 == 0 => {
            json!({"type": "ephemeral", "ttl": format!("{}m", ttl / 60)})
        }
        Some(ttl) => json!({"type": "ephemeral", "ttl": format!("{ttl}s")}),
    }
}

/// A mark at the level of the message (LiteLLM): it is of the last piece.
pub(super) fn cache_of_message(left: &Fields, pieces: &mut [Piece]) {
    let Some(cache) = left.get("cache_control").and_then(parse_cache) else { return };
    let Some(last) = pieces.last_mut().filter(|last| last.cache.is_none()) else { return };
    let mut marks: Fields =
        last.extra.fields(Dialect::Chat).map(|(name, value)| (name.clone(), value.clone())).collect();
    marks.insert("#cache".into(), Value::Null);
    last.cache = Some(cache);
    last.extra = Extra::of(Dialect::Chat, marks);
}

/// How `content` is written.
#[derive(Clone, Copy)]
pub(super) struct How {
    /// With cache marks.
    pub(super) cache: bool,
    /// Several texts as a list of parts; else they are joined by this.
    pub(super) joint: Option<&'static str>,
}

/// Writes `content` of parts: a string where a string says it all.
pub(super) fn write(pieces: &[&Piece], how: How, path: &str) -> Result<Value, Refused> {
    let sayable = |piece: &&&Piece| !matches!(&piece.part, Part::Foreign(of, _) if *of != Dialect::Chat);
    let pieces: Vec<&Piece> = pieces.iter().filter(sayable).copied().collect();
    let texts: Option<Vec<&str>> = pieces.iter().map(|piece| plain(piece, how.cache)).collect();
    match (texts.as_deref(), how.joint) {
        (Some([]), _) => Ok("".into()),
        (Some([text]), _) => Ok((*text).into()),
        (Some(texts), Some(joint)) => Ok(texts.join(joint).into()),
        _ => write_list(&pieces, how.cache, path),
    }
}

/// The text of a piece that is nothing else.
pub(super) fn plain(piece: &Piece, cache: bool) -> Option<&str> {
    let marked = cache && piece.cache.is_some() && mark(&piece.extra, "#cache") != Some(&Value::Null);
    match &piece.part {
        Part::Text { text, .. } if !marked && !has_extra(&piece.extra) => Some(text),
        _ => None,
    }
}

fn write_list(pieces: &[&Piece], cache: bool, path: &str) -> Result<Value, Refused> {
    let mut out = Vec::with_capacity(pieces.len());
    for piece in pieces {
        if let Some(mut part) = write_part(piece, path)? {
            if cache {
                put_cache(&mut part, piece.cache, &piece.extra);
            }
            put_extra(&mut part, &piece.extra);
            out.push(Value::Object(part));
        }
    }
    Ok(if out.is_empty() { "".into() } else { Value::Array(out) })
}

/// A part's members, if this dialect has it in `content`.
fn write_part(piece: &Piece, path: &str) -> Result<Option<Fields>, Refused> {
    let simple = |kind: &str, text: &str| {
        Fields::from_iter([("type".to_owned(), kind.into()), (kind.to_owned(), text.into())])
    };
    Ok(match &piece.part {
        Part::Text { text, .. } => Some(simple("text", text)),
        Part::Refusal(text) => Some(simple("refusal", text)),
        Part::Media(media) => Some(media::write(media, &piece.extra, path)?),
        Part::Reasoning(thought) => Some(reasoning::write_thinking(thought, &piece.extra)),
        Part::Foreign(Dialect::Chat, Value::Object(fields)) if in_content(piece) => Some(fields.clone()),
        Part::Foreign(..) | Part::Call(_) | Part::Result(_) => None,
    })
}

/// The text that a message's `refusal` says.
pub(super) fn take_refusal(left: &mut Fields, path: &str) -> Result<Option<String>, Refused> {
    Ok(take_text(left, path, "refusal")?.filter(|text| !text.is_empty()))
}

/// Is it a part of `content` (and not a field beside it)?
pub(super) fn in_content(piece: &Piece) -> bool {
    match &piece.part {
        Part::Text { .. } => true,
        Part::Refusal(_) => mark(&piece.extra, "#part").is_some(),
        Part::Reasoning(_) => mark(&piece.extra, "#thinking").is_some(),
        // Those of other places are wrapped in an object that names the place.
        Part::Foreign(Dialect::Chat, value) => value.get("type").is_some(),
        _ => false,
    }
}
