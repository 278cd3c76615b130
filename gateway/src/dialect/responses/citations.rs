//! The `annotations` of a text.

use serde_json::{Value, json};

use crate::dialect::talk::{Citation, Dialect};

/// Reads an annotation: `url_citation`, or the kinds that name files, which stay readable only here.
pub(super) fn read(annotation: Value) -> Citation {
    let text = |name: &str| annotation.get(name).and_then(Value::as_str).map(str::to_owned);
    let count = |name: &str| annotation.get(name).and_then(Value::as_u64);
    let (url, range) = match annotation.get("type").and_then(Value::as_str) {
        Some("url_citation") => (text("url"), count("start_index").zip(count("end_index"))),
        _ => (None, None),
    };
    let title = text("title").or_else(|| text("filename"));
    Citation { url, title, text: None, range, original: Some((Dialect::Responses, annotation)) }
}

/// Writes one; none if this dialect cannot say it: of another dialect's only addresses have a form here. The text that it
/// belongs to stands at the letters `from` to `to` of what is written.
pub(super) fn write(citation: &Citation, from: usize, to: usize) -> Option<Value> {
    if let Some((Dialect::Responses, original)) = &citation.original {
        return Some(original.clone());
    }
    let url = citation.url.as_deref()?;
    let (from, to) = (from as u64, to as u64);
    let (start, end) = citation
        .range
        .map_or((from, to), |(start, end)| (from.saturating_add(start), from.saturating_add(end)));
    let title = citation.title.as_deref().unwrap_or_default();
    Some(json!({"type": "url_citation", "url": url, "title": title, "start_index": start, "end_index": end}))
}
