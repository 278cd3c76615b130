//! What the gateway needs to know of a chat-completions request, and the request as the upstream gets it.
//!
//! The body passes through byte for byte, so it is never rebuilt: [`peek`] validates it once with borrowed serde
//! and keeps ranges, [`rewrite`] splices two places. What is read here decides what is reserved and charged, so a
//! second reading by somebody else must not come out differently: a field that we read may stand in the body only
//! once, under its exact name (Go servers match names without regard to case), and its value must have the type
//! that OpenAI documents. Everything else is left to the upstream to judge.

use std::ops::Range;

use bytes::Bytes;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::dialect::json::{self, Cursor};

/// Deepest nesting of arrays and objects; what serde_json itself allows when it builds values.
const MAX_DEPTH: u32 = 128;
/// Longest model name, bytes: it is looked up, logged and quoted in errors.
const MAX_MODEL: usize = 256;
/// Largest believable output bound, tokens.
const MAX_TOKENS: u64 = 1 << 32;
/// Largest `n` that OpenAI documents.
const MAX_CHOICES: u64 = 128;

/// A request that cannot be served as written. Both texts are for the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRequest {
    /// What is wrong, in a sentence.
    pub message: String,
    /// The field, as OpenAI's error body names it.
    pub param: Option<&'static str>,
}

/// What the gateway reads of a request. The ranges are positions in the body that was peeked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peek {
    /// The model asked for.
    pub model: String,
    /// Its raw JSON value, quotes included.
    pub model_range: Range<usize>,
    /// The answer is to be streamed.
    pub stream: bool,
    /// The client asked for the usage chunk itself.
    pub include_usage: bool,
    /// The raw value of `stream_options`.
    pub stream_options: Option<Range<usize>>,
    /// The largest of the output bounds that the request sets, tokens per choice.
    pub max_output: Option<u64>,
    /// Choices asked for (`n`), at least 1.
    pub choices: u64,
    /// Tools or functions are offered.
    pub has_tools: bool,
    messages: Range<usize>,
    schemas: [Range<usize>; 3],
    usage_splice: Option<Splice>,
}

/// Puts `text` in place of `range`, to make a stream end with its usage.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Splice {
    range: Range<usize>,
    text: &'static str,
}

impl Peek {
    /// The raw `messages` array.
    pub fn messages<'a>(&self, body: &'a Bytes) -> &'a [u8] {
        body.get(self.messages.clone()).unwrap_or_default()
    }

    /// The raw `tools`, `functions` and `response_format`, empty where absent.
    pub fn schemas<'a>(&self, body: &'a Bytes) -> [&'a [u8]; 3] {
        self.schemas.clone().map(|range| body.get(range).unwrap_or_default())
    }
}

/// Reads and checks a request.
pub fn peek(body: &Bytes) -> Result<Peek, BadRequest> {
    let text = std::str::from_utf8(body)
        .map_err(|err| bad(None, format!("The request body is not UTF-8 at byte {}.", err.valid_up_to())))?;
    let fields = read_fields(text)?;
    bound_depth(body)?;

    let model_raw = fields.get(Field::Model).map(RawValue::get);
    let model = read_model(model_raw)?;
    let messages = read_messages(fields.get(Field::Messages))?;
    let stream = read_bool(fields.get(Field::Stream), "stream")?.unwrap_or(false);
    let options = StreamOptions::read(fields.get(Field::StreamOptions))?;
    let range = |raw: &str| range_in(text, raw);
    let model_range = range(model_raw.unwrap_or_default());
    let schemas = [Field::Tools, Field::Functions, Field::ResponseFormat]
        .map(|field| fields.get(field).map(|raw| range(raw.get())).unwrap_or_default());
    let usage_splice = (stream && !options.include_usage).then(|| options.splice(text, model_range.end));
    Ok(Peek {
        model,
        model_range,
        stream,
        include_usage: options.include_usage,
        stream_options: options.raw.map(range),
        max_output: read_max_output(&fields)?,
        choices: read_choices(fields.get(Field::Choices))?,
        has_tools: [Field::Tools, Field::Functions].iter().any(|f| non_empty_array(fields.get(*f))),
        messages: range(messages),
        schemas,
        usage_splice,
    })
}

/// The body for the upstream: its name of the model, and a stream that ends with its usage. All other bytes are
/// the client's; without a change it is the same buffer.
pub fn rewrite(body: &Bytes, peek: &Peek, upstream_model: &str) -> Bytes {
    let rename = peek.model != upstream_model;
    if !rename && peek.usage_splice.is_none() {
        return body.clone();
    }
    let usage = peek.usage_splice.as_ref();
    let usage_first = usage.is_some_and(|s| s.range.start < peek.model_range.start);
    let grown = usage.map_or(0, |s| s.text.len()) + json::string_len(upstream_model);
    let removed = usage.map_or(0, |s| s.range.len()) + peek.model_range.len();
    let size = if rename { body.len() + grown - removed } else { body.len() + grown };
    let mut out = Splicer { body, copied: 0, out: Vec::with_capacity(size) };
    if let Some(splice) = usage.filter(|_| usage_first) {
        out.replace(&splice.range, |buf| buf.extend_from_slice(splice.text.as_bytes()));
    }
    if rename {
        out.replace(&peek.model_range, |buf| json::push_string(buf, upstream_model));
    }
    if let Some(splice) = usage.filter(|_| !usage_first) {
        out.replace(&splice.range, |buf| buf.extend_from_slice(splice.text.as_bytes()));
    }
    out.finish()
}

struct Splicer<'a> {
    body: &'a [u8],
    copied: usize,
    out: Vec<u8>,
}

impl Splicer<'_> {
    fn replace(&mut self, range: &Range<usize>, write: impl FnOnce(&mut Vec<u8>)) {
        self.out.extend_from_slice(self.body.get(self.copied..range.start).unwrap_or_default());
        write(&mut self.out);
        self.copied = range.end;
    }

    fn finish(mut self) -> Bytes {
        self.out.extend_from_slice(self.body.get(self.copied..).unwrap_or_default());
        Bytes::from(self.out)
    }
}

// ---------------------------------------------------------------------------------------------------- fields

/// The members that we read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Field {
    Model,
    Messages,
    Stream,
    StreamOptions,
    MaxTokens,
    MaxCompletionTokens,
    MaxOutputTokens,
    Choices,
    Tools,
    Functions,
    ResponseFormat,
}

const FIELDS: [(Field, &str); 11] = [
    (Field::Model, "model"),
    (Field::Messages, "messages"),
    (Field::Stream, "stream"),
    (Field::StreamOptions, "stream_options"),
    (Field::MaxTokens, "max_tokens"),
    (Field::MaxCompletionTokens, "max_completion_tokens"),
    (Field::MaxOutputTokens, "max_output_tokens"),
    (Field::Choices, "n"),
    (Field::Tools, "tools"),
    (Field::Functions, "functions"),
    (Field::ResponseFormat, "response_format"),
];

/// The raw values of [`FIELDS`], and the first fault among the names.
#[derive(Default)]
struct Fields<'a> {
    values: [Option<&'a RawValue>; FIELDS.len()],
    fault: Option<BadRequest>,
}

impl<'a> Fields<'a> {
    /// The value of a field; `null` counts as a value here.
    fn get(&self, field: Field) -> Option<&'a RawValue> {
        self.values[field as usize]
    }

    fn fault(&mut self, field: &'static str, message: String) {
        self.fault.get_or_insert_with(|| bad(Some(field), message));
    }
}

fn read_fields(text: &str) -> Result<Fields<'_>, BadRequest> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let fields = reader.deserialize_map(FieldsVisitor).and_then(|fields| reader.end().map(|()| fields));
    let fields = fields.map_err(|err| {
        let what = if err.is_data() { "must be a JSON object" } else { "is not valid JSON" };
        bad(None, format!("The request body {what}: {err}."))
    })?;
    match fields.fault {
        Some(fault) => Err(fault),
        None => Ok(fields),
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
        let mut fields = Fields::default();
        while let Some(Key(known)) = map.next_key()? {
            let Known::Exactly(field, name) = known else {
                if let Known::Almost(name) = known {
                    fields.fault(name, format!("Unknown field that differs from '{name}' only in case."));
                }
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            if fields.values[field as usize].replace(map.next_value()?).is_some() {
                fields.fault(name, format!("Duplicate field '{name}'."));
            }
        }
        Ok(fields)
    }
}

/// A member's name, as far as we know it.
struct Key(Known);

enum Known {
    Exactly(Field, &'static str),
    /// Not the name, but a reader that ignores case takes it for it.
    Almost(&'static str),
    No,
}

impl<'de> serde::Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Key, D::Error> {
        struct NameVisitor;
        impl Visitor<'_> for NameVisitor {
            type Value = Key;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a member name")
            }

            fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Key, E> {
                Ok(Key(known(name)))
            }
        }
        reader.deserialize_str(NameVisitor)
    }
}

fn known(name: &str) -> Known {
    for (field, exact) in FIELDS {
        if name == exact {
            return Known::Exactly(field, exact);
        }
    }
    let folded = FIELDS.iter().find(|(_, exact)| same_when_folded(name, exact));
    folded.map_or(Known::No, |(_, exact)| Known::Almost(exact))
}

/// Equal without regard to case, as readers that fold Unicode see it: they also take U+017F for `s` and U+212A
/// for `k`.
fn same_when_folded(name: &str, exact: &str) -> bool {
    let fold = |c: char| match c {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        c => c.to_ascii_lowercase(),
    };
    name.chars().map(fold).eq(exact.chars())
}

// ---------------------------------------------------------------------------------------------------- values

/// `stream_options`: what it says of usage, and where.
#[derive(Default)]
struct StreamOptions<'a> {
    raw: Option<&'a str>,
    include_usage: bool,
    /// The raw value of `include_usage`.
    asked: Option<&'a str>,
    /// It is an object with members.
    has_members: bool,
}

impl<'a> StreamOptions<'a> {
    fn read(raw: Option<&'a RawValue>) -> Result<StreamOptions<'a>, BadRequest> {
        const NAME: &str = "stream_options";
        let Some(raw) = raw.map(RawValue::get) else { return Ok(StreamOptions::default()) };
        let mut options = StreamOptions { raw: Some(raw), ..StreamOptions::default() };
        if raw == "null" {
            return Ok(options);
        }
        if !raw.starts_with('{') {
            return Err(wrong_type(NAME, "an object", raw));
        }
        let members: Vec<(String, &RawValue)> =
            members_of(raw).map_err(|err| bad(Some(NAME), err.to_string()))?;
        options.has_members = !members.is_empty();
        for (name, value) in members {
            let exact = name == "include_usage";
            if !exact && same_when_folded(&name, "include_usage") || exact && options.asked.is_some() {
                return Err(bad(Some(NAME), "Duplicate or misspelt field 'include_usage'.".to_owned()));
            }
            if exact {
                options.include_usage =
                    read_bool(Some(value), "stream_options.include_usage")?.unwrap_or(false);
                options.asked = Some(value.get());
            }
        }
        Ok(options)
    }

    /// The change that asks for usage; `after_model` is where a member may be inserted.
    fn splice(&self, text: &str, after_model: usize) -> Splice {
        if let Some(asked) = self.asked {
            return Splice { range: range_in(text, asked), text: "true" };
        }
        match self.raw.map(|raw| range_in(text, raw)) {
            None => Splice {
                range: after_model..after_model,
                text: r#","stream_options":{"include_usage":true}"#,
            },
            Some(range) if self.raw == Some("null") => Splice { range, text: r#"{"include_usage":true}"# },
            Some(range) => {
                let inside = range.start + 1;
                let text =
                    if self.has_members { r#""include_usage":true,"# } else { r#""include_usage":true"# };
                Splice { range: inside..inside, text }
            }
        }
    }
}

/// The members of an object in order, duplicates included.
fn members_of(raw: &str) -> serde_json::Result<Vec<(String, &RawValue)>> {
    struct MembersVisitor;
    impl<'de> Visitor<'de> for MembersVisitor {
        type Value = Vec<(String, &'de RawValue)>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut members = Vec::new();
            while let Some(member) = map.next_entry()? {
                members.push(member);
            }
            Ok(members)
        }
    }
    serde_json::Deserializer::from_str(raw).deserialize_map(MembersVisitor)
}

fn read_model(raw: Option<&str>) -> Result<String, BadRequest> {
    const NAME: &str = "model";
    let raw = raw
        .filter(|raw| *raw != "null")
        .ok_or_else(|| bad(Some(NAME), "You must provide a model parameter.".to_owned()))?;
    if !raw.starts_with('"') {
        return Err(wrong_type(NAME, "a string", raw));
    }
    let model: String = serde_json::from_str(raw)
        .map_err(|_| bad(Some(NAME), "Invalid 'model': the string holds a lone surrogate.".to_owned()))?;
    if model.is_empty() || model.len() > MAX_MODEL {
        return Err(bad(Some(NAME), format!("Invalid 'model': it must be 1 to {MAX_MODEL} bytes long.")));
    }
    Ok(model)
}

fn read_messages(raw: Option<&RawValue>) -> Result<&str, BadRequest> {
    const NAME: &str = "messages";
    match raw.map(RawValue::get) {
        None | Some("null") => Err(bad(Some(NAME), "Missing required parameter: 'messages'.".to_owned())),
        Some(raw) if !raw.starts_with('[') => Err(wrong_type(NAME, "an array of objects", raw)),
        Some(raw) if !non_empty(raw) => {
            Err(bad(Some(NAME), "Invalid 'messages': empty array. Expected at least one message.".to_owned()))
        }
        Some(raw) => Ok(raw),
    }
}

fn read_bool(raw: Option<&RawValue>, name: &'static str) -> Result<Option<bool>, BadRequest> {
    match raw.map(RawValue::get) {
        None | Some("null") => Ok(None),
        Some("true") => Ok(Some(true)),
        Some("false") => Ok(Some(false)),
        Some(raw) => Err(wrong_type(name, "a boolean", raw)),
    }
}

/// A whole number between `least` and `most`.
fn read_count(
    raw: Option<&RawValue>,
    name: &'static str,
    least: u64,
    most: u64,
) -> Result<Option<u64>, BadRequest> {
    let Some(raw) = raw.map(RawValue::get).filter(|raw| *raw != "null") else { return Ok(None) };
    let digits = raw.strip_prefix('-').unwrap_or(raw);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(wrong_type(name, "an integer", raw));
    }
    match raw.parse::<u64>() {
        Ok(count) if (least..=most).contains(&count) => Ok(Some(count)),
        _ => Err(bad(
            Some(name),
            format!("Invalid '{name}': integer out of range. Expected {least} to {most}."),
        )),
    }
}

/// The largest bound that any reader of the body could honour. Only OpenAI's own two names make a bound; the name
/// from the Responses API can raise it, but an upstream that does not know that name would generate past it.
fn read_max_output(fields: &Fields<'_>) -> Result<Option<u64>, BadRequest> {
    let read = |field, name| read_count(fields.get(field), name, 0, MAX_TOKENS);
    let own =
        read(Field::MaxTokens, "max_tokens")?.max(read(Field::MaxCompletionTokens, "max_completion_tokens")?);
    let other = read(Field::MaxOutputTokens, "max_output_tokens")?;
    Ok(own.map(|own| own.max(other.unwrap_or(0))))
}

fn read_choices(raw: Option<&RawValue>) -> Result<u64, BadRequest> {
    Ok(read_count(raw, "n", 1, MAX_CHOICES)?.unwrap_or(1))
}

fn non_empty_array(raw: Option<&RawValue>) -> bool {
    raw.is_some_and(|raw| raw.get().starts_with('[') && non_empty(raw.get()))
}

/// Does a raw array or object have content? The first byte behind the bracket that is not white space tells.
fn non_empty(raw: &str) -> bool {
    let inside = raw.get(1..).unwrap_or_default();
    !matches!(Cursor::new(inside.as_bytes()).next_byte(), None | Some(b']' | b'}'))
}

/// Refuses nesting that a recursive reader behind us might not survive. serde_json skips values without recursion
/// and without a bound. The count of brackets settles nearly every body at the speed of a vector loop.
fn bound_depth(body: &[u8]) -> Result<(), BadRequest> {
    // 0x20 is all that '[' and '{' differ in.
    let opened = body.chunks(128).map(|part| part.iter().map(|b| u8::from(b | 0x20 == b'{')).sum::<u8>());
    if opened.map(u32::from).sum::<u32>() <= MAX_DEPTH {
        return Ok(());
    }
    let mut depth = 0u32;
    let mut at = 0;
    while let Some(&byte) = body.get(at) {
        match byte {
            b'"' => at = json::end_of_string(body, at + 1).unwrap_or(body.len()),
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return Err(bad(None, format!("The request body nests deeper than {MAX_DEPTH} levels.")));
        }
        at += 1;
    }
    Ok(())
}

/// Where `part`, a slice of `text`, stands in it.
fn range_in(text: &str, part: &str) -> Range<usize> {
    let start = (part.as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
    start..start + part.len()
}

fn wrong_type(name: &'static str, expected: &str, raw: &str) -> BadRequest {
    let got = match raw.as_bytes().first() {
        Some(b'"') => "a string",
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "another number",
    };
    bad(Some(name), format!("Invalid type for '{name}': expected {expected}, but got {got} instead."))
}

fn bad(param: Option<&'static str>, message: String) -> BadRequest {
    BadRequest { message, param }
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
