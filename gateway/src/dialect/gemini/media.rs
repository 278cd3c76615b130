//! Media: `inlineData` and `fileData`.

use serde_json::{Value, json};

use super::fields::{Fields, Path};
use crate::dialect::talk::{Dialect, Media, MediaKind, Own, Refused, Source, base64};

/// Files of the Gemini API's own store have addresses here; nobody else can fetch them.
const STORE: &str = "https://generativelanguage.googleapis.com/";

/// Reads `inlineData`.
pub(super) fn read_inline(value: Value, at: &Path) -> Result<Media, Refused> {
    let mut fields = Fields::new(value, at)?;
    let mime = fields.text("mimeType")?.unwrap_or_default();
    let data = fields.text("data")?.ok_or_else(|| at.refuse("must have `data`"))?;
    let source = Source::Base64(base64::standard(data));
    Ok(Media {
        kind: kind(&mime),
        mime,
        source,
        name: fields.text("displayName")?,
        detail: None,
        context: None,
        cited: None,
    })
}

/// Reads `fileData`.
pub(super) fn read_file(value: Value, at: &Path) -> Result<Media, Refused> {
    let mut fields = Fields::new(value, at)?;
    let uri = fields.text("fileUri")?.ok_or_else(|| at.refuse("must have `fileUri`"))?;
    let mime = fields.text("mimeType")?.unwrap_or_default();
    let kind = match mime.as_str() {
        // Google takes a video's page without a type.
        "" if uri.contains("youtube.com/") || uri.contains("youtu.be/") => MediaKind::Video,
        "" => kind(guess(&uri).unwrap_or_default()),
        mime => kind(mime),
    };
    let ours = uri.starts_with(STORE) || !uri.contains("://");
    let source = if ours { Source::File(Own::new(Dialect::Gemini, uri)) } else { Source::Url(uri) };
    Ok(Media {
        kind,
        mime,
        source,
        name: fields.text("displayName")?,
        detail: None,
        context: None,
        cited: None,
    })
}

/// Writes media as a part's data. Names are left out: the Gemini API refuses them (Vertex takes them).
pub(super) fn write(media: &Media) -> Result<(&'static str, Value), Refused> {
    let inline = |mime: &str, data: &str| ("inlineData", json!({"mimeType": mime, "data": data}));
    match &media.source {
        Source::Base64(data) => Ok(inline(mime(media, None), data)),
        Source::Text(text) => {
            let mime = if media.mime.is_empty() { "text/plain" } else { &media.mime };
            Ok(inline(mime, &base64::encode(text.as_bytes())))
        }
        Source::Url(url) if ["https:", "http:", "gs:"].iter().any(|scheme| url.starts_with(scheme)) => {
            Ok(("fileData", file(media, url)))
        }
        Source::Url(url) => {
            let scheme: String = url.chars().take_while(|c| *c != ':').take(16).collect();
            Err(Refused::whole(format!("Gemini cannot fetch media from an address of `{scheme}:`.")))
        }
        Source::File(id) => match id.file_for(Dialect::Gemini) {
            Some(id) => Ok(("fileData", file(media, id))),
            None => Err(Refused::whole(
                "A file in another provider's store cannot be sent to Gemini; send its content or its address.",
            )),
        },
    }
}

fn file(media: &Media, uri: &str) -> Value {
    let page = media.mime.is_empty() && media.kind == MediaKind::Video && guess(uri).is_none();
    if page || uri.starts_with(STORE) && media.mime.is_empty() {
        return json!({"fileUri": uri});
    }
    json!({"fileUri": uri, "mimeType": mime(media, Some(uri))})
}

/// Vertex requires a type: what was said, what the address looks like, else the commonest of its kind.
fn mime<'a>(media: &'a Media, uri: Option<&str>) -> &'a str {
    if !media.mime.is_empty() {
        return &media.mime;
    }
    uri.and_then(guess).unwrap_or(match media.kind {
        MediaKind::Image => "image/jpeg",
        MediaKind::Audio => "audio/mpeg",
        MediaKind::Video => "video/mp4",
        MediaKind::Document => "application/pdf",
    })
}

fn kind(mime: &str) -> MediaKind {
    match mime.split('/').next() {
        Some("image") => MediaKind::Image,
        Some("audio") => MediaKind::Audio,
        Some("video") => MediaKind::Video,
        _ => MediaKind::Document,
    }
}

/// The type by the ending of an address.
fn guess(uri: &str) -> Option<&'static str> {
    let path = uri.split(['?', '#']).next()?;
    let name = path.rsplit('/').next()?;
    let (_, ending) = name.rsplit_once('.')?;
    Some(match ending.to_ascii_lowercase().as_str() {
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "webp" => "image/webp",
        "gif" => "image/gif",
        "heic" => "image/heic",
        "mp3" => "audio/mpeg",
        "wav" => "audio/wav",
        "ogg" => "audio/ogg",
        "flac" => "audio/flac",
        "mp4" => "video/mp4",
        "mov" => "video/quicktime",
        "webm" => "video/webm",
        "pdf" => "application/pdf",
        "txt" => "text/plain",
        "md" => "text/markdown",
        "csv" => "text/csv",
        "html" => "text/html",
        "json" => "application/json",
        _ => return None,
    })
}

/// Keeps a name that our own client gave, for our own writer.
pub(super) fn keep_name(media: &Media, extra: &mut serde_json::Map<String, Value>) {
    if let Some(name) = &media.name {
        extra.insert("displayName".into(), name.as_str().into());
    }
}

/// The name that our own client gave.
pub(super) fn kept_name(extra: &crate::dialect::talk::Extra) -> Option<&Value> {
    extra.get(Dialect::Gemini, "displayName")
}
