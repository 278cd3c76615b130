//! What a replica shows of itself to who watches at another: its calls and what they have come to are known to itself alone. It is
//! told through the shared state, while anybody watches anywhere, as strings that are soon forgotten.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::shared::Shared;
use crate::state::{Away, Port};
use crate::telemetry::feed::{Seen, Sums};

/// Somebody watches; forgotten soon after nobody does.
const WATCHED: (&str, Duration) = ("watched", Duration::from_secs(3));
/// How long what was shown counts.
const SHOWN_FOR: Duration = Duration::from_secs(5);
/// So many calls are shown at most each time.
const CALLS: usize = 50;

/// What one replica shows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Shown {
    /// When it began, Unix milliseconds.
    pub(super) since: u64,
    pub(super) version: String,
    /// Calls being served.
    pub(super) in_hand: usize,
    /// Calls that wait for room, by model; those of which none does are left out.
    pub(super) waiting: BTreeMap<String, usize>,
    pub(super) degraded: bool,
    pub(super) draining: bool,
    /// It has read a file with a mistake.
    pub(super) refused: bool,
    pub(super) sums: Sums,
    /// The last that have ended.
    pub(super) calls: Vec<Seen>,
}

impl Shown {
    /// What this replica shows now; it began at `since`.
    pub(super) fn of(shared: &Shared, since: u64) -> Shown {
        let snapshot = shared.snapshot.load();
        let queues = snapshot.model_names.iter().zip(&snapshot.queues);
        let waiting = queues.map(|(model, queue)| (model.to_string(), queue.len()));
        Shown {
            since,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            in_hand: shared.calls.used(),
            waiting: waiting.filter(|(_, calls)| *calls > 0).collect(),
            degraded: shared.client.is_away(),
            draining: shared.is_draining(),
            refused: shared.refusal().is_some(),
            sums: shared.metrics.feed.sums(),
            calls: shared.metrics.feed.last(CALLS),
        }
    }
}

/// Does somebody watch, here or elsewhere?
pub(super) async fn is_watched(port: &Port) -> Result<bool, Away> {
    port.recall(WATCHED.0).await.map(|watched| watched.is_some())
}

/// Somebody watches here.
pub(super) async fn watch(port: &Port) -> Result<(), Away> {
    port.note(WATCHED.0, "1", WATCHED.1).await
}

/// Tells others what a replica shows.
pub(super) async fn tell(port: &Port, replica: &str, shown: &Shown) -> Result<(), Away> {
    port.note(&key(replica), &serde_json::json!(shown).to_string(), SHOWN_FOR).await
}

/// What these replicas show; of another version what is understood of it.
pub(super) async fn hear(port: &Port, replicas: &[&str]) -> Result<BTreeMap<String, Shown>, Away> {
    let mut all = BTreeMap::new();
    for replica in replicas {
        let text = port.recall(&key(replica)).await?;
        if let Some(shown) = text.and_then(|text| serde_json::from_str(&text).ok()) {
            all.insert((*replica).to_owned(), shown);
        }
    }
    Ok(all)
}

fn key(replica: &str) -> String {
    format!("shown:{replica}")
}
