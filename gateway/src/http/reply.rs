//! The body of a streamed answer. It carries the reservation and the call's record to the end of the stream: what
//! must happen last happens when this body ends, fails or is dropped because the client left.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use http_body::{Body, Frame};
use tokio::time::Sleep;

use crate::dialect::openai::api::Api;
use crate::dialect::openai::stream::{Chunk, Event, classify, stream_error};
use crate::settle::Settlement;
use crate::upstream::answer::{Opened, Patience, Seen};

/// A stream on its way to the client.
#[derive(Debug)]
pub struct Reply {
    api: Api,
    opened: Opened,
    ready: VecDeque<Bytes>,
    withhold_usage: bool,
    patience: Patience,
    last_read: Instant,
    alarm: Pin<Box<Sleep>>,
    settlement: Option<Settlement>,
    over: bool,
}

impl Reply {
    /// Of a stream whose first content has come; without a settlement where nothing is owed for it.
    pub fn new(
        api: Api,
        mut opened: Opened,
        withhold_usage: bool,
        patience: Patience,
        settlement: Option<Settlement>,
    ) -> Reply {
        let now = Instant::now();
        let ready = std::mem::take(&mut opened.events).into();
        let alarm = Box::pin(tokio::time::sleep_until(patience.until.min(now + patience.idle).into()));
        let mut reply = Reply {
            api,
            opened,
            ready,
            withhold_usage,
            patience,
            last_read: now,
            alarm,
            settlement,
            over: false,
        };
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
            let chunk = pass(self.api, event, self.withhold_usage, seen, ready);
            if let Chunk::Error(error) = chunk {
                tracing::warn!(target: "weir::upstream", error = error.error.message, "error inside a stream");
                return self.finish("upstream_failed");
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
            pass(self.api, event, self.withhold_usage, &mut self.opened.seen, &mut rest);
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

    /// Ends the stream with an error event: never silently, and without the `[DONE]` of a whole answer.
    fn fail(&mut self, outcome: &'static str, message: &str) {
        self.ready.push_back(stream_error(message, outcome, self.opened.seen.begun.as_ref()));
        self.finish(outcome);
    }

    fn finish(&mut self, outcome: &'static str) {
        self.over = true;
        if let Some(settlement) = self.settlement.take() {
            settlement.stream_ended(&self.opened.seen, outcome);
        }
    }

    /// Has the upstream been silent too long? Looked at only when the alarm rings; reads do not move the alarm.
    fn poll_alarm(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            std::task::ready!(self.alarm.as_mut().poll(cx));
            let due = self.patience.until.min(self.last_read + self.patience.idle);
            if due <= Instant::now() {
                return Poll::Ready(());
            }
            self.alarm.as_mut().reset(due.into());
        }
    }
}

/// Takes note of an event, and of its bytes if they are for the client.
fn pass(api: Api, event: Event, withhold_usage: bool, seen: &mut Seen, ready: &mut VecDeque<Bytes>) -> Chunk {
    let chunk = classify(api, &event);
    if seen.note(&event, &chunk, withhold_usage) {
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
                Poll::Pending => {
                    std::task::ready!(this.poll_alarm(cx));
                    this.fail("upstream_timeout", "The upstream stopped sending.");
                }
            }
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if let Some(settlement) = self.settlement.take() {
            settlement.stream_ended(&self.opened.seen, "client_gone");
        }
    }
}
