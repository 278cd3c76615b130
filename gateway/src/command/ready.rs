//! `weir ready`: does a replica take calls? For health checks in images without a shell, and for scripts that wait.

use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use clap::Args;
use http::{Request, StatusCode};

use super::asking;

/// A page of one word; health checks give up within seconds themselves.
const WHOLE: Duration = Duration::from_secs(2);
const LONGEST: usize = 64 << 10;

/// Whom to ask.
#[derive(Args)]
pub struct Options {
    /// Where a replica says whether it is ready: `/readyz` of any of its listeners.
    #[arg(long, env = "WEIR_READY_URL", default_value = "http://127.0.0.1:8081/readyz")]
    url: String,
}

/// Asks once.
///
/// # Errors
/// The replica is not there, not ready (it begins, or drains), or does not answer within two seconds.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let Options { url } = options;
    let request = Request::get(&url).body(Bytes::new().into()).context("--url is no URL")?;
    let (status, _) =
        asking(request, WHOLE, LONGEST).await.with_context(|| format!("{url} cannot be asked"))?;
    match status {
        StatusCode::OK => Ok(()),
        StatusCode::SERVICE_UNAVAILABLE => bail!("not ready: it begins, or it drains"),
        status => bail!("{url} answers with status {}", status.as_u16()),
    }
}
