//! One key that several change at once, each at another replica: what each was told holds.

use std::time::Instant;

use anyhow::{Result, ensure};
use serde_json::json;
use tokio::task::JoinSet;
use weir_tests::client::post;
use weir_tests::site::Site;

use super::{
    Key, call, clients, everywhere, is_refused, key, make, plan, revoke, served_everywhere, start, tenant,
};
use crate::in_turn;

/// Rotates a key at once, each time with one of these graces and at another replica; the new keys in this order.
async fn rotated(site: &Site, of: &Key, graces: &[&'static str]) -> Result<Vec<Key>> {
    let mut rotating = JoinSet::new();
    for (at, grace) in graces.iter().enumerate() {
        let admin = site.replicas[at % site.replicas.len()].admin();
        let (path, body) =
            (format!("/admin/v1/keys/{}/rotate", of.id), json!({ "grace": grace }).to_string());
        rotating.spawn(async move { (at, post(admin, &path, body).await) });
    }
    let mut keys = Vec::new();
    for (at, answer) in rotating.join_all().await {
        let (status, body) = answer?;
        ensure!(status == 200, "{status}: {}", String::from_utf8_lossy(&body));
        keys.push((at, key(&serde_json::from_slice(&body)?)?));
    }
    keys.sort_by_key(|(at, _)| *at);
    Ok(keys.into_iter().map(|(_, key)| key).collect())
}

/// Would fail if of two changes with one version the one stayed for which more was drawn: half of those who are first to tell, and were
/// told that it is done, would hold a key that nobody knows.
#[test]
fn every_key_that_is_given_for_one_at_once_is_good() -> Result<()> {
    in_turn(async {
        let site = start(plan("keys-rotated-at-once"), &tenant()).await?;
        let clients = clients(&site);
        for round in 0..10 {
            let first = make(&site.replicas[round % 3], json!({ "tenant": "t" })).await?;
            let given = rotated(&site, &first, &["1h"; 6]).await?;
            for key in given.iter().chain([&first]) {
                served_everywhere(&clients, &key.clear, Instant::now()).await?;
            }
            let kept: String = site.redis.ask(&["HGET", "{weir}:keys", &format!("k:{}", first.id)])?;
            ensure!(
                kept.starts_with("7 0 "),
                "void, or one is lost: {}",
                kept.split('{').next().unwrap_or_default()
            );
            revoke(&site.replicas[0], &first).await?;
            for key in given.iter().chain([&first]) {
                everywhere(&clients, &key.clear, Instant::now(), is_refused).await?;
            }
        }
        Ok(())
    })
}

/// The same: half of the leaks would go on for a day.
#[test]
fn a_leak_that_is_ended_while_others_rotate_the_key_stays_ended() -> Result<()> {
    in_turn(async {
        let site = start(plan("keys-leak-at-once"), &tenant()).await?;
        let clients = clients(&site);
        for round in 0..10 {
            let leaked = make(&site.replicas[round % 3], json!({ "tenant": "t" })).await?;
            let given = rotated(&site, &leaked, &["0s", "24h", "24h"]).await?;
            everywhere(&clients, &leaked.clear, Instant::now(), is_refused).await?;
            // (Whoever was before it is ended by it as well; it is not ended by those with a grace.)
            served_everywhere(&clients, &given[0].clear, Instant::now()).await?;
            for client in &clients {
                ensure!(is_refused(&call(client, &leaked.clear).await), "it has come back");
            }
        }
        Ok(())
    })
}
