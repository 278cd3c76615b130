//! Error frames inside streams, per protocol.

use super::table_tests::{headers, now};
use super::*;

fn event(name: &str, data: &str) -> Option<Class> {
    let answer = headers(&[("x-ratelimit-remaining-requests", "0"), ("x-ratelimit-reset-requests", "9s")]);
    let frame = Frame::Event { name, data: data.as_bytes() };
    Failure::of_frame(frame, &answer, now()).map(|failure| failure.class)
}

const NEVER: Option<Duration> = None;
const OVERLOADED: Class = Class::Overloaded { retry_after: NEVER };
const LIMITED: Class = Class::RateLimited { retry_after: NEVER };

#[track_caller]
fn check(rows: &[(&str, &str, Class)]) {
    for (name, data, expected) in rows {
        assert_eq!(event(name, data), Some(*expected), "{name} {data}");
    }
}

#[test]
fn chat_and_its_relatives() {
    check(&[
        ("", r#"{"error":{"message":"m","type":"server_error","code":null}}"#, Class::Transient),
        ("", r#"{"error":{"message":"m","type":"rate_limit_error","code":"rate_limit_exceeded"}}"#, LIMITED),
        ("", r#"{"error":{"message":"m","type":"invalid_request_error","code":null}}"#, Class::BadRequest),
        ("", r#"{"error":{"message":"m","code":"context_length_exceeded"}}"#, Class::ContextTooLong),
        (
            "error",
            r#"{"error":{"message":"m","type":"invalid_request_error","status_code":413}}"#,
            Class::BadRequest,
        ),
        (
            "",
            r#"{"id":"x","choices":[{"delta":{},"finish_reason":"error"}],"error":{"code":502,"message":"m"}}"#,
            Class::Transient,
        ),
        (
            "",
            r#"{"choices":[{"delta":{},"finish_reason":"error","error":{"code":429,"message":"m"}}]}"#,
            LIMITED,
        ),
        ("", r#"{"error":{"code":"server_error","message":"Provider disconnected"}}"#, Class::Transient),
        ("", r#"{"object":"error","message":"m","code":40303,"type":"BadRequestError"}"#, Class::BadRequest),
        ("", r#"{"error":"model runner has stopped"}"#, Class::Transient),
        ("error", "upstream went away", Class::Transient),
        ("error", "", Class::Transient),
    ]);
}

/// Broken on purpose: with the whole event read instead of its response's error, a spent budget was a passing fault.
#[test]
fn messages_and_responses() {
    check(&[
        (
            "error",
            r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
            OVERLOADED,
        ),
        ("error", r#"{"type":"error","error":{"type":"rate_limit_error","message":"m"}}"#, LIMITED),
        ("error", r#"{"type":"error","error":{"type":"api_error","message":"m"}}"#, Class::Transient),
        ("error", r#"{"type":"error","error":{"type":"timeout_error","message":"m"}}"#, Class::TimedOut),
        ("error", r#"{"type":"error","error":{"type":"authentication_error","message":"m"}}"#, Class::Auth),
        (
            "error",
            r#"{"type":"error","code":"rate_limit_exceeded","message":"m","param":null,"sequence_number":3}"#,
            LIMITED,
        ),
        (
            "",
            r#"{"type":"error","error":{"type":"service_unavailable_error","code":"server_is_overloaded","message":"m"}}"#,
            OVERLOADED,
        ),
        (
            "response.failed",
            r#"{"type":"response.failed","response":{"id":"r","status":"failed","error":{"code":"server_error","message":"m"}}}"#,
            Class::Transient,
        ),
        (
            "response.failed",
            r#"{"type":"response.failed","response":{"status":"failed","error":{"code":"insufficient_quota","message":"m"}}}"#,
            Class::QuotaExhausted { retry_after: NEVER },
        ),
        (
            "response.failed",
            r#"{"type":"response.failed","response":{"status":"failed","error":null}}"#,
            Class::Transient,
        ),
    ]);
    let body = r#"{"type":"error","error":{"code":"server_is_overloaded","message":"m","headers":{"x-retry-metadata":"NO_MORE_RETRY","retry-after":"3"}}}"#;
    let frame = Frame::Event { name: "error", data: body.as_bytes() };
    let failure = Failure::of_frame(frame, &HeaderMap::new(), now()).unwrap();
    assert_eq!(failure.should_retry, Some(false));
    assert_eq!(failure.class.retry_after(), Some(Duration::from_secs(3)));
}

#[test]
fn the_status_that_an_error_names_is_kept() {
    let status = |data: &str| {
        let frame = Frame::Event { name: "error", data: data.as_bytes() };
        Failure::of_frame(frame, &HeaderMap::new(), now()).unwrap().status.map(|status| status.as_u16())
    };
    assert_eq!(status(r#"{"error":{"message":"m","code":502}}"#), Some(502));
    assert_eq!(status(r#"{"error":{"message":"m","code":"429"}}"#), Some(429));
    assert_eq!(status(r#"{"error":{"message":"m","status_code":400}}"#), Some(400));
    assert_eq!(status(r#"{"error":{"message":"m","code":3051,"status":"INTERNAL"}}"#), None);
}

#[test]
fn gemini_and_cohere() {
    let wait = Some(Duration::from_millis(34_400));
    let exhausted = r#"{"error":{"code":429,"message":"m","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"34.4s"}]}}"#;
    check(&[
        ("", exhausted, Class::RateLimited { retry_after: wait }),
        ("", &format!("[{exhausted}]"), Class::RateLimited { retry_after: wait }),
        ("", r#"{"error":{"code":503,"message":"m","status":"UNAVAILABLE"}}"#, OVERLOADED),
        ("", r#"{"error":{"code":500,"message":"m","status":"INTERNAL"}}"#, Class::Transient),
        ("", r#"{"error":{"code":400,"message":"m","status":"INVALID_ARGUMENT"}}"#, Class::BadRequest),
        ("", r#"{"type":"message-end","delta":{"error":"m","finish_reason":"ERROR"}}"#, Class::Transient),
    ]);
}

#[test]
fn bedrock() {
    let class = |name: &str, payload: &str| {
        let frame = Frame::Exception { name, payload: payload.as_bytes() };
        Failure::of_frame(frame, &HeaderMap::new(), now()).unwrap().class
    };
    let words = r#"{"message":"m"}"#;
    assert_eq!(class("throttlingException", words), LIMITED);
    assert_eq!(
        class("throttlingException", r#"{"message":"Too many tokens per day"}"#),
        Class::QuotaExhausted { retry_after: NEVER }
    );
    assert_eq!(class("modelStreamErrorException", words), Class::Transient);
    assert_eq!(class("modelTimeoutException", words), Class::TimedOut);
    assert_eq!(class("internalServerException", words), Class::Transient);
    assert_eq!(class("serviceUnavailableException", words), OVERLOADED);
    assert_eq!(class("validationException", words), Class::BadRequest);
    assert_eq!(
        class("validationException", r#"{"message":"Input is too long for requested model."}"#),
        Class::ContextTooLong
    );
    assert_eq!(class("somethingNewException", ""), Class::Transient);
}

#[test]
fn what_reports_no_failure_is_none() {
    for (name, data) in [
        ("", r#"{"choices":[{"delta":{"content":"error"},"finish_reason":null}],"error":null}"#),
        ("", r#"{"error":{}}"#),
        ("", r#"{"error":""}"#),
        (
            "response.created",
            r#"{"type":"response.created","response":{"status":"in_progress","error":null}}"#,
        ),
        (
            "response.output_item.done",
            r#"{"type":"response.output_item.done","item":{"type":"mcp_call","error":{"code":500}}}"#,
        ),
        ("content_block_delta", r#"{"type":"content_block_delta","delta":{"text":"{\"error\":1}"}}"#),
        ("", r#"{"candidates":[{"finishReason":"SAFETY"}]}"#),
        ("", "[DONE]"),
        ("", ""),
        ("ping", r#"{"type":"ping"}"#),
    ] {
        assert_eq!(event(name, data), None, "{name} {data}");
    }
}

#[test]
fn plain_answers_that_are_errors() {
    let class = |body: &str| {
        Failure::of_frame(Frame::Answer(body.as_bytes()), &HeaderMap::new(), now())
            .map(|failure| failure.class)
    };
    assert_eq!(class(r#"{"error":{"code":429,"message":"m"}}"#), Some(LIMITED));
    assert_eq!(
        class(r#"{"object":"error","message":"m","type":"BadRequestError"}"#),
        Some(Class::BadRequest)
    );
    let failed = r#"{"object":"response","status":"failed","error":{"code":"server_error","message":"m"},"output":[]}"#;
    assert_eq!(class(failed), Some(Class::Transient));
    assert_eq!(class(r#"{"choices":[],"error":{"message":"m"}}"#), None);
    assert_eq!(class(r#"{"object":"response","status":"incomplete","error":null,"output":[]}"#), None);
    assert_eq!(class("<html>"), None);
}

#[test]
fn readers_that_keep_only_words_or_openais_error_are_served_too() {
    let words = |kind: &str, message: &str| Failure::of_words(kind, message, &HeaderMap::new(), now()).class;
    assert_eq!(words("overloaded_error", "m"), OVERLOADED);
    assert_eq!(words("RESOURCE_EXHAUSTED", "m"), LIMITED);
    assert_eq!(words("throttlingException", "m"), LIMITED);
    assert_eq!(words("", ""), Class::Transient);
    let of_stream = |code: Option<&str>, kind: Option<&str>, status| {
        let text = |text: Option<&str>| text.map(str::to_owned);
        let error = UpstreamError { message: "m".into(), kind: text(kind), code: text(code), param: None };
        let answer =
            headers(&[("x-ratelimit-remaining-requests", "0"), ("x-ratelimit-reset-requests", "9s")]);
        Failure::of_stream(&StreamError { error, status }, &answer, now()).class
    };
    assert_eq!(of_stream(Some("502"), None, Some(502)), Class::Transient);
    assert_eq!(of_stream(Some("429"), None, Some(429)), LIMITED);
    assert_eq!(of_stream(None, Some("rate_limit_error"), None), LIMITED);
    assert_eq!(of_stream(Some("server_is_overloaded"), None, None), OVERLOADED);
    assert_eq!(of_stream(None, Some("invalid_request_error"), None), Class::BadRequest);
    let both = of_stream(Some("context_length_exceeded"), Some("invalid_request_error"), None);
    assert_eq!(both, Class::ContextTooLong);
}
