use serde_json::{Value, json};

use super::*;
use crate::dialect::talk::{
    Dialect, Effort, Extra, Format, Message, Own, Part, Request, Role, Thinking, Tool, ToolChoice, ToolKind,
};

fn read(body: Value) -> Request {
    read_request(body.to_string().as_bytes()).unwrap()
}

fn hello() -> Request {
    let pieces = vec![Part::text("hello").into()];
    let message = Message { role: Role::User, pieces, name: None, extra: Extra::default() };
    Request { messages: vec![message].into(), ..Request::default() }
}

fn written(request: &Request) -> Value {
    write_request(request).unwrap()
}

#[test]
fn settings_are_read_and_written_back() {
    let config = json!({"maxOutputTokens": 100, "candidateCount": 2, "temperature": 0.5, "topP": 0.9, "topK": 40,
        "presencePenalty": 0.25, "frequencyPenalty": -0.5, "seed": 7, "stopSequences": ["x"],
        "responseLogprobs": true, "logprobs": 3, "responseMimeType": "application/json",
        "responseSchema": {"type": "STRING"}, "responseModalities": ["TEXT"],
        "thinkingConfig": {"thinkingBudget": 512, "includeThoughts": true, "someNew": 1}});
    let body = json!({"contents": [{"role": "user", "parts": [{"text": "a"}]}], "generationConfig": config,
        "safetySettings": [{"category": "X"}], "cachedContent": "cachedContents/1", "labels": {"a": "b"},
        "serviceTier": "flex"});
    let request = read(body.clone());
    assert_eq!(request.top_k, Some(40));
    assert_eq!(request.logprobs, Some(3));
    assert_eq!(request.thinking.budget, Some(512));
    let schema = json!({"type": "string"});
    assert_eq!(request.format, Some(Format::Schema { name: None, description: None, schema, strict: None }));
    assert_eq!(request.extra.get(Dialect::Gemini, "labels"), Some(&json!({"a": "b"})));
    assert_eq!(written(&request), body);
    let odd = read(json!({"contents": [{"parts": [{"text": "a"}]}],
        "generation_config": {"top_k": 40.0, "max_output_tokens": "9", "responseMimeType": "text/x.enum"}}));
    assert_eq!((odd.top_k, odd.max_output), (Some(40), Some(9)));
    assert_eq!(written(&odd)["generationConfig"]["responseMimeType"], "text/x.enum");
}

#[test]
fn formats_have_their_types() {
    let mut request = hello();
    for (format, config) in [
        (Format::Text, json!({"responseMimeType": "text/plain"})),
        (Format::Json, json!({"responseMimeType": "application/json"})),
    ] {
        request.format = Some(format.clone());
        let body = written(&request);
        assert_eq!(body["generationConfig"], config);
        assert_eq!(read(body).format, Some(format));
    }
    let schema =
        json!({"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": false});
    let (name, description, strict) = (Some("n".into()), None, Some(true));
    request.format = Some(Format::Schema { name, description, schema: schema.clone(), strict });
    assert_eq!(
        written(&request)["generationConfig"],
        json!({"responseMimeType": "application/json", "responseJsonSchema": schema})
    );
}

/// Broken on purpose: with one element of `ANY` read as `Among`, and with `NONE` as `Auto`, this failed.
#[test]
fn tools_and_choices_are_read_and_written_back() {
    let functions = json!([
        {"name": "a", "description": "A.", "parameters": {"type": "OBJECT", "properties": {"x": {"type": "STRING"}}}},
        {"name": "b", "parametersJsonSchema": {"type": "object", "additionalProperties": true}},
        {"name": "c", "behavior": "BLOCKING"}]);
    let tools = json!([{"functionDeclarations": functions}, {"googleSearch": {}}, {"codeExecution": {}}]);
    let two = || vec!["a".to_owned(), "b".to_owned()];
    for (calling, choice, strict) in [
        (json!({"mode": "AUTO"}), ToolChoice::Auto, None),
        (json!({"mode": "NONE"}), ToolChoice::None, None),
        (json!({"mode": "ANY"}), ToolChoice::Required, None),
        (json!({"mode": "ANY", "allowedFunctionNames": ["a"]}), ToolChoice::Tool("a".into()), None),
        (json!({"mode": "ANY", "allowedFunctionNames": ["a", "b"]}), ToolChoice::Among(two(), true), None),
        (json!({"mode": "VALIDATED"}), ToolChoice::Auto, Some(true)),
        (
            json!({"mode": "VALIDATED", "allowedFunctionNames": ["a", "b"]}),
            ToolChoice::Among(two(), false),
            Some(true),
        ),
    ] {
        let body = json!({"contents": [{"role": "user", "parts": [{"text": "a"}]}], "tools": tools,
            "toolConfig": {"functionCallingConfig": calling, "retrievalConfig": {"languageCode": "de"}}});
        let request = read(body.clone());
        assert_eq!(request.tool_choice, Some(choice));
        assert_eq!(request.tools.len(), 5);
        assert!(request.tools[..3].iter().all(|tool| tool.strict == strict));
        assert_eq!(request.tools[2].kind, ToolKind::Bare);
        assert_eq!(written(&request), body);
    }
}

#[test]
fn tools_of_other_dialects_are_left_out_or_refused() {
    let theirs = Tool {
        name: "web_search".into(),
        kind: ToolKind::Foreign(Dialect::Messages, json!({"type": "web_search"})),
        ..Tool::default()
    };
    let mut request = Request { tools: vec![theirs].into(), tool_choice: Some(ToolChoice::Auto), ..hello() };
    assert_eq!(written(&request).get("tools"), None);
    assert_eq!(written(&request).get("toolConfig"), None);
    request.tools.push(Tool { name: "patch".into(), kind: ToolKind::Custom(None), ..Tool::default() });
    assert_eq!(write_request(&request).unwrap_err().field.as_deref(), Some("tools[1]"));
    let strict = Tool { name: "f".into(), strict: Some(true), ..Tool::default() };
    for (model, mode) in [("gemini-3-flash", json!("VALIDATED")), ("gemini-2.5-flash", Value::Null)] {
        let request = Request { tools: vec![strict.clone()].into(), model: model.into(), ..hello() };
        assert_eq!(written(&request)["toolConfig"]["functionCallingConfig"]["mode"], mode);
    }
}

#[test]
fn thinking_is_said_as_the_model_understands_it() {
    let effort = |effort| Thinking { effort: Some(effort), ..Thinking::default() };
    let budget = |budget| Thinking { enabled: Some(true), budget: Some(budget), ..Thinking::default() };
    let enabled = |enabled| Thinking { enabled: Some(enabled), ..Thinking::default() };
    for (model, thinking, expected) in [
        ("gemini-2.5-flash", effort(Effort::Medium), json!({"thinkingBudget": 8192})),
        ("gemini-2.5-pro", effort(Effort::None), json!({"thinkingBudget": 128})),
        ("gemini-2.5-pro", budget(100_000), json!({"thinkingBudget": 32_768})),
        ("gemini-2.5-flash-lite", budget(1), json!({"thinkingBudget": 512})),
        ("gemini-2.5-flash", enabled(true), json!({"thinkingBudget": -1})),
        ("gemini-2.5-flash", enabled(false), json!({"thinkingBudget": 0})),
        ("gemini-3-flash", enabled(false), json!({"thinkingLevel": "MINIMAL"})),
        ("gemini-3-flash", enabled(true), Value::Null),
        ("gemini-3-pro-preview", effort(Effort::Medium), json!({"thinkingLevel": "HIGH"})),
        ("gemini-3.1-pro", effort(Effort::Minimal), json!({"thinkingLevel": "LOW"})),
        (
            "gemini-3-flash",
            Thinking { budget: Some(9), ..effort(Effort::Low) },
            json!({"thinkingLevel": "LOW"}),
        ),
        (
            "gemini-2.5-flash",
            Thinking { budget: Some(9), ..effort(Effort::Low) },
            json!({"thinkingBudget": 9}),
        ),
        ("", effort(Effort::Max), json!({"thinkingLevel": "HIGH"})),
        (
            "",
            Thinking { summary: Some("auto".into()), ..Thinking::default() },
            json!({"includeThoughts": true}),
        ),
    ] {
        let request = Request { model: model.into(), thinking: thinking.clone(), ..hello() };
        assert_eq!(written(&request)["generationConfig"]["thinkingConfig"], expected, "{model} {thinking:?}");
    }
}

#[test]
fn advice_that_google_does_not_take_is_left_out() {
    let request = Request {
        user: Some("u".into()),
        cache_key: Some("k".into()),
        parallel_calls: Some(false),
        service_tier: Some(Own::new(Dialect::Chat, "auto")),
        metadata: json!({"a": "b"}).as_object().unwrap().clone(),
        seed: Some(i64::from(u32::MAX) + 8),
        ..hello()
    };
    let expected = json!({"contents": [{"role": "user", "parts": [{"text": "hello"}]}], "generationConfig": {"seed": 7}});
    assert_eq!(written(&request), expected);
}
