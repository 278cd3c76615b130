//! Lanes: long-lived pipelined connections to Redis, one per worker, kept by deadpool-redis.
//!
//! A checkout per command would cost a PING and exclude pipelining. So a lane task checks one connection out for
//! good and publishes it; callers clone the multiplexed handle. When a call fails the lane is kicked: it drops the
//! connection and checks out another, backing off between tries. While no connection is published calls fail at once.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use deadpool_redis::{Connection, Manager, Pool, Runtime};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, RedisError, Value};
use tokio::sync::{Notify, watch};

use super::Away;
use super::core::{Command, Reply, Stamp, State};
use super::layout;
use super::scripts::{Call, Keys};

const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
const SHORTEST_CONNECT: Duration = Duration::from_millis(500);
const PIPELINE_BUFFER: usize = 2048;
/// How often a connection is asked whether it lives.
const PROBE_PERIOD: Duration = Duration::from_millis(300);
/// The whole state may be large.
const SNAPSHOT_TIME: Duration = Duration::from_secs(2);

/// One connection slot.
pub struct Lane {
    open: ArcSwapOption<Open>,
    opened: watch::Sender<bool>,
    kick: Notify,
    keys: Keys,
    timeout: Duration,
}

/// A connection in use.
struct Open {
    connection: MultiplexedConnection,
    run: u64, // of the server; 0: it does not say
}

impl std::fmt::Debug for Lane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lane").field("open", &self.is_open()).finish_non_exhaustive()
    }
}

impl Lane {
    /// Starts a lane on the current runtime. `url` may hold a password; it is never logged.
    /// What a caller may wait for is bounded by each call here; the connection's own timer would be a second one.
    pub fn start(url: &str, keys: Keys, timeout: Duration) -> Result<Arc<Lane>, RedisError> {
        let connect = timeout.max(SHORTEST_CONNECT);
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(connect))
            .set_response_timeout(None)
            .set_pipeline_buffer_size(PIPELINE_BUFFER);
        let manager = Manager::new_with_config(url, config)?;
        let pool = Pool::builder(manager)
            .max_size(1)
            .runtime(Runtime::Tokio1)
            .create_timeout(Some(connect * 2)) // what `connect` bounds is over before that
            .build()
            .map_err(|err| {
                RedisError::from((redis::ErrorKind::InvalidClientConfig, "pool", err.to_string()))
            })?;
        let lane = Arc::new(Lane {
            open: ArcSwapOption::empty(),
            opened: watch::Sender::new(false),
            kick: Notify::new(),
            keys,
            timeout,
        });
        tokio::spawn(keep(Arc::downgrade(&lane), pool));
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

    /// One script within the state's timeout.
    pub async fn run(&self, command: &Command) -> Result<Reply, Away> {
        let Some(open) = self.open.load_full() else { return Err(Away::NotConnected) };
        let stamp = Stamp { now: 0, nonce: fastrand::u64(1..1 << 53), run: open.run };
        let call = Call::new(&self.keys, command, stamp);
        let asking = async {
            let value = ask(open.connection.clone(), &call).await?;
            let reply = layout::reply(call.asked, &value).map_err(|err| Away::Broken(err.to_string()));
            #[cfg(feature = "controls")]
            let reply = super::control::take(open.connection.clone(), &self.keys, command, reply).await;
            Ok::<_, RedisError>(reply)
        };
        let answer = tokio::time::timeout(self.timeout, asking).await;
        match answer {
            Ok(Ok(reply)) => reply,
            Ok(Err(err)) => Err(self.failed(&open, &err)),
            Err(_) => {
                self.fail(&open);
                Err(Away::TimedOut)
            }
        }
    }

    /// The state as stored, its clock brought to the server's time.
    pub async fn snapshot(&self) -> Result<State, Away> {
        let Some(open) = self.open.load_full() else { return Err(Away::NotConnected) };
        let mut connection = open.connection.clone();
        let mut read = redis::pipe();
        read.cmd("HGETALL").arg(self.keys.state()).cmd("TIME");
        type Read = (std::collections::BTreeMap<Vec<u8>, Vec<u8>>, (u64, u64));
        let asked = tokio::time::timeout(SNAPSHOT_TIME, read.query_async::<Read>(&mut connection));
        let (fields, (seconds, micros)) = match asked.await {
            Ok(Ok(read)) => read,
            Ok(Err(err)) => return Err(self.failed(&open, &err)),
            Err(_) => {
                self.fail(&open);
                return Err(Away::TimedOut);
            }
        };
        let decoded = layout::decode(&fields).map_err(|err| Away::Broken(err.to_string()))?;
        let now = seconds * 1_000 + micros / 1_000;
        let mut state = decoded.unwrap_or_else(|| State::new(0, now));
        state.clock.advance(now, 0, 0);
        Ok(state)
    }

    /// Is the published connection to be replaced? It is asked now and then, for a connection that dies while no call
    /// uses it would cost the next call.
    async fn has_failed(&self, connection: &mut MultiplexedConnection) -> bool {
        if tokio::time::timeout(PROBE_PERIOD, self.kick.notified()).await.is_ok() {
            return !self.is_open(); // else the kick was meant for the one before
        }
        let probe = redis::cmd("PING");
        let asked = tokio::time::timeout(self.timeout, probe.query_async::<()>(connection)).await;
        if !matches!(asked, Ok(Ok(()))) {
            self.open.store(None);
        }
        !self.is_open()
    }

    /// What an error means. One that the server answered with says nothing against the connection, unless it says
    /// that this is not the server to ask.
    fn failed(&self, open: &Arc<Open>, err: &RedisError) -> Away {
        let answered = matches!(err.kind(), redis::ErrorKind::Server(_) | redis::ErrorKind::Extension);
        if !answered || matches!(err.code(), Some("READONLY" | "MASTERDOWN" | "LOADING")) {
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

async fn ask(mut connection: MultiplexedConnection, call: &Call) -> Result<Value, RedisError> {
    match call.by_sha().query_async(&mut connection).await {
        Err(err) if err.code() == Some("NOSCRIPT") => call.by_text().query_async(&mut connection).await,
        other => other,
    }
}

/// An error without its detail beyond the server's code, for a detail might quote a key.
fn describe(err: &RedisError) -> String {
    err.code().map_or_else(|| err.category().to_owned(), str::to_owned)
}

/// Keeps a lane open until nobody holds it. A connection that fails soon is not replaced at once.
async fn keep(lane: Weak<Lane>, pool: Pool) {
    let mut pause = FIRST_PAUSE;
    while lane.strong_count() > 0 {
        let begun = Instant::now();
        match pool.get().await {
            Ok(connection) => {
                publish(&lane, (*connection).clone()).await;
                drop(Connection::take(connection)); // not back into the pool: it failed
            }
            Err(err) => tracing::debug!(target: "weir::state", error = %err, "no connection to Redis yet"),
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
async fn publish(lane: &Weak<Lane>, mut connection: MultiplexedConnection) {
    if let Some(lane) = lane.upgrade() {
        let Ok(Some(run)) = tokio::time::timeout(lane.timeout, run_of(&mut connection)).await else { return };
        lane.open.store(Some(Arc::new(Open { connection: connection.clone(), run })));
        lane.opened.send_replace(true);
    }
    while let Some(lane) = lane.upgrade() {
        if lane.has_failed(&mut connection).await {
            return;
        }
    }
}

/// The run of the server behind a connection, as much of it as a double can hold; 0 if it may not be asked. None if the
/// connection does not work.
async fn run_of(connection: &mut MultiplexedConnection) -> Option<u64> {
    match redis::cmd("INFO").arg("server").query_async::<String>(connection).await {
        Ok(info) => {
            let run = info.lines().find_map(|line| line.strip_prefix("run_id:"));
            Some(run.and_then(|run| u64::from_str_radix(run.get(..13)?, 16).ok()).unwrap_or(0))
        }
        Err(err) if matches!(err.kind(), redis::ErrorKind::Server(_) | redis::ErrorKind::Extension) => {
            Some(0)
        }
        Err(_) => None,
    }
}
