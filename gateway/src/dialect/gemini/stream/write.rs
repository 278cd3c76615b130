//! Writing a stream.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::frame::{Frames, Framing};

use crate::dialect::gemini::grounding::{self, Cited};
use crate::dialect::gemini::part::{self, Context, proof, text_part};
use crate::dialect::gemini::{carry, finish, logprobs};
use crate::dialect::json::{push_string, push_value};
use crate::dialect::talk::carry::Parcel;
use crate::dialect::talk::{Call, Citation, Delta, Event, Finish, Opening, Own, Part, Piece};

/// Writes a stream.
pub struct Writer {
    frames: Frames,
    over: bool,
    open: Vec<Open>,
    /// Bytes of text that each choice has said in pieces that are complete.
    said: HashMap<u64, usize>,
    finished: Vec<(u64, Finish)>,
}

/// A piece that is being written.
struct Open {
    choice: u64,
    piece: usize,
    kind: Kind,
    text: String,
    signature: Option<Own<String>>,
    /// Reasoning that is told only encrypted, and its id.
    encrypted: Option<Own<String>>,
    id: Option<String>,
    citations: Vec<Citation>,
    /// The summary that is being told.
    summary: Option<usize>,
}

enum Kind {
    Text,
    Thought,
    Call(Call),
    /// It was written when it began.
    Whole,
}

/// Content where there is none: clients look into the first part of the first candidate without asking.
const NOTHING: &[u8] = br#""content":{"parts":[{"text":""}],"role":"model"}"#;

impl Writer {
    /// Writes in this framing.
    pub fn new(framing: Framing) -> Writer {
        let frames = Frames::new(framing);
        Writer { frames, over: false, open: Vec::new(), said: HashMap::new(), finished: Vec::new() }
    }

    /// Appends the bytes that say `event`. Text goes out as it comes, a call when it is complete; why the answer ended
    /// goes out with [`Event::Done`], as Google's last event has it, beside the usage.
    pub fn write(&mut self, event: &Event, to: &mut Vec<u8>) {
        if self.over {
            return;
        }
        match event {
            Event::Start { id, model, created, service_tier } => {
                self.frames.start(id, model, *created, service_tier.as_ref());
            }
            Event::Begin { choice, piece, opening } => self.begin(*choice, *piece, opening, to),
            Event::Delta { choice, piece, delta } => self.delta(*choice, *piece, delta, to),
            Event::End { choice, piece } => self.end(*choice, *piece, to),
            Event::Finish { choice, finish } => self.finished.push((*choice, finish.clone())),
            Event::Logprobs { choice, tokens } => {
                self.flush(to);
                self.candidate(*choice, b"\"logprobsResult\":", &logprobs::write(tokens), to);
            }
            Event::Usage(counts) => {
                self.flush(to);
                self.frames.usage = Some(*counts);
                // The last ones belong to the last event.
                if self.finished.is_empty() {
                    self.frames.event(true, to, |to| candidate(0, to, |to| to.extend_from_slice(NOTHING)));
                }
            }
            Event::Ping => self.frames.ping(to),
            Event::Failed { kind, message } => self.fail(kind, message, to),
            Event::About { service_tier, .. } => self.frames.tier(service_tier.as_ref()),
            Event::Done => self.done(to),
        }
    }

    fn begin(&mut self, choice: u64, piece: usize, opening: &Opening, to: &mut Vec<u8>) {
        let kind = match opening {
            Opening::Text | Opening::Refusal => Kind::Text,
            Opening::Reasoning { .. } => Kind::Thought,
            Opening::Call { id, name, custom, .. } => {
                Kind::Call(Call { id: id.clone(), name: name.clone(), custom: *custom, ..Call::default() })
            }
            Opening::Whole(piece) => {
                self.whole(choice, piece, to);
                Kind::Whole
            }
        };
        let id = if let Opening::Reasoning { id } = opening { id.clone() } else { None };
        let signature = if let Opening::Call { signature, .. } = opening { signature.clone() } else { None };
        self.open.push(Open {
            choice,
            piece,
            kind,
            text: String::new(),
            signature,
            encrypted: None,
            id,
            citations: Vec::new(),
            summary: None,
        });
    }

    fn delta(&mut self, choice: u64, piece: usize, delta: &Delta, to: &mut Vec<u8>) {
        let mut all = self.open.iter_mut();
        let Some(open) = all.find(|open| open.choice == choice && open.piece == piece) else { return };
        match delta {
            Delta::Text(text) => {
                let thought = matches!(open.kind, Kind::Thought);
                open.text.push_str(if thought { "" } else { text });
                self.text(choice, "", text, thought, to);
            }
            Delta::Summary(index, text) => {
                let gap = if open.summary.is_none_or(|last| last == *index) { "" } else { "\n\n" };
                open.summary = Some(*index);
                self.text(choice, gap, text, true, to);
            }
            Delta::Arguments(text) => {
                if let Kind::Call(call) = &mut open.kind {
                    call.arguments.push_str(text);
                }
            }
            Delta::Signature(part) => Own::grow(&mut open.signature, part),
            Delta::Citation(citation) => open.citations.push((**citation).clone()),
            Delta::Encrypted(part) => Own::grow(&mut open.encrypted, part),
        }
    }

    fn end(&mut self, choice: u64, piece: usize, to: &mut Vec<u8>) {
        let found = self.open.iter().position(|open| open.choice == choice && open.piece == piece);
        let Some(mut open) = found.map(|index| self.open.remove(index)) else { return };
        self.flush_one(&mut open, to);
        *self.said.entry(choice).or_default() += open.text.len();
        if let Kind::Call(mut call) = open.kind {
            call.signature = open.signature;
            self.whole(choice, &Part::Call(call).into(), to);
        }
    }

    /// Writes what belongs behind the texts so far, because something else comes now.
    fn flush(&mut self, to: &mut Vec<u8>) {
        let mut open = std::mem::take(&mut self.open);
        for open in &mut open {
            self.flush_one(open, to);
        }
        self.open = open;
    }

    fn flush_one(&mut self, open: &mut Open, to: &mut Vec<u8>) {
        let thought = matches!(open.kind, Kind::Thought);
        if !thought && !matches!(open.kind, Kind::Text) {
            return;
        }
        if let Some(signature) = take_proof(open) {
            self.parts(open.choice, vec![text_part("", thought, Some(&signature)).into()], to);
        }
        let before = self.said.get(&open.choice).copied().unwrap_or(0);
        let of = Cited { part: 0, text: &open.text, before };
        if let Some(grounding) = grounding::write(open.citations.iter().map(|citation| (of, citation))) {
            self.candidate(open.choice, b"\"groundingMetadata\":", &grounding, to);
        }
        open.citations.clear();
    }

    /// The event that comes most often, written without a detour.
    fn text(&mut self, choice: u64, gap: &str, text: &str, thought: bool, to: &mut Vec<u8>) {
        self.of_choice(choice, to, |to| {
            to.extend_from_slice(b"\"content\":{\"parts\":[{\"text\":");
            if gap.is_empty() {
                push_string(to, text)
            } else {
                push_string(to, &format!("{gap}{text}"))
            }
            to.extend_from_slice(if thought { b",\"thought\":true}" } else { b"}" });
            to.extend_from_slice(b"],\"role\":\"model\"}");
        });
    }

    fn whole(&mut self, choice: u64, piece: &Piece, to: &mut Vec<u8>) {
        let context = Context { to: None, names: HashMap::new() };
        let mut parts = Vec::new();
        // What cannot be said here, such as a file in another provider's store, is left out of an answer.
        let _ = part::write(piece, &context, &mut parts);
        if !parts.is_empty() {
            self.parts(choice, parts, to);
        }
    }

    fn parts(&mut self, choice: u64, parts: Vec<Value>, to: &mut Vec<u8>) {
        self.candidate(choice, b"\"content\":", &json!({"parts": parts, "role": "model"}), to);
    }

    fn candidate(&mut self, choice: u64, name: &[u8], value: &Value, to: &mut Vec<u8>) {
        self.of_choice(choice, to, |to| {
            to.extend_from_slice(name);
            push_value(to, value);
        });
    }

    fn of_choice(&mut self, choice: u64, to: &mut Vec<u8>, members: impl FnOnce(&mut Vec<u8>)) {
        self.frames.event(false, to, |to| candidate(choice, to, members));
    }

    fn done(&mut self, to: &mut Vec<u8>) {
        self.flush(to);
        self.finish_all();
        let candidate = |(choice, finish): &(u64, Finish)| json!({"content": {"parts": [{"text": ""}], "role": "model"}, "finishReason": finish::write(finish), "index": choice});
        let candidates: Vec<Value> = self.finished.iter().map(candidate).collect();
        self.frames.event(true, to, |to| {
            if !candidates.is_empty() {
                to.extend_from_slice(b"\"candidates\":");
                push_value(to, &candidates.into());
                to.push(b',');
            }
        });
        self.close(to);
    }

    /// Some of Chat's servers end a stream without a word for why; of Google's only that word shows that it is whole.
    fn finish_all(&mut self) {
        let mut choices: Vec<u64> = self.said.keys().copied().collect();
        choices.sort_unstable();
        choices.retain(|choice| self.finished.iter().all(|(finished, _)| finished != choice));
        if choices.is_empty() && self.finished.is_empty() {
            choices.push(0);
        }
        self.finished.extend(choices.into_iter().map(|choice| (choice, Finish::Stop)));
    }

    fn fail(&mut self, kind: &str, message: &str, to: &mut Vec<u8>) {
        self.frames.fail(kind, message, to);
        self.close(to);
    }

    fn close(&mut self, to: &mut Vec<u8>) {
        self.over = true;
        self.frames.close(to);
    }
}

/// The one candidate of an event.
fn candidate(choice: u64, to: &mut Vec<u8>, members: impl FnOnce(&mut Vec<u8>)) {
    to.extend_from_slice(b"\"candidates\":[{");
    members(to);
    to.extend_from_slice(b",\"index\":");
    to.extend_from_slice(itoa::Buffer::new().format(choice).as_bytes());
    to.extend_from_slice(b"}],");
}

/// What stands as the signature of a piece of text or of a thought: Google's own, else a parcel for the client. It is
/// told once.
fn take_proof(open: &mut Open) -> Option<String> {
    let (signature, encrypted) = (open.signature.take(), open.encrypted.take());
    if let Some(own) = signature.as_ref().and_then(proof) {
        return Some(own.to_owned());
    }
    let proven = signature.is_some() || encrypted.is_some();
    if !matches!(open.kind, Kind::Thought) || !proven {
        return None;
    }
    carry::pack(&Parcel { id: open.id.clone(), signature, encrypted, summary: open.summary.is_some() })
}
