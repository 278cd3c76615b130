//! An answer in a stream.
//!
//! A choice's pieces are numbered from 0 in the order in which they begin. A reader gives every piece an [`Event::Begin`]
//! before its deltas and an [`Event::End`] behind them; two pieces of one choice may be open at once (Chat: parallel calls).
//! [`Event::Finish`] comes once for each choice, [`Event::Usage`] any number of times (the last one counts, even if it
//! is lower), [`Event::Done`] once, at the end that the dialect prescribes.

use serde_json::Value;

use super::Own;
use super::answer::Finish;
use super::request::{Citation, Extra, Piece};
use crate::dialect::openai::answer::Usage;

/// One step of a streamed answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The answer begins. Comes first, and once.
    Start {
        /// Its id, as the provider made it.
        id: String,
        /// The model that answers.
        model: String,
        /// When, Unix seconds, if it is said.
        created: Option<u64>,
        /// The tier of service, if it is said.
        service_tier: Option<Own<String>>,
    },
    /// A piece begins.
    Begin {
        /// Which choice.
        choice: u64,
        /// Which of its pieces.
        piece: usize,
        /// What it will be.
        opening: Opening,
    },
    /// More of a piece.
    Delta {
        /// Which choice.
        choice: u64,
        /// Which of its pieces.
        piece: usize,
        /// What is added.
        delta: Delta,
    },
    /// A piece is complete.
    End {
        /// Which choice.
        choice: u64,
        /// Which of its pieces.
        piece: usize,
    },
    /// A choice is complete.
    Finish {
        /// Which choice.
        choice: u64,
        /// Why.
        finish: Finish,
    },
    /// Log probabilities of tokens that a choice's text was lengthened by: Chat's `logprobs.content`.
    Logprobs {
        /// Which choice.
        choice: u64,
        /// One for each token.
        tokens: Vec<Value>,
    },
    /// What was used so far.
    Usage(Usage),
    /// What is said of the whole answer, besides, at its end; before [`Event::Done`].
    About {
        /// The tier of service, if it is only now known, or another than the start said.
        service_tier: Option<Own<String>>,
        /// What only one dialect can say.
        extra: Extra,
    },
    /// Nothing: the provider shows that it lives.
    Ping,
    /// The provider reports a failure inside the stream; nothing follows.
    Failed {
        /// The provider's own kind of error (`overloaded_error`), or empty.
        kind: String,
        /// Its words.
        message: String,
    },
    /// The answer is complete.
    Done,
}

/// How a piece begins.
#[derive(Clone, Debug, PartialEq)]
pub enum Opening {
    /// Text.
    Text,
    /// Reasoning, with its id if it has one (Responses).
    Reasoning {
        /// The id.
        id: Option<String>,
    },
    /// A call.
    Call {
        /// What the result will name; may be empty (Gemini).
        id: String,
        /// The tool.
        name: String,
        /// It takes text instead of JSON.
        custom: bool,
        /// What proves that the model wrote it, if that is known so early; else it comes as a delta.
        signature: Option<Own<String>>,
    },
    /// The model declines.
    Refusal,
    /// A piece that comes whole: media, or what only one dialect can say. No delta follows.
    Whole(Box<Piece>),
}

/// What is added to a piece.
#[derive(Clone, Debug, PartialEq)]
pub enum Delta {
    /// To text, reasoning or a refusal.
    Text(String),
    /// To a summary of reasoning (Responses): which one, from 0.
    Summary(usize, String),
    /// To a call's arguments.
    Arguments(String),
    /// A signature over the piece, whole or in parts.
    Signature(Own<String>),
    /// Reasoning that is told only encrypted.
    Encrypted(Own<String>),
    /// A source that the text cites.
    Citation(Box<Citation>),
}
