use serde_json::{Value, json};

use super::Writer;
use super::checks::{frames, gather, obeys, read_all, well_formed, write_all};
use crate::dialect::openai::answer::Usage;
use crate::dialect::talk::{
    Citation, Delta, Dialect, Event, Finish, Media, MediaKind, Opening, Own, Part, Piece, Source,
};

fn start() -> Event {
    Event::Start {
        id: "id-1".into(),
        model: "m".into(),
        created: Some(1),
        service_tier: Some(Own::new(Dialect::Chat, "default")),
    }
}

fn begin(piece: usize, opening: Opening) -> Event {
    Event::Begin { choice: 0, piece, opening }
}

fn delta(piece: usize, delta: Delta) -> Event {
    Event::Delta { choice: 0, piece, delta }
}

fn text(piece: usize, text: &str) -> Event {
    delta(piece, Delta::Text(text.into()))
}

fn arguments(piece: usize, text: &str) -> Event {
    delta(piece, Delta::Arguments(text.into()))
}

fn end(piece: usize) -> Event {
    Event::End { choice: 0, piece }
}

fn call(id: &str, custom: bool) -> Opening {
    Opening::Call { id: id.into(), name: "f".into(), custom, signature: None }
}

/// The data of the events that say `middle` in a whole stream.
fn data(middle: &[Event], finish: Finish) -> Vec<Value> {
    let usage = Event::Usage(Usage { input: 7, cached_input: 2, output: 9, ..Usage::default() });
    let tail = [Event::Finish { choice: 0, finish }, usage, Event::Done];
    let events: Vec<_> = [start()].into_iter().chain(middle.iter().cloned()).chain(tail).collect();
    let written = write_all(&events);
    obeys(&read_all(&written).unwrap()).unwrap();
    let data: Vec<Value> = frames(&written)
        .into_iter()
        .map(|(name, data)| {
            let data: Value = serde_json::from_str(&data).unwrap();
            assert_eq!(data["type"], name);
            data
        })
        .collect();
    well_formed(&data);
    data
}

#[test]
fn text_is_written() {
    let middle = [begin(0, Opening::Text), text(0, "a\"\n"), text(0, "é"), end(0)];
    let data = data(&middle, Finish::Stop);
    let message = &data[0]["message"];
    assert_eq!(
        (&message["id"], &message["model"], &message["role"]),
        (&json!("id-1"), &json!("m"), &json!("assistant"))
    );
    assert_eq!(
        (&message["usage"]["input_tokens"], &message["usage"]["service_tier"]),
        (&json!(0), &json!("standard"))
    );
    assert_eq!(data[1]["content_block"], json!({"type": "text", "text": ""}));
    assert_eq!(data[2]["delta"], json!({"type": "text_delta", "text": "a\"\n"}));
    let last = &data[5];
    assert_eq!(last["delta"], json!({"stop_reason": "end_turn", "stop_sequence": null}));
    assert_eq!((&last["usage"]["input_tokens"], &last["usage"]["output_tokens"]), (&json!(5), &json!(9)));
}

#[test]
fn the_message_begins_with_its_usage_and_only_once() {
    let usage = Event::Usage(Usage { input: 3, output: 1, ..Usage::default() });
    let (mut writer, mut to) = (Writer::new("own", "model"), Vec::new());
    writer.write(&start(), &mut to);
    assert!(to.is_empty());
    writer.write(&usage, &mut to);
    writer.write(&Event::Ping, &mut to);
    let written = frames(&to);
    assert_eq!(written.len(), 2);
    assert!(written[0].1.contains("\"input_tokens\":3"));
    // A provider that names nothing.
    let (mut writer, mut to) = (Writer::new("own", "model"), Vec::new());
    writer.write(&Event::Ping, &mut to);
    assert!(String::from_utf8(to).unwrap().contains("\"id\":\"own\""));
}

/// Broken once: with the deltas of the waiting call written at once, it fails.
#[test]
fn pieces_that_are_open_at_once_wait() {
    let middle = [
        begin(0, call("a", false)),
        arguments(0, "{\"x\":"),
        begin(1, call("b", false)),
        arguments(1, "{\"y\":"),
        begin(2, Opening::Text),
        arguments(0, "1}"),
        text(2, "t"),
        end(2),
        arguments(1, "2}"),
        end(0),
        end(1),
    ];
    data(&middle, Finish::Calls);
    let events: Vec<_> = [start()]
        .into_iter()
        .chain(middle)
        .chain([Event::Finish { choice: 0, finish: Finish::Calls }, Event::Done])
        .collect();
    let found = gather(&read_all(&write_all(&events)).unwrap());
    let of = |id: &str, arguments: &str| (id.to_owned(), "f".to_owned(), arguments.to_owned());
    assert_eq!(found.calls, [of("a", "{\"x\":1}"), of("b", "{\"y\":2}")]);
    assert_eq!(found.text, "t");
}

#[test]
fn calls_are_written() {
    let middle = [
        begin(0, call("a", false)),
        end(0),
        // Of Gemini: no id, and the signature may come last.
        begin(1, call("", false)),
        arguments(1, "{\"x\":1}"),
        delta(1, Delta::Signature(Own::new(Dialect::Gemini, "QUJD"))),
        end(1),
        // A tool that takes text.
        begin(2, call("c", true)),
        arguments(2, "a\"b"),
        arguments(2, "\nc"),
        end(2),
        begin(3, call("d", true)),
        end(3),
        begin(4, call("e", false)),
        arguments(4, "{}"),
        delta(4, Delta::Signature(Own::new(Dialect::Gemini, "QUJD"))),
        end(4),
    ];
    let data = data(&middle, Finish::Stop);
    let starts: Vec<_> = data.iter().filter_map(|data| data["content_block"]["id"].as_str()).collect();
    assert_eq!(starts, ["a", "toolu_id1_1__sig__QUJD", "c", "d", "e__sig__QUJD"]);
    let input = |index: u64| -> String {
        let of = data.iter().filter(|data| data["index"] == index);
        of.filter_map(|data| data["delta"]["partial_json"].as_str()).collect()
    };
    assert_eq!([input(0), input(1)], ["", "{\"x\":1}"]);
    assert_eq!(serde_json::from_str::<Value>(&input(2)).unwrap(), json!({"input": "a\"b\nc"}));
    assert_eq!(serde_json::from_str::<Value>(&input(3)).unwrap(), json!({"input": ""}));
    // Said by no finish, but true.
    assert_eq!(data[data.len() - 2]["delta"]["stop_reason"], "tool_use");
}

#[test]
fn reasoning_is_written() {
    let reasoning = |id: Option<&str>| Opening::Reasoning { id: id.map(str::to_owned) };
    let middle = [
        begin(0, reasoning(None)),
        text(0, "hm"),
        delta(0, Delta::Signature(Own::new(Dialect::Converse, "s"))),
        end(0),
        begin(1, reasoning(None)),
        delta(1, Delta::Encrypted(Own::new(Dialect::Messages, "e"))),
        end(1),
        begin(2, reasoning(Some("rs"))),
        delta(2, Delta::Summary(0, "a".into())),
        delta(2, Delta::Summary(0, "b".into())),
        delta(2, Delta::Summary(1, "c".into())),
        delta(2, Delta::Encrypted(Own::new(Dialect::Responses, "g"))),
        end(2),
        begin(3, reasoning(Some("rs_empty"))),
        end(3),
    ];
    let data = data(&middle, Finish::Stop);
    let of = |index: u64, name: &str| -> String {
        let of = data.iter().filter(|data| data["index"] == index);
        of.filter_map(|data| data["delta"][name].as_str()).collect()
    };
    assert_eq!((of(0, "thinking").as_str(), of(0, "signature").as_str()), ("hm", "s"));
    assert!(
        data.iter().any(|data| data["content_block"] == json!({"type": "redacted_thinking", "data": "e"}))
    );
    let parcel = r#"weir:{"id":"rs","encrypted":{"dialect":"responses","value":"g"},"summary":true}"#;
    assert_eq!((of(2, "thinking").as_str(), of(2, "signature").as_str()), ("ab\n\nc", parcel));
    assert_eq!(data.iter().filter(|data| data["type"] == "content_block_start").count(), 3);
}

#[test]
fn whole_pieces_and_citations_are_written() {
    let foreign = |dialect, value| Opening::Whole(Box::new(Part::Foreign(dialect, value).into()));
    let media = Media {
        kind: MediaKind::Image,
        mime: "image/png".into(),
        source: Source::Base64("A".into()),
        name: None,
        detail: None,
        context: None,
        cited: None,
    };
    let search = json!({"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "q"}});
    let found = json!({"type": "web_search_tool_result", "tool_use_id": "s", "content": []});
    let web = Citation { url: Some("https://a".into()), ..Citation::default() };
    let middle = [
        begin(0, foreign(Dialect::Messages, search)),
        end(0),
        begin(1, foreign(Dialect::Messages, found.clone())),
        end(1),
        begin(2, foreign(Dialect::Gemini, json!({"executableCode": {}}))),
        end(2),
        begin(3, Opening::Whole(Box::new(Piece::from(Part::Media(media))))),
        end(3),
        begin(4, Opening::Text),
        text(4, "t"),
        delta(4, Delta::Citation(Box::new(web))),
        end(4),
        begin(5, Opening::Text),
        end(5),
    ];
    let data = data(&middle, Finish::Stop);
    let blocks: Vec<_> = data.iter().filter(|data| data["type"] == "content_block_start").collect();
    assert_eq!(blocks.len(), 4);
    assert_eq!(blocks[0]["content_block"]["input"], json!({}));
    assert!(data.iter().any(|data| data["delta"]["partial_json"] == "{\"query\":\"q\"}"));
    assert_eq!(blocks[1]["content_block"], found);
    assert_eq!(blocks[2]["content_block"], json!({"type": "text", "text": ""}));
    assert!(data.iter().any(|data| data["delta"]["citation"]["url"] == "https://a"));
}

#[test]
fn failures_and_refusals_are_written() {
    let middle = [begin(0, Opening::Refusal), text(0, "no"), end(0)];
    let data = data(&middle, Finish::Stop);
    assert_eq!(data[data.len() - 2]["delta"]["stop_reason"], "refusal");
    for (kind, wanted) in [
        ("overloaded_error", "overloaded_error"),
        ("server_is_overloaded", "overloaded_error"),
        ("rate_limit_exceeded", "rate_limit_error"),
        ("throttlingException", "rate_limit_error"),
        ("", "api_error"),
    ] {
        let failed = Event::Failed { kind: kind.into(), message: "m".into() };
        let written = frames(&write_all(&[start(), failed, Event::Done]));
        assert_eq!(written.len(), 1);
        let wanted = json!({"type": "error", "error": {"type": wanted, "message": "m"}});
        assert_eq!(serde_json::from_str::<Value>(&written[0].1).unwrap(), wanted);
    }
}

/// Events in no order, as no reader gives them, still make a stream that can be read.
#[test]
fn odd_events_break_nothing() {
    let odd =
        [text(3, "x"), end(9), begin(0, Opening::Text), text(0, "a"), begin(1, Opening::Text), text(1, "b")];
    let mut events = odd.to_vec();
    events.extend([Event::Done, text(0, "late")]);
    let found = gather(&read_all(&write_all(&events)).unwrap());
    assert_eq!(found.text, "ab");
    let other = [Event::Begin { choice: 1, piece: 0, opening: Opening::Text }, Event::Done];
    assert_eq!(gather(&read_all(&write_all(&other)).unwrap()).text, "");
}
