//! A replica's side of the shared state: its lives, RESERVE, and the loop that sends SYNC.
//!
//! Every RESERVE goes out with the time of the newest reply (the witness of the logical clock). The loop sends one
//! SYNC at a time: every [`PERIOD`], within [`FLUSH_DELAY`] when a crowded pool was given back to, and within
//! [`FREED_DELAY`] when any gauge was.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ahash::AHashMap;
use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::Away;
use super::core::{
    Amounts, Caller, Command, Denied, Granted, Incarnation, Join, Ms, Reply, Reserve, Reserved, Rest, State,
    Sync, Synced, TTL,
};
use super::lanes::Lane;
use super::ledger::{Account, Ledger};
use super::local::Local;
use super::pools::PoolInfo;
use super::reservation::{Part, Reservation};

/// Time between SYNCs.
pub const PERIOD: Duration = Duration::from_millis(200);
/// How long settlements gather before an early SYNC.
const FLUSH_DELAY: Duration = Duration::from_millis(3);
/// The same when no pool is crowded, and a gauge was given back to: somebody elsewhere may want it soon.
const FREED_DELAY: Duration = Duration::from_millis(25);
/// Subtracted from the time an attempt may take, for the way to the wire.
const MARGIN: Duration = Duration::from_millis(50);

/// A way to the state, owned by one worker.
#[derive(Clone, Debug)]
pub enum Port {
    /// A connection of this worker.
    Redis(Arc<Lane>),
    /// In this process.
    Local(Arc<Local>),
}

impl Port {
    async fn run(&self, command: &Command) -> Result<Reply, Away> {
        match self {
            Port::Redis(lane) => lane.run(command).await,
            Port::Local(local) => Ok(local.run(command)),
        }
    }

    /// Returns when the state can be asked, or after `limit`.
    pub async fn opened(&self, limit: Duration) {
        if let Port::Redis(lane) = self {
            // If it stays away, calls follow `on_outage`.
            let _ = tokio::time::timeout(limit, lane.opened()).await;
        }
    }

    /// The whole state, brought to the present, without pins. Costly: for people and tests.
    pub async fn snapshot(&self) -> Result<State, Away> {
        let mut state = match self {
            Port::Redis(lane) => lane.snapshot().await?,
            Port::Local(local) => local.snapshot(),
        };
        let l = state.clock.l;
        state.pools.values_mut().flat_map(|pool| &mut pool.meters).for_each(|meter| meter.advance(l));
        Ok(state)
    }
}

/// What a call asks for; the client adds who asks.
#[derive(Debug)]
pub struct Wish {
    /// The pools behind `ask.pools`, in the same order.
    pub infos: Vec<Arc<PoolInfo>>,
    /// The request; its caller is filled in by the client.
    pub ask: Arc<Reserve>,
}

/// An answer to a [`Wish`].
#[derive(Debug)]
pub enum Outcome {
    /// Room was granted.
    Granted(Reservation),
    /// Not now.
    Denied(Denied),
    /// Larger than a limit: the pool's and the meter's index.
    TooBig {
        /// Index in [`Wish::infos`].
        pool: usize,
        /// Index of the meter.
        meter: usize,
    },
}

/// How long attempts may take at most; told to the state, which posts a dead replica's holds only after that.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// From RESERVE to an answer's head.
    pub head: Duration,
    /// From RESERVE to its end.
    pub end: Duration,
}

/// One replica's client; shared by its workers.
#[derive(Debug)]
pub struct Client {
    name: String,
    deadlines: Deadlines,
    ledger: ArcSwapOption<Ledger>,
    last_k: AtomicU64,
    ack: Mutex<(Ms, Ms)>, // logical time of the newest reply, own clock when it came; short sections
    rests: Mutex<AHashMap<Arc<str>, Instant>>, // until when; short sections
    flush: Notify,
    freed: Notify,
    joining: tokio::sync::Mutex<()>,     // one JOIN at a time
    catching_up: tokio::sync::Mutex<()>, // one such SYNC at a time; never the lock above, which a SYNC may take
    live: AtomicUsize,
    rejected: AtomicU64,
    contact: AtomicU8,
}

const UNTRIED: u8 = 0;
const HEARD: u8 = 1;
const AWAY: u8 = 2;

impl Client {
    /// A client for the replica `name`.
    pub fn new(name: String, deadlines: Deadlines) -> Arc<Client> {
        Arc::new(Client {
            name,
            deadlines,
            ledger: ArcSwapOption::empty(),
            last_k: AtomicU64::new(unix_ms()),
            ack: Mutex::new((0, 0)),
            rests: Mutex::default(),
            flush: Notify::new(),
            freed: Notify::new(),
            joining: tokio::sync::Mutex::new(()),
            catching_up: tokio::sync::Mutex::new(()),
            live: AtomicUsize::new(0),
            rejected: AtomicU64::new(0),
            contact: AtomicU8::new(UNTRIED),
        })
    }

    /// The replica's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Replicas alive, this one included, when last heard; 0 before the first contact.
    pub fn live(&self) -> usize {
        self.live.load(Ordering::Relaxed)
    }

    /// Was the state heard, or found to be away, at least once?
    pub fn is_settled(&self) -> bool {
        self.contact.load(Ordering::Relaxed) != UNTRIED
    }

    /// Did the last SYNC fail?
    pub fn is_away(&self) -> bool {
        self.contact.load(Ordering::Relaxed) == AWAY
    }

    /// Reports that contradicted the grants: a bug if above 0.
    pub fn rejected(&self) -> u64 {
        self.rejected.load(Ordering::Relaxed)
    }

    /// The current life's books.
    pub fn ledger(&self) -> Option<Arc<Ledger>> {
        self.ledger.load_full()
    }

    /// Asks for room. An error means that the state cannot be asked; nothing is then held for long (see [`Ledger`]).
    pub async fn reserve(self: &Arc<Self>, port: &Port, wish: &mut Wish) -> Result<Outcome, Away> {
        self.catch_up(port).await?;
        for _ in 0..2 {
            let ledger = self.life(port).await?;
            Arc::make_mut(&mut wish.ask).caller = self.caller(&ledger);
            let sent = Instant::now();
            let outstanding = ledger.sending(wish.ask.clone());
            match port.run(&Command::Reserve(wish.ask.clone())).await? {
                Reply::Reserved(Reserved::Granted(granted)) => {
                    self.saw(granted.l);
                    let drawn = outstanding.granted(granted.index, granted.share);
                    return Ok(Outcome::Granted(self.reservation(&ledger, wish, granted, drawn, sent)));
                }
                Reply::Reserved(Reserved::Denied(denied)) => {
                    outstanding.refused();
                    return Ok(Outcome::Denied(denied));
                }
                Reply::Reserved(Reserved::TooBig { pool, meter }) => {
                    outstanding.refused();
                    return Ok(Outcome::TooBig { pool, meter });
                }
                Reply::Gone(k) => self.lost_life(&ledger, k),
                Reply::Epoch(_) => self.lost_life(&ledger, 0),
                Reply::Joined(_) | Reply::Synced(_) | Reply::Left(_) => return Err(Away::unexpected()),
            }
        }
        Err(Away::unexpected())
    }

    /// After a pause or an outage the state has not heard of us, nor we of it: a SYNC first, or it would put the
    /// call off.
    async fn catch_up(self: &Arc<Self>, port: &Port) -> Result<(), Away> {
        let behind = || {
            let (l_ack, at) = *self.ack.lock();
            l_ack > 0 && boot_ms().saturating_sub(at) > TTL / 2
        };
        if behind() {
            let _one = self.catching_up.lock().await;
            if behind() && self.ledger.load().is_some() {
                // In a task of its own: a caller dropped here must not take along what the SYNC was about to tell.
                let (this, port) = (self.clone(), port.clone());
                let told = tokio::spawn(async move { this.sync(&port, false).await });
                return told.await.unwrap_or_else(|_| Err(Away::unexpected()));
            }
        }
        Ok(())
    }

    /// Asks that a pool be left alone for a while, by every replica.
    pub fn rest(&self, key: &Arc<str>, time: Duration) {
        let until = Instant::now() + time;
        let mut rests = self.rests.lock();
        rests.entry(key.clone()).and_modify(|old| *old = until.max(*old)).or_insert(until);
        drop(rests);
        self.flush.notify_one();
    }

    /// The loop that keeps the life; returns when told to stop, after a last SYNC and BYE.
    pub async fn keep(self: Arc<Self>, port: Port, mut stop: tokio::sync::watch::Receiver<bool>) {
        let mut counted = Instant::now() - PERIOD;
        while !*stop.borrow() {
            let due = counted.elapsed() >= PERIOD;
            if due {
                counted = Instant::now();
            }
            let answer = self.sync(&port, due).await;
            self.note_contact(answer.err());
            let wait = PERIOD.saturating_sub(counted.elapsed());
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.early() => {}
                _ = stop.changed() => {}
            }
        }
        self.leave(&port).await;
    }

    /// Returns when settlements should be told before their time.
    async fn early(&self) {
        tokio::select! {
            () = self.flush.notified() => tokio::time::sleep(FLUSH_DELAY).await,
            () = self.freed.notified() => tokio::select! {
                () = tokio::time::sleep(FREED_DELAY) => {}
                () = self.flush.notified() => tokio::time::sleep(FLUSH_DELAY).await,
            },
        }
    }

    /// One SYNC; after a life that was lost, the first of the next.
    pub async fn sync(self: &Arc<Self>, port: &Port, count: bool) -> Result<(), Away> {
        for _ in 0..2 {
            let ledger = self.life(port).await?;
            let rests = self.take_rests();
            let (accounts, reports) = ledger.report();
            let sync = Sync { caller: self.caller(&ledger), reports, rests: rests.clone(), count };
            match port.run(&Command::Sync(sync)).await {
                Ok(Reply::Synced(synced)) => {
                    self.heard(&ledger, &accounts, synced, count);
                    return Ok(());
                }
                Ok(Reply::Gone(k)) => self.lost_life(&ledger, k),
                Ok(Reply::Epoch(_)) => self.lost_life(&ledger, 0),
                Ok(_) => return Err(Away::unexpected()),
                Err(away) => {
                    ledger.unheard(&accounts);
                    self.say_again(rests);
                    return Err(away);
                }
            }
            self.say_again(rests);
        }
        Err(Away::unexpected())
    }

    /// Rests to be told, as what is left of them.
    fn take_rests(&self) -> Vec<Rest> {
        let now = Instant::now();
        let rests = std::mem::take(&mut *self.rests.lock());
        let left = |(key, until): (Arc<str>, Instant)| {
            let for_ms = ms(until.saturating_duration_since(now));
            (for_ms > 0).then_some(Rest { key, for_ms })
        };
        rests.into_iter().filter_map(left).collect()
    }

    fn say_again(&self, rests: Vec<Rest>) {
        rests.into_iter().for_each(|rest| self.rest(&rest.key, Duration::from_millis(rest.for_ms)));
    }

    fn heard(&self, ledger: &Arc<Ledger>, accounts: &[Arc<Account>], synced: Synced, count: bool) {
        self.saw(synced.l);
        if count {
            self.live.store(synced.live, Ordering::Relaxed);
        }
        if synced.rejected > 0 {
            self.rejected.fetch_add(synced.rejected, Ordering::Relaxed);
            tracing::error!(target: "weir::state", count = synced.rejected, "reports contradict grants");
            // The data set has gone back in time. Its hold of this life expires and is posted; another begins.
            return self.lost_life(ledger, ledger.inc.k);
        }
        ledger.heard(accounts, synced.pools);
    }

    /// Gathers a flush if one of the pools is crowded or something scarce was freed.
    pub(super) fn flush_if<'a>(&self, mut pools: impl Iterator<Item = &'a Account>, freed: bool) {
        if pools.any(Account::is_hot) {
            self.flush.notify_one();
        } else if freed {
            self.freed.notify_one();
        }
    }

    /// Tells when the state goes away and when it is back; not every failure in between.
    fn note_contact(&self, failure: Option<Away>) {
        let now = if failure.is_some() { AWAY } else { HEARD };
        let before = self.contact.swap(now, Ordering::Relaxed);
        match failure {
            Some(err) if before != AWAY => {
                tracing::warn!(target: "weir::state", error = %err, "shared state is away");
            }
            None if before == AWAY => tracing::info!(target: "weir::state", "shared state is back"),
            _ => {}
        }
    }

    async fn leave(self: &Arc<Self>, port: &Port) {
        if let Err(err) = self.sync(port, false).await {
            tracing::warn!(target: "weir::state", error = %err, "last SYNC failed; holds are left to expire");
            return;
        }
        let Some(ledger) = self.ledger() else { return };
        let bye = Command::Bye(self.caller(&ledger));
        if let Err(err) = port.run(&bye).await {
            tracing::warn!(target: "weir::state", error = %err, "BYE failed; the life is left to expire");
        }
    }

    /// The current life, begun if there is none.
    async fn life(self: &Arc<Self>, port: &Port) -> Result<Arc<Ledger>, Away> {
        if let Some(ledger) = self.ledger.load_full() {
            return Ok(ledger);
        }
        let _one = self.joining.lock().await;
        if let Some(ledger) = self.ledger.load_full() {
            return Ok(ledger); // begun meanwhile
        }
        for _ in 0..3 {
            let k = self.last_k.fetch_add(1, Ordering::Relaxed) + 1;
            let inc = Incarnation { name: self.name.clone(), k };
            let (d_head, d_end) = (ms(self.deadlines.head), ms(self.deadlines.end));
            match port.run(&Command::Join(Join { inc: inc.clone(), d_head, d_end })).await? {
                Reply::Joined(joined) => {
                    let ledger = Arc::new(Ledger::new(inc, joined.epoch));
                    *self.ack.lock() = (0, 0); // another data set may tell another time
                    self.saw(joined.l);
                    self.live.store(joined.live, Ordering::Relaxed);
                    self.ledger.store(Some(ledger.clone()));
                    return Ok(ledger);
                }
                Reply::Gone(highest) => {
                    self.last_k.fetch_max(highest, Ordering::Relaxed);
                }
                _ => return Err(Away::unexpected()),
            }
        }
        Err(Away::unexpected())
    }

    fn lost_life(&self, ledger: &Arc<Ledger>, highest: u64) {
        self.last_k.fetch_max(highest, Ordering::Relaxed);
        let current = self.ledger.load_full();
        if current.is_some_and(|current| Arc::ptr_eq(&current, ledger)) {
            tracing::warn!(target: "weir::state", life = %ledger.inc, "life lost; beginning another");
            self.ledger.store(None);
        }
    }

    fn caller(&self, ledger: &Ledger) -> Caller {
        let (l_ack, at) = *self.ack.lock();
        let x = if l_ack == 0 { 0 } else { boot_ms().saturating_sub(at) };
        Caller { epoch: ledger.epoch, inc: ledger.inc.clone(), l_ack, x }
    }

    fn saw(&self, l: Ms) {
        let mut ack = self.ack.lock();
        if l > ack.0 {
            *ack = (l, boot_ms());
        }
    }

    fn reservation(
        self: &Arc<Self>,
        ledger: &Arc<Ledger>,
        wish: &Wish,
        granted: Granted,
        drawn: Vec<(usize, Arc<Account>, Amounts)>,
        sent: Instant,
    ) -> Reservation {
        let part = |(pool, account, amounts): (usize, Arc<Account>, Amounts)| Part {
            info: wish.infos[pool].clone(),
            account,
            amounts,
        };
        Reservation {
            index: granted.index,
            session: granted.session,
            share: granted.share,
            head_by: sent + self.deadlines.head.saturating_sub(MARGIN),
            end_by: sent + self.deadlines.end.saturating_sub(MARGIN),
            parts: drawn.into_iter().map(part).collect(),
            books: Some((ledger.clone(), self.clone())),
            head_settled: false,
        }
    }
}

fn ms(time: Duration) -> Ms {
    time.as_millis() as Ms
}

fn unix_ms() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(1, |since| since.as_millis() as u64)
}

/// This machine's time since boot, suspensions included.
fn boot_ms() -> Ms {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    now.tv_sec as u64 * 1_000 + now.tv_nsec as u64 / 1_000_000
}
