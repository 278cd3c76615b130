//! A provider on a bare socket. It remembers every request exactly as it came and answers honestly, or with
//! whatever bytes a test has laid ready for that call.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Result;
use tokio::io::{AsyncWriteExt, Interest};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use crate::endpoints::{ENDPOINTS, id_in};
use crate::wire::{Head, Wire, find, shown};

/// Something that a provider does on a connection.
#[derive(Clone)]
pub(crate) enum Step {
    /// Sends these bytes.
    Send(Vec<u8>),
    /// Sends these bytes one by one.
    Drip(Vec<u8>),
    /// Sends these bytes again and again, until nobody takes them or so many have gone.
    Repeat(Vec<u8>, usize),
    /// Waits.
    Pause(Duration),
    /// Says nothing more, until the peer goes.
    Silence,
    /// Ends the connection.
    Close,
    /// Ends the connection with a reset.
    Reset,
}

impl std::fmt::Debug for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Step::Send(bytes) => write!(f, "send {}", shown(bytes)),
            Step::Drip(bytes) => write!(f, "drip {}", shown(bytes)),
            Step::Repeat(bytes, most) => write!(f, "repeat up to {most} {}", shown(bytes)),
            Step::Pause(time) => write!(f, "pause {time:?}"),
            Step::Silence => f.write_str("silence"),
            Step::Close => f.write_str("close"),
            Step::Reset => f.write_str("reset"),
        }
    }
}

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// The call that its body names.
    pub(crate) id: String,
    /// Line and fields.
    pub(crate) head: Head,
    /// As received.
    pub(crate) body: Vec<u8>,
}

/// What connections share.
#[derive(Debug, Default)]
struct Desk {
    seen: Mutex<HashMap<String, Vec<Seen>>>,
    faults: Mutex<Vec<String>>,
    plans: Mutex<HashMap<String, Vec<Step>>>,
    saying: Mutex<HashSet<String>>,
    said: Notify,
    requests: AtomicU64,
}

/// A running provider; it ends with the runtime.
#[derive(Debug)]
pub(crate) struct Upstream {
    port: u16,
    desk: Arc<Desk>,
    accepting: tokio::task::JoinHandle<()>,
    closing: tokio::sync::watch::Sender<bool>,
}

impl Upstream {
    /// Starts one on a free port.
    pub(crate) async fn start() -> Result<Upstream> {
        let listener = TcpListener::bind("0.0.0.0:0").await?;
        let port = listener.local_addr()?.port();
        let desk = Arc::new(Desk::default());
        let (closing, closed) = tokio::sync::watch::channel(false);
        let shared = desk.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (desk, mut closed) = (shared.clone(), closed.clone());
                tokio::spawn(async move {
                    tokio::select! {
                        () = serve(stream, &desk) => {}
                        _ = closed.wait_for(|closed| *closed) => {}
                    }
                });
            }
        });
        Ok(Upstream { port, desk, accepting, closing })
    }

    /// Where it is reached by a lane: each by another address, so that lanes share no connection.
    pub(crate) fn addr(&self, lane: usize) -> SocketAddr {
        SocketAddr::from(([127, 0, 1, 1 + lane as u8], self.port))
    }

    /// Lays ready what the call `id` is answered with.
    pub(crate) fn plan(&self, id: &str, steps: Vec<Step>) {
        lock(&self.desk.plans).insert(id.to_owned(), steps);
    }

    /// Takes the requests that named `id`, in order.
    pub(crate) fn take(&self, id: &str) -> Vec<Seen> {
        lock(&self.desk.seen).remove(id).unwrap_or_default()
    }

    /// Returns when the call `id` has been told all that was laid ready for it.
    pub(crate) async fn said(&self, id: &str) {
        loop {
            let said = self.desk.said.notified();
            if !lock(&self.desk.saying).contains(id) {
                return;
            }
            said.await;
        }
    }

    /// Requests that nobody has taken.
    pub(crate) fn left(&self) -> Vec<Seen> {
        lock(&self.desk.seen).values().flatten().cloned().collect()
    }

    /// What came that was no proper request.
    pub(crate) fn faults(&self) -> Vec<String> {
        lock(&self.desk.faults).clone()
    }

    /// Requests in all.
    pub(crate) fn requests(&self) -> u64 {
        self.desk.requests.load(Ordering::Relaxed)
    }

    /// Stops listening and closes what is open.
    pub(crate) fn close(&self) {
        self.accepting.abort();
        self.closing.send_replace(true);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One connection, request after request. The peer may leave at any time; what it sends must be whole requests.
async fn serve(stream: TcpStream, desk: &Desk) {
    let (reading, mut writing) = stream.into_split();
    let mut wire = Wire::new(reading);
    loop {
        let request = async {
            wire.begins().await?;
            wire.request().await
        };
        let (head, body) = match request.await {
            Ok(Some(request)) => request,
            Ok(None) => return,
            // Cut off in the middle: the gateway gave the call up. Anything else was no request.
            Err(error) => {
                let gone = format!("{error:#}");
                if error.downcast_ref::<std::io::Error>().is_none() && !gone.contains("connection ends") {
                    lock(&desk.faults).push(gone);
                }
                return;
            }
        };
        desk.requests.fetch_add(1, Ordering::Relaxed);
        let seen = Seen { id: id_in(&body).unwrap_or_default(), head, body };
        let planned = lock(&desk.plans).remove(&seen.id);
        let lies = planned.is_some();
        let steps = planned.unwrap_or_else(|| honest(&seen));
        let id = seen.id.clone();
        lock(&desk.saying).insert(id.clone());
        lock(&desk.seen).entry(id.clone()).or_default().push(seen);
        let goes_on = perform(steps, &mut writing, wire.io()).await;
        if goes_on && lies {
            delivered(&writing).await;
        }
        lock(&desk.saying).remove(&id);
        desk.said.notify_waiters();
        if !goes_on {
            return;
        }
    }
}

/// Returns when the peer's kernel has what was sent, or after a while. (On a busy machine that takes longer than to send
/// it, even on loopback.)
async fn delivered(writing: &OwnedWriteHalf) {
    let patience = tokio::time::Instant::now() + Duration::from_secs(2);
    while tokio::time::Instant::now() < patience && is_under_way(writing.as_ref()) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Has the peer's kernel yet to acknowledge something? (`/proc/net/tcp` tells that too, in ten milliseconds of all sockets,
/// which at every answer takes the time of the other calls.)
#[allow(unsafe_code, reason = "no crate offers this question")]
fn is_under_way(socket: &TcpStream) -> bool {
    const SIOCOUTQ: rustix::ioctl::Opcode = 0x5411;
    // SAFETY: tcp(7): SIOCOUTQ writes one int, and to nothing else.
    let left = unsafe { rustix::ioctl::ioctl(socket, rustix::ioctl::Getter::<SIOCOUTQ, i32>::new()) };
    left.is_ok_and(|bytes| bytes > 0)
}

/// Does the steps; false if the connection is not to be used any more.
async fn perform(steps: Vec<Step>, writing: &mut OwnedWriteHalf, reading: &OwnedReadHalf) -> bool {
    for step in steps {
        // A peer that takes nothing more has seen enough.
        let taken = match step {
            Step::Send(bytes) => writing.write_all(&bytes).await.is_ok(),
            Step::Drip(bytes) => drip(&bytes, writing).await,
            Step::Repeat(bytes, most) => repeat(&bytes, most, writing).await,
            Step::Pause(time) => {
                tokio::time::sleep(time).await;
                true
            }
            Step::Silence => {
                gone(reading).await;
                false
            }
            Step::Close => false,
            Step::Reset => {
                // With a linger of zero closing is a reset.
                let _ = writing.as_ref().set_zero_linger();
                false
            }
        };
        if !taken {
            return false;
        }
    }
    true
}

/// Lets others run after every few bytes only: a turn of theirs may be long, and a whole answer has its time.
async fn drip(bytes: &[u8], writing: &mut OwnedWriteHalf) -> bool {
    for few in bytes.chunks(8) {
        for byte in few {
            if writing.write_all(&[*byte]).await.is_err() {
                return false;
            }
        }
        tokio::task::yield_now().await;
    }
    true
}

/// Sends many at once: a system call for each would take the time of the other calls.
async fn repeat(bytes: &[u8], most: usize, writing: &mut OwnedWriteHalf) -> bool {
    const AT_ONCE: usize = 16 << 10;
    let many = bytes.repeat(most.min(AT_ONCE).div_ceil(bytes.len()));
    let mut sent = 0;
    while sent < most {
        if writing.write_all(&many).await.is_err() {
            return false;
        }
        sent += many.len();
    }
    true
}

/// Returns when the peer has closed its side.
async fn gone(reading: &OwnedReadHalf) {
    let mut byte = [0];
    loop {
        match reading.ready(Interest::READABLE).await {
            Ok(_) => match reading.try_read(&mut byte) {
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Ok(read) if read > 0 => {}
                _ => return,
            },
            Err(_) => return,
        }
    }
}

/// The honest answer to a request.
fn honest(seen: &Seen) -> Vec<Step> {
    let target = seen.head.line.split(' ').nth(1).unwrap_or_default();
    let Some(endpoint) = ENDPOINTS.iter().find(|endpoint| endpoint.upstream == target) else {
        return vec![Step::Send(plain_answer(404, "{}"))];
    };
    if find(&seen.body, br#""stream":true"#).is_none() {
        return vec![Step::Send(plain_answer(200, &endpoint.answer(&seen.id)))];
    }
    let mut text = endpoint.events(&seen.id).concat();
    if endpoint.asks_for_usage && find(&seen.body, br#""include_usage":true"#).is_some() {
        text.push_str(&endpoint.usage(&seen.id));
    }
    text.push_str(endpoint.end);
    vec![Step::Send(stream_head()), Step::Send(chunk(text.as_bytes())), Step::Send(chunk(b""))]
}

/// An answer with its length.
pub(crate) fn plain_answer(status: u16, body: &str) -> Vec<u8> {
    let head = "content-type: application/json\r\nopenai-organization: SECRET-ORG\r\nset-cookie: SECRET=1";
    format!("HTTP/1.1 {status} X\r\n{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// The head of a chunked stream of events.
pub(crate) fn stream_head() -> Vec<u8> {
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"
        .to_vec()
}

/// A chunk; the empty one ends the body.
pub(crate) fn chunk(data: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", data.len()).as_bytes(), data, b"\r\n"].concat()
}
