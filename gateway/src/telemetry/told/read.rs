//! Reads a transcript for what the conventions want to know of a request and its answer. What cannot be read is left out.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use opentelemetry::{Array, KeyValue, StringValue, Value};
use serde_json::value::RawValue;

use super::content;
use super::transcript::{Answer, Transcript};
use crate::dialect::gemini::Framing;
use crate::dialect::openai::stream::Splitter;
use crate::dialect::speech::Reader;
use crate::dialect::talk::{
    self, Choice, Delta, Dialect, Effort, Event, Finish, Format, Opening, Part, Piece, Reasoning,
};
use crate::telemetry::names::{self, Names};
use crate::telemetry::redact::Redactor;

/// Attributes of the span that it goes along with.
pub(crate) fn read(transcript: &Transcript, names: Names, redactor: &Redactor) -> Vec<KeyValue> {
    let mut said = Vec::new();
    let request = transcript.request.as_ref().and_then(|body| transcript.dialect.read_request(body).ok());
    if let Some(request) = &request {
        asked(request, names, &mut said);
    }
    let answer = answer(transcript);
    if let Some(answer) = &answer {
        answered(answer, &mut said);
    }
    if transcript.captures {
        request.iter().for_each(|request| content::asked(request, redactor, &mut said));
        answer.iter().for_each(|answer| content::answered(&answer.choices, redactor, &mut said));
    }
    said
}

/// What a request says of how it wants to be answered.
fn asked(request: &talk::Request, names: Names, said: &mut Vec<KeyValue>) {
    let numbers = [
        (names::REQUEST_TEMPERATURE, request.temperature),
        (names::REQUEST_TOP_P, request.top_p),
        (names::REQUEST_FREQUENCY_PENALTY, request.frequency_penalty),
        (names::REQUEST_PRESENCE_PENALTY, request.presence_penalty),
    ];
    said.extend(numbers.into_iter().filter_map(|(name, number)| Some(KeyValue::new(name, number?))));
    let top_k = request.top_k.and_then(|k| i64::try_from(k).ok());
    said.extend(top_k.map(|k| KeyValue::new(names::REQUEST_TOP_K, k)));
    said.extend(request.seed.map(|seed| KeyValue::new(names::REQUEST_SEED, seed)));
    if !request.stop.is_empty() {
        said.push(KeyValue::new(names::REQUEST_STOP, strings(request.stop.iter().cloned())));
    }
    let format = request.format.as_ref().map(|format| match format {
        Format::Text => "text",
        Format::Json | Format::Schema { .. } => "json",
    });
    said.extend(format.map(|format| KeyValue::new(names::OUTPUT_TYPE, format)));
    if let (Some(name), Some(effort)) = (names.reasoning_level(), &request.thinking.effort) {
        said.push(KeyValue::new(name, level(effort)));
    }
}

fn level(effort: &Effort) -> &'static str {
    match effort {
        Effort::None => "none",
        Effort::Minimal => "minimal",
        Effort::Low => "low",
        Effort::Medium => "medium",
        Effort::High => "high",
        Effort::Higher => "xhigh",
        Effort::Max => "max",
    }
}

fn answered(answer: &talk::Answer, said: &mut Vec<KeyValue>) {
    for (name, text) in [(names::RESPONSE_ID, &answer.id), (names::RESPONSE_MODEL, &answer.model)] {
        if !text.is_empty() {
            said.push(KeyValue::new(name, text.clone()));
        }
    }
    let finishes: Vec<&Finish> = answer.choices.iter().filter_map(|choice| choice.finish.as_ref()).collect();
    if !finishes.is_empty() {
        said.push(KeyValue::new(names::RESPONSE_FINISH, strings(finishes.into_iter().map(finish))));
    }
}

/// The word of the conventions; what they have none for keeps the provider's.
pub(super) fn finish(finish: &Finish) -> String {
    match finish {
        Finish::Stop | Finish::StopText(_) => "stop",
        Finish::Length | Finish::Context => "length",
        Finish::Calls => "tool_call",
        Finish::Filtered => "content_filter",
        Finish::Malformed => "error",
        Finish::Refused => "refusal",
        Finish::Paused => "pause",
        Finish::Other(own) => return own.value.clone(),
    }
    .to_owned()
}

fn strings(texts: impl Iterator<Item = String>) -> Value {
    Value::Array(Array::String(texts.map(StringValue::from).collect()))
}

fn answer(transcript: &Transcript) -> Option<talk::Answer> {
    let dialect = transcript.dialect;
    match &transcript.answer {
        Answer::None => None,
        Answer::Whole(body) => dialect.read_answer(body).ok(),
        Answer::Stream { head, tail, lost } => {
            let mut heard = Heard::new(dialect);
            match transcript.framing {
                Framing::Array if dialect == Dialect::Gemini => heard.array(head, tail, *lost),
                Framing::Array | Framing::Sse => heard.events(head, tail, *lost),
            }
            Some(heard.answer)
        }
    }
}

/// A stream while it is put together.
struct Heard {
    reader: Reader,
    answer: talk::Answer,
    open: BTreeMap<u64, BTreeMap<usize, Piece>>,
    finishes: BTreeMap<u64, Finish>,
}

impl Heard {
    fn new(dialect: Dialect) -> Heard {
        let (open, finishes) = (BTreeMap::new(), BTreeMap::new());
        Heard { reader: Reader::new(dialect), answer: talk::Answer::default(), open, finishes }
    }

    /// Server-sent events. Of a stream with a gap the event at its end is not whole.
    fn events(&mut self, head: &[u8], tail: &VecDeque<u8>, lost: bool) {
        let rest = Bytes::from(tail.iter().copied().collect::<Vec<u8>>());
        let mut splitter = Splitter::default();
        self.split(&mut splitter, Bytes::copy_from_slice(head), 0);
        if lost {
            splitter = Splitter::default();
        }
        self.split(&mut splitter, rest, usize::from(lost));
        if let Some(event) = splitter.finish() {
            self.read(&event.name(), event.data().as_deref());
        }
        self.end();
    }

    fn split(&mut self, splitter: &mut Splitter, bytes: Bytes, skipped: usize) {
        let events: Vec<_> = splitter.push(bytes).flatten().skip(skipped).collect();
        events.iter().for_each(|event| self.read(&event.name(), event.data().as_deref()));
    }

    /// The elements of a JSON array, if it is whole.
    fn array(&mut self, head: &[u8], tail: &VecDeque<u8>, lost: bool) {
        let whole: Vec<u8> = head.iter().chain(tail).copied().collect();
        let elements = serde_json::from_slice::<Vec<&RawValue>>(&whole);
        for element in elements.into_iter().flatten().filter(|_| !lost) {
            self.read("", Some(element.get().as_bytes()));
        }
        self.end();
    }

    fn read(&mut self, name: &str, data: Option<&[u8]>) {
        let mut events = Vec::new();
        // (What cannot be read may refer to what was lost.)
        if data.is_some_and(|data| self.reader.read(name, data, &mut events).is_ok()) {
            events.into_iter().for_each(|event| self.hear(event));
        }
    }

    fn end(&mut self) {
        let mut events = Vec::new();
        if self.reader.end(&mut events).is_ok() {
            events.into_iter().for_each(|event| self.hear(event));
        }
        let mut choices: BTreeMap<u64, Choice> = BTreeMap::new();
        for (index, pieces) in std::mem::take(&mut self.open) {
            let pieces = pieces.into_values().collect();
            choices.insert(index, Choice { index, pieces, ..Choice::default() });
        }
        for (index, finish) in std::mem::take(&mut self.finishes) {
            let choice = choices.entry(index).or_insert_with(|| Choice { index, ..Choice::default() });
            choice.finish = Some(finish);
        }
        self.answer.choices = choices.into_values().collect();
    }

    fn hear(&mut self, event: Event) {
        match event {
            Event::Start { id, model, .. } => (self.answer.id, self.answer.model) = (id, model),
            Event::Begin { choice, piece, opening } => {
                self.open.entry(choice).or_default().insert(piece, opened(opening));
            }
            Event::Delta { choice, piece, delta } => {
                if let Some(piece) = self.open.get_mut(&choice).and_then(|pieces| pieces.get_mut(&piece)) {
                    grow(&mut piece.part, delta);
                }
            }
            Event::Finish { choice, finish } => {
                self.finishes.insert(choice, finish);
            }
            Event::End { .. }
            | Event::Logprobs { .. }
            | Event::Usage(_)
            | Event::About { .. }
            | Event::Ping
            | Event::Failed { .. }
            | Event::Done => {}
        }
    }
}

fn opened(opening: Opening) -> Piece {
    let part = match opening {
        Opening::Text => Part::text(""),
        Opening::Reasoning { id } => Part::Reasoning(Reasoning { id, ..Reasoning::default() }),
        Opening::Call { id, name, custom, .. } => {
            Part::Call(talk::Call { id, name, custom, ..talk::Call::default() })
        }
        Opening::Refusal => Part::Refusal(String::new()),
        Opening::Whole(piece) => return *piece,
    };
    part.into()
}

fn grow(part: &mut Part, delta: Delta) {
    match (part, delta) {
        (Part::Text { text, .. }, Delta::Text(more))
        | (Part::Refusal(text), Delta::Text(more))
        | (Part::Reasoning(Reasoning { text, .. }), Delta::Text(more) | Delta::Summary(_, more))
        | (Part::Call(talk::Call { arguments: text, .. }), Delta::Arguments(more)) => text.push_str(&more),
        _ => {} // signatures and the like
    }
}

#[cfg(test)]
#[path = "read_tests.rs"]
mod tests;
