//! OpenAI's API as bytes that pass: the plain answer and the error bodies ([`answer`]), and the streamed answer
//! ([`stream`]).

pub mod answer;
pub mod stream;

#[cfg(test)]
mod recorded;
