//! Wire formats of clients and providers. Everything here is pure: bytes in, facts or bytes out.
//!
//! What a client may ask is in [`api`], what the gateway reads of it in [`request`], how a client is answered besides the
//! model's own words (errors, signs of life, lists of models) in [`voice`] and [`limits`]. A conversation is neutral in
//! [`talk`].

pub mod ability;
#[cfg(test)]
mod across_streams_tests;
#[cfg(test)]
mod across_tests;
pub mod api;
pub mod chat;
pub mod converse;
pub mod custom;
pub mod failure;
pub mod gemini;
pub(crate) mod json;
pub mod limits;
pub mod messages;
pub mod openai;
mod plain;
pub mod quota;
pub mod request;
pub mod responses;
pub mod speech;
pub mod talk;
pub mod voice;
