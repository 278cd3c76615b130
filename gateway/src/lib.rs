//! Weir: an LLM gateway cluster whose choice of a target and reservation of every limit it touches are one
//! atomic step. `gateway/ARCHITECTURE.md` is the map.

pub mod admit;
pub mod config;
pub mod dialect;
pub mod sim;
pub mod state;
