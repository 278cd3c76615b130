//! How much to reason. Anthropic has had three ways: a budget, `adaptive` with an effort, and the effort alone (which also
//! shortens what is said aloud). Which of them a model takes, [`Model`] knows.

use serde_json::{Map, Value, json};

use super::super::fields::Fields;
use super::super::model::{Efforts, Model, Thinks};
use super::write::DEFAULT_MAX_TOKENS;
use crate::dialect::talk::{Effort, Refused, Request, Thinking};

/// Anthropic refuses smaller budgets.
const LEAST_BUDGET: u64 = 1024;

/// Takes `thinking` and the effort in `output_config`.
pub(super) fn read(fields: &mut Fields, config: Option<&mut Fields>) -> Result<Thinking, Refused> {
    let mut thinking = Thinking::default();
    let told = fields.fields("thinking")?;
    if let Some(config) = config {
        let word = config.text("effort")?;
        thinking.effort = word.as_deref().and_then(read_effort);
        // Alone it asks for no thinking. A word nobody knows stays.
        thinking.overall = told.is_none() && thinking.effort.is_some();
        if let Some(word) = word.filter(|_| thinking.effort.is_none()) {
            config.put("effort", Value::String(word));
        }
    }
    let Some(mut told) = told else { return Ok(thinking) };
    let kind = told.need_text("type")?;
    thinking.enabled = Some(kind != "disabled");
    thinking.budget = told.count("budget_tokens")?;
    thinking.told = match told.text("display")?.as_deref() {
        Some("omitted") => Some(false),
        Some(_) => Some(true),
        // Models that think by a budget tell what they think unless they are told not to.
        None => (kind == "enabled").then_some(true),
    };
    Ok(thinking)
}

fn read_effort(word: &str) -> Option<Effort> {
    match word {
        "low" => Some(Effort::Low),
        "medium" => Some(Effort::Medium),
        "high" => Some(Effort::High),
        "xhigh" => Some(Effort::Higher),
        "max" => Some(Effort::Max),
        _ => None,
    }
}

/// How a request is to think, and how long its answer may be.
pub(super) struct Plan {
    /// The field `thinking`.
    pub(super) thinking: Option<Value>,
    /// The word for `output_config.effort`.
    pub(super) effort: Option<&'static str>,
    /// The field `max_tokens`.
    pub(super) max_tokens: u64,
    /// It thinks, which rules out some sampling.
    pub(super) on: bool,
}

/// Decides. `bound`: a call is forced, or a turn with calls goes on whose thinking is lost. With a budget Anthropic refuses
/// both, so that wish, being advice, is left out.
pub(super) fn plan(request: &Request, model: Model, bound: bool) -> Plan {
    let wish = &request.thinking;
    let max_tokens = request.max_output.unwrap_or(DEFAULT_MAX_TOKENS);
    let alone = wish.overall;
    let effort = wish.effort.filter(|_| model.effort != Efforts::None);
    let word = effort.filter(|_| alone).and_then(|effort| write_effort(effort, model.effort));
    let silent = Plan { thinking: None, effort: word, max_tokens, on: false };
    if wish.enabled == Some(false) || wish.effort == Some(Effort::None) || wish.budget == Some(0) {
        let thinking = (model.thinks != Thinks::Never).then(|| json!({"type": "disabled"}));
        return Plan {
            thinking,
            effort: effort.and_then(|effort| write_effort(effort, model.effort)),
            ..silent
        };
    }
    let wanted = wish.enabled == Some(true) || wish.budget.is_some() || (wish.effort.is_some() && !alone);
    let budget = match model.thinks {
        Thinks::Never => return silent,
        _ if !wanted => return silent,
        Thinks::Budget => true,
        Thinks::Either => wish.budget.is_some(),
        Thinks::Adaptive => false,
    };
    if budget {
        let effort = effort.and_then(|effort| write_effort(effort, model.effort));
        return if bound { Plan { effort, ..silent } } else { by_budget(request, effort) };
    }
    let effort = effort.or_else(|| wish.budget.map(effort_of_budget).filter(|_| !alone));
    let mut thinking = fields("adaptive", None);
    if let Some(told) = wish.told {
        thinking.insert("display".to_owned(), json!(if told { "summarized" } else { "omitted" }));
    }
    let effort = effort.and_then(|effort| write_effort(effort, model.effort));
    Plan { thinking: Some(Value::Object(thinking)), effort, max_tokens, on: true }
}

/// The budget must leave room for the answer; where the client sets no limit, the room comes on top.
fn by_budget(request: &Request, effort: Option<&'static str>) -> Plan {
    let wish = &request.thinking;
    let asked = wish.budget.unwrap_or_else(|| budget_of_effort(wish.effort)).max(LEAST_BUDGET);
    let max_tokens = request.max_output.unwrap_or_else(|| asked.saturating_add(DEFAULT_MAX_TOKENS));
    let most = if wish.budget.is_some() { max_tokens.saturating_sub(1) } else { max_tokens / 4 * 3 };
    if most < LEAST_BUDGET {
        return Plan { thinking: None, effort, max_tokens, on: false };
    }
    let mut thinking = fields("enabled", Some(asked.min(most)));
    if wish.told == Some(false) {
        thinking.insert("display".to_owned(), json!("omitted"));
    }
    Plan { thinking: Some(Value::Object(thinking)), effort, max_tokens, on: true }
}

fn fields(kind: &str, budget: Option<u64>) -> Map<String, Value> {
    let mut map = Map::new();
    map.insert("type".to_owned(), json!(kind));
    if let Some(budget) = budget {
        map.insert("budget_tokens".to_owned(), json!(budget));
    }
    map
}

fn write_effort(effort: Effort, most: Efforts) -> Option<&'static str> {
    match (effort, most) {
        (_, Efforts::None) | (Effort::None, _) => None,
        (Effort::Minimal | Effort::Low, _) => Some("low"),
        (Effort::Medium, _) => Some("medium"),
        (Effort::Higher, Efforts::All) => Some("xhigh"),
        (Effort::Max, Efforts::All | Efforts::Max) => Some("max"),
        (Effort::High | Effort::Higher | Effort::Max, _) => Some("high"),
    }
}

/// Budgets that, with [`DEFAULT_MAX_TOKENS`] on top, every model that thinks by one can hold (Opus 4: 32,000).
fn budget_of_effort(effort: Option<Effort>) -> u64 {
    match effort {
        Some(Effort::None | Effort::Minimal) => LEAST_BUDGET,
        Some(Effort::Low) => 2048,
        None | Some(Effort::Medium) => 8192,
        Some(Effort::High) => 16384,
        Some(Effort::Higher | Effort::Max) => 22528,
    }
}

fn effort_of_budget(budget: u64) -> Effort {
    match budget {
        ..=4096 => Effort::Low,
        4097..=12288 => Effort::Medium,
        _ => Effort::High,
    }
}
