//! A way to the state: a lane to Redis, or the core in this process.

use std::sync::Arc;
use std::time::Duration;

use super::Away;
use super::core::{Command, Reply, State};
use super::lanes::Lane;
use super::local::Local;

/// How long a start waits for a connection to the state, and for what it says first: all who ask at the start go by it, and the start
/// waits for them.
pub const FIRST_CONTACT: Duration = Duration::from_secs(1);

/// A way to the state, owned by one worker.
#[derive(Clone, Debug)]
pub enum Port {
    /// A connection of this worker.
    Redis(Arc<Lane>),
    /// In this process.
    Local(Arc<Local>),
}

impl Port {
    pub(super) async fn run(&self, command: &Command) -> Result<Reply, Away> {
        match self {
            Port::Redis(lane) => lane.run(command).await,
            Port::Local(local) => Ok(local.run(command)),
        }
    }

    /// Keeps a string for all replicas.
    pub async fn note(&self, key: &str, value: &str, ttl: Duration) -> Result<(), Away> {
        match self {
            Port::Redis(lane) => lane.note(key, value, ttl).await,
            Port::Local(local) => {
                local.note(key, value, ttl);
                Ok(())
            }
        }
    }

    /// Keeps a string for all replicas where there is none yet: whether it did, and the one that is kept then. Of several who claim at
    /// once one gets it.
    pub(super) async fn claim(
        &self,
        key: &str,
        value: &str,
        ttl: Duration,
    ) -> Result<(bool, Option<String>), Away> {
        match self {
            Port::Redis(lane) => lane.claim(key, value, ttl).await,
            Port::Local(local) => {
                let (made, kept) = local.claim(key, value, ttl);
                Ok((made, Some(kept)))
            }
        }
    }

    /// Keeps a string that was claimed for so long from now on.
    pub(super) async fn prolong(&self, key: &str, ttl: Duration) -> Result<(), Away> {
        match self {
            Port::Redis(lane) => lane.prolong(key, ttl).await,
            Port::Local(local) => {
                local.prolong(key, ttl);
                Ok(())
            }
        }
    }

    /// A string that [`Port::note`] has kept.
    pub async fn recall(&self, key: &str) -> Result<Option<String>, Away> {
        match self {
            Port::Redis(lane) => lane.recall(key).await,
            Port::Local(local) => Ok(local.recall(key)),
        }
    }

    /// Can the state be asked, as far as is known?
    pub fn is_open(&self) -> bool {
        match self {
            Port::Redis(lane) => lane.is_open(),
            Port::Local(_) => true,
        }
    }

    /// Returns when the state can be asked, or after `limit`.
    pub async fn opened(&self, limit: Duration) {
        if let Port::Redis(lane) = self {
            // If it stays away, calls follow `on_outage`.
            let _ = tokio::time::timeout(limit, lane.opened()).await;
        }
    }

    /// The whole state, brought to the present, without pins. Costly: for tests.
    pub async fn snapshot(&self) -> Result<State, Away> {
        Ok(at_present(match self {
            Port::Redis(lane) => lane.snapshot().await?,
            Port::Local(local) => local.snapshot(),
        }))
    }

    /// Of it these pools, the circuits and who lives, without what was granted to whom.
    pub async fn overview(&self, pools: &[Arc<str>]) -> Result<State, Away> {
        Ok(at_present(match self {
            Port::Redis(lane) => lane.overview(pools).await?,
            Port::Local(local) => local.snapshot(),
        }))
    }
}

fn at_present(mut state: State) -> State {
    let l = state.clock.l;
    state.pools.values_mut().flat_map(|pool| &mut pool.meters).for_each(|meter| meter.advance(l));
    state
}
