//! Lines on their way to standard output, written by a thread of its own so that a slow reader of the log slows no call. When
//! the buffer is full, lines are dropped and counted.

use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// Bytes that may wait to be written.
const BUFFER: usize = 4 << 20;
/// Longest time that a line waits.
const LINGER: Duration = Duration::from_millis(25);

/// Lines that wait to be written.
#[derive(Debug, Default)]
pub(super) struct Queue {
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
    pub(super) fn start(queue: Arc<Queue>) -> Guard {
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

/// For who formats lines.
#[derive(Debug)]
pub(super) struct Writer(pub(super) Arc<Queue>);

impl<'a> MakeWriter<'a> for Writer {
    type Writer = &'a Writer;

    fn make_writer(&'a self) -> &'a Writer {
        self
    }
}

impl Queue {
    pub(super) fn push(&self, line: &[u8]) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.bytes.len() + line.len() > BUFFER {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let wake = lines.bytes.is_empty();
        lines.bytes.extend_from_slice(line);
        if wake {
            self.ready.notify_one();
        }
    }
}

impl Write for &Writer {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        self.0.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
