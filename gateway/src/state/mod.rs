//! Capacity state: the specification ([`core`]), its bytes ([`layout`]), the scripts.
pub mod control;
pub mod core;
pub mod layout;
pub mod scripts;
