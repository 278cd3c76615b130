//! The streamed answer: from chunks of bytes to events, and from an event to what it means for the call.

mod classify;
mod items;
mod splitter;

use bytes::Bytes;

use crate::dialect::api::Api;
pub use classify::{Chunk, Delivered, StreamError};
pub use items::{Begun, is_failure_code};
pub use splitter::{Event, Oversized, Splitter};

/// Reads an event of a streamed answer to `api`.
pub fn classify(api: Api, event: &Event) -> Chunk {
    match api {
        Api::Responses => items::classify(event),
        Api::Chat | Api::Completions | Api::Embeddings | Api::Rerank => classify::classify(event),
        // Other dialects' answers do not come this way.
        Api::Messages
        | Api::CountTokens
        | Api::Generate
        | Api::GeminiCountTokens
        | Api::EmbedContent
        | Api::BatchEmbedContents => classify::classify(event),
    }
}

/// An error body as an event; each line of it must say that it is data.
pub fn error_event(body: &[u8]) -> Bytes {
    let mut event = Vec::with_capacity(body.len() + 16);
    for line in body.split(|byte| matches!(byte, b'\n' | b'\r')).filter(|line| !line.is_empty()) {
        event.extend_from_slice(b"data: ");
        event.extend_from_slice(line);
        event.push(b'\n');
    }
    event.push(b'\n');
    event.into()
}

/// A comment, which clients skip.
pub fn keep_alive() -> Bytes {
    Bytes::from_static(b": keep-alive\n\n")
}
