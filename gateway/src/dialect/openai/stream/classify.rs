//! What one event of a streamed answer means for the call: chat and legacy completions.
//!
//! Three questions decide what happens with it: is it the first thing that a client would act on (until then a
//! failed attempt may still move to another candidate unseen), does it carry the usage that settles the call, and
//! is it an error. They are asked of every event of every stream, so the members that answer them are picked out
//! with a [`Cursor`] in one walk over the bytes: no allocation, no value built, and text inside a string cannot be
//! mistaken for a member.

use super::{Begun, Event};
use crate::dialect::json::Cursor;
use crate::dialect::openai::answer::{self, Service, UpstreamError, Usage};

/// What an event carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chunk {
    /// A keep-alive: no data.
    Comment,
    /// Data without anything that a client would act on: the role, empty deltas, filter results of the prompt.
    NoContent,
    /// Text, reasoning, a refusal, a tool call, audio or the reason of the end.
    Content {
        /// Bytes of generated text in it, as written in JSON.
        output_bytes: usize,
    },
    /// The usage so far; the last one counts.
    Usage {
        /// What it says.
        usage: Usage,
        /// It carries nothing else, so a client that did not ask for it must not see it.
        choices_empty: bool,
        /// It also carries what [`Chunk::Content`] would.
        content: bool,
        /// As in [`Chunk::Content`].
        output_bytes: usize,
    },
    /// A response was begun.
    Begun(Begun),
    /// A response is whole.
    Finished {
        /// What it used, if it says so.
        usage: Option<Usage>,
    },
    /// The upstream failed after its 200.
    Error(StreamError),
    /// `[DONE]`.
    Done,
}

/// An error inside a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamError {
    /// As the upstream words it.
    pub error: UpstreamError,
    /// The HTTP status it would have been, where it says so.
    pub status: Option<u16>,
}

impl Chunk {
    /// Would a client act on it?
    pub fn is_content(&self) -> bool {
        match self {
            Chunk::Content { .. } | Chunk::Finished { .. } => true,
            Chunk::Usage { content, .. } => *content,
            Chunk::Comment | Chunk::NoContent | Chunk::Begun(_) | Chunk::Error(_) | Chunk::Done => false,
        }
    }

    fn output_bytes(&self) -> usize {
        match self {
            Chunk::Content { output_bytes } | Chunk::Usage { output_bytes, .. } => *output_bytes,
            Chunk::Comment
            | Chunk::NoContent
            | Chunk::Begun(_)
            | Chunk::Finished { .. }
            | Chunk::Error(_)
            | Chunk::Done => 0,
        }
    }
}

/// How much output a stream has delivered, for one that ends before its usage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delivered {
    /// Chunks with text in them.
    pub chunks: u64,
    /// Bytes of text.
    pub bytes: u64,
}

impl Delivered {
    /// Counts a chunk.
    pub fn add(&mut self, chunk: &Chunk) {
        let bytes = chunk.output_bytes() as u64;
        self.chunks += u64::from(bytes > 0);
        self.bytes += bytes;
    }

    /// Tokens delivered, on the high side: a provider does not put less than a token into a chunk, and text comes
    /// to more than three bytes a token but for noise. (Recorded streams: 7 % above what their usage says.)
    pub fn tokens(&self) -> u64 {
        self.chunks.max(self.bytes.div_ceil(3))
    }
}

/// Reads an event.
pub(super) fn classify(event: &Event) -> Chunk {
    let Some(data) = event.data() else { return Chunk::Comment };
    let data = data.trim_ascii();
    if data == b"[DONE]" {
        return Chunk::Done;
    }
    let mut seen = Seen::default();
    let whole = Cursor::new(data).members(|cursor, key| seen.member(cursor, key));
    if seen.error || event.is_named(b"error") {
        return Chunk::Error(StreamError::read(data));
    }
    // Bytes that are not an object pass like a role chunk: the client sees them, the attempt is not decided by
    // them.
    let usage = seen.usage.map(|usage| Usage { service: seen.service, ..usage });
    match (whole, usage) {
        (None, _) => Chunk::NoContent,
        (Some(()), Some(usage)) => Chunk::Usage {
            usage,
            choices_empty: !seen.choices,
            content: seen.content,
            output_bytes: seen.output_bytes,
        },
        (Some(()), None) if seen.content => Chunk::Content { output_bytes: seen.output_bytes },
        (Some(()), None) => Chunk::NoContent,
    }
}

/// What the walk over one chunk found.
#[derive(Default)]
struct Seen {
    usage: Option<Usage>,
    service: Service,
    error: bool,
    choices: bool,
    content: bool,
    output_bytes: usize,
}

impl Seen {
    fn member<'a>(&mut self, cursor: &mut Cursor<'a>, key: &'a [u8]) -> Option<()> {
        match key {
            b"choices" if cursor.next_byte()? == b'[' => cursor.elements(|cursor| self.choice(cursor)),
            b"usage" if cursor.next_byte()? == b'{' => {
                self.usage = Usage::read(cursor)?;
                Some(())
            }
            b"service_tier" => {
                self.service = answer::read_service(cursor)?;
                Some(())
            }
            b"error" => {
                self.error |= !is_empty(cursor.value()?);
                Some(())
            }
            // Mistral and old vLLM put an error's members at the top.
            b"object" => {
                self.error |= cursor.value()? == br#""error""#;
                Some(())
            }
            _ => cursor.skip(),
        }
    }

    fn choice(&mut self, cursor: &mut Cursor<'_>) -> Option<()> {
        self.choices = true;
        if cursor.next_byte()? != b'{' {
            return cursor.skip();
        }
        cursor.members(|cursor, key| match key {
            b"delta" if cursor.next_byte()? == b'{' => cursor.members(|cursor, key| self.delta(cursor, key)),
            b"finish_reason" => {
                self.content |= !is_empty(cursor.value()?);
                Some(())
            }
            // Legacy completions have no delta.
            b"text" => {
                let value = cursor.value()?;
                if !is_empty(value) {
                    self.content = true;
                    self.output_bytes += text_bytes(value);
                }
                Some(())
            }
            _ => cursor.skip(),
        })
    }

    fn delta<'a>(&mut self, cursor: &mut Cursor<'a>, key: &'a [u8]) -> Option<()> {
        let value = cursor.value()?;
        match key {
            b"content" | b"refusal" | b"reasoning_content" | b"reasoning" | b"thinking" | b"tool_calls"
            | b"function_call" | b"audio"
                if !is_empty(value) =>
            {
                self.content = true;
                self.output_bytes += text_bytes(value);
            }
            // Their text, if any, also stands in one of the members above.
            b"reasoning_details" | b"annotations" | b"images" if !is_empty(value) => self.content = true,
            _ => {}
        }
        Some(())
    }
}

/// `null`, an empty string, an empty array or an empty object.
fn is_empty(value: &[u8]) -> bool {
    match value {
        b"null" | b"\"\"" | b"[]" | b"{}" => true,
        [b'[' | b'{', inside @ .., _] => inside.trim_ascii().is_empty(),
        _ => false,
    }
}

/// The bytes of generated text in a value: a string, or the strings in its parts except those that only label
/// them.
pub(super) fn text_bytes(value: &[u8]) -> usize {
    let mut total = 0;
    add_text(&mut Cursor::new(value), 0, &mut total);
    total
}

fn add_text(cursor: &mut Cursor<'_>, depth: u32, total: &mut usize) -> Option<()> {
    const DEEPEST: u32 = 8;
    match cursor.next_byte()? {
        b'"' => *total += cursor.string()?.len(),
        b'[' if depth < DEEPEST => cursor.elements(|cursor| add_text(cursor, depth + 1, total))?,
        b'{' if depth < DEEPEST => cursor.members(|cursor, key| match key {
            b"type" | b"id" | b"index" | b"format" | b"signature" => cursor.skip(),
            _ => add_text(cursor, depth + 1, total),
        })?,
        _ => cursor.skip()?,
    }
    Some(())
}

impl StreamError {
    /// The error that a plain answer is in spite of its 200; `None` if it answers.
    pub fn in_answer(body: &[u8]) -> Option<StreamError> {
        let (mut error, mut answers) = (false, false);
        Cursor::new(body).members(|cursor, key| {
            let value = cursor.value()?;
            match key {
                b"error" => error |= !is_empty(value),
                b"object" => error |= value == br#""error""#,
                b"choices" | b"data" | b"results" | b"output" => answers = true,
                _ => {}
            }
            Some(())
        })?;
        (error && !answers).then(|| StreamError::read(body))
    }

    pub(super) fn read(data: &[u8]) -> StreamError {
        const SHOWN: usize = 500;
        const READ: usize = 64 << 10; // an error that is larger is none that anybody reads
        let text = || String::from_utf8_lossy(data.get(..SHOWN).unwrap_or(data)).into_owned();
        let unknown = || UpstreamError { message: text(), ..UpstreamError::default() };
        if data.len() > READ {
            return StreamError { error: unknown(), status: None };
        }
        StreamError { error: answer::parse_error(data).unwrap_or_else(unknown), status: status_of(data) }
    }
}

/// The status inside an error: `code` (OpenRouter), `status_code` (Groq) or `status`, where it is a number.
fn status_of(data: &[u8]) -> Option<u16> {
    let whole: serde_json::Value = serde_json::from_slice(data).ok()?;
    let error = whole.get("error").filter(|error| error.is_object()).unwrap_or(&whole);
    ["status_code", "status", "code"].iter().find_map(|name| {
        let value = error.get(name)?;
        let number = value.as_u64().or_else(|| value.as_str()?.parse().ok())?;
        u16::try_from(number).ok().filter(|status| (400..600).contains(status))
    })
}

#[cfg(test)]
#[path = "classify_tests.rs"]
mod tests;
