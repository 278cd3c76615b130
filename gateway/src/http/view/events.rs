//! `GET /admin/v1/events`: what people see while they watch, as server-sent events.
//!
//! `state` is the whole document, `patch` what of it has changed since the event before (RFC 7396), `calls` those that have ended. Who
//! reads too slowly for all of it gets the whole document again instead of what was missed.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::extract::State;
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body::Frame as Piece;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};

use super::super::admin::{Desk, refused, reply};
use super::super::server::{Phase, reached};
use super::{Frame, Seat};

/// So many events may wait for a reader.
const AHEAD: usize = 4;

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
    *response.body_mut() = Body::new(Told(receiver));
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
        snapshot.config.server.admin_token.as_ref().map(|token| token.expose_secret().to_owned())
    };
    let (admitted, mut phase, mut last) = (token(), desk.phase.clone(), None);
    loop {
        let frame = frames.borrow_and_update().clone();
        if let Some(frame) = frame {
            let text = text(&frame, last);
            last = Some(frame.seq);
            if token() != admitted || to.send(text).await.is_err() {
                return;
            }
        }
        tokio::select! {
            changed = frames.changed() => if changed.is_err() { return },
            () = to.closed() => return,
            () = reached(&mut phase, Phase::Closing) => return,
        }
    }
}

/// A frame to one who has seen another one last.
fn text(frame: &Frame, last: Option<u64>) -> Bytes {
    let mut text = String::new();
    let mut event = |name: &str, data: &Value| text += &format!("event: {name}\ndata: {data}\n\n");
    match &frame.patch {
        _ if last.is_none_or(|last| last + 1 != frame.seq) => event("state", &frame.document),
        Some(patch) => event("patch", patch),
        None => event("patch", &json!({})),
    }
    if let Some(calls) = &frame.calls {
        event("calls", calls);
    }
    text.into()
}

/// The events as a body.
struct Told(mpsc::Receiver<Bytes>);

impl http_body::Body for Told {
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
    use super::*;

    fn frame(seq: u64) -> Frame {
        let document = Arc::new(json!({"a": seq}));
        Frame { seq, document, patch: Some(json!({"a": seq})), calls: None }
    }

    /// Broken on purpose to see it fail: a patch to one who has missed the frame before.
    #[test]
    fn who_has_missed_something_gets_all_of_it() {
        let told = |seq, last| String::from_utf8(text(&frame(seq), last).to_vec()).unwrap();
        assert_eq!(told(7, None), "event: state\ndata: {\"a\":7}\n\n");
        assert_eq!(told(7, Some(6)), "event: patch\ndata: {\"a\":7}\n\n");
        for last in [3, 5, 7, 9] {
            assert!(told(7, Some(last)).starts_with("event: state\n"), "{last}");
        }
    }
}
