//! Alerts: an operator is told, by a webhook, when something needs a person. What is told, [`seen`] finds; when, [`told`] decides;
//! how it reads and how it is sent, [`message`] knows.
//!
//! One replica looks and tells for the cluster, the one that is elected as for health checks (`Client::is_elected`); another one every
//! ten minutes, so that one which cannot reach the receiver, or knows of none, silences nobody for long. What it has
//! told stands in the shared state, so whoever tells next says nothing again; what it has told and could not note there
//! before it ended is told twice, and receivers know that by its `key`. What only a replica itself can see, that the state is away, each
//! tells of itself. Nothing here is on the way of a call, and without a webhook nothing is looked at.

pub mod message;
pub mod seen;
pub mod told;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::auth;
use crate::clock::unix_now;
use crate::config::{Deployment, Webhook};
use crate::shared::{Shared, Snapshot};
use crate::state::{Away, Port};
use crate::upstream::auth::Outside;
use message::{Posted, Whose};
use seen::{Alert, Kind};
use told::{Event, Pace, Told};

/// How often is looked.
const LOOK: Duration = Duration::from_secs(5);
/// The state is away for so long before anybody is told: a master that dies is replaced in less.
const AWAY_FOR: Duration = Duration::from_secs(10);
/// How long what was told counts if nobody looks.
const NOTED_FOR: Duration = Duration::from_secs(7 * 24 * 3600);
/// So often it is noted again, though nothing new was told.
const NOTED_AGAIN: Duration = Duration::from_secs(3600);
/// How long one replica tells for all, seconds, and how far apart clocks may be when it ends.
const TURN: (u64, u64) = (600, 5);

/// Looks and tells, whatever the configuration says by then, until told to stop.
pub async fn keep(shared: Arc<Shared>, port: Port, mut stop: watch::Receiver<bool>) {
    let mut adopted = shared.adopted.subscribe();
    let mut teller = Teller::new(shared.clone(), port);
    while !*stop.borrow() {
        let snapshot = shared.snapshot.load_full();
        let is_asked = snapshot.config.alerts.webhook.is_some();
        match &snapshot.config.alerts.webhook {
            Some(webhook) => {
                teller.turn_to(webhook);
                let looking = teller.look(&snapshot, webhook);
                tokio::select! {
                    () = looking => {}
                    _ = stop.changed() => return,
                }
            }
            None => teller.forget(),
        }
        let next =
            async { if is_asked { tokio::time::sleep(LOOK).await } else { std::future::pending().await } };
        tokio::select! {
            () = next => {}
            changed = adopted.changed() => if changed.is_err() { return },
            _ = stop.changed() => {}
        }
    }
}

/// What one replica knows of what was told.
#[derive(Debug)]
struct Teller {
    shared: Arc<Shared>,
    port: Port,
    outside: Outside,
    /// Whom it tells.
    webhook: Option<Webhook>,
    /// Of the cluster, while this replica is the one that tells.
    cluster: Option<Office>,
    /// Of itself.
    own: Told,
    away_since: Option<Instant>,
    pace: Pace,
}

/// What the one that tells for the cluster knows.
#[derive(Debug, Default)]
struct Office {
    told: Told,
    /// When all of it was noted in the shared state last.
    noted: Option<Instant>,
    /// The last note was not taken: what stands there is less than what was told.
    is_ahead: bool,
}

impl Teller {
    fn new(shared: Arc<Shared>, port: Port) -> Teller {
        let (outside, pace) = (Outside::real(), Pace::default());
        Teller {
            shared,
            port,
            outside,
            webhook: None,
            cluster: None,
            own: Told::default(),
            away_since: None,
            pace,
        }
    }

    /// Nobody is to be told any more.
    fn forget(&mut self) {
        (self.webhook, self.cluster, self.own, self.pace) = (None, None, Told::default(), Pace::default());
    }

    /// From now on it is this one: who is another than before has heard of nothing, and is tried at once.
    fn turn_to(&mut self, webhook: &Webhook) {
        if self.webhook.as_ref() != Some(webhook) {
            self.forget();
            self.webhook = Some(webhook.clone());
        }
    }

    /// Looks, and tells what is new.
    async fn look(&mut self, snapshot: &Snapshot, webhook: &Webhook) {
        let now = unix_now();
        let own = self.own_alerts();
        let mut events = self.own.news(&own, now);
        if let Err(away) = self.look_at_cluster(snapshot, webhook, now, &mut events).await {
            tracing::debug!(target: "weir::alerts", error = %away, "not looked at: the state is away");
        }
        if !events.is_empty() && self.pace.may_try(Instant::now()) {
            self.tell(snapshot, webhook, &events).await;
        }
    }

    /// The state is away, for so long that it will not be back by itself at once.
    fn own_alerts(&mut self) -> Vec<Alert> {
        let away = self.shared.client.is_away().then(|| self.away_since.unwrap_or_else(Instant::now));
        self.away_since = away;
        let is_told = away.is_some_and(|since| since.elapsed() >= AWAY_FOR);
        is_told.then(|| Alert::of(Kind::StateAway, self.shared.client.name())).into_iter().collect()
    }

    /// The same for the cluster, if that is this replica's to do.
    async fn look_at_cluster(
        &mut self,
        snapshot: &Snapshot,
        webhook: &Webhook,
        now: u64,
        events: &mut Vec<Event>,
    ) -> Result<(), Away> {
        // (While the state is away nobody is elected, and nothing known of the others.)
        let is_elected =
            |turn: u64| self.shared.client.is_elected(Deployment::tag_of(&format!("alerts/{turn}")));
        if self.away_since.is_some() || !is_on_turn(now, is_elected) {
            self.cluster = None; // what the others tell meanwhile it does not know
            return Ok(());
        }
        let noted = self.port.recall(&note_of(webhook)).await?;
        let state = self.port.overview(&seen::pools(&snapshot.pools)).await?;
        let office = self.cluster.get_or_insert_default();
        // (A data set that was lost knows of nothing.)
        if let Some(noted) = noted.as_deref().filter(|_| !office.is_ahead) {
            office.told.adopt(noted);
        }
        let seen = seen::seen(&snapshot.config, &snapshot.duties, &snapshot.pools, &state);
        if seen.len() > told::MOST {
            tracing::warn!(target: "weir::alerts", more = seen.len() - told::MOST, "too many alerts: the least are not told");
        }
        events.extend(office.told.news(&seen, now));
        if office.is_due(noted.is_some()) {
            self.write(webhook).await;
        }
        Ok(())
    }

    /// Posts, and notes what was taken.
    async fn tell(&mut self, snapshot: &Snapshot, webhook: &Webhook, events: &[Event]) {
        let events = &events[..events.len().min(message::MOST)];
        let namespace = snapshot.config.state.as_ref().map(|state| state.namespace.as_str());
        let whose = Whose { namespace: namespace.unwrap_or_default(), replica: self.shared.client.name() };
        let posted = message::post(&*self.outside.exchange, webhook, &whose, events).await;
        self.shared.metrics.alerts_posted(matches!(posted, Posted::Taken));
        let is_news = self.pace.ended(&posted, Instant::now(), fastrand::f64());
        match &posted {
            Posted::Taken => {
                let keys: Vec<&str> = events.iter().map(|event| event.alert.key.as_str()).collect();
                tracing::info!(target: "weir::alerts", alerts = %keys.join(" "), "told by the webhook");
                self.note(webhook, events).await;
            }
            Posted::Not { why, .. } if is_news => {
                tracing::warn!(target: "weir::alerts", error = %why, "alerts cannot be posted; tried again and again");
            }
            Posted::Not { .. } => {}
        }
    }

    async fn note(&mut self, webhook: &Webhook, events: &[Event]) {
        self.own.note(events, Kind::is_own);
        let Some(office) = &mut self.cluster else { return };
        office.told.note(events, |kind| !kind.is_own());
        self.write(webhook).await;
    }

    /// Notes all that was told, for whoever tells next.
    async fn write(&mut self, webhook: &Webhook) {
        let Some(office) = &mut self.cluster else { return };
        office.is_ahead = true;
        match self.port.note(&note_of(webhook), &office.told.write(), NOTED_FOR).await {
            Ok(()) => (office.noted, office.is_ahead) = (Some(Instant::now()), false),
            Err(away) => {
                tracing::warn!(target: "weir::alerts", error = %away, "another replica may tell the same once more");
            }
        }
    }
}

impl Office {
    /// Is all of it to be noted, though nothing was told? Where something stands and was not noted for long, or no more (the data
    /// set was lost), or not at all.
    fn is_due(&self, stands: bool) -> bool {
        let is_old = self.noted.is_none_or(|at| at.elapsed() >= NOTED_AGAIN);
        self.is_ahead || !self.told.is_empty() && (is_old || !stands)
    }
}

/// Is a replica the one that tells now, by the turns in which it is elected? They begin by each replica's own clock: who was not
/// the one before waits until by all clocks that one has ended, so that never two tell.
fn is_on_turn(now: u64, is_elected: impl Fn(u64) -> bool) -> bool {
    let ((length, apart), turn) = (TURN, now / TURN.0);
    let is_settled = now % length >= apart;
    is_elected(turn) && (is_settled || is_elected(turn.saturating_sub(1)))
}

/// Where it is kept in the shared state what a receiver was told; its address does not show in that.
fn note_of(webhook: &Webhook) -> String {
    let address = webhook.uri().map(|uri| uri.to_string()).unwrap_or_default();
    let hash = auth::hash(&address);
    format!("alerts/{}", hash.get("sha256:".len()..).and_then(|hex| hex.get(..8)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Broken on purpose to see it fail: turns that end at once.
    #[test]
    fn another_replica_tells_every_ten_minutes_and_never_two_at_once() {
        let who = |turn: u64| [0, 1, 1, 0][turn as usize % 4]; // is elected for a turn
        for now in 600..6_000 {
            // The clocks of the two are up to five seconds apart.
            let telling = |replica: u64, now: u64| is_on_turn(now, |turn| who(turn) == replica);
            for apart in 0..=5 {
                let both =
                    [(0, 1), (1, 0)].map(|(one, other)| telling(one, now) && telling(other, now + apart));
                assert_eq!(both, [false, false], "{now}");
            }
            assert!(now % 600 < 5 || telling(who(now / 600), now), "{now}");
        }
        assert!((600..6_000).all(|now| is_on_turn(now, |_| true)), "who is alone always tells");
    }
}
