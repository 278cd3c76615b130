use serde_json::json;

use super::Reader;
use super::checks::{obeys, read_all};
use crate::dialect::openai::answer::Usage;
use crate::dialect::talk::{Delta, Dialect, Event, Finish, Opening, Own, Part};

/// A body of events with these data.
fn body(data: &[serde_json::Value]) -> Vec<u8> {
    data.iter().flat_map(|data| format!("data: {data}\n\n").into_bytes()).collect()
}

fn start() -> serde_json::Value {
    let usage = json!({"input_tokens": 5, "cache_read_input_tokens": 2, "output_tokens": 1, "service_tier": "standard"});
    json!({"type": "message_start", "message": {"id": "msg_1", "model": "m", "content": [], "usage": usage}})
}

fn begin(index: u64, block: serde_json::Value) -> serde_json::Value {
    json!({"type": "content_block_start", "index": index, "content_block": block})
}

fn delta(index: u64, delta: serde_json::Value) -> serde_json::Value {
    json!({"type": "content_block_delta", "index": index, "delta": delta})
}

fn stop(index: u64) -> serde_json::Value {
    json!({"type": "content_block_stop", "index": index})
}

fn over(reason: &str, output: u64) -> [serde_json::Value; 2] {
    let delta = json!({"stop_reason": reason, "stop_sequence": null});
    let usage = json!({"output_tokens": output});
    [json!({"type": "message_delta", "delta": delta, "usage": usage}), json!({"type": "message_stop"})]
}

fn events(middle: &[serde_json::Value], reason: &str) -> Vec<Event> {
    let data: Vec<_> = [start()].into_iter().chain(middle.iter().cloned()).chain(over(reason, 9)).collect();
    let events = read_all(&body(&data)).unwrap();
    obeys(&events).unwrap();
    events
}

fn told(piece: usize, delta: Delta) -> Event {
    Event::Delta { choice: 0, piece, delta }
}

fn begun(piece: usize, opening: Opening) -> Event {
    Event::Begin { choice: 0, piece, opening }
}

fn ended(piece: usize) -> Event {
    Event::End { choice: 0, piece }
}

/// Broken once: with the count of output added up instead of growing, it fails.
#[test]
fn text_is_read() {
    let middle = [
        begin(0, json!({"type": "text", "text": "a"})),
        json!({"type": "ping"}),
        delta(0, json!({"type": "text_delta", "text": "b"})),
        delta(0, json!({"type": "text_delta", "text": ""})),
        json!({"type": "of_tomorrow"}),
        stop(0),
    ];
    let usage = |output| Event::Usage(Usage { input: 7, cached_input: 2, output, ..Usage::default() });
    let service_tier = Some(Own::new(Dialect::Messages, "standard"));
    let wanted = [
        Event::Start { id: "msg_1".into(), model: "m".into(), created: None, service_tier },
        usage(1),
        begun(0, Opening::Text),
        told(0, Delta::Text("a".into())),
        Event::Ping,
        told(0, Delta::Text("b".into())),
        ended(0),
        usage(9),
        Event::Finish { choice: 0, finish: Finish::Stop },
        Event::Done,
    ];
    assert_eq!(events(&middle, "end_turn"), wanted);
}

#[test]
fn reasoning_and_calls_are_read() {
    let middle = [
        begin(0, json!({"type": "thinking", "thinking": "", "signature": ""})),
        delta(0, json!({"type": "thinking_delta", "thinking": "hm"})),
        delta(0, json!({"type": "signature_delta", "signature": "s"})),
        stop(0),
        begin(1, json!({"type": "redacted_thinking", "data": "e"})),
        stop(1),
        begin(2, json!({"type": "tool_use", "id": "t", "name": "f", "input": {}})),
        delta(2, json!({"type": "input_json_delta", "partial_json": ""})),
        delta(2, json!({"type": "input_json_delta", "partial_json": "{\"a\""})),
        delta(2, json!({"type": "input_json_delta", "partial_json": ":1}"})),
        stop(2),
        // Some imitations send the input at once.
        begin(3, json!({"type": "tool_use", "id": "u", "name": "g", "input": {"b": 2}})),
        stop(3),
    ];
    let call = |id: &str, name: &str| Opening::Call {
        id: id.into(),
        name: name.into(),
        custom: false,
        signature: None,
    };
    let wanted = [
        begun(0, Opening::Reasoning { id: None }),
        told(0, Delta::Text("hm".into())),
        told(0, Delta::Signature(Own::new(Dialect::Messages, "s"))),
        ended(0),
        begun(1, Opening::Reasoning { id: None }),
        told(1, Delta::Encrypted(Own::new(Dialect::Messages, "e"))),
        ended(1),
        begun(2, call("t", "f")),
        told(2, Delta::Arguments("{\"a\"".into())),
        told(2, Delta::Arguments(":1}".into())),
        ended(2),
        begun(3, call("u", "g")),
        told(3, Delta::Arguments("{\"b\":2}".into())),
        ended(3),
    ];
    assert_eq!(events(&middle, "tool_use")[2..16], wanted);
}

/// Broken once: with the deltas of a server's tool dropped, its input was lost.
#[test]
fn what_only_anthropic_has_comes_whole() {
    let middle = [
        begin(0, json!({"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}})),
        delta(0, json!({"type": "input_json_delta", "partial_json": "{\"query\":"})),
        delta(0, json!({"type": "input_json_delta", "partial_json": "\"q\"}"})),
        stop(0),
        begin(1, json!({"type": "compaction", "content": null})),
        delta(1, json!({"type": "compaction_delta", "content": "short"})),
        stop(1),
    ];
    let whole: Vec<_> = events(&middle, "end_turn")
        .into_iter()
        .filter_map(|event| match event {
            Event::Begin { opening: Opening::Whole(piece), .. } => Some(piece.part),
            _ => None,
        })
        .collect();
    let foreign = |value| Part::Foreign(Dialect::Messages, value);
    let wanted = [
        foreign(json!({"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "q"}})),
        foreign(json!({"type": "compaction", "content": "short"})),
    ];
    assert_eq!(whole, wanted);
}

/// A call that the longest answer cut lacks its stop.
#[test]
fn blocks_that_do_not_stop_are_ended() {
    let middle = [
        begin(0, json!({"type": "tool_use", "id": "t", "name": "f", "input": {}})),
        delta(0, json!({"type": "input_json_delta", "partial_json": "{\"a"})),
    ];
    let events = events(&middle, "max_tokens");
    let usage = Usage { input: 7, cached_input: 2, output: 9, ..Usage::default() };
    let finish = Event::Finish { choice: 0, finish: Finish::Length };
    assert_eq!(events[4..], [Event::Usage(usage), ended(0), finish, Event::Done]);
}

#[test]
fn citations_are_read() {
    let place = json!({"type": "char_location", "cited_text": "c", "document_title": "D"});
    let middle = [
        begin(0, json!({"type": "text", "text": "", "citations": []})),
        delta(0, json!({"type": "citations_delta", "citation": place})),
        stop(0),
    ];
    let Event::Delta { delta: Delta::Citation(citation), .. } = &events(&middle, "end_turn")[3] else {
        panic!()
    };
    assert_eq!((citation.title.as_deref(), citation.text.as_deref()), (Some("D"), Some("c")));
    assert_eq!(citation.original, Some((Dialect::Messages, place)));
}

#[test]
fn failures_end_the_stream() {
    let error = json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}});
    let events = read_all(&body(&[start(), error.clone(), error])).unwrap();
    let (kind, message) = ("overloaded_error".to_owned(), "Overloaded".to_owned());
    assert_eq!(events[2..], [Event::Failed { kind, message }]);
}

#[test]
fn a_stream_must_say_that_it_ends() {
    assert!(read_all(&body(&[start()])).is_err());
    assert!(read_all(b"").is_err());
    // What is missing is only the last word.
    let [delta, _] = over("end_turn", 1);
    assert_eq!(read_all(&body(&[start(), delta])).unwrap().last(), Some(&Event::Done));
}

/// Seen of servers that imitate the API.
#[test]
fn imitations_are_read() {
    let text = begin(0, json!({"type": "text", "text": "x"}));
    let mut bytes = body(&[text, json!({"type": "message_stop"})]);
    bytes.extend_from_slice(b"data: [DONE]\n\n");
    let events = read_all(&bytes).unwrap();
    obeys(&events).unwrap();
    assert!(matches!(events[0], Event::Start { .. }));
    // The kind may stand in the event's name alone.
    let (mut reader, mut events) = (Reader::default(), Vec::new());
    reader.read("ping", b"{}", &mut events).unwrap();
    assert_eq!(events.last(), Some(&Event::Ping));
}

#[test]
fn damaged_events_are_refused() {
    for data in [
        "{",
        "[]",
        r#"{"type": 1}"#,
        r#"{"type": "content_block_start", "index": 0}"#,
        r#"{"type": "content_block_start", "content_block": {"type": "text", "text": ""}}"#,
        r#"{"type": "content_block_start", "index": 0, "content_block": {"type": "text"}}"#,
        r#"{"type": "content_block_delta", "index": 7, "delta": {"type": "text_delta", "text": "x"}}"#,
        r#"{"type": "message_delta", "delta": {"stop_reason": 3}}"#,
    ] {
        assert!(Reader::default().read("", data.as_bytes(), &mut Vec::new()).is_err(), "{data}");
    }
}
