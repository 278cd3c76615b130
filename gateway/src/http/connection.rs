//! One connection, from its first byte to its end: what the balancer says of it, TLS, then HTTP/1.1 or HTTP/2.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderValue, Response, Version, header};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use super::arriving::Arriving;
use super::patience::{HEAD_TIME, Patience};
use super::pipe::Pipe;
use super::proxy::{self, Parsed};
use super::server::{Handler, Phase, reached};
use super::streams::Streams;
use super::worded::Worded;
use crate::shared::Shared;

/// How long the balancer's word and the TLS handshake may take, each.
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
/// The longest head of a request, bytes. (hyper bounds the number of its fields to 100 besides.)
const HEAD: usize = 64 << 10;
/// Calls at once on one HTTP/2 connection.
const STREAMS: u32 = 256;
/// What an HTTP/2 client may send unread, bytes: of one call, and of all on its connection.
const WINDOWS: (u32, u32) = (256 << 10, 1 << 20);
/// What of one answer may wait within an HTTP/2 connection, bytes.
const SEND_BUFFER: usize = 64 << 10;
/// An HTTP/2 client must show that it is there this often, and within [`HANDSHAKE_TIME`].
const PING: Duration = Duration::from_secs(30);
/// Streams that an HTTP/2 client may open and reset faster than they are looked at; more end the connection.
const RESETS: usize = 32;
/// How every HTTP/2 connection begins.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Whose listener it is.
#[derive(Clone, Debug)]
pub enum Door {
    /// The operators'.
    Operators,
    /// The clients', by this replica's configuration.
    Clients(Arc<Shared>),
}

/// Who is at the other end: who connected, or whom the balancer names.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

/// What a connection must keep to; as configured when it is made.
struct Terms {
    proxied: bool,
    tls: Option<TlsAcceptor>,
    unread: Duration,
}

impl Door {
    fn terms(&self) -> Terms {
        match self {
            Door::Operators => Terms { proxied: false, tls: None, unread: super::server::UNREAD_TIME },
            Door::Clients(shared) => {
                let snapshot = shared.snapshot.load();
                let server = &snapshot.config.server;
                let tls = snapshot.tls.clone().map(TlsAcceptor::from);
                Terms { proxied: server.proxy_protocol, tls, unread: server.unread_timeout }
            }
        }
    }

    /// Are clients to go elsewhere with their next call?
    fn is_draining(&self) -> bool {
        matches!(self, Door::Clients(shared) if shared.is_draining())
    }
}

/// A connection that was begun.
pub(super) struct Begun<H> {
    pub(super) peer: Peer,
    pub(super) door: Door,
    pub(super) handler: H,
    pub(super) phase: watch::Receiver<Phase>,
    /// There are so many that none is kept for nothing.
    pub(super) crowded: Arc<AtomicBool>,
}

impl<H: Handler> Begun<H> {
    /// Serves it to its end.
    pub(super) async fn serve(mut self, mut stream: TcpStream) -> io::Result<()> {
        let terms = self.door.terms();
        // A client whose kernel acknowledges nothing for so long is gone; where that cannot be set, [`Pipe`] sees it.
        let _ = SockRef::from(&stream).set_tcp_user_timeout(Some(terms.unread));
        let mut ahead = Bytes::new();
        if terms.proxied {
            let (client, rest) = within(HANDSHAKE_TIME, introduced(&mut stream)).await?;
            self.peer = client.map_or(self.peer, Peer);
            ahead = rest;
        }
        // Boxed, so that a connection that is not used yet costs little.
        match terms.tls {
            None => {
                let Some((http2, ahead)) = self.first_bytes(&mut stream, ahead).await? else { return Ok(()) };
                let pipe = Pipe::new(stream, ahead, terms.unread);
                Box::pin(self.speak(pipe, http2, terms.unread)).await
            }
            Some(tls) => {
                let pipe = Pipe::new(stream, ahead, terms.unread);
                let stream = within(HANDSHAKE_TIME, Box::pin(tls.accept(pipe))).await?;
                let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                Box::pin(self.speak(stream, http2, terms.unread)).await
            }
        }
    }

    /// Waits for the client to say something: whether it is HTTP/2, and what was read of it. None if nothing came.
    async fn first_bytes(
        &mut self,
        stream: &mut TcpStream,
        ahead: Bytes,
    ) -> io::Result<Option<(bool, Bytes)>> {
        if is_http2(&ahead).is_none() {
            tokio::select! {
                biased;
                ready = within(HEAD_TIME, stream.readable()) => ready?,
                () = reached(&mut self.phase, Phase::Closing) => return Ok(None),
            }
        }
        within(HEAD_TIME, sniff(stream, ahead)).await
    }

    async fn speak<I>(self, io: I, http2: bool, unread: Duration) -> io::Result<()>
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let ended = match http2 {
            true => Box::pin(self.http2(io, unread)).await,
            false => self.http1(io).await,
        };
        ended.map_err(io::Error::other)
    }

    async fn http1<I>(self, io: I) -> hyper::Result<()>
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Begun { peer, door, handler, mut phase, crowded } = self;
        let service = service_fn(move |request| {
            let request = Arriving::over_http1(request);
            let (on_request, door) = (request.body().on_request(), door.clone());
            let answering = handler(peer, request);
            async move { Ok::<_, Infallible>(farewell(answering.await, on_request, &door)) }
        });
        let patience = Patience::new(crowded);
        let io = TokioIo::new(Worded::new(io, patience.heard()));
        let connection = http1::Builder::new()
            .timer(patience)
            .header_read_timeout(HEAD_TIME)
            .max_buf_size(HEAD)
            .max_header_size(HEAD)
            .serve_connection(io, service);
        let mut connection = std::pin::pin!(connection);
        tokio::select! {
            biased;
            ended = connection.as_mut() => return ended,
            () = reached(&mut phase, Phase::Closing) => {}
        }
        // A request that has come already is served: it is looked for once more before the connection may count as idle.
        tokio::task::yield_now().await;
        tokio::select! {
            biased;
            ended = connection.as_mut() => return ended,
            () = std::future::ready(()) => connection.as_mut().graceful_shutdown(),
        }
        connection.await
    }

    async fn http2<I>(self, io: I, unread: Duration) -> hyper::Result<()>
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Begun { peer, handler, mut phase, crowded, .. } = self;
        let streams = Streams::new(unread);
        let answers = streams.clone();
        let asked = Arc::new(AtomicUsize::new(0));
        let counted = asked.clone();
        let connection = http2::Builder::new(streams)
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS)
            .max_header_list_size(HEAD as u32)
            .max_pending_accept_reset_streams(RESETS)
            .initial_stream_window_size(WINDOWS.0)
            .initial_connection_window_size(WINDOWS.1)
            .max_send_buf_size(SEND_BUFFER)
            .keep_alive_interval(PING)
            .keep_alive_timeout(HANDSHAKE_TIME)
            .serve_connection(
                TokioIo::new(io),
                service_fn(move |request| {
                    counted.fetch_add(1, Ordering::Relaxed);
                    answers.answer(handler(peer, Arriving::over_http2(request)))
                }),
            );
        let mut connection = std::pin::pin!(connection);
        // One that begins while this replica drains is served until it closes.
        let due = if *phase.borrow() >= Phase::Draining { Phase::Closing } else { Phase::Draining };
        tokio::select! {
            biased;
            ended = connection.as_mut() => return ended,
            () = reached(&mut phase, due) => {}
            () = kept_for_nothing(&asked, &crowded) => {}
        }
        // GOAWAY: calls that are under way, or on their way here, are served.
        connection.as_mut().graceful_shutdown();
        tokio::select! {
            biased;
            ended = connection.as_mut() => return ended,
            () = tokio::time::sleep(HANDSHAKE_TIME) => {}
        }
        // Who has not even said that this is HTTP/2 is not told, either.
        if asked.load(Ordering::Relaxed) == 0 { Ok(()) } else { connection.await }
    }
}

/// Returns when an HTTP/2 connection has had its time for the first call; or, where there are many connections, for the next one.
/// (Pings show that its client is there, not that it wants anything.)
async fn kept_for_nothing(asked: &AtomicUsize, crowded: &AtomicBool) {
    let mut before = 0;
    loop {
        tokio::time::sleep(HEAD_TIME).await;
        let asked = asked.load(Ordering::Relaxed);
        if asked == 0 || asked == before && crowded.load(Ordering::Relaxed) {
            return;
        }
        before = asked;
    }
}

async fn within<T>(time: Duration, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(time, work).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// While this replica drains, a client is told with each answer to make its next call on another connection. So is one
/// that offered a body and was refused: if it was not asked for the body, hyper closes the connection.
fn farewell(mut response: Response<Body>, offered: bool, door: &Door) -> Response<Body> {
    let refused = offered && (response.status().is_client_error() || response.status().is_server_error());
    if (refused || door.is_draining()) && response.version() <= Version::HTTP_11 {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Reads the balancer's header: the client that it names, and what was read beyond it.
async fn introduced(stream: &mut TcpStream) -> io::Result<(Option<SocketAddr>, Bytes)> {
    let (mut buffer, mut filled) = ([0; proxy::MOST], 0);
    loop {
        match proxy::parse(&buffer[..filled]) {
            Parsed::Header { length, client } => {
                return Ok((client, Bytes::copy_from_slice(&buffer[length..filled])));
            }
            Parsed::More if filled < buffer.len() => {}
            Parsed::More | Parsed::Bad => return Err(io::Error::other("no PROXY protocol header")),
        }
        match stream.read(&mut buffer[filled..]).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => filled += read,
        }
    }
}

/// Is it the beginning of an HTTP/2 connection? None: not known yet.
fn is_http2(bytes: &[u8]) -> Option<bool> {
    let length = bytes.len().min(PREFACE.len());
    match bytes[..length] == PREFACE[..length] {
        true if length < PREFACE.len() => None,
        is => Some(is),
    }
}

/// Reads until that is known; none if the client says nothing.
async fn sniff(stream: &mut TcpStream, ahead: Bytes) -> io::Result<Option<(bool, Bytes)>> {
    if let Some(is) = is_http2(&ahead) {
        return Ok(Some((is, ahead)));
    }
    let (mut buffer, mut filled) = ([0; PREFACE.len()], ahead.len());
    buffer[..filled].copy_from_slice(&ahead);
    loop {
        if let Some(is) = is_http2(&buffer[..filled]) {
            return Ok(Some((is, Bytes::copy_from_slice(&buffer[..filled]))));
        }
        match stream.read(&mut buffer[filled..]).await? {
            0 if filled == 0 => return Ok(None),
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => filled += read,
        }
    }
}

#[cfg(test)]
mod tests {
    use http::Request;
    use http_body_util::Empty;
    use hyper::client::conn::http2::SendRequest;
    use hyper_util::rt::TokioExecutor;
    use tokio::io::{DuplexStream, duplex};
    use tokio::task::JoinHandle;
    use tokio::time::Instant;

    use super::*;

    /// The client's end of an HTTP/2 connection on which all are answered, and what says that there are many.
    fn served() -> (DuplexStream, Arc<AtomicBool>, watch::Sender<Phase>) {
        let (client, ours) = duplex(64 << 10);
        let (crowded, phase) = (Arc::new(AtomicBool::new(false)), watch::Sender::new(Phase::Serving));
        let handler = |_: Peer, _: Request<Arriving>| async { Response::new(Body::from("here")) };
        let peer = Peer(([127, 0, 0, 1], 1).into());
        let (door, crowd) = (Door::Operators, crowded.clone());
        let begun = Begun { peer, door, handler, phase: phase.subscribe(), crowded: crowd };
        tokio::spawn(begun.http2(ours, Duration::from_secs(60)));
        (client, crowded, phase)
    }

    async fn spoken_to(client: DuplexStream) -> (SendRequest<Empty<Bytes>>, JoinHandle<()>) {
        let greeting = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(client));
        let (sender, connection) = greeting.await.unwrap();
        (sender, tokio::spawn(async move { drop(connection.await) }))
    }

    /// Seconds.
    fn since(begun: Instant) -> u64 {
        begun.elapsed().as_secs_f64().round() as u64
    }

    /// As after a TLS handshake that said HTTP/2; or with its beginning, and answers to pings. Broken on purpose to see it fail (it does
    /// not end then): waited for without end, as it was.
    #[tokio::test(start_paused = true)]
    async fn an_http_2_client_that_asks_for_nothing_is_not_kept() {
        let begun = Instant::now();
        let (mut silent, _, _phase) = served();
        let mut said = Vec::new();
        silent.read_to_end(&mut said).await.unwrap();
        assert_eq!(since(begun), 40);
        let begun = Instant::now();
        let (client, _, _phase) = served();
        let (_sender, ended) = spoken_to(client).await;
        ended.await.unwrap();
        assert!((30..=40).contains(&since(begun)), "{}", since(begun));
    }

    /// Broken on purpose to see it fail (it does not end then): kept all the same.
    #[tokio::test(start_paused = true)]
    async fn where_there_are_many_an_idle_http_2_connection_is_given_up() {
        let (client, crowded, _phase) = served();
        let (mut sender, ended) = spoken_to(client).await;
        let mut ask = async || {
            sender.ready().await?;
            sender.send_request(Request::get("http://h/").body(Empty::new()).unwrap()).await
        };
        ask().await.unwrap();
        tokio::time::sleep(Duration::from_secs(700)).await;
        ask().await.expect("kept while there are few");
        crowded.store(true, Ordering::Relaxed);
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_secs(20)).await;
            ask().await.expect("it is in use");
        }
        let idle = Instant::now();
        ended.await.unwrap();
        assert!((30..=70).contains(&since(idle)), "{}", since(idle));
    }

    #[test]
    fn the_first_bytes_tell_http_2_from_the_rest() {
        for cut in 0..PREFACE.len() {
            assert_eq!(is_http2(&PREFACE[..cut]), None);
        }
        assert_eq!(is_http2(PREFACE), Some(true));
        assert_eq!(is_http2(&[PREFACE, b"\0\0"].concat()), Some(true));
        for other in ["G", "POST /", "PROPFIND / HTTP/1.1", "PRI * HTTP/1.1\r\n", "\x16\x03\x01"] {
            assert_eq!(is_http2(other.as_bytes()), Some(false), "{other}");
        }
    }
}
