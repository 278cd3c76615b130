//! Wire formats of clients and providers. Everything here is pure: bytes in, facts or bytes out.

#[cfg(test)]
mod across_tests;
pub mod chat;
pub mod converse;
pub mod custom;
pub mod failure;
pub mod gemini;
pub(crate) mod json;
pub mod messages;
pub mod openai;
pub mod responses;
pub mod speech;
pub mod talk;
