//! Fetching a document, for the command line: over TLS, following no redirect, bounded in size and time.

use std::time::Duration;

use bytes::Bytes;
use http::Uri;
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

use super::connect::Connector;
use super::root_cause;

/// Connecting takes no longer.
const CONNECT: Duration = Duration::from_secs(10);

/// What stands at an URL, of `most` bytes at most. What went wrong names no URL.
pub async fn get(url: &str, most: u64, within: Duration) -> Result<Vec<u8>, String> {
    let uri: Uri = url.parse().map_err(|_| "not a URL".to_owned())?;
    let is_near = matches!(uri.host(), Some("127.0.0.1" | "[::1]" | "localhost"));
    if uri.scheme_str() != Some("https") && !is_near {
        return Err("only https: nobody would see that it was changed on its way".to_owned());
    }
    let client: Client<Connector, Empty<Bytes>> =
        Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(Connector::new(CONNECT));
    let fetching = async {
        let (head, body) = client.get(uri).await.map_err(|err| root_cause(&err))?.into_parts();
        if !head.status.is_success() {
            return Err(format!("answered {}", head.status.as_u16()));
        }
        let body = Limited::new(body, usize::try_from(most).unwrap_or(usize::MAX)).collect().await;
        body.map(|body| body.to_bytes().to_vec()).map_err(|err| root_cause(&*err))
    };
    tokio::time::timeout(within, fetching).await.unwrap_or_else(|_| Err("too late".to_owned()))
}
