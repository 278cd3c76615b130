//! Values with units: how each is written and which range it has.

use std::net::SocketAddr;
use std::time::{Duration, UNIX_EPOCH};

use toml::de::DeValue;
use toml::value::{Datetime, Offset};

use super::form::Form;
use super::tree::{Node, Read, Reading};

/// The longest duration of any setting: 31 days.
pub(crate) const LONGEST: Duration = Duration::from_secs(31 * 24 * 3600);
/// Limits and other counts are below this, so that sums of them stay exact integers everywhere.
pub(crate) const COUNT_END: u64 = 1 << 40;

/// Numbers with units, as `humantime` reads them.
const DURATION: &str = r"^\s*\d+(\s*\.\s*\d+)?\s*[A-Za-z]+(\s*\d+(\s*\.\s*\d+)?\s*[A-Za-z]+)*\s*$";
/// The same, or none.
const PAUSE: &str = r"^\s*(0|\d+(\s*\.\s*\d+)?\s*[A-Za-z]+(\s*\d+(\s*\.\s*\d+)?\s*[A-Za-z]+)*)\s*$";
const SIZE: &str = r"^[0-9_]+\s*([kKMG]B|[KMG]iB|B)$";
const ADDRESS: &str = r"^([0-9]+(\.[0-9]+){3}|\[[0-9A-Fa-f:.%]+\]):[0-9]{1,5}$";

/// A whole number from 1 to 2^40 - 1.
#[derive(Clone, Copy)]
pub(crate) struct Count(pub(crate) u64);

/// A [`Count`] that is a limit: an absent one means none, so 0 has no meaning.
#[derive(Clone, Copy)]
pub(crate) struct Limit(pub(crate) u64);

/// Bytes: `"32MiB"`, `"64KiB"`, `"1GB"`, or a whole number.
#[derive(Clone, Copy)]
pub(crate) struct Size(pub(crate) u64);

/// A day, `2026-11-30`: the Unix second at which it begins, by UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Day(pub(crate) u64);

/// A day, or a day and a time with its distance from UTC (`2026-11-30T16:00:00Z`): Unix seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment(pub(crate) u64);

/// A duration that may be `"0s"`: none.
#[derive(Clone, Copy)]
pub(crate) struct Pause(pub(crate) Duration);

impl Read for String {
    fn read(node: &Node<'_>, cx: &mut Reading<'_>) -> Option<Self> {
        cx.string(node, "a string")
    }

    fn form() -> Form {
        Form::Text
    }
}

impl Read for bool {
    fn read(node: &Node<'_>, cx: &mut Reading<'_>) -> Option<Self> {
        match node.get_ref().as_bool() {
            Some(value) => Some(value),
            None => cx.wrong(node, "`true` or `false`"),
        }
    }

    fn form() -> Form {
        Form::Bool
    }
}

impl Read for f64 {
    fn read(node: &Node<'_>, cx: &mut Reading<'_>) -> Option<Self> {
        let value = match node.get_ref() {
            DeValue::Float(float) => float.as_str().parse::<f64>().ok(),
            DeValue::Integer(_) => whole(node).map(|number| number as f64),
            _ => return cx.wrong(node, "a number"),
        };
        match value.filter(|value| value.is_finite()) {
            Some(value) => Some(value),
            None => refuse(node, cx, "expected a finite number"),
        }
    }

    fn form() -> Form {
        Form::Number
    }
}

impl Read for u32 {
    fn read(node: &Node<'_>, cx: &mut Reading<'_>) -> Option<Self> {
        if !node.get_ref().is_integer() {
            return cx.wrong(node, "a whole number");
        }
        match whole(node).and_then(|number| u32::try_from(number).ok()) {
            Some(number) => Some(number),
            None => refuse(node, cx, "expected a whole number from 0 to 4294967295"),
        }
    }

    fn form() -> Form {
        Form::Whole { from: 0, to: u64::from(u32::MAX) }
    }
}

impl Read for Count {
    fn read(node: &Node<'_>, cx: &mut Reading<'_>) -> Option<Self> {
        if !node.get_ref().is_integer() {
            return cx.wrong(node, "a whole number");
        }
        match whole(node).and_then(|number| u64::try_from(number).ok()) {
            Some(number) if (1..COUNT_END).contains(&number) => Some(Count(number)),
            _ => refuse(node, cx, "expected a whole number from 1 to 2^40 - 1"),
        }
    }

    fn form() -> Form {
        Form::Whole { from: 1, to: COUNT_END - 1 }
    }
}

impl Read for Limit {
    fn read(node: &Node<'_>, cx: &mut Reading<'_>) -> Option<Self> {
        if whole(node) == Some(0) {
            return refuse(node, cx, "a limit of 0 is refused: leave the key out for no limit");
        }
        Count::read(node, cx).map(|Count(number)| Limit(number))
    }

    fn form() -> Form {
        Count::form()
    }
}

impl Read for Size {
    fn read(node: &Node<'_>, cx: &mut Reading<'_>) -> Option<Self> {
        const EXPECTED: &str = "a size such as \"32MiB\" or a number of bytes";
        let bytes = match node.get_ref() {
            DeValue::Integer(_) => whole(node).and_then(|number| u64::try_from(number).ok()),
            _ => size(&cx.string(node, EXPECTED)?),
        };
        match bytes.filter(|bytes| (1..COUNT_END).contains(bytes)) {
            Some(bytes) => Some(Size(bytes)),
            None => refuse(node, cx, &format!("expected {EXPECTED}, at least 1 byte")),
        }
    }

    fn form() -> Form {
        Form::OneOf(vec![Count::form(), Form::Pattern(SIZE)])
    }
}

impl Read for Pause {
    fn read(node: &Node<'_>, cx: &mut Reading<'_>) -> Option<Self> {
        let zero = |text: &str| humantime::parse_duration(text).is_ok_and(|time| time.is_zero());
        if node.get_ref().as_str().is_some_and(zero) {
            return Some(Pause(Duration::ZERO));
        }
        Duration::read(node, cx).map(Pause)
    }

    fn form() -> Form {
        Form::Pattern(PAUSE)
    }
}

impl Read for Duration {
    fn read(node: &Node<'_>, cx: &mut Reading<'_>) -> Option<Self> {
        const EXPECTED: &str = "a duration such as \"30s\", \"500ms\" or \"1h 30m\"";
        let text = cx.string(node, EXPECTED)?;
        match humantime::parse_duration(&text) {
            Err(_) => refuse(node, cx, &format!("expected {EXPECTED}")),
            Ok(duration) if duration > LONGEST => refuse(node, cx, "longer than 31 days"),
            Ok(duration) if duration.is_zero() => refuse(node, cx, "a duration must be positive"),
            Ok(duration) if duration.subsec_nanos() % 1_000_000 != 0 => {
                refuse(node, cx, "finer than a millisecond")
            }
            Ok(duration) => Some(duration),
        }
    }

    fn form() -> Form {
        Form::Pattern(DURATION)
    }
}

impl Read for Day {
    fn read(node: &Node<'_>, cx: &mut Reading<'_>) -> Option<Self> {
        const EXPECTED: &str = "a day such as 2026-11-30";
        let Some(written) = node.get_ref().as_datetime() else { return cx.wrong(node, EXPECTED) };
        match unix(written) {
            Some(second) if written.time.is_none() => Some(Day(second)),
            _ => refuse(node, cx, &format!("expected {EXPECTED}, without a time, after 1970")),
        }
    }

    fn form() -> Form {
        Form::Text
    }
}

impl Read for Moment {
    fn read(node: &Node<'_>, cx: &mut Reading<'_>) -> Option<Self> {
        const EXPECTED: &str = "a day such as 2026-11-30, or a time such as 2026-11-30T16:00:00Z";
        let Some(written) = node.get_ref().as_datetime() else { return cx.wrong(node, EXPECTED) };
        if written.time.is_some() && written.offset.is_none() {
            return refuse(node, cx, "a time needs its distance from UTC: `Z`, or such as `+02:00`");
        }
        match unix(written) {
            Some(second) => Some(Moment(second)),
            None => refuse(node, cx, &format!("expected {EXPECTED}, after 1970")),
        }
    }

    fn form() -> Form {
        Form::Text
    }
}

/// Unix seconds of a day, or of a time of one; none before 1970.
fn unix(written: &Datetime) -> Option<u64> {
    let date = written.date?;
    let time = written.time.map_or("00:00:00".to_owned(), |time| {
        format!("{:02}:{:02}:{:02}", time.hour, time.minute, time.second.unwrap_or(0))
    });
    let text = format!("{:04}-{:02}-{:02}T{time}Z", date.year, date.month, date.day);
    let since = humantime::parse_rfc3339(&text).ok()?.duration_since(UNIX_EPOCH).ok()?;
    let east = match written.offset {
        Some(Offset::Custom { minutes }) => i64::from(minutes) * 60,
        Some(Offset::Z) | None => 0,
    };
    since.as_secs().checked_add_signed(-east)
}

impl Read for SocketAddr {
    fn read(node: &Node<'_>, cx: &mut Reading<'_>) -> Option<Self> {
        const EXPECTED: &str = "an IP address and a port such as \"127.0.0.1:8080\" or \"[::]:8080\"";
        match cx.string(node, EXPECTED)?.parse() {
            Ok(address) => Some(address),
            Err(_) => refuse(node, cx, &format!("expected {EXPECTED}")),
        }
    }

    fn form() -> Form {
        Form::Pattern(ADDRESS)
    }
}

fn refuse<T>(node: &Node<'_>, cx: &mut Reading<'_>, message: &str) -> Option<T> {
    cx.problem(&node.span(), message);
    None
}

/// The value of an integer of any radix; `None` also if it is beyond 128 bits.
fn whole(node: &Node<'_>) -> Option<i128> {
    let integer = node.get_ref().as_integer()?;
    i128::from_str_radix(integer.as_str(), integer.radix()).ok()
}

/// Bytes of `32MiB`; powers of 1024 with the `i`, of 1000 without.
fn size(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '_').unwrap_or(text.len());
    let number: u64 = text[..digits].replace('_', "").parse().ok()?;
    let unit = match text[digits..].trim_start() {
        "B" => 1,
        "KB" | "kB" => 1000,
        "MB" => 1000 * 1000,
        "GB" => 1000 * 1000 * 1000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use toml::de::DeTable;

    use super::*;

    /// Reads `value` as a `T`, or the message of the one problem.
    fn read<T: Read>(value: &str) -> Result<T, String> {
        let text = format!("x = {value}");
        let tree = DeTable::parse(&text).unwrap();
        let mut cx = Reading::new(&text, &|_| None);
        T::read(&tree.get_ref()["x"], &mut cx).ok_or_else(|| cx.problems.remove(0).message)
    }

    #[test]
    fn sizes_are_bytes_with_binary_or_decimal_units() {
        let bytes = |value: &str| read::<Size>(value).map(|Size(bytes)| bytes);
        assert_eq!(bytes("\"32MiB\""), Ok(32 << 20));
        assert_eq!(bytes("\"64 KiB\""), Ok(64 << 10));
        assert_eq!(bytes("\"1GB\""), Ok(1_000_000_000));
        assert_eq!(bytes("1_024"), Ok(1024));
        for wrong in ["\"32 parsecs\"", "\"MiB\"", "0", "-1", "\"99999999999999999999GiB\"", "true"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn durations_are_positive_whole_milliseconds_of_at_most_31_days() {
        assert_eq!(read::<Duration>("\"1h 30m\""), Ok(Duration::from_secs(5400)));
        assert_eq!(read::<Duration>("\"500ms\""), Ok(Duration::from_millis(500)));
        assert_eq!(read::<Duration>("\"31 days\""), Ok(LONGEST));
        assert_eq!(read::<Duration>("\"32 days\""), Err("longer than 31 days".into()));
        assert_eq!(read::<Duration>("\"0s\""), Err("a duration must be positive".into()));
        assert_eq!(read::<Duration>("\"1500us\""), Err("finer than a millisecond".into()));
        assert!(read::<Duration>("30").unwrap_err().contains("found an integer"));
        assert!(read::<Duration>("\"soon\"").is_err());
    }

    #[test]
    fn a_limit_is_a_whole_number_from_1_to_2_to_the_40() {
        let limit = |value: &str| read::<Limit>(value).map(|Limit(number)| number);
        assert_eq!(limit("2_000_000"), Ok(2_000_000));
        assert_eq!(limit("0x10"), Ok(16));
        assert_eq!(limit("1_099_511_627_775"), Ok(COUNT_END - 1));
        assert!(limit("0").unwrap_err().contains("leave the key out"));
        for wrong in ["1_099_511_627_776", "-1", "1.5", "\"600\"", "99999999999999999999"] {
            assert!(limit(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_number_may_be_written_whole_and_must_be_finite() {
        assert_eq!(read::<f64>("1"), Ok(1.0));
        assert_eq!(read::<f64>("0.25"), Ok(0.25));
        assert!(read::<f64>("inf").is_err());
        assert!(read::<f64>("nan").is_err());
    }
}
