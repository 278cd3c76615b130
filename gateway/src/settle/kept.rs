//! Telling where things are that a call has made and later calls refer to.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::shared::Worker;
use crate::state::{Claimed, Place};

/// What is to be told: under which keys, and where it is.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Whose way to the state is used.
    pub worker: Arc<Worker>,
    /// [`crate::state::place_key`] of each id.
    pub keys: Vec<String>,
    /// The deployment's.
    pub tag: u64,
    /// Whose it stays, if that is not what its keys say: [`crate::state::owner_key`] and [`crate::state::owner_tag`].
    pub owner: Option<(String, u64)>,
    /// How long it is remembered.
    pub ttl: Duration,
}

impl Kept {
    /// Tells all replicas; `tokens` is its size. To its end, also if whoever waits for it goes. Bounded by the state's time-out.
    pub async fn tell(self, tokens: u64) {
        if let Some(telling) = self.tell_later(tokens)
            && let Err(err) = telling.await
        {
            tracing::error!(target: "weir::state", error = %err, "where something is kept was not told");
        }
    }

    /// The same, at the end of an answer, where nothing waits for it.
    pub(super) fn tell_later(self, tokens: u64) -> Option<JoinHandle<()>> {
        // Without a runtime the process is ending; then others go on with what was told at the beginning.
        Some(Handle::try_current().ok()?.spawn(self.told(tokens)))
    }

    /// Whose it is comes first: nobody else may find it before.
    async fn told(self, tokens: u64) {
        let Kept { worker, keys, tag, owner, ttl } = self;
        let client = &worker.shared.client;
        if let Some((key, owner)) = owner {
            match client.claim(&worker.port, &key, owner, ttl).await {
                Ok(Claimed::Made | Claimed::Ours) => {}
                Ok(Claimed::Theirs) => {
                    tracing::warn!(target: "weir::state", "the shared state lost whose a conversation is")
                }
                Err(err) => {
                    tracing::warn!(target: "weir::state", error = %err, "whose a conversation is was not told again")
                }
            }
        }
        for key in keys {
            client.note_place(&worker.port, key, Place { tag, tokens }, ttl).await;
        }
    }
}
