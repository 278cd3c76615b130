//! A stream that is long in coming: the client is answered before there is an answer, and given signs of life until there
//! is.
//!
//! Balancers and clients close connections on which nothing comes for half a minute or a minute, and the first content
//! of a thinking model may take longer. What the head of an answer says otherwise (its status above all) is lost then:
//! an error that comes later stands in the stream, as any that comes after the first content.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderValue, Response, header};
use http_body::Frame;
use tokio::task::JoinHandle;
use tokio::time::{Instant, Sleep, sleep};

use super::refusal::told;
use crate::dialect::voice::Form;
use crate::error::{Error, Kind};
use crate::telemetry::Record;

/// How often a client is shown that its stream is still coming. Known once the call is known to be one for a stream by
/// somebody who may make it; until then, and for all other calls, there is nothing.
pub(crate) type Beat = Arc<OnceLock<Duration>>;

/// What ends the wait: an answer or an error, and the record if nobody has taken it along.
pub(super) type Answered = (Result<Response<Body>, Error>, Option<Record>);

type Answering = Pin<Box<dyn Future<Output = Answered> + Send>>;

/// A call that is being answered.
pub(super) struct Wait {
    answering: Answering,
    beat: Beat,
    alarm: Option<Pin<Box<Sleep>>>,
}

impl Wait {
    pub(super) fn new(answering: impl Future<Output = Answered> + Send + 'static, beat: Beat) -> Wait {
        Wait { answering: Box::pin(answering), beat, alarm: None }
    }

    /// The answer, or, if that takes long, the wait for it.
    pub(super) async fn first(mut self) -> Result<Answered, Wait> {
        match poll_fn(|cx| self.poll(cx)).await {
            Some(answered) => Ok(answered),
            None => Err(self),
        }
    }

    /// The answer; or nothing, which has come to be time for the first sign of life.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Answered>> {
        if let Poll::Ready(answered) = self.answering.as_mut().poll(cx) {
            return Poll::Ready(Some(answered));
        }
        let Some(every) = self.beat.get() else { return Poll::Pending };
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep(*every)));
        alarm.as_mut().poll(cx).map(|()| None)
    }

    /// An answer now, with the one that is awaited behind its signs. The call becomes a task, ended with the body: a
    /// connection asks for more only when its client reads, and the call has time limits to keep. `id` is the request's.
    pub(super) fn respond(self, form: Form, id: &str) -> Response<Body> {
        let every = self.beat.get().copied().unwrap_or(Duration::MAX); // known, or nobody would have waited
        let task = Task(tokio::spawn(self.answering));
        let alarm = Box::pin(sleep(every));
        let state = State::Sign(Awaited { task, every, alarm });
        let mut response = Response::new(Body::new(Waiting { form, id: id.to_owned(), state }));
        let kind = HeaderValue::from_static(form.content_type());
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response
    }
}

/// A call that goes on by itself as long as somebody wants its answer.
struct Task(JoinHandle<Answered>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// An answer that is awaited while the client is given signs.
struct Awaited {
    task: Task,
    every: Duration,
    alarm: Pin<Box<Sleep>>,
}

impl Awaited {
    /// The answer; or nothing, which has come to be time for a sign of life.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Answered>> {
        if let Poll::Ready(done) = Pin::new(&mut self.task.0).poll(cx) {
            let panicked = |_| (Err(Error::new(Kind::Internal, "The call could not be served.")), None);
            return Poll::Ready(Some(done.unwrap_or_else(panicked)));
        }
        std::task::ready!(self.alarm.as_mut().poll(cx));
        self.alarm.as_mut().reset(Instant::now() + self.every);
        Poll::Ready(None)
    }
}

/// The body of an answer that is awaited.
struct Waiting {
    form: Form,
    id: String,
    state: State,
}

enum State {
    /// A sign is due.
    Sign(Awaited),
    /// The answer is awaited.
    Awaited(Awaited),
    /// It has come.
    Come(Body),
    /// All is said.
    Over,
}

impl Waiting {
    /// What follows when the answer has come.
    fn come(&self, (answer, record): Answered) -> (State, Option<Bytes>) {
        match answer {
            Ok(response) if self.is_stream(&response) => (State::Come(response.into_body()), None),
            other => (State::Over, Some(self.no_stream(other.err(), record))),
        }
    }

    fn is_stream(&self, response: &Response<Body>) -> bool {
        let kind = response.headers().get(header::CONTENT_TYPE);
        self.form.is(kind.map(HeaderValue::as_bytes).unwrap_or_default())
    }

    /// What is said in the stream where none has come: an error, or an answer that is whole.
    fn no_stream(&self, error: Option<Error>, record: Option<Record>) -> Bytes {
        let error = error.unwrap_or_else(|| {
            Error::new(Kind::UpstreamFailed, "The upstream answered with something else than a stream.")
        });
        if let Some(mut record) = record {
            (record.status, record.outcome) = (200, error.kind.name()); // the head was sent before
        }
        self.form.error_event(&told(&error, &self.id), false)
    }
}

impl http_body::Body for Waiting {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        loop {
            let (next, frame) = match std::mem::replace(&mut self.state, State::Over) {
                State::Sign(wait) => (State::Awaited(wait), Some(self.form.sign())),
                State::Awaited(mut wait) => match wait.poll(cx) {
                    Poll::Pending => {
                        self.state = State::Awaited(wait);
                        return Poll::Pending;
                    }
                    Poll::Ready(None) => (State::Sign(wait), None),
                    Poll::Ready(Some(answered)) => self.come(answered),
                },
                State::Come(mut body) => {
                    let polled = Pin::new(&mut body).poll_frame(cx);
                    self.state = State::Come(body);
                    return polled;
                }
                State::Over => return Poll::Ready(None),
            };
            self.state = next;
            if let Some(bytes) = frame {
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
        }
    }
}

#[cfg(test)]
#[path = "waiting_tests.rs"]
mod tests;
