//! Redis as it is run in earnest: behind TLS with a user of few rights, watched by sentinels, as a cluster. Twice the load that
//! the limits allow, and in the middle of it the server with the data dies, is replaced while it lives, or hands the data over.
//!
//! Where a master dies, the last writes before are lost with it; so these are tests of learning as well (as `faults`).

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use weir_tests::client::{Answer, unix_us};
use weir_tests::judge::Unit;
use weir_tests::meters;
use weir_tests::provider::Upstream;
use weir_tests::redis_server::ask;
use weir_tests::scale::Scale;
use weir_tests::site::Site;
use weir_tests::topology::{Cluster, Others, Sentinels, Topology};

use crate::limits::{Outcome, Run, finish, kill_and_replace, must_use, overload_on};
use crate::{MOST_CLOSED, in_turn};

/// From the moment of the trouble until calls must be served again: 1.5 s until the master counts as dead, the election,
/// up to 0.4 s until a lane has found the new one, up to 2 s of learning.
const BACK_WITHIN: Duration = Duration::from_millis(8_000);

/// How long the slot is at one node and the keys are at another.
pub(crate) const SPLIT: Duration = Duration::from_secs(2);

/// Broken on purpose to see it fail: `+hmget` taken out of the file of users; the server's certificate made out to 127.0.0.2.
#[test]
fn limits_hold_through_tls_as_a_user_with_the_least_rights() -> Result<()> {
    in_turn(async {
        let scale = Scale::from_env();
        let trouble = async |site: &mut Site| kill_and_replace(site, scale).await;
        let outcome = overload_on(Topology::Secure, run("topologies-secure", scale), scale, trouble).await?;
        outcome.verdict.must_be_clean()?;
        must_use(&outcome.verdict, Unit::Requests, 0.93)?;
        let (_, body) = weir_tests::client::get(outcome.site.replicas[0].admin(), "/admin/v1/state").await?;
        ensure!(
            String::from_utf8_lossy(&body).contains("\"used\""),
            "the admin page does not show the state"
        );
        nothing_was_forbidden(&[outcome.site.redis.addr()])?;
        finish(outcome).await
    })
}

/// Broken on purpose to see it fail: the first master configured as `url`.
#[test]
fn limits_hold_when_a_master_dies_that_sentinels_watch() -> Result<()> {
    in_turn(async {
        let mut since = 0;
        let trouble = async |site: &mut Site| {
            since = unix_us();
            site.redis.kill()?;
            let master = sentinels(site)?.replaced(site.redis.addr()).await?;
            println!("another master after {:?}", Duration::from_micros(unix_us() - since));
            nothing_was_forbidden(&[master])
        };
        let outcome = overload(Topology::Sentinel, "topologies-sentinel-killed", trouble).await?;
        judge(&outcome, since, BACK_WITHIN, 0.6)
    })
}

/// The old master lives, takes writes and answers, but neither sentinels nor replicas reach it. Broken on purpose to see it
/// fail: the sentinels not asked again.
#[test]
fn limits_hold_when_a_master_is_replaced_that_lives_on_cut_off() -> Result<()> {
    in_turn(async {
        let (mut since, mut master) = (0, None);
        let trouble = async |site: &mut Site| {
            since = unix_us();
            sentinels(site)?.cut_off(&site.redis)?;
            master = Some(sentinels(site)?.replaced(site.redis.addr()).await?);
            println!("another master after {:?}", Duration::from_micros(unix_us() - since));
            Ok(())
        };
        let outcome = overload(Topology::Sentinel, "topologies-sentinel-cut-off", trouble).await?;
        let url = format!("redis://{}/0", master.context("no other master")?);
        let wall = meters::read(&url)?.context("the new master has no state")?.clock.wall;
        let idle = (unix_us() / 1_000).saturating_sub(wall);
        ensure!(
            idle < 2_000,
            "the new master was not used for {idle} ms: the old one is still the one that is asked"
        );
        judge(&outcome, since, BACK_WITHIN, 0.6)
    })
}

/// The sentinels tell the old master only ten seconds later. Broken on purpose to see it fail: the sentinels not asked again.
#[test]
fn limits_hold_when_the_sentinels_are_told_to_fail_over() -> Result<()> {
    in_turn(async {
        let mut since = 0;
        let trouble = async |site: &mut Site| {
            since = unix_us();
            sentinels(site)?.fail_over()?;
            sentinels(site)?.replaced(site.redis.addr()).await?;
            Ok(())
        };
        let outcome = overload(Topology::Sentinel, "topologies-sentinel-told", trouble).await?;
        judge(&outcome, since, BACK_WITHIN, 0.6)
    })
}

/// Broken on purpose to see it fail: the nodes that CLUSTER SLOTS names not remembered.
#[test]
fn limits_hold_when_the_master_of_the_slot_dies() -> Result<()> {
    in_turn(async {
        let mut since = 0;
        let trouble = async |site: &mut Site| {
            since = unix_us();
            site.redis.kill()?;
            cluster(site)?.replaced(&site.redis).await?;
            println!("another master after {:?}", Duration::from_micros(unix_us() - since));
            Ok(())
        };
        let outcome = overload(Topology::Cluster, "topologies-cluster-killed", trouble).await?;
        judge(&outcome, since, BACK_WITHIN, 0.6)
    })
}

/// Broken on purpose to see it fail: answers ASK not followed.
#[test]
fn limits_hold_while_the_slot_moves() -> Result<()> {
    in_turn(async {
        let mut since = 0;
        let trouble = async |site: &mut Site| {
            let cluster = cluster(site)?;
            since = unix_us();
            let target = cluster.move_keys(&site.redis)?;
            tokio::time::sleep(SPLIT).await;
            cluster.hand_over(&site.redis)?;
            let state = meters::read(&target.url())?.context("the state did not come along")?;
            ensure!(state.pools.values().any(|pool| pool.meters.iter().any(|meter| meter.sum > 0)));
            Ok(())
        };
        let outcome = overload(Topology::Cluster, "topologies-cluster-moved", trouble).await?;
        // The other node is another server, so there is some learning at first; then the calls must find their way, from the
        // one node to the other, until the slot is at one node again.
        let between = since + 1_000_000..since + SPLIT.as_micros() as u64 - 200_000;
        let lost =
            outcome.answers.iter().find(|answer| between.contains(&answer.sent_us) && answer.status == 503);
        ensure!(lost.is_none(), "while the slot is at one node and the keys are at another: {lost:?}");
        judge(&outcome, since, Duration::from_secs(5), 0.8)
    })
}

async fn overload(
    topology: Topology,
    name: &str,
    trouble: impl AsyncFnOnce(&mut Site) -> Result<()>,
) -> Result<Outcome> {
    let scale = Scale::from_env();
    overload_on(topology, run(name, scale), scale, trouble).await
}

fn run(name: &str, scale: Scale) -> Run {
    let upstream = |name, limit| Upstream {
        rpm: Some(scale.limit(limit)),
        ..Upstream::new(name).behaving("--output 4..8 --latency 20ms --pace 2ms --jitter 0.5")
    };
    let upstreams = vec![upstream("a", 240), upstream("b", 360), upstream("c", 600)];
    Run { name: name.to_owned(), upstreams, weight: 1.0, stream_every: 2, max_tokens: None }
}

/// No limit is exceeded, calls are refused with 503 only from `since` on and for no longer than `within` (but for a
/// few: [`MOST_CLOSED`]), and the limits are used.
fn judge(outcome: &Outcome, since: u64, within: Duration, least_used: f64) -> Result<()> {
    let away: Vec<&Answer> = outcome.answers.iter().filter(|answer| answer.status == 503).collect();
    let ms = |answer: &Answer| (answer.sent_us as i64 - since as i64) / 1_000;
    if let (Some(first), Some(last)) = (away.first(), away.last()) {
        println!("{} calls refused with 503, from {} ms to {} ms", away.len(), ms(first), ms(last));
    }
    outcome.verdict.must_be_clean()?;
    let then = -200..within.as_millis() as i64;
    let stray = away.iter().filter(|answer| !then.contains(&ms(answer))).count();
    let all = outcome.answers.len() as f64;
    ensure!(
        stray as f64 <= MOST_CLOSED * all,
        "{stray} of {all} calls were refused with 503 at another time"
    );
    for answer in &outcome.answers {
        let fine = matches!(answer.status, 200 | 429 | 503);
        let said = String::from_utf8_lossy(&answer.body);
        ensure!(fine, "{} {} ms after: {said} {:?}", answer.status, ms(answer), answer.broken);
        ensure!(answer.took < Duration::from_secs(6), "a call took {:?}", answer.took);
    }
    must_use(&outcome.verdict, Unit::Requests, least_used)
}

/// Fails if a server had to refuse something to somebody.
fn nothing_was_forbidden(servers: &[SocketAddr]) -> Result<()> {
    for &server in servers {
        let log: Vec<redis::Value> = ask(server, &["ACL", "LOG"])?;
        ensure!(log.is_empty(), "{server} refused: {log:?}");
    }
    Ok(())
}

pub(crate) fn sentinels(site: &Site) -> Result<&Sentinels> {
    match &site.others {
        Others::Sentinel(sentinels) => Ok(sentinels),
        Others::Nobody | Others::Cluster(_) => bail!("no sentinels"),
    }
}

pub(crate) fn cluster(site: &Site) -> Result<&Cluster> {
    match &site.others {
        Others::Cluster(cluster) => Ok(cluster),
        Others::Nobody | Others::Sentinel(_) => bail!("no cluster"),
    }
}
