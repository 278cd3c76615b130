use proptest::prelude::*;

use super::*;

fn event(data: &Value) -> Event {
    let kind = data["type"].as_str().unwrap_or("x");
    Event { raw: Bytes::from(format!("event: {kind}\ndata: {data}\n\n")) }
}

fn of(data: &Value) -> Chunk {
    classify(&event(data))
}

fn created() -> Begun {
    let response = json!({ "id": "resp_1", "object": "response", "status": "in_progress", "model": "m" });
    let begun = json!({ "type": "response.created", "sequence_number": 0, "response": response });
    let Chunk::Begun(begun) = of(&begun) else { panic!("not begun") };
    begun
}

fn said(message: &str) -> Told<'_> {
    Told::new(http::StatusCode::BAD_GATEWAY, message)
}

#[test]
fn nothing_is_content_before_the_first_item() {
    assert_eq!(created().id, "resp_1");
    for kind in ["response.in_progress", "response.queued"] {
        assert_eq!(of(&json!({ "type": kind, "response": {} })), Chunk::NoContent);
    }
    assert_eq!(classify(&Event { raw: Bytes::from_static(b": ping\n\n") }), Chunk::Comment);
    let delta = |kind: &str, delta: &str| of(&json!({ "type": kind, "delta": delta, "sequence_number": 4 }));
    assert_eq!(delta("response.output_text.delta", "hello"), Chunk::Content { output_bytes: 5 });
    assert_eq!(delta("response.function_call_arguments.delta", "{}"), Chunk::Content { output_bytes: 2 });
    assert_eq!(delta("response.audio.delta", "AAAA"), Chunk::Content { output_bytes: 0 });
    let item = json!({ "type": "response.output_item.added", "item": { "type": "reasoning" } });
    assert_eq!(of(&item), Chunk::Content { output_bytes: 0 });
}

#[test]
fn the_whole_response_ends_it_with_its_usage() {
    let usage =
        json!({ "input_tokens": 7, "output_tokens": 3, "output_tokens_details": { "reasoning_tokens": 1 } });
    for kind in ["response.completed", "response.incomplete"] {
        let data = json!({ "response": { "id": "resp_1", "error": null, "usage": usage }, "type": kind });
        let Chunk::Finished { usage: Some(usage) } = of(&data) else { panic!("{kind}") };
        assert_eq!((usage.input, usage.output, usage.reasoning), (7, 3, 1));
    }
    let silent = json!({ "type": "response.completed", "response": { "usage": null } });
    assert_eq!(of(&silent), Chunk::Finished { usage: None });
}

#[test]
fn failures_are_told_by_the_response_or_alone() {
    let failed = json!({
        "type": "response.failed",
        "response": { "id": "resp_1", "error": { "code": "rate_limit_exceeded", "message": "Slow" } },
    });
    let alone = json!({ "type": "error", "code": "server_error", "message": "Broke", "sequence_number": 3 });
    let nested = json!({ "error": { "message": "Nested", "type": "server_error" } });
    for (data, says) in [(failed, "Slow"), (alone, "Broke"), (nested, "Nested")] {
        let Chunk::Error(error) = of(&data) else { panic!("{data}") };
        assert_eq!(error.error.message, says);
    }
}

#[test]
fn our_failure_goes_on_from_the_last_event_and_names_the_response() {
    let mut begun = created();
    begun.note(&event(&json!({ "type": "response.output_text.delta", "delta": "x", "sequence_number": 41 })));
    let raw = begun.failed(&said("gone"));
    let Chunk::Error(read) = classify(&Event { raw: raw.clone() }) else { panic!("not an error") };
    assert_eq!(read.error.message, "gone");
    let data: Value = serde_json::from_slice(&Event { raw }.data().unwrap()).unwrap();
    assert_eq!(data["sequence_number"], 42);
    let response = &data["response"];
    assert_eq!(
        (&response["id"], &response["status"], &response["model"]),
        (&json!("resp_1"), &json!("failed"), &json!("m"))
    );
    // Where a server does not number its events, ours begins at 0.
    begun.note(&event(&json!({ "type": "response.output_text.delta", "delta": "x" })));
    let raw = begun.failed(&said("gone"));
    assert!(std::str::from_utf8(&raw).unwrap().contains("\"sequence_number\":0"));
}

#[test]
fn data_in_several_lines_is_read_as_one() {
    let raw = Bytes::from_static(
        b"data: {\"type\":\"response.created\",\ndata: \"response\":{\"id\":\"resp_2\"}}\n\n",
    );
    let Chunk::Begun(begun) = classify(&Event { raw }) else { panic!("not begun") };
    assert_eq!(begun.id, "resp_2");
    assert!(begun.failed(&said("x")).starts_with(b"event: response.failed\n"));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), kind in "(response\\.)?[a-z]{0,9}") {
        let _ = classify(&Event { raw: Bytes::from([b"data: {", &bytes[..]].concat()) });
        let head = format!("data: {{\"type\":\"{kind}\",\"response\":");
        if let Chunk::Begun(begun) = classify(&Event { raw: Bytes::from([head.as_bytes(), &bytes[..]].concat()) }) {
            begun.failed(&said("x"));
        }
    }
}
