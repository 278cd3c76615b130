//! Wire formats of clients and providers. Everything here is pure: bytes in, facts or bytes out.

pub(crate) mod json;
pub mod openai;
