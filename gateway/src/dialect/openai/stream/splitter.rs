//! Server-sent events out of a byte stream.
//!
//! An event ends with a blank line; a line ends with LF, CRLF or CR; the network cuts anywhere. What is handed out
//! is the exact bytes of each event, because they go to the client unchanged, and the events are the same however
//! the stream was cut. An event that lies inside one chunk is a slice of it; only what straddles two is copied.
//! For the same reason an event that ends with a lone CR is handed out when the next byte (or the end) has shown
//! that no LF follows. A stream of blank lines is a stream of events without data: keep-alives.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};

/// One event, its terminating blank line included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Exactly as received.
    pub raw: Bytes,
}

/// An event exceeds the bound of the [`Splitter`], bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Oversized(pub usize);

/// Cuts a byte stream into events. After [`Oversized`] it yields nothing more.
#[derive(Debug)]
pub struct Splitter {
    max_event: usize,
    place: Place,
    /// The beginning of an event whose end has not arrived.
    pending: BytesMut,
    /// What has not been looked at.
    chunk: Bytes,
    poisoned: bool,
}

/// Where in an event the next byte stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    LineStart,
    InLine,
    /// Behind a CR that ended a line; an LF would belong to it.
    AfterCr {
        blank: bool,
    },
}

impl Default for Splitter {
    fn default() -> Splitter {
        Splitter::new(Splitter::MAX_EVENT)
    }
}

impl Splitter {
    /// The bound that [`Splitter::default`] sets, bytes. Events hold whole images, and the first of a response repeats its
    /// instructions.
    pub const MAX_EVENT: usize = 32 << 20;

    /// Refuses events longer than `max_event` bytes.
    pub fn new(max_event: usize) -> Splitter {
        Splitter {
            max_event,
            place: Place::LineStart,
            pending: BytesMut::new(),
            chunk: Bytes::new(),
            poisoned: false,
        }
    }

    /// Adds bytes and returns the events that they complete. Events left in the iterator come with the next call.
    pub fn push(&mut self, chunk: Bytes) -> Events<'_> {
        if self.chunk.is_empty() {
            self.chunk = chunk;
        } else {
            self.chunk = [std::mem::take(&mut self.chunk), chunk].concat().into();
        }
        Events { splitter: self }
    }

    /// At the end of the stream: what was left without its blank line. Some servers end so behind `[DONE]`.
    pub fn finish(&mut self) -> Option<Event> {
        if self.poisoned {
            return None;
        }
        self.pending.extend_from_slice(&std::mem::take(&mut self.chunk));
        let raw = self.pending.split().freeze();
        (!raw.is_empty()).then_some(Event { raw })
    }

    fn next_event(&mut self) -> Option<Result<Event, Oversized>> {
        if self.poisoned {
            return None;
        }
        let end = self.scan();
        let length = self.pending.len() + end.unwrap_or(self.chunk.len());
        if length > self.max_event {
            self.poisoned = true;
            self.pending = BytesMut::new();
            self.chunk = Bytes::new();
            return Some(Err(Oversized(self.max_event)));
        }
        let Some(end) = end else {
            self.pending.extend_from_slice(&std::mem::take(&mut self.chunk));
            return None;
        };
        let tail = self.chunk.split_to(end);
        if self.pending.is_empty() {
            return Some(Ok(Event { raw: tail }));
        }
        self.pending.extend_from_slice(&tail);
        Some(Ok(Event { raw: self.pending.split().freeze() }))
    }

    /// Reads on in the chunk up to the end of the event.
    fn scan(&mut self) -> Option<usize> {
        let mut at = 0;
        loop {
            let rest = self.chunk.get(at..).filter(|rest| !rest.is_empty())?;
            match self.place {
                Place::AfterCr { blank } => {
                    at += usize::from(rest[0] == b'\n');
                    self.place = Place::LineStart;
                    if blank {
                        return Some(at);
                    }
                }
                Place::LineStart => {
                    at += usize::from(matches!(rest[0], b'\n' | b'\r'));
                    match rest[0] {
                        b'\n' => return Some(at),
                        b'\r' => self.place = Place::AfterCr { blank: true },
                        _ => self.place = Place::InLine,
                    }
                }
                Place::InLine => {
                    let end = memchr::memchr2(b'\n', b'\r', rest)?;
                    at += end + 1;
                    let cr = rest[end] == b'\r';
                    self.place = if cr { Place::AfterCr { blank: false } } else { Place::LineStart };
                }
            }
        }
    }
}

/// The complete events of a [`Splitter`].
#[derive(Debug)]
pub struct Events<'a> {
    splitter: &'a mut Splitter,
}

impl Iterator for Events<'_> {
    type Item = Result<Event, Oversized>;

    fn next(&mut self) -> Option<Self::Item> {
        self.splitter.next_event()
    }
}

impl Event {
    /// The value of its `data` lines, joined by LF; `None` for comments and blank lines.
    pub fn data(&self) -> Option<Cow<'_, [u8]>> {
        self.field(b"data")
    }

    /// The value of its `event` line; empty if there is none before its data, or if it is not UTF-8.
    pub fn name(&self) -> Cow<'_, str> {
        // Most dialects send none; do not look for one in every event.
        if self.raw.starts_with(b"data:") {
            return "".into();
        }
        match self.field(b"event") {
            Some(Cow::Borrowed(name)) => std::str::from_utf8(name).unwrap_or_default().into(),
            Some(Cow::Owned(name)) => String::from_utf8(name).unwrap_or_default().into(),
            None => "".into(),
        }
    }

    /// Does an `event` line name it `name`?
    pub fn is_named(&self, name: &[u8]) -> bool {
        // Chat completions are sent without names; do not look for one in every chunk.
        !self.raw.starts_with(b"data:") && self.field(b"event").is_some_and(|value| &*value == name)
    }

    fn field(&self, name: &[u8]) -> Option<Cow<'_, [u8]>> {
        let mut rest = self.raw.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&self.raw);
        let mut found: Option<Cow<'_, [u8]>> = None;
        while !rest.is_empty() {
            let end = memchr::memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
            let (line, behind) = rest.split_at(end);
            rest = behind.get(1..).unwrap_or_default();
            let Some(value) = value_of(line, name) else { continue };
            match &mut found {
                None => found = Some(Cow::Borrowed(value)),
                Some(joined) => {
                    let joined = joined.to_mut();
                    joined.push(b'\n');
                    joined.extend_from_slice(value);
                }
            }
        }
        found
    }
}

/// The value of a line if its field is `name`: one space behind the colon does not belong to it.
fn value_of<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    match line.strip_prefix(name)? {
        [] => Some(&[]),
        [b':', b' ', value @ ..] | [b':', value @ ..] => Some(value),
        _ => None,
    }
}

#[cfg(test)]
#[path = "splitter_tests.rs"]
mod tests;
