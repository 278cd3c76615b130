//! Secrets and personal data out of what is told to a collector, whoever wrote them there.
//!
//! Nothing that Weir tells is meant to hold any: headers of requests and bodies of providers' errors are never told, and
//! what clients say only if that is asked for. This is the net under that, and what makes the latter bearable. It takes out
//!
//! - every secret of the configuration, by its value;
//! - keys that are known by how they begin (`sk-`, `AIza`, `ghp_`, ...), JSON web tokens, private keys in PEM form;
//! - what stands behind `Bearer`, `Basic`, `api-key:`, `password=` and their like, in JSON under such a name, and in a URL before `@`;
//! - e-mail addresses; numbers of payment cards, by their check digit; IBANs; US social security numbers.
//!
//! What is JSON is looked through string by string ([`Redactor::json`]), for what a string says is written otherwise in it, and must
//! stay JSON. Texts may hold JSON all the same, and URLs: what stands behind an escape (`\\n`, `%20`) begins anew.
//!
//! A text is looked through before it is cut: a secret at the cut would be too short to be known. All of it in time linear in the
//! text.

use std::borrow::Cow;
use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, MatchKind};
use opentelemetry::{Array, KeyValue, StringValue, Value};
use regex::{Captures, Regex};
use serde_json::Value as Json;

/// What stands in the place of what was taken out.
const GONE: &str = "[redacted]";
/// A secret of the configuration that is shorter could be any word.
const SHORTEST: usize = 8;
/// What stands under the name of a secret is none if it is shorter.
const SHORTEST_NAMED: usize = 4;
/// Of a value, bytes. (What is told of contents has its own bound.)
const LONGEST: usize = 4 << 10;

/// Where a word begins: also behind an escape, whose letter is a part of no word.
const START: &str = r"(?:(?-u:\b)|\\(?:[abefnrtv0]|u[0-9A-Fa-f]{4}|x[0-9A-Fa-f]{2})|%[0-9A-Fa-f]{2})";
/// What secrets are called.
const SECRET: &str = r"(?:api[-_]?key|access[-_]?key|private[-_]?key|secret(?:[-_]?key)?|password|passwd|pwd|token|authorization|credentials?|signature)";

/// Private keys.
static PEM: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"-----BEGIN [A-Z ]*PRIVATE KEY-----(?s:.)*?(?:-----END [A-Z ]*PRIVATE KEY-----|\z)")
});

/// Keys and tokens by their form, and numbers of persons'.
static TOKENS: LazyLock<Regex> = LazyLock::new(|| {
    let ways = [
        r"ey[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?",
        r"(?:sk|pk|rk)[-_][A-Za-z0-9_-]{8,}",
        r"AIza[A-Za-z0-9_-]{20,}",
        r"(?:AKIA|ASIA)[A-Z0-9]{16}(?-u:\b)",
        r"(?:gh[pousr]|github_pat|glpat|hf|gsk|xox[abprs]|xai|pplx|nvapi|npm|dop_v1|shpat|lsv2_(?:pt|sk)|tvly|fw|r8|csk|voy)[-_][A-Za-z0-9_-]{10,}",
        r"ya29\.[A-Za-z0-9_-]{10,}",
        r"[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?-u:\b)",
        r"[0-9]{3}-[0-9]{2}-[0-9]{4}(?-u:\b)",
    ];
    pattern(&format!("(?P<start>{START})(?:{})", ways.join("|")))
});

/// Secrets by what stands before them; that stays.
static NAMED: LazyLock<Regex> = LazyLock::new(|| {
    let ways = [
        format!(r"(?i)(?P<before>{START}(?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{{6,}}"),
        format!(
            r#"(?i)(?P<name>{START}[a-z0-9_-]*{SECRET}(?-u:\b)\\?["']?\s*[:=]\s*\\?["']?)(?:(?:bearer|basic|token)\s+)?(?:\[redacted\]|[^\s"'\\,;&}}\]]{{4,}})"#
        ),
        r#"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)[^/\s@"'\\<>{}]+(?P<at>@)"#.to_owned(),
        r#"(?P<query>[?&](?:key|sig|code)=)[^&\s"'\\<>{}]{4,}"#.to_owned(),
    ];
    pattern(&ways.map(|way| format!("(?:{way})")).join("|"))
});

/// A name in JSON under which a secret stands.
static NAME: LazyLock<Regex> = LazyLock::new(|| pattern(&format!("(?i){SECRET}$")));

static MAIL: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}"));

/// What may be a card's number.
static CARD: LazyLock<Regex> = LazyLock::new(|| {
    pattern(&format!(r"(?P<start>{START})(?P<number>[0-9](?:[ -]?[0-9]){{12,18}})(?-u:\b)"))
});

#[allow(clippy::expect_used, reason = "constants, which a test tries")]
fn pattern(way: &str) -> Regex {
    Regex::new(way).expect("a pattern that can be read")
}

/// Takes secrets out.
#[derive(Debug, Default)]
pub(crate) struct Redactor {
    known: Option<AhoCorasick>,
}

impl Redactor {
    /// That knows these secrets by their values, also as they are written in JSON.
    pub(crate) fn new(secrets: impl IntoIterator<Item = String>) -> anyhow::Result<Redactor> {
        let mut known: Vec<String> = Vec::new();
        for secret in secrets.into_iter().filter(|secret| secret.len() >= SHORTEST) {
            let quoted = Json::from(secret.as_str()).to_string();
            known.extend([quoted[1..quoted.len() - 1].to_owned(), secret]);
        }
        known.sort_unstable();
        known.dedup();
        if known.is_empty() {
            return Ok(Redactor { known: None });
        }
        // Where one begins with another, all of it goes.
        let built = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(&known);
        // (The error names no pattern.)
        Ok(Redactor {
            known: Some(built.map_err(|err| anyhow::anyhow!("secrets cannot be looked for: {err}"))?),
        })
    }

    /// A text without secrets.
    pub(crate) fn text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut text = Cow::Borrowed(text);
        if let Some(known) = self.known.as_ref().filter(|known| known.is_match(&*text)) {
            let gone = vec![GONE; known.patterns_len()];
            text = known.replace_all(&text, &gone).into();
        }
        replace(&mut text, &PEM, |_| GONE.to_owned());
        replace(&mut text, &TOKENS, |found| [&found["start"], GONE].concat());
        replace(&mut text, &NAMED, |found| {
            let of = |name| found.name(name).map_or("", |part| part.as_str());
            let before = [of("before"), of("name"), of("scheme"), of("query")].concat();
            format!("{before}{GONE}{}", of("at"))
        });
        replace(&mut text, &MAIL, |_| GONE.to_owned());
        replace(&mut text, &CARD, |found| {
            let is_one = is_card(&found["number"]);
            if is_one { [&found["start"], GONE].concat() } else { found[0].to_owned() }
        });
        text
    }

    /// A value without secrets, each text of at most so many bytes.
    pub(crate) fn json(&self, value: &mut Json, longest: usize) {
        match value {
            Json::String(text) => {
                let clean = self.text(text);
                if matches!(clean, Cow::Owned(_)) || clean.len() > longest {
                    *text = cut(&clean, longest).into_owned();
                }
            }
            Json::Number(number) => {
                if let Cow::Owned(clean) = self.text(&number.to_string()) {
                    *value = clean.into();
                }
            }
            Json::Array(items) => items.iter_mut().for_each(|item| self.json(item, longest)),
            Json::Object(members) => {
                for (name, mut member) in std::mem::take(members) {
                    if NAME.is_match(&name) && is_named(&member) {
                        member = GONE.into();
                    }
                    self.json(&mut member, longest);
                    members.insert(self.text(&name).into_owned(), member);
                }
            }
            Json::Null | Json::Bool(_) => {}
        }
    }

    /// Attributes without secrets, and of bounded length; but for contents, which are JSON and were looked through as such.
    pub(crate) fn attributes(&self, attributes: &mut [KeyValue]) {
        for attribute in attributes.iter_mut().filter(|one| !is_content(one.key.as_str())) {
            match &mut attribute.value {
                Value::String(text) => self.string(text),
                Value::Array(Array::String(texts)) => texts.iter_mut().for_each(|text| self.string(text)),
                _ => {}
            }
        }
    }

    fn string(&self, value: &mut StringValue) {
        let clean = self.text(value.as_str());
        if matches!(clean, Cow::Owned(_)) || clean.len() > LONGEST {
            *value = cut(&clean, LONGEST).into_owned().into();
        }
    }

    /// A text without secrets, and of bounded length.
    pub(crate) fn short(&self, text: &str) -> String {
        cut(&self.text(text), LONGEST).into_owned()
    }
}

/// Is it a secret, if its name says so?
fn is_named(value: &Json) -> bool {
    match value {
        Json::String(text) => text.len() >= SHORTEST_NAMED,
        Json::Number(number) => number.to_string().len() >= SHORTEST_NAMED,
        _ => false,
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
