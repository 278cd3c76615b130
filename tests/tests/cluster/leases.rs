//! Replicas that are lent room: hardly a call asks Redis, limits hold all the same, and nothing lies idle where all is wanted.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use sha2::{Digest, Sha256};
use weir_tests::client::{Ask, Client};
use weir_tests::judge::{Unit, Verdict};
use weir_tests::load::{Load, Phase, all_served, load_ended};
use weir_tests::provider::Upstream;
use weir_tests::scale::Scale;
use weir_tests::site::{Plan, Site};
use weir_tests::trips::Trips;

use crate::in_turn;
use crate::limits::kill_and_replace;

/// Of the pool: calls per second.
fn rate(scale: Scale) -> f64 {
    if scale.is_full() { 1_000.0 } else { 300.0 }
}

/// One provider, and tenants with a part of its limit each.
async fn site(
    name: &str,
    replicas: usize,
    tenants: usize,
    (scale, rate): (Scale, f64),
) -> Result<(Site, u64)> {
    let limit = (rate * scale.window.as_secs_f64()) as u64;
    let upstream =
        Upstream { rpm: Some(limit), ..Upstream::new("p").behaving("--output 4..8 --latency 20ms") };
    let each = scale.meter("requests", limit / tenants as u64);
    let tenant = |at: usize| {
        let key = hex::encode(Sha256::digest(format!("t{at}")));
        format!("[[tenants]]\nname = \"t{at}\"\nkeys = [\"sha256:{key}\"]\n{each}\n")
    };
    let list: String = (0..tenants).map(tenant).collect();
    let models = Some(format!("[[models]]\nname = \"m\"\ndeployments = [\"p\"]\n{list}"));
    let plan = Plan { scale, models, replicas, leases: true, ..Plan::new(name, vec![upstream]) };
    Ok((Site::start(plan).await?, limit))
}

fn load(client: &Arc<Client>, tenants: usize, rate: f64, time: Duration) -> Load {
    let ask = move |at: usize| Ask::new("m").max_tokens(8).key(&format!("t{}", at % tenants));
    Load::start(client.clone(), 0, &[Phase { time, rate }], ask)
}

/// Tenants large enough to be worth it, from half to nine tenths of what all may use.
///
/// Broken on purpose to see it fail: nothing wanted above 80 %; at nine tenths each call asked.
#[test]
fn hardly_a_call_asks_redis() -> Result<()> {
    let scale = Scale::from_env();
    // What is lent is a fiftieth of a minute at most, but a sixth of 6 s: then nothing is left of nine tenths, and chance weighs more.
    let (parts, most): (&[f64], _) =
        if scale.is_full() { (&[0.5, 0.7, 0.9], 0.01) } else { (&[0.5, 0.7], 0.05) };
    in_turn(questions("leases-trips", if scale.is_full() { 5 } else { 1 }, parts, most))
}

/// Many small ones: each asks, for a loan is not worth it; and no more than that.
///
/// Broken on purpose to see it fail: a call that lacks loans asked twice.
#[test]
fn who_is_small_asks_for_each_call() -> Result<()> {
    in_turn(questions("leases-small", 50, &[0.5], 1.01))
}

/// At parts of the limit no call is refused, and so many questions come to a call at most.
async fn questions(name: &str, tenants: usize, parts: &[f64], most: f64) -> Result<()> {
    let scale = Scale::from_env();
    let (site, _) = site(name, 3, tenants, (scale, rate(scale))).await?;
    let mut answers = load(&site.client, tenants, 0.5 * rate(scale), scale.window / 3).finish().await;
    let trips = Trips::watch(site.redis.addr())?;
    for part in parts {
        let before = trips.so_far();
        let these = load(&site.client, tenants, part * rate(scale), scale.window).finish().await;
        let per_call = (trips.so_far() - before) as f64 / these.len() as f64;
        println!(
            "{tenants} tenants, {part} of the limit: {} calls, {per_call:.4} questions a call",
            these.len()
        );
        all_served(&these)?;
        ensure!(per_call <= most, "{per_call} questions a call at {part} of the limit");
        answers.extend(these);
    }
    Verdict::on(&site.providers, scale.window, load_ended(&answers)).await?.must_be_clean()
}

/// At twice the limit (a quarter more where that is 1,000 calls a second) all of it is used, by one replica, three and six.
///
/// Broken on purpose to see it fail: what was lent kept above 95 %.
#[test]
fn nothing_lies_idle_where_all_is_wanted() -> Result<()> {
    in_turn(async {
        let scale = Scale::from_env();
        let more = if scale.is_full() { 1.25 } else { 2.0 };
        for replicas in [1, 3, 6] {
            let (site, limit) =
                site(&format!("leases-idle-{replicas}"), replicas, 1, (scale, rate(scale))).await?;
            let mut answers = load(&site.client, 1, rate(scale), scale.window).finish().await;
            let second = load(&site.client, 1, more * rate(scale), scale.window * 2).finish().await;
            answers.extend(second);
            let verdict = Verdict::on(&site.providers, scale.window, load_ended(&answers)).await?;
            verdict.must_be_clean()?;
            let (worst, used) = (verdict.worst(Unit::Requests), verdict.used(Unit::Requests));
            println!("{replicas} replicas: {worst:?} of {limit}, used {:.2} %", 100.0 * used);
            // A window of 61 buckets is judged by 60 of them, and the first one began with the load.
            ensure!(used >= 0.94, "only {used} was used by {replicas} replicas");
        }
        Ok(())
    })
}

/// Load that comes in waves fills an empty window on loans each time, up to the last of it, which is asked for; and replicas die with loans.
///
/// Broken on purpose to see it fail: a loan used twice (`Mutant::LoanUsedTwice`).
#[test]
fn limits_hold_in_waves_though_replicas_die_with_loans() -> Result<()> {
    in_turn(async {
        let scale = Scale::from_env();
        let rate = rate(scale).min(400.0);
        let (mut site, _) = site("leases-waves", 3, 1, (scale, rate)).await?;
        let wave = [
            Phase { time: scale.window * 2 / 3, rate: 2.0 * rate },
            Phase { time: scale.window * 4 / 3, rate: 0.0 },
        ];
        let trips = Trips::watch(site.redis.addr())?;
        let load =
            Load::start(site.client.clone(), 0, &wave.repeat(3), |_| Ask::new("m").max_tokens(8).key("t0"));
        for _ in 0..3 {
            tokio::time::sleep(scale.window / 4).await; // half of the limit is used
            kill_and_replace(&mut site, scale).await?;
            tokio::time::sleep(scale.window * 19 / 12).await;
        }
        let answers = load.finish().await;
        let served = answers.iter().filter(|answer| answer.status == 200).count();
        let questions = trips.so_far() as f64 / answers.len() as f64;
        println!("{served} of {} served, {questions:.3} questions a call", answers.len());
        ensure!(questions < 0.7, "void: hardly a call is on a loan: {questions} questions each");
        Verdict::on(&site.providers, scale.window, load_ended(&answers)).await?.must_be_clean()
    })
}
