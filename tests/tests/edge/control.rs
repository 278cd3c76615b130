//! The judges judged: a gateway that passes everything on as it is must be found out by every kind of case.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use anyhow::{Result, ensure};
use fastrand::Rng;
use tokio::net::{TcpListener, TcpStream};

use crate::hostile::{self, Expect};
use crate::lies::judge::judge;
use crate::lies::run::Caller;
use crate::upstream::Upstream;
use crate::{lies, requests, run};

/// Joins connections to `to`, byte for byte.
async fn pipe(to: SocketAddr) -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let addr = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            tokio::spawn(async move {
                if let Ok(mut provider) = TcpStream::connect(to).await {
                    // However it ends, both ends see it.
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut provider).await;
                }
            });
        }
    });
    Ok(addr)
}

#[test]
#[ignore = "a control: tests/run --full"]
fn every_kind_of_hostile_request_finds_a_gateway_out_that_looks_at_nothing() -> Result<()> {
    run(async {
        let provider = Upstream::start().await?;
        let addr = pipe(provider.addr(0)).await?;
        let kinds = hostile::kinds();
        let mut unfound: BTreeSet<&str> = kinds.iter().map(|(kind, _)| *kind).collect();
        for at in 0..kinds.len() as u64 {
            let case = hostile::case(1, at);
            // Where no answer is owed, a provider that closes does right.
            let owed = !matches!(case.expect, Expect::Nothing);
            let found = requests::check(&case, addr, &provider, &mut Rng::with_seed(at)).await.is_err();
            if found || !owed {
                unfound.remove(case.kind);
            }
        }
        ensure!(unfound.is_empty(), "not found out by {unfound:?}");
        Ok(())
    })
}

#[test]
#[ignore = "a control: tests/run --full"]
fn every_kind_of_lie_finds_a_gateway_out_that_passes_it_on() -> Result<()> {
    run(async {
        let provider = Upstream::start().await?;
        let addr = pipe(provider.addr(0)).await?;
        let kinds = lies::kinds();
        let mut unfound: BTreeSet<&str> = kinds.iter().map(|(kind, ..)| *kind).collect();
        for at in 0..kinds.len() as u64 {
            let case = lies::case(1, at, format!("case-{at}"));
            provider.plan(&case.id, case.lie.steps.clone());
            let met = async { Caller::new(addr).await?.meet(&case, 0).await };
            // A lie that goes on and on is found out by going on.
            let found = match tokio::time::timeout(std::time::Duration::from_secs(2), met).await {
                Ok(Ok(answer)) => judge(&case, &answer, [1, 0]).is_err(),
                Ok(Err(_)) | Err(_) => true,
            };
            // A provider's own error passes as it is: that is right.
            let passes = matches!(case.lie.expect, lies::Expect::Refused(_, Some(_)));
            if found || passes {
                unfound.remove(case.kind);
            }
        }
        ensure!(unfound.is_empty(), "not found out by {unfound:?}");
        Ok(())
    })
}
