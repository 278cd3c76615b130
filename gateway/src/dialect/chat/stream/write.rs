//! A stream, written.

mod begin;
mod delta;

use serde_json::Value;

use super::super::answer::{is_cut, write_finish, write_usage};
use super::super::fields::Fields;
use crate::dialect::json::{push_string, push_value};
use crate::dialect::openai::answer::{Usage, error_body};
use crate::dialect::talk::ids::Ids;
use crate::dialect::talk::tier::given_tier;
use crate::dialect::talk::{Dialect, Event, Finish, Own};

/// Writes a stream.
pub struct Writer {
    /// A chunk up to its choices.
    head: Vec<u8>,
    id: String,
    model: String,
    created: u64,
    wants_usage: bool,
    usage: Option<Usage>,
    over: bool,
    ids: Ids,
    choices: Vec<Choice>,
}

/// A choice that is being written.
#[derive(Default)]
struct Choice {
    index: u64,
    begun: bool,
    /// It says a refusal.
    refusal: bool,
    /// The calls so far.
    calls: usize,
    /// The details of reasoning so far.
    details: usize,
    /// The characters of text so far.
    chars: u64,
    open: Vec<(usize, Open)>,
    /// Calls that ended without arguments.
    empty: Vec<usize>,
}

/// A piece that is open, and what its deltas need to know.
enum Open {
    /// Where it began, in characters.
    Text(u64),
    Refusal,
    Reasoning {
        id: Option<String>,
        index: usize,
        summary: usize,
    },
    Call {
        index: usize,
        custom: bool,
        empty: bool,
    },
}

impl Writer {
    /// Of an answer of this id and model; empty ones are taken from its start. `created` is in Unix seconds.
    pub fn new(id: impl Into<String>, model: impl Into<String>, created: u64, wants_usage: bool) -> Writer {
        let (id, model) = (id.into(), model.into());
        let mut writer = Writer {
            head: Vec::new(),
            ids: Ids::of_answer(&id),
            id,
            model,
            created,
            wants_usage,
            usage: None,
            over: false,
            choices: Vec::new(),
        };
        writer.make_head(None);
        writer
    }

    fn make_head(&mut self, tier: Option<&str>) {
        self.head.clear();
        self.head.extend_from_slice(b"data: {\"id\":");
        push_string(&mut self.head, &self.id);
        self.head.extend_from_slice(b",\"object\":\"chat.completion.chunk\",\"created\":");
        self.head.extend_from_slice(self.created.to_string().as_bytes());
        self.head.extend_from_slice(b",\"model\":");
        push_string(&mut self.head, &self.model);
        if let Some(tier) = tier {
            self.head.extend_from_slice(b",\"service_tier\":");
            push_string(&mut self.head, tier);
        }
        self.head.extend_from_slice(b",\"choices\":[");
    }

    /// Appends the bytes (server-sent events, framing included) that say `event`.
    pub fn write(&mut self, event: &Event, to: &mut Vec<u8>) {
        if self.over {
            return;
        }
        match event {
            Event::Start { id, model, service_tier, .. } => self.start(id, model, service_tier.as_ref()),
            Event::Begin { choice, piece, opening } => self.begin(*choice, *piece, opening, to),
            Event::Delta { choice, piece, delta } => self.delta(*choice, *piece, delta, to),
            Event::End { choice, piece } => self.end(*choice, *piece),
            Event::Finish { choice, finish } => self.finish(*choice, finish, to),
            Event::Logprobs { choice, tokens } => self.logprobs(*choice, tokens, to),
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::About { service_tier, .. } => self.tier(service_tier.as_ref()),
            Event::Ping => to.extend_from_slice(b": ping\n\n"),
            Event::Failed { kind, message } => self.fail(kind, message, to),
            Event::Done => self.done(to),
        }
    }

    fn start(&mut self, id: &str, model: &str, tier: Option<&Own<String>>) {
        if self.id.is_empty() {
            self.id = id.to_owned();
            self.ids = Ids::of_answer(id);
        }
        if self.model.is_empty() {
            self.model = model.to_owned();
        }
        self.make_head(tier.and_then(|tier| given_tier(tier, Dialect::Chat)));
    }

    /// The chunks that are still to come tell it.
    fn tier(&mut self, tier: Option<&Own<String>>) {
        if tier.is_some() {
            self.make_head(tier.and_then(|tier| given_tier(tier, Dialect::Chat)));
        }
    }

    fn fail(&mut self, kind: &str, message: &str, to: &mut Vec<u8>) {
        self.over = true;
        to.extend_from_slice(b"data: ");
        to.extend(error_body(message, if kind.is_empty() { "server_error" } else { kind }, None, None));
        to.extend_from_slice(b"\n\n");
    }

    fn done(&mut self, to: &mut Vec<u8>) {
        self.over = true;
        if let Some(usage) = self.usage.filter(|_| self.wants_usage) {
            to.extend_from_slice(&self.head);
            to.extend_from_slice(b"],\"usage\":");
            to.extend_from_slice(write_usage(usage, Fields::new()).to_string().as_bytes());
            to.extend_from_slice(b"}\n\n");
        }
        to.extend_from_slice(b"data: [DONE]\n\n");
    }

    fn choice(&mut self, index: u64) -> usize {
        self.choices.iter().position(|choice| choice.index == index).unwrap_or_else(|| {
            self.choices.push(Choice { index, ..Choice::default() });
            self.choices.len() - 1
        })
    }

    /// A chunk of one choice; `members` writes those of its delta, without a comma before the first.
    fn chunk(&mut self, index: u64, to: &mut Vec<u8>, finish: &[u8], members: impl FnOnce(&mut Vec<u8>)) {
        let at = self.choice(index);
        to.extend_from_slice(&self.head);
        to.extend_from_slice(b"{\"index\":");
        to.extend_from_slice(index.to_string().as_bytes());
        to.extend_from_slice(b",\"delta\":{");
        let first =
            self.choices.get_mut(at).is_some_and(|choice| !std::mem::replace(&mut choice.begun, true));
        if first {
            to.extend_from_slice(b"\"role\":\"assistant\"");
        }
        let before = to.len();
        if first {
            to.push(b',');
        }
        let start = to.len();
        members(to);
        if to.len() == start {
            to.truncate(before);
        }
        to.extend_from_slice(b"},\"finish_reason\":");
        to.extend_from_slice(finish);
        to.extend_from_slice(b"}]}\n\n");
    }

    fn member(&mut self, choice: u64, to: &mut Vec<u8>, name: &str, value: &Value) {
        self.chunk(choice, to, b"null", |to| {
            push_string(to, name);
            to.push(b':');
            push_value(to, value);
        });
    }

    fn text(&mut self, choice: u64, to: &mut Vec<u8>, name: &str, text: &str) {
        self.chunk(choice, to, b"null", |to| push_member(to, name, text));
    }

    fn logprobs(&mut self, index: u64, tokens: &[Value], to: &mut Vec<u8>) {
        let at = self.choice(index);
        self.chunk(index, to, b"null", |_| {});
        // The framing and the closing brackets of the chunk that was just written.
        to.truncate(to.len().saturating_sub(b"}]}\n\n".len()));
        to.extend_from_slice(b",\"logprobs\":{\"content\":");
        push_value(to, &Value::from(tokens.to_vec()));
        to.extend_from_slice(b",\"refusal\":null}}]}\n\n");
        self.choices.get_mut(at).into_iter().for_each(|choice| choice.begun = true);
    }

    fn end(&mut self, index: u64, piece: usize) {
        let at = self.choice(index);
        let Some(choice) = self.choices.get_mut(at) else { return };
        let Some(at) = choice.open.iter().rposition(|(open, _)| *open == piece) else { return };
        if let (_, Open::Call { index: number, custom: false, empty: true }) = choice.open.swap_remove(at) {
            choice.empty.push(number);
        }
    }

    fn finish(&mut self, index: u64, finish: &Finish, to: &mut Vec<u8>) {
        let at = self.choice(index);
        let empty =
            self.choices.get_mut(at).map(|choice| std::mem::take(&mut choice.empty)).unwrap_or_default();
        // Clients parse the arguments: none at all must be an object, too. But a call that was cut off is not whole.
        if !is_cut(Some(finish)) {
            empty.into_iter().for_each(|number| self.arguments(index, number, false, "{}", to));
        }
        let refusal = self.choices.get(at).is_some_and(|choice| choice.refusal);
        let mut word = Vec::new();
        push_string(&mut word, write_finish(finish, refusal));
        self.chunk(index, to, &word, |_| {});
    }
}

fn push_member(to: &mut Vec<u8>, name: &str, value: &str) {
    push_string(to, name);
    to.push(b':');
    push_string(to, value);
}
