//! A replica's own books for one life: what it was granted, gave back and posted, per pool and meter.
//!
//! Only cumulative counters leave this module ([`super::core::PoolReport`]), so a lost or doubled SYNC heals. A
//! RESERVE whose reply never came may still have been granted: its pools are kept *in doubt* and asked about in
//! every SYNC, and a grant that nobody here consumed or waits for is given back. Give-back is computed so that it
//! can only err on the low side: outstanding RESERVEs are counted before consumed grants are read, and a grant is
//! booked as consumed before its RESERVE stops being outstanding.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use ahash::AHashMap;
use parking_lot::{Mutex, RwLock};
use smallvec::SmallVec;

use super::core::mutant::{Mutant, on};
use super::core::{
    Amounts, Counters, Declared, Image, Incarnation, Ms, PoolDecl, PoolMemory, PoolReport, PoolView, Reserve,
};

/// Pools in doubt that one SYNC asks about at most; the rest take turns.
const DOUBTS_PER_SYNC: usize = 256;
/// Pools besides that every SYNC asks about in turn, so that a grant that nobody expects (a RESERVE that arrived
/// twice) is found as well.
const SWEPT_PER_SYNC: usize = 2;
/// Pools that one SYNC takes an image of at most; the others take turns.
const LOOKS_PER_SYNC: usize = 16;
/// Pools that moved, in one SYNC at most; the rest wait for the next one.
const DIRTY_PER_SYNC: usize = 512;
/// A pool is flushed at once when its use passes this share of a cap, per mille.
const HOT_PERMILLE: u64 = 800;
/// The most that one call posts on a meter: limits are below it, and sums of it stay below 2^53 for long. A provider
/// may claim anything.
const MOST_POSTED: u64 = 1 << 40;

/// One life's books.
#[derive(Debug)]
pub struct Ledger {
    /// Whose.
    pub inc: Incarnation,
    epoch: RwLock<u64>, // of which data set; held while a grant is booked, so that none slips into the next
    pools: RwLock<AHashMap<Arc<str>, Arc<PoolBooks>>>,
    dirty: Mutex<Vec<Arc<PoolBooks>>>,
    doubts: Mutex<Vec<Arc<PoolBooks>>>,
    sweep: Mutex<Vec<Arc<PoolBooks>>>, // all of them; the next in turn first
    outstanding: Mutex<AHashMap<u64, Arc<Reserve>>>,
    next: AtomicU64,
    unseen: Mutex<VecDeque<Arc<PoolBooks>>>, // moved since their windows were last seen
}

/// What a pool's windows held when they were last seen.
#[derive(Debug)]
struct Seen {
    image: Image,
    at: Ms,         // own clock
    own: Vec<u64>,  // posted by this life, as far as it is part of the image
    held: Vec<u64>, // held by this life then
}

/// The books of one pool.
#[derive(Debug)]
pub struct PoolBooks {
    /// As calls declare it.
    pub decl: PoolDecl,
    seen: Mutex<Option<Seen>>,
    meters: Mutex<Vec<Entry>>, // short sections, never across an await
    dirty: AtomicBool,
    unseen: AtomicBool,
    doubted: AtomicBool,
    hot: AtomicBool,
    view: Mutex<PoolView>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    consumed: u64,
    returned: u64,
    posted: u64,
}

impl Entry {
    fn settle(&mut self, returned: u64, posted: u64) {
        self.returned += returned;
        self.posted += posted;
    }
}

impl PoolBooks {
    fn new(decl: PoolDecl) -> PoolBooks {
        PoolBooks {
            meters: Mutex::new(vec![Entry::default(); decl.meters.len()]),
            decl,
            seen: Mutex::default(),
            dirty: AtomicBool::new(false),
            unseen: AtomicBool::new(false),
            doubted: AtomicBool::new(false),
            hot: AtomicBool::new(false),
            view: Mutex::new(PoolView::default()),
        }
    }

    /// Was the pool above 80 % of a cap when last heard of?
    pub fn is_hot(&self) -> bool {
        self.hot.load(Ordering::Relaxed)
    }

    /// Takes note of a share in use (millionths) learnt from a grant.
    pub fn saw_share(&self, millionths: u64) {
        if millionths > HOT_PERMILLE * 1_000 {
            self.hot.store(true, Ordering::Relaxed);
        }
    }

    /// The pool as last heard of.
    pub fn view(&self) -> PoolView {
        self.view.lock().clone()
    }

    /// Estimates not given back, per meter.
    pub fn held(&self) -> Vec<u64> {
        self.meters.lock().iter().map(|entry| entry.consumed - entry.returned).collect()
    }
}

impl Ledger {
    /// Empty books.
    pub fn new(inc: Incarnation, epoch: u64) -> Ledger {
        Ledger {
            inc,
            epoch: RwLock::new(epoch),
            pools: RwLock::default(),
            dirty: Mutex::default(),
            doubts: Mutex::default(),
            sweep: Mutex::default(),
            outstanding: Mutex::default(),
            next: AtomicU64::new(0),
            unseen: Mutex::default(),
        }
    }

    /// Of which data set.
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

    /// Every pool used in this life.
    pub fn pools(&self) -> Vec<Arc<PoolBooks>> {
        self.pools.read().values().cloned().collect()
    }

    /// Does nothing here hold anything, and does nothing wait for an answer?
    pub fn is_idle(&self) -> bool {
        self.outstanding.lock().is_empty()
            && self.pools.read().values().all(|pool| pool.held().iter().all(|held| *held == 0))
    }

    /// Books a RESERVE that is about to be sent.
    pub fn sending(self: &Arc<Self>, ask: Arc<Reserve>) -> Outstanding {
        self.open(&ask);
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        self.outstanding.lock().insert(id, ask.clone());
        Outstanding { ledger: self.clone(), ask, id, resolved: false }
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

    /// Gives back `returned` and posts `posted` on a meter of a pool.
    pub fn settle(&self, pool: &Arc<PoolBooks>, meter: usize, returned: u64, posted: u64) {
        let posted = posted.min(MOST_POSTED);
        if let Some(entry) = pool.meters.lock().get_mut(meter) {
            entry.settle(returned, posted);
            if on(Mutant::SettledTwice) {
                entry.settle(returned, posted);
            }
        }
        self.mark(pool);
    }

    /// Goes over to the data set `epoch`: what it is to be told of this life. Grants of the one before count no more.
    pub fn turn(&self, epoch: u64, now: Ms) -> Vec<PoolMemory> {
        let mut current = self.epoch.write();
        *current = epoch;
        self.pools.read().values().map(|pool| pool.memory(now, true)).collect()
    }

    /// What was seen of the windows, for another life to tell.
    pub fn memories(&self, now: Ms) -> Vec<PoolMemory> {
        let pools = self.pools.read();
        pools.values().filter(|pool| pool.seen.lock().is_some()).map(|pool| pool.memory(now, false)).collect()
    }

    fn mark(&self, pool: &Arc<PoolBooks>) {
        if !pool.dirty.swap(true, Ordering::AcqRel) {
            self.dirty.lock().push(pool.clone());
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
            if !pool.doubted.swap(true, Ordering::AcqRel) {
                self.doubts.lock().push(pool);
            }
        }
    }

    /// What the next SYNC says: pools that moved since the last one that was answered, some in doubt, and a few
    /// of the others. If it looks, it also asks what windows hold.
    pub fn report(&self, look: bool) -> (Vec<Arc<PoolBooks>>, Vec<PoolReport>) {
        let mut dirty = self.dirty.lock();
        let rest = dirty.len().saturating_sub(DIRTY_PER_SYNC);
        let mut pools = dirty.split_off(rest);
        drop(dirty);
        pools.iter().for_each(|pool| pool.dirty.store(false, Ordering::Release));
        pools.extend(in_turn(&self.doubts, DOUBTS_PER_SYNC));
        let swept = in_turn(&self.sweep, SWEPT_PER_SYNC);
        let looked = if look { [self.to_see(), swept.clone()].concat() } else { Vec::new() };
        pools.extend(swept.into_iter().chain(looked.iter().cloned()));
        pools.sort_by(|a, b| a.decl.key.cmp(&b.decl.key));
        pools.dedup_by(|a, b| a.decl.key == b.decl.key);
        let is_looked_at = |pool: &Arc<PoolBooks>| looked.iter().any(|looked| Arc::ptr_eq(looked, pool));
        let reports = pools.iter().map(|pool| pool.report(is_looked_at(pool))).collect();
        (pools, reports)
    }

    /// The SYNC was not answered: everything in it is said again.
    pub fn unheard(&self, pools: &[Arc<PoolBooks>]) {
        pools.iter().for_each(|pool| self.mark(pool));
    }

    /// The SYNC that said `reports` was answered, at `at` of the own clock.
    pub fn heard(&self, pools: &[Arc<PoolBooks>], reports: &[PoolReport], views: Vec<PoolView>, at: Ms) {
        for ((pool, report), mut view) in pools.iter().zip(reports).zip(views) {
            self.reconcile(pool, &view.granted);
            if let Some(image) = view.image.take() {
                let held =
                    view.granted.iter().zip(&report.returned).map(|(g, r)| g.saturating_sub(*r)).collect();
                *pool.seen.lock() = Some(Seen { image, at, own: report.posted.clone(), held });
            } else if report.look && !view.cap.is_empty() {
                self.look_at(pool); // it exists, and the data set was learning
            }
            let hot = view.used.iter().zip(&view.cap).any(|(used, cap)| used * 1000 > cap * HOT_PERMILLE);
            pool.hot.store(hot, Ordering::Relaxed);
            *pool.view.lock() = view;
        }
    }

    /// Gives back what was granted and neither consumed nor awaited.
    fn reconcile(&self, pool: &Arc<PoolBooks>, granted: &[u64]) {
        let surplus = |entry: &Entry, at: usize| granted.get(at).copied().unwrap_or(0) > entry.consumed;
        if !pool.meters.lock().iter().enumerate().any(|(at, entry)| surplus(entry, at)) {
            return;
        }
        let awaited = self.awaited(&pool.decl.key, granted.len()); // before `consumed` is read, see above
        let mut gave = false;
        for (at, entry) in pool.meters.lock().iter_mut().enumerate() {
            let known = if on(Mutant::BalanceTakenTwice) { 0 } else { awaited.get(at).copied().unwrap_or(0) };
            let granted = granted.get(at).copied().unwrap_or(0);
            let balance = granted.saturating_sub(entry.consumed + known);
            if balance > 0 && !on(Mutant::LostGrantKept) {
                entry.consumed += balance;
                entry.returned += balance;
                gave = true;
            }
        }
        if gave {
            self.mark(pool);
        }
    }

    /// The most that outstanding RESERVEs may be granted on a pool, per meter.
    fn awaited(&self, key: &Arc<str>, meters: usize) -> Vec<u64> {
        let mut sum = vec![0; meters];
        for ask in self.outstanding.lock().values() {
            let Some(pool) = ask.pools.iter().position(|pool| pool.key == *key) else { continue };
            let of = |draws: &[super::core::Draw], at: usize| -> u64 {
                draws.iter().filter(|d| d.pool == pool).filter_map(|d| d.amounts.get(at)).sum()
            };
            for (at, sum) in sum.iter_mut().enumerate() {
                let own = ask.candidates.iter().map(|c| of(&c.draws, at)).max().unwrap_or(0);
                *sum += own + of(&ask.common, at);
            }
        }
        sum
    }
}

/// The next few of a list that is gone through again and again.
fn in_turn(list: &Mutex<Vec<Arc<PoolBooks>>>, most: usize) -> Vec<Arc<PoolBooks>> {
    let mut list = list.lock();
    let turn = most.min(list.len());
    list.rotate_left(turn);
    list[list.len() - turn..].to_vec()
}

impl PoolBooks {
    /// The declaration with the caps that were in force: another replica may know a lower one.
    fn in_force(&self) -> PoolDecl {
        let caps = &self.view.lock().cap;
        let lower = |(at, meter): (usize, &Declared)| {
            let cap = caps.get(at).map_or(meter.cap, |cap| meter.cap.min(*cap));
            Declared { cap, ..*meter }
        };
        let meters = self.decl.meters.iter().enumerate().map(lower).collect();
        PoolDecl { key: self.decl.key.clone(), meters }
    }

    /// What is known of the pool; `own`: the counters of this life as well.
    fn memory(&self, now: Ms, own: bool) -> PoolMemory {
        let counters = |entry: &Entry| Counters {
            granted: entry.consumed,
            returned: entry.returned,
            posted: entry.posted,
        };
        let counters = self.meters.lock().iter().filter(|_| own).map(counters).collect();
        let decl = self.in_force();
        let seen = self.seen.lock();
        let Some(seen) = &*seen else { return PoolMemory { decl, counters, ..PoolMemory::default() } };
        let others =
            seen.image.held.iter().zip(&seen.held).map(|(all, own)| all.saturating_sub(*own)).collect();
        PoolMemory {
            decl,
            counters,
            age: now.saturating_sub(seen.at),
            seen: seen.own.clone(),
            posted: seen.image.posted.clone(),
            others,
            window: seen.image.window.clone(),
        }
    }

    pub(super) fn report(&self, look: bool) -> PoolReport {
        let meters = self.meters.lock();
        PoolReport {
            look,
            key: self.decl.key.clone(),
            returned: meters.iter().map(|entry| entry.returned).collect(),
            posted: meters.iter().map(|entry| entry.posted).collect(),
        }
    }
}

/// A RESERVE on its way. Dropped without an answer, it leaves its pools in doubt.
#[derive(Debug)]
pub struct Outstanding {
    ledger: Arc<Ledger>,
    ask: Arc<Reserve>,
    id: u64,
    resolved: bool,
}

impl Outstanding {
    /// It was granted to candidate `index`: the books of every pool drawn on, with the amounts. None if the data set
    /// that granted it has been replaced: the one that replaced it does not know of the grant.
    pub fn granted(mut self, index: usize, share: u64) -> Option<Vec<(usize, Arc<PoolBooks>, Amounts)>> {
        let ledger = self.ledger.clone();
        let epoch = ledger.epoch.read();
        if *epoch != self.ask.caller.epoch && !on(Mutant::OldEpochGrantUsed) {
            return None;
        }
        let mut drawn = Vec::with_capacity(self.ask.pools.len());
        for draw in self.ask.common.iter().chain(&self.ask.candidates[index].draws) {
            let decl = &self.ask.pools[draw.pool];
            if !decl.meters.is_empty() {
                let pool = self.ledger.pool(decl);
                self.ledger.consume(&pool, &draw.amounts);
                pool.saw_share(share);
                drawn.push((draw.pool, pool, draw.amounts.clone()));
            }
        }
        self.resolved = true;
        Some(drawn)
    }

    /// It was answered without a grant.
    pub fn refused(mut self) {
        self.resolved = true;
    }
}

impl Drop for Outstanding {
    fn drop(&mut self) {
        if !self.resolved {
            self.ledger.doubt(&self.ask);
        }
        self.ledger.outstanding.lock().remove(&self.id);
    }
}
