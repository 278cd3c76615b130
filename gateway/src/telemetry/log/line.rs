//! The line of one call: JSON, with the words that users know from `README.md`.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use super::session;
use crate::telemetry::Record;

/// Writes the line of one call by hand, not through `tracing`'s fields: it is the one line that every call pays.
pub(super) fn write_call(line: &mut String, record: &Record, duration: Duration) {
    let usage = record.usage.unwrap_or_default();
    line.push_str(r#"{"timestamp":""#);
    timestamp(line, SystemTime::now());
    line.push_str(r#"","level":"INFO","target":"weir::call","request_id":"#);
    quoted(line, &record.id);
    if let Some(ids) = record.trace.ids() {
        let _ = write!(line, r#","trace_id":"{}","span_id":"{}""#, ids.trace, ids.span);
    }
    if let Some(client) = record.client {
        // (An address needs no escapes; writing to a string does not fail.)
        let _ = write!(line, r#","client":"{client}""#);
    }
    for (name, value) in [
        (r#","api":"#, record.api),
        (r#","tenant":"#, &*record.tenant),
        (r#","model":"#, &*record.model),
        (r#","deployment":"#, &*record.deployment),
        (r#","outcome":"#, record.outcome),
        (r#","session":"#, session(record.session)),
    ] {
        line.push_str(name);
        quoted(line, value);
    }
    if let Some(key) = &record.key {
        line.push_str(r#","key":"#);
        quoted(line, key);
    }
    line.push_str(if record.stream { r#","stream":true"# } else { r#","stream":false"# });
    for (name, value) in [
        (r#","status":"#, u64::from(record.status)),
        (r#","attempts":"#, u64::from(record.attempts)),
        (r#","input_tokens":"#, usage.input),
        (r#","cached_tokens":"#, usage.cached_input),
        (r#","output_tokens":"#, usage.output),
        (r#","held_tokens":"#, record.held_tokens),
        (r#","cost_micro_usd":"#, (record.cost * 1e6).round() as u64),
    ] {
        line.push_str(name);
        number(line, value);
    }
    if record.is_cost_unknown {
        line.push_str(r#","cost_unknown":true"#);
    }
    for (name, time) in [
        (r#","duration_ms":"#, Some(duration)),
        (r#","first_token_ms":"#, record.first_token),
        (r#","upstream_ms":"#, Some(record.upstream)),
        (r#","state_ms":"#, Some(record.state)),
        (r#","waited_ms":"#, Some(record.waited).filter(|time| !time.is_zero())),
    ] {
        if let Some(time) = time {
            line.push_str(name);
            millis(line, time);
        }
    }
    if let Some((rule, _)) = &record.explanation.rule {
        line.push_str(r#","rule":"#);
        quoted(line, rule);
    }
    if let Some(assigned) = &record.assigned {
        line.push_str(r#","experiment":"#);
        quoted(line, &assigned.experiment);
        line.push_str(r#","variant":"#);
        quoted(line, &assigned.name);
        line.push_str(if assigned.spilled { r#","spilled":true"# } else { r#","spilled":false"# });
    }
    if !record.explanation.is_empty() {
        line.push_str(r#","candidates":"#);
        quoted(line, &record.explanation.log());
    }
    line.push_str("}\n");
}

/// A JSON string.
fn quoted(line: &mut String, text: &str) {
    let plain = |b: u8| b >= 0x20 && b != b'"' && b != b'\\';
    line.push('"');
    if text.bytes().all(plain) {
        line.push_str(text);
    } else {
        for c in text.chars() {
            match c {
                '"' | '\\' => {
                    line.push('\\');
                    line.push(c);
                }
                c if (c as u32) < 0x20 => {
                    line.push_str(if c as u32 >= 0x10 { "\\u001" } else { "\\u000" });
                    line.push(char::from_digit(c as u32 % 16, 16).unwrap_or('0'));
                }
                c => line.push(c),
            }
        }
    }
    line.push('"');
}

fn number(line: &mut String, n: u64) {
    line.push_str(itoa::Buffer::new().format(n));
}

/// The last `width` digits of `n`, with zeros in front.
fn digits(line: &mut String, n: u64, width: u32) {
    for place in (0..width).rev() {
        line.push((b'0' + (n / 10u64.pow(place) % 10) as u8) as char);
    }
}

/// Milliseconds with three decimals.
fn millis(line: &mut String, time: Duration) {
    let micros = time.as_micros() as u64;
    number(line, micros / 1_000);
    line.push('.');
    digits(line, micros, 3);
}

/// RFC 3339 in UTC with microseconds; the date by Howard Hinnant's days-to-civil algorithm.
fn timestamp(line: &mut String, now: SystemTime) {
    let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    digits(line, year, 4);
    for (mark, part) in
        [('-', month), ('-', day), ('T', second / 3_600), (':', second / 60 % 60), (':', second % 60)]
    {
        line.push(mark);
        digits(line, part, 2);
    }
    line.push('.');
    digits(line, u64::from(since.subsec_micros()), 6);
    line.push('Z');
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::telemetry::Metrics;

    fn stamp(seconds: u64) -> String {
        let mut line = String::new();
        timestamp(&mut line, SystemTime::UNIX_EPOCH + Duration::new(seconds, 7_000));
        line
    }

    #[test]
    fn times_are_those_of_the_calendar() {
        assert_eq!(stamp(0), "1970-01-01T00:00:00.000007Z");
        assert_eq!(stamp(951_782_399), "2000-02-28T23:59:59.000007Z");
        assert_eq!(stamp(951_782_400), "2000-02-29T00:00:00.000007Z");
        assert_eq!(stamp(1_795_184_359), "2026-11-20T14:19:19.000007Z");
    }

    /// Broken on purpose once: a quotation mark too many behind the client.
    #[test]
    fn a_calls_line_is_json() {
        let mut record = Record::new(Arc::new(Metrics::new().unwrap()), "req_1".into());
        record.client = Some("2001:db8::1".parse().unwrap());
        record.first_token = Some(Duration::from_millis(3));
        let mut line = String::new();
        write_call(&mut line, &record, Duration::from_millis(5));
        let read: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!((&read["client"], &read["request_id"]), (&"2001:db8::1".into(), &"req_1".into()));
    }

    #[test]
    fn a_name_cannot_break_out_of_its_line() {
        let mut line = String::new();
        quoted(&mut line, "a\"b\\c\nd\u{1}");
        assert_eq!(line, r#""a\"b\\c\u000ad\u0001""#);
        assert_eq!(serde_json::from_str::<String>(&line).unwrap(), "a\"b\\c\nd\u{1}");
    }
}
