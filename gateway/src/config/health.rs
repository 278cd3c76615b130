//! `health_check`: how a deployment is looked after without clients' calls.

use std::time::Duration;

/// `health_check`, of a deployment that has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// What is asked.
    pub kind: CheckKind,
    /// From one check to the next, give or take a tenth.
    pub interval: Duration,
    /// One that takes longer has failed.
    pub timeout: Duration,
    /// So many in a row must go well for an open circuit to close.
    pub successes: u64,
}

impl HealthCheck {
    /// By then a deployment that is checked has been checked again, whatever the jitter.
    pub fn by_then(&self) -> Duration {
        self.interval * 2 + self.timeout
    }
}

/// `health_check.kind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckKind {
    /// The provider's list of models, which costs nothing.
    Models,
    /// A call of a few tokens, which is paid and counts against limits.
    Chat,
}

impl CheckKind {
    /// As it is written.
    pub fn word(self) -> &'static str {
        match self {
            CheckKind::Models => "models",
            CheckKind::Chat => "chat",
        }
    }
}
