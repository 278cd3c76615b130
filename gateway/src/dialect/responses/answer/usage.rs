//! `usage`.

use serde_json::Value;

use crate::dialect::json::{Cursor, Object};
use crate::dialect::openai::answer::Usage;
use crate::dialect::responses::fields::Fields;

/// Reads `usage`, and what it says beyond tokens (costs, tools that the provider ran).
pub(in crate::dialect::responses) fn read_usage(usage: Value) -> (Option<Usage>, Fields) {
    let text = usage.to_string();
    let read = Usage::read(&mut Cursor::new(text.as_bytes())).flatten();
    let Value::Object(mut beyond) = usage else { return (None, Fields::new()) };
    for known in
        ["input_tokens", "output_tokens", "total_tokens", "input_tokens_details", "output_tokens_details"]
    {
        beyond.remove(known);
    }
    (read, beyond)
}

/// Appends `usage`; `beyond` is what it says beyond tokens.
pub(super) fn push_usage(usage: Usage, beyond: Option<&Fields>, out: &mut Vec<u8>) {
    let mut to = Object::new(out);
    to.number("input_tokens", usage.input);
    let mut input = Object::new(to.name("input_tokens_details"));
    input.number("cached_tokens", usage.cached_input);
    input.number("cache_write_tokens", usage.written_input);
    input.end();
    to.number("output_tokens", usage.output);
    let mut output = Object::new(to.name("output_tokens_details"));
    output.number("reasoning_tokens", usage.reasoning);
    output.end();
    to.number("total_tokens", usage.total());
    beyond.into_iter().flatten().for_each(|(name, value)| to.value(name, value));
    to.end();
}
