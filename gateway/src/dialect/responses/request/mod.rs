//! Requests.

mod portable;
mod read;
mod write;

pub use portable::check_portable;
pub use read::read_request;
pub(super) use write::put_settings;
pub use write::write_request;
