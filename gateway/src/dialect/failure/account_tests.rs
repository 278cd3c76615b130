//! What is held against a whole account, and what is not.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, StatusCode};

use super::OfAccount::{self, Credit, Key};
use super::{Class, Failure};

fn failed(status: u16, headers: &[(&'static str, &str)], body: &str) -> Failure {
    let headers: HeaderMap =
        headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600);
    Failure::of_answer(StatusCode::from_u16(status).unwrap(), &headers, body.as_bytes(), now)
}

#[test]
fn only_what_no_call_with_the_key_escapes_is_held_against_the_account() {
    let rows: &[(u16, &str, Option<OfAccount>)] = &[
        (
            401,
            r#"{"error":{"message":"Incorrect API key provided: sk-1.","type":"invalid_request_error","code":"invalid_api_key"}}"#,
            Some(Key),
        ),
        (
            401,
            r#"{"type":"error","error":{"type":"authentication_error","message":"invalid x-api-key"}}"#,
            Some(Key),
        ),
        (401, "", Some(Key)),
        (
            400,
            r#"{"error":{"code":400,"message":"API key not valid. Please pass a valid API key.","status":"INVALID_ARGUMENT"}}"#,
            Some(Key),
        ),
        (
            403,
            r#"{"__type":"UnrecognizedClientException","message":"The security token included in the request is invalid."}"#,
            Some(Key),
        ),
        // Of one model, one region, one operation.
        (
            403,
            r#"{"type":"error","error":{"type":"permission_error","message":"Your API key does not have permission to use the specified resource."}}"#,
            None,
        ),
        (
            403,
            r#"{"error":{"code":403,"message":"Permission denied on resource.","status":"PERMISSION_DENIED"}}"#,
            None,
        ),
        (
            403,
            r#"{"__type":"AccessDeniedException","message":"You don't have access to the model with the specified model ID."}"#,
            None,
        ),
        (
            403,
            r#"{"error":{"code":"unsupported_country_region_territory","message":"Country not supported"}}"#,
            None,
        ),
        (403, "", None),
        // Money.
        (
            429,
            r#"{"error":{"message":"You exceeded your current quota, please check your plan and billing details.","type":"insufficient_quota","code":"insufficient_quota"}}"#,
            Some(Credit),
        ),
        (
            402,
            r#"{"error":{"message":"Insufficient Balance","type":"unknown_error","code":"invalid_request_error"}}"#,
            Some(Credit),
        ),
        (
            400,
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low to access the Anthropic API."}}"#,
            Some(Credit),
        ),
        // A pool's: so many a day of one model, or a busy minute.
        (
            429,
            r#"{"error":{"message":"Rate limit reached for gpt-4o in organization org-1 on requests per day (RPD): Limit 200, Used 200, Requested 1.","type":"requests","code":"rate_limit_exceeded"}}"#,
            None,
        ),
        (
            429,
            r#"{"error":{"code":429,"status":"RESOURCE_EXHAUSTED","message":"m","details":[{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{"quotaId":"GenerateRequestsPerDayPerProjectPerModel"}]}]}}"#,
            None,
        ),
        (429, r#"{"error":{"message":"slow down","type":"requests","code":"rate_limit_exceeded"}}"#, None),
        // A client's own fault, whatever it quotes.
        (
            400,
            r#"{"error":{"message":"Invalid value: 'incorrect api key'.","type":"invalid_request_error"}}"#,
            None,
        ),
        (
            404,
            r#"{"error":{"message":"The model `authentication_error` does not exist","code":"model_not_found"}}"#,
            None,
        ),
        (500, r#"{"error":{"message":"invalid_api_key"}}"#, None),
    ];
    for (status, body, account) in rows {
        assert_eq!(failed(*status, &[], body).account, *account, "{status} {body}");
    }
}

#[test]
fn a_spend_limit_says_when_it_ends() {
    let body = r#"{"type":"error","error":{"type":"rate_limit_error","message":"m","details":{"error_code":"enforced_spend_limit_reached"}}}"#;
    let failure = failed(429, &[], body);
    assert_eq!(failure.account, Some(Credit));
    assert_eq!(failure.class, Class::QuotaExhausted { retry_after: Some(Duration::from_secs(31 * 86_400)) });
}
