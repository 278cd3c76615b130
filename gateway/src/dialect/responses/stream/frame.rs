//! Server-sent events as they are written.

use serde_json::Value;

use crate::dialect::json::{Object, push_list, push_members};
use crate::dialect::responses::answer::Response;
use crate::dialect::responses::fields::{Fields, marks, put};

/// Where an event belongs.
#[derive(Clone, Copy, Debug)]
pub(super) struct At<'a> {
    pub(super) item: &'a str,
    pub(super) output: usize,
    /// `content_index` or `summary_index`, and which.
    pub(super) inner: Option<(&'static str, usize)>,
}

/// Numbers and frames events.
#[derive(Debug, Default)]
pub(super) struct Frames {
    next: u64,
}

impl Frames {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next - 1
    }

    /// The event `kind`.
    pub(super) fn push(&mut self, kind: &str, mut fields: Fields, to: &mut Vec<u8>) {
        fields.insert("type".to_owned(), kind.into());
        fields.insert("sequence_number".to_owned(), self.number().into());
        frame(kind, to, |to| push_members(to, &fields));
    }

    /// An event about the whole answer.
    pub(super) fn push_response(&mut self, kind: &str, response: &Response<'_>, to: &mut Vec<u8>) {
        let number = self.number().to_string();
        frame(kind, to, |to| {
            to.extend_from_slice(b"{\"type\":\"");
            to.extend_from_slice(kind.as_bytes());
            to.extend_from_slice(b"\",\"sequence_number\":");
            to.extend_from_slice(number.as_bytes());
            to.extend_from_slice(b",\"response\":");
            response.push(to);
            to.push(b'}');
        });
    }

    /// An event of a place, with one more member.
    pub(super) fn push_at(&mut self, kind: &str, at: At<'_>, name: &str, value: Value, to: &mut Vec<u8>) {
        self.push_all_at(kind, at, marks(name, value), to);
    }

    /// An event of a place, with more members.
    pub(super) fn push_all_at(&mut self, kind: &str, at: At<'_>, mut fields: Fields, to: &mut Vec<u8>) {
        put(&mut fields, "item_id", Some(at.item));
        put(&mut fields, "output_index", Some(at.output));
        if let Some((name, index)) = at.inner {
            put(&mut fields, name, Some(index));
        }
        self.push(kind, fields, to);
    }

    /// An event that brings more text: without building an object, as there is one for every token.
    pub(super) fn push_delta(
        &mut self,
        kind: &str,
        at: At<'_>,
        delta: &str,
        logprobs: Option<&[Value]>,
        to: &mut Vec<u8>,
    ) {
        let number = self.number();
        frame(kind, to, |to| {
            let mut body = Object::new(to);
            body.text("type", kind);
            body.number("sequence_number", number);
            body.text("item_id", at.item);
            body.number("output_index", at.output as u64);
            if let Some((name, index)) = at.inner {
                body.number(name, index as u64);
            }
            body.text("delta", delta);
            if let Some(logprobs) = logprobs {
                push_list(body.name("logprobs"), logprobs);
            }
            body.end();
        });
    }
}

fn frame(kind: &str, to: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
    to.extend_from_slice(b"event: ");
    to.extend_from_slice(kind.as_bytes());
    to.extend_from_slice(b"\ndata: ");
    body(to);
    to.extend_from_slice(b"\n\n");
}
