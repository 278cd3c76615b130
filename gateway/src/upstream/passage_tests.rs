use std::collections::VecDeque;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::*;
use crate::dialect::api::Api;
use crate::dialect::custom::Custom;
use crate::dialect::failure::Class;
use crate::dialect::gemini::Framing;
use crate::dialect::talk::Dialect;
use crate::error::{Error, Kind};
use crate::upstream::telling::Retold;

const MESSAGES: &str = concat!(
    "event: message_start\n",
    r#"data: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"claude","content":[],"stop_reason":null,"usage":{"input_tokens":9,"output_tokens":1}}}"#,
    "\n\nevent: content_block_start\n",
    r#"data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
    "\n\nevent: ping\ndata: {\"type\": \"ping\"}\n\nevent: content_block_delta\n",
    r#"data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Grüße"}}"#,
    "\n\nevent: content_block_stop\n",
    r#"data: {"type":"content_block_stop","index":0}"#,
    "\n\nevent: message_delta\n",
    r#"data: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":4}}"#,
    "\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
);

const GEMINI: &str = concat!(
    r#"data: {"candidates":[{"content":{"role":"model","parts":[{"text":"Hi"}]},"index":0}],"modelVersion":"g","responseId":"r"}"#,
    "\r\n\r\n",
    r#"data: {"candidates":[{"content":{"role":"model","parts":[{"text":"!"}]},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":2,"totalTokenCount":5},"modelVersion":"g","responseId":"r"}"#,
    "\r\n\r\n",
);

fn heard(dialect: Dialect, framing: Framing) -> Telling {
    Telling::Heard { dialect, framing }
}

fn retold(own: Dialect, theirs: Dialect) -> Telling {
    Telling::Retold(Arc::new(Retold {
        own,
        theirs,
        framing: Framing::Sse,
        wants_usage: true,
        custom: Custom::default(),
        created: 1,
        model: "asked".to_owned(),
        echoes: Map::new(),
    }))
}

/// What the client gets of a stream that comes in pieces of `size` bytes and then ends.
fn told(telling: &Telling, stream: &str, size: usize) -> (String, Seen, Result<(), Fault>) {
    let mut passage = Passage::new(telling, &HeaderMap::new());
    let (mut seen, mut out) = (Seen::default(), VecDeque::new());
    let mut result = Ok(());
    for piece in stream.as_bytes().chunks(size) {
        result = passage.push(Bytes::copy_from_slice(piece), &mut seen, &mut out);
        if result.is_err() || seen.done {
            break;
        }
    }
    if result.is_ok() && !seen.done {
        result = passage.end(&mut seen, &mut out);
    }
    let bytes: Vec<u8> = out.iter().flat_map(|bytes| bytes.to_vec()).collect();
    (String::from_utf8(bytes).unwrap(), seen, result)
}

/// The first event of a response repeats its instructions, others hold images. Broken on purpose to see it fail: a bound of 1 MiB.
#[test]
fn long_events_are_told_and_too_long_ones_are_nobodys_failure() {
    let event = |bytes: usize| {
        let text = "x".repeat(bytes);
        format!(
            "event: response.created\ndata: {{\"type\":\"response.created\",\"sequence_number\":0,\
             \"response\":{{\"id\":\"resp_1\",\"object\":\"response\",\"instructions\":\"{text}\"}}}}\n\n"
        )
    };
    let telling = Telling::Passed { api: Api::Responses, withhold_usage: false };
    let long = event(3 << 20);
    let (text, ..) = told(&telling, &long, 65_536);
    assert!(text == long, "{} of {} bytes", text.len(), long.len());
    let (.., result) = told(&telling, &event(33 << 20), 65_536);
    assert!(matches!(result, Err(Fault::TooLong(_))), "{result:?}");
}

/// Broken on purpose to see it fail: the event written from what was read of it.
#[test]
fn one_dialect_on_both_sides_passes_its_bytes_and_is_counted() {
    for size in [1, 7, 4096] {
        let (text, seen, result) = told(&heard(Dialect::Messages, Framing::Sse), MESSAGES, size);
        assert_eq!(text, MESSAGES);
        assert!(result.is_ok() && seen.done && seen.complete && seen.content);
        let usage = seen.usage.unwrap();
        assert_eq!((usage.input, usage.output), (9, 4));

        let (text, seen, result) = told(&heard(Dialect::Gemini, Framing::Sse), GEMINI, size);
        assert_eq!(text, GEMINI);
        assert!(result.is_ok() && seen.complete);
        assert_eq!(seen.usage.map(|usage| (usage.input, usage.output)), Some((3, 2)));
    }
}

#[test]
fn events_of_gemini_are_elements_for_who_wants_an_array() {
    for size in [1, 7, 4096] {
        let (text, _, result) = told(&heard(Dialect::Gemini, Framing::Array), GEMINI, size);
        assert!(result.is_ok());
        let elements: Vec<Value> = serde_json::from_str(&text).expect(&text);
        let sent: Vec<Value> = GEMINI
            .split("\r\n\r\n")
            .filter_map(|event| event.strip_prefix("data: "))
            .map(|data| serde_json::from_str(data).unwrap())
            .collect();
        assert_eq!(elements, sent);
    }
}

#[test]
fn another_dialect_is_told_the_same_however_it_comes() {
    let whole = told(&retold(Dialect::Chat, Dialect::Messages), MESSAGES, 4096).0;
    assert!(whole.contains(r#""content":"Grüße""#) && whole.ends_with("data: [DONE]\n\n"), "{whole}");
    for size in [1, 7] {
        let (text, seen, result) = told(&retold(Dialect::Chat, Dialect::Messages), MESSAGES, size);
        assert_eq!(text, whole);
        assert!(result.is_ok() && seen.complete);
        assert_eq!(seen.usage.map(|usage| (usage.input, usage.output)), Some((9, 4)));
    }
    let back = told(&retold(Dialect::Gemini, Dialect::Chat), &whole, 4096).0;
    assert!(back.contains(r#""text":"Grüße""#) && back.contains("STOP"), "{back}");
}

/// Broken on purpose to see it fail: the end of the body taken for the end of the answer.
#[test]
fn a_stream_that_breaks_off_ends_by_its_clients_rule() {
    let cut = MESSAGES.find("event: message_delta").unwrap();
    let gone = Error::new(Kind::UpstreamFailed, "gone");
    let ends = [
        (heard(Dialect::Messages, Framing::Sse), "event: error\ndata: {", "api_error"),
        (retold(Dialect::Responses, Dialect::Messages), "event: response.failed\ndata: {", "server_error"),
        (retold(Dialect::Chat, Dialect::Messages), "data: {\"error\":{\"message\":\"gone\"", "server_error"),
        (retold(Dialect::Gemini, Dialect::Messages), "data: {\"error\":{", "502"),
    ];
    for (telling, begin, kind) in ends {
        let (text, seen, result) = told(&telling, &MESSAGES[..cut], 4096);
        assert!(matches!(result, Err(Fault::Damaged(_))) && !seen.complete, "{begin}: {result:?}");
        assert!(
            !text.contains("[DONE]") && !text.contains("message_stop") && !text.contains("STOP"),
            "{text}"
        );
        let mut passage = Passage::new(&telling, &HeaderMap::new());
        let (mut seen, mut out) = (Seen::default(), VecDeque::new());
        passage.push(MESSAGES[..cut].to_owned().into(), &mut seen, &mut out).unwrap();
        let end = String::from_utf8(passage.error(&gone.told(), &seen).to_vec()).unwrap();
        assert!(
            end.starts_with(begin) && end.contains(kind) && end.trim_end_matches(['\r', '\n']).ends_with('}'),
            "{end}"
        );
    }
}

#[test]
fn a_failure_in_the_stream_is_no_event_of_the_client() {
    let failed = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n";
    let cut = MESSAGES.find("event: content_block_stop").unwrap();
    let stream = [&MESSAGES[..cut], failed].concat();
    for telling in [heard(Dialect::Messages, Framing::Sse), retold(Dialect::Chat, Dialect::Messages)] {
        let (text, _, result) = told(&telling, &stream, 7);
        assert!(!text.contains("Overloaded"), "{text}");
        let Err(Fault::Failed { failure, .. }) = result else { panic!("{result:?}") };
        assert!(matches!(failure.class, Class::Overloaded { .. }), "{:?}", failure.class);
    }
}

#[test]
fn an_array_that_fails_is_still_an_array() {
    let telling = heard(Dialect::Gemini, Framing::Array);
    let mut passage = Passage::new(&telling, &HeaderMap::new());
    let (mut seen, mut out) = (Seen::default(), VecDeque::new());
    let first = GEMINI.find("\r\n\r\n").unwrap() + 4;
    passage.push(GEMINI[..first].to_owned().into(), &mut seen, &mut out).unwrap();
    out.push_back(passage.sign());
    out.push_back(passage.error(&Error::new(Kind::UpstreamFailed, "gone").told(), &seen));
    let bytes: Vec<u8> = out.iter().flat_map(|bytes| bytes.to_vec()).collect();
    let elements: Vec<Value> = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(elements[1]["error"]["message"], "gone");
}

/// Converse tells neither. Broken on purpose to see it fail: the writer left with what came.
#[test]
fn an_answer_without_id_and_model_gets_both() {
    let nameless = GEMINI.replace(r#","modelVersion":"g","responseId":"r""#, "");
    for (own, id) in [(Dialect::Chat, r#""id":"chatcmpl-"#), (Dialect::Messages, r#""id":"msg_"#)] {
        let (text, _, result) = told(&retold(own, Dialect::Gemini), &nameless, 4096);
        assert!(result.is_ok() && text.contains(id) && text.contains(r#""model":"asked""#), "{text}");
    }
}

#[test]
fn openais_own_streams_pass_as_before() {
    let stream = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1}}\n\ndata: [DONE]\n\n";
    let telling = Telling::Passed { api: Api::Chat, withhold_usage: true };
    for size in [1, 7, 4096] {
        let (text, seen, result) = told(&telling, stream, size);
        assert!(result.is_ok() && seen.complete);
        assert_eq!(
            text,
            stream.replace(
                "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1}}\n\n",
                ""
            )
        );
    }
}

/// `CHUNKS=1000 cargo test --release -p weir --lib cost_of_a_chunk -- --ignored --nocapture`
#[test]
#[ignore = "a measurement"]
fn the_cost_of_a_chunk() {
    let chunks: usize = std::env::var("CHUNKS").ok().and_then(|chunks| chunks.parse().ok()).unwrap_or(10_000);
    let chunk = "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"theirs\",\
                 \"choices\":[{\"index\":0,\"delta\":{\"content\":\"word \"},\"finish_reason\":null}]}\n\n";
    for own in [Dialect::Messages, Dialect::Gemini, Dialect::Responses] {
        let telling = retold(own, Dialect::Chat);
        let mut passage = Passage::new(&telling, &HeaderMap::new());
        let (mut seen, mut out) = (Seen::default(), VecDeque::new());
        let start = std::time::Instant::now();
        for _ in 0..chunks {
            passage.push(Bytes::from_static(chunk.as_bytes()), &mut seen, &mut out).unwrap();
            out.clear();
        }
        println!("{own:?}: {} ns a chunk", start.elapsed().as_nanos() / chunks as u128);
    }
}
