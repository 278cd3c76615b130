//! Reading a successful answer: a plain one whole, a stream up to its first content.
//!
//! Nothing goes to the client before that, so a failure until then moves to another candidate unseen.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde::de::IgnoredAny;
use tokio::time::timeout_at;

use super::Failed;
use crate::aside::look_through;
use crate::bound::{Bound, Part, UNCOUNTED};
use crate::dialect::api::Api;
use crate::dialect::failure::Failure;
use crate::dialect::openai::answer::{Usage, usage_of};
use crate::dialect::openai::stream::{Begun, Chunk, Delivered, Event, Splitter, StreamError, classify};

/// Bytes of a plain answer, or of a stream before its first content.
const LARGEST: usize = 64 << 20;

/// How long reading may take.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Between two reads.
    pub idle: Duration,
    /// In all.
    pub until: Instant,
}

/// A plain answer.
#[derive(Debug)]
pub struct Whole {
    /// As received.
    pub body: Bytes,
    /// What it says it used.
    pub usage: Option<Usage>,
    /// What it takes of the replica's room.
    pub room: Part,
}

/// A stream whose first content has come.
#[derive(Debug)]
pub struct Opened {
    /// The rest of it.
    pub upstream: Incoming,
    /// Holds an event that is not complete yet.
    pub splitter: Splitter,
    /// Events so far, for the client.
    pub events: Vec<Bytes>,
    /// What was seen in them.
    pub seen: Seen,
}

/// What a stream has shown so far.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The newest usage.
    pub usage: Option<Usage>,
    /// Output that reached us.
    pub delivered: Delivered,
    /// The response that was begun, in streams that tell.
    pub begun: Option<Begun>,
    /// The last event has come: `[DONE]`, or the whole response.
    pub done: bool,
    /// The usage is the final one: it came in a chunk of its own, or with `[DONE]` behind it.
    pub complete: bool,
}

/// Is a stream of events declared?
pub fn is_event_stream(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    value.len() >= 17 && value[..17].eq_ignore_ascii_case(b"text/event-stream")
}

impl Opened {
    /// A stream that is passed on from its head on, whatever is in it.
    pub fn at_head(upstream: Incoming) -> Opened {
        let (splitter, seen) = (Splitter::default(), Seen::default());
        Opened { upstream, splitter, events: Vec::new(), seen }
    }
}

/// Reads a plain answer. What is not an answer, whatever its status says, is a failure. Its bytes count in `room`, even
/// beyond the bound: it has been paid for, and requests are refused instead.
pub async fn whole(
    mut upstream: Incoming,
    headers: &HeaderMap,
    patience: Patience,
    room: &Arc<Bound>,
) -> Result<Whole, Failed> {
    let mut first: Option<Bytes> = None;
    let mut rest = BytesMut::new();
    let (mut room, mut size, mut counted) = (room.part(), 0, 0);
    while let Some(data) = next(&mut upstream, patience).await? {
        size += data.len();
        if size > LARGEST {
            return Err(Failed::Broken("answer too large".into()));
        }
        if size > UNCOUNTED {
            room.force(size - counted);
            counted = size;
        }
        match (&first, rest.is_empty()) {
            (None, true) => first = Some(data),
            _ => {
                rest.extend_from_slice(&first.take().unwrap_or_default());
                rest.extend_from_slice(&data);
            }
        }
    }
    let body = first.unwrap_or_else(|| rest.freeze());
    // The room goes along: it is taken as long as the bytes are there, and the client may leave meanwhile.
    match look_through(body.len(), move || (read(&body), body, room)).await {
        Ok((Read::Answer(usage), body, room)) => Ok(Whole { body, usage, room }),
        Ok((Read::Error(error), ..)) => Err(refused(&error, headers)),
        Ok((Read::Neither, ..)) => Err(Failed::Broken("answer is not a JSON object".into())),
        Err(_) => Err(Failed::Broken("answer could not be read".into())),
    }
}

/// What a plain answer turns out to be.
enum Read {
    Answer(Option<Usage>),
    Error(StreamError),
    Neither,
}

fn read(body: &[u8]) -> Read {
    if !is_object(body) {
        return Read::Neither;
    }
    match StreamError::in_answer(body) {
        Some(error) => Read::Error(error),
        None => Read::Answer(usage_of(body)),
    }
}

/// Reads a stream until its first content.
pub async fn open(
    mut upstream: Incoming,
    api: Api,
    headers: &HeaderMap,
    withhold_usage: bool,
    patience: Patience,
) -> Result<Opened, Failed> {
    let mut splitter = Splitter::default();
    let (mut events, mut seen, mut size) = (Vec::new(), Seen::default(), 0);
    loop {
        let Some(data) = next(&mut upstream, patience).await? else {
            return Err(Failed::Broken("stream ended before its first content".into()));
        };
        size += data.len();
        let mut content = false;
        for event in splitter.push(data) {
            let event = event.map_err(|_| Failed::Broken("event too large".into()))?;
            let chunk = classify(api, &event);
            if let Chunk::Error(error) = &chunk {
                return Err(refused(error, headers));
            }
            content |= chunk.is_content();
            if seen.note(&event, &chunk, withhold_usage) {
                events.push(event.raw);
            }
            if seen.done {
                break; // what follows belongs to nobody
            }
        }
        if content {
            return Ok(Opened { upstream, splitter, events, seen });
        }
        if seen.done {
            return Err(Failed::Broken("stream ended without content".into()));
        }
        if size > LARGEST {
            return Err(Failed::Broken("stream without content".into()));
        }
    }
}

impl Seen {
    /// Takes note of an event; is it for the client?
    pub fn note(&mut self, event: &Event, chunk: &Chunk, withhold_usage: bool) -> bool {
        self.delivered.add(chunk);
        if let Some(begun) = &mut self.begun {
            begun.note(event);
        }
        match chunk {
            Chunk::Usage { usage, choices_empty, .. } => {
                self.usage = Some(*usage);
                self.complete |= *choices_empty;
                !(withhold_usage && *choices_empty)
            }
            Chunk::Done => {
                self.done = true;
                self.complete = true;
                true
            }
            Chunk::Begun(begun) => {
                self.begun = Some(begun.clone());
                true
            }
            Chunk::Finished { usage } => {
                self.usage = *usage;
                (self.done, self.complete) = (true, true);
                true
            }
            Chunk::Comment | Chunk::NoContent | Chunk::Content { .. } | Chunk::Error(_) => true,
        }
    }
}

fn refused(error: &StreamError, headers: &HeaderMap) -> Failed {
    let failure = Failure::of_stream(error, headers, SystemTime::now());
    let status = failure.status.unwrap_or_else(|| failure.class.status());
    Failed::Answered { status, failure }
}

async fn next(upstream: &mut Incoming, patience: Patience) -> Result<Option<Bytes>, Failed> {
    loop {
        let until = patience.until.min(Instant::now() + patience.idle);
        match timeout_at(until.into(), upstream.frame()).await {
            Ok(None) => return Ok(None),
            Ok(Some(Ok(frame))) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                } // trailers say nothing that we need
            }
            Ok(Some(Err(err))) => return Err(Failed::Broken(super::root_cause(&err))),
            Err(_) => return Err(Failed::TimedOut("answer stalled")),
        }
    }
}

/// Is it one JSON object, whole and in UTF-8? A body that ends with its connection may have lost its end.
fn is_object(body: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(body) else { return false };
    text.trim_ascii_start().starts_with('{') && serde_json::from_str::<IgnoredAny>(text).is_ok()
}
