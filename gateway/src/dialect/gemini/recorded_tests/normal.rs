//! JSON in one form, so that what means the same is the same. What is tolerated is said at each place.

use serde_json::{Map, Value, json};

/// Members whose own members are the client's, not the protocol's.
const OPAQUE: [&str; 4] = ["args", "response", "customMetadata", "partMetadata"];

/// The same JSON in one spelling: what protocol buffers take for the same, and the tolerated differences.
fn normal(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(normal).collect(),
        Value::Number(number) => json!(number.as_f64().unwrap()),
        Value::Object(map) => {
            let members = map.iter().filter(|(_, value)| !value.is_null());
            let members = members.map(|(name, value)| normal_member(&camel(name), value));
            normal_object(members.collect()).into()
        }
        other => other.clone(),
    }
}

fn camel(name: &str) -> String {
    let mut words = name.split('_');
    let mut out = words.next().unwrap().to_owned();
    for word in words.filter(|word| !word.is_empty()) {
        out.push_str(&word[..1].to_ascii_uppercase());
        out.push_str(&word[1..]);
    }
    out
}

fn normal_member(name: &str, value: &Value) -> (String, Value) {
    let value = match name {
        _ if OPAQUE.contains(&name) => numbers(value),
        // Both fields for a schema, in one form.
        "parameters" | "parametersJsonSchema" | "responseSchema" | "responseJsonSchema" => {
            return ("schema".into(), schema(value));
        }
        // Base64 in one alphabet.
        "data" | "thoughtSignature" => {
            json!(value.as_str().unwrap().replace('-', "+").replace('_', "/").trim_end_matches('='))
        }
        "mode" | "thinkingLevel" => json!(value.as_str().unwrap().to_ascii_uppercase()),
        _ => normal(value),
    };
    (name.to_owned(), value)
}

fn numbers(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(numbers).collect(),
        Value::Number(number) => json!(number.as_f64().unwrap()),
        Value::Object(map) => map.iter().map(|(name, value)| (name.clone(), numbers(value))).collect(),
        other => other.clone(),
    }
}

fn schema(value: &Value) -> Value {
    let mut value = numbers(value);
    if let Some(map) = value.as_object_mut() {
        let nullable = map.remove("nullable") == Some(json!(true));
        for (name, member) in map.iter_mut() {
            *member = match name.as_str() {
                "type" if member.is_string() => json!(member.as_str().unwrap().to_ascii_lowercase()),
                "properties" => {
                    let all = member.as_object().unwrap();
                    all.iter().map(|(name, member)| (name.clone(), schema(member))).collect()
                }
                "items" => schema(member),
                "anyOf" => member.as_array().unwrap().iter().map(schema).collect(),
                _ => member.clone(),
            };
        }
        if nullable {
            let both = json!([map["type"], "null"]);
            map.insert("type".into(), both);
        }
    }
    value
}

fn normal_object(mut map: Map<String, Value>) -> Map<String, Value> {
    // False is what everybody assumes.
    if map.get("thought") == Some(&json!(false)) {
        map.remove("thought");
    }
    // A part with a signature and an empty text is one with a signature.
    if map.get("text") == Some(&json!("")) && map.contains_key("thoughtSignature") {
        map.remove("text");
    }
    if map.contains_key("parts") && !map.contains_key("role") && !map.contains_key("response") {
        map.insert("role".into(), json!("user"));
    }
    map
}

/// Tolerated in requests: the role of the instructions, empty objects of settings, how tools are grouped.
pub(super) fn normal_request(body: &Value) -> Value {
    let mut body = normal(body);
    if let Some(system) = body.get_mut("systemInstruction") {
        system["role"] = json!("system");
    }
    for call in parts(&mut body).filter_map(|part| part.get_mut("functionCall")) {
        call.as_object_mut().unwrap().entry("args").or_insert(json!({}));
    }
    let map = body.as_object_mut().unwrap();
    for name in ["generationConfig", "toolConfig"] {
        if map.get(name) == Some(&json!({})) {
            map.remove(name);
        }
    }
    let tools = map.remove("tools").unwrap_or(json!([]));
    let (mut functions, mut others) = (Vec::new(), Vec::new());
    for tool in tools.as_array().unwrap() {
        for (name, value) in tool.as_object().unwrap() {
            match name.as_str() {
                "functionDeclarations" => functions.extend(value.as_array().unwrap().clone()),
                _ => others.push(json!({name: value})),
            }
        }
    }
    map.insert("functions".into(), functions.into());
    map.insert("otherTools".into(), others.into());
    body
}

fn parts(body: &mut Value) -> impl Iterator<Item = &mut Value> {
    let contents = body.get_mut("contents").and_then(Value::as_array_mut);
    contents.into_iter().flatten().flat_map(|content| content["parts"].as_array_mut().unwrap())
}

/// Where two values differ first.
pub(super) fn difference(at: &str, one: &Value, other: &Value) -> String {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            let mut names: Vec<&String> = one.keys().chain(other.keys()).collect();
            names.sort();
            let differs = names.into_iter().find(|name| one.get(*name) != other.get(*name)).unwrap();
            let member = |map: &Map<String, Value>| map.get(differs).cloned().unwrap_or(json!("(none)"));
            difference(&format!("{at}.{differs}"), &member(one), &member(other))
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            let differs = (0..one.len()).find(|index| one[*index] != other[*index]).unwrap();
            difference(&format!("{at}[{differs}]"), &one[differs], &other[differs])
        }
        _ => format!("{at}: {:.300} became {:.300}", one.to_string(), other.to_string()),
    }
}

/// Tolerated in answers: a candidate's number that is its place, an empty content, counts that are 0.
pub(super) fn normal_answer(body: &Value) -> Value {
    let mut body = normal(body);
    for (index, candidate) in body["candidates"].as_array_mut().into_iter().flatten().enumerate() {
        let candidate = candidate.as_object_mut().unwrap();
        candidate.entry("index").or_insert(json!(index as f64));
        let content = candidate.entry("content").or_insert(json!({}));
        content["role"] = json!("model");
        for part in content["parts"].as_array_mut().into_iter().flatten() {
            if let Some(call) = part.get_mut("functionCall") {
                call.as_object_mut().unwrap().entry("args").or_insert(json!({}));
            }
        }
        if content["parts"].is_null() {
            content.as_object_mut().unwrap().remove("parts");
        }
    }
    if body["candidates"].is_null() {
        body.as_object_mut().unwrap().remove("candidates");
    }
    if let Some(usage) = body.get_mut("usageMetadata").and_then(Value::as_object_mut) {
        usage.retain(|_, count| *count != json!(0.0));
    }
    body
}
