//! The form of the text, stop texts and log probabilities.

use serde_json::{Value, json};

use super::super::fields::{
    Fields, MOST, mark, marked, put, take, take_bool, take_count, take_object, take_text,
};
use crate::dialect::talk::{Format, Refused, Request};

/// Takes `response_format`; one of an unknown type stays.
pub(super) fn read_format(left: &mut Fields, marks: &mut Fields) -> Result<Option<Format>, Refused> {
    let path = "response_format";
    let Some(mut said) = take_object(left, "", path)? else { return Ok(None) };
    let format = match take_text(&mut said, path, "type")?.as_deref() {
        Some("text") => Format::Text,
        Some("json_object") => Format::Json,
        // Some clients leave the type out.
        Some("json_schema") | None if said.contains_key("json_schema") => read_schema(&mut said, marks)?,
        kind => {
            put(&mut said, "type", kind.map(str::to_owned));
            left.insert(path.into(), Value::Object(said));
            return Ok(None);
        }
    };
    if !said.is_empty() {
        marks.insert("#response_format".into(), Value::Object(said));
    }
    Ok(Some(format))
}

fn read_schema(said: &mut Fields, marks: &mut Fields) -> Result<Format, Refused> {
    let path = "response_format.json_schema";
    let mut inner = take_object(said, "response_format", "json_schema")?.unwrap_or_default();
    let name = take_text(&mut inner, path, "name")?;
    let description = take_text(&mut inner, path, "description")?;
    let strict = take_bool(&mut inner, path, "strict")?;
    // Mistral's SDK words it so.
    let schema = take(&mut inner, "schema").or_else(|| {
        marks.insert("#schema_definition".into(), true.into());
        take(&mut inner, "schema_definition")
    });
    let Some(schema) = schema else {
        return Err(Refused::field(path, "`response_format.json_schema.schema` must be given."));
    };
    marks.insert("#json_schema".into(), Value::Object(inner));
    Ok(Format::Schema { name, description, schema, strict })
}

/// Writes it.
pub(super) fn write_format(out: &mut Fields, request: &Request) {
    let Some(format) = &request.format else { return };
    let mut said = marked(&request.extra, "#response_format").unwrap_or_default();
    match format {
        Format::Text => put(&mut said, "type", Some("text")),
        Format::Json => put(&mut said, "type", Some("json_object")),
        Format::Schema { name, description, schema, strict } => {
            let kept = marked(&request.extra, "#json_schema");
            // OpenAI requires a name, Gemini has none. Perplexity's clients leave it out, and may.
            let name = name.as_deref().or(kept.is_none().then_some("answer"));
            let mut inner = kept.unwrap_or_default();
            put(&mut inner, "name", name);
            put(&mut inner, "description", description.as_deref());
            put(&mut inner, "strict", *strict);
            let field = if mark(&request.extra, "#schema_definition").is_some() {
                "schema_definition"
            } else {
                "schema"
            };
            inner.insert(field.into(), schema.clone());
            put(&mut said, "type", Some("json_schema"));
            said.insert("json_schema".into(), Value::Object(inner));
        }
    }
    out.insert("response_format".into(), Value::Object(said));
}

/// Takes `stop`: a text or several.
pub(super) fn read_stop(left: &mut Fields, marks: &mut Fields) -> Result<Vec<String>, Refused> {
    let wrong = || Refused::field("stop", "`stop` must be a string or a list of strings.");
    match take(left, "stop") {
        None => Ok(Vec::new()),
        Some(Value::String(text)) => {
            marks.insert("#stop".into(), true.into());
            Ok(vec![text])
        }
        Some(Value::Array(list)) => {
            let text = |value| match value {
                Value::String(text) => Ok(text),
                _ => Err(wrong()),
            };
            list.into_iter().map(text).collect()
        }
        Some(_) => Err(wrong()),
    }
}

/// Writes it.
pub(super) fn write_stop(out: &mut Fields, request: &Request) {
    match request.stop.as_slice() {
        [] => {}
        [text] if mark(&request.extra, "#stop").is_some() => put(out, "stop", Some(text.as_str())),
        texts => put(out, "stop", Some(json!(texts))),
    }
}

/// Takes `top_k`; open servers say -1 for "off", which stays as it is.
pub(super) fn read_top_k(left: &mut Fields) -> Result<Option<u64>, Refused> {
    if left.get("top_k").and_then(Value::as_i64).is_some_and(|k| k < 0) {
        return Ok(None);
    }
    take_count(left, "", "top_k", MOST)
}

/// Takes `logprobs` and `top_logprobs`. Together has a number as `logprobs`, which stays as it is.
pub(super) fn read_logprobs(left: &mut Fields) -> Result<Option<u64>, Refused> {
    if let Some(Value::Number(number)) = left.get("logprobs") {
        return Ok(number.as_u64().filter(|count| *count <= MOST));
    }
    if take_bool(left, "", "logprobs")? != Some(true) {
        return Ok(None);
    }
    Ok(Some(take_count(left, "", "top_logprobs", MOST)?.unwrap_or(0)))
}

/// Writes them.
pub(super) fn write_logprobs(out: &mut Fields, request: &Request) {
    let Some(count) = request.logprobs else { return };
    out.insert("logprobs".into(), true.into());
    put(out, "top_logprobs", Some(count).filter(|count| *count > 0));
}
