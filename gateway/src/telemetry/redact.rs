//! Secrets and personal data out of what is told to a collector, whoever wrote them there.
//!
//! Nothing that Weir tells is meant to hold any: headers of requests and bodies of providers' errors are never told, and
//! what clients say only if that is asked for. This is the net under that, and what makes the latter bearable. It takes out
//!
//! - every secret of the configuration, by its value;
//! - keys that are known by how they begin (`sk-`, `AIza`, `ghp_`, ...), JSON web tokens, private keys in PEM form;
//! - what stands behind `Bearer`, `Basic`, `api-key:`, `password=` and their like, and in a URL before `@`;
//! - e-mail addresses; numbers of payment cards, by their check digit; IBANs; US social security numbers.
//!
//! All of it in time linear in the text.

use std::borrow::Cow;
use std::sync::LazyLock;

use opentelemetry::{Array, KeyValue, StringValue, Value};
use regex::{Captures, Regex};

/// What stands in the place of what was taken out.
const GONE: &str = "[redacted]";
/// A secret of the configuration that is shorter could be any word.
const SHORTEST: usize = 8;
/// Of a value, bytes. (What is told of contents has its own bound.)
const LONGEST: usize = 4 << 10;
/// Of contents.
const LONGEST_CONTENT: usize = 96 << 10;

/// Keys and tokens by their form.
static TOKENS: LazyLock<Regex> = LazyLock::new(|| {
    pattern(&[
        r"-----BEGIN [A-Z ]*PRIVATE KEY-----(?s:.)*?(?:-----END [A-Z ]*PRIVATE KEY-----|\z)",
        r"\bey[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?",
        r"\b(?:sk|pk|rk)[-_][A-Za-z0-9_-]{8,}",
        r"\bAIza[A-Za-z0-9_-]{20,}",
        r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
        r"\b(?:gh[pousr]|github_pat|glpat|hf|gsk|xox[abprs]|xai|pplx|nvapi|npm|dop_v1|shpat|lsv2_(?:pt|sk)|tvly|fw|r8|csk|voy)[-_][A-Za-z0-9_-]{10,}",
        r"\bya29\.[A-Za-z0-9_-]{10,}",
    ])
});

/// Secrets by what stands before them; that stays.
static NAMED: LazyLock<Regex> = LazyLock::new(|| {
    pattern(&[
        r#"(?i)(?P<before>\b(?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{6,}"#,
        r#"(?i)(?P<name>\b(?:[a-z0-9]+[-_])*(?:api[-_]?key|access[-_]?key|secret(?:[-_]?key)?|password|passwd|pwd|token|authorization|credentials?|signature)\b\\?["']?\s*[:=]\s*\\?["']?)(?:(?:bearer|basic|token)\s+)?[^\s"'\\,;&}\]]{4,}"#,
        r#"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)[^/\s@:"'\\<>{}]*:[^/\s@"'\\<>{}]+(?P<at>@)"#,
        r#"(?P<query>[?&](?:key|sig|code)=)[^&\s"'\\<>{}]{4,}"#,
    ])
});

/// Data of persons.
static PERSONAL: LazyLock<Regex> = LazyLock::new(|| {
    pattern(&[
        r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}",
        r"\b[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b",
        r"\b[0-9]{3}-[0-9]{2}-[0-9]{4}\b",
    ])
});

/// What may be a card's number.
static CARD: LazyLock<Regex> = LazyLock::new(|| pattern(&[r"\b[0-9](?:[ -]?[0-9]){12,18}\b"]));

#[allow(clippy::expect_used, reason = "constants, which a test tries")]
fn pattern(ways: &[&str]) -> Regex {
    let any: Vec<String> = ways.iter().map(|way| format!("(?:{way})")).collect();
    Regex::new(&any.join("|")).expect("a pattern that can be read")
}

/// Takes secrets out.
#[derive(Debug, Default)]
pub(crate) struct Redactor {
    known: Option<Regex>,
}

impl Redactor {
    /// That knows the secrets of a configuration.
    pub(crate) fn new(secrets: impl IntoIterator<Item = String>) -> Redactor {
        let mut known: Vec<String> = secrets.into_iter().filter(|secret| secret.len() >= SHORTEST).collect();
        // Where one begins with another, all of it goes.
        known.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        let any: Vec<String> = known.iter().map(|secret| regex::escape(secret)).collect();
        Redactor { known: if any.is_empty() { None } else { Regex::new(&any.join("|")).ok() } }
    }

    /// A text without secrets.
    pub(crate) fn text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut text = Cow::Borrowed(text);
        if let Some(known) = &self.known {
            replace(&mut text, known, |_| GONE.to_owned());
        }
        replace(&mut text, &TOKENS, |_| GONE.to_owned());
        replace(&mut text, &NAMED, |found| {
            let of = |name| found.name(name).map_or("", |part| part.as_str());
            let before = [of("before"), of("name"), of("scheme"), of("query")].concat();
            format!("{before}{GONE}{}", of("at"))
        });
        replace(&mut text, &PERSONAL, |_| GONE.to_owned());
        replace(&mut text, &CARD, |found| {
            let number = &found[0];
            if is_card(number) { GONE.to_owned() } else { number.to_owned() }
        });
        text
    }

    /// Attributes without secrets, and of bounded length.
    pub(crate) fn attributes(&self, attributes: &mut [KeyValue]) {
        for KeyValue { key, value, .. } in attributes {
            let longest = if is_content(key.as_str()) { LONGEST_CONTENT } else { LONGEST };
            match value {
                Value::String(text) => self.string(text, longest),
                Value::Array(Array::String(texts)) => {
                    texts.iter_mut().for_each(|text| self.string(text, longest));
                }
                _ => {}
            }
        }
    }

    fn string(&self, value: &mut StringValue, longest: usize) {
        let short = cut(value.as_str(), longest);
        match self.text(&short) {
            Cow::Borrowed(_) if short.len() == value.as_str().len() => {}
            redacted => *value = redacted.into_owned().into(),
        }
    }

    /// A text without secrets, and of bounded length.
    pub(crate) fn short(&self, text: &str) -> String {
        self.text(&cut(text, LONGEST)).into_owned()
    }
}

fn is_content(key: &str) -> bool {
    use super::names::{INPUT_MESSAGES, OUTPUT_MESSAGES, SYSTEM_INSTRUCTIONS, TOOL_DEFINITIONS};
    [INPUT_MESSAGES, OUTPUT_MESSAGES, SYSTEM_INSTRUCTIONS, TOOL_DEFINITIONS].contains(&key)
}

fn replace(text: &mut Cow<'_, str>, pattern: &Regex, by: impl Fn(&Captures<'_>) -> String) {
    if let Cow::Owned(replaced) = pattern.replace_all(text, by) {
        *text = Cow::Owned(replaced);
    }
}

/// Luhn's check, over 13 to 19 digits.
fn is_card(number: &str) -> bool {
    let digits: Vec<u32> = number.chars().rev().filter_map(|c| c.to_digit(10)).collect();
    let double = |digit: u32| if digit > 4 { 2 * digit - 9 } else { 2 * digit };
    let value = |(at, digit): (usize, &u32)| if at % 2 == 1 { double(*digit) } else { *digit };
    let sum: u32 = digits.iter().enumerate().map(value).sum();
    // A run of one digit is none, nor is what begins with 0.
    sum.is_multiple_of(10)
        && digits.last().is_some_and(|first| *first != 0)
        && digits.iter().any(|d| *d != digits[0])
}

/// At most so many bytes of a text, with a mark where it was cut.
pub(crate) fn cut(text: &str, longest: usize) -> Cow<'_, str> {
    const MARK: &str = "...";
    if text.len() <= longest {
        return text.into();
    }
    let mut end = longest - MARK.len();
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    [&text[..end], MARK].concat().into()
}

#[cfg(test)]
#[path = "redact_tests.rs"]
mod tests;
