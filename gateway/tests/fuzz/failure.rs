//! What failures mean.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::Value;
use weir::dialect::failure::{Failure, Frame};
use weir::dialect::openai::answer::error_body;

/// No upstream makes us wait longer.
const MONTH: Duration = Duration::from_secs(31 * 86_400);
/// A key that no client must see.
const KEY: &str = "sk-proj-abcdefghijklmnopqrstuvwxyz0123456789";

/// A status, headers and a body, as HTTP/1.1 has them: every wait is bounded, and what clients read tells no secret.
pub(crate) fn of_answer(input: &[u8]) {
    let (head, body) = halves(input);
    let mut lines = head.split(|byte| *byte == b'\n');
    let status = lines.next().and_then(|line| StatusCode::from_bytes(line.trim_ascii()).ok());
    let headers = headers(lines);
    for status in [status.unwrap_or(StatusCode::TOO_MANY_REQUESTS), StatusCode::BAD_REQUEST] {
        let read = || Failure::of_answer(status, &headers, body, now());
        check(&read(), body);
        assert_eq!(read(), read());
    }
}

/// The same inside a stream: the name of an event in the first line, headers, and its data.
pub(crate) fn of_event(input: &[u8]) {
    let (head, data) = halves(input);
    let mut lines = head.split(|byte| *byte == b'\n');
    let name = String::from_utf8_lossy(lines.next().unwrap_or_default());
    let headers = headers(lines);
    let frames = [
        Frame::Event { name: &name, data },
        Frame::Exception { name: &name, payload: data },
        Frame::Answer(data),
    ];
    for frame in frames {
        if let Some(failure) = Failure::of_frame(frame, &headers, now()) {
            check(&failure, data);
        }
    }
    let text = String::from_utf8_lossy(data);
    check(&Failure::of_words(&name, &text, &headers, now()), data);
}

fn check(failure: &Failure, raw: &[u8]) {
    let wait = failure.class.retry_after();
    assert!(wait.is_none_or(|wait| wait <= MONTH && !wait.is_zero()), "a wait of {wait:?}");
    let shown = failure.shown();
    assert!(!shown.message.is_empty() && shown.message.len() <= 4000 + 64);
    for error in [Some(&shown), failure.error.as_ref()].into_iter().flatten() {
        let names = [&error.kind, &error.code, &error.param].map(Option::as_deref);
        let [kind, code, param] = names;
        let told = error_body(&error.message, kind.unwrap_or("e"), code, param);
        assert!(serde_json::from_slice::<Value>(&told).is_ok());
        assert!(!tells_key(&serde_json::from_slice(&told).unwrap()), "a key is told");
    }
    let passed = failure.passed(&Bytes::copy_from_slice(raw));
    assert!(passed.is_none() || !failure.class.tells_of_account());
    let read =
        |raw: Bytes| serde_json::from_slice(&raw).unwrap_or_else(|_| String::from_utf8_lossy(&raw).into());
    assert!(passed.is_none_or(|raw| !tells_key(&read(raw))), "a key passes");
}

/// Does it stand there as a word? (In the middle of another it is none.)
fn tells_key(value: &Value) -> bool {
    match value {
        Value::String(text) => text.match_indices(KEY).any(|(at, _)| {
            text[..at]
                .chars()
                .next_back()
                .is_none_or(|before| before.is_whitespace() || "\"'([{<,;".contains(before))
        }),
        Value::Array(items) => items.iter().any(tells_key),
        Value::Object(members) => members.values().any(tells_key),
        _ => false,
    }
}

/// What stands before and behind the first blank line.
fn halves(input: &[u8]) -> (&[u8], &[u8]) {
    let end = input.windows(2).position(|pair| pair == b"\n\n");
    end.map_or((input, &[]), |end| (&input[..end], &input[end + 2..]))
}

fn headers<'a>(lines: impl Iterator<Item = &'a [u8]>) -> HeaderMap {
    let header = |line: &[u8]| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let name = HeaderName::from_bytes(&line[..colon]).ok()?;
        Some((name, HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?))
    };
    // (More headers than that, no HTTP client takes.)
    lines.take(1000).filter_map(header).collect()
}

/// 2026-02-01, always: a run can be repeated.
fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_769_904_000)
}
