//! The edge: hostile clients before the gateway, lying providers behind it. Whole processes and bare sockets; the
//! verdict rests on bytes that clients and providers saw.
//!
//! Everything is generated from `WEIR_EDGE_SEED` (printed; drawn if absent), as many as `WEIR_EDGE_REQUESTS` and
//! `WEIR_EDGE_ANSWERS` say. `WEIR_EDGE_CASE` runs the one of that number.

mod answers;
mod control;
mod crowd;
mod endpoints;
mod gate;
mod hostile;
mod lies;
mod requests;
mod upstream;
mod wire;

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use anyhow::{Result, bail};

/// Held by every test; by those alone that must not be disturbed.
static TURN: RwLock<()> = RwLock::new(());

/// Runs a test beside others.
fn run<T>(test: impl Future<Output = Result<T>>) -> Result<T> {
    let _turn = TURN.read().unwrap_or_else(PoisonError::into_inner);
    on_two_threads(test)
}

/// Runs a test whose time limits are short, while no other runs.
fn run_alone<T>(test: impl Future<Output = Result<T>>) -> Result<T> {
    let _turn = TURN.write().unwrap_or_else(PoisonError::into_inner);
    on_two_threads(test)
}

fn on_two_threads<T>(test: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?.block_on(test)
}

/// A number from the environment.
fn number(name: &str, otherwise: u64) -> Result<u64> {
    match std::env::var(name) {
        Ok(text) => Ok(text.parse()?),
        Err(_) => Ok(otherwise),
    }
}

/// The seed of this run.
fn seed() -> Result<u64> {
    let seed = number("WEIR_EDGE_SEED", fastrand::u64(..1 << 32))?;
    println!("WEIR_EDGE_SEED={seed}");
    Ok(seed)
}

/// Which cases to run: `count`, or the one that the environment names.
fn cases(name: &str, count: u64) -> Result<std::ops::Range<u64>> {
    let count = number(name, count)?;
    match std::env::var("WEIR_EDGE_CASE") {
        Ok(text) => text.parse().map(|at: u64| at..at + 1).map_err(Into::into),
        Err(_) => Ok(0..count),
    }
}

/// Runs `one` for every case, `lanes` at a time, and fails with what was wrong, the first few of it.
async fn all<F, A>(cases: std::ops::Range<u64>, lanes: usize, one: F) -> Result<()>
where
    F: Fn(u64, usize) -> A + Send + Sync + 'static,
    A: Future<Output = Result<()>> + Send,
{
    let (one, next) = (Arc::new(one), Arc::new(AtomicU64::new(cases.start)));
    let end = cases.end;
    let lanes = (0..lanes).map(|lane| {
        let (one, next) = (one.clone(), next.clone());
        tokio::spawn(async move {
            let mut wrong = Vec::new();
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                if at >= end {
                    return wrong;
                }
                if let Err(error) = one(at, lane).await {
                    wrong.push(format!("case {at}: {error:#}"));
                }
            }
        })
    });
    let mut wrong = Vec::new();
    for lane in lanes.collect::<Vec<_>>() {
        wrong.extend(lane.await?);
    }
    if wrong.is_empty() {
        return Ok(());
    }
    wrong.sort();
    let count = wrong.len();
    wrong.truncate(number("WEIR_EDGE_SHOWN", 20)? as usize);
    bail!("{count} of {} are wrong:\n{}", cases.end - cases.start, wrong.join("\n"))
}
