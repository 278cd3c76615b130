//! Keys that are made, rotated and revoked while three replicas run. The judges are the clients' clock and the providers' logs.

mod at_once;
mod away;
mod ends;
mod late;
mod limits;
mod operators;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use weir_tests::client::{Answer, Ask, Client, delete, get, post};
use weir_tests::gateway::Replica;
use weir_tests::provider::Upstream;
use weir_tests::site::{Plan, Site};

const QUICK: &str = "--output 4 --latency 2ms --pace 0ms";
/// A key of the configuration, and what `weir keys hash` says of it.
const CONFIGURED: &str = "sk-configured";
const HASH: &str = "sha256:99b3eefdd2facb668ce08f0b3664e787465ed9b9c28e63b9bd105e36d7adcffa";

/// A key as the admin listener gives it.
#[derive(Clone, Debug)]
struct Key {
    id: String,
    clear: String,
}

/// Three replicas, and tenants as written; one that is called `t` has the key of the configuration.
async fn start(plan: Plan, tenants: &str) -> Result<Site> {
    let names: Vec<String> = plan.upstreams.iter().map(|upstream| format!("\"{}\"", upstream.name)).collect();
    let models = format!("[[models]]\nname = \"m\"\ndeployments = [{}]\n{tenants}\n", names.join(", "));
    Site::start(Plan { models: Some(models), on_outage: "open", ..plan }).await
}

fn plan(name: &str) -> Plan {
    Plan::new(name, vec![Upstream::new("a").behaving(QUICK)])
}

fn tenant() -> String {
    format!("[[tenants]]\nname = \"t\"\nkeys = [\"{HASH}\"]\n")
}

/// Makes a key at a replica.
async fn make(replica: &Replica, wanted: Value) -> Result<Key> {
    let (status, body) = post(replica.admin(), "/admin/v1/keys", wanted.to_string()).await?;
    ensure!(status == 201, "{status}: {}", String::from_utf8_lossy(&body));
    key(&serde_json::from_slice(&body)?)
}

async fn rotate(replica: &Replica, key: &Key, grace: &str) -> Result<Key> {
    let path = format!("/admin/v1/keys/{}/rotate", key.id);
    let (status, body) = post(replica.admin(), &path, json!({ "grace": grace }).to_string()).await?;
    ensure!(status == 200, "{status}: {}", String::from_utf8_lossy(&body));
    self::key(&serde_json::from_slice(&body)?)
}

async fn revoke(replica: &Replica, key: &Key) -> Result<()> {
    let (status, body) = delete(replica.admin(), &format!("/admin/v1/keys/{}", key.id)).await?;
    ensure!(status == 200, "{status}: {}", String::from_utf8_lossy(&body));
    Ok(())
}

/// The whole list, in parts.
async fn list(replica: &Replica) -> Result<Vec<Value>> {
    let (mut keys, mut after) = (Vec::new(), String::new());
    loop {
        let (status, body) = get(replica.admin(), &format!("/admin/v1/keys?limit=64{after}")).await?;
        ensure!(status == 200, "{status}");
        let part: Value = serde_json::from_slice(&body)?;
        let some = part["keys"].as_array().context("no list")?;
        ensure!(some.len() <= 64, "{} at once", some.len());
        keys.extend(some.iter().cloned());
        let Some(next) = part["next"].as_str() else { return Ok(keys) };
        after = format!("&after={next}");
    }
}

fn key(page: &Value) -> Result<Key> {
    let text =
        |name: &str| page[name].as_str().map(str::to_owned).with_context(|| format!("no {name} in {page}"));
    Ok(Key { id: text("id")?, clear: text("key")? })
}

fn clients(site: &Site) -> Vec<Client> {
    site.replicas.iter().map(|replica| Client::new(replica.addr())).collect()
}

async fn call(client: &Client, key: &str) -> Answer {
    client.call(&Ask::new("m").max_tokens(4).key(key)).await
}

/// What a client is told whose key is not good.
fn is_refused(answer: &Answer) -> bool {
    let error: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    answer.status == 401 && error["error"]["code"] == "invalid_api_key"
}

/// Returns when each replica has served a good key, and how long after `since` that was for the last. None refuses it for good meanwhile.
async fn served_everywhere(clients: &[Client], key: &str, since: Instant) -> Result<Duration> {
    for client in clients {
        loop {
            let answer = call(client, key).await;
            ensure!(answer.status != 401, "a good key is refused for good at {}", client.addr());
            if answer.is_good(false) {
                break;
            }
            ensure!(since.elapsed() < Duration::from_secs(5), "still {} at {}", answer.status, client.addr());
        }
    }
    Ok(since.elapsed())
}

/// Returns when each replica answers as `fine` wants it, and how long after `since` that was for the last.
async fn everywhere(
    clients: &[Client],
    key: &str,
    since: Instant,
    fine: impl Fn(&Answer) -> bool,
) -> Result<Duration> {
    for client in clients {
        loop {
            let answer = call(client, key).await;
            if fine(&answer) {
                break;
            }
            ensure!(since.elapsed() < Duration::from_secs(5), "still {} at {}", answer.status, client.addr());
        }
    }
    Ok(since.elapsed())
}
