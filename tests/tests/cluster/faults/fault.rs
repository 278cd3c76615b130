//! What is done to a site, once; the runner does it again and again.

use std::time::Duration;

use anyhow::{Context, Result};
use fastrand::Rng;
use weir_tests::apart::Cut;
use weir_tests::process::eventually;
use weir_tests::site::Site;
use weir_tests::topology::Topology;

use crate::topologies::{SPLIT, cluster, sentinels};

/// A fault. Whatever it breaks it mends again before it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// A replica is killed, and replaced after a while.
    KillReplica,
    /// A replica stands still.
    StopReplica,
    /// Redis stands still.
    StopRedis,
    /// Redis forgets everything.
    Flush,
    /// Redis forgets the scripts.
    ForgetScripts,
    /// Redis is killed, and comes back empty.
    EmptyRedis,
    /// Redis is killed, and comes back empty after two windows.
    RedisAway,
    /// The first replica and Redis do not hear each other, or one does not hear the other.
    CutOff,
    /// Sentinels put another master in the place of one that is well.
    FailOver,
    /// The master of the slot is killed, once: a replica takes over.
    KillMaster,
    /// The slot moves to another node, once; for a while its keys are at one and the slot at the other.
    MoveSlot,
    /// Redis' clock is stepped: back, by less than a second forward, by more, far back.
    StepClock,
}

/// Steps of a clock, ms, in turn: every second goes forward.
const STEPS: [i64; 4] = [-5_000, 900, -3_600_000, 5_000];

impl Fault {
    /// Does it and mends it. Returns what was done, in words.
    pub(crate) async fn strike(self, site: &mut Site, turn: usize, dice: &mut Rng) -> Result<String> {
        let chosen = dice.usize(..site.replicas.len());
        match self {
            Fault::None => Ok("nothing".into()),
            Fault::KillReplica => {
                site.replicas[chosen].kill()?;
                let gone = wait(dice, 0.2, 1.0).await;
                site.replicas[chosen].replace().await?;
                Ok(format!("replica-{chosen} killed, replaced after {gone:?}"))
            }
            Fault::StopReplica => {
                site.replicas[chosen].freeze()?;
                let still = wait(dice, 0.5, 5.0).await;
                site.replicas[chosen].thaw()?;
                Ok(format!("replica-{chosen} stopped for {still:?}"))
            }
            Fault::StopRedis => {
                site.redis.freeze()?;
                let still = wait(dice, 0.5, 5.0).await;
                site.redis.thaw()?;
                Ok(format!("Redis stopped for {still:?}"))
            }
            Fault::Flush => site.redis.flush().map(|()| "FLUSHALL".into()),
            Fault::ForgetScripts => site.redis.forget_scripts().map(|()| "SCRIPT FLUSH".into()),
            Fault::EmptyRedis => {
                site.redis.kill()?;
                let gone = wait(dice, 0.0, 1.0).await;
                site.redis.restart().await?;
                Ok(format!("Redis killed, back empty after {gone:?}"))
            }
            Fault::RedisAway => {
                site.redis.kill()?;
                let gone = 2 * site.plan.scale.window;
                tokio::time::sleep(gone).await;
                site.redis.restart().await?;
                Ok(format!("Redis killed, back empty after {gone:?}"))
            }
            Fault::CutOff => {
                let apart = site.apart.as_ref().context("no replica runs apart")?;
                let cut = [Cut::Both, Cut::Replies, Cut::Requests][turn % 3];
                apart.cut(site.redis.addr().port(), cut)?;
                let silent = wait(dice, 0.5, 6.0).await;
                apart.mend()?;
                Ok(format!("replica-0 cut off from Redis ({cut:?}) for {silent:?}"))
            }
            Fault::FailOver => {
                let before = sentinels(site)?.master()?;
                eventually("failover", async || sentinels(site)?.fail_over().map(|()| true)).await?;
                let master = sentinels(site)?.replaced(before).await?;
                Ok(format!("{master} in the place of {before}"))
            }
            Fault::KillMaster => {
                site.redis.kill()?;
                let heir = cluster(site)?.replaced(&site.redis).await?;
                Ok(format!("{} in the place of the killed {}", heir.addr(), site.redis.addr()))
            }
            Fault::MoveSlot => {
                let target = cluster(site)?.move_keys(&site.redis)?;
                tokio::time::sleep(SPLIT).await;
                cluster(site)?.hand_over(&site.redis)?;
                Ok(format!("the slot moved to {}", target.addr()))
            }
            Fault::StepClock => {
                let step = STEPS[turn % STEPS.len()];
                site.redis.step_clock(step)?;
                Ok(format!("Redis' clock stepped by {step} ms"))
            }
        }
    }

    /// How Redis must be set up for it.
    pub(crate) fn topology(self) -> Topology {
        match self {
            Fault::FailOver => Topology::Sentinel,
            Fault::KillMaster | Fault::MoveSlot => Topology::Cluster,
            _ => Topology::Single,
        }
    }

    /// How long nothing is done before it, where a window is `window`.
    pub(crate) fn pause(self, turn: usize, window: Duration, dice: &mut Rng) -> Duration {
        let seconds = match self {
            Fault::None | Fault::StopReplica | Fault::StopRedis | Fault::CutOff => 0.5 + 2.0 * dice.f64(),
            Fault::KillReplica => 0.5 + 1.5 * dice.f64(),
            Fault::ForgetScripts => 0.1 + 0.4 * dice.f64(),
            Fault::Flush | Fault::EmptyRedis => 1.5 + 2.5 * dice.f64(),
            // Two of these are more than a window, and no window sees two steps forward.
            Fault::KillMaster | Fault::MoveSlot if turn > 0 => return Duration::MAX / 4,
            Fault::RedisAway | Fault::KillMaster | Fault::MoveSlot => return window,
            Fault::FailOver => 3.0 + 3.0 * dice.f64(),
            Fault::StepClock => window.as_secs_f64() * (0.55 + 0.1 * dice.f64()),
        };
        Duration::from_secs_f64(seconds)
    }
}

/// Waits for a random time between bounds in seconds; returns it.
async fn wait(dice: &mut Rng, least: f64, most: f64) -> Duration {
    let time = Duration::from_millis((1_000.0 * (least + (most - least) * dice.f64())) as u64);
    tokio::time::sleep(time).await;
    time
}
