//! The capacity state as one pure function: [`State::step`] takes a command and the time and returns a reply.
//!
//! It is the specification that the Lua scripts are tested against, the backend of a single replica, and the
//! Redis of every simulation. It reads no clock, draws no random number and does no I/O.
//!
//! The problem: N replicas send calls to providers that count requests and tokens over sliding windows. A call's
//! real cost is known late, replicas die, messages are lost, doubled and late; yet no window at the provider may
//! exceed its limit. The approach:
//! - *Hold, then post.* Admission adds the estimate to a hold that does not age. When the provider is known to
//!   have charged, the actual amount is posted into the current bucket of a sliding window and the hold falls.
//!   `window + hold + estimate <= cap` at admission then bounds every window, whenever within the call the
//!   provider charges.
//! - *Only monotone counters cross the wire.* Per (incarnation, pool, meter): `granted` (written here only),
//!   `returned` and `posted` (written by the replica only). The hold is `granted - returned`. Receivers take the
//!   maximum, so loss, duplication and reordering need no request ids.
//! - *Expiry posts.* An incarnation not heard of for long is dead; what it held is posted, once its calls must be
//!   over, because the provider may have charged it.
//!
//! All numbers are integers below 2^53 (Lua's numbers are doubles); times are milliseconds of the logical clock
//! ([`clock`]).

pub mod behaviour;
pub mod circuit;
pub mod clock;
pub mod fair;
mod image;
pub mod learn;
pub mod learned;
pub mod lend;
pub mod life;
pub mod meter;
mod moves;
pub mod mutant;
pub mod reserve;
pub mod slow;
pub mod sync;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use mutant::{Mutant, on};

pub use behaviour::{Behaviour, Behaviours, Shown, Telling};
pub use circuit::{Cause, Circuit, Circuits, Ending, Gates, Outcome, Trip};
pub use clock::Clock;
pub use fair::{Flow, Line, Lines, Turn};
pub use learn::{Learn, Memory, PoolMemory, Unsettled};
pub use learned::{Learned, Lessons, Said};
pub use lend::Want;
pub use life::{Join, Joined, Life};
pub use meter::{Meter, Mode, Shape, Stage};
pub use moves::{KEPT, Moved, Moves};
pub use reserve::{
    Amounts, Candidate, DEAR, Denied, Draw, Granted, Kin, Likeness, Reserve, Reserved, SessionOutcome,
    SessionRef, Tell, Told, Verdict,
};
pub use slow::{SlowStart, Start, Starts};
pub use sync::{Image, PoolReport, PoolView, Rest, Sync, Synced};

/// Milliseconds, of the logical clock unless said otherwise.
pub type Ms = u64;

/// A replica not heard of for this long is not counted among the living.
pub const TTL: Ms = 1_000;
/// By then a replica that lives has said another SYNC: a little more than the time between two.
pub const NEXT_SYNC: Ms = 250;
/// A clock step larger than this is believed only as far as the caller's own clock witnesses it.
pub const GAP: Ms = 1_000;
/// A raised cap takes effect this long after the last declaration of the lower one.
pub const RAISE_AFTER: Ms = 10_000;
/// How long the highest incarnation number of a dead replica's name is remembered.
pub const REMEMBER: Ms = 3_600_000;

/// One life of a replica: `k` grows with every life of the same name.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation {
    /// The replica's name.
    pub name: String,
    /// Which of its lives.
    pub k: u64,
}

impl Incarnation {
    /// `NAME.K`.
    pub fn id(&self) -> String {
        let mut digits = itoa::Buffer::new();
        [&self.name, ".", digits.format(self.k)].concat()
    }
}

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.id())
    }
}

/// What every message says of its sender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The life of the data set that the sender joined.
    pub epoch: u64,
    /// Who.
    pub inc: Incarnation,
    /// Logical time of the newest reply that the sender has (0: none).
    pub l_ack: Ms,
    /// Milliseconds of the sender's own clock since it received that reply: a lower bound of the time since.
    pub x: Ms,
}

/// A pool as a call declares it: its key and, per meter, shape, cap and pace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PoolDecl {
    /// Name and shape of the pool; another shape is another key.
    pub key: Arc<str>,
    /// In the pool's order.
    pub meters: Arc<[Declared]>,
    /// How slowly it starts, if it does.
    pub slow_start: Option<SlowStart>,
}

/// A meter as a call declares it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Declared {
    /// Fixed for a key.
    pub shape: Shape,
    /// Units; the lowest cap declared lately counts.
    pub cap: u64,
    /// Finest interval over which use is kept even, ms; 0: the window only.
    pub pace: Ms,
}

/// A pool's record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pool {
    /// The epoch that it was last used in.
    pub epoch: u64,
    /// No draw before this time.
    pub rest_until: Ms,
    /// In the order of the declaration.
    pub meters: Vec<Meter>,
}

/// The three counters of one (incarnation, pool, meter).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Cumulative grants; written by this state only.
    pub granted: u64,
    /// Cumulative estimates given back; written by the replica only.
    pub returned: u64,
    /// Cumulative actuals; written by the replica only.
    pub posted: u64,
}

/// A dead replica's hold on a meter whose calls may still run: posted (or dropped, for a gauge) when due.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pending {
    /// When.
    pub due: Ms,
    /// Pool key.
    pub pool: Arc<str>,
    /// Index of the meter.
    pub meter: usize,
    /// Units held.
    pub amount: u64,
}

/// Where a session's calls go. Advice: it yields to limits and rests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pin {
    /// The deployment's tag.
    pub tag: u64,
    /// Grows with every move.
    pub version: u64,
    /// Forgotten after this time.
    pub expires: Ms,
}

/// The whole capacity state of one namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// One life of this data set.
    pub epoch: u64,
    /// Logical time.
    pub clock: Clock,
    /// By pool key.
    pub pools: BTreeMap<Arc<str>, Pool>,
    /// The living and the lapsed.
    pub lives: BTreeMap<Incarnation, Life>,
    /// Highest incarnation number seen of each name, and when it may be forgotten (0: its bearer lives).
    pub names: BTreeMap<String, (u64, Ms)>,
    /// Holds of the dead, waiting to be posted.
    pub pending: Vec<Pending>,
    /// By session key.
    pub pins: BTreeMap<String, Pin>,
    /// Of sessions, lately.
    pub moves: Moves,
    /// Of deployments.
    pub circuits: Circuits,
    /// Who waits where.
    pub lines: Lines,
    /// Of deployments.
    pub behaviours: Behaviours,
    /// Of providers' limits.
    pub learned: Lessons,
    /// Of pools that start slowly.
    pub starts: Starts,
    /// The server that this data set was last seen on; 0: nobody said.
    pub run: u64,
    /// Until what may be forgotten is known again.
    pub learn: Option<Learn>,
}

/// What the way to the state adds to a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// A reading of the server's clock, ms.
    pub now: Ms,
    /// Name of the next epoch, if one begins: random, below 2^53. 0: the state is in its callers' own process, which
    /// cannot be away from it.
    pub nonce: u64,
    /// The run of the server that the connection was made to; 0: unknown.
    pub run: u64,
}

impl From<Ms> for Stamp {
    fn from(now: Ms) -> Stamp {
        Stamp { now, ..Stamp::default() }
    }
}

/// A message from a replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Begin a life.
    Join(Join),
    /// Choose a candidate and draw on its pools.
    Reserve(Arc<Reserve>),
    /// Report counters, renew the life, rest pools.
    Sync(Sync),
    /// End a life that holds nothing.
    Bye(Caller),
}

/// The answer to a [`Command`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// To [`Command::Join`].
    Joined(Joined),
    /// To [`Command::Reserve`].
    Reserved(Reserved),
    /// To [`Command::Sync`].
    Synced(Synced),
    /// To [`Command::Bye`]: whether the life ended (false: it still holds something).
    Left(bool),
    /// The sender's life is over (or its number was used before); the highest number of its name.
    Gone(u64),
    /// The sender speaks of another life of the data set; nothing was done.
    Epoch(u64),
    /// The data set is learning what it may have lost; for so many ms at most.
    Learning(Ms),
}

impl Command {
    /// Who sends it; a JOIN has no life to speak of yet.
    pub fn caller(&self) -> Option<&Caller> {
        match self {
            Command::Join(_) => None,
            Command::Reserve(reserve) => Some(&reserve.caller),
            Command::Sync(sync) => Some(&sync.caller),
            Command::Bye(caller) => Some(caller),
        }
    }
}

impl State {
    /// An empty data set, born at `now` (any clock in ms) as `epoch` (a nonce below 2^53).
    pub fn new(epoch: u64, now: Ms) -> State {
        State {
            epoch,
            clock: Clock::new(now),
            pools: BTreeMap::new(),
            lives: BTreeMap::new(),
            names: BTreeMap::new(),
            pending: Vec::new(),
            pins: BTreeMap::new(),
            moves: Moves::default(),
            circuits: Circuits::default(),
            lines: Lines::new(),
            behaviours: Behaviours::default(),
            learned: Lessons::default(),
            starts: Starts::new(),
            run: 0,
            learn: None,
        }
    }

    /// A data set that replaces one that was lost, or the first of all: who has asked last cannot know.
    pub fn lost(stamp: Stamp) -> State {
        let mut state = State::new(stamp.nonce, stamp.now);
        state.run = stamp.run;
        state.forget(stamp.nonce, (0, 0));
        state
    }

    /// One atomic step.
    pub fn step(&mut self, command: &Command, stamp: impl Into<Stamp>) -> Reply {
        let stamp = stamp.into();
        let (l_ack, x) = command.caller().map_or((0, 0), |caller| (caller.l_ack, caller.x));
        let Clock { l, wall } = self.clock;
        self.clock.advance(stamp.now, l_ack, x);
        let knew = self.learn.as_ref().is_none_or(|learn| learn.whole);
        if stamp.nonce != 0 && stamp.now.saturating_sub(wall) > TTL {
            self.was_away(self.clock.l - l, stamp.nonce);
        }
        if stamp.run != 0 && std::mem::replace(&mut self.run, stamp.run) != stamp.run {
            self.forget(stamp.nonce, (l, l)); // another server: it may have got less than the one before it had
        } else if let (Some(learn), true, true) = (&mut self.learn, knew, stamp.run != 0) {
            learn.whole = true; // it was only silent, once or several times
        }
        self.expire();
        let reply = self.answer(command, stamp);
        self.end_learning();
        reply
    }

    /// Nobody was heard for long: that says nothing of anybody's life, and they may be sharing what was left among
    /// them without asking, also those that began meanwhile. So nothing is granted until each has told what it used (the
    /// *rejoin barrier*).
    fn was_away(&mut self, passed: Ms, nonce: u64) {
        self.lives.values_mut().for_each(|life| life.exp += passed);
        let anybody = !self.lives.is_empty() || !on(Mutant::BarrierForTheLivingOnly);
        if anybody && !on(Mutant::NoBarrier) {
            let before = self.clock.l - passed;
            self.forget(nonce, (before, before));
        }
    }

    fn answer(&mut self, command: &Command, stamp: Stamp) -> Reply {
        let Some(caller) = command.caller() else {
            let Command::Join(join) = command else { return Reply::Gone(0) };
            return self.join(join);
        };
        if caller.epoch != self.epoch {
            return Reply::Epoch(self.epoch);
        }
        if let (Some(learn), Command::Reserve(_), false) = (&self.learn, command, on(Mutant::LearningSkipped))
        {
            return Reply::Learning((learn.since + learn::LEARN + 1).saturating_sub(self.clock.l));
        }
        if !self.lives.contains_key(&caller.inc) && !self.revive(caller) {
            return Reply::Gone(self.names.get(&caller.inc.name).map_or(0, |(k, _)| *k));
        }
        match command {
            Command::Join(join) => self.join(join),
            Command::Reserve(reserve) => self.reserve(reserve),
            Command::Sync(sync) => self.sync(sync, stamp.nonce),
            Command::Bye(caller) => self.bye(caller),
        }
    }

    /// Logical now.
    pub fn now(&self) -> Ms {
        self.clock.l
    }

    /// Replicas heard of within [`TTL`].
    pub fn live(&self) -> usize {
        self.lives.values().filter(|life| life.exp >= self.clock.l).count()
    }

    /// Drops pins and lines that have expired (Redis does it by itself).
    pub fn forget_pins(&mut self) {
        let l = self.clock.l;
        self.pins.retain(|_, pin| pin.expires > l);
        self.lines.retain(|_, line| line.until > l);
    }

    /// Finds or makes a pool's record, brings it to the present and takes note of the declared caps.
    fn touch(&mut self, decl: &PoolDecl) -> &mut Pool {
        let l = self.clock.l;
        let epoch = self.epoch;
        let pool = self.pools.entry(decl.key.clone()).or_default().current(epoch, l, self.learn.as_ref());
        if pool.meters.is_empty() {
            pool.meters = decl.meters.iter().map(|d| Meter::new(d.shape, d.cap, l)).collect();
        }
        for (meter, declared) in pool.meters.iter_mut().zip(decl.meters.iter()) {
            meter.advance(l);
            meter.declare(declared.cap, l);
        }
        pool
    }
}
