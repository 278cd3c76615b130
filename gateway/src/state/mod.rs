//! Capacity state.
pub mod core;
