//! Three masters with a replica each, made as `redis-cli --cluster create` would.

use std::path::Path;

use anyhow::{Context, Result, bail};
use redis::Value;
use weir::state::scripts::Keys;

use super::{Others, Shared};
use crate::process::{eventually, free_port};
use crate::redis_server::Redis;

const SLOTS: usize = 16_384;
const MASTERS: usize = 3;

/// The cluster without the node that has the data at first.
#[derive(Debug)]
pub struct Cluster {
    /// The namespace's slot.
    slot: String,
    masters: Vec<Redis>,
    replicas: Vec<Redis>,
}

impl Cluster {
    /// Begins to move the namespace's slot from `owner`, and moves its keys. From then on the owner sends those who ask
    /// for them to the node that is returned; it is the owner only after [`Cluster::hand_over`].
    pub fn move_keys(&self, owner: &Redis) -> Result<&Redis> {
        let target = self.masters.first().context("a cluster has other masters")?;
        let (from, to) = (id_of(owner)?, id_of(target)?);
        target.ask::<()>(&["CLUSTER", "SETSLOT", &self.slot, "IMPORTING", &from])?;
        owner.ask::<()>(&["CLUSTER", "SETSLOT", &self.slot, "MIGRATING", &to])?;
        let port = target.addr().port().to_string();
        loop {
            let keys: Vec<String> = owner.ask(&["CLUSTER", "GETKEYSINSLOT", &self.slot, "100"])?;
            if keys.is_empty() {
                return Ok(target);
            }
            let mut words = vec!["MIGRATE", "127.0.0.1", &port, "", "0", "5000", "KEYS"];
            words.extend(keys.iter().map(String::as_str));
            owner.ask::<Value>(&words)?;
        }
    }

    /// Ends what [`Cluster::move_keys`] began.
    pub fn hand_over(&self, owner: &Redis) -> Result<()> {
        let target = self.masters.first().context("a cluster has other masters")?;
        let to = id_of(target)?;
        for node in [target, owner].into_iter().chain(&self.masters[1..]) {
            node.ask::<()>(&["CLUSTER", "SETSLOT", &self.slot, "NODE", &to])?;
        }
        Ok(())
    }

    /// `redis://…` of the node that answers for the namespace.
    pub(super) fn home(&self, first: &Redis) -> Result<String> {
        let state = Keys::new("weir");
        let has = |node: &&Redis| node.ask::<bool>(&["EXISTS", state.state()]).unwrap_or(false);
        let mut nodes = std::iter::once(first).chain(&self.masters).chain(&self.replicas);
        nodes.find(has).map(Redis::url).context("no node has the state")
    }

    /// Waits until a replica has taken the place of `owner`, which is dead; which one.
    pub async fn replaced(&self, owner: &Redis) -> Result<&Redis> {
        let mut heir = None;
        eventually("a replica that takes over", async || {
            let named = |node: &&Redis| Ok::<_, anyhow::Error>(role_of(node)? == "master");
            for replica in &self.replicas {
                if named(&replica)? {
                    heir = Some(replica);
                }
            }
            Ok(heir.is_some())
        })
        .await?;
        heir.with_context(|| format!("nobody takes the place of {}", owner.addr()))
    }
}

pub(super) async fn start(folder: &Path) -> Result<Shared> {
    let mut nodes = Vec::new();
    let mut buses = Vec::new();
    for number in 1..=2 * MASTERS {
        let bus = free_port()?.to_string();
        let arguments = [
            ["--cluster-enabled", "yes"],
            ["--cluster-port", &bus],
            ["--cluster-node-timeout", "1500"],
            ["--repl-diskless-sync-delay", "0"],
        ];
        let arguments: Vec<String> = arguments.as_flattened().iter().map(|&word| word.to_owned()).collect();
        nodes.push(Redis::start_as(&format!("redis-{number}"), &arguments, folder).await?);
        buses.push(bus);
    }
    join(&nodes, &buses).await?;

    let slot: usize = nodes[0].ask(&["CLUSTER", "KEYSLOT", Keys::new("weir").state()])?;
    let replicas = nodes.split_off(MASTERS);
    let redis = nodes.remove(slot * MASTERS / SLOTS);
    // One node is enough to find the others, also when it is gone.
    let settings = format!("cluster = [\"redis://{}\"]", redis.addr());
    let cluster = Cluster { slot: slot.to_string(), masters: nodes, replicas };
    Ok(Shared { redis, others: Others::Cluster(cluster), settings })
}

/// Lets the nodes meet, deals the slots to the first of them, and gives each of those a replica.
async fn join(nodes: &[Redis], buses: &[String]) -> Result<()> {
    for (node, bus) in nodes.iter().zip(buses).skip(1) {
        let port = node.addr().port().to_string();
        nodes[0].ask::<()>(&["CLUSTER", "MEET", "127.0.0.1", &port, bus])?;
    }
    for (at, master) in nodes[..MASTERS].iter().enumerate() {
        // The first slot of each third, rounded up: so that a slot's third is found by division.
        let [first, next] = [at, at + 1].map(|third| (third * SLOTS).div_ceil(MASTERS));
        master.ask::<()>(&["CLUSTER", "ADDSLOTSRANGE", &first.to_string(), &(next - 1).to_string()])?;
    }
    eventually("nodes that know each other", async || {
        let known: Vec<String> =
            nodes.iter().map(|node| node.ask(&["CLUSTER", "INFO"])).collect::<Result<_>>()?;
        Ok(known
            .iter()
            .all(|info| info.contains("cluster_known_nodes:6") && info.contains("cluster_state:ok")))
    })
    .await?;
    for (master, replica) in nodes.iter().zip(&nodes[MASTERS..]) {
        let id = id_of(master)?;
        eventually("a master to follow", async || {
            Ok(replica.ask::<()>(&["CLUSTER", "REPLICATE", &id]).is_ok())
        })
        .await?;
    }
    eventually("replicas that are in step", async || {
        for replica in &nodes[MASTERS..] {
            let info: String = replica.ask(&["INFO", "replication"])?;
            if !info.contains("master_link_status:up") {
                return Ok(false);
            }
        }
        // And everybody has heard of it: whoever has not would not vote.
        let seen: Vec<String> =
            nodes.iter().map(|node| node.ask(&["CLUSTER", "NODES"])).collect::<Result<_>>()?;
        Ok(seen.iter().all(|nodes| nodes.matches("slave").count() == MASTERS))
    })
    .await
}

fn id_of(node: &Redis) -> Result<String> {
    node.ask(&["CLUSTER", "MYID"])
}

fn role_of(node: &Redis) -> Result<String> {
    match &node.ask::<Vec<Value>>(&["ROLE"])?[..] {
        [Value::BulkString(role), ..] => Ok(String::from_utf8_lossy(role).into_owned()),
        _ => bail!("{} does not say what it is", node.addr()),
    }
}
