use proptest::prelude::*;

use super::super::table_tests::{headers, now};
use super::*;

/// Thu, 01 Jan 2026 00:00:00 GMT plus these seconds.
fn at(seconds: u64) -> String {
    (super::super::table_tests::NOW + seconds).to_string()
}

#[track_caller]
fn check(pairs: &[(&str, &str)], message: &str, expected_ms: Option<u64>) {
    let said = Said { message: message.to_owned(), ..Said::default() };
    let hint = hint(&said, &said.text(), now());
    let found = wait(&headers(pairs), &said, hint, now());
    assert_eq!(found.map(|wait| wait.as_millis() as u64), expected_ms, "{pairs:?} {message}");
}

/// Broken on purpose: with the resets before the message the first row was 360 s.
#[test]
fn headers_come_before_the_message_and_the_message_before_the_resets() {
    let resets = [("x-ratelimit-remaining-tokens", "0"), ("x-ratelimit-reset-tokens", "6m0s")];
    check(&resets, "Please try again in 41.724s.", Some(41_724));
    check(&resets, "no", Some(360_000));
    check(&[("retry-after", "7.66"), resets[0], resets[1]], "please try again in 41.724s.", Some(7660));
    check(&[("retry-after-ms", "1500")], "", Some(1500));
    check(&[], "rate limit reached", None);
}

/// Broken on purpose: with the first of the two headers instead of the larger one Azure's 0 won.
#[test]
fn azures_zero_milliseconds_do_not_hide_its_seconds() {
    check(&[("retry-after-ms", "0"), ("retry-after", "30")], "", Some(30_000));
    check(&[("retry-after-ms", "0")], "please retry after 37 seconds.", Some(37_000));
    check(&[("retry-after-ms", "29500"), ("retry-after", "30")], "", Some(30_000));
    let typed = [("retry-after", "1"), ("x-ratelimit-type", "Requests"), ("x-ratelimit-reset-requests", "9")];
    check(&typed, "", Some(9_000));
    check(&[typed[0], typed[1], ("x-ratelimit-reset-tokens", "9")], "", Some(1_000));
}

#[test]
fn a_retry_after_may_be_a_date() {
    check(&[("retry-after", "Thu, 01 Jan 2026 00:01:30 GMT")], "", Some(90_000));
    check(&[("retry-after", "Wed, 31 Dec 2025 23:59:00 GMT")], "", None);
    check(&[("retry-after", "Sun, 29 Feb 2026 25:00:00 GMT")], "", None);
}

#[test]
fn only_the_exhausted_dimension_tells_when() {
    let full = [("x-ratelimit-remaining-requests", "499"), ("x-ratelimit-reset-requests", "8h")];
    check(&full, "", None);
    let tokens = [("x-ratelimit-remaining-tokens", "0"), ("x-ratelimit-reset-tokens", "7.66s")];
    check(&[full[0], full[1], tokens[0], tokens[1]], "", Some(7660));
    let ms = format!("{}000", at(60));
    check(&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", &ms)], "", Some(60_000));
    check(&[("ratelimit-remaining", "0"), ("ratelimit-reset", "5")], "", Some(5_000));
    let of_output = [
        ("anthropic-ratelimit-output-tokens-remaining", "0"),
        ("anthropic-ratelimit-output-tokens-reset", "2026-01-01T00:00:30Z"),
        ("anthropic-ratelimit-tokens-remaining", "0"),
        ("anthropic-ratelimit-tokens-reset", "2026-01-01T00:00:20Z"),
        ("anthropic-ratelimit-requests-remaining", "49"),
        ("anthropic-ratelimit-requests-reset", "2026-01-01T01:00:00Z"),
    ];
    check(&of_output, "", Some(30_000));
    let cerebras =
        [("x-ratelimit-remaining-tokens-minute", "0.0"), ("x-ratelimit-reset-tokens-minute", "33.38")];
    check(&cerebras, "", Some(33_380));
}

#[test]
fn unknown_limits_are_not_exhausted() {
    let azure = |limit| {
        [
            ("x-ratelimit-limit-tokens", limit),
            ("x-ratelimit-remaining-tokens", "0"),
            ("x-ratelimit-reset-tokens", "9"),
        ]
    };
    check(&azure("-1"), "", None);
    check(&azure("0"), "", None);
    check(&azure("1,000"), "", Some(9000));
    check(&[("x-ratelimit-remaining-tokens", "-1"), ("x-ratelimit-reset-tokens", "9")], "", None);
}

#[test]
fn messages_name_the_wait_in_many_ways() {
    for (message, ms) in [
        ("Please try again in 20ms. Visit", 20),
        ("Please try again in 1.2s", 1_200),
        ("please try again in 1m30s.", 90_000),
        ("please try again in 7m12s. need more?", 432_000),
        ("Please retry in 1.68122827s.", 1_681),
        ("retry after 26 seconds", 26_000),
        ("please retry after 2 minutes.", 120_000),
        ("Please wait 3 seconds before", 3_000),
        ("try again in 5 ms", 5),
        ("try again in 5 parsecs", 5_000),
        ("try again in 2 hours", 7_200_000),
        ("try again in 1 day", 86_400_000),
        ("Quota will be replenished in 00:12:30.", 750_000),
        ("Limit resets in 3h20m", 12_000_000),
        ("You will regain access on 2026-01-03 at 01:00 UTC.", 176_400_000),
        ("regain access on 2026-01-02.", 86_400_000),
    ] {
        check(&[], message, Some(ms));
    }
    for message in [
        "please try again in a while",
        "try again in",
        "try again in -5s",
        "regain access on monday",
        "retry after x",
    ] {
        check(&[], message, None);
    }
}

#[test]
fn no_wait_is_longer_than_a_month() {
    let longest = times::LONGEST.as_millis() as u64;
    check(&[("retry-after", "1e15")], "", Some(longest));
    check(&[("retry-after", "1e25")], "", None);
    check(&[("retry-after", "99999999")], "", Some(longest));
    check(&[("retry-after", "Fri, 31 Dec 2100 23:59:59 GMT")], "", Some(longest));
    check(&[], "try again in 9999999h9999999h", Some(longest));
    check(&[("retry-after-ms", "99999999999999999999999999")], "", None);
}

/// Broken on purpose: with all headers of the answer kept the reset of an admitted call became the error's wait.
#[test]
fn the_limits_of_an_admitted_call_do_not_count_for_the_error_behind_it() {
    let answer =
        [("x-ratelimit-remaining-requests", "0"), ("x-ratelimit-reset-requests", "9s"), ("retry-after", "4")];
    let kept = of_admitted(&headers(&answer));
    assert_eq!(kept.keys().map(|name| name.as_str()).collect::<Vec<_>>(), ["retry-after"]);
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in any::<String>(), ascii in "[0-9a-z:.,µ +-]{0,20}") {
        for text in [&text, &ascii] {
            for lead in LEADS.iter().chain(&["regain access on "]) {
                let _ = in_text(&format!("{lead}{text}"), now());
            }
            if let Ok(value) = text.parse::<http::HeaderValue>() {
                let mut headers = HeaderMap::new();
                for name in ["retry-after", "retry-after-ms", "x-ratelimit-type", "x-ratelimit-reset-a"] {
                    headers.insert(name, value.clone());
                }
                headers.insert("x-ratelimit-remaining-a", "0".parse().unwrap());
                let _ = wait(&headers, &Said::default(), None, now());
            }
        }
    }
}
