//! Alerts: an operator is told, by a webhook, when something needs a person. What is told, [`seen`] finds; when, [`told`] decides;
//! how it reads and how it is sent, [`message`] knows.
//!
//! One replica looks and tells for the cluster, the one that is elected as for health checks (`Client::is_elected`). What it has
//! told stands in the shared state, so whoever tells next says nothing again; what it has told and could not note there
//! before it died is told twice, and receivers know that by its `key`. What only a replica itself can see, that the state is away, each
//! tells of itself. Nothing here is on the way of a call, and without a webhook nothing is looked at.

pub mod message;
pub mod seen;
pub mod told;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

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
/// Where it is kept in the shared state what was told.
const NOTED: &str = "alerts";
/// So many are heeded, the gravest first: what is kept of them must stay small.
const MOST: usize = 500;
/// How long what was told counts if nobody looks.
const NOTED_FOR: Duration = Duration::from_secs(7 * 24 * 3600);

/// Looks and tells, whatever the configuration says by then, until told to stop.
pub async fn keep(shared: Arc<Shared>, port: Port, mut stop: watch::Receiver<bool>) {
    let mut adopted = shared.adopted.subscribe();
    let mut teller = Teller::new(shared.clone(), port);
    while !*stop.borrow() {
        let snapshot = shared.snapshot.load_full();
        let is_asked = snapshot.config.alerts.webhook.is_some();
        match &snapshot.config.alerts.webhook {
            Some(webhook) => {
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
    /// Of the cluster, while this replica is the one that tells.
    cluster: Option<Told>,
    /// Of itself.
    own: Told,
    away_since: Option<Instant>,
    pace: Pace,
}

impl Teller {
    fn new(shared: Arc<Shared>, port: Port) -> Teller {
        let (outside, pace) = (Outside::real(), Pace::default());
        Teller { shared, port, outside, cluster: None, own: Told::default(), away_since: None, pace }
    }

    /// Nobody is to be told any more; whoever is named next hears all that there is.
    fn forget(&mut self) {
        (self.cluster, self.own, self.pace) = (None, Told::default(), Pace::default());
    }

    /// Looks, and tells what is new.
    async fn look(&mut self, snapshot: &Snapshot, webhook: &Webhook) {
        let now = unix_now();
        let own = self.own_alerts();
        let mut events = self.own.news(&own, now);
        if let Err(away) = self.look_at_cluster(snapshot, now, &mut events).await {
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
        now: u64,
        events: &mut Vec<Event>,
    ) -> Result<(), Away> {
        if self.away_since.is_some() {
            return Ok(()); // nobody is elected, and nothing known of the others
        }
        if !self.shared.client.is_elected(Deployment::tag_of(NOTED)) {
            self.cluster = None; // what the others tell meanwhile it does not know
            return Ok(());
        }
        let noted = self.port.recall(NOTED).await?;
        let state = self.port.overview(&seen::pools(&snapshot.pools)).await?;
        let told = self.cluster.get_or_insert_default();
        // (All of it is in the state; but a data set that was lost knows of nothing.)
        told.join(noted.as_deref().unwrap_or_default());
        let mut seen = seen::seen(&snapshot.config, &snapshot.pools, &state);
        if seen.len() > MOST {
            tracing::warn!(target: "weir::alerts", more = seen.len() - MOST, "too many alerts: the least are not told");
            seen.truncate(MOST);
        }
        events.extend(told.news(&seen, now));
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
                self.note(events).await;
            }
            Posted::Not { why, .. } if is_news => {
                tracing::warn!(target: "weir::alerts", error = %why, "alerts cannot be posted; tried again and again");
            }
            Posted::Not { .. } => {}
        }
    }

    async fn note(&mut self, events: &[Event]) {
        self.own.note(events, Kind::is_own);
        let Some(told) = &mut self.cluster else { return };
        told.note(events, |kind| !kind.is_own());
        if let Err(away) = self.port.note(NOTED, &told.write(), NOTED_FOR).await {
            tracing::warn!(target: "weir::alerts", error = %away, "another replica may tell the same once more");
        }
    }
}
