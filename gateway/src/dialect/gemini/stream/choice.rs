//! One of the answers in a stream that is read: which of its pieces is open, and what goes on with it.

use serde_json::{Map, Value};

use super::partial::Arguments;
use crate::dialect::gemini::fields::{Fields, Path};
use crate::dialect::gemini::{finish, grounding, logprobs, part};
use crate::dialect::talk::base64::standard;
use crate::dialect::talk::{
    Call, Citation, Delta, Dialect, Event, Finish, Opening, Own, Part, Piece, Reasoning, Refused,
};

/// So many citations of a choice are remembered, and so much of its text to find their places in.
const MOST_CITATIONS: usize = 1024;
const LONGEST_TEXT: usize = 1 << 20;

/// An answer so far.
#[derive(Default)]
pub(super) struct Choice {
    pub(super) index: u64,
    /// The number of the next piece.
    next: usize,
    open: Option<Open>,
    /// Its text so far, and where the open piece of it begins: citations count in it.
    text: String,
    from: usize,
    /// It grew too long to be remembered.
    long: bool,
    cited: Vec<Citation>,
    calls: bool,
    /// Why it ended, so far as is known.
    pub(super) reason: Option<Finish>,
}

/// The piece that may be continued.
enum Open {
    /// Text or reasoning. One that was signed is not continued: Google wants signed parts back as they were.
    Text { thought: bool, signed: bool },
    /// A call whose arguments come value by value.
    Call { arguments: Arguments, signature: Option<Own<String>> },
}

impl Choice {
    pub(super) fn new(index: u64) -> Choice {
        Choice { index, ..Choice::default() }
    }

    /// Reads a candidate of one event.
    pub(super) fn read(&mut self, mut fields: Fields, at: &Path, to: &mut Vec<Event>) -> Result<(), Refused> {
        if let Some(content) = fields.take("content") {
            let here = Path::Field(at, "content");
            let parts = Path::Field(&here, "parts");
            for (index, part) in Fields::new(content, &here)?.list("parts").into_iter().enumerate() {
                self.part(part, &Path::Index(&parts, index), to)?;
            }
        }
        if let Some(reason) = fields.take("finishReason") {
            self.reason = finish::read(&reason).or(self.reason.take());
        }
        let tokens = fields.take("logprobsResult");
        self.cite(&fields.rest(), to);
        let tokens = tokens.map(|result| logprobs::read(&result)).unwrap_or_default();
        if !tokens.is_empty() {
            to.push(Event::Logprobs { choice: self.index, tokens });
        }
        Ok(())
    }

    /// Tells why it ended.
    pub(super) fn finish(&mut self, to: &mut Vec<Event>) {
        if let Some(reason) = self.reason.take() {
            let finish = finish::with_calls(reason, self.calls);
            to.push(Event::Finish { choice: self.index, finish });
        }
    }

    fn part(&mut self, part: Value, at: &Path, to: &mut Vec<Event>) -> Result<(), Refused> {
        let call = part.get("functionCall").or_else(|| part.get("function_call"));
        if let Some(call) = call.filter(|call| self.partial(call)) {
            let signature = part.get("thoughtSignature").and_then(Value::as_str);
            return self.partial_call(call, signature, at, to);
        }
        let piece = part::read(part, at)?;
        match piece.part {
            Part::Text { text, signature, .. } => self.text(false, text, signature, to),
            Part::Reasoning(thought) => self.thought(thought, to),
            Part::Call(call) => self.call(call, to),
            _ => self.whole(piece, to),
        }
        Ok(())
    }

    /// Begins a piece behind the open one, and gives its number.
    fn begin(&mut self, opening: Opening, to: &mut Vec<Event>) -> usize {
        self.close(to);
        let piece = self.next;
        self.next += 1;
        to.push(Event::Begin { choice: self.index, piece, opening });
        piece
    }

    /// More of the piece that began last.
    fn delta(&self, delta: Delta, to: &mut Vec<Event>) {
        to.push(Event::Delta { choice: self.index, piece: self.next.saturating_sub(1), delta });
    }

    /// Ends the open piece.
    pub(super) fn close(&mut self, to: &mut Vec<Event>) {
        let Some(open) = self.open.take() else { return };
        if let Open::Call { arguments, signature } = open {
            self.delta(Delta::Arguments(arguments.text()), to);
            if let Some(signature) = signature {
                self.delta(Delta::Signature(signature), to);
            }
        }
        to.push(Event::End { choice: self.index, piece: self.next.saturating_sub(1) });
    }

    /// Text or a thought goes on in the open piece if that is of its kind. A signature may come behind its text, with
    /// an empty one.
    fn text(&mut self, thought: bool, text: String, signature: Option<Own<String>>, to: &mut Vec<Event>) {
        if text.is_empty() && signature.is_none() {
            return;
        }
        let goes_on =
            matches!(self.open, Some(Open::Text { thought: open, signed: false }) if open == thought);
        if !goes_on {
            self.begin(if thought { Opening::Reasoning { id: None } } else { Opening::Text }, to);
            self.from = self.text.len();
        }
        if !thought {
            self.remember(&text);
        }
        if !text.is_empty() {
            self.delta(Delta::Text(text), to);
        }
        self.open = Some(Open::Text { thought, signed: signature.is_some() });
        if let Some(signature) = signature {
            self.delta(Delta::Signature(signature), to);
        }
    }

    /// A thought; what our own writer has put into a parcel comes out of it.
    fn thought(&mut self, thought: Reasoning, to: &mut Vec<Event>) {
        let carried = thought.encrypted;
        let text = if thought.text.is_empty() { thought.summary.concat() } else { thought.text };
        self.text(true, text, thought.signature, to);
        let Some(encrypted) = carried else { return };
        if !matches!(self.open, Some(Open::Text { thought: true, .. })) {
            self.begin(Opening::Reasoning { id: thought.id }, to);
        }
        self.open = Some(Open::Text { thought: true, signed: true });
        self.delta(Delta::Encrypted(encrypted), to);
    }

    fn remember(&mut self, text: &str) {
        self.long |= self.text.len() + text.len() > LONGEST_TEXT;
        if self.long {
            self.text = String::new();
        } else {
            self.text.push_str(text);
        }
    }

    fn call(&mut self, call: Call, to: &mut Vec<Event>) {
        self.calls = true;
        let Call { id, name, arguments, custom, signature } = call;
        let piece = self.begin(Opening::Call { id, name, custom, signature }, to);
        self.delta(Delta::Arguments(arguments), to);
        to.push(Event::End { choice: self.index, piece });
    }

    fn whole(&mut self, piece: Piece, to: &mut Vec<Event>) {
        let piece = self.begin(Opening::Whole(Box::new(piece)), to);
        to.push(Event::End { choice: self.index, piece });
    }

    /// Does this call come in steps, or end one that does?
    fn partial(&self, call: &Value) -> bool {
        let steps = ["willContinue", "partialArgs"].iter().any(|name| call.get(*name).is_some());
        steps || matches!(self.open, Some(Open::Call { .. })) && call.get("name").is_none()
    }

    /// The first step names the tool, those between bring values, one that does not continue is the last.
    fn partial_call(
        &mut self,
        call: &Value,
        signature: Option<&str>,
        at: &Path,
        to: &mut Vec<Event>,
    ) -> Result<(), Refused> {
        let text = |name: &str| call.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let mut signature = signature.map(|proof| Own::new(Dialect::Gemini, standard(proof.to_owned())));
        if !matches!(self.open, Some(Open::Call { .. })) || call.get("name").is_some() {
            self.calls = true;
            let opening = Opening::Call {
                id: text("id"),
                name: text("name"),
                custom: false,
                signature: signature.take(),
            };
            self.begin(opening, to);
            self.open = Some(Open::Call { arguments: Arguments::default(), signature: None });
        }
        if let Some(Open::Call { arguments, signature: of }) = &mut self.open {
            if let Some(Value::Object(args)) = call.get("args") {
                arguments.set(args.clone());
            }
            let steps =
                call.get("partialArgs").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            for step in steps {
                arguments.add(step).ok_or_else(|| at.refuse("has a partial argument that fits nowhere"))?;
            }
            *of = signature.or(of.take());
        }
        if call.get("willContinue").and_then(Value::as_bool) != Some(true) {
            self.close(to);
        }
        Ok(())
    }

    /// Sources come last, sometimes again and again. They are told with the open text, or with one begun for them.
    fn cite(&mut self, left: &Map<String, Value>, to: &mut Vec<Event>) {
        for found in grounding::read(left) {
            let known = self.cited.iter().any(|cited| cited.original == found.citation.original);
            if known || self.cited.len() == MOST_CITATIONS {
                continue;
            }
            if !matches!(self.open, Some(Open::Text { thought: false, .. })) {
                self.begin(Opening::Text, to);
                self.from = self.text.len();
                self.open = Some(Open::Text { thought: false, signed: false });
            }
            let (before, here) = self.text.split_at_checked(self.from).unwrap_or_default();
            let Some((piece, mut citation)) = found.place(&[(0, before), (1, here)]) else { continue };
            citation.range = citation.range.filter(|_| piece == 1);
            self.cited.push(citation.clone());
            self.delta(Delta::Citation(Box::new(citation)), to);
        }
    }
}
