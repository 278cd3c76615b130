//! What operators set while replicas run: keys, and deployments that are drained. Set at one version, it holds at the other.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use weir_tests::client::{Answer, Ask, Client, delete, post, unix_us};
use weir_tests::gateway::Replica;
use weir_tests::process::eventually;
use weir_tests::site::Site;

/// So long after something is known everywhere, nothing of before is under way any more, whatever the machine does beside.
const SETTLED: Duration = Duration::from_millis(500);
/// By then all have heard.
const HEARD: Duration = Duration::from_secs(5);

/// A key as the admin listener gives it.
pub(super) struct Key {
    id: String,
    pub(super) clear: String,
}

pub(super) async fn make(at: &Replica) -> Result<Key> {
    let (status, body) = post(at.admin(), "/admin/v1/keys", json!({ "tenant": "t" }).to_string()).await?;
    ensure!(status == 201, "{status}: {}", String::from_utf8_lossy(&body));
    let page: Value = serde_json::from_slice(&body)?;
    let text =
        |name: &str| page[name].as_str().map(str::to_owned).with_context(|| format!("no {name}: {page}"));
    Ok(Key { id: text("id")?, clear: text("key")? })
}

/// Replicas 0 and 2 are of two versions. Returns the keys that it made and ended.
pub(super) async fn holds_both_ways(site: &Site) -> Result<Vec<Key>> {
    let mut ended = Vec::new();
    for (at, other) in [(0, 2), (2, 0)] {
        let [at, other] = [at, other].map(|at| &site.replicas[at]);
        let key = make(at).await?;
        everywhere(site, &key, is_served).await?;
        let (status, _) = delete(other.admin(), &format!("/admin/v1/keys/{}", key.id)).await?;
        ensure!(status == 200, "a key that the other version made cannot be revoked: {status}");
        everywhere(site, &key, is_refused).await?;
        ended.push(key);
        drain_at(at, site).await?;
        tell(other, "resume").await?;
        known_everywhere(site, 0.0).await?;
    }
    Ok(ended)
}

/// Nothing comes to a deployment that one replica has drained, by whomever.
async fn drain_at(at: &Replica, site: &Site) -> Result<()> {
    let provider = site.providers.iter().find(|one| one.upstream.name == "c").context("no provider")?;
    let begun = unix_us();
    tell(at, "drain").await?;
    known_everywhere(site, 1.0).await?;
    tokio::time::sleep(SETTLED).await;
    let settled = unix_us();
    tokio::time::sleep(2 * SETTLED).await;
    let late = provider.seen(settled, unix_us()).await?;
    ensure!(late == 0, "{late} calls came to a deployment that the other version has drained");
    ensure!(provider.seen(begun - 3_000_000, begun).await? > 0, "void: nothing came before either");
    Ok(())
}

async fn tell(at: &Replica, verb: &str) -> Result<()> {
    let (status, body) = post(at.admin(), &format!("/admin/v1/deployments/c/{verb}"), String::new()).await?;
    ensure!(status == 200, "{verb}: {status} {}", String::from_utf8_lossy(&body));
    Ok(())
}

async fn known_everywhere(site: &Site, drained: f64) -> Result<()> {
    for replica in &site.replicas {
        eventually("a replica that has heard of a drain or its end", async || {
            Ok(replica.metric("weir_deployment_drained", "deployment=\"c\"").await? == drained)
        })
        .await?;
    }
    Ok(())
}

/// Returns when each replica answers a call with the key as `fine` wants it.
pub(super) async fn everywhere(site: &Site, key: &Key, fine: fn(&Answer) -> bool) -> Result<()> {
    let begun = Instant::now();
    for replica in &site.replicas {
        let client = Client::new(replica.addr());
        loop {
            let answer = client.call(&Ask::new("talk").max_tokens(4).key(&key.clear)).await;
            if fine(&answer) {
                break;
            }
            ensure!(begun.elapsed() < HEARD, "key {}: still {answer:?}", key.id);
        }
    }
    Ok(())
}

pub(super) fn is_served(answer: &Answer) -> bool {
    answer.is_good(false)
}

pub(super) fn is_refused(answer: &Answer) -> bool {
    let error: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    answer.status == 401 && error["error"]["code"] == "invalid_api_key"
}
