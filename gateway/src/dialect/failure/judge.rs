//! From what was said to a class.

use std::time::{Duration, SystemTime};

use http::HeaderMap;

use super::said::Said;
use super::wording::Words;
use super::{Class, Limit, OfAccount, Period, limit, names, times, wait, wording};

/// A rest this long is a quota, not a rate.
const LONG: Duration = Duration::from_secs(3600);
/// No quota ends so soon: such a wait is that of a rate limit's header, or of a general advice.
const SHORT: Duration = Duration::from_secs(60);

/// The class of a failure, and the limit that it is about. `http` is the answer's status, if it came with one.
pub(super) fn judge(http: Option<u16>, headers: &HeaderMap, said: &Said, now: SystemTime) -> (Class, Limit) {
    let text = said.text();
    let names: Vec<String> = said.names.iter().map(|name| names::plain(name)).collect();
    let status = status(http, said, &names);
    let hint = wait::hint(said, &text, now);
    let retry_after = wait::wait(headers, said, hint, now);
    let hinted = hint.is_some() || !said.quotas.is_empty();
    let class = if too_big(status, &text) {
        Class::TooBigForPool
    } else {
        let named = names.iter().find_map(|name| names::class(name, retry_after));
        let aside = said.aside.to_ascii_lowercase();
        let words = Words { text: &text, aside: aside.trim_start() };
        let worded = || wording::class(status, &words, retry_after, hinted);
        named.or_else(worded).unwrap_or_else(|| by_status(status, retry_after))
    };
    let limit = limit::read(headers, said, &text);
    let class = Facts { headers, said, names: &names, text: &text, limit, now }.settle(class);
    let about_limits = match class {
        Class::RateLimited { .. } | Class::QuotaExhausted { .. } | Class::SlowDown { .. } => true,
        other => other == Class::TooBigForPool,
    };
    (class, if about_limits { limit } else { Limit::default() })
}

/// The status that counts. A general one gives way to what the error itself says: relays answer 400 or 500 to
/// everything, and streams have none.
fn status(http: Option<u16>, said: &Said, names: &[String]) -> u16 {
    let http = http.filter(|status| *status >= 300);
    match http {
        Some(telling) if !matches!(telling, 400 | 500) => return telling,
        _ => {}
    }
    let named = names.iter().find_map(|name| names::status(name));
    // "Internal" says less than any number.
    let telling = named.filter(|status| *status != 500).or(said.status).or(http).or(named);
    let blames_request = || names.iter().any(|name| names::blames_request(name)).then_some(400);
    telling.or_else(blames_request).unwrap_or(500)
}

/// What of the account itself a failure of this class and limit is about. A refusal may be of one model, one region or one
/// operation: so not each counts, but those that cannot be about anything but the key. What is spent per day is a pool's.
pub(super) fn of_account(class: Class, limit: Limit, http: Option<u16>, said: &Said) -> Option<OfAccount> {
    let names: Vec<String> = said.names.iter().map(|name| names::plain(name)).collect();
    let named = |is: fn(&str) -> bool| names.iter().any(|name| is(name));
    let text = said.text();
    let aside = said.aside.to_ascii_lowercase();
    let words = Words { text: &text, aside: aside.trim_start() };
    match class {
        Class::Auth if named(names::is_of_one_model) => None,
        Class::Auth if http == Some(401) || named(names::is_key) || wording::is_key(&words) => {
            Some(OfAccount::Key)
        }
        Class::QuotaExhausted { .. } if limit == Limit::default() => {
            let spent = http == Some(402) || named(names::is_credit) || wording::is_credit(&words);
            spent.then_some(OfAccount::Credit)
        }
        _ => None,
    }
}

/// Is a refusal about what we may do, whatever was asked?
pub(super) fn is_of_us(said: &Said) -> bool {
    said.names.iter().map(|name| names::plain(name)).any(|name| names::is_of_us(&name))
}

fn by_status(status: u16, retry_after: Option<Duration>) -> Class {
    match status {
        429 => Class::RateLimited { retry_after },
        498 | 503 | 529 => Class::Overloaded { retry_after },
        402 => Class::QuotaExhausted { retry_after },
        401 | 403 | 407 => Class::Auth,
        // A redirect is not followed: the base URL is wrong.
        300..=399 | 404 | 405 | 410 => Class::NotFound,
        // 524: a proxy (Cloudflare) ran out of time.
        408 | 504 | 524 => Class::TimedOut,
        409 | 424 | 425 | 499 => Class::Transient,
        400..=499 => Class::BadRequest,
        _ => Class::Transient,
    }
}

/// A request larger than the whole limit: OpenAI and Groq name both numbers ("Limit 8000, Requested 10098").
fn too_big(status: u16, text: &str) -> bool {
    if !matches!(status, 413 | 429) {
        return false;
    }
    let number = |words: [&str; 2]| words.iter().find_map(|word| number_behind(text, word));
    match (number(["limit ", "limit: "]), number(["requested ", "requested: "])) {
        (Some(limit), Some(requested)) => requested > limit,
        _ => text.starts_with("request too large for"),
    }
}

/// The number behind the last `word` that one follows.
fn number_behind(text: &str, word: &str) -> Option<u64> {
    let candidates = text.rmatch_indices(word).filter_map(|(at, _)| text.get(at + word.len()..));
    let mut numbers = candidates.filter_map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != ',').unwrap_or(rest.len());
        rest.get(..end)?.replace(',', "").parse().ok()
    });
    numbers.next()
}

struct Facts<'a> {
    headers: &'a HeaderMap,
    said: &'a Said,
    names: &'a [String],
    text: &'a str,
    limit: Limit,
    now: SystemTime,
}

impl Facts<'_> {
    /// Tells quotas from rates, and finds the quotas' ends.
    fn settle(&self, class: Class) -> Class {
        let (retry_after, spent) = match class {
            // The limits of a provider behind a relay are not ours.
            Class::RateLimited { retry_after }
            | Class::SlowDown { retry_after }
            | Class::QuotaExhausted { retry_after }
                if self.said.relayed =>
            {
                return Class::Overloaded { retry_after };
            }
            Class::RateLimited { retry_after } => (retry_after, false),
            Class::QuotaExhausted { retry_after } => (retry_after, true),
            other => return other,
        };
        if self.never() {
            return Class::QuotaExhausted { retry_after: None };
        }
        let end = self.end_of_quota();
        if end.is_some() {
            return Class::QuotaExhausted { retry_after: end };
        }
        let long_term = matches!(self.limit.per, Some(Period::Day | Period::Month)) && retry_after.is_none();
        if spent || long_term || retry_after >= Some(LONG) {
            return Class::QuotaExhausted { retry_after: retry_after.filter(|wait| *wait >= SHORT) };
        }
        Class::RateLimited { retry_after }
    }

    /// Is the limit 0? Mistral and Google say so of models outside the plan.
    fn never(&self) -> bool {
        let of_mistral = self.headers.get("x-ratelimit-limit-req-minute");
        of_mistral.is_some_and(|value| value.as_bytes() == b"0")
            || self.said.none_at_all
            || ["limit: 0,", "limit: 0\n"].iter().any(|words| self.text.contains(words))
    }

    /// Google's daily quotas end at midnight Pacific, whatever its `RetryInfo` says; Anthropic's monthly spend limit
    /// with the month (UTC).
    fn end_of_quota(&self) -> Option<Duration> {
        let daily = |id: &String| id.to_ascii_lowercase().contains("perday");
        if self.said.quotas.iter().any(daily) {
            return times::until_pacific_midnight(self.now);
        }
        let monthly = self.names.iter().any(|name| name == "enforced_spend_limit_reached");
        monthly.then(|| times::until_next_month(self.now)).flatten()
    }
}
