//! What a client asks.

mod config;
mod read;
mod text_alone;
mod tools;
mod write;

pub use read::read_request;
pub use text_alone::read_text_alone;
pub use write::write_request;

#[cfg(test)]
#[path = "request/request_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "request/settings_tests.rs"]
mod settings_tests;
