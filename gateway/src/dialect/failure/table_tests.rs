//! Providers and classes, by hand: own texts in the documented shapes.

mod rows;

use std::time::UNIX_EPOCH;

use proptest::prelude::*;
use serde_json::json;

use super::*;

/// Thu, 01 Jan 2026 00:00:00 GMT: in California it is four in the afternoon of the last day of 2025.
pub(super) const NOW: u64 = 1_767_225_600;

pub(super) fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(NOW)
}

pub(super) fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| (name.parse::<http::HeaderName>().unwrap(), value.parse().unwrap()))
        .collect()
}

pub(super) fn failed(status: u16, pairs: &[(&str, &str)], body: &str) -> Failure {
    Failure::of_answer(StatusCode::from_u16(status).unwrap(), &headers(pairs), body.as_bytes(), now())
}

fn class_named(name: &str, retry_after: Option<Duration>) -> Class {
    match name {
        "rate" => Class::RateLimited { retry_after },
        "slow" => Class::SlowDown { retry_after },
        "over" => Class::Overloaded { retry_after },
        "spent" => Class::QuotaExhausted { retry_after },
        "big" => TooBigForPool,
        "long" => ContextTooLong,
        "filtered" => ContentFiltered,
        "auth" => Auth,
        "model" => NotFound,
        "kept" => NotKept,
        "request" => BadRequest,
        "late" => TimedOut,
        "fault" => Transient,
        other => panic!("no class is called {other}"),
    }
}

/// Checks rows of [`rows`].
#[track_caller]
fn check(table: &'static str) {
    for row in table.lines().filter(|line| !line.is_empty()) {
        let [expected, head, body] = row.splitn(3, " |").collect::<Vec<_>>()[..] else { panic!("{row}") };
        let mut expected = expected.split(' ');
        let status: u16 = expected.next().unwrap().parse().unwrap();
        let name = expected.next().unwrap();
        let time = expected.next().map(|ms| Duration::from_millis(ms.parse().unwrap()));
        let pairs = head.split("; ").filter_map(|pair| pair.trim().split_once(": ")).collect::<Vec<_>>();
        let body = body.trim().replace("{LATER}", &(NOW + 6 * 3600).to_string());
        let class = failed(status, &pairs, &body).class;
        let rounded = class.retry_after().map(|time| time.as_millis());
        assert_eq!(rounded, time.map(|time| time.as_millis()), "{row}");
        let same = std::mem::discriminant(&class) == std::mem::discriminant(&class_named(name, None));
        assert!(same, "{class:?} of {row}");
    }
}

use Class::{
    Auth, BadRequest, ContentFiltered, ContextTooLong, NotFound, NotKept, TimedOut, TooBigForPool, Transient,
};

/// Broken on purpose: without the comparison of limit and requested amount the request that is too large was a rate
/// limit; without its name `slow_down` was one; without `SHORT` a spent budget ended after two seconds.
#[test]
fn openai() {
    check(rows::OPENAI);
}

#[test]
fn azure() {
    check(rows::AZURE);
}

/// Broken on purpose: without the names inside `details` a spent month was a rate limit.
#[test]
fn anthropic() {
    check(rows::ANTHROPIC);
}

/// An error of Google with the details that `details` names: `R` a `RetryInfo`, ids of quotas, reasons of an `ErrorInfo`.
fn google_error(code: u16, status: &str, message: &str, details: &[&str]) -> String {
    let kind = |name: &str| format!("type.googleapis.com/google.rpc.{name}");
    let detail = |detail: &&str| match *detail {
        "R" => json!({ "@type": kind("RetryInfo"), "retryDelay": "12.3s" }),
        "ZERO" => {
            json!({ "@type": kind("ErrorInfo"), "reason": "RATE_LIMIT_EXCEEDED", "metadata": { "quota_limit_value": "0" } })
        }
        id if id.contains("Per") => {
            json!({ "@type": kind("QuotaFailure"), "violations": [{ "quotaId": id }] })
        }
        reason => json!({ "@type": kind("ErrorInfo"), "reason": reason }),
    };
    let details: Vec<_> = details.iter().map(detail).collect();
    json!({ "error": { "code": code, "message": message, "status": status, "details": details } }).to_string()
}

const MINUTE: &str = "GenerateRequestsPerMinutePerProjectPerModel-FreeTier";
const DAY: &str = "GenerateRequestsPerDayPerProjectPerModel-FreeTier";
const QUOTA: &str = "You exceeded your current quota, please check your plan and billing details.";

/// Broken on purpose: without the end of the day the `RetryInfo` of seconds made a spent day a rate limit.
#[test]
fn google_at_its_limits() {
    let until_midnight = Some(8 * 3_600_000);
    for (message, details, name, ms) in [
        (QUOTA, &[MINUTE, "R"][..], "rate", Some(12_300)),
        (QUOTA, &[MINUTE], "rate", None),
        ("Quota exceeded. Please retry in 1.5s.", &[], "rate", Some(1_500)),
        (QUOTA, &[MINUTE, DAY, "R"], "spent", until_midnight),
        (QUOTA, &[], "spent", None),
        ("Quota exceeded for metric: x, limit: 0, model: y", &["R"], "spent", None),
        ("m", &["ZERO"], "spent", None),
        ("m", &["QUOTA_EXHAUSTED", "R"], "spent", None),
        ("m", &["MODEL_CAPACITY_EXHAUSTED"], "over", None),
        ("Resource exhausted. Please try again later.", &[], "slow", None),
        ("Resource has been exhausted (e.g. check quota).", &[], "rate", None),
    ] {
        let body = google_error(429, "RESOURCE_EXHAUSTED", message, details);
        let expected = class_named(name, ms.map(Duration::from_millis));
        assert_eq!(failed(429, &[], &body).class, expected, "{body}");
        // Its streams are arrays, and some relays answer 400 to everything.
        assert_eq!(failed(400, &[], &format!("[{body}]")).class, expected, "{body}");
    }
}

#[test]
fn google_otherwise() {
    for (code, status, message, details, name) in [
        (503, "UNAVAILABLE", "The model is overloaded. Please try again later.", &[][..], "over"),
        (400, "INVALID_ARGUMENT", "API key not valid.", &["API_KEY_INVALID"], "auth"),
        (400, "FAILED_PRECONDITION", "User location is not supported for the API use.", &[], "auth"),
        (401, "UNAUTHENTICATED", "m", &["ACCESS_TOKEN_EXPIRED"], "auth"),
        (403, "PERMISSION_DENIED", "m", &["SERVICE_DISABLED"], "auth"),
        (403, "PERMISSION_DENIED", "m", &["BILLING_DISABLED"], "spent"),
        (
            403,
            "PERMISSION_DENIED",
            "You do not have permission to access the File x or it may not exist.",
            &[],
            "kept",
        ),
        (403, "PERMISSION_DENIED", "CachedContent not found (or permission denied)", &[], "kept"),
        (403, "PERMISSION_DENIED", "Permission denied while accessing input file.", &[], "kept"),
        (404, "NOT_FOUND", "models/x is not found for API version v1beta", &[], "model"),
        (
            400,
            "INVALID_ARGUMENT",
            "The input token count (9) exceeds the maximum number of tokens allowed (8).",
            &[],
            "long",
        ),
        (400, "INVALID_ARGUMENT", "Request contains an invalid argument.", &[], "request"),
        (500, "INTERNAL", "m", &[], "fault"),
        (504, "DEADLINE_EXCEEDED", "m", &[], "late"),
    ] {
        let body = google_error(code, status, message, details);
        assert_eq!(failed(code, &[], &body).class, class_named(name, None), "{body}");
    }
}

/// Broken on purpose to see it fail: every refusal opens circuits.
#[test]
fn a_refusal_that_does_not_say_of_what_opens_no_circuits() {
    for (status, body, opens) in [
        (403, String::new(), false),
        (403, "<html>Request blocked</html>".into(), false),
        (403, google_error(403, "PERMISSION_DENIED", "m", &[]), false),
        (403, google_error(403, "PERMISSION_DENIED", "m", &["SERVICE_DISABLED"]), true),
        (403, r#"{"__type":"AccessDeniedException","message":"No access to the model."}"#.into(), true),
        (401, String::new(), true),
        (500, String::new(), true),
    ] {
        assert_eq!(failed(status, &[], &body).opens_circuits(), opens, "{status} {body}");
    }
}

/// Broken on purpose: without the name in the header exceptions were known by their statuses alone.
#[test]
fn aws() {
    check(rows::AWS);
}

#[test]
fn groq_mistral_cohere_and_deepseek() {
    check(rows::OTHERS);
}

#[test]
fn relays_and_small_servers() {
    check(rows::RELAYS);
}

#[test]
fn pages_and_plain_text() {
    check(rows::PAGES);
    assert_eq!(failed(502, &[], "<html>").error, None);
    assert_eq!(failed(502, &[], "").error, None);
    assert_eq!(failed(503, &[], "no healthy upstream").error.unwrap().message, "no healthy upstream");
    // Broken on purpose to see it fail: text that is no error of an API shown.
    for page in ["POISON", "{\"error\":{\"message\":", "null"] {
        let failure = failed(400, &[], page);
        assert_eq!(failure.shown().message, "The upstream refused this request.", "{page}");
        assert_eq!(failure.passed(&page.to_owned().into()), None, "{page}");
    }
}

/// Broken on purpose: with its word above everything a pool that rests was asked again.
#[test]
fn the_upstreams_own_word_on_retrying_is_kept_and_wins_over_the_class() {
    let again = |status, value: &str| {
        let failure = failed(status, &[("x-should-retry", value)], "");
        (failure.should_retry, failure.action().again)
    };
    assert_eq!(again(500, "false"), (Some(false), false));
    assert_eq!(again(500, "maybe"), (None, true));
    assert_eq!(again(400, "true"), (Some(true), true));
    assert_eq!(again(400, "x"), (None, false));
    // What rests is not asked before its time.
    assert_eq!(again(429, "true"), (Some(true), false));
}

#[test]
fn actions_are_those_of_the_table() {
    let none = None;
    let action = |class: Class| {
        let Action { rests, next, again, breaker, alert } = class.action();
        (rests, next, again, breaker, alert)
    };
    for (class, expected) in [
        (Class::RateLimited { retry_after: none }, (Rests::Pools, Next::Anyone, false, false, false)),
        (Class::SlowDown { retry_after: none }, (Rests::Share, Next::Anyone, false, false, false)),
        (Class::Overloaded { retry_after: none }, (Rests::Deployment, Next::Anyone, false, true, false)),
        (
            Class::QuotaExhausted { retry_after: none },
            (Rests::PoolsForLong, Next::Anyone, false, false, true),
        ),
        (TooBigForPool, (Rests::Nothing, Next::LargerPool, false, false, false)),
        (ContextTooLong, (Rests::Nothing, Next::LongerContext, false, false, false)),
        (ContentFiltered, (Rests::Nothing, Next::OtherPolicy, false, false, false)),
        (Auth, (Rests::DeploymentForLong, Next::Anyone, false, true, true)),
        (NotFound, (Rests::DeploymentForLong, Next::Anyone, false, false, true)),
        (NotKept, (Rests::Nothing, Next::OtherAccount, false, false, false)),
        (BadRequest, (Rests::Nothing, Next::Nobody, false, false, false)),
        (TimedOut, (Rests::Nothing, Next::Anyone, true, true, false)),
        (Transient, (Rests::Nothing, Next::Anyone, true, true, false)),
    ] {
        assert_eq!(action(class), expected, "{class:?}");
    }
}

/// Broken on purpose: with wordings anywhere in the text a quoted value spent the account's budget; with all of a failed
/// response read, the client's own `metadata` did.
#[test]
fn what_an_error_quotes_of_a_request_is_not_held_against_the_account() {
    for quoted in [
        "your credit balance is too low",
        "you have reached your specified api usage limits",
        "incorrect api key",
        "user location is not supported",
        "model not found",
        "model x does not exist",
        "a/b is not a valid model id",
        "\n\nunknown model",
        "the provided model identifier is invalid",
        "out of call volume quota",
        "{\"error\":{\"code\":\"insufficient_quota\"}}",
    ] {
        let message = format!("Invalid value: '{quoted}'. Supported values are: 'low' and 'high'.");
        let body = json!({"error": {"message": message, "type": "invalid_request_error"}}).to_string();
        assert_eq!(failed(400, &[], &body).class, BadRequest, "{quoted}");
    }
    let metadata = json!({"error_type": "insufficient_quota", "provider_name": "p", "raw": "overloaded"});
    let error = json!({"code": "server_error", "message": "m"});
    let failed = json!({"status": "failed", "error": error, "metadata": metadata, "output": []});
    let event = json!({"type": "response.failed", "response": failed}).to_string();
    let answer = failed.to_string();
    for frame in [Frame::Event { name: "", data: event.as_bytes() }, Frame::Answer(answer.as_bytes())] {
        let failure = Failure::of_frame(frame, &HeaderMap::new(), now()).unwrap();
        assert_eq!(failure.class, Transient, "{frame:?}");
    }
}

#[test]
fn hostile_bodies_are_read_as_far_as_their_status() {
    let deep = format!("{}{}", r#"{"error":"#.repeat(90), "}".repeat(90));
    let deeper = "[".repeat(100_000);
    let large = format!(r#"{{"error":{{"code":"insufficient_quota","message":"{}"}}}}"#, "x".repeat(1 << 20));
    let raw = |inner: &str| {
        json!({"error": {"code": 500, "metadata": {"provider_name": "p", "raw": inner}}}).to_string()
    };
    let nested = (0..12).fold("x".to_owned(), |inner, _| raw(&inner));
    for body in [
        &deep,
        &deeper,
        &large,
        &nested,
        "{\"error\":{}}",
        "{}",
        "[]",
        "null",
        "7",
        "\"text\"",
        "{\"error\":[]}",
    ] {
        assert_eq!(failed(502, &[], body).class, Transient, "{:.60}", body);
    }
    let failure = failed(400, &[], &large);
    assert_eq!(failure.class, BadRequest);
    assert!(failure.error.unwrap().message.len() <= 4000);
}

proptest! {
    #[test]
    fn no_answer_makes_it_panic(
        status in 100u16..1000, body in proptest::collection::vec(any::<u8>(), 0..80),
        message in any::<String>(), value in "[ -~]{0,20}", seconds in any::<u32>(),
    ) {
        let status = StatusCode::from_u16(status).unwrap();
        let mut headers = HeaderMap::new();
        for name in [
            "retry-after", "retry-after-ms", "x-ratelimit-remaining-x", "x-ratelimit-reset-x", "x-ratelimit-type",
            "anthropic-ratelimit-x-reset", "x-amzn-errortype",
        ] {
            headers.insert(name, value.parse().unwrap());
        }
        headers.insert("anthropic-ratelimit-x-remaining", "0".parse().unwrap());
        let spoken = json!({"error": {
            "code": value, "type": message, "message": format!("Limit {value}, Requested {message} try again in {value}"),
            "details": [{"@type": "RetryInfo", "retryDelay": value}, {"@type": "QuotaFailure", "violations": [{"quotaId": message}]}],
            "metadata": {"raw": message, "headers": {"x-ratelimit-reset": value}},
        }}).to_string();
        let now = UNIX_EPOCH + Duration::from_secs(seconds.into());
        for body in [&body[..], spoken.as_bytes()] {
            let failure = Failure::of_answer(status, &headers, body, now);
            let _ = (failure.shown(), failure.action());
            for frame in [
                Frame::Answer(body), Frame::Event { name: &value, data: body }, Frame::Event { name: "error", data: body },
                Frame::Exception { name: &message, payload: body },
            ] {
                let _ = Failure::of_frame(frame, &headers, now);
            }
        }
        let _ = Failure::of_words(&message, &value, &headers, now);
    }
}
