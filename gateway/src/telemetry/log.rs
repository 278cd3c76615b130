//! Logs: one line of JSON per call and per event, on standard output, written by a thread of its own so that a
//! slow reader of the log slows no call. When the buffer is full, lines are dropped and counted.

use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use super::Record;
use crate::state::core::SessionOutcome;

/// Bytes that may wait to be written.
const BUFFER: usize = 4 << 20;
/// Longest time that a line waits.
const LINGER: Duration = Duration::from_millis(25);

/// The line of one call.
pub fn call(record: &Record, duration: Duration) {
    let usage = record.usage.unwrap_or_default();
    tracing::info!(
        target: "weir::call",
        request_id = record.id,
        tenant = &*record.tenant,
        model = &*record.model,
        deployment = &*record.deployment,
        status = record.status,
        outcome = record.outcome,
        stream = record.stream,
        attempts = record.attempts,
        session = session(record.session),
        input_tokens = usage.input,
        cached_tokens = usage.cached_input,
        output_tokens = usage.output,
        held_tokens = record.held_tokens,
        cost_micro_usd = (record.cost * 1e6).round() as u64,
        duration_ms = millis(duration),
        first_token_ms = record.first_token.map(millis),
        upstream_ms = millis(record.upstream),
        state_ms = millis(record.state),
    );
}

/// The word for what became of a session.
pub fn session(outcome: SessionOutcome) -> &'static str {
    match outcome {
        SessionOutcome::None => "none",
        SessionOutcome::Hit => "hit",
        SessionOutcome::New => "new",
        SessionOutcome::Moved => "moved",
    }
}

fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

/// Sends every `tracing` event to standard output as JSON; `RUST_LOG` filters (default `info`). What waits is
/// written when the returned guard is dropped.
pub fn install() -> Guard {
    let queue = Arc::new(Queue::default());
    let guard = Guard::start(queue.clone());
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let subscriber = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_env_filter(filter)
        .with_writer(Writer(queue))
        .finish();
    // A second installation (a test, an embedding program) keeps the first.
    let _ = tracing::subscriber::set_global_default(subscriber);
    guard
}

#[derive(Debug, Default)]
struct Queue {
    lines: Mutex<Lines>, // short sections
    ready: Condvar,
    dropped: AtomicU64,
}

#[derive(Debug, Default)]
struct Lines {
    bytes: Vec<u8>,
    closed: bool,
}

/// Writes what waits when dropped.
#[derive(Debug)]
pub struct Guard {
    queue: Arc<Queue>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Guard {
    fn start(queue: Arc<Queue>) -> Guard {
        let shared = queue.clone();
        let thread = std::thread::Builder::new().name("log".into()).spawn(move || drain(&shared)).ok();
        Guard { queue, thread }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.queue.lines.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        self.queue.ready.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // a panic of the writer has been printed
        }
    }
}

fn drain(queue: &Queue) {
    let mut spare = Vec::new();
    loop {
        let mut lines = queue.lines.lock().unwrap_or_else(PoisonError::into_inner);
        while lines.bytes.is_empty() && !lines.closed {
            lines = queue.ready.wait(lines).unwrap_or_else(PoisonError::into_inner);
        }
        let closed = lines.closed;
        std::mem::swap(&mut lines.bytes, &mut spare);
        drop(lines);
        let mut out = std::io::stdout().lock();
        // Nobody reads the log any more: there is nobody to tell.
        let _ = out.write_all(&spare).and_then(|()| out.flush());
        spare.clear();
        if closed {
            return;
        }
        let dropped = queue.dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            let _ = writeln!(
                out,
                r#"{{"level":"WARN","target":"weir::log","message":"log lines dropped","count":{dropped}}}"#
            );
        }
        drop(out);
        std::thread::sleep(LINGER); // gather lines: one write for many
    }
}

struct Writer(Arc<Queue>);

impl<'a> MakeWriter<'a> for Writer {
    type Writer = &'a Writer;

    fn make_writer(&'a self) -> &'a Writer {
        self
    }
}

impl Write for &Writer {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        let mut lines = self.0.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.bytes.len() + line.len() > BUFFER {
            self.0.dropped.fetch_add(1, Ordering::Relaxed);
        } else {
            let wake = lines.bytes.is_empty();
            lines.bytes.extend_from_slice(line);
            if wake {
                self.0.ready.notify_one();
            }
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
