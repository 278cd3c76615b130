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

/// How long the unwanted rest of a body may take in all, and how long its client may send none of it. (nginx's
/// `lingering_time` and `lingering_timeout` have these values.)
const REST_TIME: Duration = Duration::from_secs(30);
const PAUSE_TIME: Duration = Duration::from_secs(5);

/// The body of a request, read to its end by whoever has it or else when it is dropped.
#[derive(Debug)]
pub struct Arriving {
    /// None when it has ended, well or not.
    body: Option<Incoming>,
    /// Must its rest be read?
    lingers: bool,
}

impl Arriving {
    /// A request of a connection that carries one request at a time.
    pub(super) fn over_http1(request: Request<Incoming>) -> Request<Arriving> {
        // Who waits for a 100 sends nothing without it, and reading on would send it.
        let lingers = !request.headers().contains_key(header::EXPECT);
        request.map(|body| Arriving { body: Some(body), lingers })
    }

    /// A request of HTTP/2, where the rest of one is refused without harm to the answer (RFC 9113, 8.1).
    pub(super) fn over_http2(request: Request<Incoming>) -> Request<Arriving> {
        request.map(|body| Arriving { body: Some(body), lingers: false })
    }
}

impl Body for Arriving {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
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
        let Some(body) = self.body.take().filter(|body| self.lingers && !body.is_end_stream()) else {
            return;
        };
        // There is no runtime only where the whole process ends.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(timeout(REST_TIME, read_out(body)));
        }
    }
}

/// Reads until the end, an error (the connection is gone), or a pause that is too long.
async fn read_out(mut body: Incoming) {
    while let Ok(Some(Ok(_))) = timeout(PAUSE_TIME, body.frame()).await {}
}
