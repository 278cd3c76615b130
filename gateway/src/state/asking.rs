//! A call's way to the shared state: RESERVE, and what is done when the state cannot be asked.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Away;
use super::client::{Client, Contact, ms};
use super::core::{
    Amounts, Command, Denied, Draw, Ending, Granted, Ms, Reply, Reserve, Reserved, Told, Trip,
};
use super::ledger::{Drawn, Ledger};
use super::outage::{self, Usable};
use super::pools::PoolInfo;
use super::port::Port;
use super::reservation::{Part, Reservation};
use super::share::Shared;
use super::side::{Alone, Borrowed, HITCH};
use crate::clock::boot_ms;
use crate::config::Price;

/// The longest that a call waits for the state to grant again, or to be away for long enough to share. Longer than
/// either takes.
const PATIENCE: Duration = Duration::from_secs(4);
/// A waiting call looks again after this long, whatever happened.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// Subtracted from the time an attempt may take, for the way to the wire.
const MARGIN: Duration = Duration::from_millis(50);

/// By what is judged what says nothing: soon another call may be tried.
const SAYS_NOTHING: Trip = Trip {
    failures: 1,
    ratio: 0,
    min_calls: 1,
    window: 30_000,
    open: 30_000,
    successes: 1,
    ramp: 0,
    most: 0,
};

/// What a call asks for; the client adds who asks.
#[derive(Debug)]
pub struct Wish {
    /// The pools behind `ask.pools`, in the same order.
    pub infos: Vec<Arc<PoolInfo>>,
    /// What each candidate costs; empty if no budget is drawn on.
    pub prices: Vec<Option<Price>>,
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

impl Client {
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
            self.failures.note(away);
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
        let home = self.home_of(&wish.ask);
        let lacks = match self.borrow(wish, home) {
            (Some(outcome), _) => return Ok(outcome),
            (None, lacks) => lacks,
        };
        self.catch_up(port).await?;
        for _ in 0..2 {
            let ledger = self.life(port).await?;
            Arc::make_mut(&mut wish.ask).caller = self.side.lock().caller(&ledger, boot_ms());
            let sent = boot_ms();
            if lacks {
                ledger.follow(&wish.ask, home, sent);
            }
            let outstanding = ledger.sending(wish.ask.clone()).lacking(lacks);
            match self.run(port, wish.ask.clone()).await? {
                Reply::Reserved(Reserved::Granted(mut granted)) => {
                    let Some(drawn) = outstanding.granted(granted.index, granted.share) else {
                        self.unused(&wish.ask, &granted);
                        continue;
                    };
                    self.side.lock().saw(wish.ask.caller.epoch, granted.l, boot_ms());
                    if let Some(session) = &wish.ask.session {
                        self.pins.heard(&session.key, wish.ask.candidates[granted.index].tag, sent);
                    }
                    let told = with_lent(&ledger, &wish.ask, std::mem::take(&mut granted.told));
                    return Ok(Outcome::Granted(self.reservation(&ledger, wish, granted, drawn, sent), told));
                }
                Reply::Reserved(Reserved::Denied(mut denied)) => {
                    outstanding.refused();
                    denied.told = with_lent(&ledger, &wish.ask, denied.told);
                    if !denied.open && ledger.ran_full(&wish.ask.pools[denied.pool]) {
                        self.bell.ring_loud();
                    }
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

    /// Where the call's session is, if that was heard lately.
    fn home_of(&self, ask: &Reserve) -> Option<u64> {
        let session = ask.session.as_ref().filter(|_| self.leases)?;
        self.pins.home(&session.key, session.ttl, boot_ms())
    }

    /// Room that this replica was lent; else whether the call lacked no more than that.
    fn borrow(&self, wish: &Wish, home: Option<u64>) -> (Option<Outcome>, bool) {
        if !self.leases {
            return (None, false); // without the lock
        }
        let now = boot_ms();
        match self.side.lock().borrow(&wish.ask, home, now) {
            Borrowed::Granted(ledger, mut granted, drawn) => {
                let told = std::mem::take(&mut granted.told);
                let mut reservation = self.reservation(&ledger, wish, granted, drawn, now);
                reservation.leased = true;
                (Some(Outcome::Granted(reservation, told)), false)
            }
            Borrowed::Lacks => (None, true),
            Borrowed::Asks => (None, false),
        }
    }

    /// Runs a RESERVE. One that may be let through an open circuit is asked in a task of its own: if its caller leaves before
    /// the answer is here, the probe must not stand in the way of others until it could not be answered any more.
    async fn run(self: &Arc<Self>, port: &Port, ask: Arc<Reserve>) -> Result<Reply, Away> {
        if !self.side.lock().may_probe(&ask) {
            return port.run(&Command::Reserve(ask)).await;
        }
        let (this, port) = (self.clone(), port.clone());
        let (sender, receiver) = tokio::sync::oneshot::channel();
        tokio::spawn(async move {
            let reply = port.run(&Command::Reserve(ask.clone())).await;
            let _ = sender.send(Passed { reply: Some(reply), ask, client: this }); // it knows what to do if nobody waits
        });
        receiver
            .await
            .ok()
            .and_then(|mut passed| passed.reply.take())
            .unwrap_or_else(|| Err(Away::unexpected()))
    }

    /// Nobody will use what was granted: if it is a probe, nothing became of it.
    fn unused(&self, ask: &Reserve, granted: &Granted) {
        let Some(candidate) = ask.candidates.get(granted.index).filter(|_| granted.permit > 0) else {
            return;
        };
        for (tag, _) in candidate.gates().tags() {
            // (Not as the deployment's own: what was told of an account keeps its trip.)
            let mut nothing = super::core::Outcome::none(tag, candidate.circuit.unwrap_or(SAYS_NOTHING));
            nothing.add(Ending::Unknown, granted.permit);
            self.learnt(nothing);
        }
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
            Usable::Freely(mut candidates) => {
                self.side.lock().open_last(&wish.ask, &mut candidates, boot_ms());
                return Ok(Outcome::Unlimited(candidates));
            }
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

    fn reservation(
        &self,
        ledger: &Arc<Ledger>,
        wish: &Wish,
        granted: Granted,
        drawn: Vec<Drawn>,
        sent: Ms,
    ) -> Reservation {
        // What is told to be in use is told of the candidate's own draws, one after the other.
        let limited = |draw: &&Draw| !wish.ask.pools[draw.pool].meters.is_empty();
        let (common, mut told) = (wish.ask.common.iter().filter(limited).count(), &granted.used[..]);
        let (now, now_ms) = (Instant::now(), boot_ms());
        let part = |(at, (pool, books, amounts)): (usize, Drawn)| {
            let own = if at >= common { told.split_off(..2 * amounts.len()) } else { None };
            let used: Amounts = own.unwrap_or_default().into();
            if !used.is_empty() {
                books.saw_ever(granted.l, used.iter().skip(1).step_by(2).copied());
                books.compared(now_ms);
            }
            Part { info: wish.infos[pool].clone(), books, amounts, used }
        };
        let deadlines = ledger.deadlines();
        let until = |after: Ms| sent + after.saturating_sub(ms(MARGIN));
        let by = |after: Ms| now + Duration::from_millis(until(after).saturating_sub(now_ms));
        Reservation {
            index: granted.index,
            session: granted.session,
            share: granted.share,
            permit: granted.permit,
            leased: false,
            send_by: until(deadlines.head),
            head_by: by(deadlines.head),
            end_by: by(deadlines.end),
            granted_at: granted.l,
            parts: drawn.into_iter().enumerate().map(part).collect(),
            price: wish.prices.get(granted.index).copied().flatten().map(Box::new),
            home: Some((ledger.attempt(), self.bell.clone())),
            head_settled: false,
        }
    }
}

/// The answer to a RESERVE on its way to who asked.
struct Passed {
    reply: Option<Result<Reply, Away>>, // until it is taken
    ask: Arc<Reserve>,
    client: Arc<Client>,
}

impl Drop for Passed {
    fn drop(&mut self) {
        if let Some(Ok(Reply::Reserved(Reserved::Granted(granted)))) = &self.reply {
            self.client.unused(&self.ask, granted);
        }
    }
}

/// To the state what is lent here is in use; to a client it is left.
fn with_lent(ledger: &Ledger, ask: &Reserve, mut told: Told) -> Told {
    if let Some(books) = ask.tell.left.and_then(|at| ledger.find(&ask.pools[at].key)) {
        told.left.iter_mut().zip(books.lent()).for_each(|(left, lent)| *left += lent);
    }
    told
}

/// Is it an answer by which a RESERVE was surely not granted? (A second copy of it may have been, as with any other
/// refusal; it is found as those of granted ones are, by the sweep of the ledger.)
fn is_refusal(reply: &Reply) -> bool {
    matches!(reply, Reply::Gone(_) | Reply::Epoch(_) | Reply::Learning(_))
}
