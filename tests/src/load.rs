//! Open-loop load: calls are sent on a fixed schedule, whatever becomes of those before.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::client::{Answer, Ask, Client};

/// A part of a schedule: a rate for a time.
#[derive(Clone, Copy, Debug)]
pub struct Phase {
    /// How long.
    pub time: Duration,
    /// Calls per second.
    pub rate: f64,
}

/// Calls that are being made; ends early when dropped.
#[derive(Debug)]
pub struct Load {
    calls: JoinSet<Vec<Answer>>,
}

impl Load {
    /// Begins to send `ask(0)`, `ask(1)`, … through `client`: first `at_once` of them, then by the phases.
    pub fn start(
        client: Arc<Client>,
        at_once: usize,
        phases: &[Phase],
        ask: impl Fn(usize) -> Ask + Send + 'static,
    ) -> Load {
        let times = schedule(at_once, phases);
        let mut calls = JoinSet::new();
        calls.spawn(async move {
            let start = Instant::now();
            let mut open = JoinSet::new();
            for (at, due) in times.into_iter().enumerate() {
                if start.elapsed() < due {
                    tokio::time::sleep_until(start + due).await;
                }
                let (client, ask) = (client.clone(), ask(at));
                open.spawn(async move { client.call(&ask).await });
            }
            open.join_all().await
        });
        Load { calls }
    }

    /// Waits until every call has ended.
    pub async fn finish(self) -> Vec<Answer> {
        let mut answers: Vec<Answer> = self.calls.join_all().await.into_iter().flatten().collect();
        answers.sort_by_key(|answer| answer.sent_us);
        answers
    }
}

/// Every call was answered whole.
pub fn all_served(answers: &[Answer]) -> Result<()> {
    let odd = answers.iter().find(|answer| !answer.is_good(answer.streamed));
    ensure!(odd.is_none(), "{odd:?}");
    Ok(())
}

/// When the last call was sent, Unix time in µs.
pub fn load_ended(answers: &[Answer]) -> u64 {
    answers.iter().map(|answer| answer.sent_us).max().unwrap_or(0)
}

/// When each call is due, from the start.
fn schedule(at_once: usize, phases: &[Phase]) -> Vec<Duration> {
    let mut times = vec![Duration::ZERO; at_once];
    let mut begins = Duration::ZERO;
    for phase in phases {
        let count = (phase.time.as_secs_f64() * phase.rate).round() as usize;
        times.extend((0..count).map(|at| begins + Duration::from_secs_f64(at as f64 / phase.rate)));
        begins += phase.time;
    }
    times
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_follows_its_phases_whatever_their_rates() {
        let second = Duration::from_secs(1);
        let times = schedule(2, &[Phase { time: second, rate: 2.0 }, Phase { time: second, rate: 4.0 }]);
        let ms: Vec<u128> = times.iter().map(Duration::as_millis).collect();
        assert_eq!(ms, [0, 0, 0, 500, 1000, 1250, 1500, 1750]);
    }
}
