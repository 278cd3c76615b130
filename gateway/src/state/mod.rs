//! Capacity state, shared by the replicas: the specification ([`core`]), two backends ([`local`], Redis by
//! [`connect`], [`lanes`] and [`scripts`]), and a replica's side of it ([`side`], [`ledger`], [`reservation`], [`share`];
//! [`client`] and its keeper send what they decide).

mod announce;
mod asking;
pub mod bell;
mod boards;
pub mod books;
pub mod client;
pub mod connect;
pub mod control;
pub mod core;
mod costs;
mod doubts;
mod experiments;
pub mod failures;
mod keeper;
pub mod keys;
pub mod lanes;
pub mod layout;
pub mod lease;
pub mod ledger;
mod living;
pub mod local;
pub mod outage;
mod pins;
mod places;
pub mod pools;
mod port;
pub mod reservation;
pub mod scripts;
pub mod share;
pub mod side;
mod stored;
pub mod watched;

pub use asking::{Outcome, Wish};
pub use boards::{Board, Post, Posted};
pub use client::{About, Client};
pub use costs::ToldCosts;
pub use experiments::Told as Measured;
pub use places::{Claimed, Place, owner_key, owner_tag, place_key};
pub use pools::{Actual, PoolInfo};
pub use port::{FIRST_CONTACT, Port};
pub use reservation::Reservation;
pub use side::{Deadlines, Watch};
pub use watched::Watched;

/// The state cannot be asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Away {
    /// No connection.
    #[error("no connection")]
    NotConnected,
    /// No answer in time.
    #[error("no answer in time")]
    TimedOut,
    /// The data set may have lost something, and learns from the replicas what: seldom longer than a second.
    #[error("learning what was lost")]
    Learning,
    /// Replicas of a Weir whose records have another layout own the state, and are granted by it: not away for all.
    #[error("the state belongs to another version of Weir; use another `namespace`, or stop that version")]
    OtherLayout,
    /// The server answered with an error; its code.
    #[error("failed: {0}")]
    Failed(String),
    /// The server's answer cannot be understood.
    #[error("broken answer: {0}")]
    Broken(String),
}

impl Away {
    pub(crate) fn unexpected() -> Away {
        Away::Broken("not an answer to this question".into())
    }
}
