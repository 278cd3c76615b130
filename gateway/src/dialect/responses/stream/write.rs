//! Writing a stream.

use serde_json::Value;

use super::frame::Frames;
use super::open::{Open, Sink, Text};
use crate::dialect::openai::answer::Usage;
use crate::dialect::responses::answer::{
    Items, Output, Response, Status, answer_id, asks_summaries, status_of,
};
use crate::dialect::responses::fields::Fields;
use crate::dialect::talk::tier::given_tier;
use crate::dialect::talk::{Delta, Dialect, Event, Failed, Finish, Opening, Own};

/// Writes a stream. This dialect has one choice: the first.
#[derive(Debug)]
pub struct Writer {
    frames: Frames,
    id: String,
    model: String,
    created: u64,
    echoes: Fields,
    /// Reasoning is told as summaries.
    summaries: bool,
    service_tier: Option<String>,
    started: bool,
    over: bool,
    /// The items that are open, by their pieces.
    open: Vec<(usize, Open)>,
    /// A text that has ended, but that the next piece may go on with: texts in a row (Anthropic's, between citations) are
    /// one, as many clients show only the last part.
    held: Option<Text>,
    /// The items that were told, those that are open as `null`.
    output: Vec<Value>,
    /// Log probabilities that came before their text.
    logprobs: Vec<Value>,
    refusal: bool,
    finish: Option<Finish>,
    usage: Option<Usage>,
}

impl Writer {
    /// Of the answer `id` of `model`, made at `created` (Unix seconds); what is empty or 0 is taken from
    /// [`Event::Start`]. `echoes` are the fields that an answer repeats of its request:
    /// [`echoes`](super::super::echoes).
    pub fn new(id: &str, model: &str, created: u64, echoes: Fields) -> Writer {
        Writer {
            frames: Frames::default(),
            id: if id.is_empty() { String::new() } else { answer_id(id, false) },
            model: model.to_owned(),
            created,
            summaries: asks_summaries(&echoes),
            echoes,
            service_tier: None,
            started: false,
            over: false,
            open: Vec::new(),
            held: None,
            output: Vec::new(),
            logprobs: Vec::new(),
            refusal: false,
            finish: None,
            usage: None,
        }
    }

    /// Appends the bytes (server-sent events, framing included) that say `event`.
    pub fn write(&mut self, event: &Event, to: &mut Vec<u8>) {
        if self.over {
            return;
        }
        if let Event::Start { id, model, created, service_tier } = event {
            self.take_head(id, model, *created, service_tier.as_ref());
        }
        if *event == Event::Ping {
            to.extend_from_slice(b": ping\n\n");
            return;
        }
        self.start(to);
        match event {
            Event::Begin { choice: 0, piece, opening } => self.begin(*piece, opening, to),
            Event::Delta { choice: 0, piece, delta } => self.delta(*piece, delta, to),
            Event::End { choice: 0, piece } => self.end(*piece, to),
            Event::Logprobs { choice: 0, tokens } => self.add_logprobs(tokens, to),
            Event::Finish { choice: 0, finish } => {
                self.end_held(to);
                self.finish = Some(finish.clone());
            }
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::About { service_tier, .. } => self.take_tier(service_tier.as_ref()),
            Event::Failed { kind, message } => self.fail(kind, message, to),
            Event::Done => self.complete(to),
            _ => {}
        }
    }

    fn take_head(&mut self, id: &str, model: &str, created: Option<u64>, tier: Option<&Own<String>>) {
        if self.id.is_empty() {
            self.id = answer_id(id, false);
        }
        if self.model.is_empty() {
            model.clone_into(&mut self.model);
        }
        if self.created == 0 {
            self.created = created.unwrap_or(0);
        }
        self.take_tier(tier);
    }

    fn take_tier(&mut self, tier: Option<&Own<String>>) {
        let word = tier.and_then(|tier| given_tier(tier, Dialect::Responses));
        self.service_tier = word.map(str::to_owned).or(self.service_tier.take());
    }

    fn start(&mut self, to: &mut Vec<u8>) {
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        for kind in ["response.created", "response.in_progress"] {
            let status = Status { word: "in_progress".to_owned(), reason: None };
            self.push(kind, &status, None, Vec::new(), to);
        }
    }

    /// An event that holds the object `response`.
    fn push(
        &mut self,
        kind: &str,
        status: &Status,
        failed: Option<&Failed>,
        output: Vec<Value>,
        to: &mut Vec<u8>,
    ) {
        let response = Response {
            id: &self.id,
            model: &self.model,
            created: self.created,
            service_tier: self.service_tier.as_deref(),
            status,
            failed,
            output: Items::Listed(output),
            usage: self.usage,
            beyond: None,
            more: Fields::new(),
            echoes: &self.echoes,
        };
        self.frames.push_response(kind, &response, to);
    }

    fn sink<'a>(&'a mut self, to: &'a mut Vec<u8>) -> (Sink<'a>, &'a mut Vec<(usize, Open)>) {
        let (frames, output) = (&mut self.frames, &mut self.output);
        let sink = Sink { frames, output, answer: &self.id, summaries: self.summaries, to };
        (sink, &mut self.open)
    }

    fn begin(&mut self, piece: usize, opening: &Opening, to: &mut Vec<u8>) {
        self.refusal |= matches!(opening, Opening::Refusal);
        let held = self.held.take();
        let (mut sink, open) = self.sink(to);
        if let Some(held) = held {
            if *opening != Opening::Text {
                held.end(&mut sink);
            } else if let Some(text) = held.go_on(&mut sink) {
                open.push((piece, Open::Text(text)));
                return;
            }
        }
        match opening {
            Opening::Whole(whole) => {
                let items = Output::new(sink.answer, sink.output.len(), &[], sink.summaries)
                    .items(std::slice::from_ref(whole));
                for item in items {
                    let index = sink.added(item.clone());
                    sink.done(index, item);
                }
            }
            _ => open.extend(Open::begin(opening, &mut sink).map(|item| (piece, item))),
        }
    }

    fn delta(&mut self, piece: usize, delta: &Delta, to: &mut Vec<u8>) {
        let grows = |(of, item): &(usize, Open)| *of == piece && matches!(item, Open::Text(_));
        let early =
            matches!(delta, Delta::Text(_)) && !self.logprobs.is_empty() && self.open.iter().any(grows);
        let early = if early { std::mem::take(&mut self.logprobs) } else { Vec::new() };
        let (mut sink, open) = self.sink(to);
        if let Some((_, item)) = open.iter_mut().find(|(of, _)| *of == piece) {
            item.add(delta, &early, &mut sink);
        }
    }

    /// They belong to a text; if it is open they are told beside no more of it, else with its first words.
    fn add_logprobs(&mut self, tokens: &[Value], to: &mut Vec<u8>) {
        let mut held = self.held.take();
        let (mut sink, open) = self.sink(to);
        let open = open
            .iter_mut()
            .rev()
            .find_map(|(_, item)| if let Open::Text(text) = item { Some(text) } else { None });
        match open.or(held.as_mut()) {
            Some(text) => text.add("", tokens, &mut sink),
            None => self.logprobs.extend_from_slice(tokens),
        }
        self.held = held;
    }

    fn end(&mut self, piece: usize, to: &mut Vec<u8>) {
        let Some(at) = self.open.iter().position(|(of, _)| *of == piece) else { return };
        match self.open.remove(at).1 {
            Open::Text(text) => {
                self.end_held(to);
                self.held = Some(text);
            }
            item => item.end(&mut self.sink(to).0),
        }
    }

    fn end_held(&mut self, to: &mut Vec<u8>) {
        if let Some(text) = self.held.take() {
            text.end(&mut self.sink(to).0);
        }
    }

    /// Only now, as usage may come behind the finish.
    fn complete(&mut self, to: &mut Vec<u8>) {
        self.end_held(to);
        for (_, item) in std::mem::take(&mut self.open) {
            item.end(&mut self.sink(to).0);
        }
        let status = status_of(self.finish.as_ref(), self.refusal);
        let output = std::mem::take(&mut self.output);
        // There are no events for an answer that was cancelled; it is not complete.
        let kind = if status.word == "completed" { "response.completed" } else { "response.incomplete" };
        self.push(kind, &status, None, output, to);
        self.over = true;
    }

    fn fail(&mut self, kind: &str, message: &str, to: &mut Vec<u8>) {
        let status = Status { word: "failed".to_owned(), reason: None };
        let mut output = std::mem::take(&mut self.output);
        output.retain(|item| !item.is_null());
        let failed = Failed { kind: kind.to_owned(), message: message.to_owned() };
        self.push("response.failed", &status, Some(&failed), output, to);
        self.over = true;
    }
}
