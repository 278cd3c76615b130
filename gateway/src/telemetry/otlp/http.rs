//! Requests to a collector that is spoken to over HTTP: by the HTTP client and the TLS that everything here uses.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use opentelemetry_http::{HttpClient, HttpError};
use rustls::ClientConfig;
use tokio::runtime::Handle;

/// Bytes of an answer that are read; a collector has little to say.
const ANSWER: usize = 1 << 20;
/// A kept connection is closed after this long.
const KEEP: Duration = Duration::from_secs(90);

/// A client whose requests are made on the runtime of `handle`, whoever waits for them.
#[derive(Debug)]
pub(super) struct Http {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    handle: Handle,
    limit: Duration,
}

impl Http {
    /// Each request may take `limit`. `tls`: by these settings, else by the public authorities.
    pub(super) fn new(handle: Handle, tls: Option<ClientConfig>, limit: Duration) -> Http {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(limit));
        let builder = HttpsConnectorBuilder::new();
        let builder = match tls {
            Some(config) => builder.with_tls_config(config),
            None => builder.with_webpki_roots(),
        };
        let connector = builder.https_or_http().enable_http1().wrap_connector(tcp);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(KEEP)
            .build(connector);
        Http { client, handle, limit }
    }

    async fn ask(
        client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
        request: Request<Bytes>,
    ) -> anyhow::Result<Response<Bytes>> {
        let (head, body) = client.request(request.map(Full::new)).await?.into_parts();
        let body = Limited::new(body, ANSWER).collect().await;
        let body = body.map_err(|err| anyhow::anyhow!("the answer broke: {err}"))?;
        Ok(Response::from_parts(head, body.to_bytes()))
    }
}

type Answering<'a> = Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'a>>;

impl HttpClient for Http {
    fn send_bytes<'s, 'a>(&'s self, request: Request<Bytes>) -> Answering<'a>
    where
        's: 'a,
        Self: 'a,
    {
        let (asking, limit) = (Http::ask(self.client.clone(), request), self.limit);
        // (A timer belongs to a runtime, and who sends metrics is on a thread that has none.)
        let done = self.handle.spawn(async move { tokio::time::timeout(limit, asking).await });
        Box::pin(async move {
            let answer = done.await?.map_err(|_| anyhow::anyhow!("no answer in time"))?;
            Ok(answer.context("the collector cannot be asked")?)
        })
    }
}
