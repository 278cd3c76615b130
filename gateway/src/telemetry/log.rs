//! Logs: one line of JSON per call and per event, on standard output, written by a thread of its own so that a
//! slow reader of the log slows no call. When the buffer is full, lines are dropped and counted.

use std::fmt::Write as _;
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use super::Record;
use crate::state::core::SessionOutcome;

/// Bytes that may wait to be written.
const BUFFER: usize = 4 << 20;
/// Longest time that a line waits.
const LINGER: Duration = Duration::from_millis(25);

/// Where calls' lines go, once a log is installed.
static QUEUE: OnceLock<Arc<Queue>> = OnceLock::new();

/// The line of one call. Written by hand, not through `tracing`'s fields: it is the one line that every call pays.
pub fn call(record: &Record, duration: Duration) {
    if !tracing::enabled!(target: "weir::call", tracing::Level::INFO) {
        return;
    }
    if let Some(queue) = QUEUE.get() {
        let mut line = String::with_capacity(512);
        write_call(&mut line, record, duration);
        queue.push(line.as_bytes());
    }
}

fn write_call(line: &mut String, record: &Record, duration: Duration) {
    let usage = record.usage.unwrap_or_default();
    line.push_str(r#"{"timestamp":""#);
    timestamp(line, SystemTime::now());
    line.push_str(r#"","level":"INFO","target":"weir::call","request_id":"#);
    quoted(line, &record.id);
    if let Some(client) = record.client {
        // (An address needs no escapes; writing to a string does not fail.)
        let _ = write!(line, r#","client":"{client}""#);
    }
    for (name, value) in [
        (r#","api":"#, record.api),
        (r#","tenant":"#, &*record.tenant),
        (r#","model":"#, &*record.model),
        (r#","deployment":"#, &*record.deployment),
        (r#","outcome":"#, record.outcome),
        (r#","session":"#, session(record.session)),
    ] {
        line.push_str(name);
        quoted(line, value);
    }
    if let Some(key) = &record.key {
        line.push_str(r#","key":"#);
        quoted(line, key);
    }
    line.push_str(if record.stream { r#","stream":true"# } else { r#","stream":false"# });
    for (name, value) in [
        (r#","status":"#, u64::from(record.status)),
        (r#","attempts":"#, u64::from(record.attempts)),
        (r#","input_tokens":"#, usage.input),
        (r#","cached_tokens":"#, usage.cached_input),
        (r#","output_tokens":"#, usage.output),
        (r#","held_tokens":"#, record.held_tokens),
        (r#","cost_micro_usd":"#, (record.cost * 1e6).round() as u64),
    ] {
        line.push_str(name);
        number(line, value);
    }
    if record.is_cost_unknown {
        line.push_str(r#","cost_unknown":true"#);
    }
    for (name, time) in [
        (r#","duration_ms":"#, Some(duration)),
        (r#","first_token_ms":"#, record.first_token),
        (r#","upstream_ms":"#, Some(record.upstream)),
        (r#","state_ms":"#, Some(record.state)),
        (r#","waited_ms":"#, Some(record.waited).filter(|time| !time.is_zero())),
    ] {
        if let Some(time) = time {
            line.push_str(name);
            millis(line, time);
        }
    }
    if let Some((rule, _)) = &record.explanation.rule {
        line.push_str(r#","rule":"#);
        quoted(line, rule);
    }
    if let Some(assigned) = &record.assigned {
        line.push_str(r#","experiment":"#);
        quoted(line, &assigned.experiment);
        line.push_str(r#","variant":"#);
        quoted(line, &assigned.name);
        line.push_str(if assigned.spilled { r#","spilled":true"# } else { r#","spilled":false"# });
    }
    if !record.explanation.is_empty() {
        line.push_str(r#","candidates":"#);
        quoted(line, &record.explanation.log());
    }
    line.push_str("}\n");
}

/// A JSON string.
fn quoted(line: &mut String, text: &str) {
    let plain = |b: u8| b >= 0x20 && b != b'"' && b != b'\\';
    line.push('"');
    if text.bytes().all(plain) {
        line.push_str(text);
    } else {
        for c in text.chars() {
            match c {
                '"' | '\\' => {
                    line.push('\\');
                    line.push(c);
                }
                c if (c as u32) < 0x20 => {
                    line.push_str(if c as u32 >= 0x10 { "\\u001" } else { "\\u000" });
                    line.push(char::from_digit(c as u32 % 16, 16).unwrap_or('0'));
                }
                c => line.push(c),
            }
        }
    }
    line.push('"');
}

fn number(line: &mut String, n: u64) {
    line.push_str(itoa::Buffer::new().format(n));
}

/// The last `width` digits of `n`, with zeros in front.
fn digits(line: &mut String, n: u64, width: u32) {
    for place in (0..width).rev() {
        line.push((b'0' + (n / 10u64.pow(place) % 10) as u8) as char);
    }
}

/// Milliseconds with three decimals.
fn millis(line: &mut String, time: Duration) {
    let micros = time.as_micros() as u64;
    number(line, micros / 1_000);
    line.push('.');
    digits(line, micros, 3);
}

/// RFC 3339 in UTC with microseconds; the date by Howard Hinnant's days-to-civil algorithm.
fn timestamp(line: &mut String, now: SystemTime) {
    let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    digits(line, year, 4);
    for (mark, part) in
        [('-', month), ('-', day), ('T', second / 3_600), (':', second / 60 % 60), (':', second % 60)]
    {
        line.push(mark);
        digits(line, part, 2);
    }
    line.push('.');
    digits(line, u64::from(since.subsec_micros()), 6);
    line.push('Z');
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

/// Sends every `tracing` event to standard output as JSON; `RUST_LOG` filters (default `info`). What waits is
/// written when the returned guard is dropped.
pub fn install() -> Guard {
    let queue = Arc::new(Queue::default());
    let guard = Guard::start(queue.clone());
    let queue = QUEUE.get_or_init(|| queue).clone();
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

impl Queue {
    fn push(&self, line: &[u8]) {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(seconds: u64) -> String {
        let mut line = String::new();
        timestamp(&mut line, SystemTime::UNIX_EPOCH + Duration::new(seconds, 7_000));
        line
    }

    #[test]
    fn times_are_those_of_the_calendar() {
        assert_eq!(stamp(0), "1970-01-01T00:00:00.000007Z");
        assert_eq!(stamp(951_782_399), "2000-02-28T23:59:59.000007Z");
        assert_eq!(stamp(951_782_400), "2000-02-29T00:00:00.000007Z");
        assert_eq!(stamp(1_795_184_359), "2026-11-20T14:19:19.000007Z");
    }

    /// Broken on purpose once: a quotation mark too many behind the client.
    #[test]
    fn a_calls_line_is_json() {
        let mut record = Record::new(Arc::new(super::super::Metrics::new().unwrap()), "req_1".into());
        record.client = Some("2001:db8::1".parse().unwrap());
        record.first_token = Some(Duration::from_millis(3));
        let mut line = String::new();
        write_call(&mut line, &record, Duration::from_millis(5));
        let read: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!((&read["client"], &read["request_id"]), (&"2001:db8::1".into(), &"req_1".into()));
    }

    #[test]
    fn a_name_cannot_break_out_of_its_line() {
        let mut line = String::new();
        quoted(&mut line, "a\"b\\c\nd\u{1}");
        assert_eq!(line, r#""a\"b\\c\u000ad\u0001""#);
        assert_eq!(serde_json::from_str::<String>(&line).unwrap(), "a\"b\\c\nd\u{1}");
    }
}
