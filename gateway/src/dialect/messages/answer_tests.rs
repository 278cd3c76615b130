use serde_json::{Value, json};

use super::{read_answer, write_answer};
use crate::dialect::openai::answer::{Service, Usage};
use crate::dialect::talk::{
    Answer, Call, Choice, Citation, Dialect, Finish, Media, MediaKind, Own, Part, Piece, Reasoning, Source,
};

fn answer(parts: impl IntoIterator<Item = Part>, finish: Option<Finish>) -> Answer {
    let pieces = parts.into_iter().map(Piece::from).collect();
    let choices = vec![Choice { pieces, finish, ..Choice::default() }];
    Answer { id: "a-1".into(), model: "m".into(), choices, ..Answer::default() }
}

fn content(parts: impl IntoIterator<Item = Part>) -> Value {
    write_answer(&answer(parts, None))["content"].take()
}

#[test]
fn an_answer_is_read_and_written() {
    let body = json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "stop_reason": "stop_sequence",
        "stop_sequence": "END", "container": {"id": "c"}, "content": [
            {"type": "thinking", "thinking": "hm", "signature": "s"},
            {"type": "text", "text": "t", "citations": [
                {"type": "web_search_result_location", "url": "https://a", "title": "A", "cited_text": "x", "encrypted_index": "e"}]},
            {"type": "server_tool_use", "id": "srv", "name": "web_search", "input": {"query": "q"}},
            {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}}],
        "usage": {"input_tokens": 1, "cache_read_input_tokens": 2, "cache_creation_input_tokens": 3,
            "output_tokens": 4, "service_tier": "priority", "server_tool_use": {"web_search_requests": 1}},
    });
    let read = read_answer(body.to_string().as_bytes()).unwrap();
    assert_eq!(
        read.usage,
        Some(Usage {
            input: 6,
            cached_input: 2,
            written_input: 3,
            output: 4,
            reasoning: 0,
            service: Service::Priority,
            ..Usage::default()
        })
    );
    assert_eq!(read.choices[0].finish, Some(Finish::StopText(Some("END".into()))));
    let Part::Text { citations, .. } = &read.choices[0].pieces[1].part else { panic!() };
    assert_eq!((citations[0].url.as_deref(), citations[0].text.as_deref()), (Some("https://a"), Some("x")));
    assert!(matches!(read.choices[0].pieces[2].part, Part::Foreign(Dialect::Messages, _)));
    assert_eq!(write_answer(&read), body);
}

#[test]
fn every_reason_to_stop_is_read_and_written() {
    for (word, finish) in [
        ("end_turn", Finish::Stop),
        ("max_tokens", Finish::Length),
        ("model_context_window_exceeded", Finish::Context),
        ("tool_use", Finish::Calls),
        ("refusal", Finish::Refused),
        ("pause_turn", Finish::Paused),
        ("new_reason", Finish::other(Dialect::Messages, "new_reason")),
    ] {
        let body = json!({"content": [], "stop_reason": word}).to_string();
        assert_eq!(read_answer(body.as_bytes()).unwrap().choices[0].finish, Some(finish.clone()));
        assert_eq!(write_answer(&answer([], Some(finish)))["stop_reason"], word);
    }
    assert_eq!(write_answer(&answer([], Some(Finish::Filtered)))["stop_reason"], "refusal");
    assert_eq!(write_answer(&answer([], Some(Finish::Malformed)))["stop_reason"], "end_turn");
    assert_eq!(write_answer(&Answer::default())["stop_reason"], "end_turn");
    // Broken on purpose: with other dialects' words passed on it fails.
    let foreign = Finish::other(Dialect::Gemini, "LANGUAGE");
    assert_eq!(write_answer(&answer([], Some(foreign)))["stop_reason"], "end_turn");
    // Clients run tools on nothing else.
    let call = || Part::Call(Call { id: "x".into(), name: "f".into(), ..Call::default() });
    assert_eq!(write_answer(&answer([call()], Some(Finish::Stop)))["stop_reason"], "tool_use");
    assert_eq!(write_answer(&answer([call()], Some(Finish::Length)))["stop_reason"], "max_tokens");
    let refusal = Part::Refusal("no".into());
    assert_eq!(write_answer(&answer([refusal], Some(Finish::Stop)))["stop_reason"], "refusal");
}

#[test]
fn pieces_of_other_dialects_are_written() {
    let call = Part::Call(Call {
        name: "f".into(),
        signature: Some(Own::new(Dialect::Gemini, "QUJD")),
        ..Call::default()
    });
    assert_eq!(content([call])[0]["id"], "toolu_a1_0__sig__QUJD");
    let summary =
        Reasoning { id: Some("rs".into()), summary: vec!["a".into(), "b".into()], ..Reasoning::default() };
    let wanted = json!([{"type": "thinking", "thinking": "a\n\nb", "signature": r#"weir:{"id":"rs","summary":true}"#}]);
    assert_eq!(content([Part::Reasoning(summary)]), wanted);
    let unsigned = Reasoning { text: "hm".into(), ..Reasoning::default() };
    let wanted = json!([{"type": "thinking", "thinking": "hm", "signature": ""}]);
    assert_eq!(content([Part::Reasoning(unsigned)]), wanted);
    let cited = |citation| Part::Text { text: "t".into(), signature: None, citations: vec![citation] };
    let web = Citation { url: Some("https://a".into()), ..Citation::default() };
    assert_eq!(content([cited(web)])[0]["citations"][0]["type"], "web_search_result_location");
    let named = Citation { title: Some("A".into()), ..Citation::default() };
    assert_eq!(content([cited(named)])[0]["citations"][0]["source"], "A");
    let image = Media {
        kind: MediaKind::Image,
        mime: "image/png".into(),
        source: Source::Base64("A".into()),
        name: None,
        detail: None,
        context: None,
        cited: None,
    };
    assert_eq!(content([Part::Media(image)])[0]["type"], "text");
    let foreign = Part::Foreign(Dialect::Gemini, json!({"executableCode": {}}));
    assert_eq!(content([foreign]), json!([]));
}

/// SDKs want both counts, whatever is known.
#[test]
fn usage_is_always_there() {
    let usage = &write_answer(&answer([], None))["usage"];
    assert_eq!((&usage["input_tokens"], &usage["output_tokens"]), (&json!(0), &json!(0)));
    let tier = Answer { service_tier: Some(Own::new(Dialect::Chat, "default")), ..answer([], None) };
    assert_eq!(write_answer(&tier)["usage"]["service_tier"], "standard");
}

#[test]
fn what_is_no_answer_is_refused() {
    for body in ["", "[]", "{}", r#"{"content": 3}"#] {
        assert!(read_answer(body.as_bytes()).is_err(), "{body}");
    }
    let failed = json!({"type": "error", "error": {"type": "overloaded_error", "message": "later"}});
    let answer = read_answer(failed.to_string().as_bytes()).unwrap();
    assert!(answer.failed.is_some());
    assert_eq!(write_answer(&answer), failed);
}
