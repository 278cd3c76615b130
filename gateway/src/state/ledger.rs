//! A replica's own books for one life: what it was granted, gave back and posted, per pool and meter.
//!
//! Only cumulative counters leave this module ([`super::core::PoolReport`]), so a lost or doubled SYNC heals. A
//! RESERVE whose reply never came may still have been granted: its pools are kept *in doubt* and asked about in
//! every SYNC, and a grant that nobody here consumed or waits for is given back. Give-back is computed so that it
//! can only err on the low side: outstanding RESERVEs are counted before consumed grants are read, and a grant is
//! booked as consumed before its RESERVE stops being outstanding.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use ahash::AHashMap;
use parking_lot::{Mutex, RwLock};
use smallvec::SmallVec;

use super::core::mutant::{Mutant, on};
use super::core::{Amounts, Incarnation, PoolDecl, PoolReport, PoolView, Reserve};

/// Pools in doubt that one SYNC asks about at most; the rest take turns.
const DOUBTS_PER_SYNC: usize = 256;
/// Pools besides that every SYNC asks about in turn, so that a grant that nobody expects (a RESERVE that arrived
/// twice) is found as well.
const SWEPT_PER_SYNC: usize = 2;
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
    /// Of which data set.
    pub epoch: u64,
    accounts: RwLock<AHashMap<Arc<str>, Arc<Account>>>,
    dirty: Mutex<Vec<Arc<Account>>>,
    doubts: Mutex<Vec<Arc<Account>>>,
    sweep: Mutex<Vec<Arc<Account>>>, // all of them; the next in turn first
    outstanding: Mutex<AHashMap<u64, Arc<Reserve>>>,
    next: AtomicU64,
}

/// The books of one pool.
#[derive(Debug)]
pub struct Account {
    /// Pool key.
    pub key: Arc<str>,
    meters: Mutex<Vec<Entry>>, // short sections, never across an await
    dirty: AtomicBool,
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

impl Account {
    fn new(key: Arc<str>, meters: usize) -> Account {
        Account {
            key,
            meters: Mutex::new(vec![Entry::default(); meters]),
            dirty: AtomicBool::new(false),
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
            epoch,
            accounts: RwLock::default(),
            dirty: Mutex::default(),
            doubts: Mutex::default(),
            sweep: Mutex::default(),
            outstanding: Mutex::default(),
            next: AtomicU64::new(0),
        }
    }

    /// The books of a pool.
    pub fn account(&self, key: &Arc<str>, meters: usize) -> Arc<Account> {
        if let Some(account) = self.accounts.read().get(key) {
            return account.clone();
        }
        let mut accounts = self.accounts.write();
        let new = || {
            let account = Arc::new(Account::new(key.clone(), meters));
            self.sweep.lock().push(account.clone());
            account
        };
        accounts.entry(key.clone()).or_insert_with(new).clone()
    }

    /// Every pool used in this life.
    pub fn accounts(&self) -> Vec<Arc<Account>> {
        self.accounts.read().values().cloned().collect()
    }

    /// Does nothing here hold anything, and does nothing wait for an answer?
    pub fn is_idle(&self) -> bool {
        self.outstanding.lock().is_empty()
            && self.accounts.read().values().all(|account| account.held().iter().all(|held| *held == 0))
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
        let accounts = self.accounts.read();
        let unknown = |pool: &&PoolDecl| !pool.meters.is_empty() && !accounts.contains_key(&pool.key);
        let missing: SmallVec<[&PoolDecl; 4]> = ask.pools.iter().filter(unknown).collect();
        drop(accounts);
        for pool in missing {
            self.account(&pool.key, pool.meters.len());
        }
    }

    /// Books `amounts` as consumed.
    fn consume(&self, account: &Account, amounts: &[u64]) {
        let mut meters = account.meters.lock();
        for (entry, amount) in meters.iter_mut().zip(amounts) {
            entry.consumed += amount;
        }
    }

    /// Gives back `returned` and posts `posted` on a meter of a pool.
    pub fn settle(&self, account: &Arc<Account>, meter: usize, returned: u64, posted: u64) {
        let posted = posted.min(MOST_POSTED);
        if let Some(entry) = account.meters.lock().get_mut(meter) {
            entry.settle(returned, posted);
            if on(Mutant::SettledTwice) {
                entry.settle(returned, posted);
            }
        }
        self.mark(account);
    }

    fn mark(&self, account: &Arc<Account>) {
        if !account.dirty.swap(true, Ordering::AcqRel) {
            self.dirty.lock().push(account.clone());
        }
    }

    fn doubt(&self, ask: &Reserve) {
        for pool in ask.pools.iter().filter(|pool| !pool.meters.is_empty()) {
            let account = self.account(&pool.key, pool.meters.len());
            if !account.doubted.swap(true, Ordering::AcqRel) {
                self.doubts.lock().push(account);
            }
        }
    }

    /// What the next SYNC says: pools that moved since the last one that was answered, some in doubt, and a few
    /// of the others.
    pub fn report(&self) -> (Vec<Arc<Account>>, Vec<PoolReport>) {
        let mut dirty = self.dirty.lock();
        let rest = dirty.len().saturating_sub(DIRTY_PER_SYNC);
        let mut accounts = dirty.split_off(rest);
        drop(dirty);
        accounts.iter().for_each(|account| account.dirty.store(false, Ordering::Release));
        accounts.extend(in_turn(&self.doubts, DOUBTS_PER_SYNC));
        accounts.extend(in_turn(&self.sweep, SWEPT_PER_SYNC));
        accounts.sort_by(|a, b| a.key.cmp(&b.key));
        accounts.dedup_by(|a, b| a.key == b.key);
        let reports = accounts.iter().map(|account| account.report()).collect();
        (accounts, reports)
    }

    /// The SYNC was not answered: everything in it is said again.
    pub fn unheard(&self, accounts: &[Arc<Account>]) {
        accounts.iter().for_each(|account| self.mark(account));
    }

    /// The SYNC was answered.
    pub fn heard(&self, accounts: &[Arc<Account>], views: Vec<PoolView>) {
        for (account, view) in accounts.iter().zip(views) {
            self.reconcile(account, &view.granted);
            let hot = view.used.iter().zip(&view.cap).any(|(used, cap)| used * 1000 > cap * HOT_PERMILLE);
            account.hot.store(hot, Ordering::Relaxed);
            *account.view.lock() = view;
        }
    }

    /// Gives back what was granted and neither consumed nor awaited.
    fn reconcile(&self, account: &Arc<Account>, granted: &[u64]) {
        let surplus = |entry: &Entry, at: usize| granted.get(at).copied().unwrap_or(0) > entry.consumed;
        if !account.meters.lock().iter().enumerate().any(|(at, entry)| surplus(entry, at)) {
            return;
        }
        let awaited = self.awaited(&account.key, granted.len()); // before `consumed` is read, see above
        let mut gave = false;
        for (at, entry) in account.meters.lock().iter_mut().enumerate() {
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
            self.mark(account);
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
fn in_turn(list: &Mutex<Vec<Arc<Account>>>, most: usize) -> Vec<Arc<Account>> {
    let mut list = list.lock();
    let turn = most.min(list.len());
    list.rotate_left(turn);
    list[list.len() - turn..].to_vec()
}

impl Account {
    pub(super) fn report(&self) -> PoolReport {
        let meters = self.meters.lock();
        PoolReport {
            key: self.key.clone(),
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
    /// It was granted to candidate `index`: the books of every pool drawn on, with the amounts.
    pub fn granted(mut self, index: usize, share: u64) -> Vec<(usize, Arc<Account>, Amounts)> {
        let mut drawn = Vec::with_capacity(self.ask.pools.len());
        for draw in self.ask.common.iter().chain(&self.ask.candidates[index].draws) {
            let decl = &self.ask.pools[draw.pool];
            if !decl.meters.is_empty() {
                let account = self.ledger.account(&decl.key, decl.meters.len());
                self.ledger.consume(&account, &draw.amounts);
                account.saw_share(share);
                drawn.push((draw.pool, account, draw.amounts.clone()));
            }
        }
        self.resolved = true;
        drawn
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
