//! `hours` of rules: times of the day on days of the week, by a fixed distance from UTC.

/// Minutes of a day.
const DAY: u32 = 24 * 60;
/// The words for the days of a week.
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// From one time of the day to another, on some days of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hours {
    /// One bit for each day on which they begin, Monday first.
    days: u8,
    /// Minutes of the day: from `from` to before `to`, which is of the next day unless it is later.
    from: u32,
    to: u32,
    /// East of UTC, minutes.
    offset: i32,
}

impl Hours {
    /// Reads `09:00-17:00`, with days before it (`mon-fri`, `sat,sun`) and a distance from UTC behind (`+02:00`, `UTC`).
    pub fn read(written: &str) -> Option<Hours> {
        let mut words: Vec<&str> = written.split_ascii_whitespace().collect();
        let days = match words.first()? {
            word if word.starts_with(|c: char| c.is_ascii_alphabetic()) => read_days(words.remove(0))?,
            _ => 0b111_1111,
        };
        let (span, zone) = match words[..] {
            [span] => (span, "UTC"),
            [span, zone] => (span, zone),
            _ => return None,
        };
        let (from, to) = span.split_once('-')?;
        let (from, to) = (read_time(from)?, read_time(to)?);
        let is_some = from != to && from < DAY;
        is_some.then_some(Hours { days, from, to, offset: read_offset(zone)? })
    }

    /// Is a Unix time, in seconds, one of them?
    pub fn hold(&self, unix: u64) -> bool {
        // Day 0 was a Thursday.
        let minutes = (unix / 60) as i64 + i64::from(self.offset);
        let (day, minute) = (minutes.div_euclid(i64::from(DAY)), minutes.rem_euclid(i64::from(DAY)) as u32);
        let on = |day: i64| self.days & 1 << (day + 3).rem_euclid(7) != 0;
        let (from, to) = (self.from, self.to);
        if from < to {
            return on(day) && (from..to).contains(&minute);
        }
        on(day) && minute >= from || on(day - 1) && minute < to
    }
}

fn read_days(written: &str) -> Option<u8> {
    let day = |word: &str| DAYS.iter().position(|day| *day == word.to_ascii_lowercase());
    let mut days = 0;
    for part in written.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (day(first)?, day(last)?);
        let length = (last + 7 - first) % 7;
        days |= (0..=length).fold(0, |days, at| days | 1 << ((first + at) % 7));
    }
    Some(days)
}

/// `HH:MM` in minutes of the day; `24:00` is its end.
fn read_time(written: &str) -> Option<u32> {
    let (hours, minutes) = written.split_once(':')?;
    let number = |digits: &str| {
        let is_two = digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_digit());
        is_two.then(|| digits.parse::<u32>().ok()).flatten()
    };
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    let time = hours * 60 + minutes;
    (minutes < 60 && time <= DAY).then_some(time)
}

/// `UTC`, `Z`, `+02:00` or `-05:30`, in minutes.
fn read_offset(written: &str) -> Option<i32> {
    if matches!(written, "UTC" | "utc" | "Z") {
        return Some(0);
    }
    let sign = match written.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let minutes = read_time(&written[1..])?;
    // No zone is farther away.
    (minutes <= 14 * 60).then_some(sign * minutes as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Monday, 2024-01-01 00:00 UTC.
    const MONDAY: u64 = 1_704_067_200;

    fn at(day: u64, hour: u64, minute: u64) -> u64 {
        MONDAY + day * 86_400 + hour * 3_600 + minute * 60
    }

    /// Broken on purpose to see it fail: hours past midnight counted by the day on which they end; the offset taken the other
    /// way round.
    #[test]
    fn hours_are_those_of_their_days_and_zone() {
        let cases = [
            ("09:00-17:00", at(0, 9, 0), true),
            ("09:00-17:00", at(6, 16, 59), true),
            ("09:00-17:00", at(0, 17, 0), false),
            ("09:00-17:00", at(0, 8, 59), false),
            ("mon-fri 09:00-17:00", at(4, 12, 0), true),
            ("mon-fri 09:00-17:00", at(5, 12, 0), false),
            ("sat,sun 00:00-24:00", at(5, 0, 0), true),
            ("sat,sun 00:00-24:00", at(6, 23, 59), true),
            ("sat,sun 00:00-24:00", at(7, 0, 0), false),
            ("fri-mon 12:00-13:00", at(0, 12, 30), true),
            ("fri-mon 12:00-13:00", at(1, 12, 30), false),
            ("Fri 22:00-06:00", at(4, 23, 0), true),
            ("fri 22:00-06:00", at(5, 5, 59), true),
            ("fri 22:00-06:00", at(4, 5, 0), false),
            ("fri 22:00-06:00", at(5, 6, 0), false),
            ("mon 00:00-01:00 +02:00", at(6, 22, 30), true),
            ("mon 00:00-01:00 +02:00", at(0, 0, 30), false),
            ("mon 23:00-24:00 -05:30", at(1, 4, 30), true),
            ("mon 23:00-24:00 -05:30", at(1, 5, 30), false),
            ("thu 00:00-24:00 UTC", 0, true),
        ];
        for (written, time, holds) in cases {
            assert_eq!(Hours::read(written).unwrap().hold(time), holds, "{written} at {time}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for wrong in [
            "",
            "9:00-17:00",
            "09:00",
            "09:00-09:00",
            "24:00-09:00",
            "09:60-10:00",
            "09:00-24:01",
            "mon",
            "mon-xyz 09:00-17:00",
            "09:00-17:00 Europe/Berlin",
            "09:00-17:00 +15:00",
            "mon 09:00-17:00 UTC x",
            "09:00-17:00 +é2:00",
        ] {
            assert_eq!(Hours::read(wrong), None, "{wrong}");
        }
    }
}
