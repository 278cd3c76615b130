//! Pools in doubt: a RESERVE that nobody here was answered may have been granted on them, now or a little later.
//!
//! Every SYNC asks about some of them in turn, and what was granted and nobody waits for is given back. Doubts end, for
//! each costs the state some microseconds at every SYNC: a pool leaves when it was looked at late enough. Whatever
//! comes later still is found by the [`Ledger`](super::ledger::Ledger)'s sweep over all pools.

use std::collections::VecDeque;
use std::sync::Arc;

use ahash::AHashMap;

use super::books::PoolBooks;
use super::core::Ms;
use crate::config::StateConfig;

/// How long a RESERVE that nobody waits for may still be executed, once the state answers. Until its connection is found
/// to be broken (`state.timeout` at most) it may wait in this process; then in the buffers of a network that lost packets,
/// or of a server that stood still: the tries of the kernel and the server's own backlog come within a second, unless
/// the way was blocked for long.
const LATE: Ms = StateConfig::LONGEST_TIMEOUT.as_millis() as Ms + 1_000;

/// How far the doubt about a pool was looked into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doubt {
    /// Not since it arose last.
    New,
    /// A SYNC has asked; no answer was heard since.
    Asked,
    /// It arose before this time of the own clock, when the state answered.
    Before(Ms),
}

/// The pools in doubt of one life.
#[derive(Debug, Default)]
pub(super) struct Doubts {
    turns: VecDeque<Arc<PoolBooks>>, // the next in turn first
    of: AHashMap<Arc<str>, Doubt>,   // by pool; the same pools
}

impl Doubts {
    /// Something may be granted on a pool that nobody waits for.
    pub(super) fn arose(&mut self, pool: Arc<PoolBooks>) {
        if self.of.insert(pool.decl.key.clone(), Doubt::New).is_none() {
            self.turns.push_back(pool);
        }
    }

    /// The next pools to ask about.
    pub(super) fn ask(&mut self, most: usize) -> Vec<Arc<PoolBooks>> {
        let turn = most.min(self.turns.len());
        let asked: Vec<_> = self.turns.drain(..turn).collect();
        self.turns.extend(asked.iter().cloned());
        for pool in &asked {
            if let Some(doubt @ Doubt::New) = self.of.get_mut(&pool.decl.key) {
                *doubt = Doubt::Asked;
            }
        }
        asked
    }

    /// A SYNC sent at `sent` was answered at `at`, by the own clock: on these of its pools nothing was granted but what
    /// somebody here has.
    ///
    /// The time counts from an answer that followed the doubt, not from the doubt itself: a state that stood still
    /// executes what waited for it when it goes on.
    pub(super) fn answered<'a>(&mut self, pools: impl Iterator<Item = &'a Arc<PoolBooks>>, sent: Ms, at: Ms) {
        let before = self.of.len();
        for pool in pools {
            let Some(doubt) = self.of.get_mut(&pool.decl.key) else { continue };
            match *doubt {
                Doubt::New => {}
                Doubt::Asked => *doubt = Doubt::Before(at),
                Doubt::Before(then) if sent > then + LATE => drop(self.of.remove(&pool.decl.key)),
                Doubt::Before(_) => {}
            }
        }
        if self.of.len() < before {
            self.turns.retain(|pool| self.of.contains_key(&pool.decl.key));
        }
    }
}

/// Of the books as a whole, for what a SYNC asks about and gives back is theirs.
///
/// Broken on purpose to see them fail: doubts that never end (as it was), that end with the first answer, that end by
/// when the answer was heard instead of when the SYNC was sent, that do not begin anew, whose time does not wait for an
/// answer, and that end while outstanding RESERVEs hide the grant. Each made one of them fail.
#[cfg(test)]
mod tests {
    use super::super::core::{
        Caller, Candidate, Declared, Draw, Incarnation, PoolDecl, PoolView, Reserve, Shape, Stage,
    };
    use super::super::ledger::{Ledger, Outstanding};
    use super::*;

    /// Pools that a call names; more than the sweep of a few SYNCs gets to.
    const POOLS: usize = 1_000;
    /// Between SYNCs.
    const PERIOD: Ms = 200;

    struct Replica {
        ledger: Arc<Ledger>,
        now: Ms,
    }

    impl Replica {
        fn new() -> Replica {
            let ledger = Ledger::new(Incarnation { name: "one".into(), k: 1 }, 1);
            (0..200).for_each(|at| drop(ledger.pool(&decl(&format!("other-{at}"))))); // for the sweep
            Replica { ledger: Arc::new(ledger), now: 1 }
        }

        fn reserve(&self) -> Outstanding {
            let draw = |pool| Draw { pool, amounts: [1].into_iter().collect() };
            let caller = Caller { epoch: 1, inc: self.ledger.inc(), l_ack: 0, x: 0 };
            let candidate =
                Candidate { tag: 1, tier: 0, threshold: 1_000_000, circuit: None, account: 0, draws: vec![] };
            self.ledger.sending(Arc::new(Reserve {
                caller,
                pools: (0..POOLS).map(|at| decl(&key(at))).collect(),
                common: (0..POOLS).map(draw).collect(),
                candidates: vec![candidate],
                session: None,
                tell: Default::default(),
                luck: 0,
                most: crate::state::core::meter::WHOLE,
                turn: None,
            }))
        }

        /// A SYNC that is answered after `took` with what was granted on every pool of the calls; how many of these it
        /// asked about.
        fn sync(&mut self, granted: u64, took: Ms) -> usize {
            let (pools, reports) = self.ledger.report(false, None);
            let own = |key: &Arc<str>| key.starts_with("pool-");
            let granted = |key: &Arc<str>| vec![if own(key) { granted } else { 0 }];
            let view =
                |pool: &Arc<PoolBooks>| PoolView { granted: granted(&pool.decl.key), ..PoolView::default() };
            let views = pools.iter().map(view).collect();
            self.ledger.heard(&pools, &reports, views, self.now, self.now + took);
            self.now += PERIOD.max(took);
            reports.iter().filter(|report| own(&report.key)).count()
        }

        /// After some SYNCs: on how many pools so much was given back.
        fn given_back(&mut self, granted: u64) -> usize {
            for _ in 0..9 {
                self.sync(granted, 1);
            }
            let pools = self.ledger.pools();
            pools.iter().filter(|pool| pool.report(false, Vec::new()).returned == [granted]).count()
        }

        /// SYNCs until this time after `since`; the most pools that one asked about.
        fn sync_until(&mut self, since: Ms, after: Ms) -> usize {
            let mut most = 0;
            while self.now <= since + after {
                most = most.max(self.sync(0, 1));
            }
            most
        }
    }

    fn key(at: usize) -> String {
        format!("pool-{at}")
    }

    fn decl(key: &str) -> PoolDecl {
        let shape = Shape::window(6_000, Stage::Head);
        PoolDecl { key: key.into(), meters: [Declared { shape, cap: 100, pace: 0 }].into(), slow_start: None }
    }

    #[test]
    fn a_doubt_ends_when_nothing_can_come_of_it_any_more() {
        let mut replica = Replica::new();
        drop(replica.reserve());
        let begun = replica.now;
        assert_eq!(replica.sync_until(begun, LATE), 256);
        // All were asked about by then, and leave at the next answers, a SYNC's worth at a time.
        replica.sync_until(begun, 2 * LATE + 8 * PERIOD);
        assert!(replica.sync_until(replica.now, PERIOD) <= 2, "only the sweep is left");
    }

    #[test]
    fn a_grant_that_comes_late_is_found_while_the_doubt_lasts() {
        let mut replica = Replica::new();
        drop(replica.reserve());
        let begun = replica.now;
        replica.sync_until(begun, LATE);
        assert_eq!(replica.given_back(1), POOLS, "granted at the last moment");
    }

    #[test]
    fn a_sync_that_was_sent_too_early_ends_no_doubt_however_late_its_answer_is() {
        let mut replica = Replica::new();
        drop(replica.reserve());
        for _ in 0..4 {
            replica.sync(0, 1);
        }
        assert_eq!(replica.sync(0, 10 * LATE), 256);
        assert_eq!(replica.given_back(1), POOLS);
    }

    #[test]
    fn another_doubt_about_a_pool_begins_anew() {
        let mut replica = Replica::new();
        drop(replica.reserve());
        replica.sync_until(replica.now, LATE);
        drop(replica.reserve());
        let again = replica.now;
        assert_eq!(replica.sync_until(again, LATE), 256);
        assert_eq!(replica.given_back(1), POOLS, "the second was granted at the last moment");
    }

    #[test]
    fn a_state_that_does_not_answer_ends_no_doubt() {
        let mut replica = Replica::new();
        drop(replica.reserve());
        for _ in 0..40 {
            let (pools, reports) = replica.ledger.report(false, None);
            replica.ledger.unheard(&pools, &reports);
            replica.now += PERIOD;
        }
        for _ in 0..4 {
            replica.sync(0, 1);
        }
        // What was said in vain has been told again; now only doubts are asked about, and the sweep.
        assert!(replica.sync(0, 1) >= 256, "it stood still, and may execute what had waited");
    }

    #[test]
    fn a_grant_that_other_calls_might_be_waiting_for_stays_in_doubt() {
        let mut replica = Replica::new();
        drop(replica.reserve());
        let other = replica.reserve();
        let until = replica.now + 4 * LATE;
        while replica.now < until {
            assert_eq!(replica.given_back(1), 0, "it may be the other's");
        }
        other.refused();
        assert_eq!(replica.given_back(1), POOLS);
    }
}
