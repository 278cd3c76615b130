//! The form of the text, reasoning, log probabilities, tiers, and what is stored.

use serde_json::{Value, json};

use super::fields::{
    Fields, MOST, need_text, object, put, take, take_bool, take_count, take_list, take_object, take_text,
    wrong,
};
use crate::dialect::talk::{Dialect, Effort, Format, Own, Refused, Request, Thinking};

/// What `include` must name for log probabilities to be told.
const LOGPROBS: &str = "message.output_text.logprobs";

/// Takes `text.format` and `text.verbosity`; the rest of `text` stays.
pub(super) fn take_text_options(fields: &mut Fields) -> Result<(Option<Format>, Option<String>), Refused> {
    let Some(mut text) = take_object(fields, "", "text")? else { return Ok((None, None)) };
    let verbosity = take_text(&mut text, "text", "verbosity")?;
    let format = match take(&mut text, "format") {
        None => None,
        Some(format) => {
            let read = read_format(object(format.clone(), "text.format")?)?;
            if read.is_none() {
                text.insert("format".to_owned(), format);
            }
            read
        }
    };
    if !text.is_empty() {
        fields.insert("text".to_owned(), Value::Object(text));
    }
    Ok((format, verbosity))
}

fn read_format(mut format: Fields) -> Result<Option<Format>, Refused> {
    let path = "text.format";
    match need_text(&mut format, path, "type")?.as_str() {
        "text" => Ok(Some(Format::Text)),
        "json_object" => Ok(Some(Format::Json)),
        "json_schema" => {
            let schema = take(&mut format, "schema").filter(Value::is_object);
            Ok(Some(Format::Schema {
                name: take_text(&mut format, path, "name")?,
                description: take_text(&mut format, path, "description")?,
                schema: schema.ok_or_else(|| wrong(path, "schema", "given, as an object"))?,
                strict: take_bool(&mut format, path, "strict")?,
            }))
        }
        // `grammar` and the like.
        _ => Ok(None),
    }
}

/// Puts `text.format`.
pub(super) fn put_format(out: &mut Fields, format: &Format) {
    let format = match format {
        Format::Text => json!({"type": "text"}),
        Format::Json => json!({"type": "json_object"}),
        Format::Schema { name, description, schema, strict } => {
            let mut format = Fields::new();
            put(&mut format, "type", Some("json_schema"));
            // Required here.
            put(&mut format, "name", Some(name.as_deref().unwrap_or("answer")));
            put(&mut format, "description", description.as_deref());
            put(&mut format, "schema", Some(schema.clone()));
            put(&mut format, "strict", *strict);
            Value::Object(format)
        }
    };
    put_inside(out, "text", "format", format);
}

/// Puts `text.verbosity`.
pub(super) fn put_verbosity(out: &mut Fields, verbosity: &str) {
    put_inside(out, "text", "verbosity", verbosity.into());
}

/// Puts a member into an object that may be there already.
fn put_inside(out: &mut Fields, outer: &str, name: &str, value: Value) {
    let outer = out.entry(outer).or_insert_with(|| Value::Object(Fields::new()));
    if let Value::Object(members) = outer {
        members.insert(name.to_owned(), value);
    }
}

const EFFORTS: [(&str, Effort); 7] = [
    ("none", Effort::None),
    ("minimal", Effort::Minimal),
    ("low", Effort::Low),
    ("medium", Effort::Medium),
    ("high", Effort::High),
    ("xhigh", Effort::Higher),
    ("max", Effort::Max),
];

/// Takes `effort` and `summary` out of `reasoning`; the rest of it stays.
pub(super) fn take_thinking(fields: &mut Fields) -> Result<Thinking, Refused> {
    let Some(mut reasoning) = take_object(fields, "", "reasoning")? else { return Ok(Thinking::default()) };
    let path = "reasoning";
    let word = take_text(&mut reasoning, path, "effort")?;
    let effort =
        word.as_deref().and_then(|word| EFFORTS.iter().find(|(name, _)| *name == word)).map(|of| of.1);
    if effort.is_none() {
        put(&mut reasoning, "effort", word);
    }
    let summary = take_text(&mut reasoning, path, "summary")?;
    if !reasoning.is_empty() {
        fields.insert("reasoning".to_owned(), Value::Object(reasoning));
    }
    let told = summary.is_some().then_some(true);
    Ok(Thinking { effort, told, summary, ..Thinking::default() })
}

/// Puts `reasoning`.
pub(super) fn put_thinking(out: &mut Fields, thinking: &Thinking, model: &str) {
    if let Some(word) = effort_word(thinking, model) {
        put_inside(out, "reasoning", "effort", word.into());
    }
    let summary = thinking.summary.as_deref().or((thinking.told == Some(true)).then_some("auto"));
    if let Some(summary) = summary {
        put_inside(out, "reasoning", "summary", summary.into());
    }
}

/// The word for an effort. Budgets fall into the words by the sizes that other gateways and providers use.
fn effort_word(thinking: &Thinking, model: &str) -> Option<&'static str> {
    let off = thinking.enabled == Some(false) || thinking.budget == Some(0);
    match (thinking.effort, thinking.budget) {
        (Some(effort), _) => EFFORTS.iter().find(|of| of.1 == effort).map(|of| of.0),
        _ if off => least(model),
        (None, Some(..=2048)) => Some("low"),
        (None, Some(..=8192)) => Some("medium"),
        (None, Some(_)) => Some("high"),
        (None, None) => None,
    }
}

/// The word for no reasoning, if the model is known to have one: older models refuse `reasoning` altogether, and the
/// first of the GPT-5 family refuse `none`.
fn least(model: &str) -> Option<&'static str> {
    let name = model.rsplit('/').next().unwrap_or_default();
    if name.starts_with("gpt-5.") {
        Some("none")
    } else if name.starts_with("gpt-5") {
        Some("minimal")
    } else {
        None
    }
}

/// Takes `top_logprobs` and its word in `include`.
pub(super) fn take_logprobs(fields: &mut Fields) -> Result<Option<u64>, Refused> {
    let top = take_count(fields, "", "top_logprobs", MOST)?.filter(|top| *top > 0);
    let mut include = take_list(fields, "", "include")?;
    let before = include.len();
    include.retain(|word| word.as_str() != Some(LOGPROBS));
    let wanted = include.len() < before;
    if !include.is_empty() {
        fields.insert("include".to_owned(), Value::Array(include));
    }
    Ok(top.or(wanted.then_some(0)))
}

/// Puts both.
pub(super) fn put_logprobs(out: &mut Fields, request: &Request) {
    let Some(top) = request.logprobs else { return };
    put(out, "top_logprobs", (top > 0).then_some(top));
    let include = out.entry("include").or_insert_with(|| Value::Array(Vec::new()));
    if let Value::Array(words) = include {
        words.push(LOGPROBS.into());
    }
}

/// Takes `service_tier`.
pub(super) fn take_tier(fields: &mut Fields) -> Result<Option<Own<String>>, Refused> {
    Ok(take_text(fields, "", "service_tier")?.map(|tier| Own::new(Dialect::Responses, tier)))
}

/// For a client of another dialect: nothing is to be stored, as it could never be asked for, and what the model thought
/// is to come encrypted, so that the client can give it back.
pub(super) fn put_unstored(out: &mut Fields, request: &Request) {
    put(out, "store", Some(false));
    if !reasons(request) {
        return;
    }
    let include = out.entry("include").or_insert_with(|| Value::Array(Vec::new()));
    if let Value::Array(words) = include {
        words.push("reasoning.encrypted_content".into());
    }
}

/// Does the model reason? Those that do not refuse to be asked for encrypted reasoning.
fn reasons(request: &Request) -> bool {
    let thinking = &request.thinking;
    let off = thinking.enabled == Some(false)
        || thinking.effort == Some(Effort::None)
        || thinking.budget == Some(0);
    let asked = thinking.enabled == Some(true) || thinking.effort.is_some() || thinking.budget.is_some();
    let name = request.model.rsplit('/').next().unwrap_or_default();
    let known = ["gpt-5", "o1", "o3", "o4"].iter().any(|family| name.starts_with(family));
    (known && !name.contains("chat")) || (asked && !off)
}
