//! Keys while Redis is away, when it has lost its data, and when it has not.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use weir_tests::client::{Answer, Client, delete, post};
use weir_tests::process::eventually;
use weir_tests::site::{Plan, Site};
use weir_tests::topology::Topology;

use super::{
    CONFIGURED, call, clients, everywhere, is_refused, key, list, make, plan, revoke, rotate,
    served_everywhere, start, tenant,
};
use crate::in_turn;

/// Of the form of a key that was made, and none.
const UNMADE: &str = "sk-weir-0000000000000000000000000000000000000000000000000000000000000000";

fn good(answer: &Answer) -> bool {
    answer.is_good(false)
}

fn put_off(answer: &Answer) -> bool {
    answer.status == 503 && answer.retry_after.is_some()
}

/// Broken on purpose to see it fail: keys known to the replica alone that made them.
#[test]
fn two_hundred_keys_made_at_once_are_all_there_after_a_restart() -> Result<()> {
    in_turn(async {
        let mut site = start(Plan { topology: Topology::Durable, ..plan("keys-durable") }, &tenant()).await?;
        let mut making = JoinSet::new();
        for at in 0..200 {
            let admin = site.replicas[at % site.replicas.len()].admin();
            let wanted = json!({ "tenant": "t", "name": format!("key {at}") }).to_string();
            making.spawn(async move { post(admin, "/admin/v1/keys", wanted).await });
        }
        let mut keys = Vec::new();
        for made in making.join_all().await {
            let (status, body) = made?;
            ensure!(status == 201, "{status}: {}", String::from_utf8_lossy(&body));
            keys.push(key(&serde_json::from_slice(&body)?)?);
        }
        site.redis.kill()?;
        // Nobody remembers them but the disk.
        site.replicas.iter_mut().try_for_each(|replica| replica.kill())?;
        site.redis.restart().await?;
        for replica in &mut site.replicas {
            replica.replace().await?;
        }
        // (A replica that is slow to begin may ask once more.)
        served_everywhere(&clients(&site), &keys[0].clear, Instant::now()).await?;
        for replica in &site.replicas {
            let listed = list(replica).await?.len();
            ensure!(listed == 200, "{listed} keys are there");
        }
        for client in clients(&site) {
            for key in &keys {
                let answer = call(&client, &key.clear).await;
                ensure!(good(&answer), "{answer:?}");
            }
        }
        Ok(())
    })
}

/// Broken on purpose to see it fail: a key that is not known refused for good whenever the state was heard last; what is known not told
/// to an empty data set.
#[test]
fn without_redis_known_keys_go_on_and_unknown_ones_are_put_off() -> Result<()> {
    in_turn(async {
        let mut site = start(plan("keys-away"), &tenant()).await?;
        let key = make(&site.replicas[0], json!({ "tenant": "t" })).await?;
        everywhere(&clients(&site), &key.clear, Instant::now(), good).await?;
        everywhere(&clients(&site), UNMADE, Instant::now(), is_refused).await?;
        site.redis.kill()?;
        let gone = Instant::now();
        everywhere(&clients(&site), UNMADE, gone, put_off).await?;
        for client in clients(&site) {
            ensure!(good(&call(&client, &key.clear).await), "a key that is known");
            ensure!(is_refused(&call(&client, "sk-foreign").await), "a key that no replica makes");
        }
        let (status, _) =
            post(site.replicas[0].admin(), "/admin/v1/keys", json!({ "tenant": "t" }).to_string()).await?;
        ensure!(status == 503, "a key was made without a state: {status}");
        // One that begins without Redis knows what is configured.
        site.replicas[2].kill()?;
        site.replicas[2].replace().await?;
        let newcomer = Client::new(site.replicas[2].addr());
        ensure!(good(&call(&newcomer, CONFIGURED).await), "a key of the configuration");
        let answer = call(&newcomer, &key.clear).await;
        ensure!(put_off(&answer), "{answer:?}");
        site.redis.restart().await?;
        let back = Instant::now();
        let known = everywhere(&clients(&site), &key.clear, back, good).await?;
        println!("known everywhere {known:?} after Redis came back empty");
        everywhere(&clients(&site), UNMADE, back, is_refused).await?;
        Ok(())
    })
}

/// Broken on purpose to see it fail: a revocation without the state done nowhere.
#[test]
fn without_redis_a_key_is_revoked_where_that_is_said_and_elsewhere_when_it_is_back() -> Result<()> {
    in_turn(async {
        let mut site = start(plan("keys-revoked-alone"), &tenant()).await?;
        let key = make(&site.replicas[0], json!({ "tenant": "t" })).await?;
        served_everywhere(&clients(&site), &key.clear, Instant::now()).await?;
        site.redis.kill()?;
        let path = format!("/admin/v1/keys/{}", key.id);
        let (status, body) = delete(site.replicas[1].admin(), &path).await?;
        let said: Value = serde_json::from_slice(&body)?;
        ensure!(status == 503 && said["error"]["ended_here"] == true, "{status}: {said}");
        let seen = site.providers[0].arrivals().await?.len();
        let [one, asked, other] = [0, 1, 2].map(|at| Client::new(site.replicas[at].addr()));
        ensure!(is_refused(&call(&asked, &key.clear).await), "as the answer says");
        ensure!(site.providers[0].arrivals().await?.len() == seen);
        for client in [&one, &other] {
            ensure!(good(&call(client, &key.clear).await), "void: it heard of it without Redis");
        }
        site.redis.restart().await?;
        everywhere(&clients(&site), &key.clear, Instant::now(), is_refused).await?;
        // And it is the data set that knows.
        eventually("revocation in the data set", async || {
            let kept: String = site.redis.ask(&["HGET", "{weir}:keys", &format!("k:{}", key.id)])?;
            Ok(kept.starts_with("2 1 "))
        })
        .await?;
        revoke(&site.replicas[0], &key).await
    })
}

/// Broken on purpose to see it fail: what is known not told to an empty data set; what is newer there not taken.
#[test]
fn a_redis_that_comes_back_empty_is_told_all_keys_and_none_comes_back() -> Result<()> {
    in_turn(async {
        let mut site = start(plan("keys-lost"), &tenant()).await?;
        let wanted = || json!({ "tenant": "t" });
        let lives = make(&site.replicas[0], wanted()).await?;
        let ended = make(&site.replicas[1], wanted()).await?;
        let old = make(&site.replicas[2], wanted()).await?;
        let doomed = make(&site.replicas[0], wanted()).await?;
        for key in [&lives, &ended, &old, &doomed] {
            served_everywhere(&clients(&site), &key.clear, Instant::now()).await?;
        }
        revoke(&site.replicas[2], &ended).await?;
        let new = rotate(&site.replicas[1], &old, "0s").await?;
        everywhere(&clients(&site), &new.clear, Instant::now(), good).await?;
        // One replica does not hear that a key is revoked, and the data are lost before it does.
        let others = clients(&site).split_off(1);
        let doomed_again = rotate(&site.replicas[0], &doomed, "1h").await?;
        everywhere(&clients(&site), &doomed_again.clear, Instant::now(), good).await?;
        site.replicas[0].freeze()?;
        revoke(&site.replicas[1], &doomed).await?;
        for key in [&doomed, &doomed_again] {
            everywhere(&others, &key.clear, Instant::now(), is_refused).await?;
        }
        site.redis.flush()?;
        site.replicas[0].thaw()?;
        let back = Instant::now();
        for key in [&doomed, &doomed_again, &ended, &old] {
            everywhere(&clients(&site), &key.clear, back, is_refused).await?;
        }
        for key in [&lives, &new] {
            everywhere(&clients(&site), &key.clear, back, good).await?;
        }
        told_whole(&site, 4).await?;
        // And it is the data set that knows, not the replicas alone.
        for at in 0..site.replicas.len() {
            site.replicas[at].kill()?;
        }
        for replica in &mut site.replicas {
            replica.replace().await?;
        }
        everywhere(&clients(&site), &lives.clear, Instant::now(), good).await?;
        for client in clients(&site) {
            for key in [&doomed, &doomed_again, &ended, &old] {
                ensure!(is_refused(&call(&client, &key.clear).await), "one has come back");
            }
            for key in [&lives, &new] {
                ensure!(good(&call(&client, &key.clear).await), "one is gone");
            }
        }
        Ok(())
    })
}

/// Waits until so many keys stand in Redis.
async fn told_whole(site: &Site, count: usize) -> Result<()> {
    eventually("data set that knows all keys", async || {
        let fields: Vec<String> = site.redis.ask(&["HKEYS", "{weir}:keys"]).context("the keys")?;
        Ok(fields.iter().filter(|field| field.starts_with("k:")).count() == count)
    })
    .await
}

/// A failover, or a disk that is behind: the data set goes on from an earlier moment, and others change keys before a replica has looked.
/// Broken on purpose to see it fail: changes told apart by their number alone; what is known not told.
#[test]
fn a_data_set_that_has_lost_its_last_changes_is_told_them() -> Result<()> {
    in_turn(async {
        let site = start(plan("keys-behind"), &tenant()).await?;
        let early = make(&site.replicas[0], json!({ "tenant": "t" })).await?;
        let copy: Vec<String> = site.redis.ask(&["HGETALL", "{weir}:keys"])?;
        let late = make(&site.replicas[1], json!({ "tenant": "t" })).await?;
        revoke(&site.replicas[2], &early).await?;
        everywhere(&clients(&site), &late.clear, Instant::now(), good).await?;
        everywhere(&clients(&site), &early.clear, Instant::now(), is_refused).await?;
        // As many changes as there were, and other ones: who counts alone sees nothing.
        site.replicas.iter().try_for_each(|replica| replica.freeze())?;
        let words: Vec<&str> =
            ["HSET", "{weir}:keys"].into_iter().chain(copy.iter().map(String::as_str)).collect();
        site.redis.ask::<i64>(&["DEL", "{weir}:keys"])?;
        site.redis.ask::<i64>(&words)?;
        let mark = |count: u64| format!("{count} other{count}");
        for count in 2..=3 {
            let (id, change) = (early.id.clone(), format!("other{count} {}", early.id));
            ensure!(copy.contains(&format!("k:{id}")), "void: it is not in the copy");
            site.redis.ask::<i64>(&[
                "HSET",
                "{weir}:keys",
                &format!("c:{count}"),
                &change,
                "v",
                &mark(count),
            ])?;
        }
        site.replicas.iter().try_for_each(|replica| replica.thaw())?;
        told_whole(&site, 2).await?;
        eventually("revocation in the data set", async || {
            let kept: String = site.redis.ask(&["HGET", "{weir}:keys", &format!("k:{}", early.id)])?;
            Ok(kept.starts_with("2 1 "))
        })
        .await?;
        for client in clients(&site) {
            ensure!(
                good(&call(&client, &late.clear).await) && is_refused(&call(&client, &early.clear).await)
            );
        }
        Ok(())
    })
}
