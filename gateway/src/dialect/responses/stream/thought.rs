//! A reasoning item that is being written.

use serde_json::{Value, json};

use super::frame::At;
use super::open::Sink;
use crate::dialect::responses::answer::{item_id, reasoning_item};
use crate::dialect::talk::{Delta, Own, Reasoning};

/// Its texts and what proves them.
#[derive(Debug)]
pub(super) struct Thought {
    id: String,
    index: usize,
    thought: Reasoning,
    /// The summary that is open, as the provider counts.
    open: Option<usize>,
    /// Its text is told as a summary.
    short: bool,
}

impl Thought {
    pub(super) fn begin(own: Option<String>, sink: &mut Sink<'_>) -> Thought {
        let id = own.clone().unwrap_or_else(|| item_id("rs", sink.answer, sink.output.len()));
        let index = sink.added(json!({"type": "reasoning", "id": id, "summary": []}));
        let thought = Reasoning { id: own, ..Reasoning::default() };
        Thought { id, index, thought, open: None, short: sink.summaries }
    }

    pub(super) fn add(&mut self, delta: &Delta, sink: &mut Sink<'_>) {
        match delta {
            Delta::Text(more) if self.short => self.summary(0, more, sink),
            Delta::Text(more) => self.text(more, sink),
            Delta::Summary(which, more) => {
                self.short = false;
                self.summary(*which, more, sink);
            }
            Delta::Signature(more) => Own::grow(&mut self.thought.signature, more),
            Delta::Encrypted(more) => Own::grow(&mut self.thought.encrypted, more),
            Delta::Arguments(_) | Delta::Citation(_) => {}
        }
    }

    fn at(&self) -> At<'_> {
        At { item: &self.id, output: self.index, inner: Some(("content_index", 0)) }
    }

    fn text(&mut self, more: &str, sink: &mut Sink<'_>) {
        if self.thought.text.is_empty() {
            let part = json!({"type": "reasoning_text", "text": ""});
            sink.frames.push_at("response.content_part.added", self.at(), "part", part, sink.to);
        }
        self.thought.text.push_str(more);
        sink.frames.push_delta("response.reasoning_text.delta", self.at(), more, None, sink.to);
    }

    fn summary_at(&self) -> At<'_> {
        let inner = ("summary_index", self.thought.summary.len().saturating_sub(1));
        At { item: &self.id, output: self.index, inner: Some(inner) }
    }

    fn summary(&mut self, which: usize, more: &str, sink: &mut Sink<'_>) {
        if self.open != Some(which) {
            self.end_summary(sink);
            self.open = Some(which);
            self.thought.summary.push(String::new());
            let part = json!({"type": "summary_text", "text": ""});
            let kind = "response.reasoning_summary_part.added";
            sink.frames.push_at(kind, self.summary_at(), "part", part, sink.to);
        }
        if let Some(last) = self.thought.summary.last_mut() {
            last.push_str(more);
        }
        let kind = "response.reasoning_summary_text.delta";
        sink.frames.push_delta(kind, self.summary_at(), more, None, sink.to);
    }

    fn end_summary(&mut self, sink: &mut Sink<'_>) {
        if self.open.take().is_none() {
            return;
        }
        let text = self.thought.summary.last().map_or("", String::as_str);
        let part = json!({"type": "summary_text", "text": text});
        let at = self.summary_at();
        sink.frames.push_at("response.reasoning_summary_text.done", at, "text", text.into(), sink.to);
        sink.frames.push_at("response.reasoning_summary_part.done", at, "part", part, sink.to);
    }

    pub(super) fn end(mut self, sink: &mut Sink<'_>) {
        self.end_summary(sink);
        let text = self.thought.text.as_str();
        if !text.is_empty() {
            let part = json!({"type": "reasoning_text", "text": text});
            sink.frames.push_at("response.reasoning_text.done", self.at(), "text", text.into(), sink.to);
            sink.frames.push_at("response.content_part.done", self.at(), "part", part, sink.to);
        }
        if self.short {
            self.thought.text = std::mem::take(&mut self.thought.summary).concat();
        }
        let item = reasoning_item(&self.thought, self.short, sink.answer, self.index);
        sink.done(self.index, Value::Object(item));
    }
}
