//! A stream on its way from the upstream's bytes to the client's: cut into events, noticed, and passed on or told anew.

mod across;
mod heard;
mod passed;

use std::collections::VecDeque;
use std::time::SystemTime;

use bytes::Bytes;
use http::HeaderMap;

use super::seen::Seen;
use super::telling::Telling;
use crate::dialect::failure::{Failure, Frame};
use crate::dialect::openai::stream;
use crate::dialect::talk;
use crate::dialect::voice::{Form, Told};
use across::Across;
use heard::Heard;
use passed::Passed;

/// Where a stream stands between its bytes and the client's.
#[derive(Debug)]
pub struct Passage {
    /// What the head says of errors.
    headers: HeaderMap,
    form: Form,
    /// The client has been told something.
    begun: bool,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Passed(Passed),
    Heard(Box<Heard>),
    Across(Box<Across>),
}

/// Why a stream cannot go on.
#[derive(Debug)]
pub enum Fault {
    /// It is not what it says it is: for the log.
    Damaged(String),
    /// An event of more bytes than this.
    TooLong(usize),
    /// The upstream says that it failed.
    Failed {
        /// What it means.
        failure: Box<Failure>,
        /// The event that says so, if the client's dialect is the upstream's; not yet passed on.
        raw: Option<Bytes>,
    },
}

impl From<stream::Oversized> for Fault {
    fn from(stream::Oversized(most): stream::Oversized) -> Fault {
        Fault::TooLong(most)
    }
}

impl From<talk::Refused> for Fault {
    fn from(refused: talk::Refused) -> Fault {
        Fault::Damaged(refused.message)
    }
}

/// What the parts of a stream are read with and written to.
struct Pass<'a> {
    /// What the answer's head says of errors.
    headers: &'a HeaderMap,
    /// What the stream has shown.
    seen: &'a mut Seen,
    /// What the client gets.
    to: &'a mut VecDeque<Bytes>,
}

impl Passage {
    /// Of a stream whose head had these headers.
    pub fn new(telling: &Telling, headers: &HeaderMap) -> Passage {
        let kind = match telling {
            Telling::Passed { api, withhold_usage } => Kind::Passed(Passed::new(*api, *withhold_usage)),
            Telling::Heard { dialect, framing } => Kind::Heard(Box::new(Heard::new(*dialect, *framing))),
            Telling::Retold(retold) => Kind::Across(Box::new(Across::new(retold))),
        };
        Passage { headers: Failure::hints(headers), form: telling.form(), begun: false, kind }
    }

    /// Takes bytes; those for the client are put behind `to`. Nothing is read behind the end of the answer.
    pub fn push(&mut self, data: Bytes, seen: &mut Seen, to: &mut VecDeque<Bytes>) -> Result<(), Fault> {
        let before = to.len();
        let pass = Pass { headers: &self.headers, seen, to };
        let pushed = match &mut self.kind {
            Kind::Passed(passed) => passed.push(data, pass),
            Kind::Heard(heard) => heard.push(data, pass),
            Kind::Across(across) => across.push(data, pass),
        };
        self.begun |= to.len() > before;
        pushed
    }

    /// The upstream's body has ended. What ends without its blank line is passed on only if it ends the stream: else an
    /// error behind it would be read as a part of it. Whether the answer was whole, `seen` says.
    pub fn end(&mut self, seen: &mut Seen, to: &mut VecDeque<Bytes>) -> Result<(), Fault> {
        let pass = Pass { headers: &self.headers, seen, to };
        match &mut self.kind {
            Kind::Passed(passed) => passed.end(pass),
            Kind::Heard(heard) => heard.end(pass),
            Kind::Across(across) => across.end(pass),
        }
    }

    /// What ends the client's stream where the answer cannot go on: never silently, and without the end of a whole answer.
    pub fn error(&mut self, told: &Told<'_>, seen: &Seen) -> Bytes {
        let response = match &mut self.kind {
            Kind::Passed(_) => seen.begun.as_ref().map(|begun| begun.failed(told)),
            Kind::Heard(_) => None,
            Kind::Across(across) => across.error(told),
        };
        response.unwrap_or_else(|| self.form.error_event(told, self.begun))
    }

    /// What shows the client of a silent stream that it lives. It may stand between any two events.
    pub fn sign(&self) -> Bytes {
        self.form.sign()
    }
}

/// A failure that was read out of an event: by all that the event says, else by the words that were found.
fn failure_of(event: Option<(&str, &[u8])>, (kind, message): (&str, &str), headers: &HeaderMap) -> Failure {
    let now = SystemTime::now();
    let whole = event.and_then(|(name, data)| Failure::of_frame(Frame::Event { name, data }, headers, now));
    whole.unwrap_or_else(|| Failure::of_words(kind, message, headers, now))
}

#[cfg(test)]
#[path = "passage_tests.rs"]
mod tests;
