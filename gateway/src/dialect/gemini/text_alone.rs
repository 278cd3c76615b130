//! An answer that is one text, as nearly all are, written straight: a map would only be made to be written.

use super::{finish, time};
use crate::dialect::json::{Object, push_string};
use crate::dialect::talk::tier::given_tier;
use crate::dialect::talk::{Answer, Choice, Dialect};

/// Appends an answer that says no more than this text: what [`write_answer`](super::write_answer) writes of it.
pub(in crate::dialect) fn push_text(answer: &Answer, choice: &Choice, text: &str, out: &mut Vec<u8>) {
    let mut to = Object::new(out);
    push_candidate(choice, text, to.name("candidates"));
    push_usage(answer, &mut to);
    if let Some(moment) = answer.created.and_then(time::text) {
        to.text("createTime", &moment);
    }
    for (name, text) in [("modelVersion", &answer.model), ("responseId", &answer.id)] {
        if !text.is_empty() {
            to.text(name, text);
        }
    }
    to.end();
}

fn push_candidate(choice: &Choice, text: &str, out: &mut Vec<u8>) {
    out.push(b'[');
    let mut to = Object::new(out);
    let content = to.name("content");
    content.extend_from_slice(br#"{"role":"model","parts":[{"text":"#);
    push_string(content, text);
    content.extend_from_slice(b"}]}");
    to.number("index", choice.index);
    if let Some(finish) = &choice.finish {
        to.text("finishReason", finish::write(finish));
    }
    to.end();
    out.push(b']');
}

fn push_usage(answer: &Answer, to: &mut Object<'_>) {
    let tier = answer.service_tier.as_ref().and_then(|tier| given_tier(tier, Dialect::Gemini));
    if answer.usage.is_none() && tier.is_none() {
        return;
    }
    let mut to = Object::new(to.name("usageMetadata"));
    if let Some(usage) = answer.usage {
        to.number("promptTokenCount", usage.input);
        to.number("candidatesTokenCount", usage.output.saturating_sub(usage.reasoning));
        to.number("totalTokenCount", usage.input.saturating_add(usage.output));
        for (name, count) in
            [("cachedContentTokenCount", usage.cached_input), ("thoughtsTokenCount", usage.reasoning)]
        {
            if count > 0 {
                to.number(name, count);
            }
        }
    }
    if let Some(tier) = tier {
        to.text("serviceTier", tier);
    }
    to.end();
}

#[cfg(test)]
mod tests {
    use super::super::write_answer;
    use super::*;
    use crate::dialect::talk::answer::tests::texts_alone;

    /// Broken on purpose to see it fail: `createTime`, the tier and `index` left out.
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
