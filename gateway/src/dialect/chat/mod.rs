//! OpenAI Chat Completions (`POST /v1/chat/completions`), as OpenAI and the providers compatible with it have it.
//!
//! Fields that only this dialect knows stay in [`Extra`](crate::dialect::talk::Extra) under their own names. Names that
//! begin with `#` are marks of this folder: they remember how a thing was said where the dialect has several ways
//! (`max_tokens` or `max_completion_tokens`), and are never written as fields.

mod answer;
mod calls;
mod content;
mod data_url;
mod fields;
mod media;
mod message;
mod reasoning;
mod request;
mod stream;
mod text_alone;

pub use answer::{read_answer, read_answer_for_others, write_answer};
pub use request::{
    Manners, body_of_texts, read_request, texts, write_request, write_request_for, write_settings,
};
pub use stream::{Reader, Writer};

#[cfg(test)]
#[path = "answer_tests.rs"]
mod answer_tests;
#[cfg(test)]
#[path = "recorded_tests.rs"]
mod recorded_tests;
#[cfg(test)]
#[path = "request_tests.rs"]
mod request_tests;
#[cfg(test)]
#[path = "stream_tests.rs"]
mod stream_tests;
