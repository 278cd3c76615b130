//! Images, sounds, videos and files: parts of `content`.

use serde_json::{Value, json};

use super::data_url;
use super::fields::{Fields, mark, need_text, object, take_text};
use crate::dialect::talk::{Dialect, Extra, Media, MediaKind, Own, Refused, Source};

/// What was read of a part: the media, and marks for the way back.
pub(super) type Read = (Media, Fields);

fn media(kind: MediaKind, mime: impl Into<String>, source: Source) -> Media {
    Media { kind, mime: mime.into(), source, name: None, detail: None, context: None, cited: None }
}

fn from_url(kind: MediaKind, url: String) -> Media {
    match data_url::parse(&url) {
        Some((mime, data)) => media(kind, mime, Source::Base64(data.to_owned())),
        None => media(kind, "", Source::Url(url)),
    }
}

/// A mark that keeps what is left of the inner object.
fn inner(left: Fields) -> Fields {
    let mut marks = Fields::new();
    if !left.is_empty() {
        marks.insert("#inner".into(), Value::Object(left));
    }
    marks
}

fn bare() -> Fields {
    Fields::from_iter([("#bare".to_owned(), true.into())])
}

/// `image_url`, `video_url`: an object with a `url`, of Mistral also the URL itself.
pub(super) fn read_url(value: Value, kind: MediaKind, path: &str) -> Result<Read, Refused> {
    if let Value::String(url) = value {
        return Ok((from_url(kind, url), bare()));
    }
    let mut fields = object(value, path)?;
    let mut read = from_url(kind, need_text(&mut fields, path, "url")?);
    read.detail = take_text(&mut fields, path, "detail")?;
    Ok((read, inner(fields)))
}

/// `input_audio`: `{data, format}`, of Mistral also the data or a URL alone.
pub(super) fn read_audio(value: Value, path: &str) -> Result<Read, Refused> {
    if let Value::String(data) = value {
        let remote = data.starts_with("http://") || data.starts_with("https://");
        let source = if remote { Source::Url(data) } else { Source::Base64(data) };
        return Ok((media(MediaKind::Audio, "", source), bare()));
    }
    let mut fields = object(value, path)?;
    let data = need_text(&mut fields, path, "data")?;
    let format = take_text(&mut fields, path, "format")?.unwrap_or_default();
    Ok((media(MediaKind::Audio, data_url::mime_of_sound(&format), Source::Base64(data)), inner(fields)))
}

/// `file`: `{file_data, file_id, filename}`. OpenRouter takes an address as `file_data`.
pub(super) fn read_file(value: Value, path: &str) -> Result<Read, Refused> {
    let mut fields = object(value, path)?;
    let name = take_text(&mut fields, path, "filename")?;
    let mut read =
        match (take_text(&mut fields, path, "file_data")?, take_text(&mut fields, path, "file_id")?) {
            (Some(data), _) if data.starts_with("http://") || data.starts_with("https://") => {
                media(MediaKind::Document, "", Source::Url(data))
            }
            (Some(data), _) => match data_url::parse(&data) {
                Some((mime, data)) => media(MediaKind::Document, mime, Source::Base64(data.to_owned())),
                None => media(MediaKind::Document, "", Source::Base64(data)),
            },
            (None, Some(id)) => media(MediaKind::Document, "", Source::File(Own::new(Dialect::Chat, id))),
            (None, None) => {
                return Err(Refused::field(path, format!("`{path}` needs `file_data` or `file_id`.")));
            }
        };
    if read.mime.is_empty() && matches!(read.source, Source::Base64(_)) {
        read.mime = name.as_deref().map(data_url::mime_of_name).unwrap_or_default().to_owned();
    }
    let mut marks = inner(fields);
    if name.is_none() {
        marks.insert("#unnamed".into(), true.into());
    }
    marks.insert("#own".into(), true.into());
    read.name = name;
    Ok((read, marks))
}

/// `document_url` (Mistral): the URL itself, its name beside it.
pub(super) fn read_document_url(fields: &mut Fields, path: &str) -> Result<Read, Refused> {
    let url = need_text(fields, path, "document_url")?;
    let mut read = from_url(MediaKind::Document, url);
    read.name = take_text(fields, path, "document_name")?;
    Ok((read, Fields::from_iter([("#document_url".to_owned(), true.into())])))
}

/// Writes a part's members; `path` names it in a refusal.
pub(super) fn write(media: &Media, extra: &Extra, path: &str) -> Result<Fields, Refused> {
    match media.kind {
        MediaKind::Image => write_url(media, extra, path, "image_url"),
        MediaKind::Video => write_url(media, extra, path, "video_url"),
        MediaKind::Audio => write_audio(media, extra, path),
        MediaKind::Document => write_document(media, extra, path),
    }
}

fn part(kind: &str, mut value: Value, extra: &Extra) -> Fields {
    if let (Value::Object(value), Some(Value::Object(inner))) = (&mut value, mark(extra, "#inner")) {
        value.extend(inner.clone());
    }
    Fields::from_iter([("type".to_owned(), kind.into()), (kind.to_owned(), value)])
}

fn url_of(media: &Media, path: &str) -> Result<String, Refused> {
    match &media.source {
        Source::Base64(data) => Ok(data_url::write(&media.mime, data)),
        Source::Url(url) => Ok(url.clone()),
        Source::File(_) => Err(refused_file(path)),
        Source::Text(_) => Err(Refused::field(path, "The provider takes no text as this kind of media.")),
    }
}

fn refused_file(path: &str) -> Refused {
    Refused::field(
        path,
        "The file's id is of another provider's store, or of a kind that this provider does not take.",
    )
}

fn write_url(media: &Media, extra: &Extra, path: &str, kind: &str) -> Result<Fields, Refused> {
    let url = url_of(media, path)?;
    if mark(extra, "#bare").is_some() {
        return Ok(part(kind, url.into(), extra));
    }
    let mut inner = json!({"url": url});
    if let Some(detail) = &media.detail {
        inner["detail"] = detail.as_str().into();
    }
    Ok(part(kind, inner, extra))
}

fn write_audio(media: &Media, extra: &Extra, path: &str) -> Result<Fields, Refused> {
    let kind = "input_audio";
    match &media.source {
        Source::Base64(data) | Source::Url(data) if mark(extra, "#bare").is_some() => {
            Ok(part(kind, data.as_str().into(), extra))
        }
        Source::Base64(data) => {
            let mut inner = json!({"data": data});
            let format = data_url::format_of_sound(&media.mime);
            if !format.is_empty() {
                inner["format"] = format.into();
            }
            Ok(part(kind, inner, extra))
        }
        Source::File(_) => Err(refused_file(path)),
        _ => Err(Refused::field(path, "The provider takes sound only as data, not by its address.")),
    }
}

fn write_document(media: &Media, extra: &Extra, path: &str) -> Result<Fields, Refused> {
    if mark(extra, "#document_url").is_some() {
        let mut out = Fields::from_iter([("type".to_owned(), "document_url".into())]);
        out.insert("document_url".into(), url_of(media, path)?.into());
        out.extend(media.name.as_ref().map(|name| ("document_name".to_owned(), name.as_str().into())));
        return Ok(out);
    }
    let own = mark(extra, "#own").is_some();
    let mut inner = match &media.source {
        Source::Base64(data) if own && media.mime.is_empty() => json!({"file_data": data}),
        Source::Base64(data) => json!({"file_data": data_url::write(&media.mime, data)}),
        Source::Url(url) if own => json!({"file_data": url}),
        Source::File(id) => match id.file_for(Dialect::Chat) {
            Some(id) => json!({"file_id": id}),
            None => return Err(refused_file(path)),
        },
        // The only provider that fetches documents over Chat (OpenRouter) is not worth a riddle at all others.
        Source::Url(_) => {
            return Err(Refused::field(
                path,
                "The provider takes documents only as data, not by an address.",
            ));
        }
        Source::Text(text) => return Ok(write_plain(media, text)),
    };
    let unnamed = mark(extra, "#unnamed").is_some() || matches!(media.source, Source::File(_));
    match &media.name {
        Some(name) => inner["filename"] = name.as_str().into(),
        None if !unnamed => inner["filename"] = data_url::name_for(&media.mime).into(),
        None => {}
    }
    Ok(part("file", inner, extra))
}

/// A plain document is told as text: providers take files, if at all, mostly as PDF.
fn write_plain(media: &Media, text: &str) -> Fields {
    let text = match &media.name {
        Some(name) => format!("<document name=\"{name}\">\n{text}\n</document>"),
        None => text.to_owned(),
    };
    Fields::from_iter([("type".to_owned(), "text".into()), ("text".to_owned(), text.into())])
}
