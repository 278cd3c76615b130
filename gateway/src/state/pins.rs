//! Where this replica saw sessions go: for when the state is away, and for calls on loans.
//!
//! The latter go by it while the state need not renew the pin yet, and while it is heard which sessions moved elsewhere. Should
//! one be missed all the same, its session is at two deployments for a while: it costs a provider's cache, and no limit.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use moka::sync::Cache;

use super::core::{KEPT, Moved, Ms};

/// Sessions remembered in this process.
const MOST: u64 = 200_000;
/// The part of a pin's time after which the state is asked again, so that it lasts for more than half of its time after every call
/// (a RESERVE renews one when a quarter is gone).
const RENEWED: Ms = 8;
/// Moves that are not heard for so long may be told no more.
const DEAF: Ms = KEPT / 4 * 3;

/// One session.
#[derive(Clone, Copy, Debug)]
struct Pin {
    tag: u64,
    heard: Ms, // own clock, when the state was asked that told so; 0: it did not
}

/// By session the tag of the deployment where it went last.
#[derive(Debug)]
pub(super) struct Pins {
    of: ArcSwap<Cache<String, Pin>>,
    since: AtomicU64, // own clock; what was asked for before may be out of date
    moves: AtomicU64, // own clock, when the SYNC was sent that told of moves last
}

impl Pins {
    /// None yet; each is forgotten when it has been idle for so long.
    pub(super) fn new(idle: Duration) -> Pins {
        Pins { of: ArcSwap::from_pointee(empty(idle)), since: AtomicU64::new(0), moves: AtomicU64::new(0) }
    }

    /// Another time from now on; if it is another, all are forgotten.
    pub(super) fn retime(&self, idle: Duration) {
        if self.of.load().policy().time_to_idle() != Some(idle) {
            self.of.store(Arc::new(empty(idle)));
        }
    }

    /// A call of the session goes there.
    pub(super) fn remember(&self, session: &str, tag: u64) {
        let pins = self.of.load();
        if pins.get(session).is_none_or(|pin| pin.tag != tag) {
            pins.insert(session.to_owned(), Pin { tag, heard: 0 });
        }
    }

    /// Where it went last.
    pub(super) fn recall(&self, session: &str) -> Option<u64> {
        self.of.load().get(session).map(|pin| pin.tag)
    }

    /// The state, asked at `sent`, pins the session there.
    pub(super) fn heard(&self, session: &str, tag: u64, sent: Ms) {
        self.of.load().insert(session.to_owned(), Pin { tag, heard: sent });
    }

    /// Where a session is that is forgotten `ttl` after its last call, if that was heard lately.
    pub(super) fn home(&self, session: &str, ttl: Ms, now: Ms) -> Option<u64> {
        let since = self.since.load(Ordering::Relaxed).max(now.saturating_sub(ttl / RENEWED)).max(1);
        if now.saturating_sub(self.moves.load(Ordering::Relaxed)) > DEAF {
            return None;
        }
        self.of.load().get(session).filter(|pin| pin.heard >= since).map(|pin| pin.tag)
    }

    /// A SYNC that was sent then told which sessions moved lately.
    pub(super) fn moved(&self, moved: &Moved, sent: Ms) {
        let before = self.moves.fetch_max(sent, Ordering::Relaxed);
        if moved.more || sent.saturating_sub(before) > DEAF {
            self.since.fetch_max(sent, Ordering::Relaxed);
        }
        let pins = self.of.load();
        for (session, tag) in &moved.to {
            if let Some(pin) = pins.get(session) {
                pins.insert(session.clone(), Pin { tag: *tag, ..pin });
            }
        }
    }
}

fn empty(idle: Duration) -> Cache<String, Pin> {
    Cache::builder().max_capacity(MOST).time_to_idle(idle).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Ms = 8_000;

    fn moved(to: &[(&str, u64)]) -> Moved {
        Moved { more: false, to: to.iter().map(|(session, tag)| ((*session).to_owned(), *tag)).collect() }
    }

    /// Pins that hear of moves every 200 ms up to `now`.
    fn hearing(now: Ms) -> Pins {
        let pins = Pins::new(Duration::from_secs(60));
        (0..=now).step_by(200).for_each(|sent| pins.moved(&Moved::default(), sent));
        pins
    }

    /// Broken on purpose to see it fail: the pin's age not looked at.
    #[test]
    fn the_state_is_asked_now_and_then_so_that_it_renews_a_pin() {
        let pins = hearing(2_000);
        pins.heard("s", 7, 1_000);
        assert_eq!([1_900, 2_000, 2_001].map(|now| pins.home("s", TTL, now)), [Some(7), Some(7), None]);
        pins.remember("t", 7);
        assert_eq!(pins.home("t", TTL, 2_000), None, "the state did not say so");
        assert_eq!(pins.recall("t"), Some(7));
        pins.remember("s", 8);
        assert_eq!(pins.home("s", TTL, 1_900), None, "it went elsewhere");
    }

    /// Broken on purpose to see it fail: what was heard while nothing was heard of moves kept.
    #[test]
    fn who_may_have_missed_a_move_asks() {
        let pins = hearing(2_000);
        pins.heard("s", 7, 2_000);
        assert_eq!(pins.home("s", 100 * TTL, 2_000 + DEAF), Some(7));
        assert_eq!(pins.home("s", 100 * TTL, 2_001 + DEAF), None);
        pins.moved(&Moved::default(), 2_001 + DEAF);
        assert_eq!(pins.home("s", 100 * TTL, 2_001 + DEAF), None, "it may have moved meanwhile");
        pins.heard("s", 7, 2_001 + DEAF);
        assert_eq!(pins.home("s", 100 * TTL, 2_001 + DEAF), Some(7));
        pins.moved(&Moved { more: true, to: vec![] }, 2_201 + DEAF);
        assert_eq!(pins.home("s", 100 * TTL, 2_201 + DEAF), None, "more moved than was told");
    }

    /// Broken on purpose to see it fail: moves taken for sessions that are not known as well; all of them were remembered.
    #[test]
    fn who_hears_of_a_move_goes_along() {
        let pins = hearing(2_000);
        pins.heard("s", 7, 1_900);
        pins.moved(&moved(&[("s", 8), ("t", 8), ("s", 9)]), 2_200);
        assert_eq!(pins.home("s", TTL, 2_200), Some(9));
        assert_eq!(pins.recall("t"), None);
    }
}
