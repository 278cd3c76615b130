use serde_json::{Value, json};

use super::*;
use crate::dialect::talk::{
    Call, Citation, Dialect, Effort, Extra, Format, Media, MediaKind, Message, Own, Part, Piece, Reasoning,
    Refused, Request, Role, Source, Thinking, Tool, ToolChoice, ToolKind, ToolResult,
};

fn read(value: Value) -> Request {
    read_request(value.to_string().as_bytes()).unwrap()
}

fn refused(value: Value) -> Refused {
    read_request(value.to_string().as_bytes()).unwrap_err()
}

/// Reads, writes and reads again; gives the first and what was written.
fn trip(value: Value) -> (Request, Value) {
    let first = read(value);
    let written = write_request(&first).unwrap();
    assert_eq!(read(written.clone()), first, "{written}");
    (first, written)
}

/// Of another dialect.
fn message(role: Role, parts: Vec<Part>) -> Message {
    Message {
        role,
        pieces: parts.into_iter().map(Piece::from).collect(),
        name: None,
        extra: Extra::default(),
    }
}

fn asking(messages: Vec<Message>) -> Request {
    Request { model: "gpt-4o".to_owned(), messages: messages.into(), ..Request::default() }
}

fn parts(message: &Message) -> Vec<&Part> {
    message.pieces.iter().map(|piece| &piece.part).collect()
}

#[test]
fn a_text_is_a_turn_of_the_user() {
    let (request, written) = trip(json!({"model": "m", "instructions": "Be short.", "input": "Hi"}));
    assert_eq!(request.model, "m");
    assert_eq!(request.messages[0].role, Role::System);
    assert_eq!(parts(&request.messages[1]), [&Part::text("Hi")]);
    assert_eq!(
        written,
        json!({"model": "m", "instructions": "Be short.", "input": [{"type": "message", "role": "user", "content": "Hi"}]})
    );
}

#[test]
fn items_of_one_side_in_a_row_are_one_message() {
    let input = json!([
        {"role": "developer", "content": [{"type": "input_text", "text": "a"}]},
        {"role": "user", "content": ["b", {"type": "input_text", "text": "c"}]},
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}], "encrypted_content": "gA"},
        {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant",
         "content": [{"type": "output_text", "text": "d", "annotations": []}, {"type": "refusal", "refusal": "e"}]},
        {"type": "message", "id": "msg_2", "role": "assistant", "content": [{"type": "output_text", "text": "f"}]},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "f2"}]},
        {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "add", "arguments": "{}"},
        {"type": "custom_tool_call", "call_id": "call_2", "name": "sh", "input": "ls"},
        {"type": "function_call_output", "call_id": "call_1", "output": "3"},
        {"type": "custom_tool_call_output", "call_id": "call_2",
         "output": [{"type": "input_text", "text": "x"}, {"type": "input_image", "image_url": "https://a/b.png"}]},
        {"role": "user", "content": "g"},
    ]);
    let (request, written) = trip(json!({"model": "m", "input": input}));
    let roles: Vec<Role> = request.messages.iter().map(|message| message.role).collect();
    assert_eq!(roles, [Role::Developer, Role::User, Role::Assistant, Role::User, Role::User]);
    let said = parts(&request.messages[2]);
    assert_eq!(said.len(), 7);
    assert_eq!(said[2], &Part::Refusal("e".to_owned()));
    let Part::Call(call) = said[6] else { panic!() };
    assert!(call.custom && call.arguments == "ls");
    let Part::Result(result) = parts(&request.messages[3])[1] else { panic!() };
    assert_eq!((result.name.as_str(), result.pieces.len(), result.custom), ("sh", 2, true));
    let items: Vec<&Value> = written["input"].as_array().unwrap().iter().map(|item| &item["type"]).collect();
    assert_eq!(items.len(), 11);
    assert_eq!(written["input"][3]["id"], "msg_1");
    assert_eq!(written["input"][3]["content"].as_array().unwrap().len(), 2);
    assert_eq!(written["input"][4]["id"], "msg_2");
    assert_eq!(written["input"][6]["id"], "fc_1");
}

#[test]
fn what_only_this_dialect_has_is_kept_in_its_place() {
    let (request, written) = trip(json!({
        "model": "m", "previous_response_id": "resp_0", "store": true, "truncation": "auto", "background": true,
        "conversation": {"id": "conv_1"}, "max_tool_calls": 3, "safety_identifier": "s", "prompt": {"id": "p"},
        "include": ["reasoning.encrypted_content", "message.output_text.logprobs"], "top_logprobs": 2,
        "text": {"verbosity": "low", "format": {"type": "json_object"}},
        "reasoning": {"effort": "xhigh", "summary": "concise", "mode": "pro"},
        "tools": [
            {"type": "web_search", "search_context_size": "low"},
            {"type": "custom", "name": "sh", "format": {"type": "text"}},
            {"type": "function", "name": "f", "parameters": null},
            {"type": "function", "name": "g", "parameters": {"type": "object", "properties": {"a": {}}}, "strict": true,
             "description": "d", "defer_loading": true},
        ],
        "tool_choice": {"type": "web_search"},
        "input": [
            {"id": "msg_0"},
            {"type": "web_search_call", "id": "ws_1", "status": "completed"},
            {"type": "computer_call_output", "call_id": "c", "output": {"type": "computer_screenshot"}},
            {"role": "user", "content": [{"type": "input_hologram", "x": 1}]},
        ],
    }));
    assert_eq!(request.logprobs, Some(2));
    assert_eq!(request.format, Some(Format::Json));
    assert_eq!(request.thinking.effort, Some(Effort::Higher));
    assert_eq!(request.tools[2].kind, ToolKind::Bare);
    assert!(matches!(&request.tools[0].kind, ToolKind::Foreign(Dialect::Responses, _)));
    assert_eq!(request.tool_choice, None);
    assert_eq!(written["input"][0], json!({"type": "item_reference", "id": "msg_0"}));
    assert_eq!(written["input"][2]["type"], "computer_call_output");
    assert_eq!(written["input"][3]["content"][0]["type"], "input_hologram");
    assert_eq!(written["tool_choice"], json!({"type": "web_search"}));
    assert_eq!(written["tools"][2].get("strict"), None);
    assert_eq!(written["tools"][3]["defer_loading"], true);
    assert_eq!(written["text"], json!({"verbosity": "low", "format": {"type": "json_object"}}));
    assert_eq!(written["reasoning"], json!({"effort": "xhigh", "summary": "concise", "mode": "pro"}));
    for name in
        ["previous_response_id", "store", "truncation", "background", "conversation", "max_tool_calls"]
    {
        assert!(written.get(name).is_some(), "{name}");
    }
}

#[test]
fn settings_are_read_and_written() {
    let (request, written) = trip(json!({
        "model": "m", "input": "x", "max_output_tokens": 100, "temperature": 0.5, "top_p": 0.9, "user": "u",
        "metadata": {"a": "b"}, "service_tier": "flex", "prompt_cache_key": "k", "parallel_tool_calls": false,
        "stream": true, "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}}],
        "tool_choice": {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "f"}]},
        "text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": true}},
    }));
    assert_eq!(
        (request.max_output, request.temperature, request.parallel_calls),
        (Some(100), Some(0.5), Some(false))
    );
    assert_eq!(request.tool_choice, Some(ToolChoice::Among(vec!["f".to_owned()], true)));
    assert!(request.stream);
    assert_eq!(written["text"]["format"]["strict"], true);
    assert_eq!(written["tool_choice"]["mode"], "required");
    assert_eq!(written["service_tier"], "flex");
}

#[test]
fn media_come_in_all_forms() {
    let content = json!([
        {"type": "input_image", "image_url": "data:image/png;base64,iVBOR", "detail": "low"},
        {"type": "input_image", "file_id": "file-1"},
        {"type": "input_file", "filename": "a.pdf", "file_data": "JVBERi"},
        {"type": "input_file", "file_url": "https://x/y.pdf"},
        {"type": "input_audio", "input_audio": {"data": "AA==", "format": "mp3"}},
    ]);
    let (request, written) = trip(json!({"model": "m", "input": [{"role": "user", "content": content}]}));
    let Part::Media(file) = parts(&request.messages[0])[2] else { panic!() };
    assert_eq!((file.mime.as_str(), &file.source), ("application/pdf", &Source::Base64("JVBERi".to_owned())));
    let content = &written["input"][0]["content"];
    assert_eq!(content[0]["image_url"], "data:image/png;base64,iVBOR");
    assert_eq!(content[2]["file_data"], "data:application/pdf;base64,JVBERi");
    assert_eq!(content[3].get("filename"), None);
    assert_eq!(content[4]["input_audio"]["format"], "mp3");
}

/// Broken on purpose: `strict` left out when unsaid (it would mean true), calls without ids all called `call_1`, a thought
/// without an id said.
#[test]
fn a_conversation_of_another_dialect_is_said() {
    let call = |name: &str| {
        Part::Call(Call {
            name: name.to_owned(),
            signature: Some(Own::new(Dialect::Gemini, "c2ln")),
            ..Call::default()
        })
    };
    let result = |name: &str, failed| {
        Part::Result(ToolResult { name: name.to_owned(), failed, json: None, ..ToolResult::default() })
    };
    let citation = Citation { url: Some("https://a".to_owned()), ..Citation::default() };
    let cited = Part::Text { text: "four".to_owned(), signature: None, citations: vec![citation] };
    let sealed =
        Reasoning { encrypted: Some(Own::new(Dialect::Messages, "redacted")), ..Reasoning::default() };
    let signed = Reasoning {
        text: "hm".to_owned(),
        signature: Some(Own::new(Dialect::Messages, "sig")),
        ..Reasoning::default()
    };
    let mut request = asking(vec![
        message(Role::System, vec![Part::text("Be short.")]),
        message(Role::User, vec![Part::text("Hi")]),
        message(
            Role::Assistant,
            vec![Part::Reasoning(sealed), Part::Reasoning(signed), cited, call("a"), call("b")],
        ),
        message(Role::User, vec![result("b", Some(true)), result("a", None), Part::text("go on")]),
        message(Role::Assistant, vec![Part::Foreign(Dialect::Messages, json!({"type": "server_tool_use"}))]),
    ]);
    request.tools = vec![Tool { name: "a".to_owned(), ..Tool::default() }].into();
    request.tool_choice = Some(ToolChoice::Tool("a".to_owned()));
    (request.stop, request.seed, request.max_output) = (vec!["x".to_owned()], Some(1), Some(1));
    request.service_tier = Some(Own::new(Dialect::Messages, "standard_only"));
    let written = write_request(&request).unwrap();
    let expected = json!({
        "model": "gpt-4o", "store": false, "service_tier": "default", "max_output_tokens": 16,
        "tools": [{"type": "function", "name": "a", "strict": false, "parameters": {"type": "object", "properties": {}}}],
        "tool_choice": {"type": "function", "name": "a"},
        "input": [
            {"type": "message", "role": "system", "content": "Be short."},
            {"type": "message", "role": "user", "content": "Hi"},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "four", "annotations": [
                {"type": "url_citation", "url": "https://a", "title": "", "start_index": 0, "end_index": 4}]}]},
            {"type": "function_call", "call_id": "call_1", "name": "a", "arguments": "{}"},
            {"type": "function_call", "call_id": "call_2", "name": "b", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "call_2", "output": "The tool failed."},
            {"type": "function_call_output", "call_id": "call_1", "output": ""},
            {"type": "message", "role": "user", "content": "go on"},
        ],
    });
    assert_eq!(written, expected);
}

#[test]
fn reasoning_is_asked_for_in_words() {
    let written = |model: &str, thinking: Thinking| {
        write_request(&Request { model: model.to_owned(), thinking, ..Request::default() }).unwrap()
    };
    let budget = |budget| Thinking { budget: Some(budget), enabled: Some(true), ..Thinking::default() };
    assert_eq!(written("m", budget(1024))["reasoning"]["effort"], "low");
    assert_eq!(written("m", budget(8000))["reasoning"]["effort"], "medium");
    assert_eq!(written("m", budget(32000))["reasoning"]["effort"], "high");
    assert_eq!(written("m", budget(1024))["include"], json!(["reasoning.encrypted_content"]));
    let off = Thinking { enabled: Some(false), ..Thinking::default() };
    assert_eq!(written("openai/gpt-5.1", off.clone())["reasoning"]["effort"], "none");
    assert_eq!(written("gpt-5-mini", off.clone())["reasoning"]["effort"], "minimal");
    assert_eq!(written("gpt-4o", off)["reasoning"], Value::Null);
    let told = Thinking { told: Some(true), ..Thinking::default() };
    assert_eq!(written("o3", told)["reasoning"], json!({"summary": "auto"}));
}

/// Broken on purpose: with no parcel opened the signature stayed a provider's encrypted content.
#[test]
fn signatures_come_back_from_clients() {
    let request = read(json!({"model": "m", "input": [
        {"type": "reasoning", "id": "rs_x_0", "summary": [], "content": [{"type": "reasoning_text", "text": "hm"}],
         "encrypted_content": r#"weir:{"signature":{"dialect":"messages","value":"sig"}}"#},
        {"type": "reasoning", "id": "rs_x_1", "summary": [], "encrypted_content":
            r#"weir:{"encrypted":{"dialect":"converse","value":"sealed"}}"#},
        {"type": "function_call", "call_id": "call_1__sig__c2ln", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "call_1__sig__c2ln", "output": "1"},
    ]}));
    let said = parts(&request.messages[0]);
    let signed = Reasoning {
        text: "hm".to_owned(),
        signature: Some(Own::new(Dialect::Messages, "sig")),
        ..Reasoning::default()
    };
    let sealed = Reasoning { encrypted: Some(Own::new(Dialect::Converse, "sealed")), ..Reasoning::default() };
    assert_eq!(said[..2], [&Part::Reasoning(signed), &Part::Reasoning(sealed)]);
    let Part::Call(call) = said[2] else { panic!() };
    assert_eq!(
        (call.id.as_str(), call.signature.clone()),
        ("call_1", Some(Own::new(Dialect::Gemini, "c2ln")))
    );
    let Part::Result(result) = parts(&request.messages[1])[0] else { panic!() };
    assert_eq!((result.id.as_str(), result.name.as_str()), ("call_1", "f"));
}

#[test]
fn what_cannot_be_said_is_refused_in_a_sentence() {
    let media = |kind, source| {
        Part::Media(Media {
            kind,
            mime: String::new(),
            source,
            name: None,
            detail: None,
            context: None,
            cited: None,
        })
    };
    let url = |url: &str| Source::Url(url.to_owned());
    let of = |role, part| write_request(&asking(vec![message(role, vec![part])])).unwrap_err();
    let video = of(Role::User, media(MediaKind::Video, Source::Base64("AA==".to_owned())));
    assert_eq!(video.field.as_deref(), Some("messages[0].content[0]"));
    assert!(video.message.contains("video"));
    assert!(of(Role::User, media(MediaKind::Image, url("gs://b/o"))).message.contains("`gs:`"));
    assert!(of(Role::User, media(MediaKind::Audio, url("https://x"))).message.contains("bytes"));
    assert!(
        of(Role::Assistant, media(MediaKind::Image, url("https://x"))).message.contains("model has made")
    );
    let many = write_request(&Request { choices: Some(2), ..Request::default() }).unwrap_err();
    assert_eq!(many.field.as_deref(), Some("n"));
    let text = media(MediaKind::Document, Source::Text("long".to_owned()));
    let written = write_request(&asking(vec![message(Role::User, vec![text])])).unwrap();
    assert_eq!(written["input"][0]["content"][0], json!({"type": "input_text", "text": "long"}));
}

#[test]
fn wrong_types_are_refused_with_the_field() {
    let cases = [
        (json!({"input": 1}), "input"),
        (json!({"input": [1]}), "input[0]"),
        (json!({"input": [{}]}), "input[0].type"),
        (json!({"input": [{"role": "tool", "content": ""}]}), "input[0].role"),
        (json!({"input": [{"role": "user", "content": 1}]}), "input[0].content"),
        (
            json!({"input": [{"role": "user", "content": [{"type": "input_text"}]}]}),
            "input[0].content[0].text",
        ),
        (
            json!({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}),
            "input[0].content[0].image_url",
        ),
        (json!({"input": [{"type": "function_call", "name": "f", "arguments": ""}]}), "input[0].call_id"),
        (
            json!({"input": [{"type": "function_call_output", "call_id": "c", "output": 1}]}),
            "input[0].output",
        ),
        (json!({"input": [{"type": "reasoning", "summary": ["x"]}]}), "input[0].summary[0]"),
        (json!({"temperature": 3}), "temperature"),
        (json!({"max_output_tokens": 1e30}), "max_output_tokens"),
        (json!({"max_output_tokens": -1}), "max_output_tokens"),
        (json!({"tools": [{"type": "function"}]}), "tools[0].name"),
        (json!({"tools": [{"name": "f"}]}), "tools[0].type"),
        (json!({"tools": [{"type": "function", "name": "f", "parameters": []}]}), "tools[0].parameters"),
        (json!({"tool_choice": "some"}), "tool_choice"),
        (json!({"text": {"format": {"type": "json_schema"}}}), "text.format.schema"),
        (json!({"reasoning": "high"}), "reasoning"),
        (json!({"metadata": []}), "metadata"),
        (json!({"stream": "yes"}), "stream"),
    ];
    for (body, field) in cases {
        let refused = refused(body.clone());
        assert_eq!(refused.field.as_deref(), Some(field), "{body}");
        assert!(refused.message.ends_with('.'), "{refused}");
    }
    assert!(read_request(b"[]").is_err() && read_request(b"{").is_err());
    let deep = format!("{{\"input\":{}1{}}}", "[".repeat(5000), "]".repeat(5000));
    assert!(read_request(deep.as_bytes()).is_err());
}

#[test]
fn what_a_provider_stored_goes_nowhere_else() {
    let cases = [
        (json!({"previous_response_id": "resp_0", "input": "x"}), "previous_response_id"),
        (json!({"conversation": "conv_1", "input": "x"}), "conversation"),
        (json!({"prompt": {"id": "p"}}), "prompt"),
        (json!({"background": true, "input": "x"}), "background"),
        (json!({"input": [{"type": "item_reference", "id": "msg_0"}]}), "input"),
    ];
    for (body, field) in cases {
        assert_eq!(check_portable(&read(body)).unwrap_err().field.as_deref(), Some(field));
    }
    let plain = json!({"input": "x", "background": false, "previous_response_id": null, "store": true});
    assert_eq!(check_portable(&read(plain)), Ok(()));
}

#[test]
fn an_empty_text_beside_calls_is_nothing() {
    let call = json!({"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"});
    let (request, written) = trip(json!({"input": [{"role": "assistant", "content": ""}, call]}));
    assert_eq!((request.messages[0].pieces.len(), &written["input"]), (1, &json!([call])));
    let silent =
        json!({"input": [{"role": "assistant", "content": []}, {"role": "user", "content": []}, "x"]});
    assert_eq!(trip(silent).0.messages.len(), 1);
    let call = Part::Call(Call { id: "c".to_owned(), name: "f".to_owned(), ..Call::default() });
    let request = asking(vec![message(Role::Assistant, vec![Part::text(""), call])]);
    assert_eq!(write_request(&request).unwrap()["input"].as_array().unwrap().len(), 1);
}
