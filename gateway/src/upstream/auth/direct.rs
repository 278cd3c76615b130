//! Asks those who give out tokens and credentials over the network: directly, without a proxy, and following no redirect.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

use super::super::connect::Connector;
use super::super::root_cause;
use super::{Answering, Exchange, Outside, Unreachable};

/// Connecting takes no longer.
const CONNECT: Duration = Duration::from_secs(2);
/// Bytes of an answer that are read.
const LONGEST: usize = 64 << 10;

/// A connection for each request: they are rare, and each may be made by another thread's runtime.
#[derive(Debug)]
struct Direct(Client<Connector, Full<Bytes>>);

impl Outside {
    /// The network and the wall clock.
    pub fn real() -> Outside {
        let client = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(0)
            .build(Connector::anywhere(CONNECT));
        Outside { exchange: Arc::new(Direct(client)), clock: Arc::new(SystemTime::now) }
    }
}

impl Exchange for Direct {
    fn exchange(&self, request: Request<Bytes>, within: Duration) -> Answering<'_> {
        let asking = self.0.request(request.map(Full::new));
        let reading = async move {
            let (head, body) = asking.await.map_err(|err| Unreachable(root_cause(&err)))?.into_parts();
            let body = Limited::new(body, LONGEST).collect().await;
            let body = body.map_err(|err| Unreachable(root_cause(&*err)))?;
            Ok(Response::from_parts(head, body.to_bytes()))
        };
        Box::pin(async move {
            let read = tokio::time::timeout(within, reading).await;
            read.unwrap_or_else(|_| Err(Unreachable("too late".to_owned())))
        })
    }
}

#[cfg(test)]
#[path = "direct_tests.rs"]
mod tests;
