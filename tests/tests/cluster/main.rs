//! Whole-process tests of a cluster: replicas behind HAProxy, a real Redis, strict providers, open-loop load,
//! kill -9 and SIGSTOP. `weir_tests` is the rig.
//!
//! Each test says in its comment what was broken on purpose to see it fail. They run one after the other, for they
//! share the machine. `WEIR_BIN` names the gateway, `WEIR_FULL=1` makes windows real minutes; the controls, which
//! need a gateway of their own, run with `--ignored`.

mod controls;
mod drain;
mod failures;
mod faults;
mod limits;
mod outage;
mod predicted;
mod sessions;
mod storm;
mod topologies;

use std::future::Future;
use std::sync::{Mutex, PoisonError};

use anyhow::Result;

/// Runs a test when no other runs.
fn alone<T>(test: impl Future<Output = Result<T>>) -> Result<T> {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?.block_on(test)
}
