//! What the gateway needs to know of a request, and the request as the upstream gets it.
//!
//! The body passes through byte for byte, so it is never rebuilt: [`peek`] validates it once with borrowed serde
//! and keeps ranges, [`rewrite`] splices a place or two. What is read here decides what is reserved and charged, so a
//! second reading by somebody else must not come out differently: a field that we read may stand in the body only
//! once, under its exact name (Go servers match names without regard to case), and its value must have the type
//! that its API documents. Everything else is left to the upstream to judge.
//!
//! What is read of each API's calls: [`openai`], [`messages`], [`gemini`].

mod continues;
mod depth;
mod fields;
mod flaw;
mod gemini;
mod hints;
mod input;
mod messages;
mod openai;
mod prefix;
mod rewrite;
mod uses;
mod values;
mod words;

use std::ops::Range;

use bytes::Bytes;

use super::ability::Abilities;
use super::api::Api;
use super::openai::answer::Service;
use super::voice::Voice;
pub use continues::Continues;
use fields::read_fields;
pub use flaw::BadRequest;
use flaw::bad;
use hints::Hinted;
pub use hints::{Hint, Hints};
pub use input::Input;
use rewrite::{Names, Splice};
pub use rewrite::{rename, rewrite};
pub use words::{Pairs, Words, read_metadata, read_words};

/// What the path of a call says.
#[derive(Clone, Copy, Debug, Default)]
pub struct InPath<'a> {
    /// The model, in place of one in the body.
    pub model: Option<&'a str>,
    /// Google's: the answer is to be streamed.
    pub stream: bool,
}

/// What the gateway reads of a request. What it keeps of positions is meant for the body that was peeked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peek {
    /// Which call it is.
    pub api: Api,
    /// The model asked for.
    pub model: String,
    /// The answer is to be streamed.
    pub stream: bool,
    /// The client asked for the usage chunk itself, or gets usage anyway.
    pub include_usage: bool,
    /// The largest of the output bounds that the request sets, tokens per choice; 0 if it generates nothing.
    pub max_output: Option<u64>,
    /// Choices asked for, at least 1.
    pub choices: u64,
    /// Tools or functions are offered.
    pub has_tools: bool,
    /// In which way it asks to be served.
    pub service: Service,
    /// What it asks of a model, by its members.
    pub uses: Abilities,
    /// What it continues that a provider has kept.
    pub continues: Option<Continues>,
    /// The provider keeps the answer, for later calls to refer to.
    pub kept: bool,
    /// The answer is made after the call has ended.
    pub background: bool,
    input: Input,
    hinted: Hinted,
    names: Names,
    usage_splice: Option<Splice>,
}

impl Peek {
    /// What is put before the model, for its weight.
    pub fn input(&self) -> &Input {
        &self.input
    }
}

/// Reads and checks the body of a call.
pub fn peek(api: Api, body: &Bytes, path: InPath<'_>) -> Result<Peek, BadRequest> {
    let text = std::str::from_utf8(body)
        .map_err(|err| bad(None, format!("The request body is not UTF-8 at byte {}.", err.valid_up_to())))?;
    let fields = read_fields(api, text)?;
    depth::bound(body)?;
    match api.voice() {
        Voice::OpenAi => openai::peek(api, text, &fields, path.model),
        Voice::Anthropic => messages::peek(api, text, &fields, path.model),
        Voice::Google => gemini::peek(api, text, &fields, path),
    }
}

/// Where `part`, a slice of `text`, stands in it.
fn range_in(text: &str, part: &str) -> Range<usize> {
    let start = (part.as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
    start..start + part.len()
}

#[cfg(test)]
mod gemini_tests;
#[cfg(test)]
mod messages_tests;
#[cfg(test)]
mod property_tests;
#[cfg(test)]
mod recorded_tests;
#[cfg(test)]
mod tests;
