//! The loop that tells others what was spent here.
//!
//! It tells twice a second what has changed, so that is the most of a replica's spending that is lost with it when it is killed
//! (and what its calls in flight would have come to). Every five seconds it looks whether the state still has what it was told, and
//! tells all of it again if not.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::{Costs, Hour, Part, Telling};
use crate::clock::unix_now;
use crate::config::Config;
use crate::shared::Shared;
use crate::state::{Away, Port, ToldCosts};

/// How often what has changed is told.
const TELL: Duration = Duration::from_millis(500);
/// How often it is looked whether the state has lost it.
const PROBE: Duration = Duration::from_secs(5);
/// How often it is looked whether prices are out of date.
const LOOK: Duration = Duration::from_secs(3600);
/// How long a replica that leaves tries to tell the last of it, and the time between two tries.
const LEAVING: (Duration, Duration) = (Duration::from_secs(2), Duration::from_millis(50));
/// Series that are told at once.
const STEP: usize = 200;
/// Seconds of an hour.
const HOUR: u64 = 3600;

/// The hour that goes on.
pub fn hour_now() -> Hour {
    unix_now() / HOUR
}

/// Tells what one replica has spent.
#[derive(Debug)]
pub struct Teller {
    shared: Arc<Shared>,
    port: Port,
    failing: bool,
    stale: Vec<String>,
}

impl Teller {
    /// Of a replica, by a port of its own.
    pub fn new(shared: Arc<Shared>, port: Port) -> Teller {
        Teller { shared, port, failing: false, stale: Vec::new() }
    }

    /// The loop; returns when told to stop, after the last word.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let (mut probed, mut looked) = (Instant::now(), None::<Instant>);
        while !*stop.borrow() {
            if looked.is_none_or(|looked| looked.elapsed() >= LOOK) {
                looked = Some(Instant::now());
                self.look_at_prices();
            }
            let done = async {
                if probed.elapsed() >= PROBE {
                    probed = Instant::now();
                    probe(&self.shared.costs, &self.port).await?;
                }
                tell(&self.shared.costs, &self.port, hour_now()).await
            };
            let done = done.await;
            self.note(done);
            tokio::select! {
                () = tokio::time::sleep(TELL) => {}
                _ = stop.changed() => {}
            }
        }
        self.leave().await;
    }

    /// The last word of a replica that ends, after its last call.
    async fn leave(&self) {
        let (begun, (longest, pause)) = (Instant::now(), LEAVING);
        self.shared.costs.close();
        while let Err(away) = tell(&self.shared.costs, &self.port, hour_now()).await {
            if begun.elapsed() >= longest {
                tracing::warn!(target: "weir::cost", error = %away, "the last that was spent could not be told");
                return;
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// Says once that nothing can be told, and once that it can again.
    fn note(&mut self, done: Result<(), Away>) {
        let failing = done.is_err();
        if std::mem::replace(&mut self.failing, failing) != failing {
            match done {
                Err(error) => {
                    tracing::warn!(target: "weir::cost", %error, "what is spent is not told to others");
                }
                Ok(()) => tracing::info!(target: "weir::cost", "what is spent is told to others again"),
            }
        }
    }

    /// Warns of prices that are out of date, once of the same ones.
    fn look_at_prices(&mut self) {
        let snapshot = self.shared.snapshot.load();
        let stale = stale(&snapshot.config, unix_now());
        if !stale.is_empty() && stale != self.stale {
            tracing::warn!(
                target: "weir::cost", deployments = stale.join(", "),
                "prices that are over, or that nobody has looked up for a year; `weir prices show` says which"
            );
        }
        self.stale = stale;
    }
}

/// Deployments whose price of the table is over, with none after it, or was looked up more than a year before.
pub fn stale(config: &Config, unix: u64) -> Vec<String> {
    const YEAR: u64 = 365 * 24 * HOUR;
    let is_old = |checked: u64| checked + YEAR < unix;
    let is_stale = |pricing: &crate::config::Pricing| {
        pricing.is_over(unix) || pricing.listed_at(unix).is_some_and(|listed| is_old(listed.checked))
    };
    let stale = config.deployments.iter().filter(|deployment| is_stale(&deployment.pricing));
    stale.map(|deployment| deployment.name.to_string()).collect()
}

/// Tells what is due. What fails is due again.
async fn tell(costs: &Costs, port: &Port, hour: Hour) -> Result<(), Away> {
    let due = costs.due(hour);
    let mut result = Ok(());
    for telling in &due {
        let told = if result.is_ok() { Some(tell_one(port, telling).await) } else { None };
        match told {
            Some(Ok(ToldCosts::Taken(times))) => costs.told(telling, times),
            Some(Ok(ToldCosts::WasOver)) => {} // an answer was lost
            Some(Ok(ToldCosts::Unknown)) => {
                tracing::info!(target: "weir::cost", "the state has lost what was spent: all of it is told again");
                costs.anew();
            }
            Some(Err(away)) => {
                costs.failed(telling);
                result = Err(away);
            }
            None => costs.failed(telling),
        }
    }
    result
}

/// In steps, between which the server does other things; but the last word, of which each part would have to be told once, at once.
async fn tell_one(port: &Port, telling: &Telling) -> Result<ToldCosts, Away> {
    let Telling { hour, id, part, series } = telling;
    let series: Vec<(&str, String)> =
        series.iter().map(|(name, sums)| (name.as_str(), sums.text())).collect();
    let (mut before, over) = match part {
        Part::Changed(times) => (Some(*times), false),
        Part::Whole => (None, false),
        Part::Last => (None, true),
    };
    let mut told = ToldCosts::Unknown;
    for some in series.chunks(if over { usize::MAX } else { STEP }) {
        told = port.tell_costs((*hour, id), before, over, some).await?;
        let ToldCosts::Taken(times) = told else { break };
        before = Some(times);
    }
    Ok(told)
}

/// Has the state lost what it was told?
async fn probe(costs: &Costs, port: &Port) -> Result<(), Away> {
    let Some((hour, id)) = costs.probe() else { return Ok(()) };
    if !port.knows_costs(hour, &id).await? {
        tracing::info!(target: "weir::cost", "the state has lost what was spent: all of it is told again");
        costs.anew();
    }
    Ok(())
}

#[cfg(test)]
#[path = "told_tests.rs"]
mod tests;
