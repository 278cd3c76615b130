//! Answers on an HTTP/2 connection: each is a task of its own, and one that its client does not read is ended by itself.
//!
//! There the connection may be lively while nobody reads one of its streams, so the sockets' own time limits
//! ([`super::pipe`]) do not see it. An answer that has been given data and asks for no more for too long is taken to be
//! unread: hyper asks for more as soon as the window of the stream lets it send.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use parking_lot::Mutex;
use tokio::time::{Instant, Sleep};

/// A client that takes less than this of a large piece of an answer does not read it, bytes per second.
const SLOWEST: u64 = 8 << 10;

/// Since when an answer has been waiting for its client, and for how much to be taken; none while it is not.
type Waiting = Arc<Mutex<Option<(Instant, usize)>>>; // short sections

/// The largest piece of an answer that is given to a connection at once, bytes: it keeps what it was given until its client
/// reads, however much that is.
const PIECE: usize = 64 << 10;

/// The body of an answer whose reading is watched.
#[derive(Debug)]
pub(super) struct Watched {
    body: Body,
    rest: Bytes,
    waiting: Waiting,
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = self.piece(cx);
        *self.waiting.lock() = match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                Some((Instant::now(), frame.data_ref().map_or(0, |data| data.len())))
            }
            _ => None,
        };
        polled
    }

    /// Not before it has been asked for more after the last piece, which shows that this one is being read: an answer that
    /// says earlier that it has ended is no longer run, and so no longer watched.
    fn is_end_stream(&self) -> bool {
        false
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Watched {
    fn piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.rest.is_empty() {
            match std::task::ready!(http_body::Body::poll_frame(Pin::new(&mut self.body), cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
                end => return Poll::Ready(end),
            }
        }
        let length = self.rest.len().min(PIECE);
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(length)))))
    }
}

/// What runs the answers of one connection.
#[derive(Clone, Debug)]
pub(super) struct Streams {
    next: Arc<Mutex<Option<Waiting>>>, // of the answer that is about to be run; short sections
    patience: Duration,
}

impl Streams {
    /// An answer that is not read for `patience` is ended.
    pub(super) fn new(patience: Duration) -> Streams {
        Streams { next: Arc::default(), patience }
    }

    /// Answers a request. hyper calls the service and then has its future run, one after the other in one task: that is
    /// how the two find each other.
    pub(super) fn answer<A>(
        &self,
        answering: A,
    ) -> impl Future<Output = Result<http::Response<Watched>, Infallible>> + Send + use<A>
    where
        A: Future<Output = http::Response<Body>> + Send + 'static,
    {
        let waiting = Waiting::default();
        *self.next.lock() = Some(waiting.clone());
        async move { Ok(answering.await.map(|body| Watched { body, rest: Bytes::new(), waiting })) }
    }
}

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Streams {
    fn execute(&self, answer: F) {
        let waiting = self.next.lock().take().unwrap_or_default();
        let patience = self.patience;
        tokio::spawn(Patient { answer: Box::pin(answer), waiting, patience, alarm: None });
    }
}

/// An answer on its way, with the patience for its client.
struct Patient<F> {
    answer: Pin<Box<F>>,
    waiting: Waiting,
    patience: Duration,
    alarm: Option<Pin<Box<Sleep>>>,
}

impl<F: Future<Output = ()>> Future for Patient<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        if this.answer.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let Some((since, size)) = *this.waiting.lock() else { return Poll::Pending };
        let due = since + this.patience + Duration::from_millis(1_000 * size as u64 / SLOWEST);
        let alarm = this.alarm.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
        if alarm.deadline() != due {
            alarm.as_mut().reset(due);
        }
        // Dropping the answer resets its stream and settles its call.
        alarm.as_mut().poll(cx)
    }
}
