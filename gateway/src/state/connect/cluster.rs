//! The master of a cluster that owns the namespace's slot.
//!
//! Any node answers a question about a key that it does not have with the node that has it (MOVED). So the owner is
//! found by asking for the key and following the answers, which needs no map of slots: the one that answers at last
//! is the owner, by its own word. The map (CLUSTER SLOTS) is read only to remember which nodes there are, for those
//! of the configuration may be gone when the owner is.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use redis::Value;
use redis::aio::MultiplexedConnection;
use tokio::task::JoinSet;

use super::dial::Dialer;
use super::{Fault, Open, ask, describe, redirected, run_of, text};
use crate::config::Endpoint;
use crate::state::scripts::Keys;

/// Answers MOVED in a row; more is a cluster that disagrees with itself.
const HOPS: usize = 4;
/// A node that does not answer is not waited for longer before the next one is asked as well.
const STAGGER: Duration = Duration::from_millis(100);

/// The way of one lane to the owner.
pub(super) struct Cluster {
    seeds: Vec<Endpoint>,
    known: Mutex<Known>, // short sections, never across an await
    asker: Arc<Asker>,
    /// To the node that the last answer MOVED or ASK named.
    aside: Mutex<Option<Open>>, // as above
    going_aside: tokio::sync::Mutex<()>, // one such connection is made at a time
}

#[derive(Default)]
struct Known {
    /// The owner, as last told.
    owner: Option<Endpoint>,
    peers: Vec<Endpoint>,
}

/// Asks for the owner.
struct Asker {
    dialer: Dialer,
    /// A key of the slot.
    key: String,
}

impl Cluster {
    pub(super) fn new(nodes: &[Endpoint], dialer: Dialer, keys: &Keys) -> Cluster {
        let asker = Arc::new(Asker { dialer, key: keys.state().to_owned() });
        Cluster {
            seeds: nodes.to_vec(),
            known: Mutex::default(),
            asker,
            aside: Mutex::default(),
            going_aside: Default::default(),
        }
    }

    /// An answer MOVED named the owner.
    pub(super) fn moved(&self, to: Endpoint) {
        self.known.lock().owner = Some(to);
    }

    /// Connects to the owner, asking one node after another for it.
    pub(super) async fn open(&self) -> Result<Open, Fault> {
        self.forget_aside();
        let mut waiting = self.nodes().into_iter();
        let mut asking = JoinSet::new();
        let mut fault = None;
        loop {
            if let Some(node) = waiting.next() {
                let asker = self.asker.clone();
                asking.spawn(async move { asker.follow(node).await });
            }
            let answer = match waiting.len() {
                0 => asking.join_next().await,
                _ => match tokio::time::timeout(STAGGER, asking.join_next()).await {
                    Ok(answer) => answer,
                    Err(_) => continue,
                },
            };
            match answer {
                Some(Ok(Ok((open, peers)))) => {
                    let mut known = self.known.lock();
                    known.owner = Some(open.node.clone());
                    known.peers = peers;
                    return Ok(open);
                }
                Some(Ok(Err(err))) => fault = fault.or(Some(err)),
                Some(Err(_)) => {} // it panicked; the others go on
                None => return Err(fault.unwrap_or(Fault::NoNode)),
            }
        }
    }

    /// The nodes to ask, the likeliest first.
    fn nodes(&self) -> Vec<Endpoint> {
        let known = self.known.lock();
        let mut nodes: Vec<Endpoint> = Vec::new();
        for node in known.owner.iter().chain(&self.seeds).chain(&known.peers) {
            if !nodes.contains(node) {
                nodes.push(node.clone());
            }
        }
        nodes
    }

    /// Does the node still answer for the slot?
    pub(super) async fn confirms(&self, open: &Open) -> bool {
        match self.asker.owns(&open.connection, &open.node).await {
            Ok(Owner::This) => true,
            Ok(Owner::Other(node)) => {
                self.moved(node);
                false
            }
            Err(_) => false,
        }
    }

    /// A connection to the node that an answer named; kept, for while a slot moves all calls take this way.
    pub(super) async fn aside(&self, node: &Endpoint) -> Result<Open, Fault> {
        let made = || self.aside.lock().clone().filter(|open| open.node == *node);
        if let Some(open) = made() {
            return Ok(open);
        }
        let _one = self.going_aside.lock().await;
        if let Some(open) = made() {
            return Ok(open); // meanwhile
        }
        let dialer = &self.asker.dialer;
        let connection = dialer.dial(node).await?;
        let run = run_of(&connection, node, dialer.answer).await?;
        let open = Open { connection, node: node.clone(), run, term: 0 };
        *self.aside.lock() = Some(open.clone());
        Ok(open)
    }

    /// That connection does not work.
    pub(super) fn forget_aside(&self) {
        *self.aside.lock() = None;
    }
}

/// Who has the slot.
#[derive(Debug, PartialEq, Eq)]
enum Owner {
    /// The node that was asked.
    This,
    Other(Endpoint),
}

impl Asker {
    /// From `node` to the owner. Also tells which nodes there are.
    async fn follow(&self, mut node: Endpoint) -> Result<(Open, Vec<Endpoint>), Fault> {
        for _ in 0..HOPS {
            let connection = self.dialer.dial(&node).await?;
            match self.owns(&connection, &node).await? {
                Owner::Other(next) => node = next,
                Owner::This => {
                    let limit = self.dialer.answer;
                    let mut map = redis::cmd("CLUSTER");
                    map.arg("SLOTS");
                    let (run, map) = tokio::join!(
                        run_of(&connection, &node, limit),
                        ask::<Vec<Value>>(connection.clone(), &map, &node, limit)
                    );
                    let peers = map?.map_or(Vec::new(), |map| nodes_of(&map, &node));
                    return Ok((Open { connection, node, run: run?, term: 0 }, peers));
                }
            }
        }
        Err(Fault::NoOwner(node))
    }

    /// Who owns the slot, by the word of `node`. While the slot moves its old owner says ASK, and is the owner still.
    async fn owns(&self, connection: &MultiplexedConnection, node: &Endpoint) -> Result<Owner, Fault> {
        let mut question = redis::cmd("EXISTS");
        question.arg(&self.key);
        let answer = ask::<u64>(connection.clone(), &question, node, self.dialer.answer).await?;
        match answer {
            Ok(_) => Ok(Owner::This),
            Err(err) if err.code() == Some("ASK") => Ok(Owner::This),
            Err(err) if err.code() == Some("MOVED") => match redirected(&err, node) {
                Some(next) => Ok(Owner::Other(next)),
                None => Err(Fault::Node(node.clone(), "MOVED to nowhere".into())),
            },
            Err(err) => Err(Fault::Node(node.clone(), describe(&err))),
        }
    }
}

/// The nodes of a reply to CLUSTER SLOTS: `[[from, to, [host, port, ...], ...], ...]`, told by `by`. A node whose name is
/// not known to the cluster is left out; one without a name is reached as `by` is.
fn nodes_of(map: &[Value], by: &Endpoint) -> Vec<Endpoint> {
    let mut nodes = Vec::new();
    for range in map {
        let Value::Array(range) = range else { continue };
        for node in range.iter().skip(2) {
            let Value::Array(node) = node else { continue };
            let [host, Value::Int(port), ..] = &node[..] else { continue };
            let host = text(host).filter(|host| !host.is_empty()).unwrap_or_else(|| by.host.clone());
            let Some(port) = u16::try_from(*port).ok().filter(|_| host != "?") else { continue };
            let node = Endpoint { host, port };
            if !nodes.contains(&node) {
                nodes.push(node);
            }
        }
    }
    nodes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(host: &str, port: u16) -> Endpoint {
        Endpoint { host: host.into(), port }
    }

    #[test]
    fn the_map_names_every_node_once_and_nodes_without_a_name_as_the_one_that_told() {
        let node = |host: Value, port| Value::Array(vec![host, Value::Int(port), Value::Int(0)]);
        let name = |host: &str| Value::BulkString(host.into());
        let range = |nodes: Vec<Value>| Value::Array([vec![Value::Int(0), Value::Int(9)], nodes].concat());
        let map = [
            range(vec![node(name("a"), 1), node(Value::Nil, 2)]),
            range(vec![node(name("a"), 1), node(name("?"), 3), node(name(""), 4), Value::Nil]),
        ];
        assert_eq!(nodes_of(&map, &at("h", 9)), [at("a", 1), at("h", 2), at("h", 4)]);
    }
}
