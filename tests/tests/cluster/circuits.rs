//! Circuits, by three replicas: who fails is left alone by all of them, and comes back.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use weir_tests::client::{Ask, unix_us};
use weir_tests::gateway::Binary;
use weir_tests::load::all_served;
use weir_tests::provider::Upstream;
use weir_tests::site::{Plan, Site};

use crate::in_turn;

const QUICK: &str = "--output 8 --latency 5ms --pace 1ms";
const OPEN: Duration = Duration::from_secs(2);
const RAMP: Duration = Duration::from_secs(2);
/// For so long who died is looked at, in times of `open`.
pub(crate) const PERIODS: u32 = 4;

/// Broken on purpose in `controls.rs`.
#[test]
fn who_dies_costs_no_client_an_error_and_is_tried_once_per_open_period() -> Result<()> {
    in_turn(async {
        let (site, probes) = one_dies(None, 100.0).await?;
        ensure!((2..=PERIODS as usize).contains(&probes), "{probes} probes in {PERIODS} periods");
        says_so(&site).await?;
        site.providers[0].fail(&[]).await?;
        all_served(&site.load(100.0, OPEN + RAMP + Duration::from_secs(1)).finish().await)?;
        let healed = unix_us();
        all_served(&site.load(100.0, Duration::from_secs(3)).finish().await)?;
        let back = site.providers[0].seen(healed, unix_us()).await?;
        ensure!(back >= 75, "a third of 300 calls was due, {back} came");
        Ok(())
    })
}

/// One of three dies behind these gateways, at so many calls a second: how often it was tried in [`PERIODS`] when that was known.
pub(crate) async fn one_dies(binary: Option<Binary>, rate: f64) -> Result<(Site, usize)> {
    let upstreams = ["dies", "lives", "lives-too"].map(|name| Upstream::new(name).behaving(QUICK)).to_vec();
    let defaults = "circuit = { open = \"2s\", ramp = \"2s\", window = \"10s\" }\n".to_owned();
    let site = Site::start(Plan { defaults, binary, ..Plan::new("circuits-dies", upstreams) }).await?;
    all_served(&site.load(rate, Duration::from_secs(2)).finish().await)?;
    let dies = &site.providers[0];
    dies.fail(&["status=500"]).await?;
    let died = unix_us();
    all_served(&site.load(rate, OPEN * PERIODS).finish().await)?;
    let (settled, until) = (died + 1_000_000, unix_us());
    let before = dies.seen(died, settled).await?;
    let probes = dies.seen(settled, until).await?;
    println!("circuits-dies: {before} calls until it opened, then {probes} probes in {PERIODS} periods");
    ensure!(before as f64 <= 0.4 * rate, "{before} calls went there after it had died");
    Ok((site, probes))
}

/// That a circuit is open is told wherever it is promised. Broken on purpose to see it fail: the metric not recorded; the
/// page's and the explanation's word for it another.
async fn says_so(site: &Site) -> Result<()> {
    let replica = &site.replicas[0];
    let shown = replica.metric("weir_circuit_state", "deployment=\"dies\"").await?;
    ensure!(shown == 2.0, "the metric says {shown}");
    let page = replica.state().await?;
    let all = page["deployments"].as_array().cloned().unwrap_or_default();
    let states: Vec<_> = all.iter().map(|one| (&one["name"], &one["circuit"]["state"])).collect();
    ensure!(states.contains(&(&"dies".into(), &"open".into())), "{states:?}");
    // It is told of where it was looked at, before another was taken: the order is drawn.
    for _ in 0..50 {
        let answer = site.client.call(&Ask::new("m").header("x-weir-explain", "1")).await;
        if answer.header("x-weir-explain").contains("dies: has failed lately") {
            return Ok(());
        }
    }
    bail!("no explanation says why it is passed by")
}

/// Broken on purpose to see it fail: `Left::best` without lone candidates; every refusal final.
#[test]
fn who_is_alone_is_tried_each_second_and_its_clients_may_come_back() -> Result<()> {
    in_turn(async {
        let upstreams = vec![Upstream::new("alone").behaving(QUICK)];
        let defaults = "circuit = { open = \"30s\", ramp = \"0s\" }\n".to_owned();
        let site = Site::start(Plan { defaults, ..Plan::new("circuits-alone", upstreams) }).await?;
        let provider = &site.providers[0];
        provider.fail(&["status=500"]).await?;
        let answers = site.load(50.0, Duration::from_secs(4)).finish().await;
        let late = unix_us() - 3_000_000;
        let refused: Vec<_> = answers.iter().filter(|answer| answer.attempts == 0).collect();
        ensure!(
            refused.len() > 100,
            "{} of {} were refused without an attempt",
            refused.len(),
            answers.len()
        );
        for answer in refused {
            let wait = answer.retry_after_ms.unwrap_or(u64::MAX);
            ensure!(answer.status == 502 && wait <= 1_000, "{answer:?}");
            ensure!(answer.header("x-should-retry").is_empty(), "{answer:?}");
        }
        let tried = provider.seen(late, unix_us()).await?;
        ensure!((1..=4).contains(&tried), "{tried} calls in three seconds");
        provider.fail(&[]).await?;
        site.load(20.0, Duration::from_secs(3)).finish().await;
        all_served(&site.load(50.0, Duration::from_secs(1)).finish().await)
    })
}
