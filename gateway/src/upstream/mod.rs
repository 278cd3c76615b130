//! One attempt at one deployment: send, wait for the head, read the answer up to its first content.
//!
//! Redirects are not followed and nothing is sent twice: a request is sent again only if provably none of it was
//! written, because a kept connection had closed or was no longer quiet, or if its token was refused, neither of which a
//! provider can have charged.

pub mod answer;
pub mod auth;
#[cfg(test)]
mod authorised_tests;
mod connect;
pub mod departures;
mod endpoint;
pub mod fetch;
pub mod passage;
mod resolve;
pub mod seen;
pub mod telling;
mod timely;
mod unasked;
pub mod way;

use std::time::{Duration, Instant, SystemTime};

use ahash::AHashMap;
use bytes::Bytes;
use http::response::Parts;
use http::{Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy::{Client, Error as ClientError};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use parking_lot::Mutex;

use crate::dialect::failure::Failure;
use crate::dialect::openai::answer::Usage;
use crate::dialect::talk::Refused;
pub(crate) use connect::Connector;
use endpoint::Unauthorised;
pub use endpoint::{Endpoint, Outgoing};
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
    /// Provably no byte was sent: refused, unresolved, not connected in time, not authorised.
    NotSent(String),
    /// Nor here: we came to it too late, and nobody else is to blame.
    Late(&'static str),
    /// No head, content or next byte in time.
    TimedOut(&'static str),
    /// The connection or the answer broke.
    Broken(String),
    /// An answer that cannot be told to the client. It was given and will be paid, so it is not asked for again.
    Unreadable {
        /// Its field that is to blame, as far as one is; for the log.
        field: String,
        /// What it says it used.
        usage: Option<Usage>,
        /// Its length.
        bytes: usize,
    },
    /// The request cannot be said in the deployment's dialect; nothing was sent.
    Unsayable(Refused),
    /// The upstream answered that it will not.
    Answered {
        /// Its status.
        status: StatusCode,
        /// What it means.
        failure: Box<Failure>,
        /// Its body; empty if there is none but an event.
        body: Bytes,
    },
}

impl Failed {
    /// A failure that was told with a status of 200.
    fn answered(failure: Box<Failure>) -> Failed {
        let status = failure.status.unwrap_or_else(|| failure.class.status());
        Failed::Answered { status, failure, body: Bytes::new() }
    }
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
    /// success is a failure. What must be authorised anew for each sending is; if the provider refuses a token that may be
    /// an old one, the request is sent once more with another.
    pub async fn send(
        &self,
        mut outgoing: Outgoing,
        connect: Duration,
        head_by: Instant,
    ) -> Result<Response<Incoming>, Failed> {
        let Some(auth) = outgoing.auth() else {
            return self.deliver(&outgoing, connect, head_by).await?.map_err(Refusal::failed);
        };
        let not_sent = |err: Unauthorised| Failed::NotSent(err.to_string());
        let stamp = outgoing.authorise(&auth, head_by).await.map_err(not_sent)?;
        let refusal = match self.deliver(&outgoing, connect, head_by).await? {
            Ok(response) => return Ok(response),
            Err(refusal) => refusal,
        };
        let Refusal { head, body } = &refusal;
        if !auth.is_refusal(head.status, &head.headers, body) || !auth.refused(stamp) {
            return Err(refusal.failed());
        }
        if let Err(err) = outgoing.authorise(&auth, head_by).await {
            tracing::warn!(target: "weir::upstream", error = %err, "refused, and no other token to be had");
            return Err(refusal.failed());
        }
        self.deliver(&outgoing, connect, head_by).await?.map_err(Refusal::failed)
    }

    /// Sends it as it is; a success, or what else was answered.
    async fn deliver(
        &self,
        outgoing: &Outgoing,
        connect: Duration,
        head_by: Instant,
    ) -> Result<Result<Response<Incoming>, Refusal>, Failed> {
        let client = self.client(connect);
        let asking = ask(&client, outgoing);
        let response = match tokio::time::timeout_at(head_by.into(), asking).await {
            Ok(Ok(response)) => response,
            Ok(Err(err)) if is_late(&err) => return Err(Failed::Late("stalled before sending")),
            Ok(Err(err)) if err.is_connect() || was_not_written(&err) => {
                return Err(Failed::NotSent(root_cause(&err)));
            }
            Ok(Err(err)) => return Err(Failed::Broken(root_cause(&err))),
            Err(_) => return Err(Failed::TimedOut("no answer")),
        };
        if response.status().is_success() { Ok(Ok(response)) } else { Ok(Err(Refusal::read(response).await)) }
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

/// An answer that is not a success, read whole.
struct Refusal {
    head: Parts,
    body: Bytes,
}

impl Refusal {
    async fn read(response: Response<Incoming>) -> Refusal {
        let (head, body) = response.into_parts();
        let whole = Limited::new(body, ERROR_BODY).collect();
        let body = match tokio::time::timeout(ERROR_TIME, whole).await {
            Ok(Ok(body)) => body.to_bytes(),
            _ => Bytes::new(), // the status says enough
        };
        Refusal { head, body }
    }

    fn failed(self) -> Failed {
        let Refusal { head, body } = self;
        let failure = Box::new(Failure::of_answer(head.status, &head.headers, &body, SystemTime::now()));
        Failed::Answered { status: head.status, failure, body }
    }
}

/// Was none of the request written: handed back by hyper, too late to be written, or stopped before its first byte?
fn was_not_written(err: &ClientError) -> bool {
    is_late(err) || connection_error(err).is_some_and(|err| err.is_canceled() || is_unasked(err))
}

/// Was it too late to be written?
fn is_late(err: &ClientError) -> bool {
    let late = |err: &hyper::Error| std::error::Error::source(err).is_some_and(|err| err.is::<Late>());
    connection_error(err).is_some_and(late)
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
