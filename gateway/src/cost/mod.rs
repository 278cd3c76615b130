//! What attempts cost, kept in the cluster by the hour.
//!
//! What an attempt comes to is settled with it ([`crate::settle::Tab`]) and noted in a book ([`Costs`]) of the hour in which it
//! ended. Each replica tells its books through the shared state ([`told`]), aside from the calls; whoever asks adds up what stands
//! there ([`page`]). No limit rests on any of it.

mod books;
pub mod page;
mod sums;
pub mod told;

use std::sync::Arc;

pub use books::{Costs, Level, Mark, OTHERS, Part, Telling};
pub use sums::Sums;

use crate::dialect::openai::answer::Usage;

/// Whom an attempt is counted for: tenant (empty: nobody's), model (empty: a health check), deployment.
pub type Place = (Arc<str>, Arc<str>, Arc<str>);

/// An hour: the Unix time in seconds by 3,600.
pub type Hour = u64;

/// What one attempt came to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spent {
    /// What it used; none if nobody knows.
    pub usage: Option<Usage>,
    /// The provider did not say; it is what reached us, and our own count of the input.
    pub estimated: bool,
    /// US$; none if nobody knows.
    pub usd: Option<f64>,
    /// What the same would have cost elsewhere, less what it cost; negative if it would have cost less.
    pub saved: Saved,
}

/// US$ by what is compared with; none where there is nothing to compare.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Saved {
    /// The model's `baseline`.
    pub baseline: Option<f64>,
    /// The dearest of the model's deployments.
    pub dearest: Option<f64>,
}

impl Spent {
    /// Nobody knows what of.
    pub const UNKNOWN: Spent =
        Spent { usage: None, estimated: false, usd: None, saved: Saved { baseline: None, dearest: None } };
}
