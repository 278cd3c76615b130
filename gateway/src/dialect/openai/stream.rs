//! The streamed answer: from chunks of bytes to events, and from an event to what it means for the call.

mod classify;
mod items;
mod splitter;

use bytes::Bytes;

use super::answer::{UpstreamError, error_body};
use crate::dialect::api::Api;
pub use classify::{Chunk, Delivered, StreamError};
pub use items::Begun;
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

/// The event that ends a stream which fails after its first content. Responses say so of the response that was begun;
/// if none was, and in every other call, an error stands alone, and no `[DONE]` follows.
pub fn stream_error(said: &UpstreamError, begun: Option<&Begun>) -> Bytes {
    match begun {
        Some(begun) => begun.failed(said),
        None => {
            let kind = said.kind.as_deref().unwrap_or("server_error");
            error_event(&error_body(&said.message, kind, said.code.as_deref(), said.param.as_deref()))
        }
    }
}

/// An error body, which is one line, as an event.
pub fn error_event(body: &[u8]) -> Bytes {
    [b"data: ", body, b"\n\n"].concat().into()
}

/// A comment, which clients skip.
pub fn keep_alive() -> Bytes {
    Bytes::from_static(b": keep-alive\n\n")
}
