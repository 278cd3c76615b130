//! The books of one pool in one life of a replica: counters per meter, and what was last seen of its windows.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::{Mutex, MutexGuard};

use super::core::{
    Amounts, Counters, Declared, Image, Mode, Ms, PoolDecl, PoolMemory, PoolReport, PoolView, Said, TTL, Want,
};
use super::lease::Lending;

/// A pool is flushed at once when its use passes this share of a cap, per mille.
const HOT_PERMILLE: u64 = 800;

/// A call that was to compare what the state counts and did not is made up for after so long.
const COMPARED_AGAIN: Ms = 200;

/// What a pool's windows held when they were last seen.
#[derive(Clone, Debug)]
struct Seen {
    image: Image,
    sent: Ms,          // own clock, when it was asked for
    at: Ms,            // and when it came
    own: Vec<u64>,     // posted by this life, as far as it is part of the image
    held: Vec<u64>,    // held by this life then
    granted: Vec<u64>, // to this life by then
}

/// The books of one pool.
#[derive(Debug)]
pub struct PoolBooks {
    /// As the first call declared it: its key and its meters' shapes stay.
    pub decl: PoolDecl,
    declared: Mutex<PoolDecl>, // with the limits that are configured now; short sections
    seen: Mutex<Option<Seen>>,
    pub(super) meters: Mutex<Vec<Entry>>, // short sections, never across an await
    pub(super) dirty: AtomicBool,
    pub(super) unseen: AtomicBool,
    hot: AtomicBool,
    rest_until: AtomicU64, // own clock
    view: Mutex<PoolView>,
    lowered: AtomicBool,
    ever: Mutex<(Ms, Amounts)>, // counted ever by all, as heard last, and logical time; short sections
    words: Mutex<Vec<Said>>,    // of the provider, that were not told yet; short sections
    given: Mutex<Given>,
    compared_at: AtomicU64, // when the state told what it counts with a call, own clock
    pub(super) lending: Lending,
}

/// Of one meter; cumulative but for the last three.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Entry {
    pub consumed: u64, // what is lent included
    pub returned: u64,
    pub posted: u64,
    pub drawn: u64,      // by calls on loans, and by those that lacked them
    pub lent: u64,       // and not used: no counter, but what there is
    pub target: u64,     // what is wanted of it; of calls in flight, with those that are made
    pub in_flight: bool, // whether it is these that it counts
}

/// What messages said to be given back, per meter.
#[derive(Clone, Debug, Default)]
pub(super) struct Given {
    returned: Vec<u64>,
    messages: u64,
}

impl Entry {
    /// Of a meter that is declared so.
    fn of(declared: &Declared) -> Entry {
        Entry { in_flight: declared.shape.mode == Mode::Gauge, ..Entry::default() }
    }

    /// What a call is done with; the room of one in flight is kept for the next if that is wanted. Is anything given back?
    pub(super) fn settle(&mut self, returned: u64, posted: u64) -> bool {
        let held = self.consumed.saturating_sub(self.returned);
        let back = if self.in_flight { returned.min(held.saturating_sub(self.target)) } else { returned };
        self.returned += back;
        self.lent += returned - back;
        self.posted += posted;
        back > 0
    }

    /// Held by calls.
    pub(super) fn in_use(&self) -> u64 {
        self.consumed.saturating_sub(self.returned + self.lent)
    }

    /// What is to be lent and not used.
    pub(super) fn stock(&self) -> u64 {
        if self.in_flight { self.target.saturating_sub(self.in_use()) } else { self.target }
    }

    fn counters(&self) -> Counters {
        Counters { granted: self.consumed, returned: self.returned, posted: self.posted }
    }
}

impl PoolBooks {
    pub(super) fn new(decl: PoolDecl) -> PoolBooks {
        PoolBooks {
            meters: Mutex::new(decl.meters.iter().map(Entry::of).collect()),
            declared: Mutex::new(decl.clone()),
            lending: Lending::of(&decl),
            decl,
            seen: Mutex::default(),
            dirty: AtomicBool::new(false),
            unseen: AtomicBool::new(false),
            hot: AtomicBool::new(false),
            rest_until: AtomicU64::new(0),
            view: Mutex::new(PoolView::default()),
            lowered: AtomicBool::new(false),
            ever: Mutex::default(),
            words: Mutex::default(),
            given: Mutex::default(),
            compared_at: AtomicU64::new(0),
        }
    }

    /// For the next life: nothing counted yet, and what was seen.
    pub(super) fn heir(&self) -> PoolBooks {
        let heir = PoolBooks::new(self.declared.lock().clone());
        let none = vec![0; self.decl.meters.len()];
        let seen = self.seen.lock().clone().map(|seen| Seen {
            own: none.clone(),
            held: none.clone(),
            granted: none.clone(),
            ..seen
        });
        *heir.seen.lock() = seen;
        *heir.view.lock() = self.view();
        heir.rest_until.store(self.rest_until.load(Ordering::Relaxed), Ordering::Relaxed);
        heir
    }

    /// Its limits are these from now on.
    pub(super) fn declare(&self, decl: &PoolDecl) {
        self.declared.lock().clone_from(decl);
        self.lending.declare(decl);
    }

    /// Was the pool above 80 % of a cap when last heard of?
    pub fn is_hot(&self) -> bool {
        self.hot.load(Ordering::Relaxed)
    }

    /// As it is configured now.
    pub(super) fn declared(&self) -> PoolDecl {
        self.declared.lock().clone()
    }

    /// For so long it is to be left alone.
    pub(super) fn rest_left(&self, now: Ms) -> Ms {
        self.rest_until.load(Ordering::Relaxed).saturating_sub(now)
    }

    /// The state told what it counts with a call at `now` of the own clock.
    pub(super) fn compared(&self, now: Ms) {
        self.compared_at.fetch_max(now, Ordering::Relaxed);
    }

    /// Is it time to compare again, and for this call to do so? One at a time: should it not come to it, another does a little later.
    pub(super) fn is_to_be_compared(&self, every: Ms, now: Ms) -> bool {
        let last = self.compared_at.load(Ordering::Relaxed);
        let again = now.saturating_sub(every) + COMPARED_AGAIN;
        let change =
            |then| self.compared_at.compare_exchange(last, then, Ordering::Relaxed, Ordering::Relaxed);
        last + every <= now && change(again).is_ok()
    }

    /// What is left of each meter, as heard last, and of what is lent.
    pub(super) fn left(&self) -> Amounts {
        let lent = self.lent();
        let view = self.view.lock();
        let left = view.cap.iter().zip(&view.used).zip(lent);
        left.map(|((cap, used), lent)| (cap.saturating_sub(*used) + lent).min(*cap)).collect()
    }

    /// Takes note of a share in use (millionths) learnt from a grant.
    pub fn saw_share(&self, millionths: u64) {
        if millionths > HOT_PERMILLE * 1_000 {
            self.hot.store(true, Ordering::Relaxed);
        }
    }

    /// Was less than a cap allowed when last heard of, by what was learned of the provider?
    pub(super) fn is_lowered(&self) -> bool {
        self.lowered.load(Ordering::Relaxed)
    }

    /// So much was counted ever by all replicas at logical time `l`, per meter. (Another data set may tell another time.)
    pub(super) fn saw_ever(&self, l: Ms, ever: impl Iterator<Item = u64>) {
        let mut known = self.ever.lock();
        if l >= known.0 || l + TTL < known.0 {
            *known = (l, ever.collect());
        }
    }

    /// What was counted of a meter since that was `before`, as far as it was heard.
    pub(super) fn counted_since(&self, meter: usize, before: u64) -> u64 {
        self.ever.lock().1.get(meter).map_or(0, |now| now.saturating_sub(before))
    }

    /// The provider said this of its meters; `scarce`: others should know soon. It goes with the next SYNC that tells of the
    /// pool: one that is lost takes it along, and the next answer brings a newer one.
    pub(super) fn heed(&self, words: &[Said], scarce: bool) {
        let mut known = self.words.lock();
        known.resize(words.len(), Said::default());
        for (known, word) in known.iter_mut().zip(words) {
            if word.for_ms > 0 && (word.at > known.at || (word.at == known.at && word.cap > known.cap)) {
                *known = *word;
            }
        }
        drop(known);
        if scarce {
            self.lowered.store(true, Ordering::Relaxed);
            self.hot.store(true, Ordering::Relaxed);
        }
    }

    /// When its windows were seen last, by the own clock.
    pub(super) fn seen_at(&self) -> Option<Ms> {
        self.seen.lock().as_ref().map(|seen| seen.at)
    }

    /// Were its windows seen as they were after `at` of the own clock?
    pub(super) fn saw(&self, at: Ms) -> bool {
        self.seen.lock().as_ref().is_some_and(|seen| seen.sent > at)
    }

    /// Takes note that the pool rests until `at` of the own clock.
    pub(super) fn rests(&self, at: Ms) {
        self.rest_until.fetch_max(at, Ordering::Relaxed);
    }

    /// The pool as last heard of.
    pub fn view(&self) -> PoolView {
        self.view.lock().clone()
    }

    /// The same, to look at for a moment.
    pub(super) fn seen_last(&self) -> MutexGuard<'_, PoolView> {
        self.view.lock()
    }

    /// Estimates not given back, per meter.
    pub fn held(&self) -> Vec<u64> {
        self.meters.lock().iter().map(|entry| entry.consumed - entry.returned).collect()
    }

    /// Was anything counted in this life?
    pub(super) fn is_used(&self) -> bool {
        self.counters().iter().any(|c| *c != Counters::default())
    }

    /// Of this life, per meter.
    pub(super) fn counters(&self) -> Vec<Counters> {
        self.meters.lock().iter().map(Entry::counters).collect()
    }

    /// Takes what the answer to `report`, sent at `sent` and heard at `at` of the own clock, says of the pool.
    pub(super) fn heard(&self, report: &PoolReport, mut view: PoolView, sent: Ms, at: Ms) {
        if let Some(image) = view.image.take() {
            let held = view.granted.iter().zip(&report.returned).map(|(g, r)| g.saturating_sub(*r)).collect();
            *self.seen.lock() = Some(Seen {
                image,
                sent,
                at,
                own: report.posted.clone(),
                held,
                granted: view.granted.clone(),
            });
        }
        if view.rest > 0 {
            self.rests(at + view.rest);
        }
        let is_hot = |(used, cap): (&u64, &u64)| used * 1000 > cap * HOT_PERMILLE;
        let hot =
            view.used.iter().zip(&view.cap).any(is_hot) || view.used.iter().zip(&view.bounds).any(is_hot);
        let lowered = view.bounds.iter().zip(&view.cap).any(|(bound, cap)| bound < cap);
        self.lowered.store(lowered, Ordering::Relaxed);
        self.hot.store(hot, Ordering::Relaxed);
        *self.view.lock() = view;
        self.lending.heard(sent);
    }

    /// A declaration of the pool with the caps that were in force: another replica may know a lower one.
    pub(super) fn in_force(&self, decl: &PoolDecl) -> PoolDecl {
        let caps = &self.view.lock().cap;
        let lower = |(at, meter): (usize, &Declared)| {
            let cap = caps.get(at).map_or(meter.cap, |cap| meter.cap.min(*cap));
            Declared { cap, ..*meter }
        };
        let meters = decl.meters.iter().enumerate().map(lower).collect();
        PoolDecl { key: decl.key.clone(), meters, slow_start: decl.slow_start }
    }

    /// What `of` makes of what the windows held when they were last seen, of when that was, and of the caps.
    pub(super) fn as_seen<T>(&self, of: impl FnOnce(Option<(&Image, Ms)>, &[u64]) -> T) -> T {
        let (caps, seen) = (self.view.lock().cap.clone(), self.seen.lock());
        of(seen.as_ref().map(|seen| (&seen.image, seen.at)), &caps)
    }

    /// What is known of the pool; none if that is nothing.
    pub(super) fn memory(&self, now: Ms) -> Option<PoolMemory> {
        if self.decl.meters.is_empty() {
            return None; // its rest is told by whoever asked for it
        }
        let counters = self.counters();
        let used = self.is_used();
        let own = PoolMemory {
            counters: if used { counters } else { Vec::new() },
            rest: self.rest_until.load(Ordering::Relaxed).saturating_sub(now),
            ..PoolMemory::default()
        };
        let seen = self.seen.lock();
        if let Some(seen) = &*seen {
            let said = self.given.lock().returned.clone().into_iter().chain(std::iter::repeat(0));
            let held = seen.image.held.iter().zip(&seen.held);
            return Some(PoolMemory {
                decl: self.in_force(&self.declared.lock()),
                age: now.saturating_sub(seen.at),
                seen: seen.own.clone(),
                posted: seen.image.posted.clone(),
                others: held.map(|(all, own)| all.saturating_sub(*own)).collect(),
                // What was said to be given back may be missing from the others' images.
                kept: seen.granted.iter().zip(said).map(|(g, r)| g.saturating_sub(r)).collect(),
                window: seen.image.window.clone(),
                ..own
            });
        }
        (used || own.rest > 0).then(|| PoolMemory { decl: self.in_force(&self.declared.lock()), ..own })
    }

    /// A message says that so much is given back. Returns what was said before.
    pub(super) fn say(&self, returned: impl Iterator<Item = u64>) -> Given {
        let mut said = self.given.lock();
        let before = said.clone();
        let more = returned.zip(before.returned.iter().copied().chain(std::iter::repeat(0)));
        *said =
            Given { returned: more.map(|(now, then)| now.max(then)).collect(), messages: said.messages + 1 };
        before
    }

    /// The data set did not take the message before which this was `said`; nor did it one that was sent since.
    pub(super) fn unsay(&self, before: Given) {
        let mut said = self.given.lock();
        if said.messages == before.messages + 1 {
            said.returned = before.returned;
        }
    }

    pub(super) fn report(&self, look: bool, wants: Vec<Want>) -> PoolReport {
        let meters = self.meters.lock();
        PoolReport {
            look,
            said: std::mem::take(&mut *self.words.lock()),
            key: self.decl.key.clone(),
            returned: meters.iter().map(|entry| entry.returned).collect(),
            posted: meters.iter().map(|entry| entry.posted).collect(),
            wants,
        }
    }
}
