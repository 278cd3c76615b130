use serde_json::{Value, json};

use super::{read_answer, write_answer};
use crate::dialect::openai::answer::Usage;
use crate::dialect::talk::*;

fn answers(message: Value, finish: &str) -> Value {
    json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [
        {"index": 0, "message": message, "finish_reason": finish, "logprobs": null}]})
}

fn read(body: &Value) -> Answer {
    read_answer(body.to_string().as_bytes()).unwrap()
}

#[track_caller]
fn unchanged(body: Value) -> Answer {
    let answer = read(&body);
    assert_eq!(write_answer(&answer), body);
    answer
}

fn message(content: &str) -> Value {
    json!({"role": "assistant", "content": content, "refusal": null})
}

#[test]
fn an_answer_is_kept() {
    let mut body = answers(message("a"), "stop");
    body["system_fingerprint"] = "f".into();
    body["service_tier"] = "flex".into();
    body["choices"][0]["native_finish_reason"] = "end_turn".into();
    body["choices"][0]["message"]["executed_tools"] = json!([1]);
    body["choices"][0]["logprobs"] = json!({"content": [{"token": "a"}], "refusal": null});
    let answer = unchanged(body);
    assert_eq!((answer.id.as_str(), answer.created), ("c", Some(1)));
    assert_eq!(answer.choices[0].pieces, [Part::text("a").into()]);
    assert_eq!(answer.choices[0].logprobs, [json!({"token": "a"})]);
}

/// Broken on purpose: the calls before the text.
#[test]
fn pieces_come_in_their_order() {
    let call =
        json!({"id": "1", "type": "function", "function": {"name": "f", "arguments": "{"}, "index": 0});
    let said = json!({"role": "assistant", "content": "a", "refusal": null, "reasoning_content": "r", "tool_calls": [call]});
    let answer = unchanged(answers(said, "tool_calls"));
    let parts: Vec<&Part> = answer.choices[0].pieces.iter().map(|piece| &piece.part).collect();
    assert!(matches!(parts[..], [Part::Reasoning(_), Part::Text { .. }, Part::Call(_)]), "{parts:?}");
    assert_eq!(answer.choices[0].finish, Some(Finish::Calls));
}

#[test]
fn finishes_are_understood() {
    let of = |word: &str| read(&answers(message("a"), word)).choices[0].finish.clone().unwrap();
    for (word, finish) in [
        ("stop", Finish::Stop),
        ("length", Finish::Length),
        ("model_length", Finish::Context),
        ("content_filter", Finish::Filtered),
        ("tool_calls", Finish::Calls),
        ("stop_sequence", Finish::StopText(None)),
        ("eos", Finish::Stop),
        ("odd", Finish::other(Dialect::Chat, "odd")),
    ] {
        assert_eq!(of(word), finish);
        unchanged(answers(message("a"), word));
    }
    let refusal = json!({"role": "assistant", "content": null, "refusal": "no"});
    let answer = unchanged(answers(refusal, "stop"));
    assert_eq!(answer.choices[0].finish, Some(Finish::Refused));
    assert_eq!(answer.choices[0].pieces, [Part::Refusal("no".into()).into()]);
    // Where a call is forced OpenAI says `stop`, and servers of open models always do.
    let call = json!({"role": "assistant", "content": null, "refusal": null, "function_call": {"name": "f", "arguments": "{}"}});
    assert_eq!(unchanged(answers(call, "stop")).choices[0].finish, Some(Finish::Calls));
}

/// Broken on purpose: with `stop` for a model that declines, or with every word passed on, it fails.
#[test]
fn finishes_of_others_are_words_that_the_sdks_know() {
    let word = |pieces: Vec<Piece>, finish: Finish| {
        let choice = Choice { pieces, finish: Some(finish), ..Choice::default() };
        write_answer(&Answer { choices: vec![choice], ..Answer::default() })["choices"][0]["finish_reason"]
            .clone()
    };
    // Claude declines in a text; who says so apart is understood by that.
    assert_eq!(word(vec![Part::text("I can't.").into()], Finish::Refused), "content_filter");
    assert_eq!(word(vec![Part::Refusal("no".into()).into()], Finish::Refused), "stop");
    assert_eq!(word(Vec::new(), Finish::Malformed), "stop");
    assert_eq!(word(Vec::new(), Finish::other(Dialect::Gemini, "LANGUAGE")), "stop");
}

#[test]
fn sources_are_cited() {
    let cited = json!({"type": "url_citation", "url_citation":
        {"url": "https://x.test", "title": "t", "start_index": 0, "end_index": 1}});
    let mut said = message("a");
    said["annotations"] = json!([cited, {"type": "file", "file": {}}]);
    let answer = unchanged(answers(said, "stop"));
    let Part::Text { citations, .. } = &answer.choices[0].pieces[0].part else { panic!() };
    assert_eq!((citations[0].url.as_deref(), citations[0].range), (Some("https://x.test"), Some((0, 1))));
    // Of another dialect: the text that it stands at is its range.
    let citation = Citation { url: Some("https://y.test".into()), ..Citation::default() };
    let nowhere = Citation { title: Some("a book".into()), ..Citation::default() };
    let text = Part::Text { text: "bcd".into(), signature: None, citations: vec![citation, nowhere] };
    let choice = Choice { pieces: vec![Part::text("ä").into(), text.into()], ..Choice::default() };
    let written = write_answer(&Answer { choices: vec![choice], ..Answer::default() });
    let said = &written["choices"][0]["message"];
    assert_eq!(said["content"], "äbcd");
    let source = json!({"url": "https://y.test", "title": "", "start_index": 1, "end_index": 4});
    assert_eq!(said["annotations"], json!([{"type": "url_citation", "url_citation": source}]));
}

#[test]
fn perplexity_s_sources_count_as_citations() {
    let mut body = answers(message("a"), "stop");
    body["citations"] = json!(["https://x.test"]);
    body["search_results"] = json!([{"title": "t", "url": "https://x.test"}]);
    let answer = unchanged(body);
    let Part::Text { citations, .. } = &answer.choices[0].pieces[0].part else { panic!() };
    assert_eq!(
        (citations[0].url.as_deref(), citations[0].title.as_deref()),
        (Some("https://x.test"), Some("t"))
    );
}

#[test]
fn images_and_sound_are_media() {
    let image = json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}});
    let said = json!({"role": "assistant", "content": null, "refusal": null, "images": [image],
        "audio": {"id": "a", "data": "QUJD", "expires_at": 5, "transcript": "t"}});
    let answer = unchanged(answers(said, "stop"));
    let kinds: Vec<MediaKind> = answer.choices[0]
        .pieces
        .iter()
        .map(|piece| match &piece.part {
            Part::Media(media) => media.kind,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(kinds, [MediaKind::Image, MediaKind::Audio]);
}

#[test]
fn usage_is_told_by_class() {
    let usage =
        Usage { input: 10, cached_input: 4, written_input: 2, output: 6, reasoning: 5, ..Usage::default() };
    let written = write_answer(&Answer { usage: Some(usage), ..Answer::default() });
    assert_eq!(
        written["usage"],
        json!({"prompt_tokens": 10, "completion_tokens": 6, "total_tokens": 16,
        "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 2},
        "completion_tokens_details": {"reasoning_tokens": 5}})
    );
    assert_eq!(read(&written).usage, Some(usage));
    let mut body = answers(message("a"), "stop");
    body["usage"] = written["usage"].clone();
    body["usage"]["cost"] = 1.into();
    unchanged(body);
}

/// Broken on purpose: no details for a signature, and none for what is encrypted.
#[test]
fn reasoning_with_proof_is_told_in_details() {
    let signed = Reasoning {
        text: "r".into(),
        signature: Some(Own::new(Dialect::Messages, "s")),
        ..Reasoning::default()
    };
    let sealed = Reasoning { encrypted: Some(Own::new(Dialect::Chat, "e")), ..Reasoning::default() };
    let summed = Reasoning {
        id: Some("rs_1".into()),
        summary: vec!["x".into(), "y".into()],
        encrypted: Some(Own::new(Dialect::Responses, "f")),
        ..Reasoning::default()
    };
    let parts = [signed, sealed, summed].map(Part::Reasoning);
    let again = |parts: &[Part]| {
        let pieces: Vec<Piece> = parts.iter().cloned().map(Piece::from).collect();
        let choices = vec![Choice { pieces, ..Choice::default() }];
        let written = write_answer(&Answer { choices, ..Answer::default() });
        let again: Vec<Part> =
            read(&written).choices[0].pieces.iter().map(|piece| piece.part.clone()).collect();
        assert_eq!(again, parts);
        written["choices"][0]["message"]["reasoning_content"].clone()
    };
    assert_eq!(again(&parts), "r\n\nx\n\ny");
    for part in parts {
        again(&[part]);
    }
}

/// Broken on purpose: no arguments not read as an empty object.
#[test]
fn calls_that_were_cut_off_stay_so() {
    let call = |arguments: &str| json!({"id": "1", "type": "function", "function": {"name": "f", "arguments": arguments}});
    let said = |arguments: &str| json!({"role": "assistant", "content": null, "refusal": null, "tool_calls": [call(arguments)]});
    unchanged(answers(said(""), "length"));
    let whole = read(&answers(said(""), "tool_calls"));
    assert!(matches!(&whole.choices[0].pieces[0].part, Part::Call(call) if call.arguments == "{}"));
    let written = write_answer(&whole);
    assert_eq!(written["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"], "{}");
}

#[test]
fn what_is_no_answer_is_refused() {
    for body in ["", "[]", "{}", r#"{"choices":1}"#, r#"{"choices":[1]}"#] {
        assert!(read_answer(body.as_bytes()).is_err(), "{body}");
    }
    let failed = json!({"error": {"message": "no", "type": "server_error", "param": null, "code": null}});
    let read = read_answer(failed.to_string().as_bytes()).unwrap();
    assert_eq!(read.failed, Some(Failed { kind: "server_error".into(), message: "no".into() }));
    assert_eq!(write_answer(&read), failed);
}

#[test]
fn finishes_of_other_dialects_are_told() {
    let of = |finish: Finish| {
        let choice = Choice { finish: Some(finish), ..Choice::default() };
        let written = write_answer(&Answer { choices: vec![choice], ..Answer::default() });
        written["choices"][0]["finish_reason"].as_str().unwrap().to_owned()
    };
    assert_eq!(of(Finish::Paused), "stop");
    assert_eq!(of(Finish::StopText(Some("x".into()))), "stop");
    assert_eq!(of(Finish::Context), "length");
    assert_eq!(of(Finish::Malformed), "stop");
}
