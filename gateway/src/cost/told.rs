//! The loop that tells others what was spent here.
//!
//! It tells twice a second what has changed, so that is the most of a replica's spending that is lost with it when it is killed
//! (and what its calls in flight would have come to). Every five seconds it looks whether the state still has what it was told last,
//! and tells all of it again if not. The last word on a book waits for its turn, some seconds: at a full hour all replicas have one,
//! and a day's of them when the state has lost its data, and the calls that the same server decides on come first.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::books::folded;
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
/// Series that are told at once: between two steps the server does other things.
const STEP: usize = 200;
/// The time between two last words, at random, ms.
const LAST: std::ops::Range<u64> = 1_000..20_000;
/// Seconds of an hour, and of a day.
const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

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
    /// When it was looked whether the state still has what it was told.
    probed: Instant,
    /// When the next last word may be told.
    last_from: Instant,
}

impl Teller {
    /// Of a replica, by a port of its own.
    pub fn new(shared: Arc<Shared>, port: Port) -> Teller {
        let now = Instant::now();
        Teller { shared, port, failing: false, stale: Vec::new(), probed: now, last_from: now + last_pause() }
    }

    /// The loop; returns when told to stop, after the last word.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut looked = None::<Instant>;
        while !*stop.borrow() {
            if looked.is_none_or(|looked| looked.elapsed() >= LOOK) {
                looked = Some(Instant::now());
                self.look_at_prices();
            }
            let done = self.turn(hour_now()).await;
            self.note(done);
            tokio::select! {
                () = tokio::time::sleep(TELL) => {}
                _ = stop.changed() => {}
            }
        }
        self.leave().await;
    }

    /// What is done each time.
    async fn turn(&mut self, hour: Hour) -> Result<(), Away> {
        let (costs, port, now) = (&self.shared.costs, &self.port, Instant::now());
        if now.duration_since(self.probed) >= PROBE {
            self.probed = now;
            probe(costs, port).await?;
        }
        tell(costs, port, hour).await?;
        if now >= self.last_from {
            self.last_from = now + last_pause();
            tell_last(costs, port).await?;
        }
        Ok(())
    }

    /// The last word of a replica that ends, after its last call.
    async fn leave(&self) {
        let (longest, pause) = LEAVING;
        self.shared.costs.close();
        let telling = async {
            while tell_all(&self.shared.costs, &self.port, hour_now()).await.is_err() {
                tokio::time::sleep(pause).await;
            }
        };
        if tokio::time::timeout(longest, telling).await.is_err() {
            tracing::warn!(target: "weir::cost", "not all of the last that was spent could be told");
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

/// Days since anybody looked up the price of the table that was looked up longest ago, of those by which deployments are paid.
pub fn age_days(config: &Config, unix: u64) -> Option<u64> {
    let listed = config.deployments.iter().filter_map(|deployment| deployment.pricing.listed_at(unix));
    listed.map(|listed| unix.saturating_sub(listed.checked) / DAY).max()
}

/// Deployments whose price of the table is over, with none after it, or was looked up more than a year before, or in days to come.
pub fn stale(config: &Config, unix: u64) -> Vec<String> {
    // (A day begins earlier elsewhere.)
    let is_old = |checked: u64| checked + 365 * DAY < unix || checked > unix + DAY;
    let is_stale = |pricing: &crate::config::Pricing| {
        pricing.is_over(unix) || pricing.listed_at(unix).is_some_and(|listed| is_old(listed.checked))
    };
    let stale = config.deployments.iter().filter(|deployment| is_stale(&deployment.pricing));
    stale.map(|deployment| deployment.name.to_string()).collect()
}

fn last_pause() -> Duration {
    Duration::from_millis(fastrand::u64(LAST))
}

/// Tells what has changed. What fails is due again.
async fn tell(costs: &Costs, port: &Port, hour: Hour) -> Result<(), Away> {
    let due = costs.due(hour);
    let mut result = Ok(());
    for telling in &due {
        match result {
            Ok(()) => result = note(costs, telling, levels(port, telling).await),
            Err(_) => costs.failed(telling),
        }
    }
    result
}

/// Tells the last word on one book; whether there was one.
async fn tell_last(costs: &Costs, port: &Port) -> Result<bool, Away> {
    let Some(telling) = costs.last_word() else { return Ok(false) };
    note(costs, &telling, last_word(port, &telling).await).map(|()| true)
}

/// Tells what there is, without a pause.
async fn tell_all(costs: &Costs, port: &Port, hour: Hour) -> Result<(), Away> {
    tell(costs, port, hour).await?;
    while tell_last(costs, port).await? {}
    Ok(())
}

/// Takes note of what became of something told.
fn note(costs: &Costs, telling: &Telling, told: Result<ToldCosts, Away>) -> Result<(), Away> {
    match told {
        Ok(ToldCosts::Taken(times)) => costs.told(telling, Some(times)),
        Ok(ToldCosts::Over) => costs.told(telling, None),
        Ok(ToldCosts::Closing) => costs.failed(telling), // its last word was cut short, and is told again
        Ok(ToldCosts::Unknown) => {
            tracing::info!(target: "weir::cost", "the state has lost what was spent: all of it is told again");
            costs.anew();
        }
        Err(away) => {
            costs.failed(telling);
            return Err(away);
        }
    }
    Ok(())
}

/// Tells levels in steps.
async fn levels(port: &Port, telling: &Telling) -> Result<ToldCosts, Away> {
    let Telling { hour, id, part, series } = telling;
    let mut before = if let Part::Changed(times) = part { Some(*times) } else { None };
    let mut told = ToldCosts::Unknown;
    for some in series.chunks(STEP) {
        let some: Vec<(&str, String)> = some.iter().map(|(name, sums)| (&**name, sums.text())).collect();
        told = port.tell_costs((*hour, id), before, &some).await?;
        let ToldCosts::Taken(times) = told else { break };
        before = Some(times);
    }
    Ok(told)
}

/// Tells a book as it is at its end, then makes it a part of the sum, all in steps. Each series becomes one once, however often it
/// is told to: so whatever fails, the whole of this may be done again.
async fn last_word(port: &Port, telling: &Telling) -> Result<ToldCosts, Away> {
    let Telling { hour, id, series, .. } = telling;
    let before = match levels(port, telling).await? {
        ToldCosts::Taken(times) => Some(times),
        ToldCosts::Closing => None,
        other => return Ok(other),
    };
    let mut left = series.len();
    for some in series.chunks(STEP) {
        left -= some.len();
        let some: Vec<(&str, String)> = some.iter().map(|(name, _)| (&**name, folded(name))).collect();
        let closed = port.close_costs((*hour, id), before, left == 0, &some).await?;
        if closed != ToldCosts::Closing {
            return Ok(closed);
        }
    }
    Ok(ToldCosts::Closing)
}

/// Has the state lost what it was told? One that was set back to a copy of before has lost some of it.
async fn probe(costs: &Costs, port: &Port) -> Result<(), Away> {
    let Some(mark) = costs.probe() else { return Ok(()) };
    if port.costs_mark(mark.hour, &mark.id).await? != Some(mark.times) {
        tracing::info!(target: "weir::cost", "the state has lost what was spent: all of it is told again");
        costs.anew();
    }
    Ok(())
}

#[cfg(test)]
#[path = "told_tests.rs"]
mod tests;
