//! How long an upstream asks us to wait. There are five places where it may say so and six notations; what cannot
//! be read counts as not said, and nothing here panics on foreign bytes.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::HeaderMap;

/// No wait is longer; what is longer is an error or a closed account.
const LONGEST: Duration = Duration::from_secs(366 * 86_400);

/// The wait that an answer asks for: its headers, else its message (in lower case), else the reset of the
/// dimension that is exhausted.
pub(super) fn retry_after(headers: &HeaderMap, message: &str, now: SystemTime) -> Option<Duration> {
    let millis = header(headers, "retry-after-ms").and_then(|text| seconds(text, 0.001));
    let plain = header(headers, "retry-after").and_then(|text| instant_or_seconds(text, now));
    // Azure sends `retry-after-ms: 0` beside `retry-after: 1`: the larger one is meant.
    let said = millis.max(plain).filter(|wait| !wait.is_zero());
    said.or_else(|| in_message(message)).or_else(|| reset_of_exhausted(headers, now))
}

/// Reads a rate limit reset: an RFC 3339 or HTTP date, epoch seconds or milliseconds, plain seconds, or a duration
/// such as `6m0s`, `7.66s`, `12ms`.
pub(super) fn reset(text: &str, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    if let Ok(date) = humantime::parse_rfc3339(text) {
        return Some(until(date, now));
    }
    match text.parse::<f64>() {
        Ok(number) if number >= 1e12 => Some(until(UNIX_EPOCH + bounded(number / 1000.0)?, now)),
        Ok(number) if number >= 1e9 => Some(until(UNIX_EPOCH + bounded(number)?, now)),
        Ok(_) => seconds(text, 1.0),
        Err(_) => duration(text).or_else(|| http_date(text).map(|date| until(date, now))).map(cap),
    }
}

fn reset_of_exhausted(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    const REMAINING: &str = "x-ratelimit-remaining";
    let resets = headers.iter().filter_map(|(name, value)| {
        let dimension = name.as_str().strip_prefix(REMAINING)?;
        let remaining: f64 = value.to_str().ok()?.replace(',', "").trim().parse().ok()?;
        if remaining != 0.0 {
            return None;
        }
        reset(header(headers, &format!("x-ratelimit-reset{dimension}"))?, now)
    });
    resets.max().filter(|wait| !wait.is_zero())
}

/// "Please try again in 41.724s", "retry after 37 seconds".
fn in_message(message: &str) -> Option<Duration> {
    ["try again in ", "retry in ", "retry after "].iter().find_map(|lead| {
        let (_, rest) = message.split_once(lead)?;
        let word = rest.split_whitespace().next()?.trim_end_matches(['.', ',', ';', ')']);
        if word.parse::<f64>().is_err() {
            return duration(word);
        }
        let unit = rest.split_whitespace().nth(1).unwrap_or("seconds");
        let scale = match unit.as_bytes() {
            [b'm', b's', ..] | [b'm', b'i', b'l', ..] => 0.001,
            [b'm', ..] => 60.0,
            [b'h', ..] => 3600.0,
            [b'd', ..] => 86_400.0,
            _ => 1.0,
        };
        seconds(word, scale)
    })
}

/// `1h2m3.5s`, `20ms`: numbers with units, largest first; nothing else may stand around them.
fn duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.').filter(|at| *at > 0)?;
        let (digits, behind) = rest.split_at_checked(number)?;
        let unit = behind.find(|c: char| c.is_ascii_digit()).unwrap_or(behind.len());
        let (unit, behind) = behind.split_at_checked(unit)?;
        let scale = match unit {
            "d" => 86_400.0,
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 0.001,
            "us" | "µs" => 0.000_001,
            _ => return None,
        };
        total = total.checked_add(seconds(digits, scale)?)?;
        rest = behind;
    }
    (!text.is_empty()).then_some(cap(total))
}

fn instant_or_seconds(text: &str, now: SystemTime) -> Option<Duration> {
    let date = || http_date(text).map(|date| until(date, now));
    seconds(text, 1.0).or_else(date).or_else(|| duration(text)).map(cap)
}

fn seconds(text: &str, scale: f64) -> Option<Duration> {
    let number: f64 = text.trim().parse().ok()?;
    bounded(number * scale).map(cap)
}

fn bounded(seconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds).ok().filter(|d| d.as_secs() < 1 << 40)
}

fn cap(wait: Duration) -> Duration {
    wait.min(LONGEST)
}

fn until(date: SystemTime, now: SystemTime) -> Duration {
    cap(date.duration_since(now).unwrap_or_default())
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`, the one form that is still sent.
fn http_date(text: &str) -> Option<SystemTime> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut words = text.split_once(", ")?.1.split(' ');
    let day: u64 = words.next()?.parse().ok().filter(|d| (1..=31).contains(d))?;
    let name = words.next()?;
    let month = MONTHS.iter().position(|m| *m == name)? as u64 + 1;
    let year: u64 = words.next()?.parse().ok().filter(|y| (1970..10_000).contains(y))?;
    let mut clock = words.next()?.split(':').map(|part| part.parse::<u64>().ok().filter(|n| *n < 62));
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    if words.next() != Some("GMT") || hour > 23 {
        return None;
    }
    // Days since the epoch, with years that begin in March so that the leap day comes last.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = y * 365 + y / 4 - y / 100 + y / 400 + (m * 153 + 2) / 5 + day - 1 - 719_468;
    Some(UNIX_EPOCH + Duration::from_secs(days * 86_400 + hour * 3600 + minute * 60 + second))
}

#[cfg(test)]
#[path = "retry_after_tests.rs"]
mod tests;
