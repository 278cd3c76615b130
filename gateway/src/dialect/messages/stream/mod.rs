//! An answer in a stream.

mod frame;
mod open;
mod read;
mod write;

#[cfg(test)]
pub(super) mod checks;
#[cfg(test)]
mod read_tests;
#[cfg(test)]
mod write_tests;

pub use read::Reader;
pub use write::Writer;
