//! Requests.

mod conversation;
mod format;
mod read;
mod thinking;
mod tools;
mod write;

pub use read::read_request;
pub(super) use write::part;
pub use write::write_request;

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
#[cfg(test)]
mod thinking_tests;
#[cfg(test)]
mod tools_tests;
