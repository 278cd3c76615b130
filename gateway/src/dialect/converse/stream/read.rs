use serde::Deserialize;

use super::super::answer::{finish, stop_text};
use super::frames::Frame;
use super::pieces::Pieces;
use super::wire::{BlockStop, Failure, MessageStop, Metadata};
use crate::dialect::talk::{Dialect, Event, Extra, Own, Refused};

/// Reads a stream's events in order.
///
/// Some of what `metadata` and `messageStop` say is left out: the guardrail's trace, the latency, the model's own fields.
#[derive(Debug, Default)]
pub struct Reader {
    started: bool,
    pieces: Pieces,
    stopped: bool,
    counted: bool,
    over: bool,
}

impl Reader {
    /// The next frame: an event, or the provider's word that something failed.
    pub fn read_frame(&mut self, frame: &Frame, to: &mut Vec<Event>) -> Result<(), Refused> {
        match frame.header(":message-type") {
            Some("error") if !self.over => {
                let text = |name| frame.header(name).unwrap_or("").to_owned();
                self.fail(text(":error-code"), text(":error-message"), to);
                Ok(())
            }
            Some("exception") => {
                self.read(frame.header(":exception-type").unwrap_or("exception"), &frame.payload, to)
            }
            _ => self.read(frame.header(":event-type").unwrap_or(""), &frame.payload, to),
        }
    }

    /// The next event: the type that its frame names, and its payload. Types that are unknown are passed over.
    pub fn read(&mut self, name: &str, data: &[u8], to: &mut Vec<Event>) -> Result<(), Refused> {
        if self.over {
            return Ok(());
        }
        match name {
            // Nothing of an answer follows its end.
            _ if self.stopped && name.starts_with("contentBlock") => Ok(()),
            "contentBlockDelta" => {
                self.begin_answer(to);
                self.pieces.delta(parse(name, data)?, data.len(), to)
            }
            "contentBlockStart" => {
                self.begin_answer(to);
                self.pieces.start(parse(name, data)?, to)
            }
            "contentBlockStop" => self.pieces.stop(parse::<BlockStop>(name, data)?.content_block_index, to),
            "messageStart" => {
                self.begin_answer(to);
                Ok(())
            }
            "messageStop" => self.stop_answer(parse(name, data)?, to),
            "metadata" => {
                self.count(parse(name, data)?, to);
                Ok(())
            }
            _ if name.to_ascii_lowercase().ends_with("exception") => {
                let failure: Failure = serde_json::from_slice(data).unwrap_or_default();
                let message = failure.message.or(failure.original_message).unwrap_or_default();
                self.fail(name.to_owned(), message, to);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The stream has ended in order. Only an answer that said why it stopped is complete.
    pub fn end(&mut self, to: &mut Vec<Event>) -> Result<(), Refused> {
        if self.over {
            return Ok(());
        }
        if !self.stopped {
            return Err(Refused::whole("The stream ended before the answer did (no `messageStop`)."));
        }
        self.finish(to);
        Ok(())
    }

    /// Recordings made by hand leave `messageStart` out; it says nothing that one needs.
    fn begin_answer(&mut self, to: &mut Vec<Event>) {
        if !self.started {
            self.started = true;
            to.push(Event::Start {
                id: String::new(),
                model: String::new(),
                created: None,
                service_tier: None,
            });
        }
    }

    fn fail(&mut self, kind: String, message: String, to: &mut Vec<Event>) {
        self.begin_answer(to);
        self.over = true;
        to.push(Event::Failed { kind, message });
    }

    fn finish(&mut self, to: &mut Vec<Event>) {
        self.over = true;
        to.push(Event::Done);
    }

    fn stop_answer(&mut self, event: MessageStop, to: &mut Vec<Event>) -> Result<(), Refused> {
        self.begin_answer(to);
        self.pieces.stop_all(to)?;
        if !self.stopped {
            self.stopped = true;
            let stop_text = stop_text(event.additional_model_response_fields.as_ref());
            to.push(Event::Finish { choice: 0, finish: finish(&event.stop_reason, stop_text) });
            self.finish_if_told(to);
        }
        Ok(())
    }

    fn count(&mut self, event: Metadata, to: &mut Vec<Event>) {
        self.begin_answer(to);
        if let Some(counts) = event.usage {
            to.push(Event::Usage(counts.usage()));
        }
        if let Some(tier) = event.service_tier.and_then(|tier| tier.kind) {
            let service_tier = Some(Own::new(Dialect::Converse, tier));
            to.push(Event::About { service_tier, extra: Extra::default() });
        }
        self.counted = true;
        self.finish_if_told(to);
    }

    /// `metadata` is the last event behind `messageStop`; recordings made by hand have it before.
    fn finish_if_told(&mut self, to: &mut Vec<Event>) {
        if self.stopped && self.counted {
            self.finish(to);
        }
    }
}

fn parse<'a, T: Deserialize<'a>>(name: &str, data: &'a [u8]) -> Result<T, Refused> {
    serde_json::from_slice(data).map_err(|fault| Refused::whole(format!("{name}: {fault}.")))
}

#[cfg(test)]
#[path = "read_tests.rs"]
mod tests;
