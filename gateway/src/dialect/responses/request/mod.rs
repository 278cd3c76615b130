//! Requests.

mod portable;
mod read;
mod text_alone;
mod write;

pub use portable::check_portable;
pub use read::read_request;
pub use text_alone::read_text_alone;
pub(super) use write::put_settings;
pub use write::write_request;
