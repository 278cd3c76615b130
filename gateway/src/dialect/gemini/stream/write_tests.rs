//! Streams that are written.

use super::*;

/// What a provider of another dialect streams: pieces open at once, a signature in parts, usage behind the finish.
fn foreign() -> Vec<Event> {
    let about = |id: &str| Some(id.to_owned());
    vec![
        Event::Start {
            id: "msg_1".into(),
            model: "m".into(),
            created: Some(1_795_953_600),
            service_tier: Some(Own::new(Dialect::Chat, "default")),
        },
        Event::Usage(Usage { input: 5, ..Usage::default() }),
        Event::Ping,
        begin(0, Opening::Reasoning { id: about("rs_1") }),
        delta(0, Delta::Summary(0, "hm".into())),
        delta(0, Delta::Summary(1, "so".into())),
        delta(0, Delta::Signature(Own::new(Dialect::Gemini, "c2"))),
        delta(0, Delta::Signature(Own::new(Dialect::Gemini, "ln"))),
        end(0),
        begin(1, opens_call("1", "f")),
        begin(2, opens_call("2", "g")),
        delta(2, Delta::Arguments("{\"b\"".into())),
        delta(1, Delta::Arguments("{\"a\":1}".into())),
        delta(2, Delta::Arguments(":2}".into())),
        end(1),
        end(2),
        begin(3, Opening::Refusal),
        text(3, "\"no\"\n"),
        end(3),
        finish(Finish::Calls),
        Event::Usage(Usage {
            input: 5,
            cached_input: 0,
            written_input: 0,
            output: 9,
            reasoning: 2,
            ..Usage::default()
        }),
        Event::Done,
    ]
}

/// Broken on purpose: with calls written when they begin, and with the finish written at once, this failed.
#[test]
fn a_stream_of_another_dialect_is_written_as_googles() {
    let about = json!({"modelVersion": "m", "createTime": "2026-11-29T12:00:00Z", "responseId": "msg_1"});
    let with = |mut chunk: Value, usage: Option<Value>| {
        chunk.as_object_mut().unwrap().extend(about.as_object().unwrap().clone());
        if let Some(usage) = usage {
            chunk["usageMetadata"] = usage;
        }
        chunk
    };
    let first = json!({"serviceTier": "standard", "promptTokenCount": 5, "candidatesTokenCount": 0, "totalTokenCount": 5});
    let last = json!({"serviceTier": "standard", "promptTokenCount": 5, "candidatesTokenCount": 7,
        "thoughtsTokenCount": 2, "totalTokenCount": 14});
    let empty = json!({"candidates": [{"content": {"parts": [{"text": ""}], "role": "model"}, "index": 0}]});
    let ends = json!({"candidates": [{"content": {"parts": [{"text": ""}], "role": "model"}, "finishReason": "STOP", "index": 0}]});
    assert_eq!(
        written(&foreign()),
        [
            with(empty, Some(first)),
            with(chunk(json!([{"text": "hm", "thought": true}])), None),
            with(chunk(json!([{"text": "\n\nso", "thought": true}])), None),
            with(chunk(json!([{"text": "", "thought": true, "thoughtSignature": "c2ln"}])), None),
            with(chunk(json!([{"functionCall": {"id": "1", "name": "f", "args": {"a": 1}}}])), None),
            with(chunk(json!([{"functionCall": {"id": "2", "name": "g", "args": {"b": 2}}}])), None),
            with(chunk(json!([{"text": "\"no\"\n"}])), None),
            with(ends, Some(last)),
        ]
    );
}

#[test]
fn an_array_is_written_as_one() {
    let body = write(&foreign(), Framing::Array);
    let all: Vec<Value> = serde_json::from_str(&body).unwrap();
    assert_eq!(all, written(&foreign()));
    let mut failing = foreign()[..5].to_vec();
    failing.push(Event::Failed { kind: "overloaded_error".into(), message: "busy".into() });
    failing.push(Event::Done);
    let all: Vec<Value> = serde_json::from_str(&write(&failing, Framing::Array)).unwrap();
    let error = json!({"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}});
    assert_eq!(all.last(), Some(&error));
    assert_eq!(written(&failing).last(), Some(&error));
    let nothing: Vec<Value> = serde_json::from_str(&write(&[start(), Event::Done], Framing::Array)).unwrap();
    let empty =
        json!({"content": {"parts": [{"text": ""}], "role": "model"}, "finishReason": "STOP", "index": 0});
    assert_eq!(nothing, [json!({"candidates": [empty]})]);
}

#[test]
fn citations_and_log_probabilities_of_others_are_written() {
    let citation = Citation { url: Some("https://a".into()), range: Some((1, 2)), ..Citation::default() };
    let tokens = vec![json!({"token": "é", "logprob": -0.5, "bytes": [195, 169], "top_logprobs": []})];
    let events = [
        start(),
        begin(0, Opening::Text),
        text(0, "é"),
        end(0),
        begin(1, Opening::Text),
        text(1, "ab"),
        delta(1, Delta::Citation(Box::new(citation))),
        Event::Logprobs { choice: 0, tokens: tokens.clone() },
        end(1),
        finish(Finish::Stop),
        Event::Done,
    ];
    let chunks = written(&events);
    assert_eq!(
        chunks[2]["candidates"][0]["groundingMetadata"],
        json!({
        "groundingChunks": [{"web": {"uri": "https://a"}}],
        "groundingSupports": [{"segment": {"startIndex": 3, "endIndex": 4, "text": "b"}, "groundingChunkIndices": [0]}]})
    );
    let again = read(&chunks).unwrap();
    assert!(again.contains(&Event::Logprobs { choice: 0, tokens }));
}

#[test]
fn encrypted_reasoning_is_carried_and_a_very_long_text_is_not_searched() {
    let events = [
        start(),
        begin(0, Opening::Reasoning { id: Some("rs_1".into()) }),
        delta(0, Delta::Summary(0, "so".into())),
        delta(0, Delta::Encrypted(Own::new(Dialect::Responses, "ab"))),
        delta(0, Delta::Encrypted(Own::new(Dialect::Responses, "c"))),
        end(0),
        finish(Finish::Stop),
        Event::Done,
    ];
    let parts = &written(&events)[1]["candidates"][0]["content"]["parts"];
    let signature = parts[0]["thoughtSignature"].as_str().unwrap();
    let carried = crate::dialect::gemini::carry::unpack(signature).unwrap();
    let thought = carried.reasoning("so".into());
    assert_eq!((thought.id.as_deref(), thought.summary), (Some("rs_1"), vec!["so".to_owned()]));
    assert_eq!(thought.encrypted, Some(Own::new(Dialect::Responses, "abc")));

    let mut cited = chunk(json!([{"text": "end"}]));
    cited["candidates"][0]["groundingMetadata"] = json!({"groundingChunks": [{"web": {"uri": "https://a"}}],
        "groundingSupports": [{"segment": {"startIndex": 2 << 20, "endIndex": (2 << 20) + 3, "text": "end"},
            "groundingChunkIndices": [0]}]});
    let events = read(&[chunk(json!([{"text": "x".repeat(2 << 20)}])), cited, stop()]).unwrap();
    let none = |event: &Event| matches!(event, Event::Delta { delta: Delta::Citation(of), .. } if of.range.is_none());
    assert!(events.iter().any(none));
}

#[test]
fn parts_that_come_whole_are_written_at_once() {
    let part = json!({"inlineData": {"mimeType": "image/png", "data": "AAAA"}});
    let events = read(&[chunk(json!([part])), stop()]).unwrap();
    assert_eq!(written(&events)[0]["candidates"][0]["content"]["parts"], json!([part]));
    let theirs = Part::Foreign(Dialect::Messages, json!({}));
    let events = [start(), begin(0, Opening::Whole(Box::new(theirs.into()))), end(0), Event::Done];
    assert_eq!(written(&events)[0]["candidates"][0]["content"]["parts"], json!([{"text": ""}]));
}

/// Broken on purpose to see it fail: only choices that said something, or only those that had a word for their end.
#[test]
fn every_choice_is_finished_though_nobody_said_why() {
    let ends = |events: &[Event]| {
        let chunks = written(events);
        let last = chunks.last().unwrap()["candidates"].as_array().unwrap().clone();
        assert!(read(&chunks).is_ok(), "{chunks:?}");
        last.iter().map(|one| (one["index"].clone(), one["finishReason"].clone())).collect::<Vec<_>>()
    };
    let stop = |choice: u64| (json!(choice), json!("STOP"));
    assert_eq!(ends(&[start(), Event::Usage(Usage::default()), Event::Done]), [stop(0)]);
    let said = [start(), begin(0, Opening::Text), text(0, "a"), end(0)];
    assert_eq!(ends(&[&said[..], &[Event::Done]].concat()), [stop(0)]);
    let of_another = Event::Finish { choice: 1, finish: Finish::Length };
    let wanted = [(json!(1), json!("MAX_TOKENS")), stop(0)];
    assert_eq!(ends(&[&said[..], &[of_another, Event::Done]].concat()), wanted);
}
