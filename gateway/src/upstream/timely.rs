//! The body of a request that must not be sent late.
//!
//! Between the attempt's own check and the first byte on the wire a request may wait: for a connection, and for its turn
//! on the worker. A process that is stopped just then would send what its reservation no longer covers. hyper asks
//! for the body after it has put the head into its buffer and before it writes any of it, so here the time is looked
//! at once more; an error ends the connection with nothing written. The time is that of [`boot_ms`]: a machine that
//! was suspended has lost it.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame, SizeHint};

use crate::clock::boot_ms;

/// A whole body that fails when it is asked for after its time.
#[derive(Debug)]
pub(super) struct Timely {
    whole: Full<Bytes>,
    by: u64,
}

/// It was too late to send.
#[derive(Debug, thiserror::Error)]
#[error("stalled before sending")]
pub(super) struct Late;

impl Timely {
    /// `by`: ms of [`boot_ms`].
    pub(super) fn new(whole: Bytes, by: u64) -> Timely {
        Timely { whole: Full::new(whole), by }
    }
}

impl Body for Timely {
    type Data = Bytes;
    type Error = Late;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Late>>> {
        if boot_ms() > self.by {
            return Poll::Ready(Some(Err(Late)));
        }
        Pin::new(&mut self.whole).poll_frame(cx).map_err(|never: Infallible| match never {})
    }

    fn is_end_stream(&self) -> bool {
        self.whole.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.whole.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::{Request, StatusCode};
    use hyper_util::client::legacy::Client;
    use hyper_util::rt::TokioExecutor;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::super::{is_late, was_not_written};
    use super::*;

    /// Broken on purpose to see it fail: the look at the time left out.
    #[tokio::test]
    async fn what_is_late_is_not_written_though_a_connection_is_there() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri: http::Uri = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
        let client = Client::builder(TokioExecutor::new()).build_http();
        let send = |by: u64| {
            let mut request = Request::new(Timely::new(Bytes::from_static(b"late"), by));
            *request.uri_mut() = uri.clone();
            client.request(request)
        };

        // The first, in time, leaves a connection that the second finds open.
        let first = tokio::spawn(send(boot_ms() + 60_000));
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut seen = vec![0; 4096];
        let read = stream.read(&mut seen).await.unwrap();
        assert!(seen[..read].ends_with(b"late"), "the request in time came as {:?}", &seen[..read]);
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        let response = first.await.unwrap().unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        drop(response);

        let err = send(boot_ms() - 1).await.unwrap_err();
        assert!(was_not_written(&err) && is_late(&err), "{err:?}");
        drop(client);
        let wrote = tokio::time::timeout(Duration::from_secs(5), stream.read(&mut seen)).await;
        assert_eq!(wrote.expect("the connection stays open").unwrap_or(0), 0, "bytes of a late request");
    }
}
