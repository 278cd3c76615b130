//! Lanes: long-lived pipelined connections to Redis, one per worker, kept by deadpool.
//!
//! A checkout per command would cost a PING and exclude pipelining. So a lane task checks one connection out for
//! good and publishes it; callers clone the multiplexed handle. When a call fails the lane is kicked: it drops the
//! connection and checks out another, backing off between tries. While no connection is published calls fail at once.
//! Where a connection leads is decided in [`connect`](super::connect).

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use deadpool::Runtime;
use deadpool::managed::{BuildError, Object, Pool, PoolError};
use redis::aio::MultiplexedConnection;
use redis::{RedisError, Value};
use tokio::sync::{Notify, watch};

use super::Away;
use super::connect::{Finder, Open, Servers, describe, is_answer, redirected};
use super::core::{Command, Reply, Stamp};
use super::layout;
use super::scripts::{Call, Keys};

const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(320);
/// How often a connection is asked whether it lives and leads to the right node.
const PROBE_PERIOD: Duration = Duration::from_millis(300);
/// The whole state may be large.
const SNAPSHOT_TIME: Duration = Duration::from_secs(2);

/// One connection slot.
pub struct Lane {
    open: ArcSwapOption<Open>,
    opened: watch::Sender<bool>,
    kick: Notify,
    servers: Arc<Servers>,
    pool: Pool<Finder>,
}

impl std::fmt::Debug for Lane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lane").field("open", &self.is_open()).finish_non_exhaustive()
    }
}

impl Lane {
    /// Starts a lane on the current runtime.
    pub fn start(servers: Arc<Servers>) -> Result<Arc<Lane>, BuildError> {
        let finder = Finder::new(servers.clone());
        let longest = finder.longest();
        let pool = Pool::builder(finder)
            .max_size(1)
            .runtime(Runtime::Tokio1)
            .create_timeout(Some(longest))
            .build()?;
        let lane = Arc::new(Lane {
            open: ArcSwapOption::empty(),
            opened: watch::Sender::new(false),
            kick: Notify::new(),
            servers,
            pool,
        });
        tokio::spawn(keep(Arc::downgrade(&lane), lane.pool.clone()));
        Ok(lane)
    }

    /// Is a connection published?
    pub fn is_open(&self) -> bool {
        self.open.load().is_some()
    }

    /// Returns when a connection was published for the first time.
    pub async fn opened(&self) {
        // An error would mean that this lane is gone, and `self` says it is not.
        let _ = self.opened.subscribe().wait_for(|opened| *opened).await;
    }

    pub(super) fn keys(&self) -> &Keys {
        self.servers.keys()
    }

    /// One script within the state's timeout.
    pub async fn run(&self, command: &Command) -> Result<Reply, Away> {
        let Some(open) = self.open.load_full() else { return Err(Away::NotConnected) };
        let call = Call::new(self.keys(), command, stamp(open.run));
        let due = tokio::time::Instant::now() + self.servers.timeout();
        let asking = async {
            let value = ask(open.connection.clone(), &call).await?;
            let reply = read(&call, &value);
            #[cfg(feature = "controls")]
            let reply = super::control::take(open.connection.clone(), self.keys(), command, reply).await;
            Ok::<_, RedisError>(reply)
        };
        match tokio::time::timeout_at(due, asking).await {
            Ok(Ok(reply)) => reply,
            Ok(Err(err)) if matches!(err.code(), Some("ASK" | "MOVED")) => {
                self.failed(&open, &err);
                let aside = Box::pin(self.run_aside(command, &open, &err));
                tokio::time::timeout_at(due, aside).await.unwrap_or_else(|_| {
                    self.pool.manager().forget_aside();
                    Err(Away::TimedOut)
                })
            }
            Ok(Err(err)) => Err(self.failed(&open, &err)),
            Err(_) => {
                self.fail(&open);
                Err(Away::TimedOut)
            }
        }
    }

    /// The script at the node that the answer `sent` names: the owner of the slot, or while that moves the node that has
    /// the keys already, for those who say that they were sent.
    async fn run_aside(&self, command: &Command, open: &Open, sent: &RedisError) -> Result<Reply, Away> {
        let finder = self.pool.manager();
        let node = redirected(sent, &open.node).ok_or_else(|| Away::Failed(describe(sent)))?;
        let aside = finder.aside(&node).await.map_err(|fault| Away::Failed(fault.to_string()))?;
        let call = Call::new(self.keys(), command, stamp(aside.run));
        match ask_aside(aside.connection, &call).await {
            Ok(value) => read(&call, &value),
            Err(err) => {
                if !is_answer(&err) {
                    finder.forget_aside();
                }
                Err(Away::Failed(describe(&err)))
            }
        }
    }

    /// Keeps a string under a key of this namespace.
    pub async fn note(&self, key: &str, value: &str, ttl: Duration) -> Result<(), Away> {
        let mut set = redis::pipe();
        set.cmd("SET").arg(self.keys().note(key)).arg(value);
        set.arg("PX").arg(ttl.as_millis() as u64).ignore();
        self.plain(&set).await
    }

    /// Keeps a string where there is none yet: whether it did, and the one that is kept then.
    pub(super) async fn claim(
        &self,
        key: &str,
        value: &str,
        ttl: Duration,
    ) -> Result<(bool, Option<String>), Away> {
        let (key, mut set) = (self.keys().note(key), redis::pipe());
        set.cmd("SET").arg(&key).arg(value).arg("NX").arg("PX").arg(ttl.as_millis() as u64);
        set.cmd("GET").arg(&key);
        let (done, noted): (Option<String>, _) = self.plain(&set).await?;
        Ok((done.is_some(), noted))
    }

    /// Keeps a string that is kept for so long from now on.
    pub(super) async fn prolong(&self, key: &str, ttl: Duration) -> Result<(), Away> {
        let mut set = redis::pipe();
        set.cmd("PEXPIRE").arg(self.keys().note(key)).arg(ttl.as_millis() as u64).ignore();
        self.plain(&set).await
    }

    /// A string that was kept.
    pub async fn recall(&self, key: &str) -> Result<Option<String>, Away> {
        let mut get = redis::pipe();
        get.cmd("GET").arg(self.keys().note(key));
        self.plain(&get).await.map(|(noted,)| noted)
    }

    /// Reads what takes longer than a call may wait.
    pub(super) async fn read<T: redis::FromRedisValue>(&self, read: &redis::Pipeline) -> Result<T, Away> {
        let Some(open) = self.open.load_full() else { return Err(Away::NotConnected) };
        let mut connection = open.connection.clone();
        match tokio::time::timeout(SNAPSHOT_TIME, read.query_async::<T>(&mut connection)).await {
            Ok(Ok(read)) => Ok(read),
            Ok(Err(err)) => Err(self.failed(&open, &err)),
            Err(_) => {
                self.fail(&open);
                Err(Away::TimedOut)
            }
        }
    }

    /// Tells for `time` which configuration a replica works by.
    pub(super) async fn announce(&self, replica: &str, config: &str, time: Duration) -> Result<(), Away> {
        let mut set = redis::pipe();
        set.cmd("SET").arg(self.keys().config(replica)).arg(config);
        set.arg("PX").arg(time.as_millis() as u64).ignore();
        self.plain(&set).await
    }

    /// Which configuration each replica told last; each key by itself, for not every server's rights allow more.
    pub(super) async fn configs(&self, replicas: &[&str]) -> Result<Vec<Option<String>>, Away> {
        let mut get = redis::pipe();
        for replica in replicas {
            get.cmd("GET").arg(self.keys().config(replica));
        }
        if replicas.is_empty() { Ok(Vec::new()) } else { self.plain(&get).await }
    }

    /// Commands that no decision rests on.
    pub(super) async fn plain<T: redis::FromRedisValue>(
        &self,
        commands: &redis::Pipeline,
    ) -> Result<T, Away> {
        let Some(open) = self.open.load_full() else { return Err(Away::NotConnected) };
        let mut connection = open.connection.clone();
        match tokio::time::timeout(self.servers.timeout(), commands.query_async(&mut connection)).await {
            Ok(answer) => answer.map_err(|err| self.failed(&open, &err)),
            Err(_) => Err(Away::TimedOut), // the probe finds out whether the connection is to blame
        }
    }

    /// Is the published connection to be replaced? Decided within a probe, so that a lane that nobody holds ends.
    async fn has_failed(&self, open: &Arc<Open>) -> bool {
        let finder = self.pool.manager();
        let probe = async {
            tokio::time::sleep(PROBE_PERIOD).await;
            finder.confirms(open).await
        };
        let fine = tokio::select! {
            () = self.unpublished(open) => false,
            () = finder.superseded(open) => false,
            fine = probe => fine,
        };
        if !fine {
            self.fail(open);
        }
        !fine
    }

    /// Returns when a call has found the connection to be broken.
    async fn unpublished(&self, open: &Arc<Open>) {
        while self.open.load().as_ref().is_some_and(|current| Arc::ptr_eq(current, open)) {
            self.kick.notified().await; // or it was meant for the one before
        }
    }

    /// What an error means. One that the server answered with says nothing against the connection, unless it says
    /// that this is not the server to ask.
    fn failed(&self, open: &Arc<Open>, err: &RedisError) -> Away {
        if let Some(node) = (err.code() == Some("MOVED")).then(|| redirected(err, &open.node)).flatten() {
            self.pool.manager().moved(node);
        }
        let code = err.code();
        if !is_answer(err)
            || matches!(code, Some("MOVED" | "READONLY" | "MASTERDOWN" | "CLUSTERDOWN" | "LOADING"))
        {
            self.fail(open);
        }
        Away::Failed(describe(err))
    }

    /// Unpublishes a connection that failed, unless another has taken its place.
    fn fail(&self, failed: &Arc<Open>) {
        let current = self.open.load();
        if current.as_ref().is_some_and(|open| Arc::ptr_eq(open, failed)) {
            self.open.store(None);
            self.kick.notify_one();
        }
    }
}

/// 0 for the time: the server's own.
fn stamp(run: u64) -> Stamp {
    Stamp { now: 0, nonce: fastrand::u64(1..1 << 53), run }
}

fn read(call: &Call, value: &Value) -> Result<Reply, Away> {
    layout::reply(call.asked, value).map_err(|err| match err {
        layout::Malformed::OtherLayout => Away::OtherLayout,
        layout::Malformed::Unexpected(_) => Away::Broken(err.to_string()),
    })
}

async fn ask(mut connection: MultiplexedConnection, call: &Call) -> Result<Value, RedisError> {
    match call.by_sha().query_async(&mut connection).await {
        Err(err) if err.code() == Some("NOSCRIPT") => call.by_text().query_async(&mut connection).await,
        other => other,
    }
}

/// The same where the slot may be about to arrive: each time it must be said that one was sent there.
async fn ask_aside(mut connection: MultiplexedConnection, call: &Call) -> Result<Value, RedisError> {
    let asking = |cmd| {
        let mut both = redis::pipe();
        both.cmd("ASKING").ignore().add_command(cmd);
        both
    };
    let answer: Result<(Value,), _> = asking(call.by_sha()).query_async(&mut connection).await;
    match answer {
        Err(err) if err.code() == Some("NOSCRIPT") => {
            asking(call.by_text()).query_async(&mut connection).await.map(|(value,)| value)
        }
        other => other.map(|(value,)| value),
    }
}

/// Keeps a lane open until nobody holds it. A connection that fails soon is not replaced at once.
async fn keep(lane: Weak<Lane>, pool: Pool<Finder>) {
    let mut pause = FIRST_PAUSE;
    while let Some(held) = lane.upgrade() {
        let servers = held.servers.clone();
        drop(held);
        let begun = Instant::now();
        match pool.get().await {
            Ok(open) => {
                servers.connected();
                publish(&lane, Object::take(open)).await; // for good: it does not go back into the pool
            }
            Err(PoolError::Backend(fault)) => servers.tell(&fault),
            Err(err) => servers.tell(&err),
        }
        if begun.elapsed() > LONGEST_PAUSE {
            pause = FIRST_PAUSE;
        } else {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

/// Lets calls use a connection; returns when it has failed, or nobody holds the lane.
async fn publish(lane: &Weak<Lane>, open: Open) {
    let open = Arc::new(open);
    if let Some(lane) = lane.upgrade() {
        lane.open.store(Some(open.clone()));
        lane.opened.send_replace(true);
    }
    while let Some(lane) = lane.upgrade() {
        if lane.has_failed(&open).await {
            return;
        }
    }
}
