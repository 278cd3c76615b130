//! How long a window is: 6 s, or with `WEIR_FULL=1` a real minute.

use std::time::Duration;

/// The time scale of a run.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// Length of every limit's window.
    pub window: Duration,
    /// Length of the part of a run that is judged for how much was used.
    pub steady: Duration,
    /// What limits are multiplied by.
    times: u64,
    full: bool,
}

impl Scale {
    /// As the environment says.
    pub fn from_env() -> Scale {
        let full = std::env::var("WEIR_FULL").is_ok_and(|value| value == "1");
        if full {
            let (window, steady) = (Duration::from_secs(60), Duration::from_secs(150));
            return Scale { window, steady, times: 5, full };
        }
        Scale::short()
    }

    /// Windows of 6 s.
    pub fn short() -> Scale {
        Scale { window: Duration::from_secs(6), steady: Duration::from_secs(18), times: 1, full: false }
    }

    /// Windows of this length, whole seconds, whatever the environment says.
    pub fn of(window: Duration) -> Scale {
        Scale { window, ..Scale::short() }
    }

    /// Are windows real minutes?
    pub fn is_full(&self) -> bool {
        self.full
    }

    /// A limit per window: with longer windows more fits, so that the rate of calls stays worth testing.
    pub fn limit(&self, short: u64) -> u64 {
        short * self.times
    }

    /// A limit in the configuration's words.
    pub fn meter(&self, kind: &str, limit: u64) -> String {
        if self.full {
            let name = if kind == "requests" { "rpm" } else { "tpm" };
            return format!("limits = {{ {name} = {limit} }}");
        }
        format!("meters = [{{ kind = \"{kind}\", limit = {limit}, per = \"{}s\" }}]", self.window.as_secs())
    }
}
