//! Which limit a 429 is about.

use super::table_tests::failed;
use super::*;

#[track_caller]
fn check(pairs: &[(&str, &str)], body: &str, of: Option<Measure>, per: Option<Period>) {
    let failure = failed(429, pairs, body);
    assert_eq!(failure.limit, Limit { of, per }, "{pairs:?} {body} {:?}", failure.class);
}

fn message(text: &str) -> String {
    serde_json::json!({ "error": { "message": text, "type": "rate_limit_error" } }).to_string()
}

use Measure::{Concurrency, InputTokens, OutputTokens, Requests, Tokens};
use Period::{Day, Minute, Month, Second};

/// Broken on purpose: with the first measure anywhere in the text, Groq's "Need more tokens?" made its limit of requests
/// one of tokens.
#[test]
fn the_words_name_the_limit() {
    for (text, of, per) in [
        (
            "Rate limit reached for m in organization o on tokens per min (TPM): Limit 1, Used 1.",
            Tokens,
            Minute,
        ),
        (
            "Rate limit reached for m on requests per min (RPM): Limit 3. Need more tokens? Visit",
            Requests,
            Minute,
        ),
        ("Rate limit reached on requests per day (RPD): Limit 200, Used 200", Requests, Day),
        (
            "would exceed your organization's rate limit of 40,000 input tokens per minute",
            InputTokens,
            Minute,
        ),
        ("your rate limit of 8,000 output tokens per minute", OutputTokens, Minute),
        ("rate limit of 50 requests per minute", Requests, Minute),
        ("Number of request tokens has exceeded your per-minute rate limit", Tokens, Minute),
        ("Too many tokens per day, please wait before trying again.", Tokens, Day),
        ("limited to 20 API calls / minute", Requests, Minute),
        ("limited to 1000 API calls / month", Requests, Month),
        ("Rate limit exceeded: free-models-per-day.", Requests, Day),
        ("Requests per second limit exceeded", Requests, Second),
    ] {
        check(&[], &message(text), Some(of), Some(per));
    }
    check(&[], &message("Too many tokens, please wait before trying again."), Some(Tokens), None);
    check(&[], &message("You have exceeded token rate limit of your pricing tier"), Some(Tokens), None);
    check(&[], &message("You have exceeded call rate limit of your pricing tier"), Some(Requests), None);
    check(&[], &message("Number of concurrent connections has exceeded your limit"), Some(Concurrency), None);
    check(&[], &message("images per minute"), None, Some(Minute));
    check(&[], &message("Too many requests"), None, None);
    check(&[], "", None, None);
}

#[test]
fn quotas_types_and_headers_name_the_limit() {
    let google = |ids: &[&str]| {
        let ids: Vec<_> = ids.iter().map(|id| serde_json::json!({ "quotaId": id })).collect();
        let details = [serde_json::json!({ "@type": "google.rpc.QuotaFailure", "violations": ids })];
        serde_json::json!({ "error": { "code": 429, "message": "m", "details": details } }).to_string()
    };
    let minute = "GenerateRequestsPerMinutePerProjectPerModel-FreeTier";
    let input = "GenerateContentInputTokensPerModelPerMinute-FreeTier";
    check(&[], &google(&[minute]), Some(Requests), Some(Minute));
    check(&[], &google(&[input]), Some(InputTokens), Some(Minute));
    let day = "GenerateRequestsPerDayPerProjectPerModel-FreeTier";
    check(&[], &google(&[input, day, minute]), Some(Requests), Some(Day));
    let typed = r#"{"error":{"message":"m","type":"tokens","code":"rate_limit_exceeded"}}"#;
    check(&[], typed, Some(Tokens), None);
    check(&[("x-ratelimit-type", "Requests")], "", Some(Requests), None);
    let exhausted = |name| [("x-ratelimit-remaining-requests", "5"), (name, "0")];
    check(&exhausted("x-ratelimit-remaining-tokens-day"), "", Some(Tokens), Some(Day));
    check(&exhausted("x-ratelimit-remaining-req-minute"), "", Some(Requests), Some(Minute));
    check(&exhausted("anthropic-ratelimit-output-tokens-remaining"), "", Some(OutputTokens), None);
}

#[test]
fn a_failure_that_is_about_no_limit_names_none() {
    let body = r#"{"error":{"message":"The limit of tokens per minute is of no interest here"}}"#;
    assert_eq!(failed(400, &[], body).limit, Limit::default());
    assert_eq!(failed(503, &[("x-ratelimit-remaining-tokens", "0")], "").limit, Limit::default());
}
