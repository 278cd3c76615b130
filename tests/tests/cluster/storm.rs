//! The worst that can be done to a limit in a short time: everything at once, late in a window; a replica killed
//! while a third of the limit hangs on it; and load without end.
//!
//! Here only safety is judged. This is the run on which each protection, removed, must show (`controls`).

use std::time::Duration;

use anyhow::{Result, ensure};
use weir_tests::client::{Ask, unix_us};
use weir_tests::gateway::Binary;
use weir_tests::judge::{Unit, Verdict};
use weir_tests::load::{Load, Phase, load_ended};
use weir_tests::provider::Upstream;
use weir_tests::scale::Scale;
use weir_tests::site::{Plan, Site, Timeouts};

use crate::in_turn;

/// See `controls` for what was broken on purpose.
#[test]
fn request_limits_hold_in_a_storm() -> Result<()> {
    in_turn(async { must_hold(&storm(Unit::Requests, None, Scale::from_env()).await?, Unit::Requests) })
}

/// See `controls` for what was broken on purpose.
#[test]
fn token_limits_hold_in_a_storm() -> Result<()> {
    in_turn(async { must_hold(&storm(Unit::Tokens, None, Scale::from_env()).await?, Unit::Tokens) })
}

/// The limits were kept, and it was hard to keep them: every one was reached.
pub(crate) fn must_hold(verdict: &Verdict, unit: Unit) -> Result<()> {
    verdict.must_be_clean()?;
    for (worst, limit) in verdict.worst(unit) {
        ensure!(worst * 100 >= limit * 95, "void: the fullest window held {worst} of {limit}");
    }
    Ok(())
}

/// Runs a storm over one kind of limit on `binary`.
pub(crate) async fn storm(unit: Unit, binary: Option<Binary>, scale: Scale) -> Result<Verdict> {
    let control = binary.as_ref().and_then(|binary| binary.control).unwrap_or("none");
    let upstream = |name, calls: u64| {
        let plain = Upstream::new(name).behaving("--output 20..40 --latency 800ms");
        match unit {
            Unit::Requests => Upstream { rpm: Some(calls), ..plain },
            Unit::Tokens => Upstream { tpm: Some(57 * calls), ..plain },
        }
    };
    let upstreams = vec![upstream("a", 40), upstream("b", 60), upstream("c", 100)];
    let ms = Duration::from_millis;
    let timeouts = Timeouts { connect: ms(200), first_token: ms(1_500), total: ms(3_000) };
    let name = format!("storm-{unit:?}-{control}").to_lowercase();
    let mut site = Site::start(Plan { binary, timeouts, scale, ..Plan::new(&name, upstreams) }).await?;

    late_in_a_window(scale.window).await;
    let phases = [Phase { time: scale.window * 2, rate: 400.0 / scale.window.as_secs_f64() }];
    let load = Load::start(site.client.clone(), 400, &phases, |_| Ask::new("m").max_tokens(40));
    tokio::time::sleep(ms(500)).await;
    site.replicas[0].kill()?;
    site.replicas[0].replace().await?;
    let answers = load.finish().await;
    for provider in &site.providers {
        let aborted = provider.arrivals().await?.iter().filter(|call| call.aborted).count();
        ensure!(
            aborted > 0,
            "void: no call to {} was in flight when the replica died",
            provider.upstream.name
        );
    }
    Verdict::on(&site.providers, scale.window, load_ended(&answers)).await
}

/// Waits for the last quarter of a window counted from the epoch, where a count per window is weakest.
async fn late_in_a_window(window: Duration) {
    let window = window.as_micros() as u64;
    let (now, due) = (unix_us() % window, window * 3 / 4);
    tokio::time::sleep(Duration::from_micros((window + due - now) % window)).await;
}
