//! The body of a streamed answer. It carries the reservation and the call's record to the end of the stream: what
//! must happen last happens when this body ends, fails or is dropped because the client left.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::{Body, Frame};
use hyper::body::Incoming;
use parking_lot::Mutex;
use tokio::task::AbortHandle;
use tokio::time::Sleep;

use crate::dialect::failure::{Class, Failure};
use crate::dialect::voice::Told;
use crate::error::{Error, Kind};
use crate::settle::Settlement;
use crate::shared::Over;
use crate::telemetry::{Record, Trace};
use crate::upstream::answer::too_long;
use crate::upstream::answer::{Opened, Patience};
use crate::upstream::passage::{Fault, Passage};
use crate::upstream::seen::Seen;

/// How a stream is passed on.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// With the upstream.
    pub patience: Patience,
    /// After so much silence the client gets a sign, so that nobody takes its connection for dead.
    pub keep_alive: Option<Duration>,
}

/// A stream on its way to the client.
///
/// Its connection asks for more only when the client has taken what there is. One that takes little would keep the call, its
/// reservation and the provider's connection beyond every time limit; so the end of the call's time is looked after
/// apart from that, by a task that reaches the stream wherever it waits.
#[derive(Debug)]
pub struct Reply {
    stream: Arc<Mutex<Stream>>, // short sections, never across an await
    ending: AbortHandle,
}

#[derive(Debug)]
struct Stream {
    upstream: Option<Incoming>,
    passage: Passage,
    seen: Seen,
    ready: VecDeque<Bytes>,
    pace: Pace,
    /// Something came after the beginning.
    taken: bool,
    last_read: Instant,
    last_sign: Instant,
    alarm: Pin<Box<Sleep>>,
    owed: Option<Owed>,
    /// What is told while it is polled belongs to its call.
    context: Option<opentelemetry::Context>,
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
    fn trace(&self) -> &Trace {
        match self {
            Owed::Settlement(settlement) => &settlement.record.trace,
            Owed::Record(record) => &record.trace,
        }
    }

    /// What the client gets, for the span of the attempt.
    fn heard<'b>(&mut self, bytes: impl Iterator<Item = &'b Bytes>) {
        if let Owed::Settlement(settlement) = self
            && let Some(span) = &mut settlement.span
        {
            bytes.for_each(|bytes| span.heard(bytes));
        }
    }

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
    pub fn new(opened: Opened, pace: Pace, owed: Owed, over: Arc<Over>) -> Reply {
        let stream = Arc::new(Mutex::new(Stream::new(opened, pace, owed)));
        let (until, reached) = (pace.patience.until, Arc::downgrade(&stream));
        let ending = tokio::spawn(async move {
            let why = tokio::select! {
                () = tokio::time::sleep_until(until.into()) => Error::late(),
                () = over.said() => Error::draining(),
            };
            if let Some(stream) = reached.upgrade() {
                stream.lock().cut(&why);
            }
        });
        Reply { stream, ending: ending.abort_handle() }
    }
}

impl Stream {
    fn new(opened: Opened, pace: Pace, mut owed: Owed) -> Stream {
        let Opened { upstream, passage, ready, seen } = opened;
        let now = Instant::now();
        let alarm = Box::pin(tokio::time::sleep_until(pace.due(now, now).0.into()));
        owed.heard(ready.iter());
        let mut stream = Stream {
            context: owed.trace().context().cloned(),
            upstream: Some(upstream),
            passage,
            seen,
            ready,
            pace,
            taken: false,
            last_read: now,
            last_sign: now,
            alarm,
            owed: Some(owed),
            over: false,
        };
        if stream.seen.done {
            stream.finish("ok");
        }
        stream
    }

    /// It must end now, whether or not anybody reads.
    fn cut(&mut self, why: &Error) {
        if !self.over {
            self.fail(why);
        }
        self.upstream = None; // what a provider still sends, nobody has room for
        self.alarm.as_mut().reset(Instant::now().into()); // wakes who waits for more
    }

    /// Takes what the upstream sent.
    fn take(&mut self, data: Bytes) {
        self.last_read = Instant::now();
        self.taken = true;
        let before = self.ready.len();
        let pushed = self.passage.push(data, &mut self.seen, &mut self.ready);
        self.heard(before);
        match pushed {
            Ok(()) if self.seen.done => self.finish("ok"),
            Ok(()) => {}
            Err(fault) => self.broke(fault),
        }
    }

    /// What stands behind `before` in what the client is to get.
    fn heard(&mut self, before: usize) {
        if let Some(owed) = &mut self.owed {
            owed.heard(self.ready.iter().skip(before));
        }
    }

    /// The upstream's body has ended.
    fn end(&mut self) {
        // Of a kept response that has ended there may be nothing more to tell.
        let told_all = matches!(self.owed, Some(Owed::Record(_))) && !self.taken;
        let before = self.ready.len();
        let ended = self.passage.end(&mut self.seen, &mut self.ready);
        self.heard(before);
        // Some servers send no [DONE]; a usage chunk of its own comes last everywhere.
        match ended {
            Ok(()) if self.seen.complete || told_all => self.finish("ok"),
            Err(fault @ Fault::Failed { .. }) => self.broke(fault),
            Ok(()) | Err(Fault::Damaged(_) | Fault::TooLong(_)) => {
                self.fail(&Error::new(
                    Kind::UpstreamFailed,
                    "The upstream ended the stream before it was complete.",
                ));
            }
        }
    }

    fn broke(&mut self, fault: Fault) {
        match fault {
            Fault::Failed { failure, raw } => self.failed(&failure, raw),
            Fault::Damaged(detail) => self.unread(&detail),
            Fault::TooLong(most) => {
                if let Some(Owed::Settlement(settlement)) = &mut self.owed {
                    settlement.harmless = true;
                }
                self.unread(&too_long(most));
            }
        }
    }

    /// It sent what cannot be told.
    fn unread(&mut self, detail: &str) {
        tracing::warn!(target: "weir::upstream", detail, "damaged stream");
        self.fail(&Error::new(Kind::UpstreamFailed, "The upstream sent what cannot be read."));
    }

    /// The upstream says that it failed. In its own words, unless they tell of its account rather than of this call.
    fn failed(&mut self, failure: &Failure, raw: Option<Bytes>) {
        let class = failure.class;
        // (Not in its words: they may tell of the account, or of the prompt.)
        tracing::warn!(target: "weir::upstream", ?class, "error inside a stream");
        if let Some(Owed::Settlement(settlement)) = &mut self.owed {
            settlement.failed_by(failure);
        }
        let shown = failure.shown();
        let told = match class {
            // Our credentials are no matter of the client's.
            Class::Auth | Class::QuotaExhausted { .. } => {
                return self.fail(&Error::new(Kind::UpstreamFailed, "The upstream failed to go on."));
            }
            _ if class.tells_of_account() => {
                let code = Some(Kind::UpstreamFailed.code());
                Told { code, ..Told::new(class.status(), &shown.message) }
            }
            _ => Told::upstream(&shown),
        };
        let last = raw.unwrap_or_else(|| self.passage.error(&told, &self.seen));
        self.ready.push_back(last);
        self.finish(Kind::UpstreamFailed.name());
    }

    /// Ends the stream with an error event: never silently, and without the end of a whole answer.
    fn fail(&mut self, error: &Error) {
        self.ready.push_back(self.passage.error(&error.told(), &self.seen));
        self.finish(error.kind.name());
    }

    fn finish(&mut self, outcome: &'static str) {
        self.over = true;
        if let Some(owed) = self.owed.take() {
            owed.pay(&self.seen, outcome);
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

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            if let Some(bytes) = self.ready.pop_front() {
                return Poll::Ready(Some(bytes));
            }
            let Some(upstream) = self.upstream.as_mut().filter(|_| !self.over) else {
                return Poll::Ready(None);
            };
            match Pin::new(upstream).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    if let Ok(data) = frame.into_data() {
                        self.take(data);
                    }
                }
                Poll::Ready(Some(Err(err))) => {
                    tracing::warn!(target: "weir::upstream", error = %err, "stream broke");
                    self.fail(&Error::new(Kind::UpstreamFailed, "The connection to the upstream broke."));
                }
                Poll::Ready(None) => self.end(),
                Poll::Pending => match std::task::ready!(self.poll_alarm(cx)) {
                    Due::Sign => return Poll::Ready(Some(self.passage.sign())), // only whole events were sent
                    Due::End => {
                        self.fail(&Error::new(Kind::UpstreamTimeout, "The upstream stopped sending."))
                    }
                },
            }
        }
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let mut stream = self.stream.lock();
        let _told_there = stream.context.clone().map(opentelemetry::Context::attach);
        stream.poll_next(cx).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        self.ending.abort();
        let mut stream = self.stream.lock();
        if let Some(owed) = stream.owed.take() {
            owed.pay(&stream.seen, "client_gone");
        }
    }
}
