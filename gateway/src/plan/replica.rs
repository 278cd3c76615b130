//! A replica of the simulated cluster: the real side of the protocol, queues, standings and predictors, in the world's time.

use std::sync::Arc;
use std::time::Duration;

use ahash::AHashMap;
use parking_lot::Mutex;

use super::service::Us;
use crate::admit::estimate::Predictor;
use crate::config::Config;
use crate::queue::Queue;
use crate::route::rotation::Rotation;
use crate::shared::{deadlines, watches};
use crate::standing::Standing;
use crate::state::PoolInfo;
use crate::state::bell::Bell;
use crate::state::core::{Command, Ms, State};
use crate::state::lease::POLICY;
use crate::state::side::Side;

/// One replica.
#[derive(Debug)]
pub struct Replica {
    /// Its side of the protocol.
    pub side: Side,
    /// Rung when something was given back that others may want.
    pub bell: Arc<Bell>,
    /// How it has seen each deployment behave.
    pub standings: Vec<Arc<Standing>>,
    /// By model.
    pub rotations: Vec<Mutex<Rotation>>,
    /// By model.
    pub queues: Vec<Arc<Queue>>,
    /// When it says what is due before the time for that, if it does.
    pub flush_at: Option<Us>,
    /// By model: the pool that had no room when that was asked last.
    pub scarce: Vec<Option<usize>>,
    predictors: AHashMap<(usize, usize), Predictor>,
}

impl Replica {
    /// Another one, known to the state.
    pub fn join(
        name: String,
        (config, infos): (&Config, &[Arc<PoolInfo>]),
        leases: bool,
        replicas: u64,
        (state, now): (&mut State, Ms),
    ) -> anyhow::Result<Replica> {
        let mut side = Side::new(name, deadlines(config), now, replicas, now);
        if leases {
            side = side.borrowing(POLICY);
        }
        let new = |tag| Arc::new(Standing::new(tag));
        let standings: Vec<_> = config.deployments.iter().map(|of| new(of.tag)).collect();
        side.watch(watches(config, infos, &standings));
        while let Some(join) = side.due(now) {
            let reply = state.step(&Command::Join(join.clone()), now);
            anyhow::ensure!(
                side.joined(&join, &reply, now),
                "the state does not know the replica: {reply:?}"
            );
        }
        Ok(Replica {
            side,
            bell: Arc::default(),
            standings,
            rotations: config.models.iter().map(|_| Mutex::default()).collect(),
            queues: config.models.iter().map(|_| Arc::default()).collect(),
            flush_at: None,
            scarce: vec![None; config.models.len()],
            predictors: AHashMap::new(),
        })
    }

    /// Says what is due; `count`: in its time, and the living are counted.
    pub fn sync(&mut self, state: &mut State, now: Ms, count: bool) {
        let Some((sync, told)) = self.side.sync(now, count) else { return };
        let reply = state.step(&Command::Sync(sync), now);
        self.side.synced(told, reply, now);
    }

    /// In how long what was given back is to be told, if it is to be told earlier than in its time.
    pub fn rung(&self) -> Option<Duration> {
        self.bell.due()
    }

    /// What 95 in 100 calls of a model and a tenant stay within, and half of them; none if that is not known.
    pub fn predicted(&self, model: usize, tenant: usize) -> (Option<u64>, Option<u64>) {
        let known = self.predictors.get(&(model, tenant));
        known.map_or((None, None), |known| (known.p95(), known.median()))
    }

    /// Such a call came to so much output.
    pub fn learn(&mut self, model: usize, tenant: usize, output: u64) {
        self.predictors.entry((model, tenant)).or_default().observe(output);
    }
}
