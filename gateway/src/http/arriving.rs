//! A request's body while it arrives.
//!
//! An answer may be ready before the body has come: a key that is not known, a body that is too large by its own word.
//! A client that still sends when its connection closes is reset, and the reset takes the answer with it: the client
//! would see a broken connection instead of its error, and try again. So what nobody wants of a body is read to its end
//! all the same, within bounds, and the connection stays open for the next call.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::intake::BODY_TIME;

/// How long a client may send none of a body's unwanted rest. (nginx's `lingering_timeout` has this value.) In all the rest
/// may take as long as if it were wanted.
const PAUSE_TIME: Duration = Duration::from_secs(5);
/// Bytes of a rest that are read; who sends more is reset after all.
const REST: usize = 64 << 20;

/// The body of a request, read to its end by whoever has it or else when it is dropped.
#[derive(Debug)]
pub struct Arriving {
    /// None when it has ended, well or not.
    body: Option<Incoming>,
    http1: bool,
    /// The client sends nothing before it gets a 100, which it gets when something is read.
    on_request: bool,
}

impl Arriving {
    /// A request of a connection that carries one request at a time.
    pub(super) fn over_http1(request: Request<Incoming>) -> Request<Arriving> {
        let on_request = request.headers().contains_key(header::EXPECT);
        request.map(|body| Arriving { body: Some(body), http1: true, on_request })
    }

    /// A request of HTTP/2, where the rest of one is refused without harm to the answer (RFC 9113, 8.1).
    pub(super) fn over_http2(request: Request<Incoming>) -> Request<Arriving> {
        request.map(|body| Arriving { body: Some(body), http1: false, on_request: false })
    }

    /// Does the client wait to be asked for it? If nobody asks, the connection closes behind the answer.
    pub(super) fn on_request(&self) -> bool {
        self.on_request
    }
}

impl Body for Arriving {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        self.on_request = false;
        let Some(body) = self.body.as_mut() else { return Poll::Ready(None) };
        let polled = Pin::new(body).poll_frame(cx);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            self.body = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or(SizeHint::with_exact(0), Incoming::size_hint)
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        let unread = self.body.take().filter(|body| self.http1 && !self.on_request && !body.is_end_stream());
        let Some(body) = unread else { return };
        // There is no runtime only where the whole process ends.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(timeout(BODY_TIME, read_out(body, REST)));
        }
    }
}

/// Reads until the end, an error (the connection is gone), a pause that is too long, or more than so many bytes.
async fn read_out<B: Body<Data = Bytes> + Unpin>(mut body: B, mut left: usize) {
    while let Ok(Some(Ok(frame))) = timeout(PAUSE_TIME, body.frame()).await {
        let Some(less) = left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) else { return };
        left = less;
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// A body without an end, in pieces of 10 bytes; how many were read.
    struct Endless(Arc<AtomicUsize>);

    impl Body for Endless {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            assert!(self.0.fetch_add(1, Ordering::Relaxed) < 1_000, "read on and on");
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"0123456789")))))
        }
    }

    /// Broken on purpose once: nothing taken off what is left (it read on).
    #[tokio::test]
    async fn a_rest_without_an_end_is_given_up() {
        let read = Arc::new(AtomicUsize::new(0));
        read_out(Endless(read.clone()), 995).await;
        assert_eq!(read.load(Ordering::Relaxed), 100);
    }
}
