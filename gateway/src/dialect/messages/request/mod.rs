//! A request's body.

mod block;
mod format;
mod media;
mod read;
mod text_alone;
mod thinking;
mod tools;
mod turns;
mod write;

#[cfg(test)]
mod read_tests;
#[cfg(test)]
mod write_tests;

pub use read::read_request;
pub use text_alone::read_text_alone;
pub use write::write_request;
