//! Which module speaks which dialect: the one place that knows all of them.

use std::fmt;

use bytes::Bytes;
use serde_json::{Map, Value};

use super::json::push_value;
use super::talk::{Answer, Dialect, Event, Refused, Request};
use super::{chat, converse, gemini, messages, responses};

impl Dialect {
    /// Reads a request's body.
    pub fn read_request(self, body: &[u8]) -> Result<Request, Refused> {
        self.read_text_alone(body).map_or_else(|| self.read_any_request(body), Ok)
    }

    /// Reads a request that is texts and a few numbers, if its dialect has a reader for those.
    pub(super) fn read_text_alone(self, body: &[u8]) -> Option<Request> {
        match self {
            Dialect::Responses => responses::read_text_alone(body),
            Dialect::Messages => messages::read_text_alone(body),
            Dialect::Gemini => gemini::read_text_alone(body),
            // Between two sides of Chat bytes pass, and no client speaks Converse.
            Dialect::Chat | Dialect::Converse => None,
        }
    }

    /// Reads a request's body by the general reader, whatever it holds.
    pub fn read_any_request(self, body: &[u8]) -> Result<Request, Refused> {
        match self {
            Dialect::Chat => chat::read_request(body),
            Dialect::Responses => responses::read_request(body),
            Dialect::Messages => messages::read_request(body),
            Dialect::Gemini => gemini::read_request(body),
            Dialect::Converse => converse::read_request(body),
        }
    }

    /// Writes a request's body; `manners` are those of a provider of the dialect Chat.
    pub fn write_request(self, request: &Request, manners: chat::Manners) -> Result<Value, Refused> {
        match self {
            Dialect::Chat => chat::write_request_for(request, manners),
            Dialect::Responses => responses::write_request(request),
            Dialect::Messages => messages::write_request(request),
            Dialect::Gemini => gemini::write_request(request),
            Dialect::Converse => converse::write_request(request),
        }
    }

    /// Reads a plain answer.
    pub fn read_answer(self, body: &[u8]) -> Result<Answer, Refused> {
        match self {
            Dialect::Chat => chat::read_answer(body),
            Dialect::Responses => responses::read_answer(body),
            Dialect::Messages => messages::read_answer(body),
            Dialect::Gemini => gemini::read_answer(body),
            Dialect::Converse => converse::read_answer(body),
        }
    }

    /// Reads a plain answer for clients of other dialects: what only this one knows may be missing.
    pub fn read_answer_for_others(self, body: &[u8]) -> Result<Answer, Refused> {
        match self {
            Dialect::Chat => chat::read_answer_for_others(body),
            _ => self.read_answer(body),
        }
    }

    /// Writes a plain answer, of about `near` bytes. `echoes` are what an answer in Responses repeats of its request.
    pub fn write_answer(self, answer: &Answer, echoes: &Map<String, Value>, near: usize) -> Bytes {
        let mut out = Vec::with_capacity(near);
        match self {
            Dialect::Chat => push_value(&mut out, &chat::write_answer(answer)),
            Dialect::Responses => responses::write_answer(answer, echoes, &mut out),
            Dialect::Messages => match answer.text_alone() {
                Some((choice, text)) => messages::push_text(answer, choice, text, &mut out),
                None => push_value(&mut out, &messages::write_answer(answer)),
            },
            Dialect::Gemini => match answer.text_alone() {
                Some((choice, text)) => gemini::push_text(answer, choice, text, &mut out),
                None => push_value(&mut out, &gemini::write_answer(answer)),
            },
            Dialect::Converse => push_value(&mut out, &converse::write_answer(answer)),
        }
        out.into()
    }
}

/// Reads a streamed answer, event by event.
pub enum Reader {
    /// Chat.
    Chat(chat::Reader),
    /// Responses.
    Responses(responses::Reader),
    /// Messages.
    Messages(messages::Reader),
    /// Gemini.
    Gemini(gemini::Reader),
    /// Converse.
    Converse(converse::Reader),
}

impl Reader {
    /// Of a stream in this dialect.
    pub fn new(dialect: Dialect) -> Reader {
        match dialect {
            Dialect::Chat => Reader::Chat(chat::Reader::default()),
            Dialect::Responses => Reader::Responses(responses::Reader::default()),
            Dialect::Messages => Reader::Messages(messages::Reader::default()),
            Dialect::Gemini => Reader::Gemini(gemini::Reader::default()),
            Dialect::Converse => Reader::Converse(converse::Reader::default()),
        }
    }

    /// Reads one server-sent event: its name, empty if it has none, and its data.
    pub fn read(&mut self, name: &str, data: &[u8], to: &mut Vec<Event>) -> Result<(), Refused> {
        match self {
            Reader::Chat(reader) => reader.read(name, data, to),
            Reader::Responses(reader) => reader.read(name, data, to),
            Reader::Messages(reader) => reader.read(name, data, to),
            Reader::Gemini(reader) => reader.read(name, data, to),
            Reader::Converse(reader) => reader.read(name, data, to),
        }
    }

    /// Reads one frame of AWS's event stream; other dialects have none.
    pub fn read_frame(&mut self, frame: &converse::Frame, to: &mut Vec<Event>) -> Result<(), Refused> {
        match self {
            Reader::Converse(reader) => reader.read_frame(frame, to),
            _ => Err(Refused::whole("The provider answered in another form than its own.")),
        }
    }

    /// The stream has ended.
    pub fn end(&mut self, to: &mut Vec<Event>) -> Result<(), Refused> {
        match self {
            Reader::Chat(reader) => reader.end(to),
            Reader::Responses(reader) => reader.end(to),
            Reader::Messages(reader) => reader.end(to),
            Reader::Gemini(reader) => reader.end(to),
            Reader::Converse(reader) => reader.end(to),
        }
    }
}

/// Writes a streamed answer, event by event. Converse has none: only providers speak it.
pub enum Writer {
    /// Chat.
    Chat(Box<chat::Writer>),
    /// Responses.
    Responses(Box<responses::Writer>),
    /// Messages.
    Messages(Box<messages::Writer>),
    /// Gemini.
    Gemini(Box<gemini::Writer>),
}

impl Writer {
    /// Appends the bytes that say `event`, framing included.
    pub fn write(&mut self, event: &Event, to: &mut Vec<u8>) {
        match self {
            Writer::Chat(writer) => writer.write(event, to),
            Writer::Responses(writer) => writer.write(event, to),
            Writer::Messages(writer) => writer.write(event, to),
            Writer::Gemini(writer) => writer.write(event, to),
        }
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reader")
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Writer")
    }
}
