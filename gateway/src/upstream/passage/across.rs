//! A stream that is told in another dialect than it comes in.

use std::sync::Arc;

use bytes::Bytes;

use super::{Fault, Pass, failure_of};
use crate::dialect::converse::{Damage, Frames};
use crate::dialect::custom::Custom;
use crate::dialect::openai::stream::{Event, Splitter, is_failure_code};
use crate::dialect::speech::{Reader, Writer};
use crate::dialect::talk::{self, Dialect};
use crate::dialect::voice::Told;
use crate::dialect::{chat, gemini, messages, responses};
use crate::upstream::telling::Retold;

#[derive(Debug)]
pub(super) struct Across {
    source: Source,
    say: Say,
}

/// What events are cut from.
#[derive(Debug)]
enum Source {
    Events(Splitter),
    Frames(Frames),
}

/// From one dialect to the other.
#[derive(Debug)]
struct Say {
    reader: Reader,
    retold: Arc<Retold>,
    custom: Custom,
    writer: Writer,
    events: Vec<talk::Event>,
}

impl From<Damage> for Fault {
    fn from(damage: Damage) -> Fault {
        Fault::Damaged(damage.to_string())
    }
}

impl Across {
    pub(super) fn new(retold: &Arc<Retold>) -> Across {
        let source = match retold.theirs {
            Dialect::Converse => Source::Frames(Frames::default()),
            _ => Source::Events(Splitter::default()),
        };
        let say = Say {
            reader: Reader::new(retold.theirs),
            retold: retold.clone(),
            custom: retold.custom.clone(),
            writer: writer(retold),
            events: Vec::new(),
        };
        Across { source, say }
    }

    pub(super) fn push(&mut self, data: Bytes, mut pass: Pass<'_>) -> Result<(), Fault> {
        let mut out = Vec::with_capacity(2 * data.len());
        let result = self.tell(data, &mut pass, &mut out);
        if !out.is_empty() {
            pass.to.push_back(out.into());
        }
        result
    }

    fn tell(&mut self, data: Bytes, pass: &mut Pass<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
        match &mut self.source {
            Source::Events(splitter) => {
                for event in splitter.push(data) {
                    self.say.event(&event?, pass, out)?;
                    if pass.seen.done {
                        break; // what follows belongs to nobody
                    }
                }
            }
            Source::Frames(frames) => {
                frames.push(&data);
                while let Some(frame) = frames.next_frame()? {
                    self.say.reader.read_frame(&frame, &mut self.say.events)?;
                    self.say.all(None, pass, out)?;
                }
            }
        }
        Ok(())
    }

    pub(super) fn end(&mut self, mut pass: Pass<'_>) -> Result<(), Fault> {
        let mut out = Vec::new();
        match &mut self.source {
            Source::Events(splitter) => {
                if let Some(event) = splitter.finish() {
                    self.say.event(&event, &mut pass, &mut out)?;
                }
            }
            Source::Frames(frames) => frames.end()?,
        }
        self.say.reader.end(&mut self.say.events)?;
        self.say.all(None, &mut pass, &mut out)?;
        if !out.is_empty() {
            pass.to.push_back(out.into());
        }
        Ok(())
    }

    /// The end of a response that fails; nothing in dialects in which an error stands alone.
    pub(super) fn error(&mut self, told: &Told<'_>) -> Option<Bytes> {
        let Writer::Responses(writer) = &mut self.say.writer else { return None };
        let kind = told.code.filter(|code| is_failure_code(code)).unwrap_or("server_error");
        let failed = talk::Event::Failed { kind: kind.to_owned(), message: told.message.to_owned() };
        let mut out = Vec::new();
        writer.write(&failed, &mut out);
        Some(out.into())
    }
}

impl Say {
    fn event(&mut self, event: &Event, pass: &mut Pass<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
        let Some(data) = event.data() else { return Ok(()) };
        let name = event.name();
        self.reader.read(&name, &data, &mut self.events)?;
        self.all(Some((&name, &data)), pass, out)
    }

    /// Says all that was read.
    fn all(
        &mut self,
        event: Option<(&str, &[u8])>,
        pass: &mut Pass<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        self.custom.events(&mut self.events);
        for mut said in self.events.drain(..) {
            if let talk::Event::Start { id, model, .. } = &mut said {
                self.retold.name(id, model);
            }
            if let talk::Event::Failed { kind, message } = &said {
                let failure = failure_of(event, (kind, message), pass.headers);
                return Err(Fault::Failed { failure: Box::new(failure), raw: None });
            }
            pass.seen.hear(&said);
            self.writer.write(&said, out);
        }
        Ok(())
    }
}

fn writer(retold: &Retold) -> Writer {
    match retold.own {
        Dialect::Responses => {
            Writer::Responses(Box::new(responses::Writer::new("", "", retold.created, retold.echoes.clone())))
        }
        Dialect::Messages => Writer::Messages(Box::new(messages::Writer::new("", ""))),
        Dialect::Gemini => Writer::Gemini(Box::new(gemini::Writer::new(retold.framing))),
        // (No client speaks Converse.)
        Dialect::Chat | Dialect::Converse => {
            Writer::Chat(Box::new(chat::Writer::new("", "", retold.created, retold.wants_usage)))
        }
    }
}
