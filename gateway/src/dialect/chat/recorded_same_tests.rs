//! Whether two bodies mean the same.

use super::*;

pub(super) fn text_of(part: &Value) -> Option<&str> {
    (part["body_encoding"] == "utf8").then(|| part["body"].as_str()).flatten().filter(|text| !text.is_empty())
}

/// What is tolerated between what was read and what is written: `null`, empty lists and defaults said or unsaid; numbers
/// with or without a fraction of zero; one plain text part for a string; content that says nothing; the type of a call.
pub(super) fn normal(value: &mut Value) {
    match value {
        Value::Number(number) => *value = json!(number.as_f64()),
        Value::Array(list) => list.iter_mut().for_each(normal),
        Value::Object(members) => {
            members.values_mut().for_each(normal);
            normal_members(members);
        }
        _ => {}
    }
}

pub(super) fn normal_members(members: &mut Map<String, Value>) {
    if let Some(content) = members.get_mut("content") {
        let plain = content.as_array().filter(|list| list.len() == 1).and_then(|list| list[0].as_object());
        let text = plain
            .filter(|part| part.len() == 2 && part.contains_key("text"))
            .map(|part| part["text"].clone());
        if let Some(text) = text {
            *content = text;
        }
    }
    members.retain(|_, value| !value.is_null() && *value != json!([]));
    for (name, default) in [
        ("stream", json!(false)),
        ("logprobs", json!(false)),
        ("top_logprobs", json!(0.0)),
        ("include_usage", json!(false)),
        ("stream_options", json!({})),
        ("content", json!("")),
        ("reasoning", json!("")),
        ("reasoning_content", json!("")),
        ("refusal", json!("")),
        ("logprobs", json!({})),
    ] {
        if members.get(name) == Some(&default) {
            members.remove(name);
        }
    }
    if members.contains_key("function") && !members.contains_key("type") {
        members.insert("type".into(), "function".into());
    }
}

/// serde_json reads a number with a fraction up to the last bit but one (its feature `float_roundtrip` is off).
pub(super) fn blur(value: &mut Value) {
    match value {
        Value::Number(number) if number.is_f64() => {
            *value = format!("{:.9e}", number.as_f64().unwrap()).into()
        }
        Value::Array(list) => list.iter_mut().for_each(blur),
        Value::Object(members) => members.values_mut().for_each(blur),
        _ => {}
    }
}

#[track_caller]
pub(super) fn same(id: &str, mut ours: Value, mut theirs: Value) {
    for value in [&mut ours, &mut theirs] {
        normal(value);
        blur(value);
    }
    if ours != theirs {
        differ(id, &ours, &theirs, "");
    }
}

#[track_caller]
pub(super) fn differ(id: &str, ours: &Value, theirs: &Value, path: &str) {
    match (ours, theirs) {
        (Value::Object(a), Value::Object(b)) => {
            for name in a.keys().chain(b.keys()) {
                if a.get(name) != b.get(name) {
                    let none = Value::Null;
                    differ(
                        id,
                        a.get(name).unwrap_or(&none),
                        b.get(name).unwrap_or(&none),
                        &format!("{path}.{name}"),
                    );
                }
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (n, (a, b)) in a.iter().zip(b).enumerate() {
                if a != b {
                    differ(id, a, b, &format!("{path}[{n}]"));
                }
            }
        }
        _ => panic!("{id}: {path}: ours {ours:.300} theirs {theirs:.300}"),
    }
}

/// Usage is written as it was understood (xAI leaves reasoning out of its counts), which another test proves.
pub(super) fn without_usage(mut body: Value) -> Value {
    body.as_object_mut().unwrap().remove("usage");
    body
}
