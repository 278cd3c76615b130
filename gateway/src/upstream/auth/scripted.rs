//! For tests: an [`Exchange`] that answers by a script, and the clock of tokio's paused time.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::{Answering, Exchange, Outside, Unreachable};

/// 2026-11-29T12:00:00Z.
pub(super) const START: u64 = 1_795_953_600;

/// What was asked.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) method: Method,
    pub(super) uri: String,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

/// What is answered, in order.
pub(super) enum Line {
    Answer(Duration, u16, String),
    Unreachable,
    Panic,
}

/// An answer of a success, after `ms`.
pub(super) fn after(ms: u64, body: &str) -> Line {
    Line::Answer(Duration::from_millis(ms), 200, body.to_owned())
}

/// A refusal at once.
pub(super) fn status(status: u16, body: &str) -> Line {
    Line::Answer(Duration::ZERO, status, body.to_owned())
}

#[derive(Default)]
pub(super) struct Script {
    lines: Mutex<VecDeque<Line>>,
    asked: Mutex<Vec<Asked>>,
}

impl Script {
    pub(super) fn of(lines: impl IntoIterator<Item = Line>) -> Arc<Script> {
        Arc::new(Script { lines: Mutex::new(lines.into_iter().collect()), asked: Mutex::default() })
    }

    pub(super) fn add(&self, line: Line) {
        self.lines.lock().push_back(line);
    }

    pub(super) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().clone()
    }

    pub(super) fn times(&self) -> usize {
        self.asked.lock().len()
    }

    /// With the clock of the paused time.
    pub(super) fn outside(self: &Arc<Script>) -> Outside {
        let began = Instant::now();
        let start = SystemTime::UNIX_EPOCH + Duration::from_secs(START);
        Outside { exchange: self.clone(), clock: Arc::new(move || start + began.elapsed()) }
    }
}

impl Exchange for Script {
    fn exchange(&self, request: Request<Bytes>, _within: Duration) -> Answering<'_> {
        let (head, body) = request.into_parts();
        let body = String::from_utf8(body.to_vec()).unwrap();
        let uri = head.uri.to_string();
        self.asked.lock().push(Asked { method: head.method, uri, headers: head.headers, body });
        let line = self.lines.lock().pop_front();
        Box::pin(async move {
            match line.expect("the script is at its end") {
                Line::Answer(delay, status, body) => {
                    tokio::time::sleep(delay).await;
                    Ok(Response::builder().status(status).body(Bytes::from(body)).unwrap())
                }
                Line::Unreachable => Err(Unreachable("connection refused".to_owned())),
                Line::Panic => panic!("on purpose"),
            }
        })
    }
}
