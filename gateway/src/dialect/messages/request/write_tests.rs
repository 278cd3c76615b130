use serde_json::{Value, json};

use super::write_request;
use crate::dialect::talk::{
    Cache, Call, Citation, Dialect, Effort, Extra, Format, Media, MediaKind, Message, Own, Part, Piece,
    Reasoning, Request, Role, Source, Thinking, Tool, ToolChoice, ToolKind, ToolResult,
};

fn turn(role: Role, parts: impl IntoIterator<Item = Part>) -> Message {
    let pieces = parts.into_iter().map(Piece::from).collect();
    Message { role, pieces, name: None, extra: Extra::default() }
}

fn says(role: Role, text: &str) -> Message {
    turn(role, [Part::text(text)])
}

fn call(id: &str, name: &str) -> Part {
    Part::Call(Call { id: id.into(), name: name.into(), arguments: "{}".into(), ..Call::default() })
}

fn result(id: &str, name: &str, text: &str) -> Part {
    let pieces = vec![Part::text(text).into()];
    Part::Result(ToolResult { id: id.into(), name: name.into(), pieces, ..ToolResult::default() })
}

fn conversation(messages: impl IntoIterator<Item = Message>) -> Request {
    Request {
        model: "claude-sonnet-4-6".into(),
        messages: messages.into_iter().collect(),
        ..Request::default()
    }
}

fn asks() -> Request {
    conversation([says(Role::User, "hi")])
}

fn write(request: &Request) -> Value {
    write_request(request).unwrap()
}

#[test]
fn the_least_request_sets_the_longest_answer() {
    let wanted = json!({"model": "claude-sonnet-4-6", "max_tokens": 8192,
        "messages": [{"role": "user", "content": "hi"}]});
    assert_eq!(write(&asks()), wanted);
    let body = write(&Request { model: String::new(), max_output: Some(5), ..asks() });
    assert_eq!((body.get("model"), &body["max_tokens"]), (None, &json!(5)));
}

/// Broken once: without merging, and with the results where they stood; both failed.
#[test]
fn turns_are_put_in_anthropics_order() {
    let body = write(&conversation([
        says(Role::System, "a"),
        says(Role::User, "one"),
        says(Role::Developer, "b"),
        says(Role::User, "two"),
        turn(Role::Assistant, [Part::text(""), call("x", "f")]),
        turn(Role::Assistant, [call("y", "g")]),
        says(Role::User, "three"),
        turn(Role::User, [result("x", "f", "1")]),
        turn(Role::User, [result("y", "g", "2")]),
    ]));
    let text = |text: &str| json!({"type": "text", "text": text});
    let used = |id: &str, name: &str| json!({"type": "tool_use", "id": id, "name": name, "input": {}});
    let back = |id: &str, text: &str| json!({"type": "tool_result", "tool_use_id": id, "content": text});
    assert_eq!(body["system"], json!([text("a"), text("b")]));
    let wanted = json!([
        {"role": "user", "content": [text("one"), text("two")]},
        {"role": "assistant", "content": [used("x", "f"), used("y", "g")]},
        {"role": "user", "content": [back("x", "1"), back("y", "2"), text("three")]},
    ]);
    assert_eq!(body["messages"], wanted);
    // Calls need tools.
    let names: Vec<_> = body["tools"].as_array().unwrap().iter().map(|tool| &tool["name"]).collect();
    assert_eq!(names, ["f", "g"]);
    assert_eq!(body["tool_choice"], json!({"type": "none"}));
}

/// Broken once: with instructions kept wherever they stood, it fails.
#[test]
fn instructions_stay_where_the_model_takes_them() {
    let messages = |middle: &[Message]| {
        let mut all = vec![says(Role::Developer, "a"), says(Role::User, "b")];
        all.extend_from_slice(middle);
        all.push(says(Role::Assistant, "y"));
        let request = Request { model: "claude-opus-4-8".into(), ..conversation(all) };
        let body = write(&request);
        let roles: Vec<_> =
            body["messages"].as_array().unwrap().iter().map(|turn| turn["role"].clone()).collect();
        (body["system"].clone(), roles, body["messages"][1]["content"].clone())
    };
    let (system, roles, content) = messages(&[says(Role::System, "c"), says(Role::Developer, "d")]);
    assert_eq!((system, roles), (json!("a"), vec![json!("user"), json!("system"), json!("assistant")]));
    assert_eq!(content, json!([{"type": "text", "text": "c"}, {"type": "text", "text": "d"}]));
    let (system, roles, _) = messages(&[says(Role::System, "c"), says(Role::User, "d")]);
    assert_eq!(system, json!([{"type": "text", "text": "a"}, {"type": "text", "text": "c"}]));
    assert_eq!(roles, [json!("user"), json!("assistant")]);
}

#[test]
fn odd_conversations_get_a_turn_of_the_users() {
    let body = write(&conversation([says(Role::System, "go")]));
    assert_eq!(body["messages"], json!([{"role": "user", "content": "go"}]));
    assert_eq!(body.get("system"), None);
    let body = write(&conversation([says(Role::Assistant, "Hello \n")]));
    let wanted = json!([{"role": "user", "content": "..."}, {"role": "assistant", "content": "Hello"}]);
    assert_eq!(body["messages"], wanted);
}

#[test]
fn arguments_are_always_an_object() {
    for (arguments, custom, wanted) in [
        ("{\"a\":1}", false, json!({"a": 1})),
        ("", false, json!({})),
        ("null", false, json!({})),
        ("{\"a\":", false, json!({"_raw": "{\"a\":"})),
        ("[1]", false, json!({"_raw": "[1]"})),
        ("*** patch", true, json!({"input": "*** patch"})),
    ] {
        let call =
            Call { id: "x".into(), name: "f".into(), arguments: arguments.into(), custom, signature: None };
        let body = write(&conversation([says(Role::User, "q"), turn(Role::Assistant, [Part::Call(call)])]));
        assert_eq!(body["messages"][1]["content"][0]["input"], wanted, "{arguments}");
    }
}

#[test]
fn ids_are_made_where_there_are_none() {
    let body = write(&conversation([
        says(Role::User, "q"),
        turn(Role::Assistant, [call("", "f"), call("", "g"), call("a:1", "h")]),
        turn(Role::User, [result("", "g", "2"), result("", "f", "1"), result("a:1", "h", "3")]),
    ]));
    let content = |turn: usize, at: usize, name: &str| body["messages"][turn]["content"][at][name].clone();
    assert_eq!(content(1, 0, "id"), content(2, 1, "tool_use_id"));
    assert_eq!(content(1, 1, "id"), content(2, 0, "tool_use_id"));
    assert_eq!(content(1, 2, "id"), content(2, 2, "tool_use_id"));
    assert!(!content(1, 2, "id").as_str().unwrap().contains(':'));
}

#[test]
fn results_carry_json_media_and_failure() {
    let structured = ToolResult {
        id: "x".into(),
        json: Some(json!({"n": 1})),
        failed: Some(true),
        ..ToolResult::default()
    };
    let image = Media {
        kind: MediaKind::Image,
        mime: String::new(),
        source: Source::Base64("/9j/AA==".into()),
        name: None,
        detail: None,
    };
    let seen =
        ToolResult { id: "y".into(), pieces: vec![Part::Media(image).into()], ..ToolResult::default() };
    let empty = ToolResult { id: "z".into(), pieces: vec![Part::text("").into()], ..ToolResult::default() };
    let parts = [structured, seen, empty].map(Part::Result);
    let body = write(&conversation([turn(Role::User, parts)]));
    let wanted = json!([
        {"type": "tool_result", "tool_use_id": "x", "content": "{\"n\":1}", "is_error": true},
        {"type": "tool_result", "tool_use_id": "y", "content": [
            {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": "/9j/AA=="}}]},
        {"type": "tool_result", "tool_use_id": "z"},
    ]);
    assert_eq!(body["messages"][0]["content"], wanted);
}

/// Anthropic refuses reasoning that it did not sign, and citations and citations' sources that it did not give.
#[test]
fn only_what_anthropic_made_goes_back() {
    let own = Reasoning {
        text: "hm".into(),
        signature: Some(Own::new(Dialect::Messages, "s")),
        ..Reasoning::default()
    };
    let redacted = Reasoning { encrypted: Some(Own::new(Dialect::Messages, "e")), ..Reasoning::default() };
    let unsigned = Reasoning { text: "hm".into(), ..Reasoning::default() };
    let google = Reasoning {
        text: "hm".into(),
        signature: Some(Own::new(Dialect::Gemini, "s")),
        ..Reasoning::default()
    };
    let responses = Reasoning {
        id: Some("rs_1".into()),
        encrypted: Some(Own::new(Dialect::Responses, "g")),
        ..Reasoning::default()
    };
    let place = json!({"type": "char_location", "cited_text": "c"});
    let mine = Citation { original: Some((Dialect::Messages, place.clone())), ..Citation::default() };
    let other = Citation { url: Some("https://a".into()), ..Citation::default() };
    let text = Part::Text {
        text: "t".into(),
        signature: Some(Own::new(Dialect::Gemini, "g")),
        citations: vec![mine, other],
    };
    let foreign = Part::Foreign(Dialect::Responses, json!({"type": "web_search_call"}));
    let mut parts: Vec<Part> = [own, redacted, unsigned, google, responses].map(Part::Reasoning).into();
    parts.extend([text, foreign, Part::Refusal("no".into())]);
    let body = write(&conversation([says(Role::User, "q"), turn(Role::Assistant, parts)]));
    let wanted = json!([
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "redacted_thinking", "data": "e"},
        {"type": "text", "text": "t", "citations": [place]},
        {"type": "text", "text": "no"},
    ]);
    assert_eq!(body["messages"][1]["content"], wanted);
}

#[test]
fn media_are_written_or_refused() {
    let write = |kind, mime: &str, source| {
        let media =
            Media { kind, mime: mime.into(), source, name: Some("n".into()), detail: Some("low".into()) };
        let body = write_request(&conversation([turn(Role::User, [Part::Media(media)])]))?;
        Ok::<_, crate::dialect::talk::Refused>(body["messages"][0]["content"][0].clone())
    };
    let url = |url: &str| Source::Url(url.into());
    let base64 = |data: &str| Source::Base64(data.into());
    let image = write(MediaKind::Image, "", url("https://a")).unwrap();
    assert_eq!(image, json!({"type": "image", "source": {"type": "url", "url": "https://a"}}));
    let pdf = write(MediaKind::Document, "application/pdf", base64("JVBERi")).unwrap();
    let source = json!({"type": "base64", "media_type": "application/pdf", "data": "JVBERi"});
    assert_eq!(pdf, json!({"type": "document", "title": "n", "source": source}));
    let text = json!({"type": "text", "media_type": "text/plain", "data": "a,b"});
    assert_eq!(write(MediaKind::Document, "text/csv", base64("YSxi")).unwrap()["source"], text);
    assert_eq!(write(MediaKind::Document, "text/csv", Source::Text("a,b".into())).unwrap()["source"], text);
    let file = write(MediaKind::Document, "", Source::File(Own::new(Dialect::Messages, "file_1"))).unwrap();
    assert_eq!(file["source"], json!({"type": "file", "file_id": "file_1"}));
    for (kind, mime, source) in [
        (MediaKind::Audio, "audio/wav", base64("AA==")),
        (MediaKind::Video, "video/mp4", url("https://a")),
        (MediaKind::Image, "image/tiff", base64("AA==")),
        (MediaKind::Image, "", url("gs://bucket/a")),
        (MediaKind::Image, "", Source::Text("<svg>".into())),
        (MediaKind::Document, "application/zip", base64("AA==")),
        (MediaKind::Document, "text/plain", base64("/w==")),
        (MediaKind::Document, "", Source::File(Own::new(Dialect::Chat, "file-abc"))),
    ] {
        let refused = write(kind, mime, source.clone()).unwrap_err();
        assert!(refused.message.ends_with('.'), "{source:?}: {refused}");
    }
}

/// What another model drew or spoke is named, not shown.
#[test]
fn media_of_the_assistants_are_named() {
    let source = Source::Base64("AA==".into());
    let media = Media { kind: MediaKind::Audio, mime: "audio/wav".into(), source, name: None, detail: None };
    let body = write(&conversation([says(Role::User, "q"), turn(Role::Assistant, [Part::Media(media)])]));
    assert!(body["messages"][1]["content"].as_str().unwrap().contains("audio/wav"));
}

#[test]
fn tools_and_choices_are_written() {
    let tool = |name: &str, kind| Tool { name: name.into(), kind, ..Tool::default() };
    let mut request = asks();
    request.tools = vec![
        Tool {
            strict: Some(false),
            cache: Some(Cache { ttl: Some(600) }),
            ..tool("f", ToolKind::Function(json!({})))
        },
        tool("g", ToolKind::Bare),
        tool("h", ToolKind::Custom(Some(json!({"type": "grammar"})))),
        tool("i", ToolKind::Foreign(Dialect::Responses, json!({"type": "web_search"}))),
    ];
    request.parallel_calls = Some(false);
    let body = write(&request);
    let tools = body["tools"].as_array().unwrap();
    assert_eq!(tools.len(), 3);
    let cache = json!({"type": "ephemeral", "ttl": "5m"});
    assert_eq!(tools[0], json!({"name": "f", "input_schema": {"type": "object"}, "cache_control": cache}));
    assert_eq!(tools[2]["input_schema"]["required"], json!(["input"]));
    assert_eq!(body["tool_choice"], json!({"type": "auto", "disable_parallel_tool_use": true}));
    request.parallel_calls = None;
    let some = vec!["g".to_owned()];
    for (choice, wanted, count) in [
        (ToolChoice::Auto, json!({"type": "auto"}), 3),
        (ToolChoice::None, json!({"type": "none"}), 3),
        (ToolChoice::Required, json!({"type": "any"}), 3),
        (ToolChoice::Tool("g".into()), json!({"type": "tool", "name": "g"}), 3),
        (ToolChoice::Among(some.clone(), true), json!({"type": "any"}), 1),
        (ToolChoice::Among(some, false), json!({"type": "auto"}), 1),
    ] {
        let body = write(&Request { tool_choice: Some(choice), ..request.clone() });
        assert_eq!((&body["tool_choice"], body["tools"].as_array().unwrap().len()), (&wanted, count));
    }
    request.tool_choice = Some(ToolChoice::Tool("i".into()));
    assert_eq!(write_request(&request).unwrap_err().field.as_deref(), Some("tool_choice"));
}

/// Broken once: with the budget not kept below `max_tokens`, it fails.
#[test]
fn thinking_is_asked_for_as_the_model_takes_it() {
    let effort = |effort| Thinking { effort: Some(effort), ..Thinking::default() };
    let budget = |budget| Thinking { enabled: Some(true), budget: Some(budget), ..Thinking::default() };
    let fields = |model: &str, thinking: &Thinking, max: Option<u64>| {
        let body =
            write(&Request { model: model.into(), thinking: thinking.clone(), max_output: max, ..asks() });
        (body["thinking"].clone(), body["output_config"]["effort"].clone(), body["max_tokens"].clone())
    };
    let enabled = |budget: u64| json!({"type": "enabled", "budget_tokens": budget});
    let adaptive = json!({"type": "adaptive"});
    for (model, thinking, max, wanted) in [
        ("claude-3-5-haiku", effort(Effort::High), None, (Value::Null, Value::Null, json!(8192))),
        ("claude-sonnet-4-5", effort(Effort::Low), None, (enabled(2048), Value::Null, json!(10240))),
        ("claude-sonnet-4-5", effort(Effort::High), Some(4000), (enabled(3000), Value::Null, json!(4000))),
        ("claude-sonnet-4-5", effort(Effort::High), Some(1000), (Value::Null, Value::Null, json!(1000))),
        ("claude-sonnet-4-5", budget(9000), Some(4000), (enabled(3999), Value::Null, json!(4000))),
        ("claude-sonnet-4-6", effort(Effort::Higher), None, (adaptive.clone(), json!("high"), json!(8192))),
        ("claude-opus-4-7", effort(Effort::Higher), None, (adaptive.clone(), json!("xhigh"), json!(8192))),
        ("claude-opus-4-7", budget(9000), None, (adaptive.clone(), json!("medium"), json!(8192))),
        (
            "claude-opus-4-7",
            effort(Effort::None),
            None,
            (json!({"type": "disabled"}), Value::Null, json!(8192)),
        ),
        ("claude-sonnet-4-5", budget(0), None, (json!({"type": "disabled"}), Value::Null, json!(8192))),
        ("other", effort(Effort::Medium), None, (enabled(8192), json!("medium"), json!(16384))),
    ] {
        assert_eq!(fields(model, &thinking, max), wanted, "{model} {thinking:?}");
    }
    let told = Thinking { enabled: Some(true), told: Some(true), ..Thinking::default() };
    assert_eq!(
        fields("claude-opus-4-7", &told, None).0,
        json!({"type": "adaptive", "display": "summarized"})
    );
}

/// Broken once: with thinking kept all the same, it fails.
#[test]
fn a_budget_gives_way_to_forced_calls_and_lost_thoughts() {
    let thinking = Thinking { effort: Some(Effort::High), ..Thinking::default() };
    let tools = vec![Tool { name: "f".into(), ..Tool::default() }];
    let request = Request { model: "claude-sonnet-4-5".into(), thinking, tools, ..asks() };
    assert!(write(&request)["thinking"].is_object());
    let forced = Request { tool_choice: Some(ToolChoice::Required), ..request.clone() };
    assert_eq!(write(&forced).get("thinking"), None);
    let mut lost = request.clone();
    lost.messages.push(turn(Role::Assistant, [call("x", "f")]));
    lost.messages.push(turn(Role::User, [result("x", "f", "1")]));
    assert_eq!(write(&lost).get("thinking"), None);
    let thought = Reasoning {
        text: "hm".into(),
        signature: Some(Own::new(Dialect::Messages, "s")),
        ..Reasoning::default()
    };
    lost.messages[1].pieces.insert(0, Part::Reasoning(thought).into());
    assert!(write(&lost)["thinking"].is_object());
}

#[test]
fn sampling_is_kept_where_the_model_takes_it() {
    let sampling = |model: &str, temperature, top_p, effort: Option<Effort>| {
        let thinking = Thinking { effort, ..Thinking::default() };
        let request = Request { model: model.into(), temperature, top_p, top_k: Some(3), thinking, ..asks() };
        let body = write(&request);
        ["temperature", "top_p", "top_k"].map(|name| body[name].as_f64())
    };
    let (hot, cool, p) = (Some(1.7), Some(0.2), Some(0.9));
    assert_eq!(sampling("claude-3-5-haiku", hot, p, None), [Some(1.0), p, Some(3.0)]);
    assert_eq!(sampling("claude-sonnet-4-5", cool, p, None), [cool, None, Some(3.0)]);
    assert_eq!(sampling("claude-sonnet-4-5", Some(1.0), p, None), [None, p, Some(3.0)]);
    assert_eq!(sampling("claude-sonnet-4-5", cool, p, Some(Effort::Low)), [None, None, None]);
    assert_eq!(sampling("claude-opus-4-7", cool, p, None), [None, None, None]);
}

#[test]
fn forms_are_enforced_or_described() {
    let schema = json!({"type": "object", "properties": {}});
    let schema = Format::Schema { name: Some("n".into()), description: None, schema, strict: Some(true) };
    let write = |model: &str, format: &Format| {
        let request = Request { model: model.into(), format: Some(format.clone()), ..asks() };
        let body = write(&request);
        (
            body["output_config"]["format"]["type"].clone(),
            body["system"].as_str().unwrap_or_default().to_owned(),
        )
    };
    assert_eq!(write("claude-sonnet-4-5", &schema), (json!("json_schema"), String::new()));
    assert_eq!(write("claude-sonnet-4-5", &Format::Text), (Value::Null, String::new()));
    let (none, told) = write("claude-sonnet-4-0", &schema);
    assert!(none.is_null() && told.contains("JSON Schema") && told.contains("\"properties\""), "{told}");
    assert!(write("claude-sonnet-4-5", &Format::Json).1.contains("JSON object"));
}

#[test]
fn words_are_kept_where_anthropic_has_them() {
    let body = write(&Request {
        stop: vec!["\n".into(), "END".into()],
        user: Some("u".into()),
        service_tier: Some(Own::new(Dialect::Chat, "default")),
        seed: Some(1),
        presence_penalty: Some(1.0),
        stream: true,
        ..asks()
    });
    assert_eq!(body["stop_sequences"], json!(["END"]));
    assert_eq!(body["metadata"], json!({"user_id": "u"}));
    assert_eq!(body["service_tier"], json!("standard_only"));
    assert_eq!(body["stream"], json!(true));
    assert_eq!(body.as_object().unwrap().len(), 7);
    let long = write(&Request {
        user: Some("u".repeat(300)),
        service_tier: Some(Own::new(Dialect::Chat, "flex")),
        ..asks()
    });
    assert_eq!((long.get("metadata"), long.get("service_tier")), (None, None));
}

#[test]
fn what_changes_the_meaning_is_refused() {
    let several = Request { choices: Some(2), ..asks() };
    assert_eq!(write_request(&several).unwrap_err().field.as_deref(), Some("n"));
    assert!(write_request(&Request { choices: Some(1), ..asks() }).is_ok());
    let media = Media {
        kind: MediaKind::Image,
        mime: String::new(),
        source: Source::Url("https://a".into()),
        name: None,
        detail: None,
    };
    assert!(write_request(&conversation([turn(Role::System, [Part::Media(media)])])).is_err());
}
