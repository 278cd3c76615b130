//! What is added to pieces.

use serde_json::json;

use super::super::super::reasoning::format_of;
use super::super::super::{calls, message};
use super::{Open, Writer, push_member};
use crate::dialect::json::push_string;
use crate::dialect::talk::{Citation, Delta, Own};

impl Writer {
    pub(super) fn delta(&mut self, index: u64, piece: usize, delta: &Delta, to: &mut Vec<u8>) {
        let at = self.choice(index);
        let Some(choice) = self.choices.get_mut(at) else { return };
        let (chars, details) = (choice.chars, choice.details);
        let Some((_, open)) = choice.open.iter_mut().rev().find(|(open, _)| *open == piece) else { return };
        match (open, delta) {
            (Open::Text(_), Delta::Text(text)) => {
                choice.chars += text.chars().count() as u64;
                self.text(index, to, "content", text);
            }
            (Open::Text(from), Delta::Citation(citation)) => {
                let from = *from;
                self.citation(index, citation, (from, chars), to);
            }
            (Open::Text(_), Delta::Signature(said)) => self.sign(index, None, said, to),
            (Open::Refusal, Delta::Text(text)) => self.text(index, to, "refusal", text),
            (Open::Call { index: number, custom, empty }, Delta::Arguments(text)) => {
                *empty &= text.is_empty();
                let (number, custom) = (*number, *custom);
                self.arguments(index, number, custom, text, to);
            }
            (Open::Call { index: number, .. }, Delta::Signature(said)) => {
                let number = *number;
                self.sign(index, Some(number), said, to);
            }
            (Open::Reasoning { id, index: number, summary }, delta) => {
                if is_next(summary, delta) {
                    *number = details;
                    choice.details += 1;
                }
                let (id, number) = (id.clone(), *number);
                self.thought(index, id.as_deref(), number, delta, to);
            }
            _ => {}
        }
    }

    /// Google's signature of the text, or of a call.
    fn sign(&mut self, index: u64, call: Option<usize>, said: &Own<String>, to: &mut Vec<u8>) {
        match (calls::extra_content(said), call) {
            (None, _) => {}
            (Some(signed), None) => self.member(index, to, "extra_content", &signed),
            (Some(signed), Some(number)) => {
                self.member(index, to, "tool_calls", &json!([{"index": number, "extra_content": signed}]));
            }
        }
    }

    fn citation(&mut self, index: u64, citation: &Citation, range: (u64, u64), to: &mut Vec<u8>) {
        if let Some(annotation) = message::write_citation(citation, range) {
            self.member(index, to, "annotations", &vec![annotation].into());
        }
    }

    pub(super) fn arguments(
        &mut self,
        index: u64,
        number: usize,
        custom: bool,
        text: &str,
        to: &mut Vec<u8>,
    ) {
        let (kind, name) = if custom { ("custom", "input") } else { ("function", "arguments") };
        self.chunk(index, to, b"null", |to| {
            to.extend_from_slice(b"\"tool_calls\":[{\"index\":");
            to.extend_from_slice(number.to_string().as_bytes());
            to.push(b',');
            push_string(to, kind);
            to.extend_from_slice(b":{");
            push_member(to, name, text);
            to.extend_from_slice(b"}}]");
        });
    }

    /// Reasoning is told twice, as text for those who show it, and in details as OpenRouter does, for those who send it
    /// back: only there a signature has its text, and a piece its bounds.
    fn thought(&mut self, index: u64, id: Option<&str>, number: usize, delta: &Delta, to: &mut Vec<u8>) {
        let (kind, name, text, format) = match delta {
            Delta::Text(text) => ("reasoning.text", "text", text, None),
            Delta::Summary(_, text) => ("reasoning.summary", "summary", text, None),
            Delta::Signature(proof) => ("reasoning.text", "signature", &proof.value, format_of(proof)),
            Delta::Encrypted(proof) => ("reasoning.encrypted", "data", &proof.value, format_of(proof)),
            Delta::Arguments(_) | Delta::Citation(_) => return,
        };
        self.chunk(index, to, b"null", |to| {
            if matches!(name, "text" | "summary") {
                push_member(to, "reasoning_content", text);
                to.push(b',');
            }
            to.extend_from_slice(b"\"reasoning_details\":[{");
            push_member(to, "type", kind);
            to.push(b',');
            push_member(to, name, text);
            for (name, value) in [("id", id), ("format", format)] {
                if let Some(value) = value {
                    to.push(b',');
                    push_member(to, name, value);
                }
            }
            to.extend_from_slice(b",\"index\":");
            to.extend_from_slice(number.to_string().as_bytes());
            to.extend_from_slice(b"}]");
        });
    }
}

/// Does a further summary begin? Each is a detail of its own.
fn is_next(summary: &mut usize, delta: &Delta) -> bool {
    match delta {
        Delta::Summary(which, _) => *which > std::mem::replace(summary, *which),
        _ => false,
    }
}
