//! `usage`.

use serde_json::{Value, json};

use crate::dialect::json::Cursor;
use crate::dialect::openai::answer::Usage;
use crate::dialect::responses::fields::Fields;

/// Reads `usage`, and what it says beyond tokens (costs, tools that the provider ran).
pub(in crate::dialect::responses) fn read_usage(usage: Value) -> (Option<Usage>, Fields) {
    let text = usage.to_string();
    let read = Usage::read(&mut Cursor::new(text.as_bytes())).flatten();
    let Value::Object(mut rest) = usage else { return (None, Fields::new()) };
    for known in
        ["input_tokens", "output_tokens", "total_tokens", "input_tokens_details", "output_tokens_details"]
    {
        rest.remove(known);
    }
    (read, rest)
}

/// Writes `usage`; `rest` is what it says beyond tokens.
pub(in crate::dialect::responses) fn write_usage(usage: Usage, rest: Option<&Fields>) -> Value {
    let input = json!({"cached_tokens": usage.cached_input, "cache_write_tokens": usage.written_input});
    let mut out = rest.cloned().unwrap_or_default();
    out.insert("input_tokens".to_owned(), usage.input.into());
    out.insert("input_tokens_details".to_owned(), input);
    out.insert("output_tokens".to_owned(), usage.output.into());
    out.insert("output_tokens_details".to_owned(), json!({"reasoning_tokens": usage.reasoning}));
    out.insert("total_tokens".to_owned(), usage.total().into());
    Value::Object(out)
}
