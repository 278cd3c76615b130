//! How much to reason: `reasoning_effort` (OpenAI), `reasoning` (OpenRouter), `thinking` (DeepSeek, LiteLLM).

use serde_json::Value;

use super::super::fields::{Fields, MOST, mark, marked, put, take_bool, take_count, take_text};
use crate::dialect::talk::{Effort, Refused, Request, Thinking};

/// Takes the fields; words that nobody else knows (Groq: `default`) stay.
pub(super) fn read(left: &mut Fields, marks: &mut Fields) -> Result<Thinking, Refused> {
    let mut thinking = Thinking::default();
    read_effort(left, marks, &mut thinking);
    read_reasoning(left, marks, &mut thinking)?;
    read_thinking(left, marks, &mut thinking)?;
    if thinking.effort == Some(Effort::None) {
        thinking.enabled = Some(false);
    }
    Ok(thinking)
}

fn effort(word: &str) -> Option<Effort> {
    Some(match word {
        "none" => Effort::None,
        "minimal" => Effort::Minimal,
        "low" => Effort::Low,
        "medium" => Effort::Medium,
        "high" => Effort::High,
        "xhigh" => Effort::Higher,
        "max" => Effort::Max,
        _ => return None,
    })
}

fn word(effort: Effort, knows_max: bool) -> &'static str {
    match effort {
        Effort::None => "none",
        Effort::Minimal => "minimal",
        Effort::Low => "low",
        Effort::Medium => "medium",
        Effort::High => "high",
        Effort::Max if knows_max => "max",
        // OpenAI's highest word; `max` is Anthropic's and DeepSeek's.
        Effort::Higher | Effort::Max => "xhigh",
    }
}

/// Takes the word of `name` if it is a known one.
fn take_effort(fields: &mut Fields, name: &str, marks: &mut Fields) -> Option<Effort> {
    let known = effort(fields.get(name)?.as_str()?)?;
    fields.remove(name);
    if known == Effort::Max {
        marks.insert("#max".into(), true.into());
    }
    Some(known)
}

fn read_effort(left: &mut Fields, marks: &mut Fields, thinking: &mut Thinking) {
    thinking.effort = take_effort(left, "reasoning_effort", marks);
    if thinking.effort.is_some() {
        marks.insert("#reasoning_effort".into(), true.into());
    }
}

fn read_reasoning(left: &mut Fields, marks: &mut Fields, thinking: &mut Thinking) -> Result<(), Refused> {
    let Some(Value::Object(_)) = left.get("reasoning") else { return Ok(()) };
    let Some(Value::Object(mut said)) = left.remove("reasoning") else { return Ok(()) };
    thinking.effort = take_effort(&mut said, "effort", marks).or(thinking.effort);
    thinking.budget = take_count(&mut said, "reasoning", "max_tokens", MOST)?;
    thinking.enabled = take_bool(&mut said, "reasoning", "enabled")?;
    thinking.told = take_bool(&mut said, "reasoning", "exclude")?.map(|hidden| !hidden);
    thinking.summary = take_text(&mut said, "reasoning", "summary")?;
    marks.insert("#reasoning".into(), Value::Object(said));
    Ok(())
}

fn read_thinking(left: &mut Fields, marks: &mut Fields, thinking: &mut Thinking) -> Result<(), Refused> {
    let Some(said) = left.get_mut("thinking").and_then(Value::as_object_mut) else { return Ok(()) };
    let kind = said.get("type").and_then(Value::as_str);
    let enabled = match kind {
        Some("enabled" | "adaptive") => true,
        Some("disabled") => false,
        _ => return Ok(()),
    };
    thinking.enabled = Some(enabled);
    thinking.budget = take_count(said, "thinking", "budget_tokens", MOST)?.or(thinking.budget);
    if let Some(kept) = left.remove("thinking") {
        marks.insert("#thinking".into(), kept);
    }
    Ok(())
}

/// Writes them, in the words that the client used; for clients of other dialects in OpenAI's.
pub(super) fn write(out: &mut Fields, request: &Request) {
    let thinking = &request.thinking;
    let knows_max = mark(&request.extra, "#max").is_some();
    let said = thinking.effort.map(|effort| word(effort, knows_max));
    let objects = [marked(&request.extra, "#reasoning"), marked(&request.extra, "#thinking")];
    if objects.iter().all(Option::is_none) {
        put(out, "reasoning_effort", said.or_else(|| of_budget(thinking)));
        return;
    }
    let [reasoning, switch] = objects;
    let beside = mark(&request.extra, "#reasoning_effort").is_some() || reasoning.is_none();
    put(out, "reasoning_effort", said.filter(|_| beside));
    let switched = switch.is_some();
    if let Some(mut switch) = switch {
        put(&mut switch, "budget_tokens", thinking.budget.filter(|_| reasoning.is_none()));
        out.insert("thinking".into(), Value::Object(switch));
    }
    if let Some(mut reasoning) = reasoning {
        put(&mut reasoning, "effort", said.filter(|_| !beside));
        put(&mut reasoning, "max_tokens", thinking.budget);
        let off_by_word = thinking.effort == Some(Effort::None);
        put(&mut reasoning, "enabled", thinking.enabled.filter(|_| !switched && !off_by_word));
        put(&mut reasoning, "exclude", thinking.told.map(|told| !told));
        put(&mut reasoning, "summary", thinking.summary.as_deref());
        out.insert("reasoning".into(), Value::Object(reasoning));
    }
}

/// A budget in words. Reasoning that is switched off without a word is not written: models without reasoning, of which
/// it is said by clients of Anthropic, refuse even `none`.
fn of_budget(thinking: &Thinking) -> Option<&'static str> {
    if thinking.enabled == Some(false) {
        return None;
    }
    Some(match thinking.budget.filter(|budget| *budget > 0)? {
        ..=2048 => "low",
        2049..=10_000 => "medium",
        _ => "high",
    })
}
