//! The streamed answer: from chunks of bytes to events, and from an event to what it means for the call.

mod classify;
mod splitter;

pub use classify::{Chunk, Delivered, StreamError, classify, stream_error};
pub use splitter::{Event, Oversized, Splitter};
