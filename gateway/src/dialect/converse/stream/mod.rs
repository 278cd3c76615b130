//! Streams.

mod frames;
mod gather;
mod pieces;
mod read;
mod wire;

pub use frames::{Damage, Frame, Frames};
pub use read::Reader;
