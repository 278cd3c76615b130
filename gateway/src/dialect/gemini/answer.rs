//! What the model answers, whole.

mod read;
mod write;

pub(in crate::dialect::gemini) use read::blocked;
pub use read::read_answer;
pub use write::write_answer;

#[cfg(test)]
#[path = "answer/answer_tests.rs"]
mod tests;
