//! Telling where things are that a call has made and later calls refer to.

use std::sync::Arc;
use std::time::Duration;

use crate::shared::Worker;
use crate::state::Place;

/// What is to be told: under which keys, and where it is.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Whose way to the state is used.
    pub worker: Arc<Worker>,
    /// [`crate::state::place_key`] of each id.
    pub keys: Vec<String>,
    /// The deployment's.
    pub tag: u64,
    /// Whose it is from now on, if that is not what its keys say: [`crate::state::owner_key`] and [`crate::state::owner_tag`].
    pub owner: Option<(String, u64)>,
    /// How long it is remembered.
    pub ttl: Duration,
}

impl Kept {
    /// Tells all replicas; `tokens` is its size. Bounded by the state's time-out.
    pub async fn tell(self, tokens: u64) {
        let Kept { worker, keys, tag, owner, ttl } = self;
        let places = keys.into_iter().map(|key| (key, Place { tag, tokens }));
        let owners = owner.into_iter().map(|(key, tag)| (key, Place { tag, tokens: 0 }));
        for (key, place) in places.chain(owners) {
            worker.shared.client.note_place(&worker.port, key, place, ttl).await;
        }
    }

    /// The same, at the end of an answer, where nothing waits for it.
    pub(super) fn tell_later(self, tokens: u64) {
        // Without a runtime the process is ending; then others go on with what was told at the beginning.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(self.tell(tokens));
        }
    }
}
