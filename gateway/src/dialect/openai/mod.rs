//! OpenAI's API, in reading order: its calls ([`api`]), the request ([`request`]), the plain answer and the error bodies
//! ([`answer`]), the streamed answer ([`stream`]), and what an upstream failure means ([`failure`]).

pub mod answer;
pub mod api;
pub mod failure;
pub mod limits;
pub mod request;
mod retry_after;
pub mod stream;

#[cfg(test)]
mod recorded;
