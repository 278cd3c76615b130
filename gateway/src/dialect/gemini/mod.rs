//! Google's generateContent and streamGenerateContent, on the Gemini API and on Vertex AI.
//!
//! The wire format is JSON of protocol buffers: names are read in camelCase and snake_case and written in camelCase; a
//! `null` is a field that is not there; a repeated field may be given as its single element (Google's own examples do
//! so with `parts`); numbers of 64 bits may be strings; enumerations are read in any case. The model and whether to
//! stream stand in the path, so a request that was read has neither.

mod answer;
mod carry;
mod failed;
mod fields;
mod finish;
mod grounding;
mod logprobs;
mod media;
mod model;
mod part;
mod request;
mod result;
mod schema;
mod stream;
mod text_alone;
mod time;
mod usage;

pub use answer::{read_answer, write_answer};
pub use request::{read_request, read_text_alone, write_request};
pub use stream::{ArrayReader, Framing, Reader, Writer};
pub(in crate::dialect) use text_alone::push_text;

#[cfg(test)]
mod recorded_tests;
