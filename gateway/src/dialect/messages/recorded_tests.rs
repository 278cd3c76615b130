//! Recorded traffic: the folder is in `WEIR_TRAFFIC`; without it these tests say so and pass.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::stream::checks::{
    Gathered, frames as split, gather, obeys, read_all, read_frames, well_formed, write_all,
};
use super::{Reader, read_answer, read_request, write_answer, write_request};
use crate::dialect::talk::{Event, Message, Request};

/// The recordings of this dialect, by id: bodies of requests, of answers, events of streams.
#[derive(Default)]
struct Recorded {
    requests: Vec<(String, String, u64)>,
    answers: Vec<(String, String)>,
    streams: Vec<(String, Vec<(String, String)>)>,
}

fn recorded() -> Option<Recorded> {
    let Ok(folder) = std::env::var("WEIR_TRAFFIC") else {
        println!("skipped: WEIR_TRAFFIC is not set");
        return None;
    };
    let mut all = Recorded::default();
    for file in ["anthropic", "bedrock"] {
        let text = std::fs::read_to_string(format!("{folder}/{file}.jsonl")).unwrap();
        for line in text.lines() {
            add(&mut all, &serde_json::from_str(line).unwrap());
        }
    }
    Some(all)
}

fn add(all: &mut Recorded, record: &Value) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let id = text(&record["id"]);
    let request = text(&record["request"]["body"]);
    let answer = text(&record["response"]["body"]);
    let status = record["response"]["status"].as_u64().unwrap_or(0);
    // Bedrock carries many models; Anthropic's requests say which version of this API they are of.
    let (ours, claude) = match text(&record["endpoint"]).as_str() {
        "messages" => (true, true),
        "invoke_model" | "invoke_model_stream" => {
            (request.contains("anthropic_version") && request.contains("\"messages\""), false)
        }
        _ => (false, false),
    };
    if !ours {
        return;
    }
    if !request.is_empty() {
        all.requests.push((id.clone(), request, status));
    }
    match record["stream"].as_bool() {
        _ if status != 200 => {}
        Some(true) if claude => all.streams.push((id, split(answer.as_bytes()))),
        Some(true) => all.streams.push((id, unframed(&answer))),
        _ => all.answers.push((id, answer)),
    }
}

/// The events inside Bedrock's frames: each holds `{"bytes": base64 of the event}`.
fn unframed(body: &str) -> Vec<(String, String)> {
    let bytes = base64(body);
    let text = String::from_utf8_lossy(&bytes);
    let parts = text.split("\"bytes\":\"").skip(1).filter_map(|part| part.split('"').next());
    parts.map(|part| (String::new(), String::from_utf8(base64(part)).unwrap())).collect()
}

fn base64(text: &str) -> Vec<u8> {
    const LETTERS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bytes, mut bits, mut held) = (Vec::new(), 0_u32, 0);
    for value in text.chars().filter_map(|letter| LETTERS.find(letter)) {
        bits = (bits << 6) | u32::try_from(value).unwrap();
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from((bits >> held) & 255).unwrap());
        }
    }
    bytes
}

/// What may differ between a body and what is written of it: all of it means the same.
fn normal(value: &Value, name: &str) -> Value {
    match value {
        Value::Number(number) => serde_json::json!(number.as_f64()),
        Value::Array(list) if name == "messages" => merged(list),
        Value::Array(list) => list.iter().map(|value| normal(value, "")).collect(),
        // A string of content is one block of text.
        Value::String(text) if matches!(name, "content" | "system") && !text.is_empty() => {
            serde_json::json!([{"type": "text", "text": text}])
        }
        Value::Object(map) => normal_map(map, name),
        other => other.clone(),
    }
}

fn normal_map(map: &Map<String, Value>, name: &str) -> Value {
    let mut out = Map::new();
    for (key, value) in map {
        let default = match key.as_str() {
            _ if value.is_null() => true,
            // No stream, no strictness, and the client's own kind of tool are what holds if nothing is said.
            "stream" | "strict" => *value == false,
            "type" => *value == "custom" && map.contains_key("input_schema"),
            // Budgeted thinking is told anyway.
            "display" => name == "thinking" && *value == "summarized" && map["type"] == "enabled",
            "tools" | "stop_sequences" | "content" | "citations" => {
                value.as_array().is_some_and(Vec::is_empty)
            }
            _ => false,
        };
        if !default {
            // What calls hold is the tool's own.
            let inner = if key == "input" || key == "input_schema" { "" } else { key };
            out.insert(key.clone(), normal(value, inner));
        }
    }
    Value::Object(out)
}

/// Consecutive turns of one role are one.
fn merged(list: &[Value]) -> Value {
    let mut out: Vec<Value> = Vec::new();
    for turn in list {
        let mut turn = normal(turn, "");
        match out.last_mut().filter(|last| last["role"] == turn["role"]) {
            Some(last) => {
                let more = turn["content"].as_array_mut().map(std::mem::take).unwrap_or_default();
                last["content"].as_array_mut().unwrap().extend(more);
            }
            None => out.push(turn),
        }
    }
    Value::Array(out)
}

fn normal_request(mut request: Request) -> Request {
    let mut merged: Vec<Message> = Vec::new();
    for message in std::mem::take(&mut *request.messages) {
        match merged.last_mut().filter(|last| last.role == message.role && last.extra == message.extra) {
            Some(last) => last.pieces.extend(message.pieces),
            None => merged.push(message),
        }
    }
    request.messages = merged.into();
    request
}

/// Recordings that Anthropic itself refused, and that come out repaired: schemas of tools without a type get one, an effort
/// that the model does not know becomes the next that it does.
const REPAIRED: &[&str] = &[
    "anthropic.messages.e400.09afe4c284",
    "anthropic.messages.e400.6eeac2d312",
    "anthropic.messages.e400.7e45bbfa8e",
];

/// Broken once: with `ttl` left out of `cache_control`, with `is_error` left out, with the results of tools behind the
/// other blocks; each failed here.
#[test]
fn requests_survive() {
    let Some(all) = recorded() else { return };
    let (mut good, mut bad, mut refused) = (0, Vec::new(), Vec::new());
    for (id, body, status) in &all.requests {
        let original: Value = match serde_json::from_str(body) {
            Ok(original) => original,
            Err(_) => continue,
        };
        let read = match read_request(body.as_bytes()) {
            Ok(read) => read,
            Err(error) => {
                refused.push(format!("{id} ({status}): {error}"));
                continue;
            }
        };
        let written = write_request(&read).unwrap();
        let again = read_request(written.to_string().as_bytes()).unwrap();
        let (wanted, got) = (normal(&original, ""), normal(&written, ""));
        if (wanted != got || normal_request(read) != normal_request(again))
            && !REPAIRED.contains(&id.as_str())
        {
            bad.push(format!("{id} ({status})\n  {}", difference(&wanted, &got, String::new())));
        } else {
            good += 1;
        }
    }
    println!("requests: {good} good, {} bad, {} refused", bad.len(), refused.len());
    assert!(bad.is_empty() && refused.is_empty(), "{}\n{}", bad.join("\n"), refused.join("\n"));
    assert!(good >= 244, "{good}");
}

/// Where two values differ first.
fn difference(wanted: &Value, got: &Value, at: String) -> String {
    match (wanted, got) {
        (Value::Object(a), Value::Object(b)) => {
            let names: BTreeSet<_> = a.keys().chain(b.keys()).collect();
            let other = names.into_iter().find(|name| a.get(*name) != b.get(*name));
            other.map_or_else(String::new, |name| {
                difference(&wanted[name], &got[name], format!("{at}.{name}"))
            })
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            let other = (0..a.len()).find(|index| a[*index] != b[*index]);
            other.map_or_else(String::new, |index| difference(&a[index], &b[index], format!("{at}[{index}]")))
        }
        _ => format!("{at}: {:.300} != {:.300}", wanted.to_string(), got.to_string()),
    }
}

/// Broken once: with `stop_sequence` not read, and with the usage's rest not kept; each failed here.
#[test]
fn answers_survive() {
    let Some(all) = recorded() else { return };
    let (mut good, mut bad) = (0, Vec::new());
    for (id, body) in &all.answers {
        let mut original = normal(&serde_json::from_str(body).unwrap(), "");
        // Counts of nothing are written where none were.
        for name in ["cache_creation_input_tokens", "cache_read_input_tokens"] {
            let usage = original["usage"].as_object_mut().unwrap();
            usage.entry(name).or_insert(serde_json::json!(0.0));
        }
        without_zero(&mut original);
        let read = read_answer(body.as_bytes()).unwrap();
        let written = write_answer(&read);
        let again = read_answer(written.to_string().as_bytes()).unwrap();
        let mut got = normal(&written, "");
        without_zero(&mut got);
        if original == got && read == again {
            good += 1;
        } else {
            bad.push(format!("{id}\n  {}", difference(&original, &got, String::new())));
        }
    }
    println!("answers: {good} good, {} bad", bad.len());
    assert!(bad.is_empty(), "{}", bad.join("\n"));
    assert!(good >= 166, "{good}");
}

/// No reasoning is as good as none said.
fn without_zero(answer: &mut Value) {
    let usage = answer["usage"].as_object_mut().unwrap();
    if usage.get("output_tokens_details").is_some_and(|details| details["thinking_tokens"] == 0.0) {
        usage.remove("output_tokens_details");
    }
}

/// What a reader of the JSON alone finds in a stream.
fn naive(frames: &[(String, String)]) -> Gathered {
    let mut found = Gathered::default();
    let (mut input, mut block_is_whole) = (String::new(), false);
    for (_, data) in frames {
        let Ok(event) = serde_json::from_str::<Value>(data) else { continue };
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let delta = &event["delta"];
        found.text += &text(&delta["text"]);
        found.thinking += &text(&delta["thinking"]);
        found.signatures += &text(&delta["signature"]);
        found.citations += usize::from(delta["citation"].is_object());
        let block = &event["content_block"];
        match block["type"].as_str() {
            Some("tool_use") => found.calls.push((text(&block["id"]), text(&block["name"]), String::new())),
            Some("redacted_thinking") => found.signatures += &text(&block["data"]),
            Some("text" | "thinking") | None => {}
            Some(_) => found.whole.push(block.clone()),
        }
        match event["type"].as_str() {
            Some("content_block_start") => {
                input.clear();
                block_is_whole = block["type"] != "tool_use";
            }
            // One recording holds several streams in a row.
            Some("message_stop") => break,
            _ => {}
        }
        // Blocks come one by one, so a part belongs to the last of them.
        if let Some(part) = delta["partial_json"].as_str() {
            input += part;
            match found.whole.last_mut().filter(|_| block_is_whole) {
                Some(whole) => whole["input"] = serde_json::from_str(&input).unwrap_or_default(),
                None => found.calls.last_mut().unwrap().2 += part,
            }
        }
        if let Some(reason) = delta["stop_reason"].as_str() {
            found.finish = reason.to_owned();
        }
        for usage in [&event["usage"], &event["message"]["usage"]] {
            grow(&mut found, usage);
        }
    }
    found
}

fn grow(found: &mut Gathered, usage: &Value) {
    let count = |name: &str| usage[name].as_u64().unwrap_or(0);
    let cached = count("cache_read_input_tokens") + count("cache_creation_input_tokens");
    found.input = found.input.max(count("input_tokens") + cached);
    found.output = found.output.max(count("output_tokens"));
}

/// Broken once: with the block's stop not told as an end, with usage added up instead of growing, with the input of a
/// server's tool dropped, with the blocks' indexes not counted up by the writer; each failed here.
#[test]
fn streams_survive() {
    let Some(all) = recorded() else { return };
    let (mut good, mut events_in_all) = (0, 0);
    for (id, frames) in &all.streams {
        let events = read_frames(frames).unwrap_or_else(|error| panic!("{id}: {error}"));
        obeys(&events).unwrap_or_else(|error| panic!("{id}: {error}"));
        assert_eq!(gather(&events), naive(frames), "{id}");
        let written = write_all(&events);
        let data = split(&written).into_iter();
        well_formed(&data.map(|(_, data)| serde_json::from_str(&data).unwrap()).collect::<Vec<_>>());
        let again = read_all(&written).unwrap();
        assert_eq!(settled(&events), settled(&again), "{id}");
        events_in_all += events.len();
        good += 1;
    }
    println!("streams: {good} good, {events_in_all} events");
    assert!(good >= 76, "{good}");
}

/// Without pings, which may come before the block that they came in.
fn settled(events: &[Event]) -> Vec<&Event> {
    events.iter().filter(|event| !matches!(event, Event::Ping)).collect()
}

/// Damaged bodies are refused or read, but never break anything.
#[test]
fn damage_is_survived() {
    let Some(all) = recorded() else { return };
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed % u64::try_from(below.max(1)).unwrap()).unwrap()
    };
    let short = |body: &&str| body.len() < 20_000;
    let requests: Vec<&str> = all.requests.iter().map(|(_, body, _)| body.as_str()).filter(short).collect();
    let answers: Vec<&str> = all.answers.iter().map(|(_, body)| body.as_str()).filter(short).collect();
    let mut read = 0;
    for round in 0..3000 {
        let bodies = if round % 2 == 0 { &requests } else { &answers };
        let mut body = bodies[next(bodies.len())].as_bytes().to_vec();
        damage(&mut body, &mut next);
        if round % 2 == 0 {
            read += usize::from(read_request(&body).is_ok_and(|request| write_request(&request).is_ok()));
        } else {
            read += usize::from(read_answer(&body).is_ok_and(|answer| write_answer(&answer).is_object()));
        }
    }
    for _ in 0..300 {
        let (_, frames) = &all.streams[next(all.streams.len())];
        let (mut reader, mut events) = (Reader::default(), Vec::new());
        for (name, data) in frames.iter().take(40) {
            let mut data = data.clone().into_bytes();
            if next(8) == 0 {
                damage(&mut data, &mut next);
            }
            _ = reader.read(name, &data, &mut events);
        }
        _ = reader.end(&mut events);
        _ = write_all(&events);
    }
    assert!(read > 100, "{read}");
}

fn damage(body: &mut Vec<u8>, next: &mut impl FnMut(usize) -> usize) {
    if next(4) == 0 {
        body.truncate(next(body.len()));
        return;
    }
    for _ in 0..=next(3) {
        let at = next(body.len());
        if let Some(byte) = body.get_mut(at) {
            *byte = b"\"{}[]0-:,xn "[next(12)];
        }
    }
}
