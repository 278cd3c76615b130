//! An item that is being written: it gathers what it was told, as the events at its end repeat all of it.

use serde_json::{Value, json};

use super::frame::{At, Frames};
use super::thought::Thought;
use crate::dialect::responses::answer::{call_id, call_item, item_id, message_item};
use crate::dialect::responses::fields::{Fields, marks, put};
use crate::dialect::responses::{citations, parts};
use crate::dialect::talk::{Call, Delta, Extra, Opening, Own};

/// Where items write to.
pub(super) struct Sink<'a> {
    pub(super) frames: &'a mut Frames,
    /// The items that were told, those that are open as `null`.
    pub(super) output: &'a mut Vec<Value>,
    /// The answer's id.
    pub(super) answer: &'a str,
    /// Reasoning is told as summaries.
    pub(super) summaries: bool,
    pub(super) to: &'a mut Vec<u8>,
}

impl Sink<'_> {
    /// Tells that an item begins; gives its index.
    pub(super) fn added(&mut self, item: Value) -> usize {
        let index = self.output.len();
        self.output.push(Value::Null);
        let fields =
            Fields::from_iter([("item".to_owned(), item), ("output_index".to_owned(), index.into())]);
        self.frames.push("response.output_item.added", fields, self.to);
        index
    }

    /// Tells that an item is complete.
    pub(super) fn done(&mut self, index: usize, item: Value) {
        let mut fields = marks("item", item.clone());
        put(&mut fields, "output_index", Some(index));
        self.frames.push("response.output_item.done", fields, self.to);
        if let Some(place) = self.output.get_mut(index) {
            *place = item;
        }
    }
}

/// An item that is open.
#[derive(Debug)]
pub(super) enum Open {
    Text(Text),
    Refusal(Text),
    Thought(Thought),
    Called(Called),
}

impl Open {
    /// Begins an item; none for a piece that comes whole.
    pub(super) fn begin(opening: &Opening, sink: &mut Sink<'_>) -> Option<Open> {
        match opening {
            Opening::Text => Some(Open::Text(Text::begin(sink, false))),
            Opening::Refusal => Some(Open::Refusal(Text::begin(sink, true))),
            Opening::Reasoning { id } => Some(Open::Thought(Thought::begin(id.clone(), sink))),
            Opening::Call { id, name, custom, signature } => {
                let (id, name, signature) = (id.clone(), name.clone(), signature.clone());
                let call = Call { id, name, custom: *custom, signature, ..Call::default() };
                Some(Open::Called(Called { call, told: None }))
            }
            Opening::Whole(_) => None,
        }
    }

    /// More of it; `logprobs` are of tokens whose text this is.
    pub(super) fn add(&mut self, delta: &Delta, logprobs: &[Value], sink: &mut Sink<'_>) {
        match (self, delta) {
            (Open::Text(text) | Open::Refusal(text), Delta::Text(more)) => text.add(more, logprobs, sink),
            (Open::Text(text), Delta::Citation(citation)) => {
                if let Some(annotation) = citations::write(citation, text.from, text.letters) {
                    text.cite(annotation, sink);
                }
            }
            (Open::Thought(thought), delta) => thought.add(delta, sink),
            (Open::Called(called), Delta::Arguments(more)) => called.add(more, sink),
            (Open::Called(called), Delta::Signature(more)) => {
                Own::grow(&mut called.call.signature, more);
            }
            // What no such item can say.
            _ => {}
        }
    }

    /// It is complete.
    pub(super) fn end(self, sink: &mut Sink<'_>) {
        match self {
            Open::Text(text) | Open::Refusal(text) => text.end(sink),
            Open::Thought(thought) => thought.end(sink),
            Open::Called(called) => called.end(sink),
        }
    }
}

/// A message of one part, a text or a refusal.
#[derive(Debug)]
pub(super) struct Text {
    id: String,
    index: usize,
    refusal: bool,
    text: String,
    /// Letters in it.
    letters: usize,
    /// The letter at which the piece that is open begins.
    from: usize,
    annotations: Vec<Value>,
    logprobs: Vec<Value>,
}

impl Text {
    fn begin(sink: &mut Sink<'_>, refusal: bool) -> Text {
        let id = item_id("msg", sink.answer, sink.output.len());
        let item =
            json!({"type": "message", "id": id, "role": "assistant", "status": "in_progress", "content": []});
        let index = sink.added(item);
        let (text, annotations, logprobs) = (String::new(), Vec::new(), Vec::new());
        let text = Text { id, index, refusal, text, letters: 0, from: 0, annotations, logprobs };
        sink.frames.push_at("response.content_part.added", text.at(), "part", text.part(), sink.to);
        text
    }

    /// One more piece of text goes on with it, if nothing was told since.
    pub(super) fn go_on(mut self, sink: &mut Sink<'_>) -> Option<Text> {
        if self.index + 1 != sink.output.len() {
            self.end(sink);
            return None;
        }
        self.from = self.letters;
        Some(self)
    }

    fn at(&self) -> At<'_> {
        At { item: &self.id, output: self.index, inner: Some(("content_index", 0)) }
    }

    fn part(&self) -> Value {
        if self.refusal {
            return json!({"type": "refusal", "refusal": self.text});
        }
        parts::answer_text(&self.text, self.annotations.clone(), self.logprobs.clone())
    }

    pub(super) fn add(&mut self, more: &str, logprobs: &[Value], sink: &mut Sink<'_>) {
        self.text.push_str(more);
        self.letters += more.chars().count();
        self.logprobs.extend_from_slice(logprobs);
        let (kind, logprobs) = if self.refusal {
            ("response.refusal.delta", None)
        } else {
            ("response.output_text.delta", Some(logprobs))
        };
        sink.frames.push_delta(kind, self.at(), more, logprobs, sink.to);
    }

    fn cite(&mut self, annotation: Value, sink: &mut Sink<'_>) {
        let mut fields = Fields::new();
        put(&mut fields, "item_id", Some(self.id.as_str()));
        put(&mut fields, "output_index", Some(self.index));
        put(&mut fields, "content_index", Some(0));
        put(&mut fields, "annotation_index", Some(self.annotations.len()));
        put(&mut fields, "annotation", Some(annotation.clone()));
        sink.frames.push("response.output_text.annotation.added", fields, sink.to);
        self.annotations.push(annotation);
    }

    pub(super) fn end(self, sink: &mut Sink<'_>) {
        let (kind, name) = if self.refusal {
            ("response.refusal.done", "refusal")
        } else {
            ("response.output_text.done", "text")
        };
        let mut whole = marks(name, self.text.as_str());
        put(&mut whole, "logprobs", (!self.refusal).then(|| self.logprobs.clone()));
        sink.frames.push_all_at(kind, self.at(), whole, sink.to);
        let part = self.part();
        sink.frames.push_at("response.content_part.done", self.at(), "part", part.clone(), sink.to);
        sink.done(self.index, message_item(marks("id", self.id), vec![part]));
    }
}

/// A call. It is told only when its signature must be known, as that goes along in its id.
#[derive(Debug)]
pub(super) struct Called {
    call: Call,
    /// The item's id and index.
    told: Option<(String, usize)>,
}

impl Called {
    fn names(&self) -> (&'static str, &'static str, &'static str) {
        if self.call.custom {
            ("response.custom_tool_call_input.delta", "response.custom_tool_call_input.done", "input")
        } else {
            ("response.function_call_arguments.delta", "response.function_call_arguments.done", "arguments")
        }
    }

    /// Tells that it begins, once; gives the item's id and index.
    fn tell(&mut self, sink: &mut Sink<'_>) -> (String, usize) {
        if let Some(told) = &self.told {
            return told.clone();
        }
        let index = sink.output.len();
        self.call.id = call_id(&self.call, sink.answer, index);
        self.call.signature = None;
        let mut item = call_item(&self.call, &Extra::default(), sink.answer, index);
        put(&mut item, self.names().2, Some(""));
        put(&mut item, "status", Some("in_progress"));
        let id = item.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
        sink.added(Value::Object(item));
        self.told.insert((id, index)).clone()
    }

    fn add(&mut self, more: &str, sink: &mut Sink<'_>) {
        // Some models write it for no arguments; then it is all they write.
        let bare = self.call.arguments.is_empty() && !self.call.custom && more.trim() == "null";
        let more = if bare { "{}" } else { more };
        self.call.arguments.push_str(more);
        let (id, output) = self.tell(sink);
        let at = At { item: &id, output, inner: None };
        sink.frames.push_delta(self.names().0, at, more, None, sink.to);
    }

    fn end(mut self, sink: &mut Sink<'_>) {
        // Clients put the deltas together and parse them, and no text is no JSON.
        if self.call.arguments.is_empty() && !self.call.custom {
            self.add("{}", sink);
        }
        let (id, output) = self.tell(sink);
        let at = At { item: &id, output, inner: None };
        let (_, kind, name) = self.names();
        let mut whole = marks(name, self.call.arguments.as_str());
        put(&mut whole, "name", Some(self.call.name.as_str()));
        sink.frames.push_all_at(kind, at, whole, sink.to);
        let mut item =
            call_item(&Call { signature: None, ..self.call }, &Extra::default(), sink.answer, output);
        put(&mut item, "id", Some(id));
        sink.done(output, Value::Object(item));
    }
}
