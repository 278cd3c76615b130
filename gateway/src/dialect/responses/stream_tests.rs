use serde_json::{Map, Value, json};

use super::answer_tests::has_all_fields;
use super::recorded_tests::{obeys, read_stream, split, write_stream};
use super::*;
use crate::dialect::openai::answer::Usage;
use crate::dialect::talk::{Citation, Delta, Dialect, Event, Finish, Opening, Own, Part, Reasoning};

/// What the SDKs' stream helpers count on.
pub(super) fn is_well_formed(written: &str) {
    let events = split(written);
    let mut items: Vec<Option<Value>> = Vec::new();
    for (number, (name, data)) in events.iter().enumerate() {
        let event: Value = serde_json::from_str(data).unwrap();
        assert_eq!(event["type"], name.as_str());
        assert_eq!(event["sequence_number"], number as u64, "{event}");
        let index = event["output_index"].as_u64().map(|index| index as usize);
        match name.as_str() {
            "response.output_item.added" => {
                assert_eq!(index, Some(items.len()));
                items.push(Some(event["item"].clone()));
            }
            "response.output_item.done" => {
                let open = items[index.unwrap()].take().unwrap();
                for same in ["id", "type", "call_id", "name"] {
                    assert_eq!(open[same], event["item"][same]);
                }
            }
            _ => {
                if let Some(index) = index {
                    assert_eq!(items[index].as_ref().unwrap()["id"], event["item_id"], "{event}");
                }
            }
        }
    }
    assert_eq!(events[0].0, "response.created");
    assert_eq!(events[1].0, "response.in_progress");
    assert!(items.iter().all(Option::is_none));
    let last: Value = serde_json::from_str(&events.last().unwrap().1).unwrap();
    has_all_fields(&last["response"]);
    assert_eq!(last["response"]["output"].as_array().unwrap().len(), items.len());
}

fn body(events: &[Value]) -> String {
    events.iter().map(|event| format!("data: {event}\n\n")).collect()
}

fn start() -> Event {
    Event::Start { id: "resp_1".to_owned(), model: "m".to_owned(), created: Some(5), service_tier: None }
}

fn begin(piece: usize, opening: Opening) -> Event {
    Event::Begin { choice: 0, piece, opening }
}

fn delta(piece: usize, delta: Delta) -> Event {
    Event::Delta { choice: 0, piece, delta }
}

fn text(piece: usize, text: &str) -> Event {
    delta(piece, Delta::Text(text.to_owned()))
}

fn arguments(piece: usize, text: &str) -> Event {
    delta(piece, Delta::Arguments(text.to_owned()))
}

fn end(piece: usize) -> Event {
    Event::End { choice: 0, piece }
}

fn finish(finish: Finish) -> Event {
    Event::Finish { choice: 0, finish }
}

fn call(id: &str) -> Opening {
    Opening::Call { id: id.to_owned(), name: "f".to_owned(), custom: false, signature: None }
}

fn created() -> Value {
    json!({"type": "response.created", "response": {"id": "resp_1", "model": "m", "created_at": 5}})
}

fn completed(output: Value) -> Value {
    json!({"type": "response.completed", "response": {"id": "resp_1", "status": "completed", "output": output}})
}

fn hello() -> Vec<Event> {
    vec![start(), begin(0, Opening::Text), text(0, "Hello"), end(0), finish(Finish::Stop), Event::Done]
}

fn message(text: &str) -> Value {
    json!({"type": "message", "id": "msg_1", "role": "assistant", "content": [{"type": "output_text", "text": text}]})
}

/// Broken on purpose: `complete` passing on the whole text doubled it, and without it the text was lost.
#[test]
fn whatever_events_are_left_out_nothing_is_lost_or_doubled() {
    let added = json!({"type": "response.output_item.added", "output_index": 0,
        "item": {"type": "message", "id": "msg_1", "content": []}});
    let delta = json!({"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "item_id": "msg_1",
        "delta": "Hello"});
    let whole =
        json!({"type": "response.output_text.done", "output_index": 0, "content_index": 0, "text": "Hello"});
    let done = json!({"type": "response.output_item.done", "output_index": 0, "item": message("Hello")});
    let nameless = json!({"type": "response.output_text.delta", "delta": "Hello"});
    let full = completed(json!([message("Hello")]));
    let shapes = [
        vec![created(), added.clone(), delta.clone(), whole.clone(), done.clone(), full.clone()],
        vec![created(), added.clone(), delta.clone(), full.clone()],
        vec![created(), delta.clone(), completed(json!([]))],
        vec![created(), nameless.clone(), completed(json!([]))],
        vec![created(), nameless, done.clone(), full.clone()],
        vec![created(), whole, full.clone()],
        vec![created(), added, done.clone(), completed(json!([]))],
        vec![created(), done.clone(), done, full.clone()],
        vec![created(), full],
    ];
    for shape in shapes {
        let events = read_stream(&body(&shape));
        obeys(&events).unwrap();
        assert_eq!(events, hello(), "{shape:?}");
    }
}

#[test]
fn arguments_may_come_only_at_the_end() {
    let item = |arguments: &str| json!({"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": arguments});
    let added = json!({"type": "response.output_item.added", "output_index": 0, "item": item("")});
    let done = json!({"type": "response.function_call_arguments.done", "output_index": 0, "arguments": "{}"});
    let whole = json!({"type": "response.output_item.done", "output_index": 0, "item": item("{}")});
    let expected =
        [start(), begin(0, call("c")), arguments(0, "{}"), end(0), finish(Finish::Calls), Event::Done];
    for shape in
        [vec![created(), added.clone(), done], vec![created(), added, whole.clone()], vec![created(), whole]]
    {
        let mut shape = shape;
        shape.push(completed(json!([item("{}")])));
        assert_eq!(read_stream(&body(&shape)), expected, "{shape:?}");
    }
    let custom = json!({"type": "response.output_item.done", "output_index": 0,
        "item": {"type": "custom_tool_call", "call_id": "c", "name": "sh", "input": "ls"}});
    let events = read_stream(&body(&[created(), custom, completed(json!([]))]));
    assert_eq!(
        events[1],
        begin(0, Opening::Call { id: "c".to_owned(), name: "sh".to_owned(), custom: true, signature: None })
    );
    assert_eq!(events[2], arguments(0, "ls"));
}

#[test]
fn what_the_provider_runs_comes_whole() {
    let item = json!({"type": "web_search_call", "id": "ws_1", "status": "completed"});
    let events = read_stream(&body(&[
        created(),
        json!({"type": "response.output_item.added", "output_index": 0, "item": {"type": "web_search_call", "id": "ws_1"}}),
        json!({"type": "response.web_search_call.searching", "output_index": 0, "item_id": "ws_1"}),
        json!({"type": "response.output_item.done", "output_index": 0, "item": item}),
        json!({"type": "keepalive"}),
        completed(json!([item])),
    ]));
    let whole = Opening::Whole(Box::new(Part::Foreign(Dialect::Responses, item.clone()).into()));
    assert_eq!(events, [start(), begin(0, whole), end(0), Event::Ping, finish(Finish::Stop), Event::Done]);
    let written = write_stream(&events);
    is_well_formed(&written);
    assert!(written.contains(": ping\n\n"));
    assert_eq!(read_stream(&written).len(), 5);
}

#[test]
fn failures_end_the_stream() {
    let failed = json!({"type": "response.failed", "response": {"error": {"code": "server_error", "message": "Sorry."}}});
    let flat = json!({"type": "error", "code": "server_error", "message": "Sorry."});
    let nested = json!({"type": "error", "error": {"type": "service_unavailable_error", "code": "server_error",
        "message": "Sorry."}});
    let failure = Event::Failed { kind: "server_error".to_owned(), message: "Sorry.".to_owned() };
    for shape in
        [vec![created(), failed.clone()], vec![created(), flat, failed.clone()], vec![created(), nested]]
    {
        let events = read_stream(&body(&shape));
        assert_eq!(events, [start(), failure.clone()]);
        let written = write_stream(&events);
        assert!(written.contains("event: response.failed") && written.contains("\"code\":\"server_error\""));
        assert_eq!(read_stream(&written), events);
    }
    let (mut reader, mut events) = (Reader::default(), Vec::new());
    reader.read("", b"[DONE]", &mut events).unwrap();
    reader.read("", created().to_string().as_bytes(), &mut events).unwrap();
    assert!(reader.end(&mut events).is_err());
    assert!(reader.read("", b"{", &mut events).is_err());
    let odd = br#"{"type":"response.output_text.delta","delta":1}"#;
    assert_eq!(reader.read("", odd, &mut events).unwrap_err().field.as_deref(), Some("delta"));
}

/// Broken on purpose: with the index of an item taken at its piece's begin the two calls had one, and with the finish
/// ending the stream the usage behind it was lost.
#[test]
fn pieces_open_at_once_are_written_apart() {
    let citation = Citation { url: Some("https://a".to_owned()), ..Citation::default() };
    let usage = Usage { input: 3, output: 4, ..Usage::default() };
    let events = [
        start(),
        begin(0, Opening::Reasoning { id: None }),
        text(0, "hm"),
        delta(0, Delta::Signature(Own::new(Dialect::Messages, "sig"))),
        end(0),
        begin(1, Opening::Text),
        text(1, "four"),
        delta(1, Delta::Citation(Box::new(citation))),
        begin(2, call("a")),
        begin(3, call("")),
        delta(3, Delta::Signature(Own::new(Dialect::Gemini, "c2ln"))),
        arguments(3, "{\"x\":"),
        arguments(2, "{}"),
        end(1),
        arguments(3, "1}"),
        end(3),
        end(2),
        begin(4, call("b")),
        end(4),
        begin(5, Opening::Refusal),
        text(5, "no"),
        end(5),
        finish(Finish::Calls),
        Event::Usage(usage),
        Event::Done,
    ];
    obeys(&events).unwrap();
    let written = write_stream(&events);
    is_well_formed(&written);
    let last: Value = serde_json::from_str(&split(&written).pop().unwrap().1).unwrap();
    let (response, output) = (&last["response"], last["response"]["output"].as_array().unwrap());
    assert_eq!(
        (&last["type"], &response["usage"]["total_tokens"]),
        (&json!("response.completed"), &json!(7))
    );
    assert_eq!(output[0]["encrypted_content"], r#"weir:{"signature":{"dialect":"messages","value":"sig"}}"#);
    assert_eq!(output[1]["content"][0]["annotations"][0]["end_index"], 4);
    assert_eq!(
        (&output[2]["call_id"], &output[2]["arguments"]),
        (&json!("call_1_2__sig__c2ln"), &json!("{\"x\":1}"))
    );
    assert_eq!((&output[3]["call_id"], &output[3]["arguments"]), (&json!("a"), &json!("{}")));
    assert_eq!((&output[4]["call_id"], &output[4]["arguments"]), (&json!("b"), &json!("{}")));
    assert_eq!(output[5]["content"][0]["refusal"], "no");
}

/// Broken on purpose: ended at once, the second text was an item of its own, and clients showed only that.
#[test]
fn texts_in_a_row_are_one() {
    let citation = Citation { url: Some("https://a".to_owned()), range: Some((0, 2)), ..Citation::default() };
    let events = [
        start(),
        begin(0, Opening::Text),
        text(0, "It is "),
        end(0),
        begin(1, Opening::Text),
        text(1, "f\u{fc}nf"),
        delta(1, Delta::Citation(Box::new(citation))),
        end(1),
        begin(2, call("a")),
        arguments(2, "{}"),
        end(2),
        begin(3, Opening::Text),
        text(3, "!"),
        end(3),
        finish(Finish::Stop),
        Event::Done,
    ];
    let written = write_stream(&events);
    is_well_formed(&written);
    let last: Value = serde_json::from_str(&split(&written).pop().unwrap().1).unwrap();
    let output = last["response"]["output"].as_array().unwrap();
    assert_eq!(output[0]["content"][0]["text"], "It is f\u{fc}nf");
    let cited = &output[0]["content"][0]["annotations"][0];
    assert_eq!((&cited["start_index"], &cited["end_index"]), (&json!(6), &json!(8)));
    assert_eq!(
        (&output[1]["type"], &output[2]["content"][0]["text"]),
        (&json!("function_call"), &json!("!"))
    );
}

#[test]
fn summaries_are_told_one_by_one() {
    let opening = Opening::Reasoning { id: Some("rs_9".to_owned()) };
    let summary = |which, text: &str| delta(0, Delta::Summary(which, text.to_owned()));
    let events = [
        start(),
        begin(0, opening),
        summary(0, "a"),
        summary(0, "b"),
        summary(1, "c"),
        delta(0, Delta::Encrypted(Own::new(Dialect::Responses, "gA"))),
        end(0),
        finish(Finish::Length),
        Event::Done,
    ];
    let written = write_stream(&events);
    is_well_formed(&written);
    assert_eq!(read_stream(&written), events);
    let names: Vec<String> =
        split(&written).into_iter().map(|event| event.0.replace("response.", "")).collect();
    let expected = "created in_progress output_item.added reasoning_summary_part.added reasoning_summary_text.delta \
        reasoning_summary_text.delta reasoning_summary_text.done reasoning_summary_part.done \
        reasoning_summary_part.added reasoning_summary_text.delta reasoning_summary_text.done \
        reasoning_summary_part.done output_item.done incomplete";
    assert_eq!(names.join(" "), expected);
}

/// Broken on purpose: with summaries not asked about, and with the text kept as a summary in the parcel, it fails.
#[test]
fn thoughts_are_streamed_as_summaries_to_who_asks_for_those() {
    let echoes = Map::from_iter([("reasoning".to_owned(), json!({"effort": null, "summary": "auto"}))]);
    let signature = Own::new(Dialect::Messages, "c2ln");
    let signed = Delta::Signature(signature.clone());
    let events = [
        start(),
        begin(0, Opening::Reasoning { id: None }),
        text(0, "h"),
        text(0, "m"),
        Event::Delta { choice: 0, piece: 0, delta: signed },
        Event::End { choice: 0, piece: 0 },
        Event::Finish { choice: 0, finish: Finish::Stop },
        Event::Done,
    ];
    let (mut writer, mut bytes) = (Writer::new("", "", 0, echoes), Vec::new());
    events.iter().for_each(|event| writer.write(event, &mut bytes));
    let written = String::from_utf8(bytes).unwrap();
    is_well_formed(&written);
    let frames = split(&written);
    let names: Vec<String> = frames.iter().map(|frame| frame.0.replace("response.", "")).collect();
    let expected = "created in_progress output_item.added reasoning_summary_part.added reasoning_summary_text.delta \
        reasoning_summary_text.delta reasoning_summary_text.done reasoning_summary_part.done output_item.done completed";
    assert_eq!(names.join(" "), expected);
    let last: Value = serde_json::from_str(&frames.last().unwrap().1).unwrap();
    let items = &last["response"]["output"];
    assert_eq!(items[0]["summary"], json!([{"type": "summary_text", "text": "hm"}]));
    let back = read_request(json!({"model": "m", "input": items}).to_string().as_bytes()).unwrap();
    let thought = Reasoning { text: "hm".into(), signature: Some(signature), ..Reasoning::default() };
    assert_eq!(back.messages[0].pieces[0].part, Part::Reasoning(thought));
}

#[test]
fn a_writer_says_what_it_was_given() {
    let echoes = Map::from_iter([("temperature".to_owned(), json!(0.5))]);
    let mut writer = Writer::new("gen-1", "mine", 9, echoes);
    let mut bytes = Vec::new();
    // Pieces left open, other choices and log probabilities before their text do no harm.
    let tokens = vec![json!({"token": "x"})];
    let events = [
        start(),
        Event::Logprobs { choice: 0, tokens },
        begin(0, Opening::Text),
        Event::Begin { choice: 1, piece: 0, opening: Opening::Text },
        text(0, "x"),
        Event::Done,
        Event::Done,
    ];
    events.iter().for_each(|event| writer.write(event, &mut bytes));
    let written = String::from_utf8(bytes).unwrap();
    is_well_formed(&written);
    let last: Value = serde_json::from_str(&split(&written).pop().unwrap().1).unwrap();
    let response = &last["response"];
    assert_eq!((&response["id"], &response["model"]), (&json!("resp_gen-1"), &json!("mine")));
    assert_eq!((&response["created_at"], &response["temperature"]), (&json!(9), &json!(0.5)));
    assert_eq!(response["output"][0]["content"][0]["logprobs"], json!([{"token": "x"}]));
    assert_eq!(response["output"].as_array().unwrap().len(), 1);
}
