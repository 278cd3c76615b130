//! Connections: accepted by one task, dealt to the worker with the fewest open ones; [`connection`](super::connection)
//! serves each.
//!
//! The kernel's SO_REUSEPORT deals by hash: with few long-lived connections, which is what SDK pools and balancers
//! give, some workers get twice their share and some none. Dealing costs one hand-over per connection.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use axum::body::Body;
use http::{Request, Response};
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::arriving::Arriving;
use super::connection::{Begun, Door, Peer};

/// How long an answer may wait for its client to read on, unless the configuration says otherwise.
pub(super) const UNREAD_TIME: Duration = Duration::from_secs(60);
/// What of an answer may wait in the kernel unsent, bytes. It would take megabytes for each client that reads slowly.
const UNSENT: u32 = 256 << 10;
/// More connections than the kernel's queue holds.
const QUEUE: usize = 4_096;
/// When the grace is over, calls say so to their clients; for so long these may take it.
const TOLD_TIME: Duration = Duration::from_millis(500);
/// After a failure to accept (no file descriptors left), and while there are too many connections, try again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// While there are many, they are counted so often if no other comes.
const COUNTED_EVERY: Duration = Duration::from_secs(1);

/// How far the life of a listener has come; it only goes forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// New connections and calls are served.
    Serving,
    /// So they are, and clients are told to go elsewhere with the next ones.
    Draining,
    /// No new ones; idle connections are closed, calls go on.
    Closing,
    /// Calls end with an error, and what is left a moment later is cut.
    Over,
}

/// Returns when `phase` has come so far, or when nobody is left to say so.
pub(crate) async fn reached(phase: &mut watch::Receiver<Phase>, so_far: Phase) {
    // An error means that the sender is gone: the replica is being dropped.
    let _ = phase.wait_for(|phase| *phase >= so_far).await;
}

/// What answers requests.
pub trait Handler: Fn(Peer, Request<Arriving>) -> Self::Answering + Clone + Send + Sync + 'static {
    /// The answer on its way.
    type Answering: Future<Output = Response<Body>> + Send + 'static;
}

impl<F, A> Handler for F
where
    F: Fn(Peer, Request<Arriving>) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = Response<Body>> + Send + 'static,
{
    type Answering = A;
}

/// A connection on its way to a worker.
type Dealt = (std::net::TcpStream, SocketAddr);

/// Where a worker's connections come from.
#[derive(Clone, Debug)]
pub struct Seat {
    sender: mpsc::UnboundedSender<Dealt>,
    open: Arc<AtomicUsize>,
    crowded: Arc<AtomicBool>,
}

/// The worker's end of a [`Seat`].
#[derive(Debug)]
pub struct Inbox {
    receiver: mpsc::UnboundedReceiver<Dealt>,
    open: Arc<AtomicUsize>,
    crowded: Arc<AtomicBool>, // all seats together
}

/// A seat and its inbox.
pub fn seat() -> (Seat, Inbox) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let (open, crowded) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let inbox = Inbox { receiver, open: open.clone(), crowded: crowded.clone() };
    (Seat { sender, open, crowded }, inbox)
}

/// How many connections of clients may be open, and how many at each of the operators' listeners. Together they leave an eighth of the
/// file descriptors to what serves them, connections to providers and to the shared state.
pub fn most_connections() -> (usize, usize) {
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let files = files.map_or(usize::MAX, |files| files as usize);
    (files / 4 * 3, files / 16)
}

/// Accepts until the listener is to close. Then the workers' inboxes end. While `most` are open, others wait in the
/// kernel's queue; from half of that on none is kept for nothing.
pub async fn accept(listener: TcpListener, seats: Vec<Seat>, most: usize, mut phase: watch::Receiver<Phase>) {
    let mut full = false;
    loop {
        let open: usize = seats.iter().map(|seat| seat.open.load(Ordering::Relaxed)).sum();
        let crowded = open >= most / 2;
        seats.iter().for_each(|seat| seat.crowded.store(crowded, Ordering::Relaxed));
        if open >= most && *phase.borrow() < Phase::Closing {
            if !std::mem::replace(&mut full, true) {
                tracing::warn!(target: "weir::http", open, "too many connections: no others for now");
            }
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        }
        full = false;
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = reached(&mut phase, Phase::Closing) => break,
            () = tokio::time::sleep(COUNTED_EVERY), if crowded => continue,
        };
        if let Err(err) = accepted.and_then(|(stream, peer)| deal(&seats, prepare(stream)?, peer)) {
            tracing::warn!(target: "weir::http", error = %err, "cannot accept");
            tokio::time::sleep(ACCEPT_PAUSE).await;
        }
    }
    tokio::task::unconstrained(sweep(&listener, &seats)).await;
}

/// Closing the listener resets the connections that the kernel has made and nobody has accepted: so they are, all of them,
/// in one go that the runtime must not interrupt.
async fn sweep(listener: &TcpListener, seats: &[Seat]) {
    for _ in 0..QUEUE {
        let accepted = std::future::poll_fn(|cx| Poll::Ready(listener.poll_accept(cx))).await;
        let Poll::Ready(accepted) = accepted else { return };
        // A connection that its client has left already is an error, and not the last one.
        if let Err(err) = accepted.and_then(|(stream, peer)| deal(seats, prepare(stream)?, peer)) {
            tracing::warn!(target: "weir::http", error = %err, "cannot accept");
            if err.raw_os_error().is_some_and(|code| code == rustix::io::Errno::MFILE.raw_os_error()) {
                return; // so is the next
            }
        }
    }
}

/// Takes a stream off this runtime, so that another can adopt it.
fn prepare(stream: TcpStream) -> std::io::Result<std::net::TcpStream> {
    // A peer that has gone already is noticed by whoever reads.
    let _ = stream.set_nodelay(true);
    let _ = SockRef::from(&stream).set_tcp_notsent_lowat(UNSENT);
    stream.into_std()
}

fn deal(seats: &[Seat], stream: std::net::TcpStream, peer: SocketAddr) -> std::io::Result<()> {
    let open = |seat: &&Seat| seat.open.load(Ordering::Relaxed);
    let Some(seat) = seats.iter().min_by_key(open) else { return Ok(()) };
    seat.open.fetch_add(1, Ordering::Relaxed);
    seat.sender.send((stream, peer)).map_err(|_| std::io::Error::other("a worker has ended"))
}

/// Serves what is dealt until nothing more comes and the last call has ended, or calls are to be cut. How many
/// connections were cut.
pub async fn serve(
    mut inbox: Inbox,
    door: Door,
    handler: impl Handler,
    mut phase: watch::Receiver<Phase>,
) -> usize {
    let mut open = JoinSet::new();
    let mut more = true;
    while more || !open.is_empty() {
        tokio::select! {
            biased; // what has ended because it was told to is not joined before it is counted
            () = reached(&mut phase, Phase::Over) => {
                let cut = open.len();
                let told = async { while let Some(ended) = open.join_next().await { note_panic(ended) } };
                if tokio::time::timeout(TOLD_TIME, told).await.is_err() {
                    open.shutdown().await;
                }
                return cut;
            }
            Some(ended) = open.join_next() => note_panic(ended),
            dealt = inbox.receiver.recv(), if more => match dealt {
                Some((stream, peer)) => {
                    let (handler, phase) = (handler.clone(), phase.clone());
                    let (door, crowded) = (door.clone(), inbox.crowded.clone());
                    let begun = Begun { peer: Peer(peer), door, handler, phase, crowded };
                    open.spawn(serve_one(stream, begun, Leaving(inbox.open.clone())));
                }
                None => more = false,
            },
        }
    }
    0
}

async fn serve_one<H: Handler>(stream: std::net::TcpStream, begun: Begun<H>, _leaving: Leaving) {
    let served = match TcpStream::from_std(stream) {
        Ok(stream) => begun.serve(stream).await,
        Err(err) => Err(err),
    };
    if let Err(err) = served {
        tracing::debug!(target: "weir::http", error = %err, "connection ended");
    }
}

/// A panic costs its connection, never silently.
fn note_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(err) = ended
        && err.is_panic()
    {
        tracing::error!(target: "weir::http", "a connection's task panicked");
    }
}

/// Counts a connection out when it ends, however it ends.
struct Leaving(Arc<AtomicUsize>);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
