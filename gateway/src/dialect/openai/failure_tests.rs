use std::time::UNIX_EPOCH;

use proptest::prelude::*;

use super::*;

fn failed(status: u16, pairs: &[(&'static str, &str)], body: &str) -> Failure {
    let headers: HeaderMap = pairs
        .iter()
        .map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap()))
        .collect();
    Failure::of_answer(StatusCode::from_u16(status).unwrap(), &headers, body.as_bytes(), UNIX_EPOCH)
}

#[track_caller]
fn check(status: u16, body: &str, expected: Class) {
    assert_eq!(failed(status, &[], body).class, expected, "{status} {body}");
}

fn error(code: &str, kind: &str, message: &str) -> String {
    serde_json::json!({ "error": { "message": message, "type": kind, "param": null, "code": code } })
        .to_string()
}

const NO_TIME: Option<Duration> = None;

#[test]
fn a_busy_minute_is_a_rate_limit_with_the_time_it_names() {
    let message = "Rate limit reached for gpt-4o in organization o on tokens per min (TPM): Limit 10000, Used 8782, \
                   Requested 8172. Please try again in 41.724s. Visit https://platform.openai.com";
    let wait = Some(Duration::from_millis(41_724));
    check(429, &error("rate_limit_exceeded", "tokens", message), Class::RateLimited { retry_after: wait });
    check(429, "", Class::RateLimited { retry_after: NO_TIME });
    let mistral = r#"{"message":"Rate limit exceeded","type":"rate_limited","code":"1300"}"#;
    check(429, mistral, Class::RateLimited { retry_after: NO_TIME });
    let azure = error(
        "429",
        "",
        "You have exceeded token rate limit of your current OpenAI S0 pricing tier. Please retry after 37 seconds.",
    );
    check(429, &azure, Class::RateLimited { retry_after: Some(Duration::from_secs(37)) });
}

#[test]
fn a_spent_budget_is_not_a_busy_minute() {
    let exhausted = Class::QuotaExhausted { retry_after: NO_TIME };
    check(
        429,
        &error("insufficient_quota", "insufficient_quota", "You exceeded your current quota"),
        exhausted,
    );
    check(429, &error("project_spend_limit_exceeded", "insufficient_quota", ""), exhausted);
    check(400, &error("billing_hard_limit_reached", "invalid_request_error", ""), exhausted);
    check(402, r#"{"error":{"message":"Insufficient Balance"}}"#, exhausted);
    let day = Some(Duration::from_secs(86_400));
    assert_eq!(
        failed(429, &[("retry-after", "86400")], "").class,
        Class::QuotaExhausted { retry_after: day }
    );
    assert_eq!(failed(429, &[("x-ratelimit-limit-req-minute", "0")], "").class, exhausted);
}

#[test]
fn a_request_larger_than_the_whole_limit_is_told_from_a_busy_minute() {
    let groq = "Request too large for model `x` in organization `o` on tokens per minute (TPM): Limit 8000, Requested \
                10098, please reduce your message size and try again.";
    check(413, &error("rate_limit_exceeded", "tokens", groq), Class::TooBigForPool);
    let openai =
        "Request too large for gpt-4o (for limit o) on tokens per min (TPM): Limit 30,000, Requested 31,000.";
    check(429, &error("rate_limit_exceeded", "tokens", openai), Class::TooBigForPool);
    check(413, "<html>413 Request Entity Too Large</html>", Class::BadRequest);
}

#[test]
fn a_lack_of_capacity_is_not_our_limit() {
    let overloaded = Class::Overloaded { retry_after: NO_TIME };
    check(503, "", overloaded);
    check(529, &error("", "overloaded_error", "Overloaded"), overloaded);
    check(503, &error("server_is_overloaded", "service_unavailable_error", "m"), overloaded);
    check(429, &error("slow_down", "rate_limit_error", "m"), overloaded);
    check(429, &error("429", "", "System is experiencing high demand."), overloaded);
    let wait = Some(Duration::from_secs(2));
    assert_eq!(failed(503, &[("retry-after", "2")], "").class, Class::Overloaded { retry_after: wait });
}

#[test]
fn too_long_and_filtered_are_told_from_other_bad_requests() {
    check(400, &error("context_length_exceeded", "invalid_request_error", "m"), Class::ContextTooLong);
    check(
        400,
        &error(
            "invalid_request_error",
            "invalid_request_error",
            "This model's maximum context length is 1048565 tokens.",
        ),
        Class::ContextTooLong,
    );
    check(400, &error("content_filter", "", "m"), Class::ContentFiltered);
    check(403, &error("misalignment_policy_violation", "", "m"), Class::ContentFiltered);
    check(400, &error("unsupported_parameter", "invalid_request_error", "m"), Class::BadRequest);
    check(422, r#"{"detail":[{"loc":["body"],"msg":"m","type":"missing"}]}"#, Class::BadRequest);
}

#[test]
fn a_fault_of_our_configuration_is_told_from_a_fault_of_the_request() {
    check(401, "", Class::Auth);
    check(403, &error("unsupported_country_region_territory", "request_forbidden", "m"), Class::Auth);
    check(404, &error("model_not_found", "invalid_request_error", "m"), Class::NotFound);
    check(404, "<html>", Class::NotFound);
    check(308, "", Class::NotFound);
    check(
        400,
        r#"{"object":"error","message":"Invalid model: x","type":"invalid_model","code":"1500"}"#,
        Class::NotFound,
    );
    let of_xai = |message| format!(r#"{{"code":"invalid-argument","error":"{message}"}}"#);
    check(400, &of_xai("Incorrect API key provided. You can obtain one."), Class::Auth);
    check(400, &of_xai("Model not found: grok-x"), Class::NotFound);
    check(400, r#"{"error":{"code":400,"message":"Model a/b does not exist"}}"#, Class::NotFound);
    check(400, &of_xai("The file in message 2 does not exist"), Class::BadRequest);
}

#[test]
fn faults_of_the_moment_are_transient() {
    for status in [408, 409, 500, 502, 504, 520, 599] {
        check(status, "", Class::Transient);
    }
    check(500, &error("", "server_error", "The server had an error"), Class::Transient);
}

#[test]
fn the_upstreams_own_word_on_retrying_is_kept() {
    assert_eq!(failed(500, &[("x-should-retry", "false")], "").should_retry, Some(false));
    assert_eq!(failed(400, &[("x-should-retry", "true")], "").should_retry, Some(true));
    assert_eq!(failed(400, &[("x-should-retry", "maybe")], "").should_retry, None);
}

#[test]
fn an_error_inside_a_stream_is_classified_by_its_words() {
    let class = |code: Option<&str>, kind: Option<&str>, status| {
        let text = |text: Option<&str>| text.map(str::to_owned);
        let error = UpstreamError { message: "m".into(), kind: text(kind), code: text(code), param: None };
        let mut headers = HeaderMap::new();
        headers.insert("x-ratelimit-remaining-requests", "0".parse().unwrap());
        headers.insert("x-ratelimit-reset-requests", "9s".parse().unwrap());
        Failure::of_stream(&StreamError { error, status }, &headers, UNIX_EPOCH).class
    };
    assert_eq!(class(None, Some("server_error"), None), Class::Transient);
    assert_eq!(class(Some("502"), None, Some(502)), Class::Transient);
    assert_eq!(class(Some("429"), None, Some(429)), Class::RateLimited { retry_after: NO_TIME });
    assert_eq!(class(None, Some("rate_limit_error"), None), Class::RateLimited { retry_after: NO_TIME });
    assert_eq!(class(Some("server_is_overloaded"), None, None), Class::Overloaded { retry_after: NO_TIME });
    assert_eq!(class(None, Some("invalid_request_error"), None), Class::BadRequest);
    assert_eq!(
        class(Some("context_length_exceeded"), Some("invalid_request_error"), None),
        Class::ContextTooLong
    );
}

proptest! {
    #[test]
    fn no_answer_makes_it_panic(
        status in 100u16..1000, body in proptest::collection::vec(any::<u8>(), 0..80),
        message in any::<String>(), value in "[ -~]{0,20}",
    ) {
        let status = StatusCode::from_u16(status).unwrap();
        let mut headers = HeaderMap::new();
        for name in ["retry-after", "retry-after-ms", "x-ratelimit-remaining-x", "x-ratelimit-reset-x"] {
            headers.insert(name, value.parse().unwrap());
        }
        let spoken = error(&message, &value, &format!("Limit {value}, Requested {message} try again in {value}"));
        for body in [&body[..], spoken.as_bytes()] {
            let _ = Failure::of_answer(status, &headers, body, UNIX_EPOCH);
        }
    }
}
