//! What the assistant says, in a request's history and in an answer alike.

use serde_json::Value;

use super::fields::{Fields, extra, mark, put, put_extra, take, take_list, take_text};
use super::{calls, content, media, reasoning};
use crate::dialect::talk::ids::Ids;
use crate::dialect::talk::{
    Citation, Dialect, Extra, Media, MediaKind, Own, Part, Piece, Reasoning, Refused, Source,
};

/// Takes the pieces out of an assistant's message, in the order reasoning, text, refusal, calls, media. What is left in
/// `left` is known to this dialect alone; `marks` tell how things were said.
pub(super) fn read(left: &mut Fields, marks: &mut Fields, path: &str) -> Result<Vec<Piece>, Refused> {
    let mut pieces = read_reasoning(left, marks, path)?;
    let start = pieces.len();
    pieces.extend(content::read(take(left, "content"), path)?);
    if let Some(text) = content::take_refusal(left, path)? {
        pieces.push(Part::Refusal(text).into());
    }
    read_annotations(left, marks, &mut pieces, start);
    if let Some(said) = left.get("extra_content").and_then(calls::signature_of) {
        sign_text(&mut pieces, said);
    }
    content::cache_of_message(left, &mut pieces);
    pieces.extend(calls::read_legacy(left, path)?);
    pieces.extend(calls::read(take_list(left, path, "tool_calls")?, path)?);
    read_images(left, &mut pieces, path)?;
    pieces.extend(left.get("audio").and_then(spoken));
    Ok(pieces)
}

/// The fields that tell reasoning as mere text.
const TOLD: [&str; 2] = ["reasoning_content", "reasoning"];

/// `reasoning_details` say more than `reasoning` and `reasoning_content`, which then mostly repeat them.
fn read_reasoning(left: &mut Fields, marks: &mut Fields, path: &str) -> Result<Vec<Piece>, Refused> {
    let mut details = reasoning::read_details(take_list(left, path, "reasoning_details")?);
    if !details.is_empty() {
        marks.insert("#details".into(), true.into());
        let told = TOLD.iter().find_map(|name| left.get(*name)?.as_str().filter(|text| !text.is_empty()));
        told.into_iter().for_each(|text| reasoning::tell(&mut details, text));
        return Ok(details);
    }
    for name in TOLD {
        if !matches!(left.get(name), Some(Value::String(_) | Value::Null)) {
            continue; // an object, perhaps, that nobody knows
        }
        match take_text(left, path, name)? {
            Some(text) if !text.is_empty() => {
                marks.insert("#reasoning".into(), name.into());
                return Ok(vec![Part::Reasoning(Reasoning { text, ..Reasoning::default() }).into()]);
            }
            _ => {}
        }
    }
    Ok(Vec::new())
}

/// Sources go to the first text; annotations of other kinds stay.
fn read_annotations(left: &mut Fields, marks: &mut Fields, pieces: &mut [Piece], start: usize) {
    let Some(Value::Array(mut list)) = left.remove("annotations") else { return };
    let text = pieces.iter_mut().skip(start).find_map(|piece| match &mut piece.part {
        Part::Text { citations, .. } => Some(citations),
        _ => None,
    });
    let Some(citations) = text else {
        left.insert("annotations".into(), list.into());
        return;
    };
    list.retain(|annotation| match read_citation(annotation) {
        Some(citation) => {
            citations.push(citation);
            false
        }
        None => true,
    });
    if !list.is_empty() {
        marks.insert("#annotations".into(), list.into());
    }
}

/// An annotation of the kind `url_citation`.
pub(super) fn read_citation(annotation: &Value) -> Option<Citation> {
    let source = annotation.get("url_citation")?;
    let text = |name: &str| source.get(name)?.as_str().map(str::to_owned);
    let count = |name: &str| source.get(name)?.as_u64();
    Some(Citation {
        url: Some(text("url")?),
        title: text("title").filter(|title| !title.is_empty()),
        text: text("content"),
        range: count("start_index").zip(count("end_index")),
        original: Some((Dialect::Chat, annotation.clone())),
    })
}

/// An annotation; sources without an address cannot be told. Of a source without a range `range` is it.
pub(super) fn write_citation(citation: &Citation, range: (u64, u64)) -> Option<Value> {
    if let Some((Dialect::Chat, own)) = &citation.original {
        return own.get("url_citation").is_some().then(|| own.clone());
    }
    let (from, to) = citation.range.unwrap_or(range);
    let mut source = Fields::new();
    source.insert("url".into(), citation.url.as_deref()?.into());
    source.insert("title".into(), citation.title.as_deref().unwrap_or_default().into());
    source.insert("start_index".into(), from.into());
    source.insert("end_index".into(), to.into());
    if let Some(text) = &citation.text {
        source.insert("content".into(), text.as_str().into());
    }
    let annotation =
        [("type".to_owned(), "url_citation".into()), ("url_citation".to_owned(), Value::Object(source))];
    Some(Value::Object(Fields::from_iter(annotation)))
}

fn sign_text(pieces: &mut [Piece], said: Own<String>) {
    let last = pieces.iter_mut().rev().find_map(|piece| match &mut piece.part {
        Part::Text { signature, .. } => Some(signature),
        _ => None,
    });
    if let Some(signature) = last {
        *signature = Some(said);
    }
}

/// `images` (OpenRouter): what the model drew.
fn read_images(left: &mut Fields, pieces: &mut Vec<Piece>, path: &str) -> Result<(), Refused> {
    for (n, image) in take_list(left, path, "images")?.into_iter().enumerate() {
        pieces.push(read_image(image, &format!("{path}.images[{n}]"))?);
    }
    Ok(())
}

/// One of `images`.
pub(super) fn read_image(image: Value, path: &str) -> Result<Piece, Refused> {
    let mut image = super::fields::object(image, path)?;
    let (image_url, marks) =
        media::read_url(image.remove("image_url").unwrap_or_default(), MediaKind::Image, path)?;
    image.remove("type");
    Ok(Piece { part: Part::Media(image_url), cache: None, extra: extra(image, marks) })
}

/// What writing an assistant's message needs to know.
pub(super) struct Manner<'a> {
    /// It is an answer: clients expect a string, not parts.
    pub(super) answer: bool,
    /// It may end within a call.
    pub(super) cut: bool,
    /// How its content is written.
    pub(super) content: content::How,
    /// Write reasoning.
    pub(super) reasoning: bool,
    /// Of the message, as it was read.
    pub(super) extra: &'a Extra,
    /// Names the message in refusals.
    pub(super) path: &'a str,
}

/// Writes an assistant's message but for its `role` and extra.
pub(super) fn write(pieces: &[Piece], manner: &Manner<'_>, ids: &mut Ids) -> Result<Fields, Refused> {
    let mut out = Fields::new();
    write_content(pieces, manner, &mut out)?;
    if manner.reasoning {
        write_reasoning(pieces, manner, &mut out);
    }
    let mut tool_calls = Vec::new();
    for piece in pieces {
        match &piece.part {
            Part::Call(call) if calls::is_legacy(piece) => {
                out.insert("function_call".into(), calls::write_legacy(call, piece));
            }
            _ => tool_calls.extend(calls::write(piece, ids, manner.cut)),
        }
    }
    if !tool_calls.is_empty() {
        out.insert("tool_calls".into(), tool_calls.into());
    }
    let calls = out.contains_key("tool_calls") || out.contains_key("function_call");
    // OpenAI wants content, if only `null`, and not even that is enough where nothing else is said.
    let refused = out.contains_key("refusal");
    if (calls || refused || manner.answer) && out.get("content") == Some(&Value::String(String::new())) {
        out.insert("content".into(), Value::Null);
    }
    write_media(pieces, manner, &mut out)?;
    Ok(out)
}

fn write_content(pieces: &[Piece], manner: &Manner<'_>, out: &mut Fields) -> Result<(), Refused> {
    let parts: Vec<&Piece> = pieces.iter().filter(|piece| content::in_content(piece)).collect();
    let content = content::write(&parts, manner.content, manner.path)?;
    out.insert("content".into(), content);
    let refusals: Vec<&str> =
        pieces.iter().filter(|piece| !content::in_content(piece)).filter_map(refusal).collect();
    if !refusals.is_empty() {
        out.insert("refusal".into(), refusals.concat().into());
    }
    write_annotations(pieces, manner.extra, out);
    let signed = pieces.iter().rev().find_map(|piece| match &piece.part {
        Part::Text { signature, .. } => signature.as_ref(),
        _ => None,
    });
    put(out, "extra_content", signed.and_then(calls::extra_content));
    Ok(())
}

fn refusal(piece: &Piece) -> Option<&str> {
    match &piece.part {
        Part::Refusal(text) => Some(text),
        _ => None,
    }
}

/// A source without a range is of its whole text (Anthropic cuts its text at the sources).
fn write_annotations(pieces: &[Piece], extra: &Extra, out: &mut Fields) {
    let mut annotations = Vec::new();
    let mut at = 0;
    for piece in pieces {
        let Part::Text { text, citations, .. } = &piece.part else { continue };
        let end = at + text.chars().count() as u64;
        annotations.extend(citations.iter().filter_map(|citation| write_citation(citation, (at, end))));
        at = end;
    }
    annotations.extend(mark(extra, "#annotations").and_then(Value::as_array).into_iter().flatten().cloned());
    if !annotations.is_empty() {
        out.insert("annotations".into(), annotations.into());
    }
}

fn write_reasoning(pieces: &[Piece], manner: &Manner<'_>, out: &mut Fields) {
    let beside = || pieces.iter().filter(|piece| !content::in_content(piece));
    if beside().any(reasoning::needs_details) {
        out.insert("reasoning_details".into(), reasoning::write_details(beside()).into());
    }
    if mark(manner.extra, "#details").is_some() {
        return; // beside them it was told as it stands in the extra, or not at all
    }
    let told = reasoning::told(beside());
    if !told.is_empty() {
        let name = mark(manner.extra, "#reasoning").and_then(Value::as_str).unwrap_or("reasoning_content");
        out.insert(name.to_owned(), told.into());
    }
}

fn write_media(pieces: &[Piece], manner: &Manner<'_>, out: &mut Fields) -> Result<(), Refused> {
    let mut images = Vec::new();
    for piece in pieces {
        let Part::Media(said) = &piece.part else { continue };
        match (said.kind, &said.source) {
            (MediaKind::Image, _) => {
                let mut image = media::write(said, &piece.extra, manner.path)?;
                put_extra(&mut image, &piece.extra);
                images.push(Value::Object(image));
            }
            (MediaKind::Audio, Source::Base64(data)) if manner.answer => {
                out.insert("audio".into(), audio(data));
            }
            _ => {
                return Err(Refused::field(
                    manner.path,
                    "The provider takes no such media from the assistant.",
                ));
            }
        }
    }
    if !images.is_empty() {
        out.insert("images".into(), images.into());
    }
    Ok(())
}

/// The sound of `audio`, which also stays in the extra for its id and transcript. Its format stands in the request.
fn spoken(audio: &Value) -> Option<Piece> {
    let source = Source::Base64(audio.get("data")?.as_str()?.to_owned());
    let media = Media {
        kind: MediaKind::Audio,
        mime: String::new(),
        source,
        name: None,
        detail: None,
        context: None,
        cited: None,
    };
    Some(Part::Media(media).into())
}

/// What the model spoke. The id is for a later turn at the same provider, which there is not.
pub(super) fn audio(data: &str) -> Value {
    serde_json::json!({"id": "", "data": data, "expires_at": 0, "transcript": ""})
}
