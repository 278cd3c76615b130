//! The settings that are searched: a few quick ones always, all of them with `WEIR_MODEL=full`. Each has two replicas
//! and one pool with a limit of 3.

use super::setting::{PLAIN, Setting};
use crate::state::core::Stage;

/// Whether there is time for everything.
pub(super) fn is_full() -> bool {
    std::env::var("WEIR_MODEL").is_ok_and(|what| what == "full")
}

/// Every message is answered at once.
pub(super) const PROMPT: Setting = Setting { name: "prompt", wire: 0, ..PLAIN };
/// A process dies, or leaves and says so.
pub(super) const CRASH: Setting = Setting { name: "a crash", crashes: 1, ..PROMPT };
/// All data are lost.
pub(super) const FLUSH: Setting = Setting { name: "a flush", flushes: 1, ..PROMPT };
/// One call; one message is late or lost, and one comes twice.
pub(super) const TWICE: Setting =
    Setting { name: "one call, late and twice", late: 1, doubles: 1, calls: &[2], ..PROMPT };
/// One message is late, or lost.
pub(super) const LATE: Setting = Setting { name: "late", late: 1, ..PROMPT };
/// A server that lags takes over.
pub(super) const FAILOVER: Setting = Setting { name: "a failover", failovers: 1, ..PROMPT };
/// Answers' heads take longer than a window.
pub(super) const SLOW_HEADS: Setting =
    Setting { name: "slow heads, a crash", d_head: 3_000, d_end: 3_000, crashes: 1, ..PROMPT };
/// What is charged at a call's end, long after its head.
pub(super) const ENDS: Setting =
    Setting { name: "slow ends, a crash", stage: Stage::End, d_end: 4_000, crashes: 1, ..PROMPT };
/// The clock is set forward by a bucket.
pub(super) const FORWARD: Setting = Setting { name: "a step forward", steps: 1, ..PROMPT };
pub(super) const HOUR: Setting = Setting { name: "an hour forward", steps: 1, step: 3_600_000, ..PROMPT };
pub(super) const BACK: Setting = Setting { name: "an hour back", steps: 1, step: -3_600_000, ..PROMPT };
/// Three calls, so that some are told, some were seen, and one comes after.
pub(super) const THREE_FLUSH: Setting =
    Setting { name: "three calls, a flush", calls: &[2, 1, 1], flushes: 1, ..PROMPT };
pub(super) const CRASH_FLUSH: Setting = Setting { name: "a crash and a flush", crashes: 1, ..FLUSH };
pub(super) const LATE_CRASH: Setting = Setting { name: "late, a crash", crashes: 1, ..LATE };
pub(super) const LATE_TWICE: Setting = Setting { name: "late and twice", doubles: 1, ..LATE };
pub(super) const LATE_FLUSH: Setting = Setting { name: "late, a flush", flushes: 1, ..LATE };

/// Searched in every build.
pub(super) const QUICK: &[Setting] =
    &[CRASH, Setting { name: "an early flush", faults_within: 1_000, ..FLUSH }];

/// Searched besides where there is time.
pub(super) const FULL: &[Setting] = &[
    FLUSH,
    TWICE,
    LATE,
    FAILOVER,
    SLOW_HEADS,
    ENDS,
    FORWARD,
    HOUR,
    BACK,
    CRASH_FLUSH,
    THREE_FLUSH,
    Setting { name: "two crashes", crashes: 2, lives: 3, ..PROMPT },
    Setting { name: "one call, late, twice and a crash", crashes: 1, ..TWICE },
    Setting { name: "one call, late and a flush", calls: &[2], ..LATE_FLUSH },
    LATE_CRASH,
    Setting { name: "every message late or lost", ..PLAIN },
];
