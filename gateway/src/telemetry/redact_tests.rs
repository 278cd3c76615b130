use opentelemetry::KeyValue;

use super::*;

fn gone(text: &str) -> String {
    Redactor::default().text(text).into_owned()
}

/// Each of these was let pass once, to see it fail.
#[test]
fn keys_and_tokens_are_known_by_their_form() {
    for secret in [
        "sk-proj-abcdefghijklmnop",
        "sk-ant-api03-AbCdEfGh_ij-kl",
        "sk_live_abcdefghijklmn",
        "AIzaSyA1234567890abcdefghijklmnopqrstuv",
        "AKIAIOSFODNN7EXAMPLE",
        "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
        "github_pat_11ABCDEFG0abcdefghijkl",
        "hf_abcdefghijklmnopqrst",
        "gsk_abcdefghijklmnopqrst",
        "xoxb-1234567890-abcdefghij",
        "ya29.a0AfH6SMBabcdefghijk",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dBjftJeZ4CVP-mB92K27uhbUJU1p1r",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\nIBAAK\n-----END RSA PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\nMIIEow without an end",
    ] {
        assert_eq!(gone(&format!("with {secret}")), "with [redacted]", "{secret}");
    }
}

#[test]
fn secrets_are_known_by_what_stands_before_them() {
    for (text, expected) in [
        ("Authorization: Bearer abc.def-123", "Authorization: [redacted]"),
        ("authorization=Basic dXNlcjpwYXNz, x", "authorization=[redacted], x"),
        ("bearer 0123456789", "bearer [redacted]"),
        ("Basic dXNlcjpwYXNz", "Basic [redacted]"),
        (r#"{"api_key":"0123456789","model":"m"}"#, r#"{"api_key":"[redacted]","model":"m"}"#),
        (r#"{\"api-key\": \"0123456789\"}"#, r#"{\"api-key\": \"[redacted]\"}"#),
        ("password=hunter2;user=x", "password=[redacted];user=x"),
        ("x-goog-api-key: 0123456789", "x-goog-api-key: [redacted]"),
        ("redis://user:hunter2@host:6379/0", "redis://[redacted]@host:6379/0"),
        ("https://host/v1?key=0123456789&alt=sse", "https://host/v1?key=[redacted]&alt=sse"),
    ] {
        assert_eq!(gone(text), expected);
    }
}

#[test]
fn what_tells_of_persons_goes() {
    for (text, expected) in [
        ("write to jane.doe+x@mail.example.co.uk, please", "write to [redacted], please"),
        ("card 4111 1111 1111 1111.", "card [redacted]."),
        ("card 5500-0000-0000-0004", "card [redacted]"),
        ("DE89 3704 0044 0532 0130 00", "[redacted]"),
        ("ssn 078-05-1120", "ssn [redacted]"),
    ] {
        assert_eq!(gone(text), expected);
    }
}

/// Broken on purpose to see it fail: every number of sixteen digits taken for a card's.
#[test]
fn what_is_no_secret_stays() {
    for text in [
        "POST /v1/chat/completions",
        "gpt-4o-mini-2024-07-18",
        "deployment-a: no room for 3.200 s in account/openai-a/gpt-4o; b: taken",
        "req_0123456789abcdef0123456789abcdef",
        "0af7651916cd43dd8448eb211c80319c",
        "card 4111 1111 1111 1112",
        "0000000000000000",
        "1700000000000000001",
        "2026-11-30T13:22:02Z",
        "chatcmpl-9YgZ3",
        "the sky at 10.0.0.1:8080 is 99.5 % blue, a@b",
        "tokens: 12345, completion_tokens=88",
    ] {
        assert_eq!(gone(text), text);
    }
}

/// Broken on purpose to see it fail: of two secrets of which one begins with the other the shorter one looked for first.
#[test]
fn secrets_of_the_configuration_go_whatever_they_look_like() {
    let redactor =
        Redactor::new(["plain-word".to_owned(), "plain-word-longer".to_owned(), "short".to_owned()]);
    let text = redactor.text("short of (plain-word-longer) and plain-word");
    assert_eq!(text, "short of ([redacted]) and [redacted]");
}

#[test]
fn attributes_are_cut_and_searched() {
    let redactor = Redactor::default();
    let long = "é".repeat(LONGEST);
    let mut attributes = [
        KeyValue::new("a", long.clone()),
        KeyValue::new("b", 5),
        KeyValue::new("c", Value::Array(Array::String(vec!["a@b.example".into(), "d".into()]))),
        KeyValue::new(crate::telemetry::names::INPUT_MESSAGES, long.clone()),
    ];
    redactor.attributes(&mut attributes);
    let text = |at: usize| attributes[at].value.to_string();
    assert!(text(0).len() <= LONGEST && text(0).ends_with("é..."), "{}", text(0).len());
    assert_eq!(text(1), "5");
    assert_eq!(text(2), r#"["[redacted]","d"]"#);
    assert_eq!(text(3), long, "contents have a bound of their own");
}

/// A look at a text takes time in proportion to it, whatever it holds.
#[test]
fn no_text_takes_long() {
    for piece in [
        "a",
        "1",
        " 1",
        "@",
        "a@",
        "a.",
        "sk-",
        "eyJaaaaaaaaaa.",
        "key=",
        "-----BEGIN PRIVATE KEY-----",
        "://a:",
    ] {
        let text = piece.repeat((1 << 20) / piece.len());
        let begun = std::time::Instant::now();
        gone(&text);
        assert!(begun.elapsed().as_secs() < 20, "{piece}: {:?}", begun.elapsed()); // without optimisation
    }
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config { cases: 200, failure_persistence: None, ..Default::default() })]

    /// No text makes it panic, and what was looked through once holds nothing more.
    #[test]
    fn whatever_is_looked_through_is_looked_through_once(
        text in "(?s)(sk-[a-z0-9]{10}|Bearer [a-z]{8}|a@b\\.de|4111111111111111|key=[a-z]{5}|://u:p@|-----BEGIN PRIVATE KEY-----|[ -~éß\n]){0,12}",
    ) {
        let once = gone(&text);
        proptest::prop_assert_eq!(gone(&once), once);
    }
}
