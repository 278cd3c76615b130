//! A replica's client of the shared state: what it knows, and its JOINs and hurried SYNCs. (RESERVE is in
//! [`super::asking`], the loop that sends SYNC in [`super::keeper`].)
//!
//! What is sent and what a reply means is decided by [`Side`]; here are the locks, the clock and the waiting.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::watch;
use tracing::Instrument;

use super::Away;
use super::bell::Bell;
use super::core::circuit::Gate;
use super::core::{Command, Ending, Gates, Incarnation, Ms, Outcome, PoolDecl, Reply, Trip};
use super::failures::{Counting, Failures};
use super::lease::POLICY;
use super::ledger::Ledger;
use super::pins::Pins;
use super::places::Place;
use super::port::Port;
use super::side::{Deadlines, Heard, News, Side, Watch};
use crate::clock::{boot_ms, unix_ms};

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
    /// Whether it is lent room for calls to come.
    pub leases: bool,
}

/// One replica's client; shared by its workers.
#[derive(Debug)]
pub struct Client {
    name: String,
    pub(super) leases: bool,      // whether calls may be on loans
    pub(super) side: Mutex<Side>, // short sections, never across an await
    pub(super) bell: Arc<Bell>,
    joining: tokio::sync::Mutex<()>, // one JOIN at a time
    /// When the last SYNC for a call began; one at a time. Never taken inside the lock above, which a SYNC may take.
    telling: Arc<tokio::sync::Mutex<Option<Instant>>>,
    pub(super) live: AtomicUsize,
    pub(super) contact: watch::Sender<Contact>,
    pub(super) failures: Counting,
    pub(super) places: moka::sync::Cache<String, Place>,
    pub(super) pins: Pins,
    pub(super) config: watch::Sender<Arc<str>>, // the hash of what this replica is configured by; empty: not told
}

/// Things made by calls whose place is remembered in this process.
const PLACES: u64 = 200_000;
/// How long the place of a thing is remembered in this process after its last use.
const PLACE_IDLE: Duration = Duration::from_secs(600);

impl Client {
    /// The client of a replica.
    pub fn new(about: About) -> Arc<Client> {
        let About { name, deadlines, expected, session_idle, leases } = about;
        let side = Side::new(name.clone(), deadlines, unix_ms(), expected, boot_ms());
        let side = if leases { side.borrowing(POLICY) } else { side };
        Arc::new(Client {
            leases,
            side: Mutex::new(side),
            name,
            bell: Arc::default(),
            joining: tokio::sync::Mutex::new(()),
            telling: Arc::default(),
            live: AtomicUsize::new(0),
            contact: watch::Sender::new(Contact::Untried),
            failures: Counting::default(),
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

    /// Begins another life, without budgets whose periods are over.
    pub fn leave_periods(&self) {
        self.side.lock().leave_periods(unix_ms());
        self.bell.ring_loud();
    }

    /// These deployments' behaviour is of interest from now on.
    pub fn watch(&self, watches: Vec<Watch>) {
        self.side.lock().watch(watches);
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

    /// How often the state did not answer so far.
    pub fn failures(&self) -> Failures {
        self.failures.so_far()
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

    /// After a pause or an outage the state has not heard of us, nor we of it: a SYNC first, or it would put the
    /// call off.
    pub(super) async fn catch_up(self: &Arc<Self>, port: &Port) -> Result<(), Away> {
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

    /// Asks that a pool be left alone for a while, by every replica; `refused`: its provider refused a call.
    pub fn rest(&self, key: &Arc<str>, time: Duration, refused: bool) {
        self.side.lock().rest(key.clone(), boot_ms() + ms(time), refused);
        self.bell.ring_loud();
    }

    /// An attempt at the deployment `tag` ended; `permit`: that of a probe, else 0. What went wrong, and what became of a
    /// probe, every replica hears soon.
    pub fn ended(&self, tag: u64, trip: Trip, ending: Ending, permit: u64) {
        self.side.lock().ended(tag, trip, ending, permit, boot_ms());
        if ending == Ending::Wrong || permit > 0 {
            self.bell.ring([].into_iter(), true);
        }
    }

    /// Something was learnt of an account, or of a deployment by a check. Every replica hears of it as soon as can be.
    pub fn learnt(&self, outcome: Outcome) {
        self.side.lock().learnt(outcome, boot_ms());
        self.bell.ring_loud();
    }

    /// Is any of these circuits open, as far as this replica knows?
    pub fn is_open(&self, of: Gates) -> bool {
        self.side.lock().is_open(of)
    }

    /// What these circuits say to a call, as far as this replica knows.
    pub fn gate(&self, of: Gates) -> Gate {
        self.side.lock().gate(of, boot_ms())
    }

    /// The tags of accounts, with their names, of which the log is to tell.
    pub fn watch_accounts(&self, accounts: Vec<(u64, Arc<str>)>) {
        self.side.lock().watch_accounts(accounts);
    }

    /// Who checks the deployment `tag`: this replica? While the state is away each does, for each goes by what it sees itself.
    pub fn is_elected(&self, tag: u64) -> bool {
        let side = self.side.lock();
        side.is_cut_off(boot_ms()) || elected(&side.living(), tag) == Some(&self.name)
    }

    /// Tells of accounts that are left alone from now on, or no longer.
    pub(super) fn tell_news(&self) {
        let news = self.side.lock().news();
        for News { account, cause, is_shut } in news {
            let reason = cause.word();
            if is_shut {
                tracing::warn!(target: "weir::health", account = %account, reason, "account left alone by all replicas");
            } else {
                tracing::info!(target: "weir::health", account = %account, reason, "account takes calls again");
            }
        }
    }

    /// What a reply means that is not the one hoped for; an error if asking again is of no use.
    pub(super) fn refused(&self, inc: &Incarnation, reply: &Reply) -> Result<(), Away> {
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
    pub(super) async fn life(self: &Arc<Self>, port: &Port) -> Result<Arc<Ledger>, Away> {
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
            let span = tracing::info_span!(target: "weir::state", "join state");
            let reply = port.run(&Command::Join(join.clone())).instrument(span).await;
            let reply = reply.inspect_err(|_| self.side.lock().unjoined())?;
            refused += u32::from(!self.side.lock().joined(&join, &reply, boot_ms()));
        }
        Err(Away::unexpected())
    }
}

/// Of these replicas the one that checks a deployment: by the highest hash of both, so that all who know the same replicas agree,
/// the checks of many deployments are spread, and only those of a replica that goes or comes move (rendezvous hashing).
fn elected(names: &[String], tag: u64) -> Option<&String> {
    let weight =
        |name: &&String| (crate::config::Deployment::tag_of(&format!("{name}/{tag}")), (*name).clone());
    names.iter().max_by_key(weight)
}

pub(super) fn ms(time: Duration) -> Ms {
    time.as_millis() as Ms
}
