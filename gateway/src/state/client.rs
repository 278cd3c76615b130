//! A replica's way to the shared state: RESERVE for each call, and the loop that sends SYNC.
//!
//! What is sent and what a reply means is decided by [`Side`]; here are the locks, the clock and the waiting. One
//! SYNC of the loop is on its way at a time: every [`PERIOD`], and sooner when the [`Bell`] rings.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::Away;
use super::bell::Bell;
use super::core::{Amounts, Command, Denied, Granted, Incarnation, Ms, Reply, Reserve, Reserved, State};
use super::lanes::Lane;
use super::ledger::{Ledger, PoolBooks};
use super::local::Local;
use super::pools::PoolInfo;
use super::reservation::{Part, Reservation};
use super::side::{Deadlines, Heard, Side};

/// Time between SYNCs.
pub const PERIOD: Duration = Duration::from_millis(200);
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

/// One replica's client; shared by its workers.
#[derive(Debug)]
pub struct Client {
    name: String,
    side: Mutex<Side>, // short sections, never across an await
    bell: Arc<Bell>,
    joining: tokio::sync::Mutex<()>,     // one JOIN at a time
    catching_up: tokio::sync::Mutex<()>, // one such SYNC at a time; never the lock above, which a SYNC may take
    live: AtomicUsize,
    contact: AtomicU8,
}

const UNTRIED: u8 = 0;
const HEARD: u8 = 1;
const AWAY: u8 = 2;

impl Client {
    /// A client for the replica `name`.
    pub fn new(name: String, deadlines: Deadlines) -> Arc<Client> {
        Arc::new(Client {
            side: Mutex::new(Side::new(name.clone(), deadlines, unix_ms())),
            name,
            bell: Arc::default(),
            joining: tokio::sync::Mutex::new(()),
            catching_up: tokio::sync::Mutex::new(()),
            live: AtomicUsize::new(0),
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

    /// The current life's books.
    pub fn ledger(&self) -> Option<Arc<Ledger>> {
        self.side.lock().ledger().cloned()
    }

    /// Asks for room. An error means that the state cannot be asked; nothing is then held for long (see [`Ledger`]).
    pub async fn reserve(self: &Arc<Self>, port: &Port, wish: &mut Wish) -> Result<Outcome, Away> {
        self.catch_up(port).await?;
        for _ in 0..2 {
            let ledger = self.life(port).await?;
            Arc::make_mut(&mut wish.ask).caller = self.side.lock().caller(&ledger, boot_ms());
            let sent = Instant::now();
            let outstanding = ledger.sending(wish.ask.clone());
            match port.run(&Command::Reserve(wish.ask.clone())).await? {
                Reply::Reserved(Reserved::Granted(granted)) => {
                    let Some(drawn) = outstanding.granted(granted.index, granted.share) else { continue };
                    self.side.lock().saw(wish.ask.caller.epoch, granted.l, boot_ms());
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
                reply => self.refused(&wish.ask.caller.inc, &reply)?,
            }
        }
        Err(Away::unexpected())
    }

    /// After a pause or an outage the state has not heard of us, nor we of it: a SYNC first, or it would put the
    /// call off.
    async fn catch_up(self: &Arc<Self>, port: &Port) -> Result<(), Away> {
        let behind = || self.side.lock().is_behind(boot_ms());
        if behind() {
            let _one = self.catching_up.lock().await;
            if behind() {
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
        self.side.lock().rest(key.clone(), boot_ms() + ms(time));
        self.bell.ring_loud();
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
                () = self.bell.rung() => {}
                _ = stop.changed() => {}
            }
        }
        self.leave(&port).await;
    }

    /// One SYNC; after a life that was lost, the first of the next.
    pub async fn sync(self: &Arc<Self>, port: &Port, count: bool) -> Result<(), Away> {
        for _ in 0..2 {
            self.life(port).await?;
            let Some((sync, told)) = self.side.lock().sync(boot_ms(), count) else { continue };
            let heard = match port.run(&Command::Sync(sync)).await {
                Ok(reply) => self.side.lock().synced(told, reply, boot_ms()),
                Err(away) => {
                    self.side.lock().unanswered(told, boot_ms());
                    return Err(away);
                }
            };
            if let Heard::Taken { live, learning } = heard {
                live.into_iter().for_each(|live| self.live.store(live, Ordering::Relaxed));
                return if learning { Err(Away::Learning) } else { Ok(()) };
            }
            self.tell(heard)?;
        }
        Err(Away::unexpected())
    }

    /// What a reply means that is not the one hoped for; an error if asking again is of no use.
    fn refused(&self, inc: &Incarnation, reply: &Reply) -> Result<(), Away> {
        let heard = self.side.lock().refused(inc, reply);
        self.tell(heard)
    }

    fn tell(&self, heard: Heard) -> Result<(), Away> {
        match heard {
            Heard::Lost => tracing::warn!(target: "weir::state", "life lost; beginning another"),
            Heard::Unknown => {
                tracing::warn!(target: "weir::state", "another data set; telling what is known")
            }
            Heard::Learning => return Err(Away::Learning),
            Heard::Taken { .. } | Heard::Unexpected => return Err(Away::unexpected()),
        }
        Ok(())
    }

    /// Tells when the state goes away and when it is back; not every failure in between.
    fn note_contact(&self, failure: Option<Away>) {
        if failure == Some(Away::Learning) && !self.is_settled() {
            return; // it has only begun; soon it grants
        }
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
        let bye = Command::Bye(self.side.lock().caller(&ledger, boot_ms()));
        if let Err(err) = port.run(&bye).await {
            tracing::warn!(target: "weir::state", error = %err, "BYE failed; the life is left to expire");
        }
    }

    /// The current life, begun if there is none.
    async fn life(self: &Arc<Self>, port: &Port) -> Result<Arc<Ledger>, Away> {
        if let Some(ledger) = self.ledger() {
            return Ok(ledger);
        }
        let _one = self.joining.lock().await;
        if let Some(ledger) = self.ledger() {
            return Ok(ledger); // begun meanwhile
        }
        for _ in 0..3 {
            let join = self.side.lock().join(boot_ms());
            let reply = port.run(&Command::Join(join.clone())).await?;
            let mut side = self.side.lock();
            if let (Some(live), Some(ledger)) = (side.joined(&join, &reply, boot_ms()), side.ledger()) {
                self.live.store(live, Ordering::Relaxed);
                return Ok(ledger.clone());
            }
        }
        Err(Away::unexpected())
    }

    fn reservation(
        &self,
        ledger: &Arc<Ledger>,
        wish: &Wish,
        granted: Granted,
        drawn: Vec<(usize, Arc<PoolBooks>, Amounts)>,
        sent: Instant,
    ) -> Reservation {
        let part = |(pool, books, amounts): (usize, Arc<PoolBooks>, Amounts)| Part {
            info: wish.infos[pool].clone(),
            books,
            amounts,
        };
        let deadlines = self.side.lock().deadlines();
        let by = |after: Ms| sent + Duration::from_millis(after).saturating_sub(MARGIN);
        Reservation {
            index: granted.index,
            session: granted.session,
            share: granted.share,
            head_by: by(deadlines.head),
            end_by: by(deadlines.end),
            parts: drawn.into_iter().map(part).collect(),
            home: Some((ledger.clone(), self.bell.clone())),
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
pub fn boot_ms() -> Ms {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    now.tv_sec as u64 * 1_000 + now.tv_nsec as u64 / 1_000_000
}
