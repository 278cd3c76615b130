//! `data:` URLs, in which this dialect carries bytes, and the media types of sounds and file names.

/// The media type and the base64 text of a `data:` URL; none if it is not one or not in base64.
pub(super) fn parse(url: &str) -> Option<(&str, &str)> {
    let scheme = url.get(..5)?;
    if !scheme.eq_ignore_ascii_case("data:") {
        return None;
    }
    let (head, data) = url.get(5..)?.split_once(',')?;
    let head = head.strip_suffix(";base64")?;
    // Parameters such as a charset: nobody else takes them.
    let mime = head.split(';').next().unwrap_or_default();
    Some((mime, data))
}

/// The URL of such bytes.
pub(super) fn write(mime: &str, base64: &str) -> String {
    let mime = if mime.is_empty() { "application/octet-stream" } else { mime };
    format!("data:{mime};base64,{base64}")
}

/// The media type of an `input_audio.format`.
pub(super) fn mime_of_sound(format: &str) -> String {
    match format {
        "" => String::new(),
        "mp3" => "audio/mpeg".to_owned(),
        other => format!("audio/{other}"),
    }
}

/// The `input_audio.format` of a media type.
pub(super) fn format_of_sound(mime: &str) -> &str {
    match mime {
        "audio/mpeg" => "mp3",
        "audio/x-wav" | "audio/wave" | "audio/vnd.wave" => "wav",
        other => other.strip_prefix("audio/").unwrap_or(other),
    }
}

/// The media type that a file's name tells.
pub(super) fn mime_of_name(name: &str) -> &'static str {
    let ending = name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
    match ending.as_deref() {
        Some("pdf") => "application/pdf",
        Some("txt") => "text/plain",
        Some("md") => "text/markdown",
        Some("csv") => "text/csv",
        Some("html") => "text/html",
        _ => "",
    }
}

/// A name for a file that has none; OpenAI wants one.
pub(super) fn name_for(mime: &str) -> &'static str {
    match mime {
        "application/pdf" => "document.pdf",
        "text/plain" => "document.txt",
        "text/markdown" => "document.md",
        "text/csv" => "document.csv",
        "text/html" => "document.html",
        _ => "document",
    }
}
