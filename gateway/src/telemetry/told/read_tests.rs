use bytes::Bytes;
use serde_json::json;

use super::*;
use crate::telemetry::told;

const LATEST: Names = Names { v141: false, latest: true };

fn transcript(dialect: Dialect, request: &serde_json::Value, captures: bool) -> Transcript {
    Transcript::new(dialect, Framing::Sse, request.to_string().as_bytes(), captures, &told::room())
}

fn of(said: &[KeyValue], name: &str) -> Option<String> {
    said.iter().find(|attribute| attribute.key.as_str() == name).map(|attribute| attribute.value.to_string())
}

fn chunk(delta: &serde_json::Value, finish: Option<&str>) -> String {
    let choice = json!({ "index": 0, "delta": delta, "finish_reason": finish });
    let chunk = json!({
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o-2024",
        "choices": [choice],
    });
    format!("data: {chunk}\n\n")
}

#[test]
fn what_a_request_asks_is_read() {
    let request = json!({
        "model": "m", "messages": [{ "role": "user", "content": "Hi." }],
        "temperature": 0.5, "top_p": 0.9, "seed": 7, "stop": ["a", "b"], "frequency_penalty": 0.25,
        "reasoning_effort": "low", "response_format": { "type": "json_object" },
    });
    let said = read(&transcript(Dialect::Chat, &request, false), LATEST, &Redactor::default());
    for (name, expected) in [
        (names::REQUEST_TEMPERATURE, "0.5"),
        (names::REQUEST_TOP_P, "0.9"),
        (names::REQUEST_SEED, "7"),
        (names::REQUEST_STOP, r#"["a","b"]"#),
        (names::REQUEST_FREQUENCY_PENALTY, "0.25"),
        (names::OUTPUT_TYPE, "json"),
        ("gen_ai.request.reasoning.level", "low"),
    ] {
        assert_eq!(of(&said, name).as_deref(), Some(expected), "{name}");
    }
    assert_eq!(of(&said, names::INPUT_MESSAGES), None, "contents are told only if that is asked for");
    let said = read(
        &transcript(Dialect::Chat, &request, false),
        Names { v141: true, latest: false },
        &Redactor::default(),
    );
    assert_eq!(of(&said, "gen_ai.request.reasoning.level"), None);
}

/// Broken on purpose to see it fail: what stands behind a gap not read; the event that the gap cuts taken for a whole one.
#[test]
fn a_stream_is_read_though_its_middle_is_lost() {
    for words in [3, 2_000] {
        let mut transcript = transcript(Dialect::Chat, &json!({}), false);
        transcript.push(chunk(&json!({ "role": "assistant", "content": "" }), None).as_bytes());
        for _ in 0..words {
            transcript.push(chunk(&json!({ "content": "word " }), None).as_bytes());
        }
        transcript.push(chunk(&json!({}), Some("length")).as_bytes());
        transcript.push(b"data: [DONE]\n\n");
        let said = read(&transcript, LATEST, &Redactor::default());
        assert_eq!(of(&said, names::RESPONSE_ID).as_deref(), Some("chatcmpl-1"), "{words}");
        assert_eq!(of(&said, names::RESPONSE_MODEL).as_deref(), Some("gpt-4o-2024"));
        assert_eq!(of(&said, names::RESPONSE_FINISH).as_deref(), Some(r#"["length"]"#));
        assert_eq!(of(&said, names::OUTPUT_MESSAGES), None);
    }
}

#[test]
fn streams_of_other_dialects_are_read() {
    let mut messages = transcript(Dialect::Messages, &json!({}), true);
    for (name, data) in [
        (
            "message_start",
            json!({ "type": "message_start", "message": {
            "id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "content": [],
            "stop_reason": null, "usage": { "input_tokens": 3, "output_tokens": 1 } } }),
        ),
        (
            "content_block_start",
            json!({ "type": "content_block_start", "index": 0,
            "content_block": { "type": "text", "text": "" } }),
        ),
        (
            "content_block_delta",
            json!({ "type": "content_block_delta", "index": 0,
            "delta": { "type": "text_delta", "text": "Hello" } }),
        ),
        ("content_block_stop", json!({ "type": "content_block_stop", "index": 0 })),
        (
            "message_delta",
            json!({ "type": "message_delta", "delta": { "stop_reason": "end_turn" },
            "usage": { "output_tokens": 2 } }),
        ),
        ("message_stop", json!({ "type": "message_stop" })),
    ] {
        messages.push(format!("event: {name}\ndata: {data}\n\n").as_bytes());
    }
    let said = read(&messages, LATEST, &Redactor::default());
    assert_eq!(of(&said, names::RESPONSE_ID).as_deref(), Some("msg_1"));
    assert_eq!(of(&said, names::RESPONSE_FINISH).as_deref(), Some(r#"["stop"]"#));
    let told: serde_json::Value = serde_json::from_str(&of(&said, names::OUTPUT_MESSAGES).unwrap()).unwrap();
    assert_eq!(
        told,
        json!([{ "role": "assistant", "parts": [{ "type": "text", "content": "Hello" }], "finish_reason": "stop" }])
    );

    let element = json!({ "responseId": "g1", "modelVersion": "gemini", "candidates": [{ "index": 0,
        "content": { "role": "model", "parts": [{ "text": "Hi" }] }, "finishReason": "STOP" }] });
    let mut gemini = Transcript::new(Dialect::Gemini, Framing::Array, b"", false, &told::room());
    gemini.push(format!("[{element}]").as_bytes());
    let said = read(&gemini, LATEST, &Redactor::default());
    assert_eq!(of(&said, names::RESPONSE_MODEL).as_deref(), Some("gemini"));
    assert_eq!(of(&said, names::RESPONSE_FINISH).as_deref(), Some(r#"["stop"]"#));
}

fn told(said: &[KeyValue], name: &str) -> serde_json::Value {
    serde_json::from_str(&of(said, name).unwrap_or_default()).unwrap()
}

#[test]
fn contents_are_told_in_the_form_of_the_conventions() {
    let request = json!({
        "model": "m",
        "messages": [
            { "role": "system", "content": "Be kind." },
            { "role": "user", "content": [
                { "type": "text", "text": "Weather?" },
                { "type": "image_url", "image_url": { "url": "data:image/png;base64,iVBORw0KGgo=" } },
            ] },
            { "role": "assistant", "tool_calls": [
                { "id": "call_1", "type": "function", "function": { "name": "weather", "arguments": "{\"at\":\"Rome\"}" } },
            ] },
            { "role": "tool", "tool_call_id": "call_1", "content": "sunny" },
        ],
        "tools": [{ "type": "function", "function": { "name": "weather", "description": "d", "parameters": { "type": "object" } } }],
    });
    let mut transcript = transcript(Dialect::Chat, &request, true);
    transcript.whole(
        json!({
            "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m",
            "choices": [{ "index": 0, "finish_reason": "stop", "message": { "role": "assistant", "content": "Sunny." } }],
        })
        .to_string()
        .as_bytes(),
    );
    let said = read(&transcript, LATEST, &Redactor::default());
    assert_eq!(told(&said, names::SYSTEM_INSTRUCTIONS), json!([{ "type": "text", "content": "Be kind." }]));
    assert_eq!(
        told(&said, names::INPUT_MESSAGES),
        json!([
            { "role": "user", "parts": [
                { "type": "text", "content": "Weather?" },
                { "type": "blob", "modality": "image", "mime_type": "image/png", "bytes": 9 },
            ] },
            { "role": "assistant", "parts": [
                { "type": "tool_call", "id": "call_1", "name": "weather", "arguments": { "at": "Rome" } },
            ] },
            { "role": "tool", "parts": [{ "type": "tool_call_response", "id": "call_1", "response": "sunny" }] },
        ])
    );
    assert_eq!(told(&said, names::TOOL_DEFINITIONS)[0]["name"], "weather");
    assert_eq!(told(&said, names::OUTPUT_MESSAGES)[0]["parts"][0]["content"], "Sunny.");
}

/// Broken on purpose to see it fail: the oldest turns told instead of the newest.
#[test]
fn what_is_too_much_is_cut_and_stays_json_and_the_newest_turn_is_told() {
    let long = "word ".repeat(10_000);
    let mut messages: Vec<_> =
        (0..12).map(|n| json!({ "role": "user", "content": format!("{n}: {long}") })).collect();
    messages.push(json!({ "role": "user", "content": "the last" }));
    let request = json!({ "model": "m", "messages": messages });
    let mut whole = transcript(Dialect::Chat, &json!({}), true);
    whole.request = Some(Bytes::from(request.to_string()));
    let said = read(&whole, LATEST, &Redactor::default());
    let turns = told(&said, names::INPUT_MESSAGES);
    let turns = turns.as_array().unwrap();
    assert!(turns.len() > 2 && turns.len() < 13, "{}", turns.len());
    assert_eq!(turns.last().unwrap()["parts"][0]["content"], "the last");
    assert!(of(&said, names::INPUT_MESSAGES).unwrap().len() < 70 << 10);
}

/// Broken on purpose to see it fail: only the whole looked through.
#[test]
fn what_is_taken_out_of_a_text_leaves_json() {
    let said =
        "my key is sk-0123456789abcdef, and -----BEGIN PRIVATE KEY-----\nMIIEow and http://x\",\"b\":\"y@z";
    let request = json!({ "model": "m", "messages": [
        { "role": "user", "content": said },
        { "role": "assistant", "tool_calls": [
            { "id": "c", "type": "function", "function": { "name": "f", "arguments": "{\"password\":\"hunter2\",\"n\":1}" } },
        ] },
        { "role": "tool", "tool_call_id": "c", "content": "the end" },
    ] });
    let said = read(&transcript(Dialect::Chat, &request, true), LATEST, &Redactor::default());
    let turns = told(&said, names::INPUT_MESSAGES);
    assert_eq!(turns[0]["parts"][0]["content"], "my key is [redacted], and [redacted]");
    assert_eq!(turns[1]["parts"][0]["arguments"], json!({ "password": "[redacted]", "n": 1 }));
    assert_eq!(turns[2]["parts"][0]["response"], "the end");
}

/// In the source of JSON a line break is the two letters `\n`, and no word begins behind an `n`. Each of these was told when the
/// source was looked through. Broken on purpose to see it fail: arguments looked through before they are read.
#[test]
fn secrets_in_arguments_results_and_schemas_are_found_behind_line_breaks() {
    let secrets =
        "A=1\nsk-proj-0123456789abcdef\nghp_0123456789abcdefghij\nAKIAIOSFODNN7EXAMPLE\n4111 1111 1111 1111";
    let inner = json!({ "path": ".env", "content": secrets, "key": "with\"quote" });
    let request = json!({
        "model": "m",
        "messages": [
            { "role": "assistant", "tool_calls": [
                { "id": "sk-0123456789abcdef", "type": "function", "function": { "name": "f", "arguments": inner.to_string() } },
                { "id": "c", "type": "function", "function": { "name": "f", "arguments": &inner.to_string()[..130] } },
            ] },
            { "role": "tool", "tool_call_id": "c", "content": inner.to_string() },
        ],
        "tools": [{ "type": "function", "function": { "name": "f", "description": secrets,
            "parameters": { "type": "object", "description": format!("write to\njane@example.com: {secrets}"), "token": true } } }],
    });
    let redactor = Redactor::new(["with\"quote".to_owned()]).unwrap();
    let said = read(&transcript(Dialect::Chat, &request, true), LATEST, &redactor);
    let (turns, tools) = (told(&said, names::INPUT_MESSAGES), told(&said, names::TOOL_DEFINITIONS));
    let all = format!("{turns} {tools}");
    for secret in ["0123456789abcdef", "AKIAIOSF", "4111", "jane@", "quote"] {
        assert!(!all.contains(secret), "{secret}: {all}");
    }
    assert_eq!(turns[0]["parts"][0]["arguments"]["path"], ".env");
    assert_eq!(tools[0]["parameters"]["token"], true);
}
