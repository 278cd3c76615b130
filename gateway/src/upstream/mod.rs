//! One attempt at one deployment: send, wait for the head, read the answer up to its first content.
//!
//! Redirects are not followed and nothing is sent twice: a request is sent again only if provably none of it was
//! written, because a kept connection had closed or was no longer quiet, which no provider can have charged.

pub mod answer;
pub mod auth;
mod connect;
mod resolve;
mod timely;
mod unasked;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use ahash::AHashMap;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy::{Client, Error as ClientError};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use parking_lot::Mutex;
use secrecy::ExposeSecret;

use crate::config::Deployment;
use crate::dialect::api::Api;
use crate::dialect::failure::Failure;
use connect::Connector;
use timely::{Late, Timely};
use unasked::is_unasked;

/// Bytes of an error answer that are read.
const ERROR_BODY: usize = 64 << 10;
/// How long an error answer may take.
const ERROR_TIME: Duration = Duration::from_secs(5);
/// A kept connection is closed after this long; providers keep theirs longer.
const KEEP: Duration = Duration::from_secs(30);

type Http = Client<Connector, Timely>;

/// Why an attempt did not serve the call.
#[derive(Debug)]
pub enum Failed {
    /// Provably no byte was sent: refused, unresolved, not connected in time, too late to be sent.
    NotSent(String),
    /// No head, content or next byte in time.
    TimedOut(&'static str),
    /// The connection or the answer broke.
    Broken(String),
    /// The upstream answered that it will not.
    Answered {
        /// Its status.
        status: StatusCode,
        /// What it means.
        failure: Failure,
    },
}

/// Where a deployment is reached, ready to be sent to.
#[derive(Debug)]
pub struct Endpoint {
    base: String,
    uris: [Uri; Api::ALL.len()],
    headers: Arc<HeaderMap>,
    bodiless: Arc<HeaderMap>,
}

/// A request on its way out.
#[derive(Debug)]
pub struct Outgoing {
    method: Method,
    uri: Uri,
    headers: Arc<HeaderMap>,
    body: Bytes,
    send_by: u64,
}

impl Outgoing {
    fn post(uri: Uri, headers: Arc<HeaderMap>, body: Bytes, send_by: u64) -> Outgoing {
        Outgoing { method: Method::POST, uri, headers, body, send_by }
    }

    fn request(&self) -> Request<Timely> {
        let mut request = Request::new(Timely::new(self.body.clone(), self.send_by));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = HeaderMap::clone(&self.headers);
        request
    }
}

impl Endpoint {
    /// Of a deployment.
    pub fn new(deployment: &Deployment) -> anyhow::Result<Endpoint> {
        let account = &deployment.account;
        let base = account.base_url.to_string().trim_end_matches('/').to_owned();
        let mut uris: [Uri; Api::ALL.len()] = Default::default();
        for api in Api::ALL {
            if let Some(path) = api.path() {
                uris[api as usize] = format!("{base}{path}").parse()?;
            }
        }
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host(&account.base_url)?);
        headers.insert(
            header::USER_AGENT,
            HeaderValue::from_static(concat!("weir/", env!("CARGO_PKG_VERSION"))),
        );
        if let Some(key) = &account.api_key {
            let mut value =
                HeaderValue::try_from(format!("Bearer {}", key.expose_secret())).map_err(|_| {
                    anyhow::anyhow!("account {}: its api_key cannot stand in a header", account.name)
                })?;
            value.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, value);
        }
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.extend(
            account
                .headers
                .iter()
                .map(|(name, value)| (Some(name.clone()), value.clone()))
                .filter_map(|(name, value)| name.map(|name| (name, value))),
        );
        let mut bodiless = headers.clone();
        bodiless.remove(header::CONTENT_TYPE);
        Ok(Endpoint { base, uris, headers: Arc::new(headers), bodiless: Arc::new(bodiless) })
    }

    /// A call with `body`, not to be sent after `send_by` of [`boot_ms`](crate::clock::boot_ms).
    pub fn call(&self, api: Api, body: Bytes, send_by: u64) -> Outgoing {
        Outgoing::post(self.uris[api as usize].clone(), self.headers.clone(), body, send_by)
    }

    /// A request without a body for what the provider has kept; `None` if `path` cannot stand behind the base URL.
    pub fn kept(&self, method: Method, path: &str) -> Option<Outgoing> {
        let uri = format!("{}{path}", self.base).parse().ok()?;
        let (headers, body) = (self.bodiless.clone(), Bytes::new());
        Some(Outgoing { method, uri, headers, body, send_by: u64::MAX })
    }
}

/// The `Host` header, made once: the client would make it for every request.
fn host(uri: &Uri) -> anyhow::Result<HeaderValue> {
    let name = uri.host().unwrap_or_default();
    let usual = if uri.scheme_str() == Some("https") { 443 } else { 80 };
    let host = match uri.port_u16() {
        Some(port) if port != usual => format!("{name}:{port}"),
        _ => name.to_owned(),
    };
    Ok(HeaderValue::try_from(host)?)
}

/// One worker's connections.
#[derive(Debug, Default)]
pub struct Upstreams {
    clients: Mutex<AHashMap<Duration, Http>>, // by connect timeout; short sections
}

impl Upstreams {
    fn client(&self, connect: Duration) -> Http {
        let build = || {
            Client::builder(TokioExecutor::new())
                .pool_timer(TokioTimer::new())
                .pool_idle_timeout(KEEP)
                .build(Connector::new(connect))
        };
        self.clients.lock().entry(connect).or_insert_with(build).clone()
    }

    /// Sends a request, connecting within `connect`, and waits for the answer's head until `head_by`. An answer that is not a
    /// success is a failure.
    pub async fn send(
        &self,
        outgoing: Outgoing,
        connect: Duration,
        head_by: Instant,
    ) -> Result<Response<Incoming>, Failed> {
        let client = self.client(connect);
        let asking = ask(&client, &outgoing);
        let response = match tokio::time::timeout_at(head_by.into(), asking).await {
            Ok(Ok(response)) => response,
            Ok(Err(err)) if err.is_connect() || was_not_written(&err) => {
                return Err(Failed::NotSent(root_cause(&err)));
            }
            Ok(Err(err)) => return Err(Failed::Broken(root_cause(&err))),
            Err(_) => return Err(Failed::TimedOut("no answer")),
        };
        if response.status().is_success() { Ok(response) } else { Err(refusal(response).await) }
    }
}

/// Asks, and asks again where a kept connection proved unfit before any of the request was written. Each is one less in the
/// pool, and a new connection never does.
async fn ask(client: &Http, outgoing: &Outgoing) -> Result<Response<Incoming>, ClientError> {
    loop {
        match client.request(outgoing.request()).await {
            Err(err) if connection_error(&err).is_some_and(is_unasked) => {}
            done => return done,
        }
    }
}

/// Reads an answer that is not a success.
async fn refusal(response: Response<Incoming>) -> Failed {
    let (head, body) = response.into_parts();
    let whole = Limited::new(body, ERROR_BODY).collect();
    let body = match tokio::time::timeout(ERROR_TIME, whole).await {
        Ok(Ok(body)) => body.to_bytes(),
        _ => Bytes::new(), // the status says enough
    };
    let failure = Failure::of_answer(head.status, &head.headers, &body, SystemTime::now());
    Failed::Answered { status: head.status, failure }
}

/// Was none of the request written: handed back by hyper, too late to be written, or stopped before its first byte?
fn was_not_written(err: &ClientError) -> bool {
    connection_error(err).is_some_and(|err| {
        err.is_canceled()
            || is_unasked(err)
            || std::error::Error::source(err).is_some_and(|err| err.is::<Late>())
    })
}

fn connection_error(err: &ClientError) -> Option<&hyper::Error> {
    std::error::Error::source(err)?.downcast_ref()
}

fn root_cause(err: &dyn std::error::Error) -> String {
    let mut cause = err;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
