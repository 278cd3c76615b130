use proptest::prelude::*;

use super::super::table_tests::now;
use super::*;

fn at(text: &str) -> SystemTime {
    humantime::parse_rfc3339(text).unwrap()
}

#[test]
fn resets_are_read_in_every_notation() {
    let read = |text: &str| wait(text, now()).map(|wait| wait.as_millis() as u64);
    for (text, expected) in [
        ("12ms", 12),
        ("6ms", 6),
        ("0s", 0),
        ("6m0s", 360_000),
        ("1m2.5s", 62_500),
        ("2m59.56s", 179_560),
        ("1h2m3s", 3_723_000),
        ("1d", 86_400_000),
        ("59", 59_000),
        (" 59 ", 59_000),
        ("33011.38", 33_011_380),
        ("1767225660", 60_000),
        ("1767225660.5", 60_500),
        ("1767225660000", 60_000),
        ("2026-01-01T00:01:00Z", 60_000),
        ("2026-01-01T00:01:00.25Z", 60_250),
        ("2026-01-01T02:01:00+02:00", 60_000),
        ("2025-12-31T16:01:00-08:00", 60_000),
        ("2025-12-31T16:01:00Z", 0),
        ("Thu, 01 Jan 2026 00:01:00 GMT", 60_000),
        ("00:01:00", 60_000),
        ("1.02:00:01", 93_601_000),
    ] {
        assert_eq!(read(text), Some(expected), "{text}");
    }
    for text in [
        "",
        "soon",
        "-1",
        "NaN",
        "inf",
        "-inf",
        "1x",
        "s",
        "1e400",
        "ms12",
        "1.2.3s",
        "99:99",
        "1:2:3:4",
        "µ",
        "1é",
        "2026-13-01T00:00:00Z",
        "2026-01-01T00:00:00",
        "2026-01-01",
        "2026-01-01T00:00:00.xZ",
        "2026-01-01T00:00Z",
    ] {
        assert_eq!(read(text), None, "{text}");
    }
}

#[test]
fn protobuf_durations_are_read_in_both_forms() {
    let read = |text: &str| proto(&serde_json::from_str(text).unwrap()).map(|wait| wait.as_millis() as u64);
    for (text, expected) in [
        (r#""12.3s""#, Some(12_300)),
        (r#""37s""#, Some(37_000)),
        (r#"{"seconds":12,"nanos":300000000}"#, Some(12_300)),
        (r#"{"seconds":"12"}"#, Some(12_000)),
        ("5", Some(5_000)),
        (r#""-1s""#, None),
        (r#""soon""#, None),
        ("{}", None),
        ("null", None),
        (r#"{"seconds":-5}"#, None),
    ] {
        assert_eq!(read(text), expected, "{text}");
    }
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

/// Broken on purpose: with winter's offset all the year the summer's days ended an hour late.
#[test]
fn googles_days_end_at_midnight_in_california() {
    for (now, midnight) in [
        ("2026-01-01T00:00:00Z", "2026-01-01T08:00:00Z"),
        ("2026-01-01T07:59:59Z", "2026-01-01T08:00:00Z"),
        ("2026-01-01T08:00:00Z", "2026-01-02T08:00:00Z"),
        ("2026-07-15T12:00:00Z", "2026-07-16T07:00:00Z"),
        // The clock goes forward on 8 March and back on 1 November 2026.
        ("2026-03-08T07:59:00Z", "2026-03-08T08:00:00Z"),
        ("2026-03-08T08:00:00Z", "2026-03-09T07:00:00Z"),
        ("2026-11-01T06:00:00Z", "2026-11-01T07:00:00Z"),
        ("2026-11-01T07:00:00Z", "2026-11-02T08:00:00Z"),
    ] {
        let expected = at(midnight).duration_since(at(now)).unwrap();
        assert_eq!(until_pacific_midnight(at(now)), Some(expected), "{now}");
    }
}

#[test]
fn months_end_on_their_last_day() {
    for (now, first) in [
        ("2026-01-31T23:59:59Z", "2026-02-01T00:00:00Z"),
        ("2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z"),
        ("2024-02-29T12:00:00Z", "2024-03-01T00:00:00Z"),
        ("2026-12-15T00:00:00Z", "2027-01-01T00:00:00Z"),
    ] {
        let expected = at(first).duration_since(at(now)).unwrap();
        assert_eq!(until_next_month(at(now)), Some(expected), "{now}");
    }
}

proptest! {
    #[test]
    fn dates_agree_with_another_reader(day in 0u64..50_000, second in 0u64..86_400, ms in 0u32..1000) {
        let whole = UNIX_EPOCH + Duration::from_secs(day * 86_400 + second);
        let text = humantime::format_rfc3339_seconds(whole).to_string();
        let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let month = months[text[5..7].parse::<usize>().unwrap() - 1];
        let http = format!("Mon, {} {month} {} {} GMT", &text[8..10], &text[..4], &text[11..19]);
        prop_assert_eq!(http_date(&http), Some(whole));
        prop_assert_eq!(rfc3339(&text), Some(whole));
        let date = whole + Duration::from_millis(ms.into());
        let read = rfc3339(&humantime::format_rfc3339_millis(date).to_string()).unwrap();
        let apart = read.duration_since(date).or_else(|_| date.duration_since(read)).unwrap();
        prop_assert!(apart < Duration::from_millis(1));
        let (year, month) = month_of(day);
        prop_assert_eq!((year.to_string(), month), (text[..4].to_owned(), text[5..7].parse().unwrap()));
    }

    #[test]
    fn durations_read_back(hours in 0u64..700, minutes in 0u64..60, seconds in 0u64..60, ms in 0u64..1000) {
        let text = format!("{hours}h{minutes}m{seconds}s{ms}ms");
        let expected = ((hours * 60 + minutes) * 60 + seconds) * 1000 + ms;
        prop_assert_eq!(wait(&text, now()).map(|wait| wait.as_millis() as u64), Some(expected));
    }

    #[test]
    fn no_text_and_no_time_makes_it_panic(text in any::<String>(), ascii in "[0-9TZtz:.,µ +-]{0,30}", seconds in any::<u64>()) {
        for text in [&text, &ascii] {
            let _ = (wait(text, now()), millis(text), in_words(text), on_date(text, now()));
        }
        if let Some(now) = UNIX_EPOCH.checked_add(Duration::from_secs(seconds >> 20)) {
            let _ = (until_next_month(now), until_pacific_midnight(now));
        }
    }
}
