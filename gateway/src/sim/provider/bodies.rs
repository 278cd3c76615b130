//! The last requests as they arrived, headers and body, so that tests can compare bytes.

use bytes::Bytes;
use http::HeaderMap;
use serde_json::json;
use std::collections::VecDeque;

/// Requests kept.
const KEPT: usize = 1_000;

/// The last requests, oldest first.
#[derive(Debug, Default)]
pub(super) struct Bodies(VecDeque<(u64, HeaderMap, Bytes)>);

impl Bodies {
    pub(super) fn push(&mut self, seq: u64, headers: &HeaderMap, body: &Bytes) {
        self.0.push_back((seq, headers.clone(), body.clone()));
        if self.0.len() > KEPT {
            self.0.pop_front();
        }
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// One JSON object per request: `seq`, `headers` (pairs, in order) and `body` as text. Bytes that are not
    /// UTF-8 are replaced: the hash in the arrival log is of the bytes.
    pub(super) fn lines(&self) -> String {
        let mut lines = String::new();
        for (seq, headers, body) in &self.0 {
            let headers: Vec<_> = headers
                .iter()
                .map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value.as_bytes())))
                .collect();
            let line = json!({"seq": seq, "headers": headers, "body": String::from_utf8_lossy(body)});
            lines.push_str(&line.to_string());
            lines.push('\n');
        }
        lines
    }
}
