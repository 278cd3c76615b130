//! A call's way to the shared state: RESERVE, and what is done when the state cannot be asked. (The loop that sends
//! SYNC is in [`super::keeper`].)
//!
//! What is sent and what a reply means is decided by [`Side`]; here are the locks, the clock and the waiting.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::watch;

use super::Away;
use super::bell::Bell;
use super::core::{Command, Denied, Granted, Incarnation, Ms, PoolDecl, Reply, Reserve, Reserved, Told};
use super::ledger::{Drawn, Ledger};
use super::outage::{self, Usable};
use super::pins::Pins;
use super::places::Place;
use super::pools::PoolInfo;
use super::port::Port;
use super::reservation::{Part, Reservation};
use super::share::Shared;
use super::side::{Alone, Deadlines, HITCH, Heard, Side};
use crate::clock::boot_ms;

/// The longest that a call waits for the state to grant again, or to be away for long enough to share. Longer than
/// either takes.
const PATIENCE: Duration = Duration::from_secs(4);
/// A waiting call looks again after this long, whatever happened.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// Subtracted from the time an attempt may take, for the way to the wire.
const MARGIN: Duration = Duration::from_millis(50);

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
    /// Room was granted; what was asked for besides.
    Granted(Reservation, Told),
    /// The state is away and the limits of these candidates, best first, are not kept meanwhile.
    Unlimited(Vec<usize>),
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

/// What is known of the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Contact {
    /// It was not asked yet.
    Untried,
    /// It grants.
    Granting,
    /// It learns what it may have lost.
    Learning,
    /// It does not answer.
    Away,
}

/// What a client needs to know of its replica.
#[derive(Clone, Debug)]
pub struct About {
    /// Unique among those that live.
    pub name: String,
    /// Of attempts.
    pub deadlines: Deadlines,
    /// How many replicas there are, by the configuration; 0 if it does not say.
    pub expected: u64,
    /// How long a session is remembered here after its last call.
    pub session_idle: Duration,
}

/// One replica's client; shared by its workers.
#[derive(Debug)]
pub struct Client {
    name: String,
    pub(super) side: Mutex<Side>, // short sections, never across an await
    pub(super) bell: Arc<Bell>,
    joining: tokio::sync::Mutex<()>, // one JOIN at a time
    /// When the last SYNC for a call began; one at a time. Never taken inside the lock above, which a SYNC may take.
    telling: Arc<tokio::sync::Mutex<Option<Instant>>>,
    pub(super) live: AtomicUsize,
    pub(super) contact: watch::Sender<Contact>,
    pub(super) places: moka::sync::Cache<String, Place>,
    pins: Pins,
    pub(super) config: watch::Sender<Arc<str>>, // the hash of what this replica is configured by; empty: not told
}

/// Things made by calls whose place is remembered in this process.
const PLACES: u64 = 200_000;
/// How long the place of a thing is remembered in this process after its last use.
const PLACE_IDLE: Duration = Duration::from_secs(600);

impl Client {
    /// The client of a replica.
    pub fn new(about: About) -> Arc<Client> {
        let About { name, deadlines, expected, session_idle } = about;
        Arc::new(Client {
            side: Mutex::new(Side::new(name.clone(), deadlines, unix_ms(), expected, boot_ms())),
            name,
            bell: Arc::default(),
            joining: tokio::sync::Mutex::new(()),
            telling: Arc::default(),
            live: AtomicUsize::new(0),
            contact: watch::Sender::new(Contact::Untried),
            places: moka::sync::Cache::builder().max_capacity(PLACES).time_to_idle(PLACE_IDLE).build(),
            pins: Pins::new(session_idle),
            config: watch::Sender::new("".into()),
        })
    }

    /// Works by another configuration from now on; calls in flight keep the deadlines that they have.
    pub fn reconfigure(
        &self,
        config: &str,
        pools: &[PoolDecl],
        deadlines: Deadlines,
        session_idle: Duration,
    ) {
        {
            let mut side = self.side.lock();
            side.declare(pools); // before a life begins that inherits them
            side.retime(deadlines);
        }
        self.pins.retime(session_idle);
        self.tell_config(config);
        self.bell.ring_loud(); // another life may be due
    }

    /// The hash of what this replica is configured by, for all to see; see [`Client::announce`].
    pub fn tell_config(&self, hash: &str) {
        self.config.send_replace(hash.into());
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
        *self.contact.borrow() != Contact::Untried
    }

    /// Does the state grant nothing, be it away or learning?
    pub fn is_away(&self) -> bool {
        matches!(*self.contact.borrow(), Contact::Away | Contact::Learning)
    }

    /// Among how many replicas limits are being shared without the state, if they are.
    pub fn sharing(&self) -> Option<u64> {
        self.side.lock().is_sharing()
    }

    /// The current life's books.
    pub fn ledger(&self) -> Option<Arc<Ledger>> {
        self.side.lock().ledger().cloned()
    }

    /// Remembers where a session went (a deployment's tag), for when the state is away.
    pub fn remember_pin(&self, session: &str, tag: u64) {
        self.pins.remember(session, tag);
    }

    /// Where a session went last, as far as this replica knows.
    pub fn recall_pin(&self, session: &str) -> Option<u64> {
        self.pins.recall(session)
    }

    /// Asks for room, until `until` at most. An error means that the state cannot be asked and that some limit may
    /// not be used without it.
    pub async fn reserve(
        self: &Arc<Self>,
        port: &Port,
        wish: &mut Wish,
        until: Instant,
    ) -> Result<Outcome, Away> {
        let until = until.min(Instant::now() + PATIENCE);
        let mut failing = None;
        loop {
            let failure = match tokio::time::timeout_at(until.into(), self.ask(port, wish)).await {
                Ok(Ok(outcome)) => return Ok(outcome),
                Ok(Err(failure)) => failure,
                Err(_) => Away::TimedOut,
            };
            let since = *failing.get_or_insert_with(Instant::now);
            let wait = match self.without(wish, &failure, since) {
                Ok(outcome) => return Ok(outcome),
                Err(None) => return Err(failure),
                Err(Some(wait)) => wait.min(until.saturating_duration_since(Instant::now())),
            };
            if wait.is_zero() {
                return Err(failure);
            }
            let mut contact = self.contact.subscribe();
            // Over is over, whatever has changed: everything is looked at again.
            let _ = tokio::time::timeout(wait, contact.changed()).await;
            if failure == Away::Learning && *contact.borrow() == Contact::Granting {
                // All that waited would ask in the same moment, and some of them for longer than the state's time.
                let turn = Instant::now() + LOOK_AGAIN.mul_f64(fastrand::f64());
                tokio::time::sleep_until(turn.min(until).into()).await;
            }
        }
    }

    /// Asks the state.
    async fn ask(self: &Arc<Self>, port: &Port, wish: &mut Wish) -> Result<Outcome, Away> {
        match *self.contact.borrow() {
            Contact::Learning => return Err(Away::Learning), // the keeper hears when it is over
            Contact::Away if self.sharing().is_some() => return Err(Away::NotConnected), // and when it is back
            _ => {}
        }
        let answer = self.try_asking(port, wish).await;
        if let Err(away) = &answer {
            match away {
                Away::Learning => drop(self.contact.send_replace(Contact::Learning)),
                Away::OtherLayout => self.side.lock().is_others(boot_ms()),
                _ => self.side.lock().failed(boot_ms()),
            }
            self.bell.ring_loud(); // the keeper finds out what is the matter
        }
        answer
    }

    async fn try_asking(self: &Arc<Self>, port: &Port, wish: &mut Wish) -> Result<Outcome, Away> {
        self.catch_up(port).await?;
        for _ in 0..2 {
            let ledger = self.life(port).await?;
            Arc::make_mut(&mut wish.ask).caller = self.side.lock().caller(&ledger, boot_ms());
            let sent = boot_ms();
            let outstanding = ledger.sending(wish.ask.clone());
            match port.run(&Command::Reserve(wish.ask.clone())).await? {
                Reply::Reserved(Reserved::Granted(mut granted)) => {
                    let Some(drawn) = outstanding.granted(granted.index, granted.share) else { continue };
                    self.side.lock().saw(wish.ask.caller.epoch, granted.l, boot_ms());
                    let told = std::mem::take(&mut granted.told);
                    return Ok(Outcome::Granted(self.reservation(&ledger, wish, granted, drawn, sent), told));
                }
                Reply::Reserved(Reserved::Denied(denied)) => {
                    outstanding.refused();
                    return Ok(Outcome::Denied(denied));
                }
                Reply::Reserved(Reserved::TooBig { pool, meter }) => {
                    outstanding.refused();
                    return Ok(Outcome::TooBig { pool, meter });
                }
                reply => {
                    if is_refusal(&reply) {
                        outstanding.refused();
                    }
                    self.refused(&wish.ask.caller.inc, &reply)?;
                }
            }
        }
        Err(Away::unexpected())
    }

    /// What may be done without the state, which this call has asked in vain `since` then; else how long to wait before
    /// looking again, if that may help.
    fn without(&self, wish: &mut Wish, failure: &Away, since: Instant) -> Result<Outcome, Option<Duration>> {
        if *failure == Away::Learning {
            return Err(Some(LOOK_AGAIN));
        }
        let soon = |wait| Some(Duration::from_millis(wait).min(LOOK_AGAIN));
        // (Its own patience as well: other connections of this replica may be fine all the time.)
        let is_patient = *failure != Away::OtherLayout && since.elapsed() < Duration::from_millis(HITCH);
        let hitch = self.side.lock().hitch_left(boot_ms()).filter(|_| is_patient).and_then(soon);
        let kept = match outage::usable(&wish.infos, &wish.ask) {
            Usable::Nothing | Usable::Freely(_) if hitch.is_some() => return Err(hitch),
            Usable::Nothing => return Err(None),
            Usable::Shared(_) if *failure == Away::OtherLayout => return Err(None), // others are granted the whole
            Usable::Freely(candidates) => return Ok(Outcome::Unlimited(candidates)),
            Usable::Shared(candidates) => candidates,
        };
        let mut ask = Arc::new(outage::only(&wish.ask, &kept));
        let pin = ask.session.as_ref().and_then(|session| self.recall_pin(&session.key));
        let sent = boot_ms();
        let counts = |pool: usize| outage::counts(&wish.infos[pool]);
        let (ledger, shared) = match self.side.lock().ask_alone(&mut ask, counts, pin, boot_ms()) {
            Alone::NotYet(wait) => return Err(soon(wait)),
            Alone::Never => return Err(None),
            Alone::Shared(ledger, shared) => (ledger, shared),
        };
        match shared {
            Shared::Granted(granted, drawn) => {
                let told = outage::of_all(granted.told, &kept, wish.ask.candidates.len());
                let granted = Granted { index: kept[granted.index], told: Told::default(), ..granted };
                Ok(Outcome::Granted(self.reservation(&ledger, wish, granted, drawn, sent), told))
            }
            Shared::Denied(denied) => {
                let told = outage::of_all(denied.told, &kept, wish.ask.candidates.len());
                Ok(Outcome::Denied(Denied { told, ..denied }))
            }
            Shared::TooBig(pool, meter) => Ok(Outcome::TooBig { pool, meter }),
            Shared::TooSmallAPart => Err(None),
        }
    }

    /// After a pause or an outage the state has not heard of us, nor we of it: a SYNC first, or it would put the
    /// call off.
    async fn catch_up(self: &Arc<Self>, port: &Port) -> Result<(), Away> {
        if self.side.lock().is_behind(boot_ms()) { self.tell_now(port).await } else { Ok(()) }
    }

    /// Tells the state what was settled here, without waiting for the time to do so.
    pub async fn tell_now(self: &Arc<Self>, port: &Port) -> Result<(), Away> {
        let asked = Instant::now();
        let mut last = self.telling.clone().lock_owned().await;
        if last.is_some_and(|begun| begun > asked) {
            return Ok(()); // another call's told of this one as well
        }
        // In a task of its own, with the lock: a caller dropped here must not take along what the SYNC was about to tell,
        // nor let another begin beside it.
        let (this, port) = (self.clone(), port.clone());
        let told = tokio::spawn(async move {
            let begun = Instant::now();
            this.say_due(&port, false).await?;
            *last = Some(begun);
            Ok(())
        });
        told.await.unwrap_or_else(|_| Err(Away::unexpected()))
    }

    /// Asks that a pool be left alone for a while, by every replica.
    pub fn rest(&self, key: &Arc<str>, time: Duration) {
        self.side.lock().rest(key.clone(), boot_ms() + ms(time));
        self.bell.ring_loud();
    }

    /// What a reply means that is not the one hoped for; an error if asking again is of no use.
    fn refused(&self, inc: &Incarnation, reply: &Reply) -> Result<(), Away> {
        let heard = self.side.lock().refused(inc, reply, boot_ms());
        self.tell(heard)
    }

    pub(super) fn tell(&self, heard: Heard) -> Result<(), Away> {
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

    /// The current life, made known to the state if it is not.
    async fn life(self: &Arc<Self>, port: &Port) -> Result<Arc<Ledger>, Away> {
        if let Some(ledger) = self.ledger() {
            return Ok(ledger);
        }
        self.join(port).await?;
        self.ledger().ok_or_else(Away::unexpected)
    }

    /// Tells the state of every life that it must be told of.
    pub(super) async fn join(self: &Arc<Self>, port: &Port) -> Result<(), Away> {
        let _one = self.joining.lock().await;
        let mut refused = 0;
        while refused < 8 {
            if !port.is_open() {
                return Err(Away::NotConnected); // nothing is told, so sharing may go on
            }
            let Some(join) = self.side.lock().due(boot_ms()) else { return Ok(()) };
            let reply = port.run(&Command::Join(join.clone())).await;
            let reply = reply.inspect_err(|_| self.side.lock().unjoined())?;
            refused += u32::from(!self.side.lock().joined(&join, &reply, boot_ms()));
        }
        Err(Away::unexpected())
    }

    fn reservation(
        &self,
        ledger: &Arc<Ledger>,
        wish: &Wish,
        granted: Granted,
        drawn: Vec<Drawn>,
        sent: Ms,
    ) -> Reservation {
        let part = |(pool, books, amounts): Drawn| Part { info: wish.infos[pool].clone(), books, amounts };
        let deadlines = ledger.deadlines();
        let (now, now_ms) = (Instant::now(), boot_ms());
        let until = |after: Ms| sent + after.saturating_sub(ms(MARGIN));
        let by = |after: Ms| now + Duration::from_millis(until(after).saturating_sub(now_ms));
        Reservation {
            index: granted.index,
            session: granted.session,
            share: granted.share,
            send_by: until(deadlines.head),
            head_by: by(deadlines.head),
            end_by: by(deadlines.end),
            parts: drawn.into_iter().map(part).collect(),
            home: Some((ledger.attempt(), self.bell.clone())),
            head_settled: false,
        }
    }
}

/// Is it an answer by which a RESERVE was surely not granted? (A second copy of it may have been, as with any other
/// refusal; it is found as those of granted ones are, by the sweep of the ledger.)
fn is_refusal(reply: &Reply) -> bool {
    matches!(reply, Reply::Gone(_) | Reply::Epoch(_) | Reply::Learning(_))
}

fn ms(time: Duration) -> Ms {
    time.as_millis() as Ms
}

fn unix_ms() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(1, |since| since.as_millis() as u64)
}
