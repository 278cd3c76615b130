//! A conversation in no dialect: what a client asks ([`request`]), what a model answers ([`answer`]), and the same in a
//! stream ([`event`]). Each dialect reads its own wire format into these and writes them; none knows of another.
//!
//! Nothing is lost between two sides of one dialect, for there bytes pass wherever they can. Between two dialects all that
//! both can say is kept; what only one can say stays in [`Extra`] or [`Part::Foreign`] under its dialect's name, and whoever writes another
//! dialect leaves it out. What all can say but only its maker understands (a signature, a file's id) is an [`Own`].

pub mod answer;
pub(in crate::dialect) mod base64;
pub(in crate::dialect) mod carry;
pub mod event;
pub(in crate::dialect) mod fields;
pub(in crate::dialect) mod ids;
pub mod own;
pub mod request;
pub mod shared_list;
pub mod tier;

use serde::{Deserialize, Serialize};

pub use answer::{Answer, Choice, Failed, Finish};
pub use event::{Delta, Event, Opening};
pub use own::Own;
pub use request::{
    Cache, Call, Citation, Effort, Extra, Format, Media, MediaKind, Message, Part, Piece, Reasoning, Request,
    Role, Source, Thinking, Tool, ToolChoice, ToolKind, ToolResult,
};
pub use shared_list::SharedList;

/// The dialects that can carry a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// OpenAI Chat Completions.
    Chat,
    /// OpenAI Responses.
    Responses,
    /// Anthropic Messages.
    Messages,
    /// Gemini generateContent.
    Gemini,
    /// Bedrock Converse.
    Converse,
}

/// Why something cannot be read in, or said in, a dialect. The text is for the client: a sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refused {
    /// What is wrong.
    pub message: String,
    /// The field, as the client wrote it (`messages[0].content`), if it is one.
    pub field: Option<String>,
}

impl Refused {
    /// Of the field `field`.
    pub fn field(field: impl Into<String>, message: impl Into<String>) -> Refused {
        Refused { message: message.into(), field: Some(field.into()) }
    }

    /// Of the whole.
    pub fn whole(message: impl Into<String>) -> Refused {
        Refused { message: message.into(), field: None }
    }
}
