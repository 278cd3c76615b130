use proptest::prelude::*;

use super::*;

/// Thu, 01 Jan 2026 00:00:00 GMT.
const NOW: u64 = 1_767_225_600;

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(NOW)
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap())).collect()
}

#[track_caller]
fn check(pairs: &[(&'static str, &str)], message: &str, expected_ms: Option<u64>) {
    let wait = retry_after(&headers(pairs), message, now());
    assert_eq!(wait.map(|wait| wait.as_millis() as u64), expected_ms, "{pairs:?} {message}");
}

#[test]
fn headers_come_before_the_message_and_the_message_before_the_resets() {
    let resets = [("x-ratelimit-remaining-tokens", "0"), ("x-ratelimit-reset-tokens", "6m0s")];
    check(&resets, "please try again in 41.724s.", Some(41_724));
    check(&resets, "no", Some(360_000));
    check(&[("retry-after", "7.66"), resets[0], resets[1]], "please try again in 41.724s.", Some(7660));
    check(&[("retry-after-ms", "1500")], "", Some(1500));
    check(&[], "rate limit reached", None);
}

#[test]
fn azures_zero_milliseconds_do_not_hide_its_seconds() {
    check(&[("retry-after-ms", "0"), ("retry-after", "30")], "", Some(30_000));
    check(&[("retry-after-ms", "0")], "please retry after 37 seconds.", Some(37_000));
    check(&[("retry-after-ms", "29500"), ("retry-after", "30")], "", Some(30_000));
}

#[test]
fn a_retry_after_may_be_a_date() {
    check(&[("retry-after", "Thu, 01 Jan 2026 00:01:30 GMT")], "", Some(90_000));
    check(&[("retry-after", "Wed, 31 Dec 2025 23:59:00 GMT")], "", None);
    check(&[("retry-after", "Sun, 29 Feb 2026 25:00:00 GMT")], "", None);
}

#[test]
fn known_dates_are_read_right() {
    let at = |text: &str| http_date(text).map(|date| date.duration_since(UNIX_EPOCH).unwrap().as_secs());
    assert_eq!(at("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
    assert_eq!(at("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
    assert_eq!(at("Thu, 29 Feb 2024 12:00:00 GMT"), Some(1_709_208_000));
    assert_eq!(at("Fri, 31 Dec 2100 23:59:59 GMT"), Some(4_133_980_799));
    assert_eq!(at("Sunday, 06-Nov-94 08:49:37 GMT"), None);
}

#[test]
fn messages_name_the_wait_in_many_ways() {
    check(&[], "please try again in 20ms. visit", Some(20));
    check(&[], "please try again in 1m30s.", Some(90_000));
    check(&[], "please try again in 7m12s. need more?", Some(432_000));
    check(&[], "please retry in 1.68122827s.", Some(1681));
    check(&[], "please retry after 2 minutes.", Some(120_000));
    check(&[], "try again in 5 ms", Some(5));
    check(&[], "please try again in a while", None);
    check(&[], "try again in 5 parsecs", Some(5000));
}

#[test]
fn only_the_exhausted_dimension_tells_when() {
    let full = [("x-ratelimit-remaining-requests", "499"), ("x-ratelimit-reset-requests", "8h")];
    check(&full, "", None);
    let tokens =
        [full[0], full[1], ("x-ratelimit-remaining-tokens", "0"), ("x-ratelimit-reset-tokens", "7.66s")];
    check(&tokens, "", Some(7660));
    check(
        &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", &format!("{}000", NOW + 60))],
        "",
        Some(60_000),
    );
}

#[test]
fn resets_are_read_in_every_notation() {
    let read = |text: &str| reset(text, now()).map(|wait| wait.as_millis() as u64);
    for (text, expected) in [
        ("12ms", 12),
        ("6m0s", 360_000),
        ("2m59.56s", 179_560),
        ("1h2m3s", 3_723_000),
        ("59", 59_000),
        ("33011.38", 33_011_380),
        ("1767225660", 60_000),
        ("1767225660000", 60_000),
        ("2026-01-01T00:01:00Z", 60_000),
        ("Thu, 01 Jan 2026 00:01:00 GMT", 60_000),
    ] {
        assert_eq!(read(text), Some(expected), "{text}");
    }
    for text in ["", "soon", "-1", "NaN", "inf", "1x", "s", "1e400", "ms12"] {
        assert_eq!(read(text), None, "{text}");
    }
}

#[test]
fn no_wait_is_longer_than_a_year() {
    check(&[("retry-after", "1e15")], "", None);
    check(&[("retry-after", "99999999999")], "", Some(LONGEST.as_millis() as u64));
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in any::<String>(), ascii in "[0-9a-z:.,µ +-]{0,20}") {
        for text in [&text, &ascii] {
            let _ = reset(text, now());
            let _ = retry_after(&HeaderMap::new(), &format!("try again in {text}"), now());
            if let Ok(value) = text.parse::<http::HeaderValue>() {
                let mut headers = HeaderMap::new();
                headers.insert("retry-after", value.clone());
                headers.insert("x-ratelimit-remaining-a", value);
                let _ = retry_after(&headers, text, now());
            }
        }
    }

    #[test]
    fn dates_agree_with_another_reader(day in 0u64..50_000, second in 0u64..86_400) {
        let date = UNIX_EPOCH + Duration::from_secs(day * 86_400 + second);
        let rfc3339 = humantime::format_rfc3339_seconds(date).to_string();
        let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let month = months[rfc3339[5..7].parse::<usize>().unwrap() - 1];
        let text = format!("Mon, {} {month} {} {} GMT", &rfc3339[8..10], &rfc3339[..4], &rfc3339[11..19]);
        prop_assert_eq!(http_date(&text), Some(date));
    }
}
