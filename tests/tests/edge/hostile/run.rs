//! Sends a case and tells what came of it.

use std::net::SocketAddr;

use anyhow::{Result, ensure};
use fastrand::Rng;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;

use super::{After, Case};
use crate::endpoints::ENDPOINTS;
use crate::gate::CLIENT_KEY;
use crate::wire::{Answer, Wire};

/// What a client saw.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Of the case itself; none if the connection ended instead.
    pub(crate) answer: Option<Answer>,
    /// Of the call that followed on the connection.
    pub(crate) probe: Option<Answer>,
    /// What came besides until the end, where the end was waited for.
    pub(crate) rest: Vec<u8>,
}

/// The id of the call that follows.
pub(crate) fn probe_id(case: &Case) -> String {
    format!("{}-probe", case.id)
}

/// A call that nobody can object to.
fn probe(case: &Case) -> Vec<u8> {
    let endpoint = &ENDPOINTS[0];
    let body = endpoint.request("sure-0", &probe_id(case), "");
    format!(
        "POST {} HTTP/1.1\r\nhost: weir\r\nauthorization: Bearer {CLIENT_KEY}\r\ncontent-length: {}\r\n\r\n{body}",
        endpoint.path,
        body.len()
    )
    .into_bytes()
}

/// Sends it over a connection of its own, in pieces, and reads what comes while it sends.
pub(crate) async fn run(case: &Case, addr: SocketAddr, rng: &mut Rng) -> Result<Outcome> {
    let stream = TcpStream::connect(addr).await?;
    stream.set_nodelay(true)?;
    let (reading, mut writing) = stream.into_split();
    let mut wire = Wire::new(reading);
    let mut sends = case.sends.clone();
    if case.together {
        sends.extend(probe(case));
    }
    let cuts: Vec<usize> = (0..rng.usize(0..4)).map(|_| rng.usize(1..=sends.len())).collect();
    let leaves = case.leaves;
    let sending = tokio::spawn(async move {
        // The gateway may have answered and closed by now: then its answer is what counts.
        let mut gone = send(&mut writing, &sends, cuts).await.is_err();
        if leaves {
            gone |= writing.shutdown().await.is_err();
        }
        (writing, gone)
    });
    let mut outcome = Outcome { answer: read(&mut wire, case).await?, ..Outcome::default() };
    let (mut writing, gone) = sending.await?;
    let goes_on = outcome.answer.is_some() && !case.leaves && case.after != After::Closed;
    if goes_on {
        let gone = gone || !case.together && writing.write_all(&probe(case)).await.is_err();
        outcome.probe = match wire.answer(false).await {
            Ok(answer) => answer,
            Err(_) if gone || case.after == After::Any => None,
            Err(error) => return Err(error.context("the next call on the connection")),
        };
    } else {
        outcome.rest = wire.rest().await?;
    }
    Ok(outcome)
}

async fn send(writing: &mut (impl AsyncWriteExt + Unpin), bytes: &[u8], mut cuts: Vec<usize>) -> Result<()> {
    cuts.push(bytes.len());
    cuts.sort_unstable();
    let mut from = 0;
    for cut in cuts {
        writing.write_all(&bytes[from..cut]).await?;
        from = cut;
        tokio::task::yield_now().await;
    }
    Ok(())
}

/// The answer; where none is owed, a connection that breaks is none.
async fn read(wire: &mut Wire<OwnedReadHalf>, case: &Case) -> Result<Option<Answer>> {
    match wire.answer(case.bodiless).await {
        Err(error) if matches!(case.expect, super::Expect::Nothing) => {
            let hangs = error.downcast_ref::<tokio::time::error::Elapsed>().is_some();
            ensure!(!hangs, "it hangs");
            Ok(None)
        }
        other => other,
    }
}
