use serde_json::json;

use super::{read_request, write_request};
use crate::dialect::talk::{
    Cache, Call, Dialect, Effort, Extra, Format, Media, MediaKind, Own, Part, Piece, Reasoning, Request,
    Role, Source, Thinking, ToolChoice, ToolKind,
};

fn read(body: serde_json::Value) -> Request {
    read_request(body.to_string().as_bytes()).unwrap()
}

/// The pieces of one turn of the user's.
fn pieces(content: serde_json::Value) -> Vec<Piece> {
    let mut request = read(json!({"max_tokens": 1, "messages": [{"role": "user", "content": content}]}));
    request.messages.remove(0).pieces
}

fn media(kind: MediaKind, mime: &str, source: Source) -> Part {
    Part::Media(Media {
        kind,
        mime: mime.to_owned(),
        source,
        name: None,
        detail: None,
        context: None,
        cited: None,
    })
}

#[test]
fn fields_are_read() {
    let request = read(json!({
        "model": "claude-x", "max_tokens": 10.0, "temperature": 0.5, "top_p": 0.9, "top_k": 5,
        "stop_sequences": ["a", "b"], "stream": true, "metadata": {"user_id": "u", "other": 1},
        "service_tier": "auto", "system": "S", "messages": [{"role": "user", "content": "hi"}],
        "output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}, "task_budget": 3},
        "container": "c", "mcp_servers": null,
    }));
    assert_eq!((request.model.as_str(), request.max_output), ("claude-x", Some(10)));
    assert_eq!((request.temperature, request.top_p, request.top_k), (Some(0.5), Some(0.9), Some(5)));
    assert_eq!((request.stop.len(), request.stream, request.user.as_deref()), (2, true, Some("u")));
    assert!(matches!(request.format, Some(Format::Schema { name: None, .. })));
    assert_eq!(request.messages[0].role, Role::System);
    let wanted = json!({"container": "c", "metadata": {"other": 1}, "output_config": {"task_budget": 3}});
    assert_eq!(request.extra, Extra::of(Dialect::Messages, wanted.as_object().cloned().unwrap()));
}

#[test]
fn blocks_are_read() {
    let read = pieces(json!([
        {"type": "text", "text": "t", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}},
        {"type": "image", "source": {"type": "url", "url": "https://a/b.png"}},
        {"type": "document", "source": {"type": "file", "file_id": "file_1"}},
        {"type": "document", "source": {"type": "url", "url": "https://a/b.pdf"}},
        {"type": "container_upload", "file_id": "file_2", "cache_control": {"type": "ephemeral"}},
    ]));
    assert_eq!(read[0], Piece { cache: Some(Cache { ttl: Some(3600) }), ..Part::text("t").into() });
    assert_eq!(read[1].part, media(MediaKind::Image, "image/png", Source::Base64("AA==".into())));
    assert_eq!(read[2].part, media(MediaKind::Image, "", Source::Url("https://a/b.png".into())));
    assert_eq!(
        read[3].part,
        media(MediaKind::Document, "", Source::File(Own::new(Dialect::Messages, "file_1")))
    );
    assert_eq!(
        read[4].part,
        media(MediaKind::Document, "application/pdf", Source::Url("https://a/b.pdf".into()))
    );
    let foreign = json!({"type": "container_upload", "file_id": "file_2"});
    assert_eq!(read[5].part, Part::Foreign(Dialect::Messages, foreign));
    assert_eq!(read[5].cache, Some(Cache { ttl: None }));
}

/// Others get the text of what is written out in blocks.
#[test]
fn written_documents_are_text() {
    let read = pieces(json!([
        {"type": "document", "title": "D", "context": "c", "source": {"type": "content",
            "content": [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]}},
        {"type": "search_result", "title": "R", "source": "https://r", "content": [{"type": "text", "text": "found"}]},
        {"type": "document", "source": {"type": "content", "content": [{"type": "image"}]}},
    ]));
    let text = |at: usize| match &read[at].part {
        Part::Media(Media { source: Source::Text(text), name, .. }) => (text.as_str(), name.as_deref()),
        other => panic!("{other:?}"),
    };
    assert_eq!(text(0), ("one\ntwo", Some("D")));
    assert_eq!(text(1), ("found", Some("R")));
    assert_eq!(read[1].extra.get(Dialect::Messages, "source"), Some(&json!("https://r")));
    assert!(matches!(read[2].part, Part::Foreign(Dialect::Messages, _)));
}

#[test]
fn a_turn_of_calls_is_read() {
    let request = read(json!({"max_tokens": 1, "messages": [
        {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "hm", "signature": "sig"},
            {"type": "redacted_thinking", "data": "xyz"},
            {"type": "tool_use", "id": "t1__sig__QUJD", "name": "f", "input": {"a": 1}, "caller": {"type": "direct"}},
            {"type": "tool_use", "id": "t2", "name": "g", "input": {"_raw": "{bad"}}]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "t1__sig__QUJD", "content": "ok", "is_error": false},
            {"type": "tool_result", "tool_use_id": "t2", "is_error": true,
                "content": [{"type": "tool_reference", "tool_name": "h"}]}]}]}));
    let said: Vec<_> = request.messages[0].pieces.iter().map(|piece| &piece.part).collect();
    let signed = Reasoning {
        text: "hm".into(),
        signature: Some(Own::new(Dialect::Messages, "sig")),
        ..Reasoning::default()
    };
    let redacted = Reasoning { encrypted: Some(Own::new(Dialect::Messages, "xyz")), ..Reasoning::default() };
    let call = |id: &str, name: &str, arguments: &str, signature: Option<&str>| {
        let signature = signature.map(|proof| Own::new(Dialect::Gemini, proof));
        Part::Call(Call {
            id: id.into(),
            name: name.into(),
            arguments: arguments.into(),
            custom: false,
            signature,
        })
    };
    assert_eq!(*said[0], Part::Reasoning(signed));
    assert_eq!(*said[1], Part::Reasoning(redacted));
    assert_eq!(*said[2], call("t1", "f", "{\"a\":1}", Some("QUJD")));
    assert_eq!(*said[3], call("t2", "g", "{bad", None));
    let Part::Result(first) = &request.messages[1].pieces[0].part else { panic!() };
    assert_eq!((first.id.as_str(), first.name.as_str(), first.failed), ("t1", "f", Some(false)));
    assert_eq!(first.pieces, vec![Part::text("ok").into()]);
    let Part::Result(second) = &request.messages[1].pieces[1].part else { panic!() };
    assert_eq!((second.name.as_str(), second.failed), ("g", Some(true)));
    assert!(matches!(second.pieces[0].part, Part::Foreign(Dialect::Messages, _)));
}

#[test]
fn tools_are_read() {
    let request = read(json!({"max_tokens": 1, "messages": [],
        "tools": [
            {"name": "f", "description": "d", "input_schema": {"type": "object"}, "strict": true,
                "cache_control": {"type": "ephemeral"}, "defer_loading": true},
            {"type": "custom", "name": "g"},
            {"type": "web_search_20250305", "name": "web_search", "max_uses": 3}],
        "tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": true}}));
    let [f, g, search] = request.tools.as_slice() else { panic!() };
    assert_eq!(f.kind, ToolKind::Function(json!({"type": "object"})));
    assert_eq!(
        (f.strict, f.cache, f.description.as_deref()),
        (Some(true), Some(Cache::default()), Some("d"))
    );
    assert_eq!(f.extra.get(Dialect::Messages, "defer_loading"), Some(&json!(true)));
    assert_eq!(g.kind, ToolKind::Bare);
    let whole = json!({"type": "web_search_20250305", "name": "web_search", "max_uses": 3});
    assert_eq!(
        (search.name.as_str(), &search.kind),
        ("web_search", &ToolKind::Foreign(Dialect::Messages, whole))
    );
    assert_eq!(request.tool_choice, Some(ToolChoice::Tool("f".into())));
    assert_eq!(request.parallel_calls, Some(false));
}

#[test]
fn thinking_is_read() {
    let thinking = |fields: serde_json::Value| {
        let mut body = json!({"max_tokens": 1, "messages": []});
        body.as_object_mut().unwrap().extend(fields.as_object().cloned().unwrap());
        read(body).thinking
    };
    let budget = thinking(json!({"thinking": {"type": "enabled", "budget_tokens": 2000}}));
    let wanted =
        Thinking { enabled: Some(true), budget: Some(2000), told: Some(true), ..Thinking::default() };
    assert_eq!(budget, wanted);
    let off = thinking(json!({"thinking": {"type": "disabled"}}));
    assert_eq!(off, Thinking { enabled: Some(false), ..Thinking::default() });
    let adaptive = thinking(
        json!({"thinking": {"type": "adaptive", "display": "omitted"}, "output_config": {"effort": "xhigh"}}),
    );
    let effort = Some(Effort::Higher);
    assert_eq!(adaptive, Thinking { enabled: Some(true), effort, told: Some(false), ..Thinking::default() });
    let alone = thinking(json!({"output_config": {"effort": "low"}}));
    assert_eq!(alone, Thinking { effort: Some(Effort::Low), overall: true, ..Thinking::default() });
}

#[test]
fn instructions_between_turns_say_so() {
    let request = read(json!({"max_tokens": 1, "system": [{"type": "text", "text": "a"}], "messages": [
        {"role": "user", "content": "b"}, {"role": "system", "content": "c"}]}));
    let roles: Vec<_> = request.messages.iter().map(|message| message.role).collect();
    assert_eq!(roles, [Role::System, Role::User, Role::System]);
    assert_eq!(request.messages[0].extra, Extra::default());
    assert_eq!(request.messages[2].extra.get(Dialect::Messages, "role"), Some(&json!("system")));
}

#[test]
fn a_mark_on_the_request_is_one_on_its_last_block() {
    let body = json!({"max_tokens": 1, "cache_control": {"type": "ephemeral", "ttl": "1h"},
        "messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]});
    let request = read(body.clone());
    assert_eq!(request.messages[0].pieces[0].cache, None);
    assert_eq!(request.messages[1].pieces[0].cache, Some(Cache { ttl: Some(3600) }));
    assert_eq!(write_request(&request).unwrap(), body);
}

#[test]
fn wrong_fields_are_refused_by_name() {
    for (body, field) in [
        ("[]", None),
        ("{", None),
        ("{}", Some("messages")),
        (r#"{"messages": {}}"#, Some("messages")),
        (r#"{"messages": [], "max_tokens": -1}"#, Some("max_tokens")),
        (r#"{"messages": [], "max_tokens": 1e300}"#, Some("max_tokens")),
        (r#"{"messages": [], "temperature": "hot"}"#, Some("temperature")),
        (r#"{"messages": [], "temperature": 1e200}"#, Some("temperature")),
        (r#"{"messages": [], "stop_sequences": [1]}"#, Some("stop_sequences[0]")),
        (r#"{"messages": [], "tools": [{}]}"#, Some("tools[0].name")),
        (r#"{"messages": [], "tool_choice": {"type": "x"}}"#, Some("tool_choice.type")),
        (r#"{"messages": [], "output_format": {"type": "x"}}"#, Some("output_format.type")),
        (r#"{"messages": [{"role": "robot", "content": ""}]}"#, Some("messages[0].role")),
        (r#"{"messages": [{"role": "user", "content": 1}]}"#, Some("messages[0].content")),
        (r#"{"messages": [{"role": "user", "content": [{}]}]}"#, Some("messages[0].content[0].type")),
        (
            r#"{"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "url"}}]}]}"#,
            Some("messages[0].content[0].source.url"),
        ),
    ] {
        let refused = read_request(body.as_bytes()).unwrap_err();
        assert_eq!(refused.field.as_deref(), field, "{body}");
        assert!(refused.message.ends_with('.'), "{}", refused.message);
    }
}
