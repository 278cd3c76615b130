//! Requests, read and written.

mod messages_read;
mod messages_write;
mod options;
mod read;
mod text_alone;
mod thinking;
mod tools;
mod write;

use serde_json::{Map, Value};

use crate::dialect::talk::{Refused, Request};

pub use read::read_request;
pub use text_alone::{body_of_texts, texts};

/// What a provider takes of what the dialect can say. The default is all of it, as OpenAI words it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manners {
    /// `cache_control` on parts and tools (OpenRouter, LiteLLM, DashScope; others may refuse the field).
    pub cache_marks: bool,
    /// Several texts as a list of parts; else they are joined to one string (DeepSeek, older servers of open models).
    pub parts: bool,
    /// Reasoning of earlier turns (`reasoning_content`, `reasoning_details`; some servers refuse the fields).
    pub reasoning: bool,
    /// The role `developer`; else its messages are `system`'s (DeepSeek, Mistral, most servers of open models).
    pub developer: bool,
    /// `max_completion_tokens`; else `max_tokens` (Mistral, DeepSeek, older servers), unless the client said it itself.
    pub max_completion_tokens: bool,
    /// `top_k` of clients of other dialects (OpenRouter, servers of open models; OpenAI refuses it).
    pub top_k: bool,
}

impl Default for Manners {
    fn default() -> Manners {
        Manners {
            cache_marks: true,
            parts: true,
            reasoning: true,
            developer: true,
            max_completion_tokens: true,
            top_k: false,
        }
    }
}

/// Writes a request's body, model included, for a provider that takes all that the dialect can say.
pub fn write_request(request: &Request) -> Result<Value, Refused> {
    write_request_for(request, Manners::default())
}

/// Writes a request's body for a provider of these manners.
pub fn write_request_for(request: &Request, manners: Manners) -> Result<Value, Refused> {
    write::write(request, manners)
}

/// Writes all of such a body but its `messages`.
pub fn write_settings(request: &Request, manners: Manners) -> Result<Map<String, Value>, Refused> {
    write::write_settings(request, manners)
}
