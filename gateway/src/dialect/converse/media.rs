//! Images, sound, videos and documents.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::fields::Fields;
use crate::dialect::talk::{Dialect, Extra, Media, MediaKind, Refused, Source, base64};

/// Converse's formats and the types that they stand for, the usual one first.
const FORMATS: [(MediaKind, &str, &[&str]); 34] = {
    use MediaKind::{Audio, Document, Image, Video};
    [
        (Image, "png", &["image/png"]),
        (Image, "jpeg", &["image/jpeg", "image/jpg"]),
        (Image, "gif", &["image/gif"]),
        (Image, "webp", &["image/webp"]),
        (Document, "pdf", &["application/pdf"]),
        (Document, "csv", &["text/csv"]),
        (Document, "doc", &["application/msword"]),
        (Document, "docx", &["application/vnd.openxmlformats-officedocument.wordprocessingml.document"]),
        (Document, "xls", &["application/vnd.ms-excel"]),
        (Document, "xlsx", &["application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"]),
        (Document, "html", &["text/html"]),
        (Document, "md", &["text/markdown"]),
        (Document, "txt", &["text/plain", "application/json", "application/xml", "application/javascript"]),
        (Video, "mp4", &["video/mp4"]),
        (Video, "mov", &["video/quicktime", "video/mov"]),
        (Video, "mkv", &["video/x-matroska"]),
        (Video, "webm", &["video/webm"]),
        (Video, "flv", &["video/x-flv"]),
        (Video, "mpeg", &["video/mpeg"]),
        (Video, "mpg", &["video/mpg"]),
        (Video, "wmv", &["video/x-ms-wmv", "video/wmv"]),
        (Video, "three_gp", &["video/3gpp"]),
        (Audio, "mp3", &["audio/mpeg", "audio/mp3"]),
        (Audio, "wav", &["audio/wav", "audio/x-wav", "audio/wave"]),
        (Audio, "ogg", &["audio/ogg"]),
        (Audio, "opus", &["audio/opus"]),
        (Audio, "flac", &["audio/flac", "audio/x-flac"]),
        (Audio, "aac", &["audio/aac"]),
        (Audio, "x-aac", &["audio/x-aac"]),
        (Audio, "m4a", &["audio/m4a", "audio/x-m4a"]),
        (Audio, "mp4", &["audio/mp4"]),
        (Audio, "mka", &["audio/x-matroska"]),
        (Audio, "pcm", &["audio/pcm", "audio/l16"]),
        (Audio, "webm", &["audio/webm"]),
    ]
};

/// The block's key.
pub(super) fn key(kind: MediaKind) -> &'static str {
    match kind {
        MediaKind::Image => "image",
        MediaKind::Audio => "audio",
        MediaKind::Video => "video",
        MediaKind::Document => "document",
    }
}

/// The kind that a block's key says.
pub(super) fn kind(key: &str) -> Option<MediaKind> {
    [MediaKind::Image, MediaKind::Audio, MediaKind::Video, MediaKind::Document]
        .into_iter()
        .find(|kind| self::key(*kind) == key)
}

/// Reads a block's body. `None` if only this dialect can say it: a format or a source that others do not have.
pub(super) fn read(kind: MediaKind, body: Value, at: &str) -> Result<Option<(Media, Extra)>, Refused> {
    let mut fields = Fields::of(body, at)?;
    let format = fields.text("format")?;
    let name = if kind == MediaKind::Document { fields.text("name")? } else { None };
    let Some(mut source) = fields.within("source")? else { return Ok(None) };
    let found = if let Some(bytes) = source.text("bytes")? {
        Source::Base64(bytes)
    } else if let Some(text) = source.text("text")? {
        Source::Text(text)
    } else if let Some(mut place) = source.within("s3Location")? {
        let uri = place.needed_text("uri")?;
        // The bucket's owner is written back next to the address.
        for (name, value) in place.rest() {
            fields.put(name, value);
        }
        Source::Url(uri)
    } else {
        return Ok(None);
    };
    let plain = matches!(found, Source::Text(_)).then_some("text/plain");
    let Some(mime) = format.as_deref().map_or(Some(plain.unwrap_or("")), |format| mime_of(kind, format))
    else {
        return Ok(None);
    };
    let mut media =
        Media { kind, mime: mime.to_owned(), source: found, name, detail: None, context: None, cited: None };
    if kind == MediaKind::Document {
        media.context = fields.text("context")?;
        if let Some(mut citations) = fields.within("citations")? {
            media.cited = citations.flag("enabled")?;
        }
    }
    Ok(Some((media, Extra::of(Dialect::Converse, fields.rest()))))
}

fn mime_of(kind: MediaKind, format: &str) -> Option<&'static str> {
    let found = FORMATS.iter().find(|known| known.0 == kind && known.1 == format)?;
    found.2.first().copied()
}

/// Writes a block's body. `names` are those of documents that stand in the request already.
pub(super) fn write(media: &Media, extra: &Extra, names: &mut HashSet<String>) -> Result<Value, Refused> {
    let mut body: Map<String, Value> = extra
        .fields(Dialect::Converse)
        .filter(|(name, _)| *name != "bucketOwner")
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    body.insert("format".to_owned(), format_of(media)?.into());
    body.insert("source".to_owned(), source_of(media, extra)?);
    if media.kind == MediaKind::Document {
        body.insert("name".to_owned(), document_name(media.name.as_deref(), names).into());
        if let Some(context) = &media.context {
            body.insert("context".to_owned(), context.as_str().into());
        }
        if let Some(cited) = media.cited {
            body.insert("citations".to_owned(), json!({ "enabled": cited }));
        }
    }
    Ok(Value::Object(body))
}

fn source_of(media: &Media, extra: &Extra) -> Result<Value, Refused> {
    match &media.source {
        Source::Base64(bytes) => Ok(json!({ "bytes": bytes })),
        // Every model that reads documents takes bytes; the source `text` is known to few.
        Source::Text(text) => Ok(json!({ "bytes": base64::encode(text.as_bytes()) })),
        Source::Url(uri) if uri.starts_with("s3://") => {
            let mut place = json!({ "uri": uri });
            if let Some(owner) = extra.get(Dialect::Converse, "bucketOwner") {
                place["bucketOwner"] = owner.clone();
            }
            Ok(json!({ "s3Location": place }))
        }
        Source::Url(_) => Err(refused(
            "Bedrock does not fetch media from the web: send the bytes in base64, or put the file into S3 and give its \
             s3:// address.",
        )),
        Source::File(_) => Err(refused(
            "A file in another provider's store cannot be read by Bedrock: send the bytes in base64.",
        )),
    }
}

fn refused(message: &str) -> Refused {
    Refused::field("messages", message)
}

/// By the type, else by the file's name, else by the first bytes.
fn format_of(media: &Media) -> Result<&'static str, Refused> {
    let mime = media.mime.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    let kind = media.kind;
    let of_kind = || FORMATS.iter().filter(move |known| known.0 == kind);
    let by_type = of_kind().find(|known| known.2.contains(&mime.as_str())).map(|known| known.1);
    let by_name = || {
        let ending = media.name.as_deref()?.rsplit_once('.')?.1.to_ascii_lowercase();
        of_kind().find(|known| known.1 == ending).map(|known| known.1)
    };
    let any_text = || {
        let text = mime.starts_with("text/") || mime.is_empty() && matches!(media.source, Source::Text(_));
        (kind == MediaKind::Document && text).then_some("txt")
    };
    let found = by_type.or_else(by_name).or_else(any_text).or_else(|| first_bytes(media));
    found.ok_or_else(|| {
        let wanted: Vec<_> = of_kind().map(|known| known.1).collect();
        let (key, wanted) = (key(kind), wanted.join(", "));
        refused(&format!("Bedrock does not take the type `{mime}` as {key}; it takes {wanted}."))
    })
}

fn first_bytes(media: &Media) -> Option<&'static str> {
    let Source::Base64(bytes) = &media.source else { return None };
    let known =
        [("iVBORw0KGgo", "png"), ("/9j/", "jpeg"), ("R0lGOD", "gif"), ("UklGR", "webp"), ("JVBERi", "pdf")];
    let format = known.iter().find(|known| bytes.starts_with(known.0))?.1;
    mime_of(media.kind, format).map(|_| format)
}

/// A name that Bedrock takes: of letters, digits, single blanks, hyphens, parentheses and brackets, at most 200, and
/// of no other document of the request.
fn document_name(name: Option<&str>, names: &mut HashSet<String>) -> String {
    let name = name.unwrap_or("");
    let stem = match name.rsplit_once('.') {
        Some((stem, ending)) if FORMATS.iter().any(|known| known.1.eq_ignore_ascii_case(ending)) => stem,
        _ => name,
    };
    let allowed =
        |sign: char| if sign.is_ascii_alphanumeric() || "-()[]".contains(sign) { sign } else { ' ' };
    let signs: String = stem.chars().map(allowed).take(180).collect();
    let words: Vec<_> = signs.split_ascii_whitespace().collect();
    let clean = if words.is_empty() { "document".to_owned() } else { words.join(" ") };
    let mut unique = clean.clone();
    let mut count = 1;
    while !names.insert(unique.clone()) {
        count += 1;
        unique = format!("{clean} ({count})");
    }
    unique
}

#[cfg(test)]
#[path = "media_tests.rs"]
mod tests;
