//! Reasoning in this dialect's many shapes: `reasoning_content` (DeepSeek, vLLM, xAI), `reasoning` with
//! `reasoning_details` (OpenRouter), `thinking` parts of `content` (Mistral).

use serde_json::{Value, json};

use super::fields::{Fields, extra, mark, put};
use crate::dialect::talk::{Dialect, Extra, Own, Part, Piece, Reasoning};

/// Under which name a [`Part::Foreign`] keeps a detail of an unknown kind.
const DETAIL: &str = "reasoning_detail";

/// OpenRouter's names for whose signatures and encryptions they are.
const FORMATS: [(&str, Dialect); 4] = [
    ("anthropic-claude-v1", Dialect::Messages),
    ("anthropic-claude-v1", Dialect::Converse),
    ("openai-responses-v1", Dialect::Responses),
    ("google-gemini-v1", Dialect::Gemini),
];

/// What proves a detail, by its `format`; of other formats only providers of this dialect know what to do with it.
pub(super) fn proof(format: Option<&str>, value: String) -> Own<String> {
    let known = FORMATS.iter().find(|(name, _)| Some(*name) == format);
    Own::new(known.map_or(Dialect::Chat, |(_, dialect)| *dialect), value)
}

/// The `format` of a proof; none of one that this dialect has made.
pub(super) fn format_of(proof: &Own<String>) -> Option<&'static str> {
    FORMATS.iter().find(|(_, dialect)| *dialect == proof.dialect).map(|(name, _)| *name)
}

/// Reads `reasoning_details`.
pub(super) fn read_details(details: Vec<Value>) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut open: Option<Open> = None;
    for detail in details {
        let Some(detail) = Detail::of(detail) else { continue };
        match (detail.kind, open.as_mut()) {
            (Kind::Foreign, _) => {
                pieces.extend(open.take().map(Open::close));
                let kept = Fields::from_iter([(DETAIL.to_owned(), Value::Object(detail.rest))]);
                pieces.push(Part::Foreign(Dialect::Chat, Value::Object(kept)).into());
            }
            (_, Some(piece)) if piece.takes(&detail) => piece.add(detail),
            _ => {
                pieces.extend(open.take().map(Open::close));
                let mut piece = Open::default();
                piece.add(detail);
                open = Some(piece);
            }
        }
    }
    pieces.extend(open.map(Open::close));
    pieces
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Summary,
    Encrypted,
    Foreign,
}

/// An entry of `reasoning_details`: what it says, and the rest of it.
struct Detail {
    kind: Kind,
    text: String,
    signature: Option<String>,
    rest: Fields,
}

impl Detail {
    fn of(detail: Value) -> Option<Detail> {
        let Value::Object(mut rest) = detail else { return None };
        let (kind, name) = match rest.get("type").and_then(Value::as_str) {
            Some("reasoning.text") => (Kind::Text, "text"),
            Some("reasoning.summary") => (Kind::Summary, "summary"),
            Some("reasoning.encrypted") => (Kind::Encrypted, "data"),
            _ => return Some(Detail { kind: Kind::Foreign, text: String::new(), signature: None, rest }),
        };
        let text = string(rest.remove(name)).unwrap_or_default();
        let signature = if kind == Kind::Text { string(rest.remove("signature")) } else { None };
        Some(Detail { kind, text, signature, rest })
    }

    fn said(&self, name: &str) -> Option<&Value> {
        self.rest.get(name).filter(|value| !value.is_null())
    }
}

fn string(value: Option<Value>) -> Option<String> {
    match value {
        Some(Value::String(text)) if !text.is_empty() => Some(text),
        _ => None,
    }
}

/// A piece of reasoning in the making. One piece of others is several details here: OpenAI's summary and its encrypted
/// form; and clients that put a stream's details together without joining them send back dozens for one.
#[derive(Default)]
struct Open {
    thought: Reasoning,
    skeletons: Vec<Value>,
    last: Option<(Kind, Option<Value>, Option<Value>)>,
}

impl Open {
    /// Does `detail` go on with it?
    fn takes(&self, detail: &Detail) -> bool {
        let Some((kind, index, format)) = &self.last else { return false };
        if *kind == Kind::Encrypted {
            return false;
        }
        let id = detail.said("id").and_then(Value::as_str);
        let same_id = match (id, self.thought.id.as_deref()) {
            (Some(id), Some(own)) if id == own => return true,
            (Some(_), Some(_)) => false,
            _ => true,
        };
        let same_index = index.is_some() && index.as_ref() == detail.said("index");
        let sealed = *kind == Kind::Summary
            && detail.kind == Kind::Encrypted
            && format.as_ref() == detail.said("format");
        let unsigned =
            self.thought.signature.is_none() || detail.kind == Kind::Text && detail.text.is_empty();
        same_id && (sealed || same_index && unsigned)
    }

    fn add(&mut self, detail: Detail) {
        let index = detail.said("index").cloned();
        let format = detail.said("format").cloned();
        let id = detail.said("id").and_then(Value::as_str).map(str::to_owned);
        let goes_on = matches!(&self.last, Some((kind, last, _)) if *kind == detail.kind && *last == index && index.is_some());
        match detail.kind {
            Kind::Text => {
                self.thought.text.push_str(&detail.text);
                if let Some(more) = detail.signature {
                    Own::grow(
                        &mut self.thought.signature,
                        &proof(format.as_ref().and_then(Value::as_str), more),
                    );
                }
            }
            Kind::Summary => match self.thought.summary.last_mut().filter(|_| goes_on) {
                Some(summary) => summary.push_str(&detail.text),
                None => self.thought.summary.push(detail.text),
            },
            Kind::Encrypted | Kind::Foreign => {
                self.thought.encrypted = Some(proof(format.as_ref().and_then(Value::as_str), detail.text));
            }
        }
        self.thought.id = self.thought.id.take().or(id);
        if !goes_on {
            self.skeletons.push(Value::Object(detail.rest));
        }
        self.last = Some((detail.kind, index, format));
    }

    fn close(self) -> Piece {
        let marks = Fields::from_iter([("#details".to_owned(), Value::Array(self.skeletons))]);
        Piece { part: Part::Reasoning(self.thought), cache: None, extra: extra(Fields::new(), marks) }
    }
}

/// Adds a text that is told beside details which tell none: it is what a lone signature is over, or a piece of its own.
pub(super) fn tell(pieces: &mut Vec<Piece>, text: &str) {
    let silent = |piece: &Piece| match &piece.part {
        Part::Reasoning(thought) => thought.text.is_empty() && thought.summary.is_empty(),
        _ => true,
    };
    if !pieces.iter().all(silent) {
        return;
    }
    if let [Piece { part: Part::Reasoning(thought), .. }] = pieces.as_mut_slice()
        && thought.signature.is_some()
    {
        thought.text = text.to_owned();
        return;
    }
    let part = Part::Reasoning(Reasoning { text: text.to_owned(), ..Reasoning::default() });
    let marks = Fields::from_iter([("#beside".to_owned(), true.into())]);
    pieces.insert(0, Piece { part, cache: None, extra: extra(Fields::new(), marks) });
}

/// Is it said in details, or must it be to survive?
pub(super) fn needs_details(piece: &Piece) -> bool {
    match &piece.part {
        Part::Reasoning(thought) => {
            mark(&piece.extra, "#details").is_some()
                || thought.signature.is_some()
                || thought.encrypted.is_some()
        }
        Part::Foreign(Dialect::Chat, value) => value.get(DETAIL).is_some(),
        _ => false,
    }
}

/// Writes `reasoning_details`.
pub(super) fn write_details<'a>(pieces: impl Iterator<Item = &'a Piece>) -> Vec<Value> {
    let mut out = Vec::new();
    for piece in pieces {
        match &piece.part {
            Part::Reasoning(_) if mark(&piece.extra, "#beside").is_some() => {}
            Part::Reasoning(thought) => match mark(&piece.extra, "#details") {
                Some(Value::Array(skeletons)) => fill(skeletons, thought, &mut out),
                _ => write_thought(thought, &mut out),
            },
            Part::Foreign(Dialect::Chat, value) => out.extend(value.get(DETAIL).cloned()),
            _ => {}
        }
    }
    out
}

/// Puts what was thought back into the details that it came in.
fn fill(skeletons: &[Value], thought: &Reasoning, out: &mut Vec<Value>) {
    let mut summaries = thought.summary.iter();
    for skeleton in skeletons {
        let mut detail = skeleton.clone();
        match skeleton.get("type").and_then(Value::as_str) {
            Some("reasoning.text") => {
                detail["text"] = thought.text.as_str().into();
                if let Some(signature) = &thought.signature {
                    detail["signature"] = signature.value.as_str().into();
                }
            }
            Some("reasoning.summary") => {
                detail["summary"] = summaries.next().map(String::as_str).unwrap_or_default().into();
            }
            _ => detail["data"] = thought.encrypted.as_ref().map_or("", |sealed| &sealed.value).into(),
        }
        out.push(detail);
    }
}

fn write_thought(thought: &Reasoning, out: &mut Vec<Value>) {
    let first = out.len();
    let mut push = |kind: &str, name: &str, text: &str, proof: Option<&Own<String>>| {
        let mut detail =
            Fields::from_iter([("type".to_owned(), kind.into()), (name.to_owned(), text.into())]);
        let signature = proof.filter(|_| name == "text");
        put(&mut detail, "signature", signature.map(|signature| signature.value.as_str()));
        put(&mut detail, "format", proof.and_then(format_of));
        put(&mut detail, "id", thought.id.as_deref());
        detail.insert("index".into(), out.len().into());
        out.push(Value::Object(detail));
    };
    if !thought.text.is_empty() || thought.signature.is_some() {
        push("reasoning.text", "text", &thought.text, thought.signature.as_ref());
    }
    for summary in &thought.summary {
        push("reasoning.summary", "summary", summary, thought.encrypted.as_ref());
    }
    if let Some(encrypted) = &thought.encrypted {
        push("reasoning.encrypted", "data", &encrypted.value, Some(encrypted));
    }
    // Text that is also told encrypted is one thought: one index.
    if thought.id.is_none() {
        for detail in out.iter_mut().skip(first) {
            detail["index"] = first.into();
        }
    }
}

/// What `reasoning_content` says of a message's thoughts.
pub(super) fn told<'a>(pieces: impl Iterator<Item = &'a Piece>) -> String {
    let mut told = String::new();
    for piece in pieces {
        let Part::Reasoning(thought) = &piece.part else { continue };
        for text in std::iter::once(&thought.text).chain(&thought.summary).filter(|text| !text.is_empty()) {
            if !told.is_empty() {
                told.push_str("\n\n");
            }
            told.push_str(text);
        }
    }
    told
}

/// Mistral's part `{"type": "thinking", "thinking": [{"type": "text", "text": ..}], "closed": ..}`, `type` taken.
pub(super) fn read_thinking(fields: &mut Fields, marks: &mut Fields) -> Part {
    let inner = fields.remove("thinking").unwrap_or_default();
    let texts =
        |list: &[Value]| list.iter().filter_map(|part| part.get("text")?.as_str()).collect::<String>();
    let text = match &inner {
        Value::String(text) => text.clone(),
        Value::Array(list) => texts(list),
        _ => String::new(),
    };
    let signature = string(fields.remove("signature")).map(|signature| Own::new(Dialect::Chat, signature));
    // What is not one plain text is kept whole.
    let plain = json!([{"type": "text", "text": text}]);
    let kept = if inner == plain { true.into() } else { inner };
    marks.insert("#thinking".into(), kept);
    Part::Reasoning(Reasoning { text, signature, ..Reasoning::default() })
}

/// The same, written.
pub(super) fn write_thinking(thought: &Reasoning, extra: &Extra) -> Fields {
    let inner = match mark(extra, "#thinking") {
        Some(Value::Bool(_)) | None => json!([{"type": "text", "text": thought.text}]),
        Some(kept) => kept.clone(),
    };
    let mut out = Fields::from_iter([("type".to_owned(), "thinking".into()), ("thinking".to_owned(), inner)]);
    let signature = thought.signature.as_ref().and_then(|signature| signature.proof_for(Dialect::Chat));
    put(&mut out, "signature", signature);
    out
}
