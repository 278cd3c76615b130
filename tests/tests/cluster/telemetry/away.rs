//! A collector that is dead, or frozen: no call is slower for it, memory stays bounded, what is lost is counted, and a replica
//! ends in time.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use weir_tests::client::{Answer, Client};
use weir_tests::collector::{self, Collector};
use weir_tests::load::{Load, Phase};
use weir_tests::place;
use weir_tests::process::{eventually, local};
use weir_tests::provider::Upstream;
use weir_tests::rotel::Rotel;
use weir_tests::site::{Plan, Site};

use super::{ask, plan};
use crate::in_turn;

const RATE: f64 = 60.0;

/// How long calls took of which half were faster.
async fn median(site: &Site, time: Duration) -> Result<Duration> {
    let load = Load::start(site.client.clone(), 0, &[Phase { time, rate: RATE }], |_| ask());
    let answers: Vec<Answer> = load.finish().await;
    let odd = answers.iter().find(|answer| !answer.is_good(true));
    ensure!(odd.is_none(), "{odd:?}");
    let mut took: Vec<Duration> = answers.iter().map(|answer| answer.took).collect();
    took.sort();
    took.get(took.len() / 2).copied().context("no calls")
}

/// A port that takes connections and never says anything, as a frozen process does.
fn frozen() -> Result<(std::net::TcpListener, std::net::SocketAddr)> {
    let listener = std::net::TcpListener::bind(local(0))?;
    let addr = listener.local_addr()?;
    Ok((listener, addr))
}

/// Broken on purpose to see it fail: spans sent by who ends them. (That memory stays bounded the next one shows.)
#[test]
fn a_collector_that_stands_still_or_is_dead_slows_no_call_and_no_end() -> Result<()> {
    in_turn(async {
        let time = Duration::from_secs(8);
        let collector = Collector::start().await?;
        let alive = Site::start(plan("telemetry-alive", &collector.settings("grpc", ""))).await?;
        let usual = median(&alive, time).await?;
        drop(alive);
        let (_listener, silent) = frozen()?;
        let (closed, dead) = frozen()?;
        drop(closed);
        for (what, protocol, addr) in [
            ("frozen", "grpc", silent),
            ("frozen", "http", silent),
            ("dead", "grpc", dead),
            ("dead", "http", dead),
        ] {
            let telemetry = collector::settings(protocol, addr, "");
            let mut site = Site::start(plan(&format!("telemetry-{what}-{protocol}"), &telemetry)).await?;
            let took = median(&site, time).await?;
            println!("telemetry: {what} over {protocol}: median {took:?}, usually {usual:?}");
            ensure!(
                took < usual * 3 / 2 + Duration::from_millis(5),
                "{what} over {protocol}: {took:?}, usually {usual:?}"
            );
            site.replicas[0].terminate()?;
            let begun = Instant::now();
            let code = site.replicas[0].exit_within(Duration::from_secs(8)).await?;
            // The rig's drain_delay is 0.7 s; the collector gets 2 s more.
            ensure!(
                code == Some(0) && begun.elapsed() < Duration::from_millis(4_500),
                "{what}: {:?}",
                begun.elapsed()
            );
        }
        Ok(())
    })
}

/// What calls are served by goes along with their spans, so a full queue of those is the heavy one: its 16 MiB were many times
/// that when it held slices of the network's buffers. Broken on purpose to see it fail: those instead of copies.
#[test]
fn a_full_queue_of_served_calls_takes_no_more_memory_than_it_says() -> Result<()> {
    in_turn(async {
        let (_listener, silent) = frozen()?;
        let telemetry = collector::settings("grpc", silent, "otlp_signals = [\"traces\"]");
        let quick = ["a", "b"]
            .map(|name| Upstream::new(name).behaving("--output 8 --latency 1ms --pace 1ms"))
            .to_vec();
        let plan = plan("telemetry-served", &telemetry);
        let site = Site::start(Plan { upstreams: quick, ..plan }).await?;
        let addr = site.replicas[0].addr();
        let serve = async |calls: usize| -> Result<()> {
            let mut running = Vec::new();
            for _ in 0..8 {
                running.push(tokio::spawn(async move {
                    let (client, ask) = (Client::new(addr), ask().streamed(false));
                    let mut served = 0;
                    for _ in 0..calls / 8 {
                        served += usize::from(client.call(&ask).await.is_good(false));
                    }
                    served
                }));
            }
            let mut served = 0;
            for task in running {
                served += task.await?;
            }
            ensure!(served * 10 > calls * 9, "void: {served} of {calls} served");
            Ok(())
        };
        serve(400).await?; // what is made once, is made
        let before = site.replicas[0].memory()?;
        serve(6_000).await?;
        let after = site.replicas[0].memory()?;
        println!("telemetry: {} MiB before, {} MiB with a queue of served calls", before >> 20, after >> 20);
        // 16 MiB in the queue, as much again in the batch under way and in what allocators keep.
        ensure!(after < before + (48 << 20), "memory grew from {before} to {after}");
        Ok(())
    })
}

/// Spans of calls that nobody serves are cheap to make many of. Broken on purpose to see it fail: the queue without bounds.
#[test]
fn what_a_frozen_collector_does_not_take_is_dropped_and_counted() -> Result<()> {
    in_turn(async {
        let (_listener, silent) = frozen()?;
        let telemetry = collector::settings("grpc", silent, "");
        let site = Site::start(plan("telemetry-full", &telemetry)).await?;
        let addr = site.replicas[0].addr();
        let flood = async |calls: usize| -> Result<()> {
            let mut running = Vec::new();
            for _ in 0..8 {
                running.push(tokio::spawn(async move {
                    let client = Client::new(addr);
                    for _ in 0..calls / 8 {
                        client.call(&weir_tests::client::Ask::new("no-such-model")).await;
                    }
                }));
            }
            for task in running {
                task.await?;
            }
            Ok(())
        };
        flood(16_000).await?;
        let before = site.replicas[0].memory()?;
        flood(24_000).await?;
        let after = site.replicas[0].memory()?;
        println!(
            "telemetry: {} MiB with a full queue, {} MiB after as much again",
            before >> 20,
            after >> 20
        );
        ensure!(after < before + (12 << 20), "memory grew from {before} to {after}");
        let lost = site.replicas[0].metric("weir_telemetry_lost_total", "signal=\"traces\"").await?;
        ensure!(lost > 20_000.0, "{lost} spans lost, as far as is told");
        eventually("word of the loss", async || {
            Ok(site.replicas[0].log()?.contains("did not get everything"))
        })
        .await?;
        let said = site.replicas[0].log()?.matches("did not get everything").count();
        ensure!(said <= 6, "said {said} times");
        Ok(())
    })
}

/// A collector of others is frozen and killed while calls go on, and started again: then it is told again.
#[test]
fn a_collector_that_comes_back_is_told_again() -> Result<()> {
    in_turn(async {
        let Some(executable) = Rotel::installed() else {
            println!("telemetry: skipped, WEIR_ROTEL is not set");
            return Ok(());
        };
        let judge = Collector::start().await?;
        let folder = place::folder("telemetry-rotel-back")?;
        let mut rotel = Rotel::start(&executable, judge.grpc, &folder).await?;
        let telemetry = collector::settings("grpc", rotel.grpc, "");
        let site = Site::start(plan("telemetry-back", &telemetry)).await?;
        let usual = median(&site, Duration::from_secs(5)).await?;
        judge.spans_when("spans by Rotel", |spans| spans.len() > 100).await?;
        rotel.freeze()?;
        let stopped = median(&site, Duration::from_secs(5)).await?;
        rotel.thaw()?;
        rotel.kill()?;
        let dead = median(&site, Duration::from_secs(5)).await?;
        println!(
            "telemetry: median {usual:?} with Rotel, {stopped:?} while it is frozen, {dead:?} while it is dead"
        );
        for took in [stopped, dead] {
            ensure!(took < usual * 3 / 2 + Duration::from_millis(5), "{took:?}, usually {usual:?}");
        }
        rotel.restart().await?;
        eventually("a span of a new call", async || {
            let answer = site.client.call(&ask()).await;
            tokio::time::sleep(Duration::from_millis(1_000)).await;
            let id = answer.header("x-request-id").to_owned();
            Ok(judge.spans().iter().any(|span| span.attribute("weir.request_id") == id))
        })
        .await
    })
}
