//! What a tenant has left, in the headers that OpenAI's clients read.

use std::time::Duration;

/// One limit of a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    /// Of requests; else of tokens.
    pub requests: bool,
    /// The whole limit.
    pub limit: u64,
    /// What is left of it.
    pub left: u64,
    /// Until all of it is there again if nothing more is used.
    pub reset: Duration,
}

impl Left {
    /// Names and values of its headers.
    pub fn headers(&self) -> [(&'static str, String); 3] {
        let names = if self.requests {
            ["x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"]
        } else {
            ["x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"]
        };
        let [limit, remaining, reset] = names;
        [(limit, self.limit.to_string()), (remaining, self.left.to_string()), (reset, duration(self.reset))]
    }
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
