//! Images and documents, as a request carries them.

use serde_json::{Map, Value, json};

use super::super::block::block;
use crate::dialect::talk::base64::decode;
use crate::dialect::talk::{Dialect, Media, MediaKind, Own, Refused, Source};

/// A block of an image or a document.
pub(super) fn write(media: &Media) -> Result<Map<String, Value>, Refused> {
    match media.kind {
        MediaKind::Image => Ok(block("image", [("source", image(media)?)])),
        MediaKind::Document => {
            let mut map = block("document", [("source", document(media)?)]);
            if let Some(name) = &media.name {
                map.insert("title".to_owned(), json!(name));
            }
            if let Some(context) = &media.context {
                map.insert("context".to_owned(), json!(context));
            }
            if let Some(cited) = media.cited {
                map.insert("citations".to_owned(), json!({ "enabled": cited }));
            }
            Ok(map)
        }
        MediaKind::Audio => Err(refused("This model's API takes no audio.")),
        MediaKind::Video => Err(refused("This model's API takes no video.")),
    }
}

fn refused(message: impl Into<String>) -> Refused {
    Refused::field("messages", message)
}

fn image(media: &Media) -> Result<Value, Refused> {
    match &media.source {
        Source::Base64(data) => match mime_of(media, data).as_str() {
            mime @ ("image/png" | "image/jpeg" | "image/gif" | "image/webp") => Ok(base64(mime, data)),
            "image/jpg" => Ok(base64("image/jpeg", data)),
            other => Err(refused(format!(
                "This model's API takes images as PNG, JPEG, GIF or WebP, not as {}.",
                named(other)
            ))),
        },
        Source::Text(_) => Err(refused("An image cannot be given as text.")),
        Source::Url(url) => address(url),
        Source::File(id) => file(id),
    }
}

fn document(media: &Media) -> Result<Value, Refused> {
    match &media.source {
        Source::Base64(data) => {
            let mime = mime_of(media, data);
            if mime == "application/pdf" {
                return Ok(base64(&mime, data));
            }
            let words = is_text(&mime).then(|| decode(data)).flatten();
            let words = words.and_then(|bytes| String::from_utf8(bytes).ok());
            words.map(|words| text(&words)).ok_or_else(|| {
                refused(format!("This model's API takes documents as PDF or text, not as {}.", named(&mime)))
            })
        }
        Source::Text(words) => Ok(text(words)),
        Source::Url(url) => address(url),
        Source::File(id) => file(id),
    }
}

fn named(mime: &str) -> &str {
    if mime.is_empty() { "an unnamed type" } else { mime }
}

fn base64(mime: &str, data: &str) -> Value {
    json!({"type": "base64", "media_type": mime, "data": data})
}

/// Plain text is the only kind that Anthropic knows; tables and code are such.
fn text(words: &str) -> Value {
    json!({"type": "text", "media_type": "text/plain", "data": words})
}

fn address(url: &str) -> Result<Value, Refused> {
    if url.starts_with("https://") || url.starts_with("http://") {
        return Ok(json!({"type": "url", "url": url}));
    }
    let scheme = url.split_once(':').map_or("none", |(scheme, _)| scheme);
    Err(refused(format!("This model's API fetches only https addresses, not those of {scheme}.")))
}

fn file(id: &Own<String>) -> Result<Value, Refused> {
    match id.file_for(Dialect::Messages) {
        Some(id) => Ok(json!({"type": "file", "file_id": id})),
        None => Err(refused(
            "A file was given by its id in another provider's store. Give its bytes or its address.",
        )),
    }
}

fn is_text(mime: &str) -> bool {
    mime.starts_with("text/") || matches!(mime, "application/json" | "application/xml" | "application/yaml")
}

/// The type that was said, else by the first bytes.
fn mime_of(media: &Media, data: &str) -> String {
    if !media.mime.is_empty() {
        return media.mime.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    }
    let known = [
        ("iVBORw0KGgo", "image/png"),
        ("/9j/", "image/jpeg"),
        ("R0lGOD", "image/gif"),
        ("UklGR", "image/webp"),
        ("JVBERi", "application/pdf"),
    ];
    let found = known.iter().find(|(start, _)| data.starts_with(start));
    found.map(|(_, mime)| (*mime).to_owned()).unwrap_or_default()
}
