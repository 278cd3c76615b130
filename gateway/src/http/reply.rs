//! The body of a streamed answer. It carries the reservation and the call's record to the end of the stream: what
//! must happen last happens when this body ends, fails or is dropped because the client left.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame};
use tokio::time::Sleep;

use crate::dialect::openai::api::Api;
use crate::dialect::openai::failure::Failure;
use crate::dialect::openai::stream::{Chunk, Event, StreamError, classify, keep_alive, stream_error};
use crate::settle::Settlement;
use crate::telemetry::Record;
use crate::upstream::answer::{Opened, Patience, Seen};

/// How a stream is passed on.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// With the upstream.
    pub patience: Patience,
    /// After so much silence the client gets a comment, so that nobody takes its connection for dead.
    pub keep_alive: Option<Duration>,
    /// The client did not ask for the usage.
    pub withhold_usage: bool,
}

/// A stream on its way to the client.
#[derive(Debug)]
pub struct Reply {
    api: Api,
    opened: Opened,
    ready: VecDeque<Bytes>,
    pace: Pace,
    last_read: Instant,
    last_sign: Instant,
    alarm: Pin<Box<Sleep>>,
    owed: Option<Owed>,
    over: bool,
}

/// What is owed at the end of a stream.
#[derive(Debug)]
pub enum Owed {
    /// Of an attempt at a deployment.
    Settlement(Box<Settlement>),
    /// Of a request that draws on no limit.
    Record(Box<Record>),
}

impl Owed {
    fn pay(self, seen: &Seen, outcome: &'static str) {
        match self {
            Owed::Settlement(settlement) => settlement.stream_ended(seen, outcome),
            Owed::Record(mut record) => record.stream_ended(outcome),
        }
    }
}

/// What an alarm is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    /// A comment to the client.
    Sign,
    /// The end of the patience.
    End,
}

impl Pace {
    /// What is to be done next, and when, if nothing more is read.
    fn due(&self, last_read: Instant, last_sign: Instant) -> (Instant, Due) {
        let end = self.patience.until.min(last_read + self.patience.idle);
        match self.keep_alive.map(|every| last_read.max(last_sign) + every) {
            Some(sign) if sign < end => (sign, Due::Sign),
            _ => (end, Due::End),
        }
    }
}

impl Reply {
    /// Of a stream whose first content has come.
    pub fn new(api: Api, mut opened: Opened, pace: Pace, owed: Owed) -> Reply {
        let now = Instant::now();
        let ready = std::mem::take(&mut opened.events).into();
        let alarm = Box::pin(tokio::time::sleep_until(pace.due(now, now).0.into()));
        let (owed, over) = (Some(owed), false);
        let mut reply = Reply { api, opened, ready, pace, last_read: now, last_sign: now, alarm, owed, over };
        if reply.opened.seen.done {
            reply.finish("ok");
        }
        reply
    }

    /// Takes what the upstream sent.
    fn take(&mut self, data: Bytes) {
        self.last_read = Instant::now();
        for event in self.opened.splitter.push(data) {
            let Ok(event) = event else {
                return self.fail("upstream_failed", "The upstream sent an event that is too large.");
            };
            let (seen, ready) = (&mut self.opened.seen, &mut self.ready);
            let raw = event.raw.clone();
            let chunk = pass(self.api, event, self.pace.withhold_usage, seen, ready);
            if let Chunk::Error(error) = chunk {
                return self.failed(&error, raw);
            }
            if self.opened.seen.done {
                return self.finish("ok");
            }
        }
    }

    /// The upstream's body has ended.
    fn end(&mut self) {
        let mut rest = VecDeque::new();
        if let Some(event) = self.opened.splitter.finish() {
            pass(self.api, event, self.pace.withhold_usage, &mut self.opened.seen, &mut rest);
        }
        // What ends without its blank line is passed on only if it ends the stream: else the error behind it would
        // be read as a part of it.
        if self.opened.seen.complete {
            self.ready.append(&mut rest);
        }
        // Some servers send no [DONE]; a usage chunk of its own comes last everywhere.
        if self.opened.seen.complete {
            self.finish("ok");
        } else {
            self.fail("upstream_failed", "The upstream ended the stream before it was complete.");
        }
    }

    /// The upstream says that it failed. In its own words, unless they tell of its account rather than of this call.
    fn failed(&mut self, error: &StreamError, raw: Bytes) {
        let class = Failure::of_stream(error, &HeaderMap::new(), SystemTime::now()).class;
        tracing::warn!(
            target: "weir::upstream", ?class, error = error.error.message, "error inside a stream"
        );
        if let Some(Owed::Settlement(settlement)) = &self.owed {
            settlement.rest(class);
        }
        if class.tells_of_account() {
            return self.fail("upstream_failed", "The upstream failed to go on.");
        }
        self.ready.push_back(raw);
        self.finish("upstream_failed");
    }

    /// Ends the stream with an error event: never silently, and without the `[DONE]` of a whole answer.
    fn fail(&mut self, outcome: &'static str, message: &str) {
        self.ready.push_back(stream_error(message, outcome, self.opened.seen.begun.as_ref()));
        self.finish(outcome);
    }

    fn finish(&mut self, outcome: &'static str) {
        self.over = true;
        if let Some(owed) = self.owed.take() {
            owed.pay(&self.opened.seen, outcome);
        }
    }

    /// What is to be done about the upstream's silence? Looked at only when the alarm rings; reads do not move the alarm.
    fn poll_alarm(&mut self, cx: &mut Context<'_>) -> Poll<Due> {
        loop {
            std::task::ready!(self.alarm.as_mut().poll(cx));
            let (due, what) = self.pace.due(self.last_read, self.last_sign);
            let now = Instant::now();
            if due <= now {
                self.last_sign = now;
                return Poll::Ready(what);
            }
            self.alarm.as_mut().reset(due.into());
        }
    }
}

/// Takes note of an event, and of its bytes if they are for the client. What becomes of an error is decided elsewhere.
fn pass(api: Api, event: Event, withhold_usage: bool, seen: &mut Seen, ready: &mut VecDeque<Bytes>) -> Chunk {
    let chunk = classify(api, &event);
    if seen.note(&event, &chunk, withhold_usage) && !matches!(chunk, Chunk::Error(_)) {
        ready.push_back(event.raw);
    }
    chunk
}

impl Body for Reply {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = &mut *self;
        loop {
            if let Some(bytes) = this.ready.pop_front() {
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
            if this.over {
                return Poll::Ready(None);
            }
            match Pin::new(&mut this.opened.upstream).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    if let Ok(data) = frame.into_data() {
                        this.take(data);
                    }
                }
                Poll::Ready(Some(Err(err))) => {
                    tracing::warn!(target: "weir::upstream", error = %err, "stream broke");
                    this.fail("upstream_failed", "The connection to the upstream broke.");
                }
                Poll::Ready(None) => this.end(),
                Poll::Pending => match std::task::ready!(this.poll_alarm(cx)) {
                    Due::Sign => return Poll::Ready(Some(Ok(Frame::data(keep_alive())))), // only whole events were sent
                    Due::End => this.fail("upstream_timeout", "The upstream stopped sending."),
                },
            }
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if let Some(owed) = self.owed.take() {
            owed.pay(&self.opened.seen, "client_gone");
        }
    }
}
