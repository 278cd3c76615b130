//! The canonical request of Signature Version 4: the one form that signer and service bring a request to.
//! Source: AWS General Reference, "Create a signed AWS API request"; details as botocore 1.44 `auth.py` does them.

use http::{HeaderMap, HeaderName};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode, utf8_percent_encode};

/// RFC 3986 unreserved characters stay as they are.
const VALUE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// The same in a path.
const PATH: &AsciiSet = &VALUE.remove(b'/');

/// Left out: they may change on the way, or are added by the client that sends. The list is botocore's, and
/// `content-length`, which is that client's matter too.
const UNSIGNED: &[&str] = &[
    "authorization",
    "baggage",
    "connection",
    "content-length",
    "expect",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "traceparent",
    "tracestate",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "x-amzn-trace-id",
];

/// The path, encoded once more than it is sent: a model id `a:0` is sent as `a%3A0` and signed as `a%253A0`. Empty and dot
/// segments are resolved, as AWS does before it compares.
pub(super) fn path(sent: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for segment in sent.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(kept.pop()),
            segment => kept.push(segment),
        }
    }
    let end = if sent.ends_with('/') && !kept.is_empty() { "/" } else { "" };
    utf8_percent_encode(&format!("/{}{end}", kept.join("/")), PATH).to_string()
}

/// The query, each name and value encoded once, in order of names and then values.
pub(super) fn query(sent: &str) -> String {
    let recode = |text: &str| {
        let plain: Vec<u8> = percent_decode_str(text).collect();
        percent_encode(&plain, VALUE).to_string()
    };
    let fields = sent.split('&').filter(|field| !field.is_empty());
    let mut fields: Vec<(String, String)> = fields
        .map(|field| {
            let (name, value) = field.split_once('=').unwrap_or((field, ""));
            (recode(name), recode(value))
        })
        .collect();
    fields.sort_unstable();
    let fields = fields.into_iter().map(|(name, value)| format!("{name}={value}"));
    fields.collect::<Vec<_>>().join("&")
}

/// The headers that are signed, one line each, and their names. Bytes, since a header's value need not be text.
pub(super) fn headers(all: &HeaderMap) -> (Vec<u8>, String) {
    let mut names: Vec<&HeaderName> = all.keys().filter(|name| !UNSIGNED.contains(&name.as_str())).collect();
    names.sort_unstable_by_key(|name| name.as_str());
    let mut lines = Vec::new();
    for name in &names {
        lines.extend_from_slice(name.as_str().as_bytes());
        lines.push(b':');
        for (nth, value) in all.get_all(*name).iter().enumerate() {
            if nth > 0 {
                lines.push(b',');
            }
            push_squeezed(&mut lines, value.as_bytes());
        }
        lines.push(b'\n');
    }
    let names: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
    (lines, names.join(";"))
}

/// Without space at its ends, and with one for many.
fn push_squeezed(lines: &mut Vec<u8>, value: &[u8]) {
    let words = value.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    for (nth, word) in words.enumerate() {
        if nth > 0 {
            lines.push(b' ');
        }
        lines.extend_from_slice(word);
    }
}
