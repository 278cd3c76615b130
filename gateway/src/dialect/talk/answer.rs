//! What a model answers.

use serde_json::Value;

use super::request::{Extra, Piece};
use super::{Dialect, Own};
use crate::dialect::openai::answer::Usage;

/// A whole answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// Its id, as the provider made it.
    pub id: String,
    /// The model that answered.
    pub model: String,
    /// When, Unix seconds, if it is said.
    pub created: Option<u64>,
    /// As many as were asked for.
    pub choices: Vec<Choice>,
    /// The provider failed, in its own words; what it had said by then stands in `choices`. To a client this is an error,
    /// not an answer.
    pub failed: Option<Failed>,
    /// What it used, if it is said.
    pub usage: Option<Usage>,
    /// The tier of service that was given.
    pub service_tier: Option<Own<String>>,
    /// What only one dialect can say.
    pub extra: Extra,
}

/// A failure that is told in the place of an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failed {
    /// The provider's own kind of error (`server_error`), or empty.
    pub kind: String,
    /// Its words.
    pub message: String,
}

impl Failed {
    /// With words, if the provider has some.
    pub fn new(kind: String, message: String) -> Failed {
        let message = if message.is_empty() { "The provider gave no reason.".to_owned() } else { message };
        Failed { kind, message }
    }
}

/// One of the answers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Choice {
    /// Which, from 0.
    pub index: u64,
    /// What the model says, in its order: reasoning, text, calls.
    pub pieces: Vec<Piece>,
    /// Why it ended; none if it did not yet, or nobody said.
    pub finish: Option<Finish>,
    /// Log probabilities of its tokens, if they were asked for: Chat's `logprobs.content`.
    pub logprobs: Vec<Value>,
    /// What only one dialect can say.
    pub extra: Extra,
}

/// Why an answer ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finish {
    /// The model had said all.
    Stop,
    /// It wrote one of the texts that end the answer: which, if it is said.
    StopText(Option<String>),
    /// The longest answer was reached.
    Length,
    /// The model's context was full.
    Context,
    /// It calls tools.
    Calls,
    /// A filter of the provider's held the answer, or the prompt, back.
    Filtered,
    /// The model declines.
    Refused,
    /// The provider paused a long turn: sending it back continues it (Anthropic: `pause_turn`).
    Paused,
    /// The model wrote a call that nobody can read (Gemini: `MALFORMED_FUNCTION_CALL`).
    Malformed,
    /// Something else, in the provider's word. To clients of other dialects it is a plain end: their SDKs refuse an answer
    /// with a word that they do not know.
    Other(Own<String>),
}

impl Finish {
    /// Something else, in a word of `dialect`.
    pub fn other(dialect: Dialect, word: impl Into<String>) -> Finish {
        Finish::Other(Own::new(dialect, word))
    }
}
