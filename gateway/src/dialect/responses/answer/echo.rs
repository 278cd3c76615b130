//! What an answer repeats of its request. The SDKs' models have these as required fields.

use serde_json::Value;

use crate::dialect::responses::fields::{Fields, mark, put};
use crate::dialect::responses::request::put_settings;
use crate::dialect::talk::{Part, Request};

/// The fields of a request that its answers repeat, in this dialect: for [`Writer::new`](super::super::Writer::new) and
/// [`write_answer`](super::write_answer).
pub fn echoes(request: &Request) -> Fields {
    let mut out = Fields::new();
    let repeated = ["text", "reasoning", "tool_choice", "store", "background", "truncation"];
    let more = ["previous_response_id", "max_tool_calls", "safety_identifier", "prompt_cache_retention"];
    for name in repeated.into_iter().chain(more) {
        put(&mut out, name, mark(&request.extra, name).cloned());
    }
    let first = request.messages.first().filter(|message| mark(&message.extra, "#instructions").is_some());
    if let Some(Part::Text { text, .. }) = first.and_then(|message| Some(&message.pieces.first()?.part)) {
        put(&mut out, "instructions", Some(text.as_str()));
    }
    put_settings(&mut out, request);
    put(&mut out, "top_logprobs", request.logprobs);
    // The answer says which tier it got.
    out.remove("service_tier");
    out
}

/// Did the request ask for summaries of the reasoning?
pub(in crate::dialect::responses) fn asks_summaries(echoes: &Fields) -> bool {
    echoes.get("reasoning").and_then(|reasoning| reasoning.get("summary")).is_some_and(Value::is_string)
}
