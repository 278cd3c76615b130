use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::dialect::voice::{Form, Told, Voice};

fn classified(raw: &str) -> Chunk {
    classify(&Event { raw: Bytes::copy_from_slice(raw.as_bytes()) })
}

fn of_json(data: &Value) -> Chunk {
    classified(&format!("data: {data}\n\n"))
}

/// A chunk with this delta.
fn of_delta(delta: Value) -> Chunk {
    of_json(&json!({ "id": "x", "object": "chat.completion.chunk", "usage": null,
        "choices": [{ "index": 0, "delta": delta, "finish_reason": null }] }))
}

fn content(output_bytes: usize) -> Chunk {
    Chunk::Content { output_bytes }
}

#[test]
fn keep_alives_and_the_end_are_known_without_json() {
    assert_eq!(classified(": OPENROUTER PROCESSING\n\n"), Chunk::Comment);
    assert_eq!(classified("\n"), Chunk::Comment);
    assert_eq!(classified("data: [DONE]\n\n"), Chunk::Done);
    assert_eq!(classified("data:[DONE]\r\n\r\n"), Chunk::Done);
    assert_eq!(classified("data: [DONE]"), Chunk::Done);
}

#[test]
fn a_role_and_empty_deltas_are_not_content() {
    for delta in [
        json!({ "role": "assistant", "content": "" }),
        json!({ "role": "assistant", "content": null, "refusal": null, "tool_calls": [], "audio": {} }),
        json!({}),
        json!({ "role": "assistant", "name": "bob" }),
    ] {
        assert_eq!(of_delta(delta.clone()), Chunk::NoContent, "{delta}");
    }
    assert_eq!(of_json(&json!({ "choices": [], "prompt_filter_results": [{ "x": 1 }] })), Chunk::NoContent);
    assert_eq!(of_json(&json!({ "choices": null })), Chunk::NoContent);
}

#[test]
fn what_a_client_acts_on_is_content() {
    assert_eq!(of_delta(json!({ "content": "Hi" })), content(2));
    assert_eq!(of_delta(json!({ "content": "\"usage\":{},\"error\":{}" })), content(25));
    assert_eq!(of_delta(json!({ "content": null, "refusal": "No" })), content(2));
    assert_eq!(of_delta(json!({ "reasoning_content": "Hm" })), content(2));
    assert_eq!(of_delta(json!({ "content": "", "reasoning": "Hmm" })), content(3));
    assert_eq!(
        of_delta(
            json!({ "content": [{ "type": "thinking", "thinking": [{ "type": "text", "text": "abc" }] }] })
        ),
        content(3)
    );
    assert_eq!(
        of_delta(json!({ "tool_calls": [{ "index": 0, "id": "call_9", "type": "function",
        "function": { "name": "f", "arguments": "{}" } }] })),
        content(3)
    );
    assert_eq!(of_delta(json!({ "function_call": { "name": "fn" } })), content(2));
    assert_eq!(of_delta(json!({ "audio": { "id": "audio_1", "transcript": "abc" } })), content(3));
    assert_eq!(of_delta(json!({ "content": "", "reasoning_details": [{ "data": "secret" }] })), content(0));
}

#[test]
fn the_reason_of_the_end_is_content() {
    let end = json!({ "choices": [{ "index": 0, "delta": {}, "finish_reason": "stop" }] });
    assert_eq!(of_json(&end), content(0));
}

#[test]
fn usage_alone_is_told_from_usage_beside_choices() {
    let counts = json!({ "prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12,
        "prompt_tokens_details": { "cached_tokens": 4 } });
    let usage =
        Usage { input: 9, cached_input: 4, written_input: 0, output: 3, reasoning: 0, ..Usage::default() };
    let alone = Chunk::Usage { usage, choices_empty: true, content: false, output_bytes: 0 };
    assert_eq!(of_json(&json!({ "choices": [], "usage": counts })), alone);
    assert_eq!(of_json(&json!({ "usage": counts, "choices": [] })), alone);
    let end =
        json!({ "choices": [{ "delta": { "content": "" }, "finish_reason": "stop" }], "usage": counts });
    let with_end = Chunk::Usage { usage, choices_empty: false, content: true, output_bytes: 0 };
    assert_eq!(of_json(&end), with_end);
    assert!(with_end.is_content() && !alone.is_content());
    assert_eq!(of_json(&json!({ "choices": [], "x_groq": { "usage": counts } })), Chunk::NoContent);
    assert_eq!(of_json(&json!({ "choices": [], "usage": {} })), Chunk::NoContent);
}

#[test]
fn an_error_is_an_error_in_every_shape() {
    let error = |raw: &str| match classified(raw) {
        Chunk::Error(found) => (found.error.message, found.error.code, found.status),
        other => panic!("{other:?}"),
    };
    let nested = r#"data: {"error":{"message":"Overloaded","type":"server_error","code":502}}"#;
    assert_eq!(error(nested), ("Overloaded".into(), Some("502".into()), Some(502)));
    let beside = r#"data: {"id":"x","error":{"code":"slow_down","message":"m"},"choices":[{"delta":{"content":""},"finish_reason":"error"}]}"#;
    assert_eq!(error(beside), ("m".into(), Some("slow_down".into()), None));
    assert_eq!(error(r#"data: {"error":"out of memory"}"#), ("out of memory".into(), None, None));
    assert_eq!(error(r#"data: {"object":"error","message":"flat","code":"3000"}"#).0, "flat");
    let groq = r#"data: {"error":{"message":"m","code":"tool_use_failed","status_code":400}}"#;
    assert_eq!(error(groq), ("m".into(), Some("tool_use_failed".into()), Some(400)));
    assert_eq!(error("event: error\ndata: went away\n\n").0, "went away");
    assert_eq!(of_delta(json!({ "content": "x", "error": "text" })), content(1));
    assert_eq!(of_json(&json!({ "error": null, "choices": [] })), Chunk::NoContent);
}

#[test]
fn bytes_that_are_not_an_object_pass_undecided() {
    for data in ["data: hello\n\n", "data: {\"choices\":[{\n\n", "data: [1]\n\n", "data:\n\n", "data: {}\n\n"]
    {
        assert_eq!(classified(data), Chunk::NoContent, "{data}");
    }
}

#[test]
fn a_stream_of_single_tokens_counts_them_and_one_of_long_pieces_its_bytes() {
    let mut delivered = Delivered::default();
    (0..10).for_each(|_| delivered.add(&content(1)));
    assert_eq!(delivered.tokens(), 10);
    delivered.add(&content(300));
    assert_eq!(delivered.tokens(), 104);
    delivered.add(&Chunk::Done);
    assert_eq!((delivered.chunks, delivered.bytes), (11, 310));
}

#[test]
fn a_legacy_chunk_carries_its_text_beside_the_delta() {
    let event = |text: &str| Event { raw: Bytes::from(format!("data: {text}\n\n")) };
    let chunk = |text: &str, finish: &str| {
        classify(&event(&format!(
            r#"{{"choices":[{{"text":"{text}","index":0,"finish_reason":{finish}}}]}}"#
        )))
    };
    assert_eq!(chunk("hello", "null"), content(5));
    assert_eq!(chunk("", "null"), Chunk::NoContent);
    assert_eq!(chunk("", "\"stop\""), content(0));
}

#[test]
fn our_error_event_reads_back_as_one() {
    let told = Told::new(http::StatusCode::BAD_GATEWAY, "upstream \"gone\"");
    let raw = Form::events(Voice::OpenAi).error_event(&told, false);
    assert!(raw.starts_with(b"data: {\"error\":{") && raw.ends_with(b"}}\n\n"));
    let Chunk::Error(read) = classify(&Event { raw }) else { panic!("not an error") };
    assert_eq!(read.error.message, "upstream \"gone\"");
}

proptest! {
    #[test]
    fn text_inside_strings_never_decides(text in any::<String>(), tail in r#"("usage":\{"prompt_tokens":1\}|"error":\{\}|\\)"#) {
        let said = format!("{text}{tail}x");
        let inside = serde_json::to_string(&said).unwrap().len() - 2;
        prop_assert_eq!(of_delta(json!({ "content": said })), content(inside));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = classify(&Event { raw: Bytes::from([b"data: {", &bytes[..]].concat()) });
    }
}

/// `cargo test --release -p weir --lib a_chunk_costs -- --ignored --nocapture`
#[test]
#[ignore = "a measurement"]
fn a_chunk_costs_less_than_a_microsecond() {
    let text = r#"data: {"id":"chatcmpl-9rD4cbxcufhWUCMSJ0LP0ZNuora53","object":"chat.completion.chunk","created":1722468666,"model":"gpt-3.5-turbo-0125","system_fingerprint":null,"choices":[{"index":0,"delta":{"content":" tired"},"logprobs":null,"finish_reason":null}],"usage":null}

"#;
    let stream = Bytes::from(text.repeat(1000));
    let mut best = (f64::MAX, f64::MAX);
    for _ in 0..100 {
        let start = std::time::Instant::now();
        let mut splitter = super::super::Splitter::default();
        let events: Vec<_> = splitter.push(stream.clone()).map(|event| event.unwrap()).collect();
        best.0 = best.0.min(start.elapsed().as_nanos() as f64 / 1000.0);
        let start = std::time::Instant::now();
        for event in &events {
            std::hint::black_box(classify(std::hint::black_box(event)));
        }
        best.1 = best.1.min(start.elapsed().as_nanos() as f64 / 1000.0);
    }
    println!("{} bytes: split {:.0} ns, classify {:.0} ns", text.len(), best.0, best.1);
}
