use serde_json::{Value, json};

use super::super::{read_request, write_request};
use crate::dialect::talk::{Cache, Call, Dialect, Message, Part, Request, Role, Tool, ToolChoice, ToolKind};

fn tool(name: &str) -> Tool {
    Tool { name: name.into(), ..Tool::default() }
}

fn request(tools: Vec<Tool>, choice: Option<ToolChoice>) -> Request {
    let messages = vec![Message {
        role: Role::User,
        pieces: vec![Part::text("hi").into()],
        name: None,
        extra: Default::default(),
    }];
    let model = "anthropic.claude-haiku-4-5".to_owned();
    Request {
        model,
        messages: messages.into(),
        tools: tools.into(),
        tool_choice: choice,
        ..Request::default()
    }
}

fn config(request: &Request) -> Value {
    write_request(request).unwrap()["toolConfig"].clone()
}

fn with_call(mut request: Request) -> Request {
    let call = Call { id: "t".into(), name: "old".into(), ..Call::default() };
    let pieces = vec![Part::Call(call).into()];
    request.messages.push(Message { role: Role::Assistant, pieces, name: None, extra: Default::default() });
    request
}

#[test]
fn tools_survive() {
    let config = json!({
        "tools": [
            { "toolSpec": {
                "name": "f", "description": "d", "strict": true, "inputSchema": { "json": { "type": "object" } },
            } },
            { "cachePoint": { "type": "default", "ttl": "1h" } },
            { "systemTool": { "name": "nova_grounding" } },
        ],
        "toolChoice": { "tool": { "name": "f" } },
    });
    let body =
        json!({ "messages": [{ "role": "user", "content": [{ "text": "hi" }] }], "toolConfig": config });
    let mut read = read_request(body.to_string().as_bytes()).unwrap();
    assert_eq!(read.tools[0].cache, Some(Cache { ttl: Some(3600) }));
    assert_eq!(read.tools[0].strict, Some(true));
    assert_eq!(read.tool_choice, Some(ToolChoice::Tool("f".into())));
    assert!(matches!(read.tools[1].kind, ToolKind::Foreign(Dialect::Converse, _)));
    read.model = "anthropic.claude-haiku-4-5".into();
    assert_eq!(write_request(&read), Ok(body.clone()));
    // Neither strictness nor marks on tools are known to Nova.
    read.model = "amazon.nova-lite-v1:0".into();
    let written = write_request(&read).unwrap();
    assert_eq!(written["toolConfig"]["tools"].as_array().unwrap().len(), 2);
    assert!(written["toolConfig"]["tools"][0]["toolSpec"].get("strict").is_none());
}

#[test]
fn choices_are_said() {
    let chosen = |choice| config(&request(vec![tool("a"), tool("b")], Some(choice)));
    assert_eq!(chosen(ToolChoice::Auto)["toolChoice"], json!({ "auto": {} }));
    assert_eq!(chosen(ToolChoice::Required)["toolChoice"], json!({ "any": {} }));
    assert_eq!(chosen(ToolChoice::Tool("b".into()))["toolChoice"], json!({ "tool": { "name": "b" } }));
    let among = chosen(ToolChoice::Among(vec!["b".into()], true));
    assert_eq!(among["toolChoice"], json!({ "any": {} }));
    assert_eq!(among["tools"].as_array().unwrap().len(), 1);
    assert_eq!(chosen(ToolChoice::Among(vec!["b".into()], false))["toolChoice"], json!({ "auto": {} }));
    let none = json!({ "json": { "type": "object", "properties": {} } });
    let bare = json!({ "toolSpec": { "name": "a", "inputSchema": none } });
    assert_eq!(chosen(ToolChoice::Auto)["tools"][0], bare);
}

/// Broken once: `toolConfig` left out whenever the choice is `None`; the second was without it, which Bedrock refuses.
#[test]
fn no_tools_means_none_unless_the_conversation_has_calls() {
    assert_eq!(config(&request(vec![tool("a")], Some(ToolChoice::None))), Value::Null);
    let called = config(&with_call(request(vec![tool("a")], Some(ToolChoice::None))));
    assert_eq!(called["tools"][0]["toolSpec"]["name"], "a");
    assert_eq!(called.get("toolChoice"), None);
    let gone = config(&with_call(request(Vec::new(), None)));
    assert_eq!(gone["tools"][0]["toolSpec"]["name"], "old");
    assert_eq!(config(&request(Vec::new(), None)), Value::Null);
}

#[test]
fn one_call_at_once_is_said_where_it_can_be() {
    let one = |model: &str, choice| {
        let request = request(vec![tool("a")], choice);
        let body =
            write_request(&Request { parallel_calls: Some(false), model: model.into(), ..request }).unwrap();
        (
            body.pointer("/additionalModelRequestFields/tool_choice").cloned(),
            body.pointer("/toolConfig/toolChoice").cloned(),
        )
    };
    let said = json!({ "type": "auto", "disable_parallel_tool_use": true });
    let claude = "anthropic.claude-haiku-4-5";
    assert_eq!(one(claude, None), (Some(said.clone()), None));
    assert_eq!(one(claude, Some(ToolChoice::Auto)), (Some(said), None));
    assert_eq!(one(claude, Some(ToolChoice::Required)), (None, Some(json!({ "any": {} }))));
    assert_eq!(one("amazon.nova-lite-v1:0", None), (None, None));
    let none = Request { parallel_calls: Some(false), ..request(Vec::new(), None) };
    assert_eq!(write_request(&none).unwrap().get("additionalModelRequestFields"), None);
}

#[test]
fn what_cannot_be_offered() {
    let custom = Tool { kind: ToolKind::Custom(None), ..tool("patch") };
    let refused = write_request(&request(vec![custom], None)).unwrap_err();
    assert_eq!(refused.field.as_deref(), Some("tools"));
    let foreign =
        Tool { kind: ToolKind::Foreign(Dialect::Responses, json!({ "type": "web_search" })), ..tool("") };
    assert_eq!(config(&request(vec![foreign.clone()], Some(ToolChoice::Auto))), Value::Null);
    let refused = write_request(&request(vec![foreign], Some(ToolChoice::Required))).unwrap_err();
    assert_eq!(refused.field.as_deref(), Some("tool_choice"));
}

#[test]
fn wrong_types_are_refused_by_name() {
    let refused = |config: Value| {
        read_request(json!({ "toolConfig": config }).to_string().as_bytes()).unwrap_err().field.unwrap()
    };
    assert_eq!(refused(json!([])), "toolConfig");
    assert_eq!(refused(json!({ "tools": {} })), "toolConfig.tools");
    assert_eq!(refused(json!({ "tools": [{ "toolSpec": {} }] })), "toolConfig.tools[0].toolSpec.name");
    assert_eq!(refused(json!({ "toolChoice": { "tool": {} } })), "toolConfig.toolChoice");
    assert_eq!(
        refused(json!({ "tools": [{ "toolSpec": { "name": "a", "strict": 1 } }] })),
        "toolConfig.tools[0].toolSpec.strict"
    );
}
