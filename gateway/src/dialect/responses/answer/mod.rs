//! Whole answers: the object `response`.

mod echo;
mod finish;
mod output;
mod read;
mod response;
mod usage;
mod write;

pub(super) use echo::asks_summaries;
pub use echo::echoes;
pub(super) use finish::{Status, finish_of, status_of};
pub(super) use output::{Output, call_id, call_item, item_id, message_item, reasoning_item};
pub use read::read_answer;
pub(super) use read::{failure, head};
pub(super) use response::{Items, Response};
pub(super) use usage::read_usage;
pub(super) use write::answer_id;
pub use write::write_answer;
