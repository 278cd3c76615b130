//! One call from arrival to end. Whatever happens to the answer, the end is recorded once: by `end`, or on drop
//! when the client went away.

use super::Shared;
use super::account::Gauges;
use super::books::{Arrival, End, Verdict};
use std::sync::Arc;

/// A recorded call that has not ended.
#[derive(Debug)]
pub(super) struct Call {
    shared: Arc<Shared>,
    seq: u64,
    arrival_us: u64,
    generated: u64,
    ended: bool,
    reason_if_dropped: &'static str,
}

impl Call {
    /// Records an arrival and judges it, at one instant.
    pub(super) fn arrive(shared: &Arc<Shared>, arrival: &Arrival<'_>) -> (Self, Verdict, Gauges) {
        let mut books = shared.books.lock();
        // Read under the lock, so that the log is in order of time.
        let now_us = shared.clock.now_us();
        let (seq, verdict, gauges) = books.arrive(now_us, arrival);
        drop(books);
        let call = Self {
            shared: shared.clone(),
            seq,
            arrival_us: now_us,
            generated: 0,
            ended: false,
            reason_if_dropped: "client_gone",
        };
        (call, verdict, gauges)
    }

    /// Its number in the log.
    pub(super) fn seq(&self) -> u64 {
        self.seq
    }

    /// Unix microseconds of its arrival.
    pub(super) fn arrival_us(&self) -> u64 {
        self.arrival_us
    }

    /// Milliseconds since the arrival.
    pub(super) fn age_ms(&self) -> u64 {
        self.shared.clock.now_us().saturating_sub(self.arrival_us) / 1_000
    }

    /// Headers are about to be sent.
    pub(super) fn headers(&self, status: u16) {
        let mut books = self.shared.books.lock();
        books.headers(self.seq, self.shared.clock.now_us(), status);
    }

    /// Output tokens came into being.
    pub(super) fn generated(&mut self, tokens: u64) {
        self.generated += tokens;
    }

    /// From now on the call only waits for the client to give up.
    pub(super) fn stalled(&mut self) {
        self.reason_if_dropped = "stall";
    }

    /// The call has ended as the provider meant it to.
    pub(super) fn end(&mut self, reason: &'static str) {
        self.close(reason, false);
    }

    fn close(&mut self, reason: &'static str, aborted: bool) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let mut books = self.shared.books.lock();
        let now_us = self.shared.clock.now_us();
        books.end(self.seq, now_us, End { reason, output_tokens: self.generated, aborted });
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.close(self.reason_if_dropped, true);
    }
}
