//! How a replica ends.

use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tokio::task::JoinSet;
use weir_tests::client::{Answer, Ask, Client, says_200};
use weir_tests::judge::Verdict;
use weir_tests::load::{Load, Phase, load_ended};
use weir_tests::meters;
use weir_tests::process::eventually;
use weir_tests::provider::Upstream;
use weir_tests::scale::Scale;
use weir_tests::site::{Plan, Site, Timeouts};

use super::{none_failed, nothing_held};
use crate::in_turn;

/// Between two calls that are begun, so that a busy machine's Redis answers all of them in time.
const EVERY: Duration = Duration::from_millis(8);

/// Streams that last a while.
fn slow() -> Upstream {
    let slow = Upstream::new("a").behaving("--output 40 --latency 20ms --pace 250ms");
    Upstream { tpm: Some(1_000_000), concurrency: Some(1_000), charge: "end-actual", ..slow }
}

fn patient(name: &str, replicas: usize) -> Plan {
    let seconds = Duration::from_secs;
    let timeouts = Timeouts { connect: seconds(2), first_token: seconds(8), total: seconds(30) };
    let server = "drain_delay = \"700ms\"\ndrain_timeout = \"30s\"\n".to_owned();
    Plan { replicas, timeouts, server, ..Plan::new(name, vec![slow()]) }
}

/// Opens `count` streams at the first replica, all of which are under way when this returns.
async fn open_streams(site: &Site, count: usize) -> Result<JoinSet<Answer>> {
    let direct = Arc::new(Client::new(site.replicas[0].addr()));
    let mut streams = JoinSet::new();
    let begun = tokio::time::Instant::now();
    for at in 0..count as u32 {
        let client = direct.clone();
        streams.spawn(async move {
            tokio::time::sleep_until(begun + EVERY * at).await;
            client.call(&Ask::new("m").max_tokens(40).streamed(true)).await
        });
    }
    let calls = count as f64;
    eventually("so many calls", async || Ok(site.replicas[0].metric("weir_calls", "").await? == calls))
        .await?;
    Ok(streams)
}

/// Broken on purpose to see it fail: a grace of a second, whatever is configured.
#[test]
fn five_hundred_open_streams_outlive_sigterm() -> Result<()> {
    in_turn(async {
        let mut site = Site::start(patient("life-streams", 1)).await?;
        let before = site.replicas[0].memory()?;
        let streams = open_streams(&site, 500).await?;
        let each = site.replicas[0].memory()?.saturating_sub(before) / 500;
        println!("{each} bytes for each open stream");
        site.replicas[0].terminate()?;
        eventually("end of readiness", async || Ok(!says_200(site.replicas[0].admin(), "/readyz").await))
            .await?;
        ensure!(!streams.is_empty(), "void: the streams ended before the signal");
        let answers = streams.join_all().await;
        let bad = answers.iter().find(|answer| !answer.is_good(true));
        ensure!(bad.is_none(), "a stream was cut: {bad:?}");
        let code = site.replicas[0].exit_within(Duration::from_secs(5)).await?;
        ensure!(code == Some(0), "it ended with {code:?}:\n{}", site.replicas[0].tail());
        nothing_held(&site).await?;
        let state = meters::read(&site.redis.url())?;
        ensure!(state.is_some_and(|state| state.lives.is_empty()), "a life is left");
        let arrivals = site.providers[0].arrivals().await?;
        ensure!(arrivals.len() == 500 && arrivals.iter().all(|a| !a.aborted && a.status == 200));
        Ok(())
    })
}

/// Broken on purpose to see it fail: the exit code of calls that were cut left at 0.
#[test]
fn calls_that_outlast_the_grace_or_meet_a_second_signal_are_cut_and_settled() -> Result<()> {
    in_turn(async {
        for (name, grace, signals) in [("life-grace", "500ms", 1), ("life-twice", "1m", 2)] {
            let server = format!("drain_delay = \"0s\"\ndrain_timeout = \"{grace}\"\n");
            let mut site = Site::start(Plan { server, ..patient(name, 1) }).await?;
            let streams = open_streams(&site, 5).await?;
            for signal in 0..signals {
                if signal > 0 {
                    eventually("drain", async || Ok(site.replicas[0].log()?.contains("draining"))).await?;
                }
                site.replicas[0].terminate()?;
            }
            let begun = Instant::now();
            let code = site.replicas[0].exit_within(Duration::from_secs(5)).await?;
            ensure!(code == Some(3), "{name}: it ended with {code:?}:\n{}", site.replicas[0].tail());
            ensure!(begun.elapsed() < Duration::from_secs(3), "{name}: only after {:?}", begun.elapsed());
            let answers = streams.join_all().await;
            ensure!(
                answers.iter().all(|a| !a.is_good(true) && !a.done),
                "{name}: a whole stream: {answers:?}"
            );
            nothing_held(&site).await?;
            let state = meters::read(&site.redis.url())?;
            ensure!(state.is_some_and(|state| state.lives.is_empty()), "{name}: a life is left");
        }
        Ok(())
    })
}

/// A plain call whose answer does not come within the grace, and a stream that has begun. Broken on purpose to see it fail:
/// `Over` that never says so.
#[test]
fn clients_of_calls_that_outlast_the_grace_are_told() -> Result<()> {
    in_turn(async {
        let server = "drain_delay = \"0s\"\ndrain_timeout = \"1s\"\n".to_owned();
        let mut site = Site::start(Plan { server, ..patient("life-told", 1) }).await?;
        let streams = open_streams(&site, 1).await?;
        eventually("stream at the provider", async || Ok(site.providers[0].arrivals().await?.len() == 1))
            .await?;
        site.providers[0].fail(&["stall=before"]).await?;
        let client = Client::new(site.replicas[0].addr());
        let plain = tokio::spawn(async move { client.call(&Ask::new("m").max_tokens(40)).await });
        eventually("both calls", async || Ok(site.replicas[0].metric("weir_calls", "").await? == 2.0))
            .await?;
        site.replicas[0].terminate()?;
        let answer = plain.await?;
        ensure!((answer.status, answer.retry_after) == (503, Some(1)), "{answer:?}");
        let error: serde_json::Value = serde_json::from_slice(&answer.body)?;
        ensure!(error["error"]["code"] == "draining", "{error}");
        for answer in streams.join_all().await {
            ensure!(answer.error_event && !answer.done && answer.broken.is_none(), "{answer:?}");
        }
        let code = site.replicas[0].exit_within(Duration::from_secs(5)).await?;
        ensure!(code == Some(3), "it ended with {code:?}:\n{}", site.replicas[0].tail());
        nothing_held(&site).await
    })
}

/// While balancers have not noticed yet, new connections are served, and every answer says that it is the last one.
/// Broken on purpose to see it fail: the listener closed at once.
#[test]
fn until_balancers_have_noticed_new_connections_are_served() -> Result<()> {
    in_turn(async {
        let server = "drain_delay = \"2s\"\ndrain_timeout = \"10s\"\n".to_owned();
        let upstream = Upstream::new("a").behaving("--output 5");
        let mut site =
            Site::start(Plan { server, replicas: 1, ..Plan::new("life-delay", vec![upstream]) }).await?;
        let addr = site.replicas[0].addr();
        let kept = Client::new(addr);
        ensure!(kept.call(&Ask::new("m")).await.is_good(false));
        site.replicas[0].terminate()?;
        eventually("end of readiness", async || Ok(!says_200(site.replicas[0].admin(), "/readyz").await))
            .await?;
        for client in [kept, Client::new(addr)] {
            let answer = client.call(&Ask::new("m")).await;
            ensure!(answer.is_good(false) && answer.closes, "{answer:?}");
        }
        let code = site.replicas[0].exit_within(Duration::from_secs(5)).await?;
        ensure!(code == Some(0), "it ended with {code:?}:\n{}", site.replicas[0].tail());
        ensure!(Client::new(addr).call(&Ask::new("m")).await.status == 0, "it still listens");
        Ok(())
    })
}

/// All replicas are replaced, one after the other, while half as much again is asked for as the limits allow.
/// Broken on purpose to see it fail: answers without `connection: close`, and connections dropped when the
/// listener closes.
#[test]
fn a_rolling_restart_fails_no_call_and_breaks_no_limit() -> Result<()> {
    in_turn(async {
        let scale = Scale::short();
        let upstream = |name, limit| Upstream {
            rpm: Some(limit),
            ..Upstream::new(name).behaving("--output 4..8 --latency 20ms --pace 2ms --jitter 0.5")
        };
        let upstreams = vec![upstream("a", 120), upstream("b", 240)];
        let rate = 1.5 * 360.0 / scale.window.as_secs_f64();
        let mut site = Site::start(Plan::new("life-rolling", upstreams)).await?;
        let phases = [Phase { time: Duration::from_secs(14), rate }];
        let load = Load::start(site.client.clone(), 0, &phases, |at| Ask::new("m").streamed(at % 2 == 0));
        tokio::time::sleep(Duration::from_secs(2)).await;
        for at in 0..3 {
            site.replicas[at].terminate()?;
            let code = site.replicas[at].exit_within(Duration::from_secs(6)).await?;
            ensure!(code == Some(0), "replica {at} ended with {code:?}:\n{}", site.replicas[at].tail());
            site.replicas[at].replace().await?;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let answers = load.finish().await;
        none_failed(&answers)?;
        let by: std::collections::BTreeSet<&str> = answers.iter().map(|a| a.replica.as_str()).collect();
        ensure!(by.len() == 6, "void: served by {by:?} alone"); // three before and three after
        Verdict::on(&site.providers, scale.window, load_ended(&answers)).await?.must_be_clean()?;
        nothing_held(&site).await
    })
}

/// What systemd hears. Broken on purpose to see it fail: no time with RELOADING.
#[test]
fn systemd_is_told_of_start_reload_and_end() -> Result<()> {
    in_turn(async {
        let upstream = Upstream::new("a").behaving("--output 5");
        let path =
            std::env::temp_dir().join(format!("weir-notify-{}-{}", std::process::id(), fastrand::u32(..)));
        let socket = UnixDatagram::bind(&path)?;
        socket.set_read_timeout(Some(Duration::from_secs(10)))?;
        let heard = || -> Result<String> {
            let mut buffer = [0; 256];
            let size = socket.recv(&mut buffer)?;
            Ok(String::from_utf8_lossy(&buffer[..size]).into_owned())
        };
        let environment = vec![
            ("NOTIFY_SOCKET".to_owned(), path.display().to_string()),
            ("WATCHDOG_USEC".to_owned(), "400000".to_owned()),
        ];
        let plan = Plan { environment, replicas: 1, ..Plan::new("life-systemd", vec![upstream]) };
        let mut site = Site::start(plan).await?;
        ensure!(heard()? == "READY=1");
        ensure!(heard()? == "WATCHDOG=1" && heard()? == "WATCHDOG=1");
        site.replicas[0].signal("HUP")?;
        let mut rest = String::new();
        while !rest.contains("READY=1") {
            rest = format!("{rest}{}|", heard()?);
        }
        ensure!(rest.contains("RELOADING=1\nMONOTONIC_USEC="), "{rest}");
        site.replicas[0].terminate()?;
        while heard()? != "STOPPING=1" {}
        ensure!(site.replicas[0].exit_within(Duration::from_secs(5)).await? == Some(0));
        Ok(std::fs::remove_file(path)?)
    })
}
