//! Amazon Bedrock's Converse and ConverseStream: `POST /model/{id}/converse` and `/converse-stream`.
//!
//! The path names the model, so a body has none; an answer has no id. A stream is no stream of server-sent events but
//! of binary frames ([`Frames`]). Only providers speak this dialect; so there is no writer of streams.
//!
//! The fields are those of the service model that AWS's SDKs are made from (`bedrock-runtime`, 2023-09-30).

mod answer;
mod blocks;
mod citations;
mod fields;
mod ids;
mod media;
mod models;
mod opaque;
mod request;
mod stream;

pub use answer::{read_answer, write_answer};
pub use request::{read_request, write_request};
pub use stream::{Damage, Frame, Frames, Reader};

#[cfg(test)]
mod recorded;
