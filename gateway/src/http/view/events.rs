//! `GET /admin/v1/events`: what people see while they watch, as server-sent events.
//!
//! `state` is the whole document, `patch` what of it has changed since the event before (RFC 7396), `calls` those that have ended. Who
//! reads too slowly for all of it gets the whole document again instead of what was missed. Where looks take long a comment says that
//! this goes on.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body::Frame as Piece;
use secrecy::ExposeSecret;
use serde_json::Value;
use tokio::sync::{mpsc, watch};

use super::super::admin::{Desk, refused, reply};
use super::super::server::{Phase, reached};
use super::{Frame, Seat};
use crate::keys::secret::Digest;

/// So many events may wait for a reader.
const AHEAD: usize = 1;
/// The longest silence.
const SILENCE: Duration = Duration::from_secs(5);
/// An event that says nothing.
const STILL_HERE: Bytes = Bytes::from_static(b":\n\n");

/// Watches from now on, until the client leaves, the admin pages close or their token is another one.
pub(in crate::http) async fn events(State(desk): State<Arc<Desk>>) -> Response<Body> {
    let Some(seat) = desk.viewer.seat() else {
        return refused(StatusCode::SERVICE_UNAVAILABLE, "as many watch at this replica as may");
    };
    let (sender, receiver) = mpsc::channel(AHEAD);
    let frames = desk.viewer.frames.subscribe();
    tokio::spawn(tell(desk, seat, frames, sender));
    let mut response = reply("text/event-stream", Vec::new());
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    *response.body_mut() = Body::new(Events(receiver));
    response
}

/// The events of one who watches.
async fn tell(
    desk: Arc<Desk>,
    _seat: Seat,
    mut frames: watch::Receiver<Option<Arc<Frame>>>,
    to: mpsc::Sender<Bytes>,
) {
    let token = || {
        let snapshot = desk.shared.snapshot.load();
        let token = snapshot.config.server.admin_token.as_ref();
        token.map(|token| Digest::of(token.expose_secret().as_bytes())) // no copy of it stays for as long as somebody watches
    };
    let (admitted, mut phase, mut last) = (token(), desk.phase.clone(), None);
    loop {
        let frame = frames.borrow_and_update().clone();
        for text in frame.iter().flat_map(|frame| told(frame, last)) {
            if token() != admitted || to.send(text).await.is_err() {
                return;
            }
        }
        last = frame.map(|frame| frame.seq).or(last);
        tokio::select! {
            changed = frames.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(SILENCE) => if to.send(STILL_HERE).await.is_err() { return },
            () = to.closed() => return,
            () = reached(&mut phase, Phase::Closing) => return,
        }
    }
}

/// A frame to one who has seen another one last. What is sent is the same for all, and made once.
fn told(frame: &Frame, last: Option<u64>) -> impl Iterator<Item = Bytes> + use<> {
    let is_next = last.is_some_and(|last| last + 1 == frame.seq);
    let is_seen = last == Some(frame.seq);
    let whole = || frame.whole.get_or_init(|| event("state", &frame.document));
    let document = (!is_seen).then(|| if is_next { &frame.patch } else { whole() }.clone());
    document.into_iter().chain(frame.calls.clone().filter(|_| !is_seen))
}

/// As it is sent.
pub(super) fn event(name: &str, data: &Value) -> Bytes {
    format!("event: {name}\ndata: {data}\n\n").into()
}

/// The events as a body.
struct Events(mpsc::Receiver<Bytes>);

impl http_body::Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Piece<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|text| text.map(|text| Ok(Piece::data(text))))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn frame(seq: u64) -> Frame {
        Frame::new(seq, Arc::new(json!({"a": seq})), Some(&json!({"a": seq})), Some(&json!([seq])))
    }

    fn texts(frame: &Frame, last: Option<u64>) -> Vec<String> {
        told(frame, last).map(|text| String::from_utf8(text.to_vec()).unwrap()).collect()
    }

    /// Broken on purpose to see it fail: a patch to one who has missed the frame before; a frame told again after a silence.
    #[test]
    fn who_has_missed_something_gets_all_of_it() {
        let calls = "event: calls\ndata: [7]\n\n";
        let whole = ["event: state\ndata: {\"a\":7}\n\n", calls];
        assert_eq!(texts(&frame(7), None), whole);
        assert_eq!(texts(&frame(7), Some(6)), ["event: patch\ndata: {\"a\":7}\n\n", calls]);
        for last in [3, 5, 9] {
            assert_eq!(texts(&frame(7), Some(last)), whole, "{last}");
        }
        assert_eq!(texts(&frame(7), Some(7)), [""; 0]);
    }

    /// Thirty readers who come at once are told of thousands of deployments: the text of that is made once. Broken on purpose to see it
    /// fail: made for each.
    #[test]
    fn all_are_told_by_the_same_bytes() {
        let frame = frame(7);
        let first = |last| told(&frame, last).next().unwrap().as_ptr();
        assert_eq!(first(None), first(Some(3)));
        assert_eq!(first(Some(6)), first(Some(6)));
    }
}
