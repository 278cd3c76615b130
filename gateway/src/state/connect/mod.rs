//! Which Redis server to talk to, and the way there: one, the master that sentinels name, or the master of a cluster
//! that owns the namespace's slot. A namespace is one slot, so a lane needs one connection whatever the topology.
//!
//! deadpool's managers for Sentinel and Cluster have no time limits; and a cluster client, which sends each command
//! where its key is, does more than one slot needs. So here is one manager, [`Finder`]: it finds the node and lets
//! deadpool-redis connect to it. What is asked of it afterwards is whether that node is still the right one.

mod cluster;
mod dial;
mod sentinel;
mod single;

use std::sync::Arc;
use std::time::Duration;

use deadpool::managed::{Manager, Metrics, RecycleError, RecycleResult};
use parking_lot::Mutex;
use redis::aio::MultiplexedConnection;
use redis::{FromRedisValue, RedisError, Value};

use super::scripts::Keys;
use crate::config::{Endpoint, StateConfig, Topology};
use cluster::Cluster;
use dial::Dialer;
use sentinel::Sentinels;

/// Connecting may take at least this long, whatever time a call has: with TLS and a login it is several round trips.
const SHORTEST_CONNECT: Duration = Duration::from_millis(500);
/// As long may a question on the way take.
const SHORTEST_ANSWER: Duration = Duration::from_millis(250);

/// A connection to the node that has the data.
#[derive(Clone)]
pub struct Open {
    /// To be cloned by whoever sends.
    pub connection: MultiplexedConnection,
    /// Where it leads.
    pub node: Endpoint,
    /// Of the server; 0: it does not say.
    pub run: u64,
    /// When the sentinels chose the node, as a number that grows; 0 without sentinels.
    pub term: u64,
}

/// Why there is no connection. Shows neither passwords nor what a server said, which might quote one.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// It cannot be connected to, or does not answer.
    #[error("{0}: {1}")]
    Node(Endpoint, String),
    /// No answer in time.
    #[error("{0}: no answer in time")]
    Late(Endpoint),
    /// It must not be written to.
    #[error("{0} is no master")]
    NoMaster(Endpoint),
    /// Each node says that another has the slot.
    #[error("{0} and others disagree about who owns the slot")]
    NoOwner(Endpoint),
    /// None of the cluster's nodes is known.
    #[error("no node of the cluster is known")]
    NoNode,
    /// Either none of them answers or none knows the name.
    #[error("no sentinel tells of a master `{0}`")]
    Sentinels(String),
}

impl Fault {
    fn of(node: &Endpoint, err: &RedisError) -> Fault {
        let words = if err.is_io_error() { err.to_string() } else { describe(err) };
        Fault::Node(node.clone(), words)
    }
}

/// An error without its detail beyond the server's code, for a detail might quote a key.
pub(super) fn describe(err: &RedisError) -> String {
    err.code().map_or_else(|| err.category().to_owned(), str::to_owned)
}

/// Did the server answer, if only with an error? That says nothing against the connection.
pub(super) fn is_answer(err: &RedisError) -> bool {
    matches!(err.kind(), redis::ErrorKind::Server(_) | redis::ErrorKind::Extension)
}

/// The node that an answer MOVED or ASK names. The host may be missing: then it is that of the node that answered.
pub(super) fn redirected(err: &RedisError, by: &Endpoint) -> Option<Endpoint> {
    let (host, port) = err.redirect_node()?.0.rsplit_once(':')?;
    let host = if host.is_empty() { &by.host } else { host };
    Some(Endpoint { host: host.to_owned(), port: port.parse().ok()? })
}

/// The servers of the configuration, and what all lanes of this process know of them.
pub struct Servers {
    config: StateConfig,
    keys: Keys,
    /// The latest master that sentinels named: a lane that hears of it takes the others along, for the replica's books
    /// must not go to two data sets in turn.
    latest: sentinel::Latest,
    /// Is it told in the log that there is no connection?
    told: Mutex<bool>,
}

impl std::fmt::Debug for Servers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Servers").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Servers {
    /// Those of `config`.
    pub fn new(config: StateConfig) -> Arc<Servers> {
        let (timeout, longest) = (config.timeout, StateConfig::LONGEST_TIMEOUT);
        if timeout > longest {
            tracing::warn!(target: "weir::state", ?timeout, "state.timeout counts as {longest:?}, the longest there is");
        }
        let config = StateConfig { timeout: timeout.min(longest), ..config };
        let keys = Keys::new(&config.namespace);
        Arc::new(Servers { config, keys, latest: sentinel::Latest::default(), told: Mutex::new(false) })
    }

    /// The time of a call.
    pub fn timeout(&self) -> Duration {
        self.config.timeout
    }

    /// The names of the keys.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// The log says once why there is no connection; what else is found out until there is one is for debugging.
    pub(super) fn tell(&self, fault: &dyn std::fmt::Display) {
        if std::mem::replace(&mut *self.told.lock(), true) {
            tracing::debug!(target: "weir::state", error = %fault, "no connection to Redis yet");
        } else {
            tracing::warn!(target: "weir::state", error = %fault, "no connection to Redis");
        }
    }

    pub(super) fn connected(&self) {
        *self.told.lock() = false;
    }
}

/// Finds the node for one lane, on the lane's runtime.
pub struct Finder {
    servers: Arc<Servers>,
    way: Way,
}

enum Way {
    Single(Endpoint, Dialer),
    Sentinel(Sentinels),
    Cluster(Cluster),
}

impl Finder {
    /// For one lane.
    pub fn new(servers: Arc<Servers>) -> Finder {
        let StateConfig { redis, tls, timeout, .. } = &servers.config;
        let dialer = |login| Dialer::new(login, tls.as_ref(), *timeout);
        let way = match redis {
            Topology::Single { node, login } => Way::Single(node.clone(), dialer(login)),
            Topology::Sentinel(config) => {
                Way::Sentinel(Sentinels::new(config, dialer(&config.login), dialer(&config.data)))
            }
            Topology::Cluster { nodes, login } => {
                Way::Cluster(Cluster::new(nodes, dialer(login), &servers.keys))
            }
        };
        Finder { servers, way }
    }

    /// How long finding and connecting may take: every step has a limit of its own, and this is more than their sum.
    pub fn longest(&self) -> Duration {
        10 * (SHORTEST_CONNECT + SHORTEST_ANSWER).max(2 * self.servers.timeout())
    }

    /// Does the node still answer, and is it still the one to talk to? Asked now and then: a connection that dies, or
    /// a master that is demoted, while no call shows it would cost the next call.
    pub async fn confirms(&self, open: &Open) -> bool {
        match &self.way {
            Way::Single(_, dialer) => single::confirms(dialer, open).await,
            Way::Sentinel(sentinels) => sentinels.confirms(&self.servers.latest, open).await,
            Way::Cluster(cluster) => cluster.confirms(open).await,
        }
    }

    /// Returns when another lane knows of a later master than this connection leads to.
    pub async fn superseded(&self, open: &Open) {
        match &self.way {
            Way::Sentinel(_) => self.servers.latest.passes(open).await,
            Way::Single(..) | Way::Cluster(_) => std::future::pending().await,
        }
    }

    /// The slot belongs to another node now.
    pub(super) fn moved(&self, to: Endpoint) {
        if let Way::Cluster(cluster) = &self.way {
            cluster.moved(to);
        }
    }

    /// A connection to the node of the cluster that an answer named.
    pub(super) async fn aside(&self, node: &Endpoint) -> Result<Open, Fault> {
        match &self.way {
            Way::Cluster(cluster) => cluster.aside(node).await,
            Way::Single(..) | Way::Sentinel(_) => {
                Err(Fault::Node(node.clone(), "belongs to a cluster; `cluster` is for those".into()))
            }
        }
    }

    /// That connection does not work.
    pub(super) fn forget_aside(&self) {
        if let Way::Cluster(cluster) = &self.way {
            cluster.forget_aside();
        }
    }
}

impl Manager for Finder {
    type Type = Open;
    type Error = Fault;

    async fn create(&self) -> Result<Open, Fault> {
        match &self.way {
            Way::Single(node, dialer) => single::open(dialer, node).await,
            Way::Sentinel(sentinels) => sentinels.open(&self.servers.latest).await,
            Way::Cluster(cluster) => cluster.open().await,
        }
    }

    async fn recycle(&self, _: &mut Open, _: &Metrics) -> RecycleResult<Fault> {
        Err(RecycleError::message("a lane keeps its connection until that fails"))
    }
}

/// One question to a node, within `limit`; an error that the server answered with is the inner one.
async fn ask<T: FromRedisValue>(
    mut connection: MultiplexedConnection,
    question: &redis::Cmd,
    node: &Endpoint,
    limit: Duration,
) -> Result<Result<T, RedisError>, Fault> {
    match tokio::time::timeout(limit, question.query_async::<T>(&mut connection)).await {
        Err(_) => Err(Fault::Late(node.clone())),
        Ok(Err(err)) if !is_answer(&err) => Err(Fault::of(node, &err)),
        Ok(answer) => Ok(answer),
    }
}

/// The run of a server, as much of it as a double can hold; 0 if it may not be asked.
async fn run_of(connection: &MultiplexedConnection, node: &Endpoint, limit: Duration) -> Result<u64, Fault> {
    let info = ask::<String>(connection.clone(), redis::cmd("INFO").arg("server"), node, limit).await?;
    let info = info.unwrap_or_default();
    let run = info.lines().find_map(|line| line.strip_prefix("run_id:"));
    Ok(run.and_then(|run| u64::from_str_radix(run.get(..13)?, 16).ok()).unwrap_or(0))
}

/// Text of a reply; none if it is something else.
fn text(value: &Value) -> Option<String> {
    String::from_redis_value_ref(value).ok()
}
