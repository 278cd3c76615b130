//! Writing a request.

use serde_json::Value;

use crate::dialect::responses::fields::{Fields, mark, put, put_extra};
use crate::dialect::responses::{items, options, tools};
use crate::dialect::talk::ids::Ids;
use crate::dialect::talk::tier::asked_tier;
use crate::dialect::talk::{Dialect, Message, Part, Refused, Request};

/// OpenAI refuses fewer; those who ask for one token elsewhere only try whether there is an answer.
const LEAST_OUTPUT: u64 = 16;

/// Writes a request. Stop texts, seeds, penalties and `top_k` have no place here and are left out.
pub fn write_request(request: &Request) -> Result<Value, Refused> {
    if let Some(choices @ 2..) = request.choices {
        let message = format!("The Responses API gives one answer, not {choices}.");
        return Err(Refused::field("n", message));
    }
    let mut out = Fields::new();
    put_extra(&mut out, &request.extra);
    put(&mut out, "model", (!request.model.is_empty()).then_some(request.model.as_str()));
    let mut input = Vec::new();
    let mut ids = Ids::new(str::to_owned);
    for (index, message) in request.messages.iter().enumerate() {
        match instructions(message) {
            Some(text) => put(&mut out, "instructions", Some(text)),
            None => items::write(message, &mut ids, &mut input, &format!("messages[{index}]"))?,
        }
    }
    put(&mut out, "input", (!input.is_empty()).then_some(input));
    put_settings(&mut out, request);
    options::put_logprobs(&mut out, request);
    if mark(&request.extra, "#own").is_none() {
        options::put_unstored(&mut out, request);
    }
    put(&mut out, "stream", request.stream.then_some(true));
    Ok(Value::Object(out))
}

/// The text of a message that stood in `instructions`. Those of other dialects become items of their role, which every
/// provider takes, wherever they stand.
fn instructions(message: &Message) -> Option<String> {
    mark(&message.extra, "#instructions")?;
    let text = |part: &Part| if let Part::Text { text, .. } = part { Some(text.clone()) } else { None };
    let texts: Option<Vec<String>> = message.pieces.iter().map(|piece| text(&piece.part)).collect();
    Some(texts?.concat())
}

/// Puts what is not the conversation: the fields that an answer repeats.
pub(in crate::dialect::responses) fn put_settings(out: &mut Fields, request: &Request) {
    let tools: Vec<Value> = request.tools.iter().filter_map(tools::write).collect();
    if !tools.is_empty() {
        if let Some(choice) = &request.tool_choice {
            put(out, "tool_choice", Some(tools::write_choice(choice, &request.tools)));
        }
        put(out, "tools", Some(tools));
        put(out, "parallel_tool_calls", request.parallel_calls);
    }
    if let Some(format) = &request.format {
        options::put_format(out, format);
    }
    if let Some(verbosity) = &request.verbosity {
        options::put_verbosity(out, verbosity);
    }
    options::put_thinking(out, &request.thinking, &request.model);
    put(out, "max_output_tokens", request.max_output.map(|most| most.max(LEAST_OUTPUT)));
    put(out, "temperature", request.temperature);
    put(out, "top_p", request.top_p);
    put(out, "user", request.user.as_deref());
    put(out, "metadata", (!request.metadata.is_empty()).then(|| Value::Object(request.metadata.clone())));
    let tier = request.service_tier.as_ref().and_then(|tier| asked_tier(tier, Dialect::Responses));
    put(out, "service_tier", tier);
    put(out, "prompt_cache_key", request.cache_key.as_deref());
}
