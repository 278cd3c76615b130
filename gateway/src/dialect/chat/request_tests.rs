use serde_json::{Value, json};

use super::{Manners, read_request, write_request, write_request_for};
use crate::dialect::talk::*;

#[path = "request_of_others_tests.rs"]
mod of_others;

fn read(body: &Value) -> Request {
    read_request(body.to_string().as_bytes()).unwrap()
}

/// Read, written and read again: nothing changes.
#[track_caller]
fn unchanged(body: Value) -> Request {
    let request = read(&body);
    let written = write_request(&request).unwrap();
    assert_eq!(written, body);
    assert_eq!(read(&written), request);
    request
}

#[track_caller]
fn refused(body: Value, field: &str) {
    let refused = read_request(body.to_string().as_bytes()).unwrap_err();
    assert_eq!(refused.field.as_deref(), Some(field), "{refused}");
}

fn user(content: Value) -> Value {
    json!({"model": "m", "messages": [{"role": "user", "content": content}]})
}

fn asks(message: Message) -> Request {
    Request { model: "m".into(), messages: vec![message].into(), ..Request::default() }
}

fn says(role: Role, pieces: Vec<Piece>) -> Message {
    Message { role, pieces, name: None, extra: Extra::default() }
}

fn first_part(request: &Request) -> &Part {
    &request.messages[0].pieces[0].part
}

fn media(kind: MediaKind, mime: &str, source: Source) -> Media {
    Media { kind, mime: mime.into(), source, name: None, detail: None, context: None, cited: None }
}

#[test]
fn roles_and_names_are_kept() {
    let request = unchanged(json!({"model": "m", "messages": [
        {"role": "system", "content": "a"},
        {"role": "developer", "content": "b", "name": "boss"},
        {"role": "user", "content": "c", "name": "ann"},
        {"role": "assistant", "content": "d", "prefix": true},
    ]}));
    let roles: Vec<Role> = request.messages.iter().map(|message| message.role).collect();
    assert_eq!(roles, [Role::System, Role::Developer, Role::User, Role::Assistant]);
    assert_eq!(request.messages[2].name.as_deref(), Some("ann"));
    assert_eq!(request.messages[3].extra.get(Dialect::Chat, "prefix"), Some(&json!(true)));
    let plain = write_request_for(&request, Manners { developer: false, ..Manners::default() }).unwrap();
    assert_eq!(plain["messages"][1]["role"], "system");
}

/// Broken on purpose: `detail` not written.
#[test]
fn every_kind_of_part_is_kept() {
    let parts = json!([
        {"type": "text", "text": "a"},
        {"type": "image_url", "image_url": {"url": "https://x.test/a.png", "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD", "format": "png"}},
        {"type": "image_url", "image_url": "https://x.test/b.png"},
        {"type": "video_url", "video_url": {"url": "https://x.test/a.mp4"}},
        {"type": "input_audio", "input_audio": {"data": "QUJD", "format": "mp3"}},
        {"type": "input_audio", "input_audio": "QUJD"},
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,QUJD", "filename": "a.pdf"}},
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,QUJD"}},
        {"type": "file", "file": {"file_data": "https://x.test/a.pdf", "filename": "a.pdf"}},
        {"type": "file", "file": {"file_id": "file-1"}},
        {"type": "document_url", "document_url": "https://x.test/a.pdf", "document_name": "a"},
        {"type": "hologram", "hologram": {"x": 1}},
    ]);
    let request = unchanged(user(parts));
    let part = |n: usize| &request.messages[0].pieces[n].part;
    let image = Media {
        detail: Some("low".into()),
        ..media(MediaKind::Image, "", Source::Url("https://x.test/a.png".into()))
    };
    assert_eq!(*part(1), Part::Media(image));
    assert_eq!(*part(2), Part::Media(media(MediaKind::Image, "image/png", Source::Base64("QUJD".into()))));
    assert_eq!(*part(5), Part::Media(media(MediaKind::Audio, "audio/mpeg", Source::Base64("QUJD".into()))));
    let pdf = media(MediaKind::Document, "application/pdf", Source::Base64("QUJD".into()));
    assert_eq!(*part(7), Part::Media(Media { name: Some("a.pdf".into()), ..pdf }));
    assert!(matches!(part(10), Part::Media(Media { source: Source::File(id), .. }) if id.value == "file-1"));
    assert!(matches!(part(12), Part::Foreign(Dialect::Chat, _)));
}

#[test]
fn cache_marks_are_read_and_written() {
    let request = unchanged(json!({"model": "m",
    "messages": [
        {"role": "system", "content": [{"type": "text", "text": "a", "cache_control": {"type": "ephemeral", "ttl": "1h"}}]},
        {"role": "user", "content": "b", "cache_control": {"type": "ephemeral"}},
    ],
    "tools": [
        {"type": "function", "function": {"name": "f", "parameters": {}}, "cache_control": {"type": "ephemeral"}},
        {"type": "function", "function": {"name": "g", "cache_control": {"type": "ephemeral", "ttl": "5m"}}},
    ]}));
    assert_eq!(request.messages[0].pieces[0].cache, Some(Cache { ttl: Some(3600) }));
    assert_eq!(request.messages[1].pieces[0].cache, Some(Cache { ttl: None }));
    assert_eq!(request.tools[0].cache, Some(Cache { ttl: None }));
    assert_eq!(request.tools[1].cache, Some(Cache { ttl: Some(300) }));
    let bare = write_request_for(&request, Manners { cache_marks: false, ..Manners::default() }).unwrap();
    assert!(!bare.to_string().contains("cache_control"), "{bare}");
    let request =
        unchanged(json!({"model": "m", "messages": [{"role": "tool", "tool_call_id": "1", "content": [
        {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}]}]}));
    assert_eq!(request.messages[0].pieces[0].cache, Some(Cache { ttl: None }));
    let mut other = asks(says(Role::User, vec![Part::text("a").into()]));
    other.messages[0].pieces[0].cache = Some(Cache { ttl: Some(300) });
    let part = json!({"type": "text", "text": "a", "cache_control": {"type": "ephemeral", "ttl": "5m"}});
    assert_eq!(write_request(&other).unwrap()["messages"][0]["content"], json!([part]));
}

/// Broken on purpose: the name not looked up.
#[test]
fn results_know_their_calls() {
    let request = unchanged(json!({"model": "m", "messages": [
        {"role": "assistant", "content": null, "tool_calls": [
            {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{\"a\":1}"}},
            {"id": "2", "type": "custom", "custom": {"name": "g", "input": "x"}},
        ]},
        {"role": "tool", "tool_call_id": "1", "content": "one"},
        {"role": "tool", "tool_call_id": "2", "name": "named", "content": [
            {"type": "text", "text": "two"},
            {"type": "image_url", "image_url": {"url": "https://x.test/a.png"}},
        ]},
    ]}));
    let Part::Result(one) = &request.messages[1].pieces[0].part else { panic!() };
    assert_eq!((one.name.as_str(), one.custom, request.messages[1].role), ("f", false, Role::User));
    let Part::Result(two) = &request.messages[2].pieces[0].part else { panic!() };
    assert_eq!((two.name.as_str(), two.custom, two.pieces.len()), ("named", true, 2));
}

#[test]
fn the_older_functions_come_and_go() {
    let request = unchanged(json!({"model": "m",
    "functions": [{"name": "f", "description": "d", "parameters": {"type": "object"}}],
    "function_call": {"name": "f"},
    "messages": [
        {"role": "assistant", "content": null, "function_call": {"name": "f", "arguments": "{}"}},
        {"role": "function", "name": "f", "content": "r"},
    ]}));
    assert_eq!(request.tools[0].name, "f");
    assert_eq!(request.tool_choice, Some(ToolChoice::Tool("f".into())));
    assert!(matches!(first_part(&request), Part::Call(call) if call.name == "f" && call.id.is_empty()));
    assert!(matches!(&request.messages[1].pieces[0].part, Part::Result(result) if result.name == "f"));
}

#[test]
fn tools_and_choices_are_kept() {
    let custom = json!({"type": "custom", "custom": {"name": "c", "format":
        {"type": "grammar", "grammar": {"syntax": "lark", "definition": "x"}}}});
    let request = unchanged(json!({"model": "m", "messages": [],
        "tools": [
            {"type": "function", "function": {"name": "f", "description": "d", "strict": true, "parameters": {"a": 1}, "x": 1}},
            {"type": "function", "function": {"name": "bare"}},
            custom,
            {"type": "openrouter:web_search"},
        ],
        "parallel_tool_calls": false,
        "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [
            {"type": "function", "function": {"name": "f"}}, {"type": "custom", "custom": {"name": "c"}}]}},
    }));
    assert_eq!(request.tools[0].strict, Some(true));
    assert_eq!(request.tools[1].kind, ToolKind::Bare);
    assert_eq!(
        request.tools[2].kind,
        ToolKind::Custom(Some(json!({"type": "grammar", "syntax": "lark", "definition": "x"})))
    );
    assert!(matches!(request.tools[3].kind, ToolKind::Foreign(Dialect::Chat, _)));
    assert_eq!(request.tool_choice, Some(ToolChoice::Among(vec!["f".into(), "c".into()], true)));
    for choice in [
        json!("auto"),
        json!("none"),
        json!("required"),
        json!("any"),
        json!({"type": "function", "function": {"name": "f"}}),
    ] {
        unchanged(
            json!({"model": "m", "messages": [], "tools": [{"type": "function", "function": {"name": "f"}}], "tool_choice": choice}),
        );
    }
}

#[test]
fn tools_of_other_providers_are_left_out_unless_one_must_be_called() {
    let mut request = asks(says(Role::User, vec![Part::text("a").into()]));
    request.tools =
        vec![Tool { kind: ToolKind::Foreign(Dialect::Messages, json!({})), ..Tool::default() }].into();
    request.tool_choice = Some(ToolChoice::Auto);
    request.parallel_calls = Some(true);
    let written = write_request(&request).unwrap();
    assert_eq!(written, user(json!("a")));
    request.tool_choice = Some(ToolChoice::Required);
    assert_eq!(write_request(&request).unwrap_err().field.as_deref(), Some("tool_choice"));
}

/// Broken on purpose: `stop` as one text not marked.
#[test]
fn options_are_kept_as_they_were_said() {
    let base = json!({"model": "m", "messages": []});
    for options in [
        json!({"max_tokens": 5, "stop": "x", "n": 2, "seed": -3, "user": "u", "logprobs": true, "top_logprobs": 3}),
        json!({"max_completion_tokens": 5, "max_tokens": 6, "stop": ["x", "y"], "safety_identifier": "s"}),
        json!({"temperature": 0.5, "top_p": 0.25, "top_k": 4, "presence_penalty": -1.0, "frequency_penalty": 1.0}),
        json!({"logprobs": true, "random_seed": 3, "metadata": {"a": "b"}, "service_tier": "flex", "prompt_cache_key": "k"}),
        json!({"stream": true, "stream_options": {"include_usage": true, "include_obfuscation": false}}),
        json!({"prediction": {"type": "content"}, "modalities": ["text"], "verbosity": "low", "logit_bias": {"1": 2}}),
        json!({"reasoning_effort": "minimal"}),
        json!({"reasoning_effort": "max"}),
        json!({"reasoning_effort": "default"}),
        json!({"reasoning": {"effort": "high", "exclude": true, "x": 1}}),
        json!({"reasoning": {"max_tokens": 9, "enabled": true}}),
        json!({"reasoning": {"effort": "none"}}),
        json!({"thinking": {"type": "enabled", "budget_tokens": 9}}),
        json!({"thinking": {"type": "disabled"}, "reasoning_effort": "low"}),
        json!({"response_format": {"type": "text"}}),
        json!({"response_format": {"type": "json_object", "schema": {"a": 1}}}),
        json!({"response_format": {"type": "json_schema", "json_schema": {"name": "n", "description": "d", "strict": true, "schema": {}}}}),
        json!({"response_format": {"type": "json_schema", "json_schema": {"schema": {}}}}),
        json!({"response_format": {"type": "grammar", "grammar": "x"}}),
    ] {
        let mut body = base.clone();
        body.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
        unchanged(body);
    }
}

#[test]
fn options_mean_what_they_mean() {
    let of = |options: Value| {
        let mut body = json!({"model": "m", "messages": []});
        body.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
        read(&body)
    };
    assert_eq!(of(json!({"logprobs": true})).logprobs, Some(0));
    assert_eq!(of(json!({"max_tokens": 7.0})).max_output, Some(7));
    let thinking = of(json!({"reasoning": {"effort": "none"}})).thinking;
    assert_eq!((thinking.enabled, thinking.effort), (Some(false), Some(Effort::None)));
    assert_eq!(of(json!({"reasoning_effort": "xhigh"})).thinking.effort, Some(Effort::Higher));
    let thinking = of(json!({"thinking": {"type": "enabled", "budget_tokens": 9}})).thinking;
    assert_eq!((thinking.enabled, thinking.budget), (Some(true), Some(9)));
    assert!(of(json!({"stream": true, "stream_options": {"include_usage": true}})).stream_usage);
}

#[test]
fn reasoning_is_kept_in_each_of_its_shapes() {
    let say = |message: Value| unchanged(json!({"model": "m", "messages": [message]}));
    let request = say(json!({"role": "assistant", "content": "a", "reasoning_content": "r"}));
    assert_eq!(
        *first_part(&request),
        Part::Reasoning(Reasoning { text: "r".into(), ..Reasoning::default() })
    );
    say(json!({"role": "assistant", "content": "a", "reasoning": "r"}));
    let request = say(json!({"role": "assistant", "content": "a", "reasoning": "rs", "reasoning_details": [
        {"type": "reasoning.text", "text": "r", "signature": "s", "format": "anthropic-claude-v1", "index": 0},
        {"type": "reasoning.encrypted", "data": "e", "format": "anthropic-claude-v1", "index": 1},
    ]}));
    let signed = Reasoning {
        text: "r".into(),
        signature: Some(Own::new(Dialect::Messages, "s")),
        ..Reasoning::default()
    };
    assert_eq!(*first_part(&request), Part::Reasoning(signed));
    let sealed = Reasoning { encrypted: Some(Own::new(Dialect::Messages, "e")), ..Reasoning::default() };
    assert_eq!(request.messages[0].pieces[1].part, Part::Reasoning(sealed));
    let request = say(json!({"role": "assistant", "content": "a", "reasoning_details": [
        {"type": "reasoning.summary", "summary": "x", "format": "openai-responses-v1", "index": 0},
        {"type": "reasoning.encrypted", "data": "e", "id": "rs_1", "format": "openai-responses-v1", "index": 1},
        {"type": "reasoning.odd", "x": 1},
    ]}));
    let id = Some("rs_1".to_owned());
    let whole = Reasoning {
        id,
        summary: vec!["x".into()],
        encrypted: Some(Own::new(Dialect::Responses, "e")),
        ..Reasoning::default()
    };
    assert_eq!(*first_part(&request), Part::Reasoning(whole));
    let request = say(json!({"role": "assistant", "content": [
        {"type": "thinking", "thinking": [{"type": "text", "text": "r"}], "closed": true},
        {"type": "text", "text": "a"},
    ]}));
    assert!(matches!(first_part(&request), Part::Reasoning(thought) if thought.text == "r"));
}

/// Clients that put a stream's details together without joining them.
#[test]
fn details_in_shreds_are_one_thought() {
    let request =
        read(&json!({"model": "m", "messages": [{"role": "assistant", "content": "a", "reasoning_details": [
            {"type": "reasoning.text", "text": "r", "index": 0},
            {"type": "reasoning.text", "text": "s", "index": 0},
            {"type": "reasoning.text", "signature": "sig", "index": 0},
            {"type": "reasoning.text", "text": "t", "index": 1},
        ]}]}));
    let thought = Reasoning {
        text: "rs".into(),
        signature: Some(Own::new(Dialect::Chat, "sig")),
        ..Reasoning::default()
    };
    assert_eq!(*first_part(&request), Part::Reasoning(thought));
    assert_eq!(request.messages[0].pieces.len(), 3);
}

#[test]
fn text_beside_silent_details_is_not_lost() {
    let say = |detail: Value| {
        json!({"model": "m", "messages": [
            {"role": "assistant", "content": "a", "reasoning": "r", "reasoning_details": [detail]}]})
    };
    let told = Reasoning { text: "r".into(), ..Reasoning::default() };
    let request = unchanged(say(json!({"type": "reasoning.encrypted", "data": "e"})));
    assert_eq!(*first_part(&request), Part::Reasoning(told.clone()));
    let request = read(&say(json!({"type": "reasoning.text", "signature": "s"})));
    assert_eq!(
        *first_part(&request),
        Part::Reasoning(Reasoning { signature: Some(Own::new(Dialect::Chat, "s")), ..told })
    );
}

#[test]
fn requests_of_wrong_types_are_refused() {
    refused(json!({"model": 1, "messages": []}), "model");
    refused(json!({"model": "m"}), "messages");
    refused(json!({"messages": {}}), "messages");
    refused(json!({"messages": [1]}), "messages[0]");
    refused(json!({"messages": [{"content": "a"}]}), "messages[0].role");
    refused(json!({"messages": [{"role": "king"}]}), "messages[0].role");
    refused(user(json!(1)), "messages[0].content");
    refused(user(json!([{"type": "text", "text": 1}])), "messages[0].content[0].text");
    refused(user(json!([{"text": "a"}])), "messages[0].content[0].type");
    refused(user(json!([{"type": "image_url"}])), "messages[0].content[0].image_url");
    refused(user(json!([{"type": "file", "file": {}}])), "messages[0].content[0].file");
    refused(json!({"messages": [], "n": 0}), "n");
    refused(json!({"messages": [], "n": 1000}), "n");
    refused(json!({"messages": [], "max_tokens": -1}), "max_tokens");
    refused(json!({"messages": [], "max_tokens": 1e30}), "max_tokens");
    refused(json!({"messages": [], "temperature": "hot"}), "temperature");
    refused(json!({"messages": [], "temperature": 1e9}), "temperature");
    refused(json!({"messages": [], "seed": 1.5}), "seed");
    refused(json!({"messages": [], "stop": [1]}), "stop");
    refused(json!({"messages": [], "tools": [{"type": "function"}]}), "tools[0].function");
    refused(
        json!({"messages": [], "tools": [{"type": "function", "function": {}}]}),
        "tools[0].function.name",
    );
    refused(json!({"messages": [], "tool_choice": "perhaps"}), "tool_choice");
    refused(
        json!({"messages": [], "response_format": {"type": "json_schema", "json_schema": {}}}),
        "response_format.json_schema",
    );
    assert!(read_request(b"[]").is_err());
    assert!(read_request(b"{").is_err());
    assert!(read_request("[".repeat(100_000).as_bytes()).is_err());
}

#[test]
fn marks_cannot_be_forged() {
    let request = read(
        &json!({"#max_tokens": true, "max_completion_tokens": 1, "messages": [{"role": "user", "#x": 1}]}),
    );
    let written = write_request(&request).unwrap();
    assert_eq!(written, json!({"max_completion_tokens": 1, "messages": [{"role": "user", "content": ""}]}));
}
