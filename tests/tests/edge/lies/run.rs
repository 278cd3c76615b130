//! Makes the call that meets a lie, and the call that follows it.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::Case;
use crate::endpoints::{ENDPOINTS, Endpoint};
use crate::gate::CLIENT_KEY;
use crate::wire::{Answer, Wire};

/// How often a call may be refused because its deployment rests.
const RESTS: usize = 200;

/// A client's connection.
pub(crate) struct Caller {
    wire: Wire<OwnedReadHalf>,
    writing: OwnedWriteHalf,
}

impl Caller {
    pub(crate) async fn new(addr: SocketAddr) -> Result<Caller> {
        let (reading, writing) = TcpStream::connect(addr).await?.into_split();
        Ok(Caller { wire: Wire::new(reading), writing })
    }

    /// One call, and its answer whole.
    async fn call(&mut self, endpoint: &Endpoint, model: &str, id: &str, streamed: bool) -> Result<Answer> {
        let body = endpoint.request(model, id, if streamed { r#","stream":true"# } else { "" });
        let request = format!(
            "POST {} HTTP/1.1\r\nhost: weir\r\nauthorization: Bearer {CLIENT_KEY}\r\ncontent-length: {}\r\n\r\n{body}",
            endpoint.path,
            body.len()
        );
        self.writing.write_all(request.as_bytes()).await?;
        self.wire.answer(false).await?.context("the connection was closed")
    }

    /// The call that meets the lie.
    pub(crate) async fn meet(&mut self, case: &Case, lane: usize) -> Result<Answer> {
        let model = format!("{}-{lane}", if case.backed { "m" } else { "solo" });
        self.call(case.endpoint, &model, &case.id, case.streamed).await
    }

    /// A call that nobody lies to, in `lane`, and its answer judged.
    pub(crate) async fn honest(&mut self, lane: usize, id: &str, streamed: bool) -> Result<()> {
        let endpoint = &ENDPOINTS[0];
        let answer = self.call(endpoint, &format!("sure-{lane}"), id, streamed).await?;
        let body = if streamed { endpoint.stream(id) } else { endpoint.answer(id) };
        ensure!(answer.status == 200 && answer.body == body.as_bytes(), "{id}: {answer:?}");
        Ok(())
    }

    /// The next one on the connection, to the deployment that lied and by now is honest. It may rest for as long as
    /// the gateway says.
    pub(crate) async fn follow(&mut self, case: &Case, id: &str, lane: usize) -> Result<Answer> {
        for _ in 0..RESTS {
            let answer = self.call(case.endpoint, &format!("solo-{lane}"), id, case.streamed).await?;
            if answer.status != 429 {
                return Ok(answer);
            }
            let rest = answer.head.text("retry-after-ms")?.parse().context("retry-after-ms")?;
            tokio::time::sleep(Duration::from_millis(rest)).await;
        }
        bail!("it rests and rests")
    }
}
