//! Two versions on one Redis, forward and back, under load: replicas of the release before are replaced by present ones, one
//! after the other, and those by the ones before again. `tests/upgrade/run` builds that release; `WEIR_BEFORE_BIN` names it.
//! The judges are the clients' answers and the providers' arrival logs.

mod judged;
mod set;
mod traffic;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use hex::encode;
use sha2::{Digest, Sha256};
use weir_tests::gateway::{Binary, Replica};
use weir_tests::meters;
use weir_tests::place;
use weir_tests::process::eventually;
use weir_tests::provider::Upstream;
use weir_tests::site::{Plan, Site};

use crate::in_turn;
use judged::{AT_ONCE, BUDGET, HELD, PRICE};
use traffic::Traffic;

/// Longer than a replica takes to end: its `drain_delay`, and the longest call.
const END: Duration = Duration::from_secs(8);

/// Broken on purpose to see it fail: present replicas in a namespace of their own; another `LAYOUT` in the present scripts.
#[test]
#[ignore = "needs the release before: tests/upgrade/run"]
fn versions_that_follow_each_other_share_a_redis_forward_and_back() -> Result<()> {
    in_turn(async {
        let [before, now] = binaries()?;
        let mut site = Site::start(plan(before.clone())).await?;
        let key = set::make(&site.replicas[0]).await?;
        set::everywhere(&site, &key, set::is_served).await?;
        let (traffic, window) = (Traffic::start(&site, &key.clear), site.plan.scale.window);
        let mut ended = Vec::new();
        for (way, binary) in [("forward", &now), ("back", &before)] {
            tokio::time::sleep(window).await;
            for at in 0..3 {
                exchange(&mut site.replicas[at], binary).await?;
                println!("{way}: {} of 3 replaced", at + 1);
                if at < 2 {
                    ended.extend(set::holds_both_ways(&site).await?);
                }
                for revoked in &ended {
                    set::everywhere(&site, revoked, set::is_refused).await?;
                }
                tokio::time::sleep(window).await;
            }
        }
        let calls = traffic.end().await?;
        judged::calls(&calls)?;
        judged::limits(&site, &calls).await?;
        for replica in &site.replicas {
            let foreign = replica.metric("weir_redis_failures_total", "reason=\"other_layout\"").await?;
            ensure!(foreign == 0.0, "the versions have layouts that differ");
        }
        eventually("an end of all holds", async || {
            let state = meters::read(&site.redis.url())?.context("there is no state in Redis")?;
            Ok(meters::held(&state).is_empty() && state.lives.len() == 3)
        })
        .await
    })
}

/// The release before, and the present one.
fn binaries() -> Result<[Binary; 2]> {
    let before = std::env::var_os("WEIR_BEFORE_BIN")
        .context("WEIR_BEFORE_BIN is not set: tests/upgrade/run sets it")?;
    let binaries = [before.into(), place::weir()?].map(|path| Binary { path, control: None });
    let [before, now] = binaries.each_ref().map(|binary| std::fs::read(&binary.path));
    let are_one = before? == now?;
    ensure!(!are_one, "void: both are the same executable");
    Ok(binaries)
}

/// As orchestrators replace a replica: SIGTERM, its end, the next one at its address.
async fn exchange(replica: &mut Replica, binary: &Binary) -> Result<()> {
    replica.terminate()?;
    let code = replica.exit_within(END).await?;
    ensure!(code == Some(0), "it ended with {code:?}:\n{}", replica.tail());
    replica.replace_by(binary).await
}

/// Each kind of limit at a provider of its own, for the arrivals there to be judged by.
fn plan(binary: Binary) -> Plan {
    let upstream =
        |name| Upstream::new(name).behaving("--output 8..24 --latency 20ms --pace 1ms --jitter 0.5");
    let roomy = |name| Upstream { rpm: Some(1_000_000), ..upstream(name) };
    let long = Upstream::new("wide").behaving("--output 30 --latency 20ms --pace 50ms");
    let upstreams = vec![
        Upstream { rpm: Some(120), ..upstream("a") },
        Upstream { tpm: Some(6_000), charge: "end-actual", ..upstream("b") },
        Upstream { tpm: Some(9_000), ..upstream("c") },
        roomy("talk-a"),
        roomy("talk-b"),
        roomy("own"),
        upstream("paid").priced(PRICE.0, PRICE.1),
        Upstream { concurrency: Some(AT_ONCE), ..long },
    ];
    let models = [
        ("m", "\"a\", \"b\", \"c\""),
        ("talk", "\"talk-a\", \"talk-b\""),
        ("own", "\"own\""),
        ("paid", "\"paid\""),
        ("wide", "\"wide\""),
    ];
    let models: String =
        models.map(|(name, by)| format!("[[models]]\nname = \"{name}\"\ndeployments = [{by}]\n")).concat();
    let tenants = [
        ("t", String::new()),
        ("held", format!("meters = [{{ kind = \"requests\", limit = {HELD}, per = \"6s\" }}]\n")),
        ("spender", format!("models = [\"paid\"]\nbudgets = [{{ usd = {BUDGET:?}, per = \"month\" }}]\n")),
    ];
    let tenants = tenants.map(|(name, more)| {
        let hash = encode(Sha256::digest(name));
        format!("[[tenants]]\nname = \"{name}\"\nkeys = [\"sha256:{hash}\"]\n{more}")
    });
    Plan {
        binary: Some(binary),
        models: Some(models + &tenants.concat()),
        // A machine that is busy makes calls come late, and circuits would then decide.
        defaults: "circuit = { enabled = false }\n".to_owned(),
        // And Redis stand still for a moment: a call waits then, where `closed` would refuse it.
        on_outage: "share",
        ..Plan::new("upgrade", upstreams)
    }
}
