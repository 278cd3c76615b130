//! What the command line does besides serving and checking: it asks a replica that serves.

use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

use crate::upstream::Connector;

pub mod keys;
pub mod ready;

/// Connecting takes no longer.
const CONNECT: Duration = Duration::from_secs(2);

/// What a replica answers within `whole`: its status, and `longest` bytes at most.
async fn asking(
    request: Request<Full<Bytes>>,
    whole: Duration,
    longest: usize,
) -> anyhow::Result<(StatusCode, Bytes)> {
    let client: Client<Connector, Full<Bytes>> =
        Client::builder(TokioExecutor::new()).build(Connector::new(CONNECT));
    let answer = async {
        let (head, body) = client.request(request).await?.into_parts();
        let body = Limited::new(body, longest).collect().await;
        anyhow::Ok((head.status, body.map_err(|err| anyhow::anyhow!(err))?.to_bytes()))
    };
    tokio::time::timeout(whole, answer).await.context("no answer in time").flatten()
}
