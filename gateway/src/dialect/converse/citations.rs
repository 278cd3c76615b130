//! Sources that the model cites.

use serde_json::{Map, Value, json};

use super::fields::Fields;
use crate::dialect::talk::{Citation, Dialect, Part, Refused};

/// Reads `citationsContent`: text, and what it cites.
pub(super) fn read(body: Value, at: &str) -> Result<Part, Refused> {
    let mut fields = Fields::of(body, at)?;
    let (content, citations) = (fields.list("content")?, fields.list("citations")?);
    let text = content.iter().filter_map(|part| part.get("text")?.as_str()).collect();
    let citations = citations.into_iter().map(citation).collect();
    Ok(Part::Text { text, signature: None, citations })
}

/// Reads one. Where it stands in the source is told (in signs, pages or chunks), not where in the answer; so there is
/// no range, and the original keeps the rest.
pub(super) fn citation(value: Value) -> Citation {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let quoted = value.get("sourceContent").and_then(Value::as_array);
    let words =
        quoted.map(|parts| parts.iter().filter_map(|part| part.get("text")?.as_str()).collect::<String>());
    Citation {
        url: value.pointer("/location/web/url").and_then(text),
        title: value.get("title").and_then(text),
        text: words.filter(|words| !words.is_empty()),
        range: None,
        original: Some((Dialect::Converse, value)),
    }
}

/// Writes `citationsContent`.
pub(super) fn write(text: &str, citations: &[&Citation]) -> Value {
    let mut body = json!({ "citations": citations.iter().map(|citation| one(citation)).collect::<Vec<_>>() });
    if !text.is_empty() {
        body["content"] = json!([{ "text": text }]);
    }
    json!({ "citationsContent": body })
}

fn one(citation: &Citation) -> Value {
    if let Some((Dialect::Converse, original)) = &citation.original {
        return original.clone();
    }
    let mut out = Map::new();
    if let Some(title) = &citation.title {
        out.insert("title".to_owned(), title.as_str().into());
    }
    if let Some(text) = &citation.text {
        out.insert("sourceContent".to_owned(), json!([{ "text": text }]));
    }
    if let Some(url) = &citation.url {
        out.insert("location".to_owned(), json!({ "web": { "url": url } }));
    }
    Value::Object(out)
}
