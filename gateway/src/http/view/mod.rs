//! What people see of the cluster while they watch: twice a second one document of all of it ([`doc`]), what of that has changed
//! ([`patch`]), and the calls that have ended at any replica ([`shown`]). It is made once for all who watch here, and not at all while
//! nobody does.

mod doc;
mod events;
mod patch;
mod shown;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::{Notify, watch};

use super::admin::{Desk, look, pool_keys};
use super::server::{Phase, reached};
use crate::clock::unix_ms;
use crate::state::Away;
use crate::telemetry::feed::Seen;
use events::event;
pub(super) use events::events;
use shown::Shown;

/// How often everything is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// How often it is asked whether somebody watches elsewhere.
const IDLE: Duration = Duration::from_millis(500);
/// A look that takes long is taken less often: it takes at most so much of the time.
const PART: u32 = 5;
/// So many may watch here at once.
const SEATS: usize = 32;
/// How long it counts that somebody watches elsewhere if nobody can say any more.
const HELD: Duration = Duration::from_secs(3);

/// What all who watch here are told next, as it is sent.
#[derive(Debug)]
struct Frame {
    /// One more each time.
    seq: u64,
    document: Arc<Value>,
    /// The same as an event, for who has seen no frame or not the last; made when somebody needs it.
    whole: OnceLock<Bytes>,
    /// What has changed since the frame before.
    patch: Bytes,
    /// Calls that have ended since then.
    calls: Option<Bytes>,
}

impl Frame {
    fn new(seq: u64, document: Arc<Value>, patch: Option<&Value>, calls: Option<&Value>) -> Frame {
        let patch = event("patch", patch.unwrap_or(&json!({})));
        let calls = calls.map(|calls| event("calls", calls));
        Frame { seq, document, whole: OnceLock::new(), patch, calls }
    }
}

/// Who watches here.
#[derive(Debug)]
pub struct Viewer {
    watchers: watch::Sender<usize>,
    frames: watch::Sender<Option<Arc<Frame>>>,
    changed: Notify,
    since: u64,
}

impl Default for Viewer {
    fn default() -> Viewer {
        Viewer {
            watchers: watch::Sender::new(0),
            frames: watch::Sender::new(None),
            changed: Notify::new(),
            since: unix_ms(),
        }
    }
}

/// A place among those who watch; given back when dropped.
struct Seat(Arc<Viewer>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.watchers.send_modify(|watchers| *watchers -= 1);
    }
}

impl Viewer {
    /// Somebody has changed something here, and wants to see it.
    pub(super) fn changed(&self) {
        self.changed.notify_one();
    }

    fn seat(self: &Arc<Viewer>) -> Option<Seat> {
        let mut is_let_in = false;
        self.watchers.send_if_modified(|watchers| {
            is_let_in = *watchers < SEATS;
            *watchers += usize::from(is_let_in);
            is_let_in
        });
        is_let_in.then(|| Seat(self.clone()))
    }
}

/// Looks for all who watch here, and shows this replica to those who watch elsewhere, until the admin pages close.
pub async fn keep(desk: Arc<Desk>, mut phase: watch::Receiver<Phase>) {
    let mut watchers = desk.viewer.watchers.subscribe();
    let (mut eye, mut elsewhere) = (Eye::default(), Elsewhere::default());
    loop {
        let begun = tokio::time::Instant::now();
        let here = *watchers.borrow_and_update() > 0;
        let watched = here || elsewhere.is_watched(shown::is_watched(&desk.port).await, Instant::now());
        desk.shared.metrics.feed.watch(watched);
        if here {
            let frame = eye.look(&desk).await;
            desk.viewer.frames.send_replace(Some(Arc::new(frame)));
        } else {
            eye = Eye::default();
            desk.viewer.frames.send_replace(None);
            if watched {
                let shown = Shown::of(&desk.shared, desk.viewer.since);
                let _ = shown::tell(&desk.port, desk.shared.client.name(), &shown).await; // again soon
            }
        }
        let pause = if here { LOOK.max(begun.elapsed() * PART) } else { IDLE };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = someone(&mut watchers), if !here => {} // (who comes later has the last frame, and waits for the next one)
            () = desk.viewer.changed.notified(), if here => {}
            () = reached(&mut phase, Phase::Closing) => return,
        }
    }
}

/// Returns when somebody watches here.
async fn someone(watchers: &mut watch::Receiver<usize>) {
    // (The viewer has the sender for as long as this is asked.)
    let _ = watchers.wait_for(|watchers| *watchers > 0).await;
}

/// Whether somebody watches at another replica, as it was heard last, and when.
#[derive(Debug, Default)]
struct Elsewhere(Option<Instant>);

impl Elsewhere {
    /// Is it so by what the state says now? One answer that does not come is not to end what is counted for who watches.
    fn is_watched(&mut self, said: Result<bool, Away>, now: Instant) -> bool {
        match said {
            Ok(is) => self.0 = is.then_some(now),
            Err(_) => self.0 = self.0.filter(|heard| now.duration_since(*heard) < HELD),
        }
        self.0.is_some()
    }
}

/// What was seen last.
#[derive(Default)]
struct Eye {
    seq: u64,
    document: Arc<Value>,
    /// By replica: since when its calls are counted, and the last one that was shown.
    calls: BTreeMap<String, (u64, u64)>,
}

impl Eye {
    async fn look(&mut self, desk: &Desk) -> Frame {
        let (shared, snapshot) = (desk.shared.clone(), desk.shared.snapshot.load_full());
        let state = look(&desk.port, &pool_keys(&snapshot)).await;
        let shown = self.shown(desk, state.as_ref().ok()).await;
        let (calls, before) = (self.ended(&shown), self.document.clone());
        // Thousands of deployments take their time, and this runtime keeps the replica alive in the shared state.
        let made = tokio::task::spawn_blocking(move || {
            let known = doc::Known { shared: &shared, snapshot: &snapshot, state: &state, shown: &shown };
            let document = doc::document(&known, &before);
            (patch::between(&before, &document), document)
        });
        self.seq += 1;
        let patch = match made.await {
            Ok((patch, document)) => {
                self.document = Arc::new(document);
                patch
            }
            Err(error) => {
                tracing::error!(target: "weir::admin", %error, "what people watch could not be made");
                None
            }
        };
        Frame::new(self.seq, self.document.clone(), patch.as_ref(), calls.as_ref())
    }

    /// What all replicas show, this one without being asked; while the state is away this one alone.
    async fn shown(
        &self,
        desk: &Desk,
        state: Option<&(crate::state::core::State, super::admin::Configs)>,
    ) -> BTreeMap<String, Shown> {
        let (own, port) = (desk.shared.client.name(), &desk.port);
        let here = Shown::of(&desk.shared, desk.viewer.since);
        let mut all = BTreeMap::new();
        if let Some((_, configs)) = state {
            let others: Vec<&str> = configs.keys().map(String::as_str).filter(|name| *name != own).collect();
            let told = async {
                shown::watch(port).await?;
                shown::tell(port, own, &here).await?;
                shown::hear(port, &others).await
            };
            all = told.await.unwrap_or_default(); // it has gone away meanwhile; again soon
        }
        all.insert(own.to_owned(), here);
        all
    }

    /// Calls that have ended since the last look, the oldest first, and how many more there were.
    fn ended(&mut self, shown: &BTreeMap<String, Shown>) -> Option<Value> {
        let (mut calls, mut left_out) = (Vec::new(), 0);
        self.calls.retain(|replica, _| shown.contains_key(replica));
        for (replica, shown) in shown {
            let since = shown.sums.since;
            let last = self.calls.get(replica).filter(|(known, _)| *known == since).map(|(_, seq)| *seq);
            let new: Vec<&Seen> = shown.calls.iter().filter(|seen| Some(seen.seq) > last).collect();
            let Some(newest) = new.last().map(|seen| seen.seq) else { continue };
            // (What another version tells may be in another order.)
            left_out += last.map_or(0, |last| newest.saturating_sub(last).saturating_sub(new.len() as u64));
            calls.extend(new.into_iter().map(|seen| {
                let mut call = json!(seen);
                call["replica"] = replica.as_str().into();
                call
            }));
            self.calls.insert(replica.clone(), (since, newest));
        }
        calls.sort_by_key(|call| call["at"].as_u64());
        (!calls.is_empty()).then(|| json!({ "calls": calls, "left_out": left_out }))
    }
}

#[cfg(test)]
mod tests;
