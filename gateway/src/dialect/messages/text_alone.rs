//! An answer that is one text, as nearly all are, written straight: a map would only be made to be written.

use super::answer::write_finish;
use super::usage::fresh;
use crate::dialect::json::{Object, push_string};
use crate::dialect::talk::tier::given_tier;
use crate::dialect::talk::{Answer, Choice, Dialect};

/// Appends an answer that says no more than this text: what [`write_answer`](super::write_answer) writes of it.
pub(in crate::dialect) fn push_text(answer: &Answer, choice: &Choice, text: &str, out: &mut Vec<u8>) {
    let mut to = Object::new(out);
    to.text("id", &answer.id);
    to.json("type", r#""message""#);
    to.json("role", r#""assistant""#);
    to.text("model", &answer.model);
    let content = to.name("content");
    content.extend_from_slice(br#"[{"type":"text","text":"#);
    push_string(content, text);
    content.extend_from_slice(b"}]");
    let (reason, stop) = write_finish(choice.finish.as_ref(), false, false);
    to.text("stop_reason", &reason);
    match stop {
        Some(stop) => to.text("stop_sequence", &stop),
        None => to.json("stop_sequence", "null"),
    }
    push_usage(answer, to.name("usage"));
    to.end();
}

fn push_usage(answer: &Answer, out: &mut Vec<u8>) {
    let usage = answer.usage.unwrap_or_default();
    let mut to = Object::new(out);
    to.number("input_tokens", fresh(usage));
    to.number("cache_creation_input_tokens", usage.written_input);
    to.number("cache_read_input_tokens", usage.cached_input);
    to.number("output_tokens", usage.output);
    if usage.reasoning > 0 {
        let mut details = Object::new(to.name("output_tokens_details"));
        details.number("thinking_tokens", usage.reasoning);
        details.end();
    }
    if let Some(tier) = answer.service_tier.as_ref().and_then(|tier| given_tier(tier, Dialect::Messages)) {
        to.text("service_tier", tier);
    }
    to.end();
}

#[cfg(test)]
mod tests {
    use super::super::write_answer;
    use super::*;
    use crate::dialect::talk::answer::tests::texts_alone;

    /// Broken on purpose to see it fail: `stop_sequence`, the tier and the tokens of thinking left out.
    #[test]
    fn a_text_alone_is_written_as_any_other_answer() {
        for answer in texts_alone() {
            let (choice, text) = answer.text_alone().unwrap();
            let mut out = Vec::new();
            push_text(&answer, choice, text, &mut out);
            let written: serde_json::Value = serde_json::from_slice(&out).unwrap();
            assert_eq!(written, write_answer(&answer), "{answer:?}");
        }
    }
}
