//! Time-outs, in milliseconds.

use super::super::Notes;
use super::super::node::Node;
use super::super::page;

/// The longest that Weir takes.
const LONGEST: u64 = 31 * 24 * 3600 * 1000;

/// As Weir has them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Times {
    connect: u64,
    first_token: u64,
    idle: u64,
    total: u64,
    /// `stream_timeout`, of this level or one above.
    stream: Option<u64>,
}

/// Said where a `timeout` stands.
pub(super) const WHOLE: &str = "here it also bounds a whole stream, from the call's beginning to its last token; how long a stream may \
                                take to begin and to pause is `first_token` and `idle`, as long as it unless `stream_timeout` says otherwise";

/// Weir's own.
pub(super) const BUILT_IN: Times =
    Times { connect: 2_000, first_token: 30_000, idle: 60_000, total: 600_000, stream: None };

impl Times {
    /// `timeout` and `stream_timeout` over those of the level above.
    pub(super) fn read(total: Option<&Node>, stream: Option<&Node>, base: Times, notes: &mut Notes) -> Times {
        let total = total.and_then(|node| {
            let total = seconds(node, notes)?;
            notes.differs(node, WHOLE);
            Some(total)
        });
        let own = stream.and_then(|node| seconds(node, notes));
        let mut times = Times { stream: own.or(base.stream), ..base };
        // Also of streams LiteLLM waits so long for each piece, unless they have a time of their own ...
        if let Some(piece) = times.stream.or(total) {
            (times.first_token, times.idle) = (piece, piece);
        }
        if total.is_some() || own.is_some() {
            // ... and those are not cut by that of plain answers.
            times.total = total.unwrap_or(base.total).max(times.stream.unwrap_or(0));
        }
        times.connect = times.connect.min((times.total / 2).max(1));
        times.first_token = times.first_token.min(times.total - times.connect).max(1);
        times
    }

    /// `timeouts`, if there is anything to say beyond the level above.
    pub(super) fn written(&self, base: Times) -> Option<String> {
        let all = [
            ("connect", self.connect, base.connect),
            ("first_token", self.first_token, base.first_token),
            ("idle", self.idle, base.idle),
            ("total", self.total, base.total),
        ];
        let own: Vec<_> = all
            .into_iter()
            .filter(|(_, own, above)| own != above)
            .map(|(key, own, _)| (key, page::duration(own)))
            .collect();
        (!own.is_empty()).then(|| page::table(own))
    }
}

/// Milliseconds of a number of seconds.
pub(super) fn seconds(node: &Node, notes: &mut Notes) -> Option<u64> {
    let milliseconds = node.number().map(|seconds| (seconds * 1000.0).round());
    match milliseconds.filter(|time| (2.0..=LONGEST as f64).contains(time)) {
        Some(milliseconds) => Some(milliseconds as u64),
        None => {
            notes.left(node, "no number of seconds up to 31 days, or one from the environment: a time stands in the file here");
            None
        }
    }
}
