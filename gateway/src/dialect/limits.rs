//! What a tenant has left, in the headers that its SDK reads.

use std::fmt::Write;
use std::time::{Duration, SystemTime};

use super::voice::Voice;

/// What a limit counts, of what the headers have names for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Calls.
    Requests,
    /// Tokens, input and output.
    Tokens,
    /// Tokens of the input.
    InputTokens,
    /// Tokens of the output.
    OutputTokens,
}

/// One limit of a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    /// What it counts.
    pub counted: Unit,
    /// The whole limit.
    pub limit: u64,
    /// What is left of it.
    pub left: u64,
    /// Until all of it is there again if nothing more is used.
    pub reset: Duration,
}

impl Left {
    /// Names and values of its headers. Google's API has none, so its clients may read OpenAI's; of input and output apart
    /// only Anthropic's tell.
    pub fn headers(&self, voice: Voice, now: SystemTime) -> Option<[(&'static str, String); 3]> {
        let [limit, remaining, reset] = match voice {
            Voice::OpenAi | Voice::Google => openai(self.counted)?,
            Voice::Anthropic => anthropic(self.counted),
        };
        let until = match voice {
            Voice::OpenAi | Voice::Google => duration(self.reset),
            Voice::Anthropic => moment(now, self.reset)?,
        };
        Some([(limit, self.limit.to_string()), (remaining, self.left.to_string()), (reset, until)])
    }
}

fn openai(counted: Unit) -> Option<[&'static str; 3]> {
    match counted {
        Unit::Requests => Some([
            "x-ratelimit-limit-requests",
            "x-ratelimit-remaining-requests",
            "x-ratelimit-reset-requests",
        ]),
        Unit::Tokens => {
            Some(["x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"])
        }
        Unit::InputTokens | Unit::OutputTokens => None,
    }
}

/// <https://platform.claude.com/docs/en/api/rate-limits#response-headers>
fn anthropic(counted: Unit) -> [&'static str; 3] {
    match counted {
        Unit::Requests => [
            "anthropic-ratelimit-requests-limit",
            "anthropic-ratelimit-requests-remaining",
            "anthropic-ratelimit-requests-reset",
        ],
        Unit::Tokens => [
            "anthropic-ratelimit-tokens-limit",
            "anthropic-ratelimit-tokens-remaining",
            "anthropic-ratelimit-tokens-reset",
        ],
        Unit::InputTokens => [
            "anthropic-ratelimit-input-tokens-limit",
            "anthropic-ratelimit-input-tokens-remaining",
            "anthropic-ratelimit-input-tokens-reset",
        ],
        Unit::OutputTokens => [
            "anthropic-ratelimit-output-tokens-limit",
            "anthropic-ratelimit-output-tokens-remaining",
            "anthropic-ratelimit-output-tokens-reset",
        ],
    }
}

/// In RFC 3339, to the second, rounded up; `None` outside the years 1970 to 9999.
fn moment(now: SystemTime, time: Duration) -> Option<String> {
    const ALMOST: Duration = Duration::from_nanos(999_999_999);
    let then = now.checked_add(time.saturating_add(ALMOST))?;
    let mut text = String::new();
    write!(text, "{}", humantime::format_rfc3339_seconds(then)).ok()?;
    Some(text)
}

/// As Go writes it, and OpenAI with it: `1h2m3.5s`, `120ms`.
fn duration(time: Duration) -> String {
    let ms = time.as_millis();
    if ms < 1_000 {
        return format!("{ms}ms");
    }
    let (hours, minutes, seconds) = (ms / 3_600_000, ms / 60_000 % 60, ms % 60_000);
    let mut out = String::new();
    if hours > 0 {
        out += &format!("{hours}h");
    }
    if hours > 0 || minutes > 0 {
        out += &format!("{minutes}m");
    }
    let fraction = format!("{:03}", seconds % 1_000);
    let fraction = fraction.trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    out + &format!("{}{point}{fraction}s", seconds / 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: Duration = Duration::from_millis(60_250);

    fn headers(counted: Unit, voice: Voice) -> Vec<(&'static str, String)> {
        let left = Left { counted, limit: 100, left: 7, reset: FULL };
        left.headers(voice, SystemTime::UNIX_EPOCH).into_iter().flatten().collect()
    }

    fn pairs<'a>(headers: &'a [(&'static str, String)]) -> Vec<(&'a str, &'a str)> {
        headers.iter().map(|(name, value)| (*name, value.as_str())).collect()
    }

    /// Broken on purpose to see it fail: the time until the reset in place of its moment.
    #[test]
    fn each_voice_has_its_own_names_and_times() {
        let openai = headers(Unit::Tokens, Voice::OpenAi);
        assert_eq!(
            pairs(&openai),
            [
                ("x-ratelimit-limit-tokens", "100"),
                ("x-ratelimit-remaining-tokens", "7"),
                ("x-ratelimit-reset-tokens", "1m0.25s")
            ]
        );
        let anthropic = headers(Unit::OutputTokens, Voice::Anthropic);
        assert_eq!(
            pairs(&anthropic),
            [
                ("anthropic-ratelimit-output-tokens-limit", "100"),
                ("anthropic-ratelimit-output-tokens-remaining", "7"),
                ("anthropic-ratelimit-output-tokens-reset", "1970-01-01T00:01:01Z")
            ]
        );
        assert!(headers(Unit::InputTokens, Voice::OpenAi).is_empty());
    }

    #[test]
    fn a_time_beyond_all_calendars_is_no_panic() {
        for reset in [Duration::MAX, Duration::from_secs(1 << 40)] {
            let left = Left { counted: Unit::Requests, limit: 1, left: 0, reset };
            assert_eq!(left.headers(Voice::Anthropic, SystemTime::UNIX_EPOCH), None);
        }
    }

    #[test]
    fn times_are_written_as_openai_writes_them() {
        for (ms, text) in [
            (0, "0ms"),
            (120, "120ms"),
            (1_000, "1s"),
            (17_500, "17.5s"),
            (62_000, "1m2s"),
            (360_000, "6m0s"),
            (3_600_000, "1h0m0s"),
            (90_061_001, "25h1m1.001s"),
        ] {
            assert_eq!(duration(Duration::from_millis(ms)), text);
        }
    }
}
