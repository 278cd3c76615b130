//! Whether two bodies mean the same.

use super::*;

/// Makes two ways of saying the same equal. Tolerated: `null`, `false` for `stream` and empty lists and strings say
/// nothing, nor do assistants with an empty text; a text is a list of one text part, a part's type follows from who speaks, an input text is a message; `1.0` is `1`; an empty schema is none; the names of logprobs in `include` come last.
pub(super) fn same_meaning(value: Value, path: &str) -> Value {
    match value {
        Value::Object(members) => object_meaning(members, path),
        Value::Array(list) => {
            let silent =
                serde_json::json!({"type": "message", "role": "assistant", "content": [{"type": "text"}]});
            list.into_iter().map(|entry| same_meaning(entry, path)).filter(|entry| *entry != silent).collect()
        }
        Value::Number(number) => number.as_f64().map_or(Value::Null, Value::from),
        Value::String(text) if path == "input" => {
            same_meaning(serde_json::json!([{"role": "user", "content": text}]), path)
        }
        Value::String(text) if matches!(path, "content" | "output") => {
            same_meaning(serde_json::json!([{"type": "text", "text": text}]), path)
        }
        other => other,
    }
}

pub(super) fn object_meaning(members: Map<String, Value>, path: &str) -> Value {
    let mut out = Map::new();
    for (name, value) in members {
        if name == "parameters" || name == "schema" {
            out.insert(name, value);
            continue;
        }
        let value = same_meaning(value, if path.is_empty() || name != "input" { &name } else { "" });
        let empty = match &value {
            Value::Null => true,
            Value::Array(list) => list.is_empty(),
            Value::String(text) => text.is_empty(),
            Value::Object(members) => members.is_empty(),
            Value::Bool(said) => !said && name == "stream",
            Value::Number(_) => false,
        };
        if !empty {
            out.insert(name, value);
        }
    }
    if out.get("type").is_some_and(|kind| matches!(kind.as_str(), Some("output_text" | "input_text"))) {
        out.insert("type".to_owned(), "text".into());
    }
    // A recording made by hand says so.
    if out.get("status").is_some_and(|status| status == "complete") {
        out.insert("status".to_owned(), "completed".into());
    }
    if out.get("cache_write_tokens").is_some_and(|count| count.as_f64() == Some(0.0)) {
        out.remove("cache_write_tokens");
    }
    if out.contains_key("role") && !out.contains_key("type") {
        out.insert("type".to_owned(), "message".into());
    }
    if out
        .get("parameters")
        .is_some_and(|schema| schema == &serde_json::json!({"type": "object", "properties": {}}))
    {
        out.remove("parameters");
    }
    Value::Object(out)
}

/// Where two values differ first.
pub(super) fn difference(left: &Value, right: &Value, path: &str) -> Option<String> {
    match (left, right) {
        (Value::Object(left), Value::Object(right)) => {
            let names: std::collections::BTreeSet<_> = left.keys().chain(right.keys()).collect();
            names.into_iter().find_map(|name| {
                let null = Value::Null;
                let sides = (left.get(name).unwrap_or(&null), right.get(name).unwrap_or(&null));
                difference(sides.0, sides.1, &format!("{path}.{name}"))
            })
        }
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
            let mut pairs = left.iter().zip(right).enumerate();
            pairs.find_map(|(at, (left, right))| difference(left, right, &format!("{path}[{at}]")))
        }
        _ if left == right => None,
        _ => Some(format!("{path}: {left:.200} became {right:.200}")),
    }
}
