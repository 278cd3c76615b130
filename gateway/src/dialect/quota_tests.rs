//! Headers as they were recorded, and what they say.

use std::time::{Duration, UNIX_EPOCH};

use http::{HeaderName, HeaderValue};

use super::*;

fn said(headers: &[(&'static str, &'static str)]) -> Vec<Left> {
    let header = |(name, value): &(&'static str, &'static str)| {
        (HeaderName::from_static(name), HeaderValue::from_static(value))
    };
    let now = UNIX_EPOCH + Duration::from_secs(1_773_186_390); // 2026-03-10T23:46:30Z
    let mut all = read(&headers.iter().map(header).collect(), now).to_vec();
    all.sort_by_key(|left| (left.of as u8, left.per.map(|per| per as u8)));
    all
}

fn left(of: Measure, per: Option<Period>, limit: u64, left: u64, reset_ms: u64) -> Left {
    let reset = Some(Duration::from_millis(reset_ms)).filter(|reset| !reset.is_zero());
    Left { of, per, limit: Some(limit), left, off: 0, reset }
}

/// Broken on purpose to see it fail: periods not read; the last word of Anthropic's names taken for the first.
#[test]
fn every_providers_headers_are_read() {
    use Measure::{InputTokens, OutputTokens, Requests, Tokens};
    use Period::{Day, Minute, Month};
    let openai = [
        ("x-ratelimit-limit-requests", "10000"),
        ("x-ratelimit-remaining-requests", "9999"),
        ("x-ratelimit-reset-requests", "8.64s"),
        ("x-ratelimit-limit-tokens", "200000"),
        ("x-ratelimit-remaining-tokens", "199986"),
        ("x-ratelimit-reset-tokens", "4ms"),
        ("x-ratelimit-limit-input-images", "50000"),
        ("x-ratelimit-remaining-input-images", "49999"),
    ];
    assert_eq!(
        said(&openai),
        [left(Requests, None, 10_000, 9_999, 8_640), left(Tokens, None, 200_000, 199_986, 4)]
    );
    let azure = [
        ("x-ratelimit-limit-requests", "50"),
        ("x-ratelimit-remaining-requests", "49"),
        ("x-ratelimit-reset-requests", "1"),
        ("x-ratelimit-remaining-tokens", "119952"),
        ("x-ratelimit-reset-tokens", "0"),
        ("x-ratelimit-renewalperiod-tokens", "60"),
    ];
    assert_eq!(
        said(&azure),
        [left(Requests, None, 50, 49, 1_000), Left { limit: None, ..left(Tokens, None, 0, 119_952, 0) }]
    );
    let anthropic = [
        ("anthropic-ratelimit-requests-limit", "20000"),
        ("anthropic-ratelimit-requests-remaining", "19998"),
        ("anthropic-ratelimit-requests-reset", "2026-03-10T23:46:34Z"),
        ("anthropic-ratelimit-input-tokens-limit", "20000000"),
        ("anthropic-ratelimit-input-tokens-remaining", "19999000"),
        ("anthropic-ratelimit-input-tokens-reset", "2026-03-10T23:46:35Z"),
        ("anthropic-ratelimit-output-tokens-limit", "2500000"),
        ("anthropic-ratelimit-output-tokens-remaining", "2499000"),
        ("anthropic-ratelimit-output-tokens-reset", "2026-03-10T23:46:44Z"),
        ("anthropic-ratelimit-tokens-limit", "22500000"),
        ("anthropic-ratelimit-tokens-remaining", "22498000"),
        ("anthropic-ratelimit-tokens-reset", "2026-03-10T23:46:35Z"),
    ];
    let about = |left| Left { off: 500, ..left };
    assert_eq!(
        said(&anthropic),
        [
            left(Requests, Some(Minute), 20_000, 19_998, 4_000),
            about(left(Tokens, Some(Minute), 22_500_000, 22_498_000, 5_000)),
            about(left(InputTokens, Some(Minute), 20_000_000, 19_999_000, 5_000)),
            about(left(OutputTokens, Some(Minute), 2_500_000, 2_499_000, 14_000)),
        ]
    );
    let mistral = [
        ("x-ratelimit-limit-req-minute", "100"),
        ("x-ratelimit-remaining-req-minute", "82"),
        ("x-ratelimit-tokens-query-cost", "2396"),
        ("x-ratelimitbysize-limit-minute", "500000"),
        ("x-ratelimitbysize-remaining-minute", "342032"),
        ("x-ratelimitbysize-limit-month", "1000000000"),
        ("x-ratelimitbysize-remaining-month", "997342940"),
        ("ratelimitbysize-reset", "19"),
    ];
    assert_eq!(
        said(&mistral),
        [
            left(Requests, Some(Minute), 100, 82, 0),
            left(Tokens, Some(Minute), 500_000, 342_032, 19_000),
            left(Tokens, Some(Month), 1_000_000_000, 997_342_940, 0),
        ]
    );
    let groq = [
        ("x-ratelimit-limit-requests", "14400"),
        ("x-ratelimit-remaining-requests", "14399"),
        ("x-ratelimit-reset-requests", "6s"),
        ("x-ratelimit-limit-tokens", "6000"),
        ("x-ratelimit-remaining-tokens", "5987"),
        ("x-ratelimit-reset-tokens", "130ms"),
    ];
    assert_eq!(
        said(&groq),
        [left(Requests, None, 14_400, 14_399, 6_000), left(Tokens, None, 6_000, 5_987, 130)]
    );
    let cerebras = [
        ("x-ratelimit-limit-requests-day", "14400"),
        ("x-ratelimit-remaining-requests-day", "14,399"),
        ("x-ratelimit-reset-requests-day", "33011.382867"),
    ];
    let [day] = said(&cerebras)[..] else { panic!("one limit") };
    assert_eq!(
        (day.per, day.left, day.reset.map(|reset| reset.as_secs())),
        (Some(Day), 14_399, Some(33_011))
    );
    let together = [("x-ratelimit-limit", "2"), ("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1")];
    assert_eq!(said(&together), [left(Requests, None, 2, 0, 1_000)]);
    let cohere = [("x-trial-endpoint-call-limit", "20"), ("x-trial-endpoint-call-remaining", "8")];
    assert_eq!(said(&cohere), [left(Requests, Some(Minute), 20, 8, 0)]);
}

#[test]
fn what_says_nothing_is_not_taken_for_an_empty_limit() {
    let nothing = [
        ("x-ratelimit-limit-requests", "-1"),
        ("x-ratelimit-remaining-requests", "-1"),
        ("x-ratelimit-reset-requests", "0"),
        ("x-ratelimit-limit-tokens", "100"),
        ("x-ratelimit-remaining-tokens", "many"),
        ("x-ratelimit-limit", ""),
        ("x-ratelimit-", "5"),
        ("anthropic-ratelimit-", "5"),
        ("anthropic-ratelimit-remaining", "5"),
    ];
    assert_eq!(said(&nothing), []);
}

/// Every answer on record whose headers tell what is left is understood.
#[test]
fn recorded_headers_are_read() {
    let Ok(folder) = std::env::var("WEIR_TRAFFIC") else { return };
    let (mut told, mut read_of) = (0, 0);
    for file in std::fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path()) {
        if file.extension().is_none_or(|end| end != "jsonl") {
            continue;
        }
        for line in std::fs::read_to_string(file).unwrap().lines() {
            let record: serde_json::Value = serde_json::from_str(line).unwrap();
            let Some(headers) = record["response"]["headers"].as_object() else { continue };
            let mut all = HeaderMap::new();
            for (name, values) in headers {
                let value = values.as_str().or_else(|| values[0].as_str()).unwrap_or_default();
                if let (Ok(name), Ok(value)) =
                    (HeaderName::try_from(name.to_lowercase()), HeaderValue::from_str(value))
                {
                    all.insert(name, value);
                }
            }
            let names =
                |name: &HeaderName| name.as_str().contains("remaining") && !name.as_str().contains("images");
            let of_seconds = |name: &HeaderName| name.as_str().contains("audio-seconds");
            told += usize::from(all.keys().any(|name| names(name) && !of_seconds(name)));
            let left = read(&all, SystemTime::now());
            assert!(left.iter().all(|left| left.limit.is_none_or(|limit| left.left <= limit)), "{left:?}");
            read_of += usize::from(!left.is_empty());
        }
    }
    assert!(told > 150 && told == read_of, "{told} tell, {read_of} are read");
}
