//! What RESERVE asks for and is told.

use super::super::{Caller, Ms, PoolDecl, Trip, Turn};
use super::Kin;

/// A request for a reservation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reserve {
    /// Sender.
    pub caller: Caller,
    /// Every pool that the draws name.
    pub pools: Vec<PoolDecl>,
    /// Drawn whatever candidate is chosen (tenant, gateway).
    pub common: Vec<Draw>,
    /// Ranked, best first; tiers ascending.
    pub candidates: Vec<Candidate>,
    /// The session that the call belongs to.
    pub session: Option<SessionRef>,
    /// What the reply shall tell besides.
    pub tell: Tell,
    /// Drawn evenly from 0 to 999,999: a deployment whose calls are coming back takes so many of them.
    pub luck: u64,
    /// Of the candidates' caps at most this share may be used with it, millionths; all of them for most calls.
    pub most: u64,
    /// Its place among others, if there may not be room for all.
    pub turn: Option<Turn>,
}

/// What a reply tells besides, on request. It decides nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tell {
    /// How much of this pool is left afterwards; an index in [`Reserve::pools`].
    pub left: Option<usize>,
    /// What became of every candidate, whatever is taken. (It is told unasked if the first one was looked at and is itself
    /// why it was not taken.)
    pub why: bool,
    /// How much of the granted candidate's own pools is in use afterwards.
    pub used: bool,
}

/// What was asked for by [`Tell`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Per meter of the pool.
    pub left: Amounts,
    /// Per candidate.
    pub why: Vec<Verdict>,
}

/// What became of a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Another was taken before it was looked at.
    NotLooked,
    /// It fits, at this share in use, millionths.
    Fits(u64),
    /// It has no room for so many ms, because of this pool, an index in [`Reserve::pools`].
    Waits(Ms, usize),
    /// The call is larger than a limit of this pool.
    Never(usize),
    /// Its circuit is open for so many ms.
    Open(Ms),
    /// It fits, at this share in use, millionths; but its circuit was open lately, and its calls are coming back.
    Recovers(u64),
}

/// A session as a call names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRef {
    /// Key of its pin.
    pub key: String,
    /// Forgotten after this long without a call, ms.
    pub ttl: Ms,
    /// Where it goes first if it cannot stay.
    pub kin: Kin,
}

/// One amount per meter of a pool.
pub type Amounts = smallvec::SmallVec<[u64; 4]>;

/// An amount on each meter of one pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draw {
    /// Index in [`Reserve::pools`].
    pub pool: usize,
    /// One per meter.
    pub amounts: Amounts,
}

/// A deployment that could serve the call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The deployment's tag.
    pub tag: u64,
    /// Lower first.
    pub tier: u64,
    /// Taken at first sight while its share stays at or under this, millionths.
    pub threshold: u64,
    /// By what its circuit opens; none: it has none.
    pub circuit: Option<Trip>,
    /// On its own pools.
    pub draws: Vec<Draw>,
}

/// The outcome of a [`Reserve`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reserved {
    /// Drawn.
    Granted(Granted),
    /// Not now.
    Denied(Denied),
    /// Larger than a cap: never. The pool's index and the meter's.
    TooBig {
        /// Index in [`Reserve::pools`].
        pool: usize,
        /// Index of the meter.
        meter: usize,
    },
}

/// A reservation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granted {
    /// Index in [`Reserve::candidates`].
    pub index: usize,
    /// What became of the session.
    pub session: SessionOutcome,
    /// Highest share in use over all drawn meters, millionths.
    pub share: u64,
    /// Logical time.
    pub l: Ms,
    /// It is a probe of an open circuit: its permit's number; else 0.
    pub permit: u64,
    /// What is counted then on each meter of the candidate's draws, and was ever (posted or held), one draw after the other;
    /// if it was asked for.
    pub used: Amounts,
    /// What was asked for besides.
    pub told: Told,
}

/// What became of a call's session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionOutcome {
    /// The call has none.
    None,
    /// Served where it was.
    Hit,
    /// Seen for the first time.
    New,
    /// Served elsewhere, and pinned there from now on.
    Moved,
}

/// No room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied {
    /// Milliseconds until there is room if nobody else takes it.
    pub retry_in: Ms,
    /// Whether that is computed; otherwise only the end of other calls makes room.
    pub exact: bool,
    /// The pool that stands in the way longest (common, or of the best candidate), an index in [`Reserve::pools`].
    pub pool: usize,
    /// Whether it is one of the common draws.
    pub common: bool,
    /// Whether no pool stands in the way longest but a circuit: `pool` says nothing.
    pub open: bool,
    /// What was asked for besides.
    pub told: Told,
}

impl Denied {
    /// Is it for a provider's limit? The caller's own and a circuit are not waited for.
    pub fn may_be_waited_for(&self) -> bool {
        !self.common && !self.open
    }
}
