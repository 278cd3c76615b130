//! Streamed answers, read and written.

mod choice;
mod read;
mod wire;
mod write;

pub use read::Reader;
pub use write::Writer;
