//! Every sample of the measured window, and its report as JSON.
use crate::redis::Counts;
use std::collections::BTreeMap;
use std::fmt::Write;

#[derive(Default)]
pub struct Samples {
    /// Whole calls, microseconds.
    pub latency: Vec<u32>,
    /// To the first byte of the body, microseconds.
    pub first_byte: Vec<u32>,
    /// To the text that was looked for, microseconds.
    pub first_content: Vec<u32>,
    pub statuses: BTreeMap<u16, u64>,
    pub io_errors: u64,
    pub reconnects: u64,
    /// Bytes of answers' bodies.
    pub bytes: u64,
    /// Streams that ended with `[DONE]`.
    pub streams_done: u64,
    /// Calls of an open loop that were due in the window.
    pub due: u64,
    /// Calls of an open loop that started late because every connection was busy.
    pub late: u64,
}

/// CPU that a group spent in the window.
pub struct Spent {
    pub name: String,
    pub ns: u64,
}

impl Samples {
    /// One JSON object; `over` counts the calls that took longer than so many microseconds.
    pub fn json(&mut self, wall_s: f64, over: Option<u32>, spent: &[Spent], redis: Option<Counts>) -> String {
        self.latency.sort_unstable();
        self.first_byte.sort_unstable();
        self.first_content.sort_unstable();
        let calls = self.latency.len();
        let each = calls.max(1) as f64;
        let mut out = format!("{{\"n\":{calls},\"rps\":{:.1}", calls as f64 / wall_s);
        let mut number = |name: &str, value: u64| {
            let _ = write!(out, ",\"{name}\":{value}"); // writing to a String cannot fail
        };
        number("io_errors", self.io_errors);
        number("reconnects", self.reconnects);
        number("due", self.due);
        number("late", self.late);
        number("sse_done", self.streams_done);
        number("bytes_per", self.bytes / calls.max(1) as u64);
        if let Some(over) = over {
            number("over", (calls - self.latency.partition_point(|&us| us <= over)) as u64);
        }
        let statuses = self.statuses.iter().map(|(status, n)| format!("\"{status}\":{n}"));
        let groups = spent.iter().map(|s| {
            let (us, cores) = (s.ns as f64 / 1e3 / each, s.ns as f64 / 1e9 / wall_s);
            format!("\"{}\":{{\"us_per_req\":{us:.2},\"cores\":{cores:.3}}}", s.name)
        });
        let _ = write!(
            out,
            ",\"status\":{{{}}},\"lat\":{},\"ttfb\":{},\"cpu\":{{{}}}",
            statuses.collect::<Vec<_>>().join(","),
            percentiles(&self.latency),
            percentiles(&self.first_byte),
            groups.collect::<Vec<_>>().join(","),
        );
        if !self.first_content.is_empty() {
            let _ = write!(out, ",\"ttft\":{}", percentiles(&self.first_content));
        }
        if let Some(Counts { scripts, reads, commands }) = redis {
            let [scripts, reads, commands] = [scripts, reads, commands].map(|n| n as f64 / each);
            let _ = write!(
                out,
                ",\"redis\":{{\"scripts\":{scripts:.4},\"reads\":{reads:.4},\"commands\":{commands:.4}}}"
            );
        }
        out.push('}');
        out
    }
}

fn percentiles(sorted: &[u32]) -> String {
    let at = |share: f64| match sorted.len() {
        0 => 0,
        n => sorted[((n as f64 * share).ceil() as usize).clamp(1, n) - 1],
    };
    let (p50, p90, p99, p999, max) = (at(0.5), at(0.9), at(0.99), at(0.999), at(1.0));
    format!("{{\"p50\":{p50},\"p90\":{p90},\"p99\":{p99},\"p999\":{p999},\"max\":{max}}}")
}
