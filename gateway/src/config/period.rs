//! Periods of the calendar, in UTC: days and months.

use std::time::{Duration, SystemTime};

const DAY: u64 = 24 * 3600 * 1000;

/// What a budget is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    /// From midnight to midnight.
    Day,
    /// From the first to the last of a month.
    Month,
}

impl Period {
    /// As it is written.
    pub fn word(self) -> &'static str {
        match self {
            Period::Day => "day",
            Period::Month => "month",
        }
    }

    /// When the period ends that the moment `now` is in; both Unix time, ms.
    pub fn ends(self, now: u64) -> u64 {
        let days = match self {
            Period::Day => now / DAY + 1,
            Period::Month => next_month(now / DAY),
        };
        days * DAY
    }

    /// A window that is longer than any two of them, ms.
    pub fn window(self) -> u64 {
        match self {
            Period::Day => 2 * DAY,
            Period::Month => 62 * DAY,
        }
    }
}

/// The first day of the month after that of `day`, both counted from 1970 on.
fn next_month(day: u64) -> u64 {
    (day + 1..).find(|day| day_of_month(*day) == 1).unwrap_or(day + 31)
}

fn day_of_month(day: u64) -> u32 {
    let time = SystemTime::UNIX_EPOCH + Duration::from_millis(day * DAY);
    let text = humantime::format_rfc3339_seconds(time).to_string(); // YYYY-MM-DDT...
    text.get(8..10).and_then(|day| day.parse().ok()).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Broken on purpose to see it fail: months of thirty days; a period that ends with its last millisecond.
    #[test]
    fn periods_end_where_the_next_begins() {
        let unix = |text: &str| {
            let time = humantime::parse_rfc3339(text).unwrap().duration_since(SystemTime::UNIX_EPOCH);
            time.unwrap().as_millis() as u64
        };
        for (now, day, month) in [
            ("2026-11-30T23:59:59.999Z", "2026-12-01T00:00:00Z", "2026-12-01T00:00:00Z"),
            ("2026-12-01T00:00:00Z", "2026-12-02T00:00:00Z", "2027-01-01T00:00:00Z"),
            ("2028-02-28T12:00:00Z", "2028-02-29T00:00:00Z", "2028-03-01T00:00:00Z"),
            ("2027-02-28T12:00:00Z", "2027-03-01T00:00:00Z", "2027-03-01T00:00:00Z"),
            ("2100-02-28T12:00:00Z", "2100-03-01T00:00:00Z", "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(Period::Day.ends(unix(now)), unix(day), "{now}");
            assert_eq!(Period::Month.ends(unix(now)), unix(month), "{now}");
        }
    }

    #[test]
    fn a_window_outlasts_its_period() {
        for day in 0..800 {
            let begin = Period::Month.ends(day * DAY);
            assert!(Period::Month.ends(begin) - begin + 30 * DAY < Period::Month.window());
        }
    }
}
