//! Wire formats of clients and providers.
pub mod openai;
