//! Where this replica saw sessions go, for when the state is away.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use moka::sync::Cache;

/// Sessions remembered in this process.
const MOST: u64 = 200_000;

/// By session the tag of the deployment where it went last.
#[derive(Debug)]
pub(super) struct Pins(ArcSwap<Cache<String, u64>>);

impl Pins {
    /// None yet; each is forgotten when it has been idle for so long.
    pub(super) fn new(idle: Duration) -> Pins {
        Pins(ArcSwap::from_pointee(empty(idle)))
    }

    /// Another time from now on; if it is another, all are forgotten.
    pub(super) fn retime(&self, idle: Duration) {
        if self.0.load().policy().time_to_idle() != Some(idle) {
            self.0.store(Arc::new(empty(idle)));
        }
    }

    pub(super) fn remember(&self, session: &str, tag: u64) {
        let pins = self.0.load();
        if pins.get(session) != Some(tag) {
            pins.insert(session.to_owned(), tag);
        }
    }

    pub(super) fn recall(&self, session: &str) -> Option<u64> {
        self.0.load().get(session)
    }
}

fn empty(idle: Duration) -> Cache<String, u64> {
    Cache::builder().max_capacity(MOST).time_to_idle(idle).build()
}
