//! How an alert reads, and how it is sent.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, header};
use serde_json::{Value, json};

use super::told::Event;
use crate::config::Webhook;
use crate::upstream::auth::Exchange;

/// Events of one message.
pub const MOST: usize = 50;
/// Lines of its text.
const LINES: usize = 20;
/// How long a receiver may take.
const WITHIN: Duration = Duration::from_secs(5);

/// Who tells.
#[derive(Clone, Copy, Debug)]
pub struct Whose<'a> {
    /// Of the cluster; empty if it is this one process.
    pub namespace: &'a str,
    /// Which replica.
    pub replica: &'a str,
}

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Posted {
    /// The receiver took it.
    Taken,
    /// It did not.
    Not {
        /// For the log; names no address.
        why: String,
        /// When to come back, if it said so.
        after: Option<Duration>,
    },
}

/// Sends a message of these events, of [`MOST`] at most.
pub async fn post(by: &dyn Exchange, webhook: &Webhook, whose: &Whose<'_>, events: &[Event]) -> Posted {
    let not = |why: String| Posted::Not { why, after: None };
    let Ok(uri) = webhook.uri() else { return not("its address cannot be used".to_owned()) };
    let mut request = Request::new(Bytes::from(body(whose, events).to_string()));
    (*request.method_mut(), *request.uri_mut()) = (Method::POST, uri);
    let headers = request.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::USER_AGENT, HeaderValue::from_static(concat!("weir/", env!("CARGO_PKG_VERSION"))));
    match tokio::time::timeout(WITHIN, by.exchange(request, WITHIN)).await {
        Ok(Ok(answer)) if answer.status().is_success() => Posted::Taken,
        Ok(Ok(answer)) => Posted::Not {
            why: format!("the receiver answered {}", answer.status().as_u16()),
            after: retry_after(answer.headers()),
        },
        Ok(Err(err)) => not(err.to_string()),
        Err(_) => not("too late".to_owned()),
    }
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

/// What is sent. It holds names of the configuration and of replicas, and nothing else of either. `text` is for receivers that show
/// nothing else, as chats do.
pub fn body(whose: &Whose<'_>, events: &[Event]) -> Value {
    let mut lines: Vec<String> = events.iter().take(LINES).map(line).collect();
    if events.len() > LINES {
        lines.push(format!("and {} more", events.len() - LINES));
    }
    let alerts: Vec<Value> = events.iter().map(one).collect();
    json!({
        "source": "weir", "namespace": whose.namespace, "replica": whose.replica,
        "text": lines.join("\n"), "alerts": alerts,
    })
}

fn line(event: &Event) -> String {
    let says = event.alert.kind.says(&event.alert.subject);
    if event.is_over { format!("Weir: over: {says}") } else { format!("Weir: {says}") }
}

/// The last second of the year 9999, Unix time.
const END_OF_DATES: u64 = 253_402_300_799;

fn one(Event { alert, is_over, since }: &Event) -> Value {
    // (Another replica's note may say anything, and a date has no fifth digit.)
    let since = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs((*since).min(END_OF_DATES)));
    json!({
        "key": alert.key, "alert": alert.kind.name(), "subject": alert.subject,
        "status": if *is_over { "resolved" } else { "firing" },
        "since": since.map(|since| humantime::format_rfc3339_seconds(since).to_string()),
        "summary": alert.kind.says(&alert.subject),
    })
}

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;
