//! Anthropic's Messages API (`POST /v1/messages`), also as Bedrock's InvokeModel and Vertex carry it.
//!
//! The model stands in the body, as Anthropic itself wants it; where the path names it, [`Request::model`] is empty.
//!
//! [`Request::model`]: crate::dialect::talk::Request::model

mod answer;
mod block;
mod fields;
mod ids;
mod model;
mod request;
mod stream;
mod text_alone;
mod usage;

#[cfg(test)]
mod recorded_tests;

pub use answer::{read_answer, write_answer};
pub use request::{read_request, read_text_alone, write_request};
pub use stream::{Reader, Writer};
pub(in crate::dialect) use text_alone::push_text;
