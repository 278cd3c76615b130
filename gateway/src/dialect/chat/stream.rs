//! Streamed answers, read and written.

mod choice;
mod read;
mod text_alone;
mod wire;
mod write;

pub use read::Reader;
pub use write::Writer;
