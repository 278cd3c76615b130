use serde_json::{Value, json};

use super::super::write_request;
use crate::dialect::talk::{
    Call, Effort, Message, Part, Request, Role, Thinking, Tool, ToolChoice, ToolResult,
};

const OLD: &str = "anthropic.claude-3-haiku-20240307-v1:0";
const BUDGET: &str = "us.anthropic.claude-sonnet-4-5-20250929-v1:0";
const BOTH: &str = "us.anthropic.claude-sonnet-4-6";
const ADAPTIVE: &str = "anthropic.claude-opus-4-7";

fn message(role: Role, part: Part) -> Message {
    Message { role, pieces: vec![part.into()], name: None, extra: Default::default() }
}

fn request(model: &str, thinking: Thinking) -> Request {
    let messages = vec![message(Role::User, Part::text("hi"))];
    Request { model: model.into(), messages: messages.into(), thinking, ..Request::default() }
}

fn own(request: &Request) -> Value {
    write_request(request).unwrap()["additionalModelRequestFields"].clone()
}

fn effort(effort: Effort) -> Thinking {
    Thinking { effort: Some(effort), ..Thinking::default() }
}

fn budget(budget: u64) -> Thinking {
    Thinking { enabled: Some(true), budget: Some(budget), ..Thinking::default() }
}

fn enabled(budget: u64) -> Value {
    json!({ "thinking": { "type": "enabled", "budget_tokens": budget } })
}

/// Broken once: 4.7 taken as a model with budgets.
#[test]
fn each_generation_is_asked_in_its_words() {
    assert_eq!(own(&request(OLD, effort(Effort::High))), Value::Null);
    assert_eq!(own(&request(BUDGET, effort(Effort::Low))), enabled(2048));
    assert_eq!(own(&request(BUDGET, budget(5000))), enabled(5000));
    assert_eq!(own(&request(BOTH, budget(5000))), enabled(5000));
    let adaptive =
        |word: &str| json!({ "thinking": { "type": "adaptive" }, "output_config": { "effort": word } });
    assert_eq!(own(&request(BOTH, effort(Effort::Higher))), adaptive("high"));
    assert_eq!(own(&request(ADAPTIVE, effort(Effort::Higher))), adaptive("xhigh"));
    assert_eq!(own(&request(ADAPTIVE, effort(Effort::Minimal))), adaptive("low"));
    assert_eq!(own(&request(ADAPTIVE, budget(5000))), adaptive("medium"));
    let on = Thinking { enabled: Some(true), told: Some(true), ..Thinking::default() };
    assert_eq!(
        own(&request(ADAPTIVE, on.clone())),
        json!({ "thinking": { "type": "adaptive", "display": "summarized" } })
    );
    assert_eq!(own(&request(BUDGET, on.clone())), enabled(8192));
    assert_eq!(own(&request("meta.llama3-2-1b-instruct-v1:0", on)), Value::Null);
}

#[test]
fn off_is_said_by_silence() {
    for thinking in [
        Thinking::default(),
        Thinking { enabled: Some(false), ..Thinking::default() },
        effort(Effort::None),
        Thinking { budget: Some(0), ..Thinking::default() },
    ] {
        assert_eq!(own(&request(ADAPTIVE, thinking.clone())), Value::Null);
        assert_eq!(own(&request(BUDGET, thinking)), Value::Null);
    }
}

#[test]
fn budgets_leave_room_for_the_answer() {
    let with = |most, thinking| own(&Request { max_output: Some(most), ..request(BUDGET, thinking) });
    assert_eq!(with(4096, effort(Effort::High)), enabled(2048));
    assert_eq!(with(1500, effort(Effort::High)), enabled(1024));
    assert_eq!(with(1024, effort(Effort::High)), Value::Null);
    assert_eq!(with(4000, budget(9000)), enabled(3999));
    assert_eq!(with(4000, budget(10)), enabled(1024));
}

#[test]
fn sampling_is_left_out_where_it_is_refused() {
    let sampled = |model: &str, thinking| {
        let request = request(model, thinking);
        let request = Request { temperature: Some(1.5), top_p: Some(0.5), top_k: Some(7), ..request };
        let body = write_request(&request).unwrap();
        (body["inferenceConfig"].clone(), body["additionalModelRequestFields"]["top_k"].clone())
    };
    assert_eq!(sampled(OLD, Thinking::default()), (json!({ "temperature": 1.0, "topP": 0.5 }), json!(7)));
    assert_eq!(sampled(BUDGET, Thinking::default()), (json!({ "temperature": 1.0 }), json!(7)));
    assert_eq!(sampled(BUDGET, budget(2000)), (Value::Null, Value::Null));
    assert_eq!(sampled(ADAPTIVE, Thinking::default()), (Value::Null, Value::Null));
    let llama = sampled("meta.llama3-2-1b-instruct-v1:0", Thinking::default());
    assert_eq!(llama, (json!({ "temperature": 1.0, "topP": 0.5 }), Value::Null));
}

#[test]
fn calls_that_must_be_made_weigh_more() {
    let mut request = request(BUDGET, budget(2000));
    request.tools = vec![Tool { name: "a".into(), ..Tool::default() }].into();
    request.tool_choice = Some(ToolChoice::Required);
    assert_eq!(own(&request), Value::Null);
    request.tool_choice = Some(ToolChoice::Auto);
    assert_eq!(own(&request), enabled(2000));
}

#[test]
fn a_loop_without_reasoning_is_continued_without() {
    let mut asked = request(BUDGET, budget(2000));
    let call = Call { id: "t".into(), name: "a".into(), ..Call::default() };
    asked.messages.push(message(Role::Assistant, Part::Call(call)));
    let result = ToolResult { id: "t".into(), ..ToolResult::default() };
    asked.messages.push(message(Role::User, Part::Result(result)));
    assert_eq!(own(&asked), Value::Null);
    asked.model = BOTH.into();
    asked.thinking.budget = None;
    assert_eq!(own(&asked), json!({ "thinking": { "type": "adaptive" } }));
    asked.model = BUDGET.into();
    asked.messages.push(message(Role::Assistant, Part::text("done")));
    asked.messages.push(message(Role::User, Part::text("more")));
    assert_eq!(own(&asked), enabled(8192));
}
