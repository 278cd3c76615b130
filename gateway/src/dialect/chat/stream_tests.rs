use serde_json::{Value, json};

use super::recorded_tests::{obeys, read_stream, split};
use super::{Reader, Writer};
use crate::dialect::openai::answer::Usage;
use crate::dialect::talk::*;

/// A stream of these deltas of choice 0, the finish and `[DONE]`.
fn stream(deltas: &[Value], finish: &str) -> String {
    let chunk = |delta: &Value, finish: Value| {
        let choice = json!({"index": 0, "delta": delta, "finish_reason": finish});
        format!("data: {}\n\n", json!({"id": "c", "model": "m", "created": 1, "choices": [choice]}))
    };
    let mut body: String = deltas.iter().map(|delta| chunk(delta, Value::Null)).collect();
    body += &chunk(&json!({}), finish.into());
    body + "data: [DONE]\n\n"
}

#[track_caller]
fn events(body: &str) -> Vec<Event> {
    let events = read_stream(body).unwrap();
    obeys(body, &events);
    events
}

/// The events between the start and the finish of choice 0, shortly.
fn shown(events: &[Event]) -> Vec<String> {
    let show = |event: &Event| match event {
        Event::Begin { piece, opening, .. } => Some(match opening {
            Opening::Call { id, name, custom, signature } => {
                let signature = signature.as_ref().map(|proof| format!(" sig {}", proof.value));
                let custom = if *custom { " custom" } else { "" };
                format!("{piece}:call {id} {name}{custom}{}", signature.unwrap_or_default())
            }
            Opening::Reasoning { id } => format!("{piece}:reasoning {}", id.as_deref().unwrap_or("-")),
            Opening::Text => format!("{piece}:text"),
            Opening::Refusal => format!("{piece}:refusal"),
            Opening::Whole(_) => format!("{piece}:whole"),
        }),
        Event::Delta { piece, delta, .. } => Some(match delta {
            Delta::Text(text) => format!("{piece}+{text}"),
            Delta::Summary(n, text) => format!("{piece}+s{n} {text}"),
            Delta::Arguments(text) => format!("{piece}+a {text}"),
            Delta::Signature(Own { value: text, .. }) => format!("{piece}+sig {text}"),
            Delta::Encrypted(Own { value: text, .. }) => format!("{piece}+enc {text}"),
            Delta::Citation(cited) => format!("{piece}+cite {}", cited.url.as_deref().unwrap_or_default()),
        }),
        Event::End { piece, .. } => Some(format!("{piece}.")),
        _ => None,
    };
    events.iter().filter_map(show).collect()
}

/// What is read is also written and read again.
#[track_caller]
fn says(deltas: &[Value], finish: &str, wanted: &[&str]) -> Vec<Event> {
    let events = events(&stream(deltas, finish));
    assert_eq!(shown(&events), wanted);
    let again = read_stream(&write(&events, true)).unwrap();
    assert_eq!(again, events);
    events
}

fn write(events: &[Event], wants_usage: bool) -> String {
    let mut writer = Writer::new("c", "m", 1, wants_usage);
    let mut out = Vec::new();
    events.iter().for_each(|event| writer.write(event, &mut out));
    String::from_utf8(out).unwrap()
}

fn call(index: u64, id: &str, name: &str, arguments: &str) -> Value {
    json!({"tool_calls": [{"index": index, "id": id, "type": "function", "function": {"name": name, "arguments": arguments}}]})
}

fn more(index: u64, arguments: &str) -> Value {
    json!({"tool_calls": [{"index": index, "function": {"arguments": arguments}}]})
}

/// Broken on purpose: the reasoning not closed before the text.
#[test]
fn reasoning_text_and_calls_follow_one_another() {
    let deltas = [
        json!({"role": "assistant", "content": ""}),
        json!({"reasoning_content": "r"}),
        json!({"reasoning_content": "s", "content": ""}),
        json!({"content": "a"}),
        json!({"content": "b"}),
        call(0, "1", "f", ""),
        more(0, "{"),
        call(1, "2", "g", "{}"),
        more(0, "}"),
    ];
    let wanted = [
        "0:reasoning -",
        "0+r",
        "0+s",
        "0.",
        "1:text",
        "1+a",
        "1+b",
        "1.",
        "2:call 1 f",
        "2+a {",
        "3:call 2 g",
        "3+a {}",
        "2+a }",
        "2.",
        "3.",
    ];
    let events = says(&deltas, "tool_calls", &wanted);
    assert!(events.contains(&Event::Finish { choice: 0, finish: Finish::Calls }));
    assert!(matches!(&events[0], Event::Start { id, created: Some(1), .. } if id == "c"));
}

/// Broken on purpose: calls with an index found by it alone.
#[test]
fn whole_calls_are_told_apart() {
    let wanted = ["0:call 1 f", "0+a {}", "1:call 2 g", "1+a {}", "0.", "1."];
    says(&[call(0, "1", "f", "{}"), call(0, "2", "g", "{}")], "tool_calls", &wanted);
    let bare = |id: &str, name: &str| json!({"tool_calls": [{"id": id, "function": {"name": name, "arguments": "{}"}}]});
    says(&[bare("1", "f"), bare("2", "g")], "stop", &wanted);
    // Google's endpoint once: neither ids nor indexes.
    let none = |name: &str| json!({"tool_calls": [{"index": 0, "id": "", "function": {"name": name, "arguments": "{}"}}]});
    let events = events(&stream(&[none("f"), none("g")], "stop"));
    assert_eq!(shown(&events), ["0:call  f", "0+a {}", "1:call  g", "1+a {}", "0.", "1."]);
    let written = write(&events, false);
    let ids: Vec<&str> =
        written.match_indices("\"id\":\"call_").map(|(at, _)| &written[at + 6..at + 29]).collect();
    assert!(ids.len() == 2 && ids[0] != ids[1], "{written}");
}

#[test]
fn deltas_find_their_call() {
    // An id on every delta, the same one (or, of older vLLM, each its own).
    let again = |id: &str, arguments: &str| json!({"tool_calls": [{"index": 0, "id": id, "function": {"arguments": arguments}}]});
    for id in ["1", "9"] {
        says(
            &[call(0, "1", "f", "{"), again(id, "}")],
            "tool_calls",
            &["0:call 1 f", "0+a {", "0+a }", "0."],
        );
    }
    // The name behind the id and some arguments.
    let late = json!({"tool_calls": [{"index": 0, "function": {"name": "f"}}]});
    says(&[again("1", "{"), late, more(0, "}")], "tool_calls", &["0:call 1 f", "0+a {", "0+a }", "0."]);
    let custom = json!({"tool_calls": [{"index": 0, "id": "1", "type": "custom", "custom": {"name": "f", "input": ""}}]});
    let input = json!({"tool_calls": [{"index": 0, "custom": {"input": "x"}}]});
    says(&[custom, input], "tool_calls", &["0:call 1 f custom", "0+a x", "0."]);
    let signed = json!({"tool_calls": [{"index": 0, "id": "1", "function": {"name": "f", "arguments": "{}"},
        "extra_content": {"google": {"thought_signature": "s"}}}]});
    says(&[signed], "tool_calls", &["0:call 1 f sig s", "0+a {}", "0."]);
    let object = json!({"tool_calls": [{"id": "1", "function": {"name": "f", "arguments": {"a": 1}}}]});
    says(&[object], "tool_calls", &["0:call 1 f", "0+a {\"a\":1}", "0."]);
}

#[test]
fn the_older_function_call_is_a_call() {
    let deltas = [
        json!({"function_call": {"name": "f", "arguments": ""}}),
        json!({"function_call": {"arguments": "{"}}),
        json!({"function_call": {"arguments": "}"}}),
    ];
    let events = events(&stream(&deltas, "function_call"));
    assert_eq!(shown(&events), ["0:call  f", "0+a {", "0+a }", "0."]);
    assert!(events.contains(&Event::Finish { choice: 0, finish: Finish::Calls }));
}

/// Broken on purpose: the index of a detail ignored.
#[test]
fn details_of_reasoning_are_told_apart() {
    let detail = |detail: Value| json!({"content": "", "reasoning": "again", "reasoning_details": [detail]});
    let deltas = [
        detail(json!({"type": "reasoning.text", "text": "r", "index": 0})),
        json!({"reasoning_details": [{"type": "reasoning.text", "signature": "s", "index": 0}]}),
        detail(json!({"type": "reasoning.text", "text": "t", "index": 1})),
        detail(json!({"type": "reasoning.summary", "summary": "u", "index": 2, "id": "rs"})),
        detail(json!({"type": "reasoning.summary", "summary": "v", "index": 3, "id": "rs"})),
        json!({"reasoning_details": [{"type": "reasoning.encrypted", "data": "e", "index": 4, "id": "rs"}]}),
        json!({"reasoning_details": [{"type": "reasoning.encrypted", "data": "f", "index": 5}]}),
        json!({"reasoning_details": [{"type": "reasoning.odd", "x": 1}]}),
        json!({"content": "a"}),
        json!({"reasoning_content": "w"}),
    ];
    let wanted = [
        "0:reasoning -",
        "0+r",
        "0+sig s",
        "0.",
        "1:reasoning -",
        "1+t",
        "1.",
        "2:reasoning rs",
        "2+s0 u",
        "2+s1 v",
        "2+enc e",
        "2.",
        "3:reasoning -",
        "3+enc f",
        "3.",
        "4:whole",
        "4.",
        "5:text",
        "5+a",
        "5.",
        "6:reasoning -",
        "6+w",
        "6.",
    ];
    says(&deltas, "stop", &wanted);
}

#[test]
fn text_beside_silent_details_is_read() {
    let sealed = json!([{"type": "reasoning.encrypted", "data": "e", "index": 0}]);
    let deltas = [json!({"reasoning": "r", "reasoning_details": sealed})];
    says(&deltas, "stop", &["0:reasoning -", "0+r", "0.", "1:reasoning -", "1+enc e", "1."]);
}

#[test]
fn sources_of_other_dialects_belong_to_their_text() {
    let text = |delta| Event::Delta { choice: 0, piece: 0, delta };
    let cited = Citation { url: Some("https://x.test".into()), ..Citation::default() };
    let events = [
        Event::Begin { choice: 0, piece: 0, opening: Opening::Text },
        text(Delta::Text("äb".into())),
        text(Delta::Citation(Box::new(cited))),
    ];
    let last = split(&write(&events, false)).pop().unwrap();
    let last: Value = serde_json::from_str(&last).unwrap();
    let source = json!({"url": "https://x.test", "title": "", "start_index": 0, "end_index": 2});
    let annotation = json!({"type": "url_citation", "url_citation": source});
    assert_eq!(last["choices"][0]["delta"]["annotations"], json!([annotation]));
}

#[test]
fn other_deltas_are_kept() {
    let image = json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}});
    let source = json!({"type": "url_citation", "url_citation": {"url": "https://x.test", "start_index": 0, "end_index": 0}});
    let deltas = [
        json!({"annotations": [source]}),
        json!({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "r"}]}]}),
        json!({"content": [{"type": "text", "text": "a"}, {"type": "reference", "reference_ids": [1]}]}),
        json!({"content": "b", "extra_content": {"google": {"thought_signature": "s"}}}),
        json!({"images": [image]}),
        json!({"audio": {"id": "x", "data": "QUJD"}}),
    ];
    let wanted = [
        "0:text",
        "0+cite https://x.test",
        "0.",
        "1:reasoning -",
        "1+r",
        "1.",
        "2:text",
        "2+a",
        "2.",
        "3:whole",
        "3.",
        "4:text",
        "4+b",
        "4+sig s",
        "4.",
        "5:whole",
        "5.",
        "6:whole",
        "6.",
    ];
    says(&deltas, "stop", &wanted);
    let events =
        says(&[json!({"refusal": "n"}), json!({"refusal": "o"})], "stop", &["0:refusal", "0+n", "0+o", "0."]);
    assert!(events.contains(&Event::Finish { choice: 0, finish: Finish::Refused }));
}

#[test]
fn choices_usage_and_logprobs_are_told() {
    let chunk = |choices: Value, usage: Value| {
        format!(
            "data: {}\r\n\r\n",
            json!({"id": "c", "model": "m", "created": 1, "choices": choices, "usage": usage})
        )
    };
    let say = |index: u64, text: &str, finish: Value| json!([{"index": index, "delta": {"content": text}, "finish_reason": finish, "logprobs": {"content": [{"token": text}]}}]);
    let usage = json!({"prompt_tokens": 3, "completion_tokens": 2});
    let body = chunk(json!([]), Value::Null) // Azure, but for the id
        + &chunk(say(1, "b", Value::Null), Value::Null)
        + &chunk(say(0, "a", "length".into()), Value::Null)
        + &chunk(say(1, "", "stop".into()), Value::Null)
        + &chunk(say(1, "", "stop".into()), Value::Null) // OpenRouter says it twice
        + &chunk(json!([]), usage)
        + "data: [DONE]\n\n";
    let events = events(&body);
    let used = Usage { input: 3, output: 2, ..Usage::default() };
    assert!(events.contains(&Event::Usage(used)));
    let finish = |choice, finish| Event::Finish { choice, finish };
    assert!(events.ends_with(&[
        Event::End { choice: 0, piece: 0 },
        finish(0, Finish::Length),
        Event::End { choice: 1, piece: 0 },
        finish(1, Finish::Stop),
        Event::Done
    ]));
    assert!(events.contains(&Event::Logprobs { choice: 0, tokens: vec![json!({"token": "a"})] }));
    assert_eq!(read_stream(&write(&events, true)).unwrap().len(), events.len());
    let silent = write(&events, false);
    assert!(!silent.contains("usage") && silent.ends_with("data: [DONE]\n\n"));
}

#[test]
fn sources_beside_the_text_are_cited_at_its_end() {
    let chunk = |text: &str| {
        let choice = json!({"index": 0, "delta": {"content": text}, "finish_reason": "stop"});
        let sources = json!([{"title": "t", "url": "https://x.test"}]);
        format!(
            "data: {}\n\n",
            json!({"id": "c", "choices": [choice], "search_results": sources, "citations": ["u"]})
        )
    };
    let events = events(&(chunk("a") + &chunk("b")));
    assert_eq!(shown(&events), ["0:text", "0+a", "0+b", "0+cite https://x.test", "0."]);
}

/// Broken on purpose: `[DONE]` written behind a failure.
#[test]
fn failures_end_the_stream() {
    let text = stream(&[json!({"content": "a"})], "stop");
    let head = text.split_once("\n\n").unwrap().0;
    for (error, kind) in [
        (json!({"error": {"message": "no", "type": "overloaded"}}), "overloaded"),
        (json!({"error": "no"}), ""),
        (json!({"error": {"message": "no", "code": 502}, "choices": []}), "502"),
        (json!({"object": "error", "message": "no", "type": "BadRequest"}), "BadRequest"),
    ] {
        let events = events(&format!("{head}\n\ndata: {error}\n\ndata: [DONE]\n\n"));
        let failed = Event::Failed { kind: kind.into(), message: "no".into() };
        assert_eq!(events.last(), Some(&failed));
        let written = write(&events, true);
        assert!(!written.contains("[DONE]"), "{written}");
        let last = split(&written).pop().unwrap();
        let last: Value = serde_json::from_str(&last).unwrap();
        assert_eq!(last["error"]["message"], "no");
    }
    let mut events = Vec::new();
    Reader::default().read("error", b"{\"message\":\"no\"}", &mut events).unwrap();
    assert!(matches!(&events[..], [Event::Failed { message, .. }] if message == "no"));
}

#[test]
fn the_end_is_known() {
    let whole = stream(&[json!({"content": "a"})], "stop");
    let bare = whole.replace("data: [DONE]\n\n", "");
    assert_eq!(read_stream(&bare).unwrap(), read_stream(&whole).unwrap());
    let cut = bare.split_once("\n\n").unwrap().0;
    assert!(read_stream(cut).is_err());
    assert!(read_stream("").is_err());
    assert!(read_stream("data: [DONE]\n\n").is_err());
    assert!(read_stream("data: {\"choices\": 1}\n\n").is_err());
    let many: String = (0..200).map(|n| format!("data: {{\"choices\":[{{\"index\":{n}}}]}}\n\n")).collect();
    assert!(read_stream(&many).is_err());
}

#[test]
fn the_first_chunk_of_a_choice_names_the_role() {
    let start = Event::Start {
        id: "x".into(),
        model: "y".into(),
        created: None,
        service_tier: Some(Own::new(Dialect::Chat, "flex")),
    };
    let text = |delta: &str| Event::Delta { choice: 0, piece: 0, delta: Delta::Text(delta.into()) };
    let begin = Event::Begin { choice: 0, piece: 0, opening: Opening::Text };
    let mut writer = Writer::new("", "", 7, false);
    let mut out = Vec::new();
    for event in [start, begin, text("a\n"), text("b"), Event::Ping] {
        writer.write(&event, &mut out);
    }
    let head = r#"data: {"id":"x","object":"chat.completion.chunk","created":7,"model":"y","service_tier":"flex","choices":["#;
    let first = r#"{"index":0,"delta":{"role":"assistant","content":"a\n"},"finish_reason":null}]}"#;
    let second = r#"{"index":0,"delta":{"content":"b"},"finish_reason":null}]}"#;
    let wanted = format!("{head}{first}\n\n{head}{second}\n\n: ping\n\n");
    assert_eq!(String::from_utf8(out).unwrap(), wanted);
}

#[test]
fn a_call_without_arguments_is_an_empty_object() {
    let events = |finish| {
        let opening = Opening::Call { id: "1".into(), name: "f".into(), custom: false, signature: None };
        let start = Event::Start { id: "c".into(), model: "m".into(), created: None, service_tier: None };
        let begin = Event::Begin { choice: 0, piece: 0, opening };
        [start, begin, Event::End { choice: 0, piece: 0 }, Event::Finish { choice: 0, finish }, Event::Done]
    };
    assert!(write(&events(Finish::Calls), false).contains(r#"{"arguments":"{}"}"#));
    assert!(!write(&events(Finish::Length), false).contains(r#"{"arguments":"{}"}"#));
}
