//! OpenAI's API as bytes that pass, in reading order: its calls ([`api`]), the request ([`request`]), the plain answer and
//! the error bodies ([`answer`]), and the streamed answer ([`stream`]).

pub mod answer;
pub mod api;
pub mod limits;
pub mod request;
pub mod stream;

#[cfg(test)]
mod recorded;
