//! The block that is being written. It begins with its first words, not before: an empty block of text, which a client
//! would send back, is one that Anthropic refuses, and what kind a block is may show only then.

use serde_json::{Map, Value, json};

use super::super::answer::{write_block, write_citation};
use super::super::block::{block, text_block};
use super::super::ids;
use super::frame;
use crate::dialect::json::push_string;
use crate::dialect::talk::carry::{Parcel, signed_id};
use crate::dialect::talk::{Delta, Dialect, Opening, Own, Piece};

/// A block that is being written.
#[derive(Debug)]
pub(super) struct Open {
    /// Its index, once it has begun.
    index: Option<usize>,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// Text, or a refusal, which Anthropic's models say in a text.
    Text,
    Reasoning(Reasoning),
    Call(Call),
    /// What has come whole and is written.
    Whole,
}

#[derive(Debug, Default)]
struct Reasoning {
    id: Option<String>,
    /// The summary that was last added to.
    summary: Option<usize>,
    told: bool,
    signed: bool,
    /// Of providers whose signatures Anthropic's clients would not know for theirs: it goes along in a parcel.
    signature: Option<Own<String>>,
    encrypted: Option<Own<String>>,
}

#[derive(Debug)]
struct Call {
    id: String,
    name: String,
    custom: bool,
    signature: Option<Own<String>>,
    /// Arguments that are not written. The first part waits for the second or the end: the signature, which goes into the
    /// id, may come behind a call that comes in one part (Gemini).
    held: String,
}

impl Open {
    /// Piece `piece` of the answer `answer` begins.
    pub(super) fn new(
        opening: &Opening,
        answer: &str,
        piece: usize,
        blocks: &mut usize,
        to: &mut Vec<u8>,
    ) -> Open {
        let kind = match opening {
            Opening::Text | Opening::Refusal => Kind::Text,
            Opening::Reasoning { id } => {
                Kind::Reasoning(Reasoning { id: id.clone(), ..Reasoning::default() })
            }
            Opening::Call { id, name, custom, signature } => {
                let id = if id.is_empty() { ids::answer_id(answer, piece) } else { id.clone() };
                let (signature, held) = (signature.clone(), String::new());
                Kind::Call(Call { id, name: name.clone(), custom: *custom, signature, held })
            }
            Opening::Whole(whole) => {
                push_whole(whole, answer, piece, blocks, to);
                Kind::Whole
            }
        };
        Open { index: None, kind }
    }

    /// More of it.
    pub(super) fn delta(&mut self, delta: &Delta, blocks: &mut usize, to: &mut Vec<u8>) {
        match (&mut self.kind, delta) {
            (Kind::Text, Delta::Text(text)) if !text.is_empty() => {
                let index = begin(&mut self.index, blocks, to, || text_block("", Vec::new()));
                frame::push_delta(to, index, "text_delta", "text", text);
            }
            (Kind::Text, Delta::Citation(citation)) => {
                let Some(citation) = write_citation(citation) else { return };
                let index = begin(&mut self.index, blocks, to, || text_block("", Vec::new()));
                let delta = json!({"type": "citations_delta", "citation": citation});
                let data = json!({"type": "content_block_delta", "index": index, "delta": delta});
                frame::push(to, "content_block_delta", &data);
            }
            (Kind::Reasoning(reasoning), delta) => reasoning.delta(delta, &mut self.index, blocks, to),
            (Kind::Call(call), Delta::Signature(more)) => Own::grow(&mut call.signature, more),
            (Kind::Call(call), Delta::Arguments(text)) if !text.is_empty() => {
                if !call.held.is_empty() {
                    call.flush(&mut self.index, blocks, to);
                }
                call.held.push_str(text);
                if self.index.is_some() {
                    call.flush(&mut self.index, blocks, to);
                }
            }
            _ => {}
        }
    }

    /// It is complete.
    pub(super) fn end(mut self, blocks: &mut usize, to: &mut Vec<u8>) {
        match &mut self.kind {
            Kind::Reasoning(reasoning) => reasoning.end(&mut self.index, blocks, to),
            Kind::Call(call) => {
                // Some models write it for no arguments, which here are no text.
                if self.index.is_none() && !call.custom && call.held.trim() == "null" {
                    call.held.clear();
                }
                let index = call.flush(&mut self.index, blocks, to);
                if call.custom {
                    frame::push_delta(to, index, "input_json_delta", "partial_json", "\"}");
                }
            }
            Kind::Text | Kind::Whole => {}
        }
        if let Some(index) = self.index {
            frame::push_stop(to, index);
        }
    }
}

impl Reasoning {
    fn delta(&mut self, delta: &Delta, index: &mut Option<usize>, blocks: &mut usize, to: &mut Vec<u8>) {
        match delta {
            Delta::Text(text) if !text.is_empty() => {
                self.told = true;
                let index = begin(index, blocks, to, thinking);
                frame::push_delta(to, index, "thinking_delta", "thinking", text);
            }
            Delta::Summary(nth, text) if !text.is_empty() => {
                let gap = if self.summary.is_some_and(|last| last != *nth) { "\n\n" } else { "" };
                self.summary = Some(*nth);
                let index = begin(index, blocks, to, thinking);
                frame::push_delta(to, index, "thinking_delta", "thinking", &format!("{gap}{text}"));
            }
            Delta::Signature(part) => match part.proof_for(Dialect::Messages) {
                Some("") => {}
                Some(signature) => {
                    self.signed = true;
                    let index = begin(index, blocks, to, thinking);
                    frame::push_delta(to, index, "signature_delta", "signature", signature);
                }
                None => Own::grow(&mut self.signature, part),
            },
            Delta::Encrypted(part) => Own::grow(&mut self.encrypted, part),
            _ => {}
        }
    }

    /// Encrypted reasoning of Anthropic's has a block of its own; that of others goes along as the signature, which clients
    /// give back.
    fn end(&mut self, index: &mut Option<usize>, blocks: &mut usize, to: &mut Vec<u8>) {
        let own = self.encrypted.as_ref().and_then(|sealed| sealed.proof_for(Dialect::Messages));
        if let (Some(data), None) = (own, *index) {
            begin(index, blocks, to, || block("redacted_thinking", [("data", json!(data))]));
            return;
        }
        let proven = self.signature.is_some() || self.encrypted.is_some();
        let parcel = Parcel {
            id: self.id.take(),
            signature: self.signature.take(),
            encrypted: self.encrypted.take(),
            summary: !self.told && self.summary.is_some(),
        };
        if !self.signed && !parcel.is_empty() && (index.is_some() || proven) {
            let index = begin(index, blocks, to, thinking);
            frame::push_delta(to, index, "signature_delta", "signature", &parcel.pack());
        }
    }
}

impl Call {
    /// Begins the block if it has not, and writes what is held of the input.
    fn flush(&mut self, index: &mut Option<usize>, blocks: &mut usize, to: &mut Vec<u8>) -> usize {
        let begun = index.is_some();
        let index = begin(index, blocks, to, || {
            let id = signed_id(&self.id, self.signature.as_ref());
            block("tool_use", [("id", json!(id)), ("name", json!(self.name)), ("input", json!({}))])
        });
        let mut text = std::mem::take(&mut self.held);
        if self.custom {
            text = escaped(&text, begun);
        }
        if !text.is_empty() {
            frame::push_delta(to, index, "input_json_delta", "partial_json", &text);
        }
        index
    }
}

/// A part of the text that a custom tool takes, inside of `{"input":"..."}`, which begins with the first part.
fn escaped(text: &str, begun: bool) -> String {
    let mut quoted = Vec::with_capacity(text.len() + 16);
    push_string(&mut quoted, text);
    let quoted = String::from_utf8_lossy(&quoted);
    let inner = quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default();
    if begun { inner.to_owned() } else { format!("{{\"input\":\"{inner}") }
}

fn thinking() -> Map<String, Value> {
    block("thinking", [("thinking", json!("")), ("signature", json!(""))])
}

/// The index of the block, which begins now if it has not.
fn begin(
    index: &mut Option<usize>,
    blocks: &mut usize,
    to: &mut Vec<u8>,
    block: impl FnOnce() -> Map<String, Value>,
) -> usize {
    if let Some(index) = *index {
        return index;
    }
    let mine = *blocks;
    *blocks += 1;
    *index = Some(mine);
    frame::push_start(to, mine, block());
    mine
}

/// A block that has come whole. The words of text and the input of a server's tool are what clients expect in deltas; all
/// else stands in the block's beginning.
fn push_whole(piece: &Piece, answer: &str, nth: usize, blocks: &mut usize, to: &mut Vec<u8>) {
    let Some(mut map) = write_block(piece, answer, nth) else { return };
    let index = *blocks;
    *blocks += 1;
    let kind = map.get("type").and_then(Value::as_str).unwrap_or_default();
    let delta = match kind {
        "text" => Some(("text", "text_delta", "text", json!(""))),
        _ if map.get("input").is_some_and(Value::is_object) => {
            Some(("input", "input_json_delta", "partial_json", json!({})))
        }
        _ => None,
    };
    let words =
        delta.as_ref().and_then(|(field, _, _, empty)| map.insert((*field).to_owned(), empty.clone()));
    frame::push_start(to, index, map);
    if let (Some((_, kind, name, _)), Some(words)) = (delta, words) {
        let words = words.as_str().map_or_else(|| words.to_string(), str::to_owned);
        frame::push_delta(to, index, kind, name, &words);
    }
    frame::push_stop(to, index);
}
