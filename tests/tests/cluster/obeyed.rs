//! How soon the others obey what one replica has seen. Each row was broken on purpose to see it fail: nothing told ahead of the next
//! SYNC (`Client::ended`, `Client::learnt`, `Client::rest` that do not ring). Without that it is half of what passes between two of
//! them, about 95 ms.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use weir_tests::client::{Ask, Client};
use weir_tests::provider::Upstream;
use weir_tests::site::{Plan, Site};

use super::accounts::KEY;
use crate::in_turn;

const QUICK: &str = "--output 8 --latency 5ms --pace 0ms";

/// What makes a deployment be left alone.
#[derive(Clone, Copy)]
struct Row {
    name: &'static str,
    defaults: &'static str,
    failure: &'static str,
    /// So many calls in a row.
    calls: usize,
    /// First it is quiet for so long.
    quiet: Duration,
}

#[test]
fn an_open_circuit_is_obeyed_at_once() -> Result<()> {
    obeyed_at_once(Row {
        name: "obeyed-circuit",
        defaults: "circuit = { open = \"300ms\", ramp = \"0s\", successes = 1 }\n",
        failure: "status=500",
        calls: 5,
        // What went well is told five times a second, and for a moment longer it speaks against a row of failures.
        quiet: Duration::from_millis(500),
    })
}

#[test]
fn a_refused_key_is_obeyed_at_once() -> Result<()> {
    let defaults = "cooldown = { default = \"300ms\", max = \"300ms\" }\n";
    obeyed_at_once(Row { name: "obeyed-key", defaults, failure: KEY, calls: 1, quiet: Duration::ZERO })
}

#[test]
fn a_cooldown_is_obeyed_at_once() -> Result<()> {
    let defaults = "cooldown = { default = \"300ms\", max = \"300ms\" }\n";
    let failure = "status=429";
    obeyed_at_once(Row { name: "obeyed-cooldown", defaults, failure, calls: 1, quiet: Duration::ZERO })
}

fn obeyed_at_once(row: Row) -> Result<()> {
    in_turn(async {
        let upstreams = ["fails", "helps"].map(|name| Upstream::new(name).behaving(QUICK)).to_vec();
        let models = "[[models]]\nname = \"m\"\ndeployments = [{ name = \"fails\", priority = 0 }, \
                      { name = \"helps\", priority = 1 }]\n";
        let models = Some(models.to_owned());
        let site =
            Site::start(Plan { models, defaults: row.defaults.to_owned(), ..Plan::new(row.name, upstreams) })
                .await?;
        let replicas: Vec<Client> = site.replicas.iter().map(|replica| Client::new(replica.addr())).collect();
        let mut times = Vec::new();
        for _ in 0..20 {
            times.push(round(&site, &replicas, row).await?);
        }
        times.sort();
        println!("{}: median {:?}, longest {:?}", row.name, times[times.len() / 2], times[times.len() - 1]);
        ensure!(times[times.len() / 2] < Duration::from_millis(60), "{times:?}");
        Ok(())
    })
}

/// The first replica sees it; how long the others go on calling there.
async fn round(site: &Site, replicas: &[Client], row: Row) -> Result<Duration> {
    let ask = Ask::new("m").max_tokens(8);
    tokio::time::sleep(row.quiet).await;
    site.providers[0].fail(&[row.failure]).await?;
    for _ in 0..row.calls {
        let answer = replicas[0].call(&ask).await;
        ensure!(answer.is_good(false) && answer.attempts == 2, "{answer:?}");
    }
    let seen = Instant::now();
    for other in &replicas[1..] {
        loop {
            let answer = other.call(&ask).await;
            ensure!(answer.is_good(false), "{answer:?}");
            if answer.attempts == 1 {
                break;
            }
            ensure!(seen.elapsed() < Duration::from_secs(2), "it goes on calling there");
        }
    }
    let obeyed = seen.elapsed();
    site.providers[0].fail(&[]).await?;
    // The first call that goes there may be a probe; it is over when others follow.
    let (healed, mut back) = (Instant::now(), 0);
    while back < 3 {
        ensure!(healed.elapsed() < Duration::from_secs(5), "it does not come back");
        back = if replicas[0].call(&ask).await.deployment == "fails" { back + 1 } else { 0 };
    }
    Ok(obeyed)
}
