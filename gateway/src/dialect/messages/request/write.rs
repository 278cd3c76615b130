//! Writes a request's body.

use serde_json::{Map, Value, json};

use super::super::model::{Model, Sampling};
use super::thinking::Plan;
use super::turns::Turns;
use super::{block::content_of, format, thinking, tools};
use crate::dialect::talk::tier::asked_tier;
use crate::dialect::talk::{Dialect, Refused, Request, ToolChoice};

/// Anthropic wants the longest answer to be said; others let the model end by itself. All models of now can write so much,
/// it is as long as answers in practice are, and a model that runs away costs little.
pub(super) const DEFAULT_MAX_TOKENS: u64 = 8192;

/// Anthropic refuses longer names of users.
const LONGEST_USER: usize = 256;

/// Writes a request's body.
///
/// # Errors
/// It holds what Anthropic cannot be told and cannot be left out: several answers, audio, another provider's files.
pub fn write_request(request: &Request) -> Result<Value, Refused> {
    if request.choices.is_some_and(|choices| choices > 1) {
        return Err(Refused::field("n", "This model's API gives one answer to a request."));
    }
    let model = Model::of(&request.model);
    let (format, instructions) = format::write(request.format.as_ref(), model);
    let mut turns = Turns::of(&request.messages, instructions, model)?;
    if request.extra.get(Dialect::Messages, "cache_control").is_some() {
        turns.unmark_last();
    }
    let mut tools = tools::write(request);
    let mut choice = tools::write_choice(request, &tools)?;
    if tools.is_empty() {
        tools = tools::declared(turns.called());
        choice = (!tools.is_empty()).then(|| json!({"type": "none"}));
    }
    let bound = is_forced(request) || turns.lost_thought();
    let plan = thinking::plan(request, model, bound);

    let mut body = Map::new();
    add_words(&mut body, request);
    add_sampling(&mut body, request, model, plan.on);
    let system = std::mem::take(&mut turns.system);
    set(&mut body, "system", (!system.is_empty()).then(|| content_of(system)));
    set(&mut body, "messages", Some(turns.write()));
    set(&mut body, "tools", (!tools.is_empty()).then(|| tools.into_iter().map(Value::Object).collect()));
    set(&mut body, "tool_choice", choice);
    add_plan(&mut body, request, plan, format);
    for (name, value) in request.extra.fields(Dialect::Messages) {
        body.entry(name.as_str()).or_insert_with(|| value.clone());
    }
    Ok(Value::Object(body))
}

fn set(body: &mut Map<String, Value>, name: &str, value: Option<Value>) {
    if let Some(value) = value {
        body.insert(name.to_owned(), value);
    }
}

fn is_forced(request: &Request) -> bool {
    matches!(
        request.tool_choice,
        Some(ToolChoice::Required | ToolChoice::Tool(_) | ToolChoice::Among(_, true))
    )
}

/// The fields that are words, flags and lists.
fn add_words(body: &mut Map<String, Value>, request: &Request) {
    set(body, "model", (!request.model.is_empty()).then(|| json!(request.model)));
    set(body, "stream", request.stream.then_some(Value::Bool(true)));
    // Texts of white space alone are refused.
    let stop: Vec<_> = request.stop.iter().filter(|text| !text.trim().is_empty()).collect();
    set(body, "stop_sequences", (!stop.is_empty()).then(|| json!(stop)));
    let tier = request.service_tier.as_ref().and_then(|tier| asked_tier(tier, Dialect::Messages));
    set(body, "service_tier", tier.map(|tier| json!(tier)));
    let user = request.user.as_ref().filter(|user| user.chars().count() <= LONGEST_USER);
    let mut metadata = own(request, "metadata");
    set(&mut metadata, "user_id", user.map(|user| json!(user)));
    set(body, "metadata", (!metadata.is_empty()).then(|| metadata.into()));
}

/// What this dialect alone says in the object `name`.
fn own(request: &Request, name: &str) -> Map<String, Value> {
    request.extra.get(Dialect::Messages, name).and_then(Value::as_object).cloned().unwrap_or_default()
}

/// Anthropic's temperature ends at 1, which is its default. A model that thinks takes no other, no `top_k`, and `top_p` only
/// from 0.95; newer models take none of them or not two together.
fn add_sampling(body: &mut Map<String, Value>, request: &Request, model: Model, thinks: bool) {
    if model.sampling == Sampling::None {
        return;
    }
    let temperature =
        request.temperature.map(|real| real.clamp(0.0, 1.0)).filter(|real| !thinks || *real >= 1.0);
    let top_p = request.top_p.map(|real| real.clamp(0.0, 1.0)).filter(|real| !thinks || *real >= 0.95);
    let (temperature, top_p) = match (temperature, top_p) {
        (Some(heat), Some(_)) if model.sampling == Sampling::Either && heat < 1.0 => (Some(heat), None),
        (Some(_), Some(top_p)) if model.sampling == Sampling::Either => (None, Some(top_p)),
        both => both,
    };
    set(body, "temperature", temperature.map(|real| json!(real)));
    set(body, "top_p", top_p.map(|real| json!(real)));
    set(body, "top_k", request.top_k.filter(|_| !thinks).map(|count| json!(count)));
}

fn add_plan(body: &mut Map<String, Value>, request: &Request, plan: Plan, format: Option<Value>) {
    set(body, "max_tokens", Some(json!(plan.max_tokens)));
    set(body, "thinking", plan.thinking);
    let mut config = own(request, "output_config");
    set(&mut config, "effort", plan.effort.map(|effort| json!(effort)));
    set(&mut config, "format", format);
    set(body, "output_config", (!config.is_empty()).then(|| config.into()));
}
