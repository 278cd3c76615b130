//! The master that sentinels name, followed when they name another.
//!
//! Sentinels may disagree: one that is cut off still names the master that the others have replaced, and that may
//! still believe to be one. So all are asked, and of their answers the one of the latest term (`config-epoch`, which
//! grows with each failover) counts. The node must also say itself that it is a master.
//!
//! A connection to a master that was replaced while it lives, cut off from the others only, fails no call. So the
//! sentinels are asked again each second: a replica must not go on being granted by the old data set for longer than
//! the new one waits for what it knows (2 s, `core/learn.rs`).

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use redis::Value;
use redis::aio::MultiplexedConnection;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::dial::Dialer;
use super::single::{self, Role};
use super::{Fault, Open, ask, text};
use crate::config::{Endpoint, Sentinel};

/// How often the sentinels are asked whether the master is still the same.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// A master and when it was chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Named {
    term: u64,
    node: Endpoint,
}

/// The latest master that a lane of this process has met.
#[derive(Debug, Default)]
pub(super) struct Latest(watch::Sender<Option<Named>>);

impl Latest {
    fn tell(&self, named: &Named) {
        self.0.send_if_modified(|latest| {
            let news = latest.as_ref().is_none_or(|latest| latest.term <= named.term && latest != named);
            if news {
                *latest = Some(named.clone());
            }
            news
        });
    }

    /// Returns when another master is known, and of no earlier term than that of `open`.
    pub(super) async fn passes(&self, open: &Open) {
        let passes = |latest: &Option<Named>| {
            latest.as_ref().is_some_and(|latest| latest.term >= open.term && latest.node != open.node)
        };
        // An error would mean that nobody can tell any more, and `self` can.
        let _ = self.0.subscribe().wait_for(passes).await;
    }
}

/// The way of one lane to the master.
pub(super) struct Sentinels {
    all: Vec<Arc<Watcher>>,
    master: String,
    data: Dialer,
    asked: Mutex<Instant>, // short sections, never across an await
}

/// One sentinel, and the connection to it.
struct Watcher {
    node: Endpoint,
    dialer: Arc<Dialer>,
    connection: tokio::sync::Mutex<Option<MultiplexedConnection>>,
}

impl Sentinels {
    /// `own` connects to sentinels, `data` to masters.
    pub(super) fn new(config: &Sentinel, own: Dialer, data: Dialer) -> Sentinels {
        let dialer = Arc::new(own);
        let watcher = |node: &Endpoint| {
            Arc::new(Watcher { node: node.clone(), dialer: dialer.clone(), connection: Default::default() })
        };
        let all = config.nodes.iter().map(watcher).collect();
        Sentinels { all, master: config.master.clone(), data, asked: Mutex::new(Instant::now()) }
    }

    /// Connects to the master of the latest term.
    pub(super) async fn open(&self, latest: &Latest) -> Result<Open, Fault> {
        let named = self.named().await.ok_or_else(|| Fault::Sentinels(self.master.clone()))?;
        let open = self.master(&named).await?;
        latest.tell(&named);
        Ok(open)
    }

    /// Connects to `named`, which must say that it is a master.
    async fn master(&self, named: &Named) -> Result<Open, Fault> {
        let (open, role) = single::connect(&self.data, &named.node).await?;
        match role {
            Role::Master => Ok(Open { term: named.term, ..open }),
            Role::Other => Err(Fault::NoMaster(named.node.clone())),
            Role::Unknown => Err(Fault::Node(named.node.clone(), "does not answer to ROLE".into())),
        }
    }

    /// Is the node of `open` a master, and no other one known?
    pub(super) async fn confirms(&self, latest: &Latest, open: &Open) -> bool {
        if !single::confirms(&self.data, open).await {
            return false;
        }
        if self.asked.lock().elapsed() < ASK_AGAIN {
            return true;
        }
        let named = self.named().await;
        *self.asked.lock() = Instant::now();
        match named.filter(|named| named.node != open.node && named.term >= open.term) {
            // Only a master that can be reached is better than the one that is.
            Some(other) if self.master(&other).await.is_ok() => {
                latest.tell(&other);
                false
            }
            Some(_) | None => true,
        }
    }

    /// What the sentinels say, as far as a majority of them has answered or all have that do.
    async fn named(&self) -> Option<Named> {
        let mut asking: JoinSet<Option<Named>> = JoinSet::new();
        for watcher in &self.all {
            let (watcher, master) = (watcher.clone(), self.master.clone());
            asking.spawn(async move { watcher.ask(&master).await.ok().flatten() });
        }
        let mut answers = Vec::new();
        while let Some(answer) = asking.join_next().await {
            answers.extend(answer.ok().flatten());
            if answers.len() > self.all.len() / 2 {
                break;
            }
        }
        latest_of(answers)
    }
}

/// The answer of the latest term.
fn latest_of(answers: Vec<Named>) -> Option<Named> {
    answers.into_iter().max_by_key(|named| named.term)
}

impl Watcher {
    /// Which master the sentinel names; none if it does not know the name.
    async fn ask(&self, master: &str) -> Result<Option<Named>, Fault> {
        let mut kept = self.connection.lock().await;
        let connection = match kept.as_ref() {
            Some(connection) => connection.clone(),
            None => kept.insert(self.dialer.dial(&self.node).await?).clone(),
        };
        let answer = self.question(connection, master).await;
        if answer.is_err() {
            *kept = None;
        }
        answer
    }

    async fn question(
        &self,
        connection: MultiplexedConnection,
        master: &str,
    ) -> Result<Option<Named>, Fault> {
        let limit = self.dialer.answer;
        let mut where_is = redis::cmd("SENTINEL");
        where_is.arg("GET-MASTER-ADDR-BY-NAME").arg(master);
        let mut since = redis::cmd("SENTINEL");
        since.arg("MASTER").arg(master);
        let (node, facts) = tokio::join!(
            ask::<Option<(String, u16)>>(connection.clone(), &where_is, &self.node, limit),
            ask::<Vec<Value>>(connection, &since, &self.node, limit),
        );
        let (node, facts) = (node?, facts?);
        let Ok(Some((host, port))) = node else { return Ok(None) };
        Ok(Some(Named { term: facts.map_or(0, |facts| term_of(&facts)), node: Endpoint { host, port } }))
    }
}

/// `config-epoch` among names and values in turn; 0 if it is missing.
fn term_of(facts: &[Value]) -> u64 {
    let term = facts.chunks_exact(2).find(|pair| text(&pair[0]).as_deref() == Some("config-epoch"));
    term.and_then(|pair| text(&pair[1])?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(term: u64, port: u16) -> Named {
        Named { term, node: Endpoint { host: "h".into(), port } }
    }

    #[test]
    fn a_sentinel_that_was_cut_off_is_outvoted_by_one_that_knows_a_later_term() {
        assert_eq!(latest_of(vec![named(3, 1), named(4, 2), named(3, 1)]), Some(named(4, 2)));
        assert_eq!(latest_of(vec![]), None);
    }

    #[test]
    fn an_older_term_is_no_news() {
        let latest = Latest::default();
        latest.tell(&named(4, 2));
        latest.tell(&named(3, 1));
        assert_eq!(*latest.0.borrow(), Some(named(4, 2)));
        latest.tell(&named(5, 1));
        assert_eq!(*latest.0.borrow(), Some(named(5, 1)));
    }

    #[test]
    fn the_term_is_found_among_the_facts() {
        let value = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let facts = [value("name"), value("config-epoch"), value("config-epoch"), value("7"), value("odd")];
        assert_eq!(term_of(&facts), 7);
        assert_eq!(term_of(&[]), 0);
    }
}
