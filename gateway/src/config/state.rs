//! `[state]`: where the shared state is, and what happens without it.

use std::time::Duration;

use secrecy::{SecretSlice, SecretString};

/// `[state]`.
#[derive(Clone, Debug)]
pub struct StateConfig {
    /// Where the data are.
    pub redis: Topology,
    /// TLS to every server; `None`: plain TCP.
    pub tls: Option<Tls>,
    /// Namespace: one hash tag, one atomic unit.
    pub namespace: String,
    /// Deadline of every Redis call.
    pub timeout: Duration,
    /// How many replicas there are, for limits shared while Redis is away; 0: the file does not say.
    pub expected_replicas: u64,
    /// Replicas are lent room for the calls to come, and do not ask for each.
    pub leases: bool,
}

impl StateConfig {
    /// The longest [`timeout`](Self::timeout) that has an effect; a longer one counts as this. Several answers must fit into the times of the protocol: a closed limit
    /// refuses within a second, a lapsed life 1 s after its last SYNC, learning ends after 2 s, a call waits for 4 s.
    pub const LONGEST_TIMEOUT: Duration = Duration::from_millis(500);
}

/// How the servers of the shared state are found.
#[derive(Clone, Debug)]
pub enum Topology {
    /// `url`: this one.
    Single {
        /// The server.
        node: Endpoint,
        /// At it.
        login: Login,
    },
    /// `sentinel`: the master that the sentinels name.
    Sentinel(Sentinel),
    /// `cluster`: the master that owns the namespace's slot.
    Cluster {
        /// Some of the cluster's nodes.
        nodes: Vec<Endpoint>,
        /// At all of them.
        login: Login,
    },
}

/// `sentinel`.
#[derive(Clone, Debug)]
pub struct Sentinel {
    /// The sentinels.
    pub nodes: Vec<Endpoint>,
    /// At the sentinels.
    pub login: Login,
    /// What they call the master.
    pub master: String,
    /// At the master.
    pub data: Login,
}

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// A name or an address; that of IPv6 without brackets.
    pub host: String,
    /// TCP.
    pub port: u16,
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// As whom to connect, and to which database.
#[derive(Clone, Debug, Default)]
pub struct Login {
    /// An ACL user; `None`: the default one.
    pub username: Option<String>,
    /// Its password.
    pub password: Option<SecretString>,
    /// Number of the database.
    pub db: u32,
}

/// What TLS to the servers needs, as read from the files: PEM.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// The authorities that servers are trusted by; `None`: those of the public web.
    pub ca: Option<Vec<u8>>,
    /// Our own certificate.
    pub identity: Option<Identity>,
}

/// A certificate and its key, PEM.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The certificate, and those between it and the authority.
    pub cert: Vec<u8>,
    /// Its private key.
    pub key: SecretSlice<u8>,
}

/// What happens to calls while the shared state is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnOutage {
    /// Each replica keeps to its part of what was left.
    Share,
    /// Refuse with 503 and `Retry-After`.
    Closed,
    /// Serve without limits.
    Open,
}
