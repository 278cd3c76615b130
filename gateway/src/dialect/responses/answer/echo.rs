//! What an answer repeats of its request. The SDKs' models have these as required fields.

use std::sync::LazyLock;

use serde_json::{Value, json};

use super::finish::Status;
use super::write::error;
use crate::dialect::json::push_members;
use crate::dialect::responses::fields::{Fields, mark, put};
use crate::dialect::responses::request::put_settings;
use crate::dialect::talk::{Failed, Part, Request};

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

/// The object `response`, which is never put together: of long requests it repeats much, a stream thrice.
#[derive(Debug)]
pub(in crate::dialect::responses) struct Response<'a> {
    /// What the answer says.
    said: Fields,
    /// What it repeats of its request, where it does not say otherwise.
    echoes: &'a Fields,
}

/// What stands in every answer that does not say otherwise.
static REST: LazyLock<Fields> = LazyLock::new(|| {
    let nulls = ["instructions", "max_output_tokens", "previous_response_id", "temperature", "top_p", "user"];
    let mut rest: Fields = nulls.into_iter().map(|name| (name.to_owned(), Value::Null)).collect();
    put(&mut rest, "object", Some("response"));
    put(&mut rest, "metadata", Some(Fields::new()));
    put(&mut rest, "parallel_tool_calls", Some(true));
    put(&mut rest, "reasoning", Some(json!({"effort": null, "summary": null})));
    put(&mut rest, "store", Some(false));
    put(&mut rest, "text", Some(json!({"format": {"type": "text"}})));
    put(&mut rest, "tool_choice", Some("auto"));
    put(&mut rest, "tools", Some(Vec::<Value>::new()));
    put(&mut rest, "truncation", Some("disabled"));
    rest
});

impl<'a> Response<'a> {
    /// Of an answer that says `said`, and how it ended.
    pub(in crate::dialect::responses) fn new(
        mut said: Fields,
        status: &Status,
        failed: Option<&Failed>,
        echoes: &'a Fields,
    ) -> Response<'a> {
        let details = status.reason.as_ref().map_or(Value::Null, |reason| json!({"reason": reason}));
        put(&mut said, "incomplete_details", Some(details));
        put(&mut said, "status", Some(status.word.as_str()));
        put(&mut said, "error", Some(failed.map_or(Value::Null, |failed| error(failed).into())));
        Response { said, echoes }
    }

    /// Appends it.
    pub(in crate::dialect::responses) fn push(&self, out: &mut Vec<u8>) {
        push_members(out, over([&self.said, self.echoes, &REST]));
    }
}

/// The members of all; of one name that of the first which has it. All are sorted, so they are walked side by side.
fn over(layers: [&Fields; 3]) -> impl Iterator<Item = (&String, &Value)> {
    let mut layers = layers.map(|layer| layer.iter().peekable());
    std::iter::from_fn(move || {
        let next = layers.iter_mut().filter_map(|layer| layer.peek().map(|(name, _)| *name)).min()?;
        let mut found = None;
        for layer in &mut layers {
            found = found.or(layer.next_if(|(name, _)| *name == next));
        }
        found
    })
}
