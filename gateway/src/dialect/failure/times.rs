//! The notations in which upstreams write times. Every function is total: what cannot be read is `None`, and no wait is
//! longer than [`LONGEST`].

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

/// No wait is longer; the longest documented one is a month.
pub(super) const LONGEST: Duration = Duration::from_secs(31 * DAY);
const DAY: u64 = 86_400;

/// Reads a wait or a reset: an RFC 3339 or HTTP date, epoch seconds or milliseconds, plain seconds, a duration such as
/// `6m0s`, `7.66s`, `12ms`, or a clock such as `00:12:30`.
pub(in crate::dialect) fn wait(text: &str, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    match text.parse::<f64>() {
        Ok(number) if number >= 1e12 => Some(until(UNIX_EPOCH.checked_add(exact(number / 1000.0)?)?, now)),
        Ok(number) if number >= 1e9 => Some(until(UNIX_EPOCH.checked_add(exact(number)?)?, now)),
        Ok(number) => seconds(number),
        Err(_) => {
            let date = || rfc3339(text).or_else(|| http_date(text)).map(|date| until(date, now));
            duration(text).or_else(date).or_else(|| clock(text))
        }
    }
}

/// Milliseconds.
pub(super) fn millis(text: &str) -> Option<Duration> {
    seconds(text.trim().parse::<f64>().ok()? / 1000.0)
}

/// A duration of protobuf: `"34.4s"`, or `{"seconds", "nanos"}`.
pub(super) fn proto(value: &Value) -> Option<Duration> {
    let part =
        |name: &str| value.get(name).and_then(|part| part.as_f64().or_else(|| part.as_str()?.parse().ok()));
    match value {
        Value::String(text) => duration(text.trim()),
        Value::Number(number) => seconds(number.as_f64()?),
        _ => match (part("seconds"), part("nanos")) {
            (None, None) => None,
            (whole, nanos) => seconds(whole.unwrap_or(0.0) + nanos.unwrap_or(0.0) / 1e9),
        },
    }
}

/// The wait at the beginning of `words`, in lower case: `41.724s.`, `37 seconds`, `2 minutes`, `5 ms`, `00:12:30`.
pub(super) fn in_words(words: &str) -> Option<Duration> {
    let mut words = words.split_whitespace();
    let word = words.next()?.trim_end_matches(['.', ',', ';', ')', '!', '\'', '"']);
    let Ok(number) = word.parse::<f64>() else { return duration(word).or_else(|| clock(word)) };
    let scale = match words.next().unwrap_or("seconds").as_bytes() {
        [b'm', b's', ..] | [b'm', b'i', b'l', ..] => 0.001,
        [b'm', ..] => 60.0,
        [b'h', ..] => 3600.0,
        [b'd', ..] => 86_400.0,
        _ => 1.0,
    };
    seconds(number * scale)
}

/// The wait until the date at the beginning of `words`: `2026-02-01 at 00:00 utc`.
pub(super) fn on_date(words: &str, now: SystemTime) -> Option<Duration> {
    let mut words = words.split_whitespace();
    let date = words.next()?.trim_end_matches(['.', ',']);
    let time = match words.next() {
        Some("at") => words.next().filter(|time| time.len() == 5)?,
        _ => "00:00",
    };
    rfc3339(&format!("{date}T{time}:00Z")).map(|date| until(date, now))
}

/// `1h2m3.5s`, `20ms`: numbers with units; nothing else may stand around them.
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
            "ns" => 0.000_000_001,
            _ => return None,
        };
        total = total.checked_add(seconds(digits.parse::<f64>().ok()? * scale)?)?;
        rest = behind;
    }
    (!text.is_empty()).then_some(total.min(LONGEST))
}

/// `hh:mm:ss`, of Azure API Management; days may stand before it (`1.02:03:04`).
fn clock(text: &str) -> Option<Duration> {
    let (days, time) = text.split_once('.').filter(|(days, _)| !days.contains(':')).unwrap_or(("0", text));
    let parts: Vec<u64> = time.split(':').map(|part| number(part, 0, 99)).collect::<Option<_>>()?;
    let [hours, minutes, seconds] = parts[..] else { return None };
    let days = number(days, 0, 9999)?;
    Some(Duration::from_secs(days * DAY + hours * 3600 + minutes * 60 + seconds).min(LONGEST))
}

fn seconds(number: f64) -> Option<Duration> {
    exact(number).map(|wait| wait.min(LONGEST))
}

/// Seconds that are neither negative nor absurd.
fn exact(seconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds).ok().filter(|d| d.as_secs() < 1 << 40)
}

fn until(date: SystemTime, now: SystemTime) -> Duration {
    date.duration_since(now).unwrap_or_default().min(LONGEST)
}

/// `2026-01-01T00:01:00.5Z`, `2026-01-01T02:01:00+02:00`.
fn rfc3339(text: &str) -> Option<SystemTime> {
    let (date, time) = text.split_once(['T', 't', ' '])?;
    let mut date = date.splitn(3, '-');
    let year = number(date.next()?, 1970, 9999)?;
    let (month, day) = (number(date.next()?, 1, 12)?, number(date.next()?, 1, 31)?);
    let zone = time.find(['Z', 'z', '+', '-'])?;
    let (time, zone) = time.split_at_checked(zone)?;
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let fraction: f64 =
        fraction.bytes().all(|b| b.is_ascii_digit()).then(|| format!("0.{fraction}").parse().ok())??;
    let offset = match zone {
        "Z" | "z" => 0,
        zone => {
            let (hours, minutes) = zone.get(1..)?.split_once(':')?;
            number(hours, 0, 23)? * 3600 + number(minutes, 0, 59)? * 60
        }
    };
    let moment = days(year, month, day) * DAY + of_day(time)?;
    let moment = if zone.starts_with('-') { moment + offset } else { moment.checked_sub(offset)? };
    UNIX_EPOCH.checked_add(Duration::from_secs(moment) + exact(fraction)?)
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`, the one form that is still sent.
pub(in crate::dialect) fn http_date(text: &str) -> Option<SystemTime> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut words = text.split_once(", ")?.1.split(' ');
    let day = number(words.next()?, 1, 31)?;
    let name = words.next()?;
    let month = MONTHS.iter().position(|month| *month == name)? as u64 + 1;
    let year = number(words.next()?, 1970, 9999)?;
    let time = of_day(words.next()?)?;
    (words.next() == Some("GMT"))
        .then(|| UNIX_EPOCH + Duration::from_secs(days(year, month, day) * DAY + time))
}

/// `hh:mm:ss`, in seconds.
fn of_day(text: &str) -> Option<u64> {
    let mut parts = text.splitn(3, ':');
    let mut part = |most| number(parts.next()?, 0, most);
    Some(part(23)? * 3600 + part(59)? * 60 + part(60)?)
}

/// Digits only, of a number between two others.
fn number(text: &str, least: u64, most: u64) -> Option<u64> {
    let digits = !text.is_empty() && text.len() <= 4 && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten().filter(|number| (least..=most).contains(number))
}

/// Days from the epoch to a date, with years that begin in March so that the leap day comes last.
fn days(year: u64, month: u64, day: u64) -> u64 {
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    (y * 365 + y / 4 - y / 100 + y / 400 + (m * 153 + 2) / 5 + day).saturating_sub(719_469)
}

/// The year and month of a day, the reverse of [`days`].
fn month_of(day: u64) -> (u64, u64) {
    let z = day + 719_468;
    let (era, of_era) = (z / 146_097, z % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let m = (5 * of_year + 2) / 153;
    let month = if m < 10 { m + 3 } else { m - 9 };
    (year + era * 400 + u64::from(month <= 2), month)
}

/// Until the first of the next month, UTC.
pub(super) fn until_next_month(now: SystemTime) -> Option<Duration> {
    let seconds = now.duration_since(UNIX_EPOCH).ok()?.as_secs();
    let (year, month) = month_of(seconds / DAY);
    let (year, month) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
    Some(until(UNIX_EPOCH.checked_add(Duration::from_secs(days(year, month, 1) * DAY))?, now))
}

/// Until midnight in California, where Google's days end (ai.google.dev/gemini-api/docs/rate-limits).
pub(super) fn until_pacific_midnight(now: SystemTime) -> Option<Duration> {
    let seconds = now.duration_since(UNIX_EPOCH).ok()?.as_secs();
    let midnight = |moment: u64| {
        let local = moment.saturating_sub(pacific_offset(moment));
        (local / DAY + 1) * DAY
    };
    let next = midnight(seconds);
    // The clock may change before midnight comes, so the offset is that of midnight itself.
    let next = next + pacific_offset(next + 8 * 3600);
    Some(until(UNIX_EPOCH.checked_add(Duration::from_secs(next))?, now))
}

/// How far California is behind UTC, in seconds: summer time from the second Sunday of March to the first of November,
/// both at two o'clock (rules of 2007).
fn pacific_offset(moment: u64) -> u64 {
    let (year, _) = month_of(moment / DAY);
    // 1970-01-01 was a Thursday.
    let first_sunday = |month| {
        let first = days(year, month, 1);
        first + (7 - (first + 4) % 7) % 7
    };
    let summer = (first_sunday(3) + 7) * DAY + 10 * 3600..first_sunday(11) * DAY + 9 * 3600;
    if summer.contains(&moment) { 7 * 3600 } else { 8 * 3600 }
}

#[cfg(test)]
#[path = "times_tests.rs"]
mod tests;
