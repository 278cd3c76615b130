//! The bodies of answers: one JSON document, or a stream of events with one write each.
use crate::upstream::InFlight;
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use std::future::Future;
use std::io::Error;
use std::pin::Pin;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::Sleep;

pub const MODELS: &str = r#"{"object":"list","data":[{"id":"mock-model","object":"model","created":1700000000,"owned_by":"mock"}]}"#;
pub const FULL: &str = r#"{"id":"chatcmpl-mock0000000000000000000001","object":"chat.completion","created":1700000000,"model":"mock-model","choices":[{"index":0,"message":{"role":"assistant","content":"The quick brown fox jumps over the lazy dog near the river bank.","refusal":null},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":12,"completion_tokens":15,"total_tokens":27},"system_fingerprint":"fp_mock"}"#;

macro_rules! event {
    ($choices:literal $(, $usage:literal)?) => {
        concat!(
            "data: {\"id\":\"chatcmpl-mock0000000000000000000001\",\"object\":\"chat.completion.chunk\",",
            "\"created\":1700000000,\"model\":\"mock-model\",\"system_fingerprint\":\"fp_mock\",\"choices\":[",
            $choices, "]" $(, $usage)?, "}\n\n"
        )
    };
}
const ROLE: &str =
    event!(r#"{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}"#);
const TOKEN: &str =
    event!(r#"{"index":0,"delta":{"content":" token"},"logprobs":null,"finish_reason":null}"#);
const STOP: &str = event!(r#"{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}"#);
const USAGE: &str = event!("", r#","usage":{"prompt_tokens":12,"completion_tokens":50,"total_tokens":62}"#);
const DONE: &str = "data: [DONE]\n\n";

/// What is written next.
#[derive(Clone, Copy, PartialEq)]
enum Stage {
    Role { chunks: u64 },
    Content { left: u64 },
    Stop,
    Usage,
    Done,
    Over,
}

impl Stage {
    fn next(self) -> (&'static str, Stage) {
        match self {
            Stage::Role { chunks: 0 } => (ROLE, Stage::Stop),
            Stage::Role { chunks } => (ROLE, Stage::Content { left: chunks }),
            Stage::Content { left: 0 | 1 } => (TOKEN, Stage::Stop),
            Stage::Content { left } => (TOKEN, Stage::Content { left: left - 1 }),
            Stage::Stop => (STOP, Stage::Usage),
            Stage::Usage => (USAGE, Stage::Done),
            Stage::Done | Stage::Over => (DONE, Stage::Over),
        }
    }
}

/// A stream of events.
pub struct Events {
    call: InFlight,
    stage: Stage,
    delay: Duration,
    sleep: Option<Pin<Box<Sleep>>>,
    flushed: bool,
}

/// The body of an answer.
pub enum Answer {
    Full(Option<Bytes>),
    Stream(Events),
}

impl Answer {
    pub fn full(text: Bytes) -> Answer {
        Answer::Full(Some(text))
    }

    pub fn stream(call: InFlight) -> Answer {
        let delay = Duration::from_millis(call.0.delay_ms.load(Relaxed));
        let stage = Stage::Role { chunks: call.0.chunks.load(Relaxed) };
        Answer::Stream(Events { call, stage, delay, sleep: None, flushed: true })
    }
}

impl Events {
    /// Ready when the next event may be written: after the delay, or once hyper has flushed the last.
    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.delay.is_zero() && matches!(self.stage, Stage::Content { .. }) {
            let delay = self.delay;
            let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep(delay)));
            ready!(sleep.as_mut().poll(cx));
            self.sleep = None;
        } else if !self.flushed {
            // Pending once between events makes hyper flush, so that each is a write of its own.
            self.flushed = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.flushed = false;
        Poll::Ready(())
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        let upstream = &self.call.0;
        let end = if self.stage == Stage::Over { &upstream.streams_done } else { &upstream.streams_aborted };
        end.fetch_add(1, Relaxed);
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Error;
    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let events = match self.get_mut() {
            Answer::Full(text) => return Poll::Ready(text.take().map(|text| Ok(Frame::data(text)))),
            Answer::Stream(events) => events,
        };
        if events.stage == Stage::Over {
            return Poll::Ready(None);
        }
        ready!(events.poll_turn(cx));
        let (text, next) = events.stage.next();
        events.stage = next;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(text.as_bytes())))))
    }
    fn is_end_stream(&self) -> bool {
        matches!(self, Answer::Full(None))
    }
    fn size_hint(&self) -> SizeHint {
        match self {
            Answer::Full(text) => SizeHint::with_exact(text.as_ref().map_or(0, |text| text.len() as u64)),
            Answer::Stream(_) => SizeHint::default(),
        }
    }
}
