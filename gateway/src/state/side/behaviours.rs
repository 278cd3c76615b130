//! How deployments behave: what this replica tells of it, and what it heard of all replicas'.

use std::collections::BTreeSet;
use std::sync::Arc;

use ahash::AHashMap;

use super::Side;
use super::forecast::{Meter, shares};
use crate::state::books::PoolBooks;
use crate::state::core::behaviour::heard_up_to;
use crate::state::core::{Behaviour, Incarnation, Ms, Telling};
use crate::state::ledger::Ledger;
use crate::state::pools::PoolInfo;
use crate::state::watched::Watched;

/// Deployments that one SYNC tells of at most; the others take turns.
const SHOWN_AT_ONCE: usize = 64;

/// A deployment whose behaviour is of interest, and the pools that it draws on.
#[derive(Clone, Debug)]
pub struct Watch {
    /// What is known of it.
    pub of: Arc<Watched>,
    /// Its own and its account's.
    pub pools: Vec<Arc<PoolInfo>>,
}

/// What a replica tells and hears of behaviour.
#[derive(Debug, Default)]
pub(super) struct Watching {
    watches: Vec<Watch>,
    by_tag: AHashMap<u64, usize>,
    turn: usize,
    since: Ms,                    // logical time up to which all was heard
    to: (u64, u64),               // to which data set, and by which life, was told
    alive: BTreeSet<Incarnation>, // when they were counted last
}

impl Side {
    /// These deployments are of interest from now on.
    pub fn watch(&mut self, watches: Vec<Watch>) {
        let by_tag = watches.iter().enumerate().map(|(at, watch)| (watch.of.tag, at)).collect();
        let Watching { to, alive, .. } = std::mem::take(&mut self.watching);
        self.watching = Watching { watches, by_tag, to, alive, ..Watching::default() };
    }

    /// What the next SYNC of `ledger`'s life tells; only one that counts the living (`count`) does.
    pub(super) fn due_telling(&mut self, ledger: &Ledger, count: bool) -> Option<Telling> {
        let watching = &mut self.watching;
        if !count || watching.watches.is_empty() {
            return None;
        }
        let to = (ledger.epoch(), ledger.inc().k);
        if std::mem::replace(&mut watching.to, to) != to {
            watching.since = 0;
            watching.watches.iter().for_each(|watch| watch.of.anew());
        }
        let (before, after) = watching.watches.split_at(watching.turn % watching.watches.len());
        let mut shown = Vec::new();
        for (at, watch) in after.iter().chain(before).enumerate() {
            shown.extend(watch.of.due());
            if shown.len() == SHOWN_AT_ONCE {
                watching.turn += at + 1;
                break;
            }
        }
        Some(Telling { since: watching.since, shown })
    }

    /// A SYNC was not heard, or `surely` not taken.
    pub(super) fn untold_behaviour(&self, telling: &Option<Telling>, surely: bool) {
        let shown = telling.iter().flat_map(|telling| &telling.shown);
        for (shown, at) in shown.filter_map(|shown| Some((shown, self.watching.by_tag.get(&shown.tag)?))) {
            self.watching.watches[*at].of.unsaid(shown, surely);
        }
    }

    /// What the state told at its time `l`, and who is alive.
    pub(super) fn learn_behaviours(
        &mut self,
        told: Vec<(u64, Behaviour)>,
        living: &[Incarnation],
        own: &Incarnation,
        (l, now): (Ms, Ms),
    ) {
        let watching = &mut self.watching;
        watching.since = heard_up_to(&told, l);
        let changed = !watching.alive.iter().eq(living); // both in order
        if changed {
            watching.alive = living.iter().cloned().collect();
        }
        for (tag, of) in told {
            if let Some(at) = watching.by_tag.get(&tag) {
                watching.watches[*at].of.heard(of, own, &watching.alive, l, now);
            }
        }
        for watch in &watching.watches {
            watch.of.fresh(now);
            if changed {
                watch.of.recount(&own.name, &watching.alive);
            }
        }
        self.forecast(now);
    }

    /// Reckons how full the pools of each deployment are and will be.
    fn forecast(&self, now: Ms) {
        let Some(ledger) = self.lives.last().map(|life| &life.ledger) else { return };
        let mut inflow: AHashMap<&Arc<str>, [f64; 3]> = AHashMap::new();
        for watch in &self.watching.watches {
            let (past, passed) = watch.of.past(now);
            let demand = super::forecast::inflow(&past, passed);
            for pool in &watch.pools {
                let sum = inflow.entry(&pool.decl.key).or_default();
                sum.iter_mut().zip(demand).for_each(|(sum, more)| *sum += more);
            }
        }
        for watch in &self.watching.watches {
            let of_pool = |pool: &Arc<PoolInfo>| {
                let demand = inflow.get(&pool.decl.key).copied().unwrap_or_default();
                pool_shares(pool, ledger.find(&pool.decl.key).as_deref(), demand, now)
            };
            let all = watch.pools.iter().map(of_pool);
            let (used, full) = all.fold((0.0_f64, 0.0_f64), |a, b| (a.0.max(b.0), a.1.max(b.1)));
            watch.of.set_shares(used, full);
        }
    }
}

/// Of the fullest meter of a pool: now, and at the fullest in the next minute.
fn pool_shares(pool: &PoolInfo, books: Option<&PoolBooks>, demand: [f64; 3], now: Ms) -> (f64, f64) {
    let of = |seen: Option<(&crate::state::core::Image, Ms)>, caps: &[u64]| {
        let meters = pool.kinds.iter().zip(pool.decl.meters.iter()).enumerate();
        let all = meters.map(|(at, (kind, declared))| {
            let cap = caps.get(at).map_or(declared.cap, |cap| declared.cap.min(*cap));
            let (held, window) = seen.map_or((0, &[][..]), |(image, _)| {
                (
                    image.held.get(at).copied().unwrap_or(0),
                    image.window.get(at).map_or(&[][..], Vec::as_slice),
                )
            });
            let age = seen.map_or(0, |(_, at)| now.saturating_sub(at));
            shares(&Meter { shape: declared.shape, cap, held, window, age }, kind.of(demand))
        });
        all.fold((0.0_f64, 0.0_f64), |a, b| (a.0.max(b.0), a.1.max(b.1)))
    };
    match books {
        Some(books) => books.as_seen(of),
        None => of(None, &[]),
    }
}
