//! Whole-process tests of a cluster: replicas behind HAProxy, a real Redis, strict providers, open-loop load,
//! kill -9 and SIGSTOP. `weir_tests` is the rig.
//!
//! Each test says in its comment what was broken on purpose to see it fail. Few run at once, for they
//! share the machine. `WEIR_BIN` names the gateway, `WEIR_FULL=1` makes windows real minutes; the controls, which
//! need a gateway of their own, run with `--ignored`.

mod accounts;
mod alerts;
mod budgets;
mod circuits;
mod controls;
mod costs;
mod drain;
mod drained;
mod examples;
mod experiments;
mod failures;
mod fallbacks;
mod faults;
mod health;
mod hedging;
mod hostile;
mod keys;
mod learned;
mod leases;
mod life;
mod limits;
mod obeyed;
mod outage;
mod predicted;
mod queue;
mod retries;
mod retry_budget;
mod rules;
mod sessions;
mod simulated;
mod slow_start;
mod storm;
mod strategies;
mod telemetry;
mod told;
mod topologies;
mod upgrade;
mod warmth;

use std::fs::File;
use std::future::Future;
use std::io::Write;
use std::time::Instant;

use anyhow::Result;
use tokio::sync::Semaphore;
use weir_tests::place;
use weir_tests::scale::Scale;

/// Share of calls that may be refused for want of the shared state though nothing takes it away: on a busy machine
/// Redis may stand still for longer than `closed` waits, 0.4 s. What is broken refuses far more.
const MOST_CLOSED: f64 = 0.02;

/// Runs a test in its turn: as many at once as the machine bears without one disturbing another. Their calls come
/// slower when windows are minutes.
fn in_turn<T>(test: impl Future<Output = Result<T>>) -> Result<T> {
    static SHORT: Semaphore = Semaphore::const_new(2);
    static MINUTES: Semaphore = Semaphore::const_new(3);
    let seats = if Scale::from_env().is_full() { &MINUTES } else { &SHORT };
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?
        .block_on(async {
            let _seat = seats.acquire().await?;
            let begun = Instant::now();
            let ended = test.await;
            println!("{} took {:.1} s", own_name(), begun.elapsed().as_secs_f64());
            ended
        })
        .inspect_err(note_failure)
}

/// The test that this thread runs.
fn own_name() -> String {
    std::thread::current().name().unwrap_or("a test").to_owned()
}

/// Leaves a test's error where `tests/run` looks for it: between the lines of tests beside it few would find it.
fn note_failure(error: &anyhow::Error) {
    let line = format!("{}: {error:#}\n", own_name());
    let noted = place::target().and_then(|target| {
        let mut file = File::options().create(true).append(true).open(target.join("failures.txt"))?;
        Ok(file.write_all(line.as_bytes())?)
    });
    if let Err(error) = noted {
        println!("failures.txt: {error}");
    }
}
