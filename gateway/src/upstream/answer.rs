//! Reading a successful answer: a plain one whole, a stream up to its first content.
//!
//! Nothing goes to the client before that, so a failure until then moves to another candidate unseen.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::timeout_at;

use super::Failed;
use super::passage::{Fault, Passage};
use super::seen::Seen;
use super::telling::{Plain, Telling};
use crate::aside::look_through;
use crate::bound::{Bound, Part, UNCOUNTED};

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
    /// As the client gets it.
    pub told: Plain,
    /// What it takes of the replica's room.
    pub room: Part,
}

/// A stream whose first content has come.
#[derive(Debug)]
pub struct Opened {
    /// The rest of it.
    pub upstream: Incoming,
    /// Holds what is not complete yet.
    pub passage: Passage,
    /// What is for the client so far.
    pub ready: VecDeque<Bytes>,
    /// What was seen in it.
    pub seen: Seen,
}

/// Is a stream of events declared?
pub fn is_event_stream(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let is = |kind: &[u8]| value.get(..kind.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(kind));
    is(b"text/event-stream") || is(b"application/vnd.amazon.eventstream")
}

impl Opened {
    /// A stream that is passed on from its head on, whatever is in it.
    pub fn at_head(upstream: Incoming, telling: &Telling, headers: &HeaderMap) -> Opened {
        let passage = Passage::new(telling, headers);
        Opened { upstream, passage, ready: VecDeque::new(), seen: Seen::default() }
    }
}

/// Reads a plain answer. What is not an answer, whatever its status says, is a failure. Its bytes count in `room`, even
/// beyond the bound: it has been paid for, and requests are refused instead.
pub async fn whole(
    mut upstream: Incoming,
    head: &HeaderMap,
    telling: &Telling,
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
    let (telling, head) = (telling.clone(), head.clone());
    match look_through(body.len(), move || telling.tell(body, &head).map(|told| Whole { told, room })).await {
        Ok(whole) => whole,
        Err(_) => Err(Failed::Broken("answer could not be read".into())),
    }
}

/// Reads a stream until its first content.
pub async fn open(
    upstream: Incoming,
    telling: &Telling,
    headers: &HeaderMap,
    patience: Patience,
) -> Result<Opened, Failed> {
    let mut opened = Opened::at_head(upstream, telling, headers);
    let mut size = 0;
    loop {
        let Opened { upstream, passage, ready, seen } = &mut opened;
        let Some(data) = next(upstream, patience).await? else {
            passage.end(seen, ready).map_err(failed)?;
            // In some dialects only the end shows that there is nothing but a reason for it, as of a filter.
            if seen.content && seen.done {
                return Ok(opened);
            }
            return Err(Failed::Broken("stream ended before its first content".into()));
        };
        size += data.len();
        passage.push(data, seen, ready).map_err(failed)?;
        if seen.content {
            return Ok(opened);
        }
        if seen.done {
            return Err(Failed::Broken("stream ended without content".into()));
        }
        if size > LARGEST {
            return Err(Failed::Broken("stream without content".into()));
        }
    }
}

/// Tokens by which a stream shows that it goes on as it should.
const STEADY: u64 = 16;

/// Reads on in a stream until it has shown that it is not slow; one that is not that far by `until` has failed. What it says
/// until then is held back, so another deployment may serve the call unseen.
pub async fn steady(opened: &mut Opened, until: Instant, patience: Patience) -> Result<(), Failed> {
    let patience = Patience { until: patience.until.min(until), ..patience };
    let Opened { upstream, passage, ready, seen } = opened;
    while !seen.done && seen.delivered.tokens() < STEADY {
        match next(upstream, patience).await {
            Ok(Some(data)) => passage.push(data, seen, ready).map_err(failed)?,
            Ok(None) => {
                passage.end(seen, ready).map_err(failed)?;
                let broken = || Failed::Broken("stream ended before it was complete".into());
                return (seen.done || seen.complete).then_some(()).ok_or_else(broken);
            }
            Err(Failed::TimedOut(_)) => return Err(Failed::TimedOut("answer too slow")),
            Err(other) => return Err(other),
        }
    }
    Ok(())
}

/// What is to be said of an event of more bytes than this.
pub fn too_long(most: usize) -> String {
    format!("an event of more than {most} bytes")
}

fn failed(fault: Fault) -> Failed {
    match fault {
        Fault::Damaged(detail) => Failed::Broken(detail),
        // It would be as long from another deployment, and is paid.
        Fault::TooLong(most) => Failed::Unreadable { field: too_long(most), usage: None, bytes: most },
        Fault::Failed { failure, .. } => Failed::answered(failure),
    }
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
