//! What is wrong with a request, said as the API says it whose client reads it.

use crate::dialect::voice::Voice;

/// A request that cannot be served as written. Both texts are for the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRequest {
    /// What is wrong, in a sentence.
    pub message: String,
    /// The field, as its API's error body names it.
    pub param: Option<&'static str>,
}

/// What a value should have been.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Bool,
    Integer,
    Text,
    Object,
    Array,
    Objects,
    TextOrItems,
}

/// What is wrong with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flaw<'a> {
    Missing,
    /// Not of this shape: the raw value that stands there.
    Not(Shape, &'a str),
    /// A number that is not in these bounds, ends included.
    Outside(u64, u64),
    /// It stands there more than once, or under two spellings.
    Twice,
    /// A name that differs in case alone.
    Case,
}

/// Says it.
pub(super) fn flawed(voice: Voice, name: &'static str, flaw: Flaw<'_>) -> BadRequest {
    bad(
        Some(name),
        match voice {
            Voice::OpenAi => openai(name, flaw),
            Voice::Anthropic => anthropic(name, flaw),
            Voice::Google => google(name, flaw),
        },
    )
}

fn openai(name: &str, flaw: Flaw<'_>) -> String {
    match flaw {
        Flaw::Missing => format!("Missing required parameter: '{name}'."),
        Flaw::Not(shape, raw) => {
            let (expected, got) = (expected(shape), found(raw));
            format!("Invalid type for '{name}': expected {expected}, but got {got} instead.")
        }
        Flaw::Outside(least, most) => {
            format!("Invalid '{name}': integer out of range. Expected {least} to {most}.")
        }
        Flaw::Twice => format!("Duplicate field '{name}'."),
        Flaw::Case => format!("Unknown field that differs from '{name}' only in case."),
    }
}

/// Its API is written with pydantic, and repeats what that says.
fn anthropic(name: &str, flaw: Flaw<'_>) -> String {
    match flaw {
        Flaw::Missing => format!("{name}: Field required"),
        Flaw::Not(shape, _) => {
            let shape = match shape {
                Shape::Bool => "boolean",
                Shape::Integer => "integer",
                Shape::Text => "string",
                Shape::Object => "dictionary",
                Shape::Array | Shape::Objects => "list",
                Shape::TextOrItems => "string or list",
            };
            format!("{name}: Input should be a valid {shape}")
        }
        Flaw::Outside(least, most) => format!("{name}: Input should be between {least} and {most}"),
        Flaw::Twice => format!("{name}: Field is given more than once"),
        Flaw::Case => format!("{name}: Field is spelt with other letters than these"),
    }
}

fn google(name: &str, flaw: Flaw<'_>) -> String {
    match flaw {
        Flaw::Missing => format!("{name} is not specified."),
        Flaw::Not(shape, raw) => {
            format!("Invalid value at '{name}': expected {}, but got {}.", expected(shape), found(raw))
        }
        Flaw::Outside(least, most) => {
            format!("Invalid value at '{name}': it must be from {least} to {most}.")
        }
        Flaw::Twice => format!("Invalid JSON payload received. Field '{name}' is given more than once."),
        Flaw::Case => {
            format!("Invalid JSON payload received. Unknown name that differs from '{name}' only in case.")
        }
    }
}

fn expected(shape: Shape) -> &'static str {
    match shape {
        Shape::Bool => "a boolean",
        Shape::Integer => "an integer",
        Shape::Text => "a string",
        Shape::Object => "an object",
        Shape::Array => "an array",
        Shape::Objects => "an array of objects",
        Shape::TextOrItems => "a string or an array of items",
    }
}

fn found(raw: &str) -> &'static str {
    match raw.as_bytes().first() {
        Some(b'"') => "a string",
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "another number",
    }
}

pub(super) fn bad(param: Option<&'static str>, message: String) -> BadRequest {
    BadRequest { message, param }
}
