//! Streams: server-sent events, each with its `type`, a `sequence_number`, and the place it belongs to.

mod frame;
mod items;
mod open;
mod read;
mod seen;
mod thought;
mod write;

pub use read::Reader;
pub use write::Writer;
