//! Calls of every kind, at steady rates, by a client that is as patient as providers' SDKs.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use weir_tests::client::{Answer, Ask, Client};
use weir_tests::site::Site;

/// How often SDKs make a call to which no answer came.
const TRIES: u32 = 3;
/// Before the second; before the third twice as long.
const PAUSE: Duration = Duration::from_millis(500);
pub(super) const SESSIONS: usize = 40;

/// What a call is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// Half as much again as the deployments' limits allow.
    Limits,
    /// Turns of sessions, for which there is room.
    Session,
    /// Twice what its tenant may.
    Tenant,
    /// Of a tenant whose budget is spent on the way.
    Budget,
    /// Long streams, more at once than there may be.
    Wide,
}

impl Kind {
    const ALL: [(Kind, f64); 5] = [
        (Kind::Limits, 120.0),
        (Kind::Session, 20.0),
        (Kind::Tenant, 20.0),
        (Kind::Budget, 12.0),
        (Kind::Wide, 8.0),
    ];

    /// A call of it; `key` was made while the first replicas ran.
    fn ask(self, at: usize, key: &str) -> Ask {
        let streamed = at.is_multiple_of(2);
        match self {
            Kind::Limits => Ask::new("m").key(key).max_tokens(32).streamed(streamed),
            Kind::Session => Ask::new("talk").key(key).session(session(at)).max_tokens(32).streamed(streamed),
            Kind::Tenant => Ask::new("own").key("held").max_tokens(32).streamed(streamed),
            Kind::Budget => Ask::new("paid").key("spender").max_tokens(32).streamed(streamed),
            Kind::Wide => Ask::new("wide").key(key).max_tokens(32).streamed(true),
        }
    }
}

/// Whose turn a call is.
pub(super) fn session(at: usize) -> String {
    format!("s-{}", at % SESSIONS)
}

/// A call, and what came of its last try.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) kind: Kind,
    pub(super) at: usize,
    pub(super) tries: u32,
    pub(super) answer: Answer,
}

/// Calls that go on until they are told to end.
pub(super) struct Traffic {
    over: watch::Sender<bool>,
    kinds: Vec<JoinHandle<Vec<Call>>>,
}

impl Traffic {
    pub(super) fn start(site: &Site, key: &str) -> Traffic {
        let (over, ends) = watch::channel(false);
        let offered =
            |(kind, rate)| tokio::spawn(offer(site.client.clone(), kind, rate, key.to_owned(), ends.clone()));
        Traffic { over, kinds: Kind::ALL.map(offered).into() }
    }

    /// Waits until every call has ended.
    pub(super) async fn end(self) -> Result<Vec<Call>> {
        self.over.send_replace(true);
        let mut calls = Vec::new();
        for kind in self.kinds {
            calls.extend(kind.await?);
        }
        Ok(calls)
    }
}

async fn offer(
    client: Arc<Client>,
    kind: Kind,
    rate: f64,
    key: String,
    ends: watch::Receiver<bool>,
) -> Vec<Call> {
    let mut due = tokio::time::interval(Duration::from_secs_f64(1.0 / rate));
    let mut open = JoinSet::new();
    for at in 0.. {
        due.tick().await;
        if *ends.borrow() {
            break;
        }
        let (client, ask) = (client.clone(), kind.ask(at, &key));
        open.spawn(async move { patiently(&client, &ask, kind, at).await });
    }
    open.join_all().await
}

/// A connection that could not be made, or that ended before an answer began, is no failure to who uses an SDK.
async fn patiently(client: &Client, ask: &Ask, kind: Kind, at: usize) -> Call {
    let mut tries = 1;
    loop {
        let answer = client.call(ask).await;
        if answer.status != 0 || tries == TRIES {
            return Call { kind, at, tries, answer };
        }
        tokio::time::sleep(PAUSE * tries).await;
        tries += 1;
    }
}
