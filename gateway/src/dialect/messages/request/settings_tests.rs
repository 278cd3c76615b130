//! Tools, thinking, sampling and the rest of a request.

use super::*;

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
    ]
    .into();
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
    let request = Request { model: "claude-sonnet-4-5".into(), thinking, tools: tools.into(), ..asks() };
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
