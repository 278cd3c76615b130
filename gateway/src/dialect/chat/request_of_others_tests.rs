//! Requests of clients of other dialects.

use super::*;

/// Broken on purpose: media shown between results.
#[test]
fn results_of_other_dialects_go_first_and_their_media_to_the_user() {
    let image = Part::Media(media(MediaKind::Image, "image/png", Source::Base64("QUJD".into())));
    let result =
        |id: &str, pieces| Part::Result(ToolResult { id: id.into(), pieces, ..ToolResult::default() });
    let request = Request {
        messages: vec![
            says(Role::User, vec![result("1", vec![Part::text("one").into(), image.into()]).into()]),
            says(
                Role::User,
                vec![Part::text("go").into(), result("2", vec![Part::text("two").into()]).into()],
            ),
        ]
        .into(),
        ..asks(says(Role::User, Vec::new()))
    };
    let written = write_request(&request).unwrap();
    let roles: Vec<&str> =
        written["messages"].as_array().unwrap().iter().map(|m| m["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["tool", "tool", "user"]);
    let content = &written["messages"][2]["content"];
    assert_eq!(content[1]["image_url"]["url"], "data:image/png;base64,QUJD");
    assert_eq!(content[2]["text"], "go");
}

#[test]
fn results_of_other_kinds_are_told_in_words() {
    let of = |result: ToolResult| {
        let written = write_request(&asks(says(Role::User, vec![Part::Result(result).into()]))).unwrap();
        written["messages"][0]["content"].as_str().unwrap().to_owned()
    };
    let base = || ToolResult { id: "1".into(), ..ToolResult::default() };
    assert_eq!(of(ToolResult { json: Some(json!({"a": 1})), ..base() }), "{\"a\":1}");
    let failed =
        |text: &str| ToolResult { failed: Some(true), pieces: vec![Part::text(text).into()], ..base() };
    assert_eq!(of(failed("no such file")), "Error: no such file");
    assert_eq!(of(failed("an error")), "an error");
    assert_eq!(of(ToolResult { failed: Some(true), ..base() }), "Error: the tool failed.");
}

#[test]
fn calls_without_ids_get_some_and_their_results_the_same() {
    let call = |name: &str| Part::Call(Call { name: name.into(), ..Call::default() }).into();
    let result = |name: &str| Part::Result(ToolResult { name: name.into(), ..ToolResult::default() }).into();
    let request = Request {
        messages: vec![
            says(Role::Assistant, vec![call("a"), call("b"), call("a")]),
            says(Role::User, vec![result("b"), result("a"), result("a")]),
        ]
        .into(),
        ..Request::default()
    };
    let written = write_request(&request).unwrap();
    let calls = &written["messages"][0]["tool_calls"];
    assert_eq!(calls[0]["function"]["arguments"], "{}");
    for (message, call) in [(1, 1), (2, 0), (3, 2)] {
        assert_eq!(written["messages"][message]["tool_call_id"], calls[call]["id"]);
    }
}

#[test]
fn signatures_travel_as_at_google() {
    let signed = Call {
        id: "1".into(),
        name: "f".into(),
        arguments: "{}".into(),
        signature: Some(Own::new(Dialect::Gemini, "s")),
        ..Call::default()
    };
    let text = Part::Text {
        text: "a".into(),
        signature: Some(Own::new(Dialect::Gemini, "t")),
        citations: Vec::new(),
    };
    let request = asks(says(Role::Assistant, vec![text.into(), Part::Call(signed).into()]));
    let written = write_request(&request).unwrap();
    let call = &written["messages"][0]["tool_calls"][0];
    assert_eq!(call["extra_content"]["google"]["thought_signature"], "s");
    let parts = |request: &Request| {
        request.messages[0].pieces.iter().map(|piece| piece.part.clone()).collect::<Vec<_>>()
    };
    assert_eq!(parts(&read(&written)), parts(&request));
}

#[test]
fn what_the_dialect_cannot_carry_is_refused() {
    let file = |of, id: &str| media(MediaKind::Document, "", Source::File(Own::new(of, id)));
    let url = |kind, url: &str| media(kind, "", Source::Url(url.into()));
    for (media, fits) in [
        (file(Dialect::Messages, "file_011"), false),
        (file(Dialect::Responses, "file-abc"), true),
        (media(MediaKind::Image, "", Source::File(Own::new(Dialect::Chat, "file-abc"))), false),
        (url(MediaKind::Document, "https://x.test/a.pdf"), false),
        (url(MediaKind::Audio, "https://x.test/a.mp3"), false),
        (media(MediaKind::Document, "text/plain", Source::Text("t".into())), true),
        (media(MediaKind::Document, "application/pdf", Source::Base64("QUJD".into())), true),
    ] {
        let written = write_request(&asks(says(Role::User, vec![Part::Media(media.clone()).into()])));
        assert_eq!(written.is_ok(), fits, "{media:?}: {written:?}");
        let field = written.err().map(|refused| refused.field);
        assert!(field.is_none_or(|field| field.as_deref() == Some("messages[0]")));
    }
}

#[test]
fn thinking_of_other_dialects_is_told_in_openai_s_words() {
    let of = |thinking: Thinking| {
        let request = Request { thinking, ..Request::default() };
        write_request(&request).unwrap()["reasoning_effort"].as_str().map(str::to_owned)
    };
    let budget = |budget| Thinking { enabled: Some(true), budget: Some(budget), ..Thinking::default() };
    assert_eq!(of(budget(1024)).as_deref(), Some("low"));
    assert_eq!(of(budget(8000)).as_deref(), Some("medium"));
    assert_eq!(of(budget(32_000)).as_deref(), Some("high"));
    assert_eq!(of(Thinking { enabled: Some(false), ..Thinking::default() }), None);
    assert_eq!(of(Thinking { effort: Some(Effort::Max), ..Thinking::default() }).as_deref(), Some("xhigh"));
}

#[test]
fn texts_are_joined_for_those_who_take_no_parts() {
    let pair = || vec![Part::text("a").into(), Part::text("b").into()];
    let foreign = Part::Foreign(Dialect::Messages, json!({})).into();
    let messages = vec![
        says(Role::System, pair()),
        says(Role::Assistant, pair()),
        says(Role::User, vec![Part::text("c").into(), foreign]),
    ];
    let request = Request { messages: messages.into(), ..Request::default() };
    let whole = write_request(&request).unwrap();
    assert_eq!(whole["messages"][0]["content"][1], json!({"type": "text", "text": "b"}));
    let joined = write_request_for(&request, Manners { parts: false, ..Manners::default() }).unwrap();
    let contents: Vec<&Value> =
        joined["messages"].as_array().unwrap().iter().map(|m| &m["content"]).collect();
    assert_eq!(contents, ["a\n\nb", "ab", "c"]);
}
