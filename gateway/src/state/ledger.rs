//! A replica's own books for one life: what it was granted, gave back and posted, per pool and meter.
//!
//! Only cumulative counters leave this module ([`super::core::PoolReport`]), so a lost or doubled SYNC heals. A
//! RESERVE whose reply never came may still have been granted: its pools are *in doubt* for a while and SYNCs ask about
//! them ([`super::doubts`]), and a grant that nobody here consumed or waits for is given back. Give-back is computed so that it
//! can only err on the low side: outstanding RESERVEs are counted before consumed grants are read, and a grant is
//! booked as consumed before its RESERVE stops being outstanding.

mod outstanding;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ahash::AHashMap;
use parking_lot::{Mutex, RwLock};
use smallvec::SmallVec;

pub(super) use outstanding::Attempt;
pub use outstanding::{Drawn, Outstanding};

use super::books::{Entry, PoolBooks};
use super::core::mutant::{Mutant, on};
use super::core::{Incarnation, Ms, PoolDecl, PoolMemory, PoolReport, PoolView, Reserve, Said, Want};
use super::doubts::Doubts;
use super::lease::Policy;
use super::side::Deadlines;

/// Pools in doubt that one SYNC asks about at most; the rest take turns.
const DOUBTS_PER_SYNC: usize = 256;
/// Pools besides that every SYNC asks about in turn, so that a grant that nobody expects (a RESERVE that arrived
/// twice) is found as well.
const SWEPT_PER_SYNC: usize = 2;
/// Pools that one SYNC takes an image of at most; the others take turns.
const LOOKS_PER_SYNC: usize = 16;
/// Pools that are followed, in one SYNC at most; the others take turns, and calls on those ask when what they know is old.
const FOLLOWED_PER_SYNC: usize = 256;
/// Pools that moved, in one SYNC at most; the rest wait for the next one.
const DIRTY_PER_SYNC: usize = 512;
/// The most that one call posts on a meter: limits are below it, and sums of it stay below 2^53 for long. A provider
/// may claim anything.
const MOST_POSTED: u64 = 1 << 40;

/// One life's books.
#[derive(Debug)]
pub struct Ledger {
    inc: RwLock<Incarnation>, // whose; changes only before any data set knows of it
    deadlines: Deadlines,     // of every attempt in it
    epoch: RwLock<u64>, // of which data set; held while a grant is booked, so that none slips into the next
    pools: RwLock<AHashMap<Arc<str>, Arc<PoolBooks>>>,
    dirty: Mutex<VecDeque<Arc<PoolBooks>>>, // moved since they were last told; the longest untold first
    doubts: Mutex<Doubts>,
    sweep: Mutex<Vec<Arc<PoolBooks>>>, // all of them; the next in turn first
    outstanding: Mutex<AHashMap<u64, Arc<Reserve>>>,
    next: AtomicU64,
    attempts: AtomicU64,                       // that may still post
    unseen: Mutex<VecDeque<Arc<PoolBooks>>>,   // moved since their windows were last seen
    followed: Mutex<VecDeque<Arc<PoolBooks>>>, // at which calls on loans look; the next in turn first
    lent_until: AtomicU64,                     // own clock; so long calls may begin on them
}

impl Ledger {
    /// Empty books; `epoch` 0: of a life that no data set knows of yet.
    pub fn new(inc: Incarnation, epoch: u64) -> Ledger {
        Ledger {
            inc: RwLock::new(inc),
            deadlines: Deadlines::default(),
            epoch: RwLock::new(epoch),
            pools: RwLock::default(),
            dirty: Mutex::default(),
            doubts: Mutex::default(),
            sweep: Mutex::default(),
            outstanding: Mutex::default(),
            next: AtomicU64::new(0),
            attempts: AtomicU64::new(0),
            unseen: Mutex::default(),
            followed: Mutex::default(),
            lent_until: AtomicU64::new(0),
        }
    }

    /// With the deadlines that the data set is told with this life.
    pub fn within(self, deadlines: Deadlines) -> Ledger {
        Ledger { deadlines, ..self }
    }

    /// How long attempts of this life may take. A life keeps to what the data set was told of it, whatever is configured
    /// meanwhile: its holds are posted by that.
    pub fn deadlines(&self) -> Deadlines {
        self.deadlines
    }

    /// Books for the next life of the replica: empty, but for what was seen; `is_over`: not of these pools.
    pub fn heir(&self, inc: Incarnation, is_over: &dyn Fn(&str) -> bool) -> Ledger {
        let heir = Ledger::new(inc, 0);
        for pool in self.pools().into_iter().filter(|pool| !is_over(&pool.decl.key)) {
            let pool = Arc::new(pool.heir());
            heir.sweep.lock().push(pool.clone());
            heir.look_at(&pool);
            heir.pools.write().insert(pool.decl.key.clone(), pool);
        }
        heir
    }

    /// Whose.
    pub fn inc(&self) -> Incarnation {
        self.inc.read().clone()
    }

    /// Takes another number, while no data set knows of this life.
    pub(super) fn rename(&self, inc: Incarnation) {
        *self.inc.write() = inc;
    }

    /// Is it of this life?
    pub(super) fn is(&self, inc: &Incarnation) -> bool {
        *self.inc.read() == *inc
    }

    /// Of which data set; 0: none knows of it.
    pub fn epoch(&self) -> u64 {
        *self.epoch.read()
    }

    /// The books of a pool.
    pub fn pool(&self, decl: &PoolDecl) -> Arc<PoolBooks> {
        if let Some(pool) = self.pools.read().get(&decl.key) {
            return pool.clone();
        }
        let mut pools = self.pools.write();
        let new = || {
            let pool = Arc::new(PoolBooks::new(decl.clone()));
            self.sweep.lock().push(pool.clone());
            pool
        };
        pools.entry(decl.key.clone()).or_insert_with(new).clone()
    }

    /// The limits of pools are these from now on: what a data set that knows nothing is told of them.
    pub(super) fn declare(&self, decls: &[PoolDecl]) {
        let pools = self.pools.read();
        for decl in decls {
            if let Some(pool) = pools.get(&decl.key) {
                pool.declare(decl);
            }
        }
    }

    /// Every pool used in this life; in order, so that a simulated world is the same each time.
    pub fn pools(&self) -> Vec<Arc<PoolBooks>> {
        let mut pools: Vec<_> = self.pools.read().values().cloned().collect();
        pools.sort_by(|a, b| a.decl.key.cmp(&b.decl.key));
        pools
    }

    /// Does nothing here hold anything, will nothing be posted, and does nothing wait for an answer?
    pub fn is_idle(&self) -> bool {
        self.outstanding.lock().is_empty()
            && (self.attempts.load(Ordering::Acquire) == 0 || on(Mutant::OverBeforeAllIsPosted))
            && self.pools.read().values().all(|pool| pool.held().iter().all(|held| *held == 0))
    }

    /// Opens books for every pool that may be drawn on, so that SYNC asks about it: the network may deliver the
    /// message twice and have it granted twice, the second time on other pools.
    fn open(&self, ask: &Reserve) {
        let pools = self.pools.read();
        let unknown = |pool: &&PoolDecl| !pool.meters.is_empty() && !pools.contains_key(&pool.key);
        let missing: SmallVec<[&PoolDecl; 4]> = ask.pools.iter().filter(unknown).collect();
        drop(pools);
        for pool in missing {
            self.pool(pool);
        }
    }

    /// Books `amounts` as consumed.
    fn consume(&self, pool: &PoolBooks, amounts: &[u64]) {
        let mut meters = pool.meters.lock();
        for (entry, amount) in meters.iter_mut().zip(amounts) {
            entry.consumed += amount;
        }
    }

    /// A call is done with `returned` of a meter of a pool, and posts `posted`. Is any of it given back to all?
    pub fn settle(&self, pool: &Arc<PoolBooks>, meter: usize, returned: u64, posted: u64) -> bool {
        let posted = posted.min(MOST_POSTED);
        let gave = pool.meters.lock().get_mut(meter).is_some_and(|entry| {
            if on(Mutant::SettledTwice) {
                entry.settle(returned, posted);
            }
            entry.settle(returned, posted)
        });
        self.mark(pool);
        gave
    }

    /// The provider of a pool said this of its meters; `scarce`: others should know soon.
    pub(super) fn heed(&self, pool: &Arc<PoolBooks>, words: &[Said], scarce: bool) {
        pool.heed(words, scarce);
        self.mark(pool);
    }

    /// Belongs to the data set `epoch` from now on. Grants of the one before count no more.
    pub fn turn(&self, epoch: u64) {
        *self.epoch.write() = epoch;
    }

    /// What a data set is to be told of this life.
    pub fn told(&self, now: Ms) -> Vec<PoolMemory> {
        self.pools().iter().filter_map(|pool| pool.memory(now)).collect()
    }

    /// The books of a pool, if it was ever used or seen.
    pub(super) fn find(&self, key: &Arc<str>) -> Option<Arc<PoolBooks>> {
        self.pools.read().get(key).cloned()
    }

    /// Were all pools of another life seen after `at` of the own clock?
    pub(super) fn saw_all_of(&self, other: &Ledger, at: Ms) -> bool {
        let pools = self.pools.read();
        let seen = |key: &Arc<str>| pools.get(key).is_some_and(|pool| pool.saw(at));
        other.pools.read().values().filter(|pool| pool.is_used()).all(|pool| seen(&pool.decl.key))
    }

    /// The next SYNCs that look should see what `other` used.
    pub(super) fn look_at_all_of(&self, other: &Ledger) {
        for pool in other.pools().iter().filter(|pool| pool.is_used()) {
            self.look_at(&self.pool(&pool.decl));
        }
    }

    /// The longest window of any pool, ms.
    pub(super) fn longest_span(&self) -> Ms {
        let spans = |pool: &Arc<PoolBooks>| pool.decl.meters.iter().map(|meter| meter.shape.span()).max();
        self.pools().iter().filter_map(spans).max().unwrap_or(0)
    }

    /// Has everything been told that happened?
    pub fn is_told(&self) -> bool {
        self.dirty.lock().is_empty()
    }

    fn mark(&self, pool: &Arc<PoolBooks>) {
        if !pool.dirty.swap(true, Ordering::AcqRel) {
            self.dirty.lock().push_back(pool.clone());
        }
        self.look_at(pool);
    }

    /// The next SYNC that looks should see this pool's windows.
    fn look_at(&self, pool: &Arc<PoolBooks>) {
        if !pool.unseen.swap(true, Ordering::AcqRel) {
            self.unseen.lock().push_back(pool.clone());
        }
    }

    /// The pools that moved, the longest unseen first.
    fn to_see(&self) -> Vec<Arc<PoolBooks>> {
        let mut unseen = self.unseen.lock();
        let turn = LOOKS_PER_SYNC.min(unseen.len());
        let pools: Vec<_> = unseen.drain(..turn).collect();
        drop(unseen);
        pools.iter().for_each(|pool| pool.unseen.store(false, Ordering::Release));
        pools
    }

    fn doubt(&self, ask: &Reserve) {
        for pool in ask.pools.iter().filter(|pool| !pool.meters.is_empty()) {
            let pool = self.pool(pool);
            self.doubts.lock().arose(pool);
        }
    }

    /// The state said that this life goes on until then, by the own clock: so long calls may begin on what it was lent.
    pub(super) fn renewed(&self, until: Ms) {
        self.lent_until.fetch_max(until, Ordering::Relaxed);
    }

    /// May a call begin on what was lent?
    pub(super) fn lasts(&self, now: Ms) -> bool {
        now < self.lent_until.load(Ordering::Relaxed) || on(Mutant::LoanOutlivesLife)
    }

    /// Gives back all that was lent and not used.
    pub(super) fn give_back(&self) {
        let followed: Vec<_> = self.followed.lock().iter().cloned().collect();
        followed.iter().filter(|pool| pool.give_back()).for_each(|pool| self.mark(pool));
    }

    /// There was no room on a pool for a call: what of it lies idle here is given back. Was there any?
    pub fn ran_full(&self, pool: &PoolDecl) -> bool {
        let Some(books) = self.find(&pool.key).filter(|books| books.give_back()) else { return false };
        self.mark(&books);
        true
    }

    /// From now on SYNCs that count report this pool, until no call looks at it any more.
    pub(super) fn follow_pool(&self, pool: &Arc<PoolBooks>) {
        if !pool.lending.followed.load(Ordering::Relaxed) {
            let mut followed = self.followed.lock();
            if !pool.lending.followed.swap(true, Ordering::Relaxed) {
                followed.push_back(pool.clone());
            }
        }
    }

    /// What of these pools and of those that are followed is wanted at `now`, in their order, if that is to be asked.
    fn wants(&self, pools: &mut Vec<Arc<PoolBooks>>, borrows: Option<(Ms, Policy)>) -> Vec<Vec<Want>> {
        let Some((now, policy)) = borrows else { return vec![Vec::new(); pools.len()] };
        let mut followed = self.followed.lock();
        let turn = FOLLOWED_PER_SYNC.min(followed.len());
        followed.rotate_left(turn);
        pools.extend(followed.range(followed.len() - turn..).cloned());
        in_order(pools);
        let is_followed = |pool: &Arc<PoolBooks>| pool.lending.followed.load(Ordering::Relaxed);
        let want = |pool: &Arc<PoolBooks>| {
            let wanted = if is_followed(pool) { pool.wants(now, policy) } else { Some(Vec::new()) };
            if wanted.is_none() {
                pool.lending.followed.store(false, Ordering::Relaxed);
            }
            wanted.unwrap_or_default()
        };
        let wants = pools.iter().map(want).collect();
        followed.retain(is_followed);
        wants
    }

    /// What the next SYNC says: pools that moved since the last one that was answered, some in doubt, and a few
    /// of the others. If it looks, it also asks what windows hold; if it borrows, it asks at a time for what is worth it.
    pub fn report(
        &self,
        look: bool,
        borrows: Option<(Ms, Policy)>,
    ) -> (Vec<Arc<PoolBooks>>, Vec<PoolReport>) {
        let mut dirty = self.dirty.lock();
        let turn = DIRTY_PER_SYNC.min(dirty.len());
        let mut pools: Vec<_> = dirty.drain(..turn).collect();
        drop(dirty);
        pools.iter().for_each(|pool| pool.dirty.store(false, Ordering::Release));
        pools.extend(self.doubts.lock().ask(DOUBTS_PER_SYNC));
        let swept = in_turn(&self.sweep, SWEPT_PER_SYNC);
        let looked = if look { [self.to_see(), swept.clone()].concat() } else { Vec::new() };
        pools.extend(swept.into_iter().chain(looked.iter().cloned()));
        in_order(&mut pools);
        let wants = self.wants(&mut pools, borrows);
        let is_looked_at = |pool: &Arc<PoolBooks>| looked.iter().any(|looked| Arc::ptr_eq(looked, pool));
        let report = |(pool, wants): (&Arc<PoolBooks>, Vec<Want>)| pool.report(is_looked_at(pool), wants);
        let reports = pools.iter().zip(wants).map(report).collect();
        (pools, reports)
    }

    /// The SYNC that said `reports` was not answered: everything in it is said again, and what it may have been lent is looked for.
    pub fn unheard(&self, pools: &[Arc<PoolBooks>], reports: &[PoolReport]) {
        pools.iter().for_each(|pool| self.mark(pool));
        let wanted = pools.iter().zip(reports).filter(|(_, report)| !report.wants.is_empty());
        wanted.for_each(|(pool, _)| self.doubts.lock().arose(pool.clone()));
    }

    /// The SYNC that said `reports` was sent at `sent` and answered at `at` of the own clock.
    pub fn heard(
        &self,
        pools: &[Arc<PoolBooks>],
        reports: &[PoolReport],
        views: Vec<PoolView>,
        sent: Ms,
        at: Ms,
    ) {
        let mut clear = Vec::with_capacity(pools.len());
        for ((pool, report), view) in pools.iter().zip(reports).zip(views) {
            if self.reconcile(pool, &view.granted) {
                clear.push(pool);
            }
            if report.look && view.image.is_none() && !view.cap.is_empty() {
                self.look_at(pool); // it exists, and the data set was learning
            }
            pool.heard(report, view, sent, at);
        }
        self.doubts.lock().answered(clear.into_iter(), sent, at);
    }

    /// Keeps as lent what was granted and neither consumed nor awaited, as far as it is wanted, and gives back the rest.
    /// Whether nothing more was granted than is consumed: what RESERVEs may get that are outstanding may as well be what nobody waits
    /// for.
    fn reconcile(&self, pool: &Arc<PoolBooks>, granted: &[u64]) -> bool {
        let surplus = |entry: &Entry, at: usize| granted.get(at).copied().unwrap_or(0) > entry.consumed;
        if !pool.meters.lock().iter().enumerate().any(|(at, entry)| surplus(entry, at)) {
            return true;
        }
        let awaited = self.awaited(&pool.decl.key, granted.len()); // before `consumed` is read, see above
        let (mut gave, mut clear) = (false, true);
        for (at, entry) in pool.meters.lock().iter_mut().enumerate() {
            let known = if on(Mutant::BalanceTakenTwice) { 0 } else { awaited.get(at).copied().unwrap_or(0) };
            let granted = granted.get(at).copied().unwrap_or(0);
            let balance = granted.saturating_sub(entry.consumed + known);
            if balance > 0 && !on(Mutant::LostGrantKept) {
                let kept = entry.stock().saturating_sub(entry.lent).min(balance);
                entry.consumed += balance;
                entry.lent += kept;
                entry.returned += balance - kept;
                gave |= balance > kept;
            }
            clear &= granted <= entry.consumed;
        }
        if gave {
            self.mark(pool);
        }
        clear
    }

    /// The most that outstanding RESERVEs may be granted on a pool, per meter.
    fn awaited(&self, key: &Arc<str>, meters: usize) -> Vec<u64> {
        let mut sum = vec![0_u64; meters];
        for ask in self.outstanding.lock().values() {
            let Some(pool) = ask.pools.iter().position(|pool| pool.key == *key) else { continue };
            let of = |draws: &[super::core::Draw], at: usize| -> u64 {
                draws.iter().filter(|d| d.pool == pool).filter_map(|d| d.amounts.get(at)).sum()
            };
            for (at, sum) in sum.iter_mut().enumerate() {
                let own = ask.candidates.iter().map(|c| of(&c.draws, at)).max().unwrap_or(0);
                *sum = sum.saturating_add(own).saturating_add(of(&ask.common, at));
            }
        }
        sum
    }
}

/// By their keys, each once.
fn in_order(pools: &mut Vec<Arc<PoolBooks>>) {
    pools.sort_by(|a, b| a.decl.key.cmp(&b.decl.key));
    pools.dedup_by(|a, b| a.decl.key == b.decl.key);
}

/// The next few of a list that is gone through again and again.
fn in_turn(list: &Mutex<Vec<Arc<PoolBooks>>>, most: usize) -> Vec<Arc<PoolBooks>> {
    let mut list = list.lock();
    let turn = most.min(list.len());
    list.rotate_left(turn);
    list[list.len() - turn..].to_vec()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::core::{Declared, Shape, Stage};
    use super::*;

    /// Broken on purpose once: those marked last told first. The first was not told while others moved.
    #[test]
    fn settlements_are_told_in_the_order_in_which_they_came() {
        let ledger = Ledger::new(Incarnation { name: "one".into(), k: 1 }, 1);
        let pool = |at: usize| {
            let shape = Shape::window(6_000, Stage::Head);
            let meters = [Declared { shape, cap: 100, pace: 0 }].into();
            ledger.pool(&PoolDecl { key: format!("pool-{at}").into(), meters, slow_start: None })
        };
        (0..6).for_each(|at| drop(pool(at))); // those that are asked about in turn
        let first = pool(6);
        let others: Vec<_> = (7..7 + 2 * DIRTY_PER_SYNC).map(pool).collect();
        let told = || {
            let moved = ledger.report(false, None).1.into_iter().filter(|report| report.posted == [1]);
            moved.map(|report| report.key).collect::<Vec<_>>()
        };
        ledger.settle(&first, 0, 0, 1);
        let mut all = BTreeSet::new();
        for others in others.chunks(DIRTY_PER_SYNC) {
            others.iter().for_each(|pool| _ = ledger.settle(pool, 0, 0, 1));
            all.extend(told());
            assert!(all.contains(&first.decl.key), "the first waits");
            assert!(!ledger.is_told(), "more moved than one SYNC tells of");
        }
        all.extend(told());
        assert!(ledger.is_told());
        assert_eq!(all.len(), 2 * DIRTY_PER_SYNC + 1);
    }
}
