//! The dialect on recorded traffic. `WEIR_TRAFFIC` names the folder of recordings; without it these tests print that
//! they were skipped.

use serde_json::{Value, json};

use super::{models, read_answer, read_request, write_answer, write_request};
use crate::dialect::talk::{Message, Request, base64};

mod damage;
mod streams;

/// Every recorded call of this dialect.
fn recordings() -> Vec<Value> {
    let Ok(folder) = std::env::var("WEIR_TRAFFIC") else {
        println!("skipped: WEIR_TRAFFIC is not set");
        return Vec::new();
    };
    let text = std::fs::read_to_string(format!("{folder}/bedrock.jsonl")).unwrap();
    let all = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let found: Vec<_> =
        all.filter(|record| record["endpoint"].as_str().unwrap().starts_with("converse")).collect();
    assert!(found.len() >= 103, "{} recordings", found.len());
    found
}

fn body_of(part: &Value) -> Option<Vec<u8>> {
    let body = part["body"].as_str().filter(|body| !body.is_empty())?;
    match part["body_encoding"].as_str() {
        Some("base64") => base64::decode(body),
        _ => Some(body.as_bytes().to_vec()),
    }
}

fn answered(record: &Value, endpoint: &str) -> bool {
    record["endpoint"] == endpoint && record["response"]["status"] == 200
}

/// The model that a path names.
fn model_of(path: &str) -> String {
    let id = path.trim_start_matches("/model/").rsplit_once('/').unwrap().0;
    id.replace("%3A", ":").replace("%2F", "/")
}

/// What is tolerated between a request and its writing: empty objects and lists left out, blank texts left out, turns
/// of one role merged, `1` for `1.0`, a schema's text for its JSON, the asking for the text that ends an answer, and
/// one of `temperature` and `topP` where the model takes no two.
fn request_meaning(mut body: Value, model: &str) -> Value {
    let map = body.as_object_mut().unwrap();
    map.remove("additionalModelResponseFieldPaths")
        .filter(|paths| *paths != json!(["/stop_sequence"]))
        .map(|paths| map.insert("additionalModelResponseFieldPaths".into(), paths));
    map.retain(|_, value| *value != json!({}) && *value != json!([]));
    if let Some(schema) = body.pointer_mut("/outputConfig/textFormat/structure/jsonSchema/schema") {
        *schema = serde_json::from_str(schema.as_str().unwrap()).unwrap();
    }
    if let Some(config) = body.get_mut("inferenceConfig").and_then(Value::as_object_mut) {
        for value in config.values_mut().filter(|value| value.is_number()) {
            *value = json!(value.as_f64());
        }
        config.retain(|_, value| *value != json!([]));
        if models::Maker::of(model).claude_since(4, 1) && config.contains_key("temperature") {
            config.remove("topP");
        }
    }
    if let Some(messages) = body.get_mut("messages") {
        *messages = merged(messages.as_array().unwrap());
    }
    body
}

fn merged(messages: &[Value]) -> Value {
    let mut out: Vec<Value> = Vec::new();
    for message in messages {
        let blank = |block: &Value| block["text"].as_str().is_some_and(|text| text.trim().is_empty());
        let content: Vec<_> =
            message["content"].as_array().unwrap().iter().filter(|block| !blank(block)).cloned().collect();
        match out.last_mut().filter(|last| last["role"] == message["role"]) {
            Some(last) => last["content"].as_array_mut().unwrap().extend(content),
            None => out.push(json!({ "role": message["role"], "content": content })),
        }
    }
    Value::Array(out)
}

fn merge_turns(mut request: Request) -> Request {
    let mut merged: Vec<Message> = Vec::new();
    for message in std::mem::take(&mut *request.messages) {
        match merged.last_mut().filter(|last| last.role == message.role) {
            Some(last) => last.pieces.extend(message.pieces),
            None => merged.push(message),
        }
    }
    request.messages = merged.into();
    request
}

/// Broken once: `status` not written on results, `topP` not written; both were found here.
#[test]
fn requests_survive() {
    let (mut count, all) = (0, recordings());
    for record in &all {
        let Some(body) = body_of(&record["request"]) else { continue };
        let (id, model) = (&record["id"], model_of(record["request"]["path"].as_str().unwrap()));
        let mut read = read_request(&body).unwrap_or_else(|fault| panic!("{id}: {fault}"));
        read.model = model.clone();
        let written = write_request(&read).unwrap_or_else(|fault| panic!("{id}: {fault}"));
        let original = serde_json::from_slice(&body).unwrap();
        assert_eq!(request_meaning(written.clone(), &model), request_meaning(original, &model), "{id}");
        let mut again = read_request(written.to_string().as_bytes()).unwrap();
        again.model = model;
        again.extra = read.extra.clone();
        again.top_p = read.top_p;
        assert_eq!(again, merge_turns(read), "{id}");
        count += 1;
    }
    println!("{count} requests");
    assert!(all.is_empty() || count >= 97, "{count}");
}

/// What is tolerated between an answer and its writing: a type `tool_use` on calls, counts of the cache that are 0.
fn answer_meaning(mut body: Value) -> Value {
    for block in body.pointer_mut("/output/message/content").unwrap().as_array_mut().unwrap() {
        if block.pointer("/toolUse/type") == Some(&json!("tool_use")) {
            block["toolUse"].as_object_mut().unwrap().remove("type");
        }
    }
    let usage = body["usage"].as_object_mut().unwrap();
    usage.retain(|name, value| !name.starts_with("cache") || *value != 0);
    body
}

/// Broken once: the cache's part written as input once more.
#[test]
fn answers_survive() {
    let (mut count, all) = (0, recordings());
    for record in all.iter().filter(|record| answered(record, "converse")) {
        let (id, body) = (&record["id"], body_of(&record["response"]).unwrap());
        let read = read_answer(&body).unwrap_or_else(|fault| panic!("{id}: {fault}"));
        let written = write_answer(&read);
        assert_eq!(
            answer_meaning(written.clone()),
            answer_meaning(serde_json::from_slice(&body).unwrap()),
            "{id}"
        );
        let again = read_answer(written.to_string().as_bytes()).unwrap();
        assert_eq!(again, read, "{id}");
        count += 1;
    }
    println!("{count} answers");
    assert!(all.is_empty() || count >= 62, "{count}");
}

#[test]
fn errors_are_no_answers() {
    for record in recordings().iter().filter(|record| record["response"]["status"] != 200) {
        assert!(read_answer(&body_of(&record["response"]).unwrap()).is_err(), "{}", record["id"]);
    }
}
