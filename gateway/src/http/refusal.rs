//! A call that is not served, as its client reads it: in the manner of the API that its SDK was made for.

use std::time::SystemTime;

use axum::body::Body;
use http::{HeaderMap, HeaderName, HeaderValue, Response, header};

use crate::dialect::voice::{Told, Voice};
use crate::error::{Error, Fault, Kind};
use crate::telemetry::Record;

/// The whole answer. `id` is the request's.
pub(super) fn refuse(error: &Error, voice: Voice, id: &str, record: Option<&Record>) -> Response<Body> {
    let kind = error.kind;
    let told = told(error, id);
    let raw = error.said.as_ref().and_then(|said| said.raw.clone());
    let body = raw.unwrap_or_else(|| told.body(voice).into());
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = kind.status();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(time) = error.retry_after {
        let seconds = time.as_millis().div_ceil(1_000).max(1) as u64;
        headers.insert(header::RETRY_AFTER, seconds.into());
        headers.insert(HeaderName::from_static("retry-after-ms"), (time.as_millis() as u64).into());
    }
    // (Where there is a time to come back, not all was tried.)
    if kind == Kind::BudgetSpent || kind.is_final() && error.retry_after.is_none() {
        headers.insert(HeaderName::from_static("x-should-retry"), HeaderValue::from_static("false"));
    }
    if let Some(record) = record {
        tell(headers, record);
    }
    if let Some(record) = record.filter(|record| record.attempts > 0) {
        headers.insert(HeaderName::from_static("x-weir-attempts"), u64::from(record.attempts).into());
        if let Ok(name) = HeaderValue::try_from(&*record.deployment) {
            headers.insert(HeaderName::from_static("x-weir-deployment"), name);
        }
    }
    response
}

/// What the client is told of an error; the log is told if it is ours.
pub(super) fn told<'a>(error: &'a Error, id: &'a str) -> Told<'a> {
    let kind = error.kind;
    // One that is shed has its own line, and there may be many.
    if kind.fault() == Fault::Gateway && kind != Kind::Overloaded {
        tracing::warn!(target: "weir::call", kind = kind.name(), "call refused");
    }
    Told { request: id, ..error.told() }
}

/// What the tenant has left, and why its call went where it went if it asks.
pub(crate) fn tell(headers: &mut HeaderMap, record: &Record) {
    let mut put = |name: &'static str, value: String| {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    let now = SystemTime::now();
    for (name, value) in record.left.iter().filter_map(|left| left.headers(record.voice, now)).flatten() {
        put(name, value);
    }
    if record.explanation.wanted {
        put("x-weir-explain", record.explanation.header());
    }
}

/// What every answer to a call says: who answered, and which request it was.
pub(super) fn stamp(headers: &mut HeaderMap, voice: Voice, replica: &HeaderValue, id: &str) {
    headers.insert(HeaderName::from_static("x-weir-replica"), replica.clone());
    let Ok(id) = HeaderValue::try_from(id) else { return };
    if voice == Voice::Anthropic {
        headers.insert(HeaderName::from_static("request-id"), id.clone());
    }
    headers.insert(HeaderName::from_static("x-request-id"), id);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use http_body_util::BodyExt;
    use serde_json::Value;
    use smallvec::smallvec;

    use super::*;
    use crate::dialect::limits::{Left, Unit};
    use crate::dialect::openai::answer::UpstreamError;
    use crate::error::Said;
    use crate::telemetry::Metrics;

    async fn refused(error: &Error, voice: Voice, record: Option<&Record>) -> (HeaderMap, Value) {
        let (head, body) = refuse(error, voice, "req_1", record).into_parts();
        assert_eq!(head.status, error.kind.status());
        (head.headers, serde_json::from_slice(&body.collect().await.unwrap().to_bytes()).unwrap())
    }

    /// Broken on purpose to see it fail: every voice answered as OpenAI's.
    #[tokio::test]
    async fn a_wait_is_told_in_headers_and_in_the_body_of_each_voice() {
        let error = Error::new(Kind::NoCapacity, "Full.").retry_after(Duration::from_millis(1_500));
        for voice in [Voice::OpenAi, Voice::Anthropic, Voice::Google] {
            let (headers, body) = refused(&error, voice, None).await;
            assert_eq!(
                (&headers["retry-after"], &headers["retry-after-ms"]),
                (&"2".parse().unwrap(), &"1500".parse().unwrap())
            );
            assert_eq!(body["error"]["message"], "Full.");
            match voice {
                Voice::OpenAi => assert_eq!(body["error"]["code"], "rate_limit_exceeded"),
                Voice::Anthropic => {
                    assert_eq!((&body["type"], &body["request_id"]), (&"error".into(), &"req_1".into()));
                }
                Voice::Google => assert_eq!(body["error"]["details"][0]["retryDelay"], "1.500s"),
            }
        }
    }

    /// Broken on purpose to see it fail: the header left out.
    #[tokio::test]
    async fn who_is_not_to_try_again_is_told_in_every_voice() {
        for kind in Kind::all() {
            for voice in [Voice::OpenAi, Voice::Anthropic, Voice::Google] {
                let (headers, _) = refused(&Error::new(kind, "No."), voice, None).await;
                let told = headers.get("x-should-retry").map(|value| value == "false");
                assert_eq!(told, kind.is_final().then_some(true), "{kind:?}");
            }
        }
    }

    #[tokio::test]
    async fn the_upstreams_words_are_said_in_the_voice_of_the_client() {
        let said = UpstreamError {
            message: "prompt is too long".into(),
            kind: Some("invalid_request_error".into()),
            code: Some("context_length_exceeded".into()),
            param: Some("messages".into()),
        };
        let kind = Kind::Refused(http::StatusCode::BAD_REQUEST);
        let error =
            Error { said: Some(Box::new(Said { words: said, raw: None })), ..Error::new(kind, "ours") };
        let (_, body) = refused(&error, Voice::OpenAi, None).await;
        assert_eq!(body["error"]["code"], "context_length_exceeded");
        assert_eq!(body["error"]["param"], "messages");
        let (_, body) = refused(&error, Voice::Anthropic, None).await;
        assert_eq!(body["error"]["message"], "prompt is too long");
        let (_, body) = refused(&error, Voice::Google, None).await;
        assert_eq!(
            (&body["error"]["code"], &body["error"]["status"]),
            (&400.into(), &"INVALID_ARGUMENT".into())
        );
    }

    /// One of our codes is also a word of Anthropic's. Broken on purpose to see it fail: that code left out as foreign.
    #[tokio::test]
    async fn every_code_of_ours_reaches_openais_clients() {
        for kind in Kind::all() {
            let (_, body) = refused(&Error::new(kind, "No."), Voice::OpenAi, None).await;
            assert_eq!(body["error"]["code"], kind.code());
        }
    }

    /// Broken on purpose to see it fail: OpenAI's names whatever the voice.
    #[tokio::test]
    async fn what_is_left_is_told_under_the_names_of_the_voice() {
        let mut record = Record::new(Arc::new(Metrics::new().unwrap()), "req_1".into());
        let left = Left { counted: Unit::Requests, limit: 9, left: 1, reset: Duration::from_secs(1) };
        record.left = smallvec![left];
        let told = |voice, record: &mut Record| {
            record.voice = voice;
            let mut headers = HeaderMap::new();
            tell(&mut headers, record);
            headers
        };
        let headers = told(Voice::Anthropic, &mut record);
        assert_eq!(headers["anthropic-ratelimit-requests-remaining"], "1");
        assert!(headers.keys().all(|name| name.as_str().starts_with("anthropic-ratelimit-")));
        assert_eq!(told(Voice::OpenAi, &mut record)["x-ratelimit-remaining-requests"], "1");
    }

    #[test]
    fn an_anthropic_client_finds_the_id_where_it_looks() {
        let stamped = |voice| {
            let mut headers = HeaderMap::new();
            stamp(&mut headers, voice, &HeaderValue::from_static("r"), "req_1");
            headers
        };
        assert_eq!(stamped(Voice::Anthropic)["request-id"], "req_1");
        assert_eq!(stamped(Voice::Anthropic)["x-request-id"], "req_1");
        assert!(!stamped(Voice::OpenAi).contains_key("request-id"));
    }
}
