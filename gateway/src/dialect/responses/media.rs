//! Images, files and sounds: `input_image`, `input_file`, `input_audio`.

use serde_json::{Value, json};

use super::fields::{Fields, need_text, object, put, take, take_text, wrong};
use crate::dialect::talk::{Dialect, Media, MediaKind, Own, Refused, Source};

const BYTES: &str = "application/octet-stream";

/// Takes the members of an `input_image`.
pub(super) fn take_image(fields: &mut Fields, path: &str) -> Result<Media, Refused> {
    let detail = take_text(fields, path, "detail")?;
    let url = take_text(fields, path, "image_url")?;
    let (mime, source) = match (url, take_text(fields, path, "file_id")?) {
        (Some(url), _) => of_url(url, ""),
        (None, Some(id)) => (String::new(), Source::File(Own::new(Dialect::Responses, id))),
        (None, None) => return Err(wrong(path, "image_url", "given, as a string, or `file_id`")),
    };
    Ok(Media { kind: MediaKind::Image, mime, source, name: None, detail, context: None, cited: None })
}

/// Takes the members of an `input_file`.
pub(super) fn take_file(fields: &mut Fields, path: &str) -> Result<Media, Refused> {
    let name = take_text(fields, path, "filename")?;
    let named = name.as_deref().map_or("", mime_of_name);
    let data = take_text(fields, path, "file_data")?;
    let url = take_text(fields, path, "file_url")?;
    let id = take_text(fields, path, "file_id")?;
    let (mime, source) = match (data, url, id) {
        (Some(data), _, _) if is_data_url(&data) => of_url(data, named),
        // Bare base64 is no data URL, but some clients send it.
        (Some(data), _, _) => (or_bytes(named), Source::Base64(data)),
        (None, Some(url), _) => of_url(url, named),
        (None, None, Some(id)) => (String::new(), Source::File(Own::new(Dialect::Responses, id))),
        (None, None, None) => {
            return Err(wrong(path, "file_data", "given, as a string, or `file_url` or `file_id`"));
        }
    };
    Ok(Media { kind: MediaKind::Document, mime, source, name, detail: None, context: None, cited: None })
}

/// Takes the members of an `input_audio`.
pub(super) fn take_audio(fields: &mut Fields, path: &str) -> Result<Media, Refused> {
    let path = &format!("{path}.input_audio");
    let mut audio = object(take(fields, "input_audio").unwrap_or_default(), path)?;
    let data = need_text(&mut audio, path, "data")?;
    let mime = match need_text(&mut audio, path, "format")?.as_str() {
        "mp3" => "audio/mpeg".to_owned(),
        format => format!("audio/{format}"),
    };
    Ok(Media {
        kind: MediaKind::Audio,
        mime,
        source: Source::Base64(data),
        name: None,
        detail: None,
        context: None,
        cited: None,
    })
}

/// Writes a part of a message's content.
pub(super) fn write(media: &Media, path: &str) -> Result<Fields, Refused> {
    let mut out = Fields::new();
    match (media.kind, &media.source) {
        (MediaKind::Image, source) => {
            put(&mut out, "type", Some("input_image"));
            match source {
                Source::Base64(data) => put(&mut out, "image_url", Some(data_url(&image_mime(media), data))),
                Source::Url(url) => put(&mut out, "image_url", Some(reachable(url, path)?)),
                Source::File(id) => put(&mut out, "file_id", Some(stored(id, path)?)),
                Source::Text(_) => return Err(cannot(path, "an image that is text")),
            }
            put(&mut out, "detail", media.detail.as_deref());
        }
        (MediaKind::Document, source) => {
            put(&mut out, "type", Some("input_file"));
            match source {
                Source::Base64(data) => put(&mut out, "file_data", Some(data_url(&media.mime, data))),
                Source::Url(url) => put(&mut out, "file_url", Some(reachable(url, path)?)),
                Source::File(id) => put(&mut out, "file_id", Some(stored(id, path)?)),
                Source::Text(text) => return Ok(plain(media.name.as_deref(), text)),
            }
            // A name is required beside data; the API refuses one beside an id or an address.
            let named = media.name.as_deref().or(Some(name_for(&media.mime)));
            let needed = media.name.is_some() || matches!(source, Source::Base64(_));
            put(&mut out, "filename", named.filter(|_| needed));
        }
        (MediaKind::Audio, Source::Base64(data)) => {
            put(&mut out, "type", Some("input_audio"));
            let sound = json!({"data": data, "format": format_of_sound(&media.mime)});
            put(&mut out, "input_audio", Some(sound));
        }
        (MediaKind::Audio, _) => return Err(cannot(path, "sound by its address or id, only by its bytes")),
        (MediaKind::Video, _) => return Err(cannot(path, "video")),
    }
    Ok(out)
}

/// A document that is plain text: no provider's list of file types has to be asked if it goes as text.
fn plain(name: Option<&str>, text: &str) -> Fields {
    let text = name.map_or_else(|| text.to_owned(), |name| format!("{name}\n\n{text}"));
    Fields::from_iter([("type".to_owned(), Value::from("input_text")), ("text".to_owned(), text.into())])
}

/// The id of a file in a store that this provider knows.
fn stored<'a>(id: &'a Own<String>, path: &str) -> Result<&'a str, Refused> {
    id.file_for(Dialect::Responses).ok_or_else(|| cannot(path, "a file in another provider's store"))
}

fn cannot(path: &str, what: &str) -> Refused {
    Refused::field(path, format!("The Responses API cannot carry {what}."))
}

/// Only the web: the stores of other clouds are out of reach for this provider.
fn reachable<'a>(url: &'a str, path: &str) -> Result<&'a str, Refused> {
    let scheme = url.split(':').next().unwrap_or_default();
    let reachable = ["https", "http", "data"].iter().any(|known| known.eq_ignore_ascii_case(scheme));
    if reachable { Ok(url) } else { Err(cannot(path, &format!("an address of the kind `{scheme}:`"))) }
}

fn is_data_url(url: &str) -> bool {
    url.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:"))
}

/// The media type and the source that an address gives; `named` is the type that a file's name tells.
fn of_url(url: String, named: &str) -> (String, Source) {
    let parts = url.get(5..).filter(|_| is_data_url(&url)).and_then(|rest| rest.split_once(','));
    let Some((head, data)) = parts.and_then(|(head, data)| Some((head.strip_suffix(";base64")?, data)))
    else {
        return (String::new(), Source::Url(url));
    };
    // Parameters such as a charset: nobody else takes them.
    let mime = head.split(';').next().unwrap_or_default();
    let mime = if mime.is_empty() {
        or_bytes(if named.is_empty() { sniffed(data) } else { named })
    } else {
        mime.to_owned()
    };
    (mime, Source::Base64(data.to_owned()))
}

fn or_bytes(mime: &str) -> String {
    if mime.is_empty() { BYTES.to_owned() } else { mime.to_owned() }
}

fn data_url(mime: &str, base64: &str) -> String {
    format!("data:{};base64,{base64}", if mime.is_empty() { BYTES } else { mime })
}

fn image_mime(media: &Media) -> String {
    match &media.source {
        Source::Base64(data) if media.mime.is_empty() => or_bytes(sniffed(data)),
        _ => media.mime.clone(),
    }
}

/// The type that the first bytes tell, in base64.
fn sniffed(base64: &str) -> &'static str {
    let kinds = [
        ("iVBOR", "image/png"),
        ("/9j/", "image/jpeg"),
        ("R0lGOD", "image/gif"),
        ("UklGR", "image/webp"),
        ("JVBERi", "application/pdf"),
    ];
    kinds.iter().find(|(start, _)| base64.starts_with(start)).map_or("", |(_, mime)| mime)
}

fn format_of_sound(mime: &str) -> &str {
    match mime {
        "audio/mpeg" => "mp3",
        "audio/x-wav" | "audio/wave" | "audio/vnd.wave" => "wav",
        other => other.strip_prefix("audio/").unwrap_or(other),
    }
}

fn mime_of_name(name: &str) -> &'static str {
    let ending = name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
    match ending.as_deref() {
        Some("pdf") => "application/pdf",
        Some("txt") => "text/plain",
        Some("md") => "text/markdown",
        Some("csv") => "text/csv",
        Some("html") => "text/html",
        Some("json") => "application/json",
        _ => "",
    }
}

fn name_for(mime: &str) -> &'static str {
    match mime {
        "application/pdf" => "document.pdf",
        "text/plain" => "document.txt",
        "text/markdown" => "document.md",
        "text/csv" => "document.csv",
        "text/html" => "document.html",
        "application/json" => "document.json",
        _ => "document",
    }
}
