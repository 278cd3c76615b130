//! Where the shared state is: one server, one behind TLS and an ACL, Sentinel, Cluster.

mod cluster;
mod secure;
mod sentinel;

use std::net::Ipv4Addr;
use std::path::Path;

use anyhow::Result;

pub use cluster::Cluster;
pub use secure::make_certificates;
pub use sentinel::Sentinels;

use crate::clock::Clock;
use crate::redis_server::Redis;

/// How Redis is set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topology {
    /// One server; with `WEIR_SECURE=1` a secure one.
    Single,
    /// One server that writes every change to its disk.
    Durable,
    /// One server, TLS with client certificates, the user of `deploy/redis-users.acl`.
    Secure,
    /// A master and two replicas watched by three sentinels; the user of `deploy/redis-users.acl`.
    Sentinel,
    /// Three masters with a replica each.
    Cluster,
}

/// The servers beside the one that has the data.
#[derive(Debug)]
pub enum Others {
    /// There is but one.
    Nobody,
    /// Replicas and sentinels.
    Sentinel(Sentinels),
    /// The rest of the cluster.
    Cluster(Cluster),
}

/// A running topology.
#[derive(Debug)]
pub struct Shared {
    /// What has the data at the start.
    pub redis: Redis,
    /// What stands beside it.
    pub others: Others,
    /// The keys of `[state]` that lead there.
    pub settings: String,
}

impl Others {
    /// `redis://…` of the server that has the data now; `first` had them at the start.
    pub fn home(&self, first: &Redis) -> Result<String> {
        match self {
            Others::Nobody => Ok(first.url()),
            Others::Sentinel(sentinels) => Ok(format!("redis://{}/0", sentinels.master()?)),
            Others::Cluster(cluster) => cluster.home(first),
        }
    }
}

impl Topology {
    /// Starts it and waits until it is settled.
    /// A single server may listen on another `host` than loopback and have a clock of its own.
    pub async fn start(self, host: Ipv4Addr, clock: Option<Clock>, folder: &Path) -> Result<Shared> {
        let secure = std::env::var_os("WEIR_SECURE").is_some_and(|value| value == "1");
        match self {
            Topology::Single if !secure => {
                let redis = Redis::start(host, clock, folder).await?;
                let settings = format!("url = \"{}\"", redis.url());
                Ok(Shared { redis, others: Others::Nobody, settings })
            }
            Topology::Durable => {
                let on_disk = ["--appendonly", "yes", "--appendfsync", "everysec"].map(str::to_owned);
                let redis = Redis::start_as("redis", &on_disk, folder).await?;
                let settings = format!("url = \"{}\"", redis.url());
                Ok(Shared { redis, others: Others::Nobody, settings })
            }
            Topology::Single | Topology::Secure => secure::start(host, clock, folder).await,
            Topology::Sentinel => sentinel::start(folder).await,
            Topology::Cluster => cluster::start(folder).await,
        }
    }
}
