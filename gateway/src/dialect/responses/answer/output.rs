//! The items of `output` that say an answer.

use std::borrow::Cow;

use serde_json::{Value, json};

use crate::dialect::responses::fields::{Fields, mark, put, put_default, put_extra};
use crate::dialect::responses::items::{self, Group, groups, item_fields};
use crate::dialect::responses::parts;
use crate::dialect::talk::carry::{Parcel, signed_id};
use crate::dialect::talk::{Call, Dialect, Extra, Media, MediaKind, Part, Piece, Reasoning, Source};

/// Makes the items of one answer.
pub(in crate::dialect::responses) struct Output<'a> {
    /// The answer's id, from which those of items are made.
    id: &'a str,
    /// How many items there are already.
    before: usize,
    /// Log probabilities that no text has yet.
    logprobs: &'a [Value],
    /// The texts tell which are theirs.
    marked: bool,
    /// Reasoning is told as summaries.
    summaries: bool,
}

impl<'a> Output<'a> {
    /// Of the answer `id`, of which `before` items are written, for a client that wants
    /// `summaries` of reasoning.
    pub(in crate::dialect::responses) fn new(
        id: &'a str,
        before: usize,
        logprobs: &'a [Value],
        summaries: bool,
    ) -> Output<'a> {
        Output { id, before, logprobs, marked: false, summaries }
    }

    /// The items that say `pieces`. What no item can say is left out.
    pub(in crate::dialect::responses) fn items(&mut self, pieces: &[Piece]) -> Vec<Value> {
        self.marked = pieces.iter().any(|piece| mark(&piece.extra, "#logprobs").is_some());
        let mut out = Vec::new();
        for group in groups(pieces) {
            match group {
                Group::Message(pieces) => {
                    // An image that the model made is an item, not a part.
                    for run in pieces.chunk_by(|one, next| !is_image(one) && !is_image(next)) {
                        out.extend(self.message(run, self.before + out.len()));
                    }
                }
                Group::Item(piece) => out.extend(self.item(piece, self.before + out.len())),
            }
        }
        out
    }

    fn message(&mut self, pieces: &[&Piece], index: usize) -> Option<Value> {
        if let [Piece { part: Part::Media(Media { source: Source::Base64(data), .. }), .. }] = pieces
            && is_image(pieces.first()?)
        {
            return Some(image_item(data, item_id("ig", self.id, index)));
        }
        let content = self.content(pieces);
        if content.is_empty() {
            return None;
        }
        let mut out = item_fields(pieces).cloned().unwrap_or_default();
        put_default(&mut out, "id", item_id("msg", self.id, index));
        Some(message_item(out, content))
    }

    /// The parts of a message. Texts in a row of another dialect (Anthropic's, between citations) are one: many clients
    /// show only the last part.
    fn content(&mut self, pieces: &[&Piece]) -> Vec<Value> {
        let own = item_fields(pieces).is_some();
        let is_text = |piece: &Piece| !own && matches!(piece.part, Part::Text { .. });
        let mut out = Vec::new();
        for run in pieces.chunk_by(|one, next| is_text(one) && is_text(next)) {
            out.extend(if run.len() == 1 {
                run.first().and_then(|piece| self.part(piece))
            } else {
                Some(self.text(run))
            });
        }
        out
    }

    fn text(&mut self, pieces: &[&Piece]) -> Value {
        let (mut whole, mut letters) = (String::new(), 0);
        let (mut annotations, mut logprobs) = (Vec::new(), Vec::new());
        for piece in pieces {
            let Part::Text { text, citations, .. } = &piece.part else { continue };
            annotations.extend(parts::annotations(citations, text, letters));
            logprobs.extend(self.take_logprobs(piece));
            letters += text.chars().count();
            whole.push_str(text);
        }
        parts::answer_text(&whole, annotations, logprobs)
    }

    fn part(&mut self, piece: &Piece) -> Option<Value> {
        let part = match &piece.part {
            Part::Text { text, citations, .. } => {
                let logprobs = self.take_logprobs(piece);
                parts::answer_text(text, parts::annotations(citations, text, 0), logprobs)
            }
            Part::Refusal(text) => json!({"type": "refusal", "refusal": text}),
            Part::Foreign(Dialect::Responses, part) => part.clone(),
            Part::Media(Media { source: Source::Url(url), .. }) => {
                parts::answer_text(url, Vec::new(), Vec::new())
            }
            _ => return None,
        };
        let Value::Object(mut part) = part else { return Some(part) };
        put_extra(&mut part, &piece.extra);
        Some(Value::Object(part))
    }

    /// Those that the text was read with; all there are, if nobody knows.
    fn take_logprobs(&mut self, piece: &Piece) -> Vec<Value> {
        let count = match mark(&piece.extra, "#logprobs").and_then(Value::as_u64) {
            Some(count) => usize::try_from(count).unwrap_or(usize::MAX).min(self.logprobs.len()),
            None if self.marked => 0,
            None => self.logprobs.len(),
        };
        let (these, rest) = self.logprobs.split_at(count);
        self.logprobs = rest;
        these.to_vec()
    }

    fn item(&self, piece: &Piece, index: usize) -> Option<Value> {
        let out = match &piece.part {
            Part::Call(call) => call_item(call, &piece.extra, self.id, index),
            Part::Reasoning(thought) => {
                let mut out = reasoning_item(thought, self.summaries, self.id, index);
                put_extra(&mut out, &piece.extra);
                out
            }
            Part::Foreign(Dialect::Responses, item) => return Some(item.clone()),
            _ => return None,
        };
        Some(Value::Object(out))
    }
}

/// An id made up of the answer's: the same whenever the same answer is written.
pub(in crate::dialect::responses) fn item_id(kind: &str, answer: &str, index: usize) -> String {
    let answer = answer.strip_prefix("resp_").unwrap_or(answer);
    [kind, "_", answer, "_", itoa::Buffer::new().format(index)].concat()
}

/// A message item; `fields` are those it has already.
pub(in crate::dialect::responses) fn message_item(mut fields: Fields, content: Vec<Value>) -> Value {
    put_default(&mut fields, "type", "message");
    put_default(&mut fields, "role", "assistant");
    put_default(&mut fields, "status", "completed");
    fields.insert("content".to_owned(), content.into());
    Value::Object(fields)
}

/// A call's item. The signature of a provider that signs calls goes along in the id.
pub(in crate::dialect::responses) fn call_item(
    call: &Call,
    extra: &Extra,
    answer: &str,
    index: usize,
) -> Fields {
    let (kind, name, id) =
        if call.custom { ("custom_tool_call", "input", "ctc") } else { ("function_call", "arguments", "fc") };
    // Clients parse the text, and no text is no JSON.
    let mut out = Fields::new();
    put_extra(&mut out, extra);
    put_default(&mut out, "id", item_id(id, answer, index));
    put_default(&mut out, "status", "completed");
    put(&mut out, "type", Some(kind));
    put(&mut out, "call_id", Some(call_id(call, answer, index)));
    put(&mut out, "name", Some(call.name.as_str()));
    put(&mut out, name, Some(if call.is_bare() { "{}" } else { call.arguments.as_str() }));
    out
}

/// What the result will name: one is made up for providers without ids, new in every answer, so that a conversation has
/// no two.
pub(in crate::dialect::responses) fn call_id(call: &Call, answer: &str, index: usize) -> String {
    let signature = call.signature.as_ref();
    if call.id.is_empty() {
        return signed_id(&item_id("call", answer, index), signature);
    }
    signed_id(&call.id, signature)
}

/// A reasoning item; that of another provider takes its signature along. Most clients that ask for `summaries` show nothing
/// else, so they get reasoning that has none as one.
pub(in crate::dialect::responses) fn reasoning_item(
    thought: &Reasoning,
    summaries: bool,
    answer: &str,
    index: usize,
) -> Fields {
    let short = summaries && thought.summary.is_empty() && !thought.text.is_empty();
    let told = if short {
        let summary = vec![thought.text.clone()];
        Cow::Owned(Reasoning { text: String::new(), summary, ..thought.clone() })
    } else {
        Cow::Borrowed(thought)
    };
    if !items::is_foreign(thought) {
        return items::reasoning(&told, items::sealed(thought));
    }
    // All such reasoning has a parcel, even an empty one: so it is known when it comes back.
    let mut out = items::reasoning(&told, Some(&Parcel::of(thought).pack()));
    put(&mut out, "id", Some(item_id("rs", answer, index)));
    out
}

fn is_image(piece: &Piece) -> bool {
    let Part::Media(media) = &piece.part else { return false };
    media.kind == MediaKind::Image && matches!(media.source, Source::Base64(_))
}

/// An image that the model made, as OpenAI's tool for it gives them.
fn image_item(data: &str, id: String) -> Value {
    json!({"type": "image_generation_call", "id": id, "status": "completed", "result": data})
}
