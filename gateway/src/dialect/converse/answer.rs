//! Whole answers.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::blocks::{self, Blocks};
use super::fields::{Fields, wrong};
use super::request;
use crate::dialect::openai::answer::Usage;
use crate::dialect::talk::tier::given_tier;
use crate::dialect::talk::{Answer, Choice, Dialect, Extra, Finish, Own, Part, Refused};

/// Reads a whole answer.
pub fn read_answer(body: &[u8]) -> Result<Answer, Refused> {
    let mut fields = Fields::body(body)?;
    let mut output = fields.within("output")?.ok_or_else(|| wrong("output", "an object"))?;
    let mut message = output.within("message")?.ok_or_else(|| wrong("output.message", "an object"))?;
    let mut pieces = blocks::pieces(message.list("content")?, &message.path("content"))?;
    // Before a call there may be an empty text. Some clients would send it back, and be refused.
    pieces.retain(|piece| piece.part != Part::text(""));
    let mut choice = Choice { pieces, ..Choice::default() };
    if let Some(word) = fields.text("stopReason")? {
        let finish = finish(&word, stop_text(fields.get("additionalModelResponseFields")));
        if reason(&finish) != word {
            fields.put("stopReason", word.into());
        }
        choice.finish = Some(finish);
    }
    let mut answer = Answer { usage: usage(&mut fields)?, ..Answer::default() };
    if let Some(mut tier) = fields.within("serviceTier")? {
        answer.service_tier = tier.text("type")?.map(|tier| Own::new(Dialect::Converse, tier));
    }
    answer.choices.push(choice);
    answer.extra = Extra::of(Dialect::Converse, fields.rest());
    Ok(answer)
}

fn usage(fields: &mut Fields) -> Result<Option<Usage>, Refused> {
    let Some(value) = fields.take("usage") else { return Ok(None) };
    let counts = Counts::deserialize(&value).map_err(|_| wrong("usage", "an object of counts"))?;
    let mut rest = Fields::of(value, "usage")?;
    for name in COUNTED {
        rest.take(name);
    }
    let rest = rest.rest();
    if !rest.is_empty() {
        fields.put("usage", Value::Object(rest));
    }
    Ok(Some(counts.usage()))
}

const COUNTED: [&str; 5] =
    ["inputTokens", "outputTokens", "totalTokens", "cacheReadInputTokens", "cacheWriteInputTokens"];

/// A `usage` object. An answer was paid for: it is not lost for a count that is none.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Counts {
    input_tokens: Value,
    output_tokens: Value,
    total_tokens: Value,
    cache_read_input_tokens: Value,
    cache_write_input_tokens: Value,
    /// How much was written for how long.
    cache_details: Value,
}

/// No call uses more; who says so is wrong, and would use up a tenant's limits by a word.
const MOST_TOKENS: u64 = 1 << 30;

impl Counts {
    /// Input stands there without what the cache took (recorded so of Claude and of Nova), here with it. Should a model
    /// count it in, the total shows it.
    pub(super) fn usage(&self) -> Usage {
        let count = |of: &Value| of.as_u64().filter(|count| *count <= MOST_TOKENS).unwrap_or(0);
        let (input, output) = (count(&self.input_tokens), count(&self.output_tokens));
        let (read, written) = (count(&self.cache_read_input_tokens), count(&self.cache_write_input_tokens));
        let is_long = |part: &&Value| part.get("ttl").and_then(Value::as_str) == Some("1h");
        let details = self.cache_details.as_array().map_or(&[][..], Vec::as_slice);
        let long = details.iter().filter(is_long).filter_map(|part| part.get("inputTokens")).map(count).sum();
        let within = count(&self.total_tokens) == input + output && input >= read + written;
        Usage {
            input: if within { input } else { input + read + written },
            cached_input: read,
            written_input: written,
            written_long: written.min(long),
            output,
            ..Usage::default()
        }
    }
}

/// The text that ended the answer, if the request asked for it (as requests written here do) and the model is
/// Anthropic's.
pub(super) fn stop_text(additional: Option<&Value>) -> Option<String> {
    additional?.get("stop_sequence")?.as_str().map(str::to_owned)
}

/// What a reason to stop means.
pub(super) fn finish(word: &str, stop_text: Option<String>) -> Finish {
    match word {
        "end_turn" => Finish::Stop,
        "tool_use" => Finish::Calls,
        "max_tokens" => Finish::Length,
        "stop_sequence" => Finish::StopText(stop_text),
        "content_filtered" | "guardrail_intervened" => Finish::Filtered,
        "malformed_model_output" | "malformed_tool_use" => Finish::Malformed,
        "model_context_window_exceeded" => Finish::Context,
        // Anthropic's word; Bedrock has none of its own.
        "refusal" => Finish::Refused,
        other => Finish::other(Dialect::Converse, other),
    }
}

/// The word for it.
fn reason(finish: &Finish) -> &str {
    match finish {
        Finish::Other(own) if own.dialect == Dialect::Converse => &own.value,
        Finish::Stop | Finish::Paused | Finish::Other(_) => "end_turn",
        Finish::StopText(_) => "stop_sequence",
        Finish::Length => "max_tokens",
        Finish::Context => "model_context_window_exceeded",
        Finish::Calls => "tool_use",
        Finish::Filtered | Finish::Refused => "content_filtered",
        Finish::Malformed => "malformed_tool_use",
    }
}

/// Writes a whole answer: its first choice, for there is but one. What cannot be said (media without bytes) is left
/// out. Of an answer that failed the error.
pub fn write_answer(answer: &Answer) -> Value {
    if let Some(failed) = &answer.failed {
        return json!({ "message": failed.message });
    }
    let mut body: Map<String, Value> =
        answer.extra.fields(Dialect::Converse).map(|(name, value)| (name.clone(), value.clone())).collect();
    let mut content = Vec::new();
    if let Some(choice) = answer.choices.first() {
        let mut blocks = Blocks::answered();
        for piece in &choice.pieces {
            let _ = blocks.write(std::slice::from_ref(piece), &mut content);
        }
        if let Some(finish) = &choice.finish {
            body.entry("stopReason").or_insert_with(|| reason(finish).into());
        }
        if let Some(Finish::StopText(Some(text))) = &choice.finish {
            body.entry("additionalModelResponseFields").or_insert_with(|| json!({ "stop_sequence": text }));
        }
    }
    body.insert("output".to_owned(), json!({ "message": { "role": "assistant", "content": content } }));
    if let Some(usage) = answer.usage {
        write_usage(usage, &mut body);
    }
    if let Some(tier) = answer.service_tier.as_ref().and_then(|tier| given_tier(tier, Dialect::Converse)) {
        body.insert("serviceTier".to_owned(), json!({ "type": tier }));
    }
    Value::Object(body)
}

fn write_usage(usage: Usage, body: &mut Map<String, Value>) {
    let mut counts = request::part(body, "usage");
    let input = usage.input.saturating_sub(usage.cached_input).saturating_sub(usage.written_input);
    let values = [input, usage.output, usage.total(), usage.cached_input, usage.written_input];
    for (name, value) in COUNTED.into_iter().zip(values) {
        counts.insert(name.to_owned(), value.into());
    }
    body.insert("usage".to_owned(), Value::Object(counts));
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
