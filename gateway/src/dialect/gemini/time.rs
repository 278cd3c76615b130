//! Moments in RFC 3339, as `createTime` has them, to Unix seconds and back.

/// Unix seconds of a moment in UTC such as `2026-11-29T12:00:00.123Z`.
pub(super) fn seconds(text: &str) -> Option<u64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let mut date = date.split('-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let mut time = time.split('.').next()?.split(':').map(|part| part.parse::<i64>().ok());
    let (hour, minute, second) = (time.next()??, time.next()??, time.next()??);
    let sane = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && (0..24).contains(&hour)
        && (0..60).contains(&minute)
        && (0..=60).contains(&second);
    if !sane {
        return None;
    }
    u64::try_from(days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second).ok()
}

/// The moment, to the second; none after the year 9999.
pub(super) fn text(seconds: u64) -> Option<String> {
    let left = seconds % 86_400;
    let (year, month, day) = date(i64::try_from(seconds / 86_400).ok().filter(|days| *days < 2_932_897)?);
    let mut text = String::with_capacity(20);
    for (count, after) in [(year / 100, ""), (year % 100, "-"), (month, "-"), (day, "T")] {
        push_two(&mut text, count.unsigned_abs(), after);
    }
    for (count, after) in [(left / 3600, ":"), (left / 60 % 60, ":"), (left % 60, "Z")] {
        push_two(&mut text, count, after);
    }
    Some(text)
}

/// Two digits. `format!` takes longer for a moment than all else does for a short answer.
fn push_two(text: &mut String, count: u64, after: &str) {
    for digit in [count / 10, count % 10] {
        text.extend(char::from_digit(digit as u32, 10));
    }
    text.push_str(after);
}

/// Days since 1970. The year is made to begin in March, so that the leap day is its last (Hinnant's algorithm).
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let of_era = year % 400;
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    year / 400 * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

fn date(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let of_era = shifted % 146_097;
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let march = (5 * of_year + 2) / 153;
    let month = if march < 10 { march + 3 } else { march - 9 };
    let day = of_year - (153 * march + 2) / 5 + 1;
    (shifted / 146_097 * 400 + year + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_and_written() {
        for (moment, unix) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T23:59:59Z", 951_868_799),
            ("2026-11-29T12:00:00Z", 1_795_953_600),
            ("2100-03-01T00:00:00Z", 4_107_542_400),
        ] {
            assert_eq!(seconds(moment), Some(unix));
            assert_eq!(text(unix).as_deref(), Some(moment));
        }
        assert_eq!(seconds("2026-11-29T12:00:00.123456Z"), Some(1_795_953_600));
        for odd in ["", "Z", "T", "2026-13-01T00:00:00Z", "999999999999-01-01T00:00:00Z", "2026-01-01"] {
            assert_eq!(seconds(odd), None);
        }
        assert_eq!(text(u64::MAX), None);
    }
}
