//! Ten thousand hostile requests.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use fastrand::Rng;

use crate::endpoints::TOKENS;
use crate::gate::{Gate, posted};
use crate::hostile::judge::{Arrivals, judge};
use crate::hostile::run::{probe_id, run as send};
use crate::hostile::{Case, case};
use crate::upstream::Upstream;
use crate::{all, cases, run, seed};

/// Connections at once.
const CONNECTIONS: usize = 64;
/// The most memory that it may need, bytes: what 64 clients may send at once, several times, and what it is at rest.
const MOST_MEMORY: usize = 192 << 20;

/// One case against `addr`, in front of `provider`.
pub(crate) async fn check(case: &Case, addr: SocketAddr, provider: &Upstream, rng: &mut Rng) -> Result<()> {
    let outcome = send(case, addr, rng).await;
    let arrivals = Arrivals {
        own: provider.take(&case.id),
        probe: provider.take(&probe_id(case)),
        hidden: provider.take(&format!("{}-hidden", case.id)),
    };
    let said = |outcome: &_| format!("saw {outcome:?}");
    let outcome = outcome.with_context(|| format!("{}: {}", case.kind, crate::wire::shown(&case.sends)))?;
    judge(case, &outcome, &arrivals, provider).with_context(|| said(&outcome)).with_context(|| {
        format!("{}: {}", case.kind, case.sends.escape_ascii()).chars().take(600).collect::<String>()
    })
}

#[test]
fn hostile_requests_get_the_right_error_and_nothing_of_them_goes_further() -> Result<()> {
    run(async {
        let (seed, cases) = (seed()?, cases("WEIR_EDGE_REQUESTS", 10_000)?);
        let gate = Arc::new(Gate::start("edge-requests").await?);
        let before = gate.descriptors()?;
        let begun = Instant::now();
        let shared = gate.clone();
        all(cases.clone(), CONNECTIONS, move |at, _| {
            let gate = shared.clone();
            async move {
                let mut rng = Rng::with_seed(seed ^ at);
                check(&case(seed, at), gate.addr, &gate.good, &mut rng).await
            }
        })
        .await?;
        println!("{} requests in {:?}", cases.end - cases.start, begun.elapsed());
        aftermath(&gate, before).await
    })
}

/// What is left when all is over: nothing but what was really used.
async fn aftermath(gate: &Gate, before: usize) -> Result<()> {
    for provider in [&gate.bad, &gate.good] {
        ensure!(provider.faults().is_empty(), "no proper requests: {:?}", provider.faults());
        ensure!(provider.left().is_empty(), "requests of nobody: {:?}", provider.left());
    }
    let state = gate.quiet().await?;
    let (served, tokens) = (gate.good.requests(), gate.good.requests() * TOKENS);
    ensure!(gate.bad.requests() == 0, "a provider was called that nobody asked for");
    let counted =
        [("tenant/", "requests"), ("tenant/", "tokens"), ("", "requests")].map(|(p, k)| posted(&state, p, k));
    ensure!(counted == [served, tokens, 2 * served], "{counted:?} posted for {served} calls");
    gate.sound().await?;
    let peak = gate.peak()?;
    ensure!(peak < MOST_MEMORY, "{} MiB of memory", peak >> 20);
    gate.good.close();
    let after = gate.descriptors_within(before + 2).await?;
    println!("{served} served; {} MiB at most; {before} file descriptors before, {after} after", peak >> 20);
    Ok(())
}
