//! What a client asks.

mod config;
mod read;
mod tools;
mod write;

pub use read::read_request;
pub use write::write_request;

#[cfg(test)]
#[path = "request/request_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "request/settings_tests.rs"]
mod settings_tests;
