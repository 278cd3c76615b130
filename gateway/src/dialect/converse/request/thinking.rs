//! How much to reason, and `top_k`: Converse has no fields for them, so they go to the model's own
//! (`additionalModelRequestFields`) in the words of its maker. Only Anthropic's are known here.

use serde_json::{Map, Value, json};

use super::super::fields::Fields;
use super::super::models::Maker;
use super::read::keep;
use crate::dialect::talk::{Effort, Refused, Request, Thinking, ToolChoice};

/// Takes what others can say out of the model's own fields; the rest stays.
pub(super) fn read(fields: &mut Fields, request: &mut Request) -> Result<(), Refused> {
    let name = "additionalModelRequestFields";
    let Some(mut own) = fields.within(name)? else { return Ok(()) };
    if let Some(value) = own.take("thinking") {
        match thinking(&value) {
            Some(thinking) => request.thinking = thinking,
            None => own.put("thinking", value),
        }
    }
    if let Some(value) = own.take("top_k") {
        match value.as_u64() {
            Some(count) => request.top_k = Some(count),
            None => own.put("top_k", value),
        }
    }
    if let Some(value) = own.take("output_config") {
        match effort(&value) {
            Some(effort) => {
                request.thinking.effort = Some(effort);
                request.thinking.overall = request.thinking.enabled.is_none();
            }
            None => own.put("output_config", value),
        }
    }
    keep(fields, name, own.rest());
    Ok(())
}

fn thinking(value: &Value) -> Option<Thinking> {
    let map = value.as_object()?;
    let known = |name: &String| ["type", "budget_tokens", "display"].contains(&name.as_str());
    if !map.keys().all(known) {
        return None;
    }
    let told = match map.get("display") {
        None => None,
        Some(display) => Some(display.as_str()? == "summarized"),
    };
    let budget = map.get("budget_tokens").map(|budget| budget.as_u64().ok_or(())).transpose().ok()?;
    let enabled = match map.get("type")?.as_str()? {
        "enabled" | "adaptive" => true,
        "disabled" => false,
        _ => return None,
    };
    Some(Thinking { enabled: Some(enabled), budget, told, ..Thinking::default() })
}

fn effort(value: &Value) -> Option<Effort> {
    let word = value.as_object().filter(|map| map.len() == 1)?.get("effort")?.as_str()?;
    WORDS.iter().find(|known| known.1 == word).map(|known| known.0)
}

/// Anthropic's words, the first where several efforts have one.
const WORDS: [(Effort, &str); 6] = [
    (Effort::Low, "low"),
    (Effort::Minimal, "low"),
    (Effort::Medium, "medium"),
    (Effort::High, "high"),
    (Effort::Higher, "xhigh"),
    (Effort::Max, "max"),
];

/// Writes the model's own fields. True if the model will think.
pub(super) fn write(
    request: &Request,
    maker: Maker,
    messages: &[Value],
    to: &mut Map<String, Value>,
) -> bool {
    if !matches!(maker, Maker::Anthropic(_)) {
        return false;
    }
    let thinking = plan(request, maker, messages);
    for (name, value) in &thinking {
        to.insert(name.clone(), value.clone());
    }
    let thinks = to.contains_key("thinking");
    // Refused beside thinking, and by models that sample their own way.
    if let Some(count) = request.top_k.filter(|_| !thinks && !maker.claude_since(4, 7)) {
        to.insert("top_k".to_owned(), count.into());
    }
    thinks
}

fn plan(request: &Request, maker: Maker, messages: &[Value]) -> Map<String, Value> {
    let none = Map::new();
    let wanted = &request.thinking;
    let off =
        wanted.enabled == Some(false) || wanted.effort == Some(Effort::None) || wanted.budget == Some(0);
    let on =
        wanted.enabled == Some(true) || wanted.effort.is_some() && !wanted.overall || wanted.budget.is_some();
    if !on && !off && wanted.overall && maker.claude_since(4, 6) {
        return Map::from_iter(effort_config(wanted.effort, maker));
    }
    // Off is said by silence: the newest models answer `disabled` with an error. A call that must be made weighs more
    // than reasoning, and Claude does not do both.
    if off || !on || !maker.claude_since(3, 7) || forces(request.tool_choice.as_ref()) {
        return none;
    }
    // Since 4.6 Claude sees itself how much to think; a budget is still taken by 4.6 and refused since 4.7.
    if maker.claude_since(4, 7) || maker.claude_since(4, 6) && wanted.budget.is_none() {
        return adaptive(wanted, maker);
    }
    match budget(wanted, request.max_output) {
        Some(budget) if !loop_without_reasoning(messages) => {
            Map::from_iter([("thinking".to_owned(), json!({ "type": "enabled", "budget_tokens": budget }))])
        }
        _ => none,
    }
}

fn forces(choice: Option<&ToolChoice>) -> bool {
    matches!(choice, Some(ToolChoice::Required | ToolChoice::Tool(_) | ToolChoice::Among(_, true)))
}

fn adaptive(wanted: &Thinking, maker: Maker) -> Map<String, Value> {
    let mut thinking = json!({ "type": "adaptive" });
    // Since 4.7 it is not told unless one asks.
    if let Some(told) = wanted.told.filter(|_| maker.claude_since(4, 7)) {
        thinking["display"] = if told { "summarized" } else { "omitted" }.into();
    }
    let mut out = Map::from_iter([("thinking".to_owned(), thinking)]);
    out.extend(effort_config(wanted.effort.or_else(|| wanted.budget.map(effort_of)), maker));
    out
}

/// The effort as Claude's own field.
fn effort_config(effort: Option<Effort>, maker: Maker) -> Option<(String, Value)> {
    let known = match effort? {
        Effort::Higher if !maker.claude_since(4, 7) => Effort::High,
        effort => effort,
    };
    let (_, word) = WORDS.iter().find(|word| word.0 == known)?;
    Some(("output_config".to_owned(), json!({ "effort": word })))
}

/// The effort that a budget bought before models chose themselves.
fn effort_of(budget: u64) -> Effort {
    match budget {
        0..=2048 => Effort::Low,
        2049..=8192 => Effort::Medium,
        _ => Effort::High,
    }
}

/// The least budget that Claude takes.
const LEAST_BUDGET: u64 = 1024;

/// A budget below the longest answer, of which it is a part; none if there is no room for one.
fn budget(wanted: &Thinking, most: Option<u64>) -> Option<u64> {
    let by_effort = match wanted.effort {
        Some(Effort::None | Effort::Minimal) => LEAST_BUDGET,
        Some(Effort::Low) => 2048,
        Some(Effort::Medium) | None => 8192,
        Some(Effort::High) => 16_384,
        Some(Effort::Higher) => 24_576,
        Some(Effort::Max) => 32_768,
    };
    // Nobody chose the number that an effort stands for, so half of the answer stays for the answer.
    let room = match (most, wanted.budget) {
        (None, _) => u64::MAX,
        (Some(most), Some(_)) => most.saturating_sub(1),
        (Some(most), None) => (most / 2).max(most.saturating_sub(1).min(LEAST_BUDGET)),
    };
    let budget = wanted.budget.unwrap_or(by_effort).max(LEAST_BUDGET).min(room);
    (budget >= LEAST_BUDGET).then_some(budget)
}

/// The model waits for results of calls that it made, as told here, without thinking (the client did not keep its
/// reasoning, or another model made them). With a budget Claude then refuses to think ("Expected `thinking`").
fn loop_without_reasoning(messages: &[Value]) -> bool {
    let [.., calls, results] = messages else { return false };
    let first = |message: &Value, key: &str| message.pointer(&format!("/content/0/{key}")).is_some();
    first(results, "toolResult") && !first(calls, "reasoningContent")
}
