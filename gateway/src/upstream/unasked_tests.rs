use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::rt::ReadBuf;
use tokio::net::TcpListener;
use tokio::time::timeout;

use super::super::{Failed, Outgoing, Upstreams};
use super::*;
use crate::clock::boot_ms;

const PATIENCE: Duration = Duration::from_secs(5);
const FIRST: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nfirst";
const SECOND: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nsecond";
const POISON: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison";

/// A provider that is served by hand, from this very thread: what it writes is in the kernel at once, and the runtime
/// is told of it only when it next asks.
struct Provider(TcpListener);

impl Provider {
    async fn new() -> Provider {
        Provider(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    fn request(&self) -> Outgoing {
        let uri = format!("http://{}/v1/x", self.0.local_addr().unwrap()).parse().unwrap();
        Outgoing::post(uri, Arc::default(), Bytes::from_static(b"{}"), boot_ms() + 60_000)
    }

    /// Accepts the next connection and reads the request on it.
    async fn accept(&self) -> TcpStream {
        let accepted = timeout(PATIENCE, self.0.accept()).await.expect("no new connection");
        let mut connection = accepted.unwrap().0.into_std().unwrap();
        connection.set_nonblocking(false).unwrap();
        let read = move || {
            read_request(&mut connection);
            connection
        };
        tokio::task::spawn_blocking(read).await.unwrap()
    }
}

fn read_request(connection: &mut TcpStream) {
    connection.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut seen = Vec::new();
    let mut piece = [0; 1024];
    while !seen.ends_with(b"{}") {
        let read = connection.read(&mut piece).unwrap();
        assert!(read > 0, "only {seen:?}");
        seen.extend_from_slice(&piece[..read]);
    }
}

async fn send(upstreams: &Upstreams, request: Outgoing) -> Result<Bytes, Failed> {
    let by = Instant::now() + Duration::from_secs(10);
    let response = upstreams.send(request, Duration::from_secs(5), by).await?;
    Ok(response.into_body().collect().await.unwrap().to_bytes())
}

/// Serves one call, so that its connection is kept.
async fn kept(provider: &Provider, upstreams: &Upstreams) -> TcpStream {
    let serving = async {
        let mut connection = provider.accept().await;
        connection.write_all(FIRST).unwrap();
        connection
    };
    let (answer, connection) = tokio::join!(send(upstreams, provider.request()), serving);
    assert_eq!(answer.unwrap(), "first");
    tokio::task::yield_now().await; // the connection goes back to the pool
    connection
}

/// Broken on purpose to see it fail: the socket not asked ("poison" is answered); what was stopped not sent again.
#[tokio::test]
async fn what_came_unasked_is_no_answer_to_the_next_call() {
    let (provider, upstreams) = (Provider::new().await, Upstreams::default());
    let mut liar = kept(&provider, &upstreams).await;
    liar.write_all(POISON).unwrap();

    let serving = async {
        let mut connection = provider.accept().await;
        connection.write_all(SECOND).unwrap();
    };
    let (answer, ()) = tokio::join!(send(&upstreams, provider.request()), serving);
    assert_eq!(answer.unwrap(), "second");
    liar.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut piece = [0; 16];
    assert_eq!(liar.read(&mut piece).unwrap_or(0), 0, "a request went to the liar");
}

/// A provider that closes what it kept, just before the next call.
#[tokio::test]
async fn a_closed_connection_costs_no_call() {
    let (provider, upstreams) = (Provider::new().await, Upstreams::default());
    drop(kept(&provider, &upstreams).await);
    let serving = async {
        let mut connection = provider.accept().await;
        connection.write_all(SECOND).unwrap();
    };
    let (answer, ()) = tokio::join!(send(&upstreams, provider.request()), serving);
    assert_eq!(answer.unwrap(), "second");
}

/// The ordinary case: the connection is used again.
#[tokio::test]
async fn a_quiet_connection_is_kept() {
    let (provider, upstreams) = (Provider::new().await, Upstreams::default());
    let mut connection = kept(&provider, &upstreams).await;
    let serving = tokio::task::spawn_blocking(move || {
        read_request(&mut connection);
        connection.write_all(SECOND).unwrap();
    });
    let answer = send(&upstreams, provider.request()).await;
    serving.await.unwrap();
    assert_eq!(answer.unwrap(), "second");
}

async fn write(guarded: &mut Guarded, bytes: &[u8]) -> io::Result<usize> {
    std::future::poll_fn(|cx| hyper::rt::Write::poll_write(Pin::new(&mut *guarded), cx, bytes)).await
}

/// An answer may come before its request is written whole. Broken on purpose to see it fail: any write taken for the
/// beginning of the next request.
#[tokio::test]
async fn an_early_answer_leaves_the_next_request_guarded() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let connecting = tokio::net::TcpStream::connect(listener.local_addr().unwrap());
    let (ours, theirs) = tokio::join!(connecting, listener.accept());
    let mut guarded = Guarded::new(MaybeHttpsStream::Http(TokioIo::new(ours.unwrap())));
    let mut peer = theirs.unwrap().0.into_std().unwrap();
    assert!(write(&mut guarded, b"POST /v1/x HTTP/1.1\r\ncontent-length: 2\r\n\r\n{").await.is_ok());
    peer.write_all(FIRST).unwrap();
    let mut answer = [0; 256];
    let mut buffer = ReadBuf::new(&mut answer);
    std::future::poll_fn(|cx| hyper::rt::Read::poll_read(Pin::new(&mut guarded), cx, buffer.unfilled()))
        .await
        .unwrap();
    assert_eq!(buffer.filled(), FIRST);
    assert!(write(&mut guarded, b"}").await.is_ok(), "the rest of the request");
    peer.write_all(POISON).unwrap();
    let error = write(&mut guarded, b"POST /v1/x HTTP/1.1\r\n").await.unwrap_err();
    assert!(error.get_ref().is_some_and(|inner| inner.is::<Unasked>()), "{error:?}");
}
