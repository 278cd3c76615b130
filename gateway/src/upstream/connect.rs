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

type Inner = HttpsConnector<HttpConnector<Resolver>>;
type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A connector with a deadline.
#[derive(Clone, Debug)]
pub(super) struct Connector {
    inner: Inner,
    limit: Duration,
}

impl Connector {
    pub(super) fn new(limit: Duration) -> Connector {
        let mut tcp = HttpConnector::new_with_resolver(Resolver::new());
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(Duration::from_secs(30)));
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
