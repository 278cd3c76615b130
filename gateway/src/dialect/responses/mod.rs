//! OpenAI Responses (`POST /v1/responses`), as OpenAI and the providers compatible with it have it.
//!
//! Fields that only this dialect knows stay in [`Extra`](crate::dialect::talk::Extra) under their own names. Names that
//! begin with `#` are marks of this folder: they remember how a thing was said where the dialect has several ways, and are
//! never written as fields:
//!
//! | mark | where | means |
//! |---|---|---|
//! | `#instructions` | message | it stood in `instructions` |
//! | `#item` | piece | a message item begins with this piece; the item's own fields |
//! | `#part` | piece | a foreign part of a message's content, not an item |
//! | `#own` | request, answer, piece | it was read in this dialect (of pieces: reasoning without an id) |
//! | `#logprobs` | piece | how many of the choice's log probabilities are of this text |
//! | `#strict_unsaid` | tool | `strict` was left out (here that means: strict if the schema allows it) |
//! | `#status` | answer | it has not ended yet: the word for that |
//! | `#usage` | answer | what `usage` says beyond tokens |

mod answer;
mod citations;
mod fields;
mod items;
mod media;
mod options;
mod parts;
mod request;
mod stream;
mod tools;

pub use answer::{echoes, read_answer, write_answer};
pub use request::{check_portable, read_request, read_text_alone, write_request};
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
