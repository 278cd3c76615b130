//! Experiments while they run: which variant a call falls to, the shares that hold, and what each variant came to.
//!
//! Who falls where is pure ([`crate::route::experiment`]). Shares set at run time and what was measured are told through the
//! shared state ([`told`]), aside from the calls. No limit rests on any of it.

pub mod interval;
pub mod measures;
pub mod report;
pub mod told;
mod trial;

pub use measures::{Ending, Measures, Sample};
pub use trial::{Assigned, Book, Live, Told, Trial};
