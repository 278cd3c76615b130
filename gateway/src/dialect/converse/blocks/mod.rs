//! Content blocks, which requests and answers share.

mod read;
mod write;

pub(super) use read::{cache_point, pieces};
pub(super) use write::{Blocks, cache_block};

#[cfg(test)]
mod tests;
