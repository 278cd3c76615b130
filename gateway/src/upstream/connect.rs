//! Connections to providers: TCP and TLS within one time limit, HTTP/1.1.
//!
//! One HTTP/2 connection would carry every stream of an origin and queue silently beyond the peer's bound of
//! concurrent streams; long streams fill it. So HTTP/1.1, a connection per call in flight.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use tower::Service;

use super::resolve::Resolver;
use super::unasked::Guarded;

/// After so much silence the peer is asked whether it is there, and again and again.
const QUIET: Duration = Duration::from_secs(30);
const PROBE: Duration = Duration::from_secs(10);
/// One that acknowledges nothing for so long is gone: an answer may be awaited for much longer than that, and the kernel
/// alone would try for a quarter of an hour.
#[cfg(target_os = "linux")]
const GONE: Duration = Duration::from_secs(60);

type Inner = HttpsConnector<HttpConnector<Resolver>>;
type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A connector with a deadline.
#[derive(Clone, Debug)]
pub(crate) struct Connector {
    inner: Inner,
    limit: Duration,
}

impl Connector {
    /// To providers, and to whatever else a configuration or a command names.
    pub(crate) fn new(limit: Duration) -> Connector {
        Connector::by(Resolver::new(), limit)
    }

    /// To services of the machine itself as well, by their names.
    pub(super) fn anywhere(limit: Duration) -> Connector {
        Connector::by(Resolver::anywhere(), limit)
    }

    fn by(resolver: Resolver, limit: Duration) -> Connector {
        let mut tcp = HttpConnector::new_with_resolver(resolver);
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(QUIET));
        tcp.set_keepalive_interval(Some(PROBE));
        #[cfg(target_os = "linux")]
        tcp.set_tcp_user_timeout(Some(GONE));
        let inner = HttpsConnectorBuilder::new()
            .with_webpki_roots()
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        Connector { inner, limit }
    }
}

impl Service<Uri> for Connector {
    type Response = Guarded;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Guarded, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let (connecting, limit) = (self.inner.call(uri), self.limit);
        Box::pin(async move {
            match tokio::time::timeout(limit, connecting).await {
                Ok(connected) => connected.map(Guarded::new),
                Err(_) => Err("not connected in time".into()),
            }
        })
    }
}
