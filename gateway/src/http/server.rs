//! Connections: accepted by one task, dealt to the worker with the fewest open ones, served over HTTP/1.1.
//!
//! The kernel's SO_REUSEPORT deals by hash: with few long-lived connections, which is what SDK pools and balancers
//! give, some workers get twice their share and some none. Dealing costs one hand-over per connection.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::worded::Worded;

/// How long a request's head may take to come.
const HEAD_TIME: Duration = Duration::from_secs(30);
/// Largest head of a request, bytes; also what a connection may buffer. By default hyper lets each take 400 KiB.
const HEAD_SIZE: usize = 64 << 10;
/// How long an answer may wait for its client to read on.
const UNREAD_TIME: Duration = Duration::from_secs(60);
/// After a failure to accept (no file descriptors left), try again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What answers requests.
pub trait Handler: Fn(Request<Incoming>) -> Self::Answering + Clone + Send + 'static {
    /// The answer on its way.
    type Answering: Future<Output = Response<Body>> + Send + 'static;
}

impl<F, A> Handler for F
where
    F: Fn(Request<Incoming>) -> A + Clone + Send + 'static,
    A: Future<Output = Response<Body>> + Send + 'static,
{
    type Answering = A;
}

/// Where a worker's connections come from.
#[derive(Clone, Debug)]
pub struct Seat {
    sender: mpsc::UnboundedSender<std::net::TcpStream>,
    open: Arc<AtomicUsize>,
}

/// The worker's end of a [`Seat`].
#[derive(Debug)]
pub struct Inbox {
    receiver: mpsc::UnboundedReceiver<std::net::TcpStream>,
    open: Arc<AtomicUsize>,
}

/// A seat and its inbox.
pub fn seat() -> (Seat, Inbox) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let open = Arc::new(AtomicUsize::new(0));
    (Seat { sender, open: open.clone() }, Inbox { receiver, open })
}

/// Accepts until told to stop.
pub async fn accept(listener: TcpListener, seats: Vec<Seat>, mut stop: watch::Receiver<bool>) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stopped(&mut stop) => return,
        };
        match accepted.and_then(|(stream, _)| prepare(stream)) {
            Ok(stream) => deal(&seats, stream),
            Err(err) => {
                tracing::warn!(target: "weir::http", error = %err, "cannot accept");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Takes a stream off this runtime, so that another can adopt it.
fn prepare(stream: TcpStream) -> std::io::Result<std::net::TcpStream> {
    // A peer that has gone already is noticed by whoever reads.
    let _ = stream.set_nodelay(true);
    // A client that does not read what was sent for this long is gone, whatever its kernel acknowledges.
    let _ = SockRef::from(&stream).set_tcp_user_timeout(Some(UNREAD_TIME));
    stream.into_std()
}

fn deal(seats: &[Seat], stream: std::net::TcpStream) {
    if let Some(seat) = seats.iter().min_by_key(|seat| seat.open.load(Ordering::Relaxed)) {
        seat.open.fetch_add(1, Ordering::Relaxed);
        // A worker without an inbox is shutting down; dropping the stream closes it.
        let _ = seat.sender.send(stream);
    }
}

/// Serves what is dealt, until told to stop and the last call has ended or the grace is over.
pub async fn serve(
    mut inbox: Inbox,
    handler: impl Handler,
    mut stop: watch::Receiver<bool>,
    grace: Duration,
) {
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            dealt = inbox.receiver.recv() => match dealt {
                Some(stream) => { open.spawn(serve_one(stream, handler.clone(), stop.clone(), Leaving(inbox.open.clone()))); }
                None => break,
            },
            Some(ended) = open.join_next() => note_panic(ended),
            () = stopped(&mut stop) => break,
        }
    }
    inbox.receiver.close();
    while let Ok(stream) = inbox.receiver.try_recv() {
        open.spawn(serve_one(stream, handler.clone(), stop.clone(), Leaving(inbox.open.clone())));
    }
    let finish = async {
        while let Some(ended) = open.join_next().await {
            note_panic(ended);
        }
    };
    if tokio::time::timeout(grace, finish).await.is_err() {
        tracing::warn!(target: "weir::http", connections = open.len(), "grace is over; calls are cut");
        open.shutdown().await;
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

/// Returns when it is time to stop, or when nobody is left to say so.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone: the replica is being dropped.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Counts a connection out when it ends, however it ends.
struct Leaving(Arc<AtomicUsize>);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn serve_one(
    stream: std::net::TcpStream,
    handler: impl Handler,
    mut stop: watch::Receiver<bool>,
    _leaving: Leaving,
) {
    let stream = match TcpStream::from_std(stream) {
        Ok(stream) => stream,
        Err(err) => return tracing::warn!(target: "weir::http", error = %err, "connection lost"),
    };
    let service = service_fn(move |request| {
        let answering = handler(request);
        async move { Ok::<_, Infallible>(answering.await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(HEAD_SIZE)
        .max_header_size(HEAD_SIZE)
        .serve_connection(TokioIo::new(Worded::new(stream)), service);
    let mut connection = std::pin::pin!(connection);
    let told = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        _ = stopped(&mut stop) => None,
    };
    let ended = match told {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(err) = ended {
        tracing::debug!(target: "weir::http", error = %err, "connection ended");
    }
}
