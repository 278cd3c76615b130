//! What is done to a site, once; the runner does it again and again.

use std::time::Duration;

use anyhow::{Context, Result};
use fastrand::Rng;
use weir_tests::apart::Cut;
use weir_tests::site::Site;

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
    /// Redis' clock is stepped: back, by less than a second forward, by more, far back.
    StepClock,
}

/// Steps of a clock, ms, in turn: every second goes forward.
const STEPS: [i64; 4] = [-5_000, 900, -3_600_000, 5_000];

impl Fault {
    /// Does it and mends it. Returns what was done, in words.
    pub(crate) async fn strike(self, site: &mut Site, turn: usize, dice: &mut Rng) -> Result<String> {
        let chosen = dice.usize(..site.replicas.len());
        let replica = &mut site.replicas[chosen];
        match self {
            Fault::None => Ok("nothing".into()),
            Fault::KillReplica => {
                replica.kill()?;
                let gone = wait(dice, 0.2, 1.0).await;
                replica.replace().await?;
                Ok(format!("replica-{chosen} killed, replaced after {gone:?}"))
            }
            Fault::StopReplica => {
                replica.freeze()?;
                let still = wait(dice, 0.5, 5.0).await;
                replica.thaw()?;
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
            Fault::StepClock => {
                let step = STEPS[turn % STEPS.len()];
                site.redis.step_clock(step)?;
                Ok(format!("Redis' clock stepped by {step} ms"))
            }
        }
    }

    /// How long nothing is done before it, where a window is `window`.
    pub(crate) fn pause(self, window: Duration, dice: &mut Rng) -> Duration {
        let seconds = match self {
            Fault::None | Fault::StopReplica | Fault::StopRedis | Fault::CutOff => 0.5 + 2.0 * dice.f64(),
            Fault::KillReplica => 0.5 + 1.5 * dice.f64(),
            Fault::ForgetScripts => 0.1 + 0.4 * dice.f64(),
            Fault::Flush | Fault::EmptyRedis => 1.5 + 2.5 * dice.f64(),
            // Two of these are more than a window, and no window sees two steps forward.
            Fault::RedisAway => return window,
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
