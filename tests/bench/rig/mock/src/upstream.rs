//! The upstream's settings and counters.
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// One simulated provider; all fields may change while it serves.
pub struct Upstream {
    /// Wait before the head of an answer, milliseconds.
    pub latency_ms: AtomicU64,
    /// Content chunks of a stream.
    pub chunks: AtomicU64,
    /// Wait between content chunks, milliseconds; 0 still makes one write per chunk.
    pub delay_ms: AtomicU64,
    pub calls: AtomicU64,
    pub streams_done: AtomicU64,
    pub streams_aborted: AtomicU64,
    in_flight: AtomicU64,
    max_in_flight: AtomicU64,
}

impl Default for Upstream {
    fn default() -> Self {
        let zero = || AtomicU64::new(0);
        Upstream {
            latency_ms: zero(),
            chunks: AtomicU64::new(50),
            delay_ms: zero(),
            calls: zero(),
            streams_done: zero(),
            streams_aborted: zero(),
            in_flight: zero(),
            max_in_flight: zero(),
        }
    }
}

impl Upstream {
    /// Changes a setting; false when there is none of that name or the value is not a number.
    pub fn set(&self, name: &str, value: &str) -> bool {
        let slot = match name {
            "latency_ms" => &self.latency_ms,
            "chunks" => &self.chunks,
            "delay_ms" => &self.delay_ms,
            _ => return false,
        };
        value.parse().map(|value| slot.store(value, Relaxed)).is_ok()
    }

    /// The counters as JSON.
    pub fn counters(&self) -> String {
        let all = [
            ("calls", &self.calls),
            ("streams_done", &self.streams_done),
            ("streams_aborted", &self.streams_aborted),
            ("in_flight", &self.in_flight),
            ("max_in_flight", &self.max_in_flight),
        ];
        let all = all.map(|(name, counter)| format!("\"{name}\":{}", counter.load(Relaxed)));
        format!("{{{}}}", all.join(","))
    }
}

/// One call in flight, until it is dropped.
pub struct InFlight(pub Arc<Upstream>);

impl InFlight {
    pub fn new(upstream: &Arc<Upstream>) -> InFlight {
        let now = upstream.in_flight.fetch_add(1, Relaxed) + 1;
        upstream.max_in_flight.fetch_max(now, Relaxed);
        InFlight(upstream.clone())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Relaxed);
    }
}
