//! An answer in a stream: server-sent events (`?alt=sse`), or the elements of a JSON array. Each is a piece of an answer,
//! in the shape of a whole one.

mod array;
mod choice;
mod frame;
mod partial;
mod read;
mod write;

pub use array::ArrayReader;
pub use frame::Framing;
pub use read::Reader;
pub use write::Writer;

#[cfg(test)]
pub(in crate::dialect::gemini) mod checks;
#[cfg(test)]
#[path = "stream/stream_tests.rs"]
mod tests;
