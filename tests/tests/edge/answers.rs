//! Two thousand lying answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};

use crate::gate::{Gate, LANES, LONGEST_REST, posted};
use crate::lies::judge::{judge, whole};
use crate::lies::run::Caller;
use crate::lies::{Case, case};
use crate::upstream::Upstream;
use crate::wire::Answer;
use crate::{all, cases, run_alone, seed};

/// The most memory that it may need, bytes: some answers without end are read up to 64 MiB.
const MOST_MEMORY: usize = 768 << 20;
/// How often a call may meet a connection that its provider is just closing.
const CLOSING: usize = 10;

/// One lie and the call behind it. Counts in `closing` the calls that never arrived because the provider had closed.
async fn check(seed: u64, at: u64, lane: usize, gate: &Gate, closing: &AtomicU64) -> Result<()> {
    let mut caller = Caller::new(gate.addr).await?;
    let describe = |case: &Case| {
        let told = format!("{:?}", case.lie.steps.iter().take(3).collect::<Vec<_>>());
        let (streamed, backed) = (case.streamed, case.backed);
        format!("{} (streamed {streamed}, backed {backed}): {}", case.kind, &told[..told.len().min(400)])
    };
    let mut last = None;
    for again in 0..CLOSING {
        let case = case(seed, at, format!("case-{at}-{again}"));
        gate.bad.plan(&case.id, case.lie.steps.clone());
        let answer = caller.meet(&case, lane).await.with_context(|| describe(&case))?;
        let asked = [gate.bad.take(&case.id).len(), gate.good.take(&case.id).len()];
        if asked[0] > 0 {
            judge(&case, &answer, asked).with_context(|| describe(&case))?;
            last = Some(case);
            break;
        }
        never_arrived(&answer, case.backed, &case, closing)?;
        tokio::time::sleep(LONGEST_REST).await;
    }
    let case = last.context("every call met a closing connection or a rest")?;
    // A second answer that comes when the next request has been sent is that one's: nobody can tell.
    gate.bad.said(&case.id).await;
    follow(&mut caller, &case, at, lane, gate, closing).await.with_context(|| describe(&case))
}

async fn follow(
    caller: &mut Caller,
    case: &Case,
    at: u64,
    lane: usize,
    gate: &Gate,
    closing: &AtomicU64,
) -> Result<()> {
    let mut last = 0;
    for again in 0..CLOSING {
        let id = format!("case-{at}-next-{again}");
        let next = caller.follow(case, &id, lane).await.context("the next call")?;
        let asked = gate.bad.take(&id).len();
        if asked > 0 {
            ensure!(asked == 1, "the next call was sent {asked} times");
            return whole(case, &next, &id, "bad").context("the next call");
        }
        never_arrived(&next, false, case, closing).context("the next call")?;
        last = next.status;
        tokio::time::sleep(LONGEST_REST).await;
    }
    bail!("every next call met a closing connection or a rest; the last answer was {last}")
}

/// A provider that closes a connection without a word may do so just when a call is sent on it; and one that said it was
/// at its limit rests a moment later, maybe when the call that it said so to and the next one are over.
fn never_arrived(answer: &Answer, backed: bool, case: &Case, closing: &AtomicU64) -> Result<()> {
    closing.fetch_add(1, Ordering::Relaxed);
    if backed {
        return whole(case, answer, &case.id, "good");
    }
    ensure!(matches!(answer.status, 429 | 502), "{} though nobody was asked", answer.status);
    Ok(())
}

/// Broken on purpose to see it fail: what came unasked on a kept connection not looked for (`upstream/unasked.rs`).
#[test]
fn lying_answers_are_found_out_and_the_next_call_is_right() -> Result<()> {
    run_alone(async {
        let (seed, cases) = (seed()?, cases("WEIR_EDGE_ANSWERS", 2_000)?);
        let gate = Arc::new(Gate::start("edge-answers").await?);
        let before = gate.descriptors()?;
        let closing = Arc::new(AtomicU64::new(0));
        let begun = Instant::now();
        let (shared, counter) = (gate.clone(), closing.clone());
        all(cases.clone(), LANES, move |at, lane| {
            let (gate, closing) = (shared.clone(), counter.clone());
            async move { check(seed, at, lane, &gate, &closing).await }
        })
        .await?;
        println!("{} answers in {:?}", cases.end - cases.start, begun.elapsed());
        aftermath(&gate, before, closing.load(Ordering::Relaxed)).await
    })
}

/// What is left when all is over.
async fn aftermath(gate: &Gate, before: usize, closing: u64) -> Result<()> {
    let providers: [&Upstream; 2] = [&gate.bad, &gate.good];
    for provider in providers {
        ensure!(provider.faults().is_empty(), "no proper requests: {:?}", provider.faults());
        ensure!(provider.left().is_empty(), "requests of nobody: {:?}", provider.left());
    }
    let state = gate.quiet().await?;
    // Every request that was sent is posted, and none that was not; of those that met a closing connection nobody
    // can tell.
    let sent = gate.bad.requests() + gate.good.requests();
    let counted = ["bad", "good"]
        .map(|name| posted(&state, &format!("deployment/{name}-"), "requests"))
        .iter()
        .sum::<u64>();
    ensure!(
        (sent..=sent + closing).contains(&counted),
        "{counted} posted for {sent} requests, {closing} lost"
    );
    gate.sound().await?;
    let peak = gate.peak()?;
    ensure!(peak < MOST_MEMORY, "{} MiB of memory", peak >> 20);
    providers.iter().for_each(|provider| provider.close());
    let after = gate.descriptors_within(before + 2).await?;
    println!(
        "{sent} requests, {closing} met a closing connection; {} MiB at most; {before} file descriptors before, {after} after",
        peak >> 20
    );
    Ok(())
}
