//! The members of a request by name. A member that we read may be there once, under its exact name: what one
//! reader overlooks and another takes is how limits are got round. (Hints are no part of that: nothing is counted by them.)

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::flaw::{BadRequest, Flaw, bad, flawed};
use crate::dialect::api::Api;
use crate::dialect::voice::Voice;

/// The members that we read of any call.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
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
    Prompt,
    Suffix,
    BestOf,
    Input,
    Query,
    Documents,
    Instructions,
    Text,
    PreviousResponse,
    Conversation,
    Store,
    Background,
    System,
    OutputConfig,
    Prefill,
    Contents,
    Config,
    ResponseJsonSchema,
    Counted,
    Requests,
    Cached,
    Fallbacks,
    ReasoningEffort,
    Reasoning,
    Thinking,
    Metadata,
    Service,
    Speed,
    CacheKey,
    UserId,
    SafetyIdentifier,
    User,
}

const FIELD_COUNT: usize = Field::User as usize + 1;

impl Field {
    /// It decides where a call had best go, and nothing else: how often it stands there is the upstream's to judge.
    fn is_hint(self) -> bool {
        matches!(self, Field::CacheKey | Field::UserId | Field::SafetyIdentifier | Field::User)
    }
}

/// A member and its name.
pub(super) type Named = (Field, &'static str);

const CHAT: &[Named] = &[
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
    (Field::ReasoningEffort, "reasoning_effort"),
    (Field::Service, "service_tier"),
    (Field::CacheKey, "prompt_cache_key"),
    (Field::SafetyIdentifier, "safety_identifier"),
    (Field::User, "user"),
];

const COMPLETIONS: &[Named] = &[
    (Field::Model, "model"),
    (Field::Prompt, "prompt"),
    (Field::Suffix, "suffix"),
    (Field::Stream, "stream"),
    (Field::StreamOptions, "stream_options"),
    (Field::MaxTokens, "max_tokens"),
    (Field::MaxCompletionTokens, "max_completion_tokens"),
    (Field::MaxOutputTokens, "max_output_tokens"),
    (Field::Choices, "n"),
    (Field::BestOf, "best_of"),
    (Field::Service, "service_tier"),
    (Field::User, "user"),
];

const EMBEDDINGS: &[Named] =
    &[(Field::Model, "model"), (Field::Input, "input"), (Field::Service, "service_tier")];

const RERANK: &[Named] = &[(Field::Model, "model"), (Field::Query, "query"), (Field::Documents, "documents")];

const RESPONSES: &[Named] = &[
    (Field::Model, "model"),
    (Field::Input, "input"),
    (Field::Instructions, "instructions"),
    (Field::Stream, "stream"),
    (Field::MaxOutputTokens, "max_output_tokens"),
    (Field::MaxTokens, "max_tokens"),
    (Field::MaxCompletionTokens, "max_completion_tokens"),
    (Field::Tools, "tools"),
    (Field::Text, "text"),
    (Field::PreviousResponse, "previous_response_id"),
    (Field::Conversation, "conversation"),
    (Field::Store, "store"),
    (Field::Background, "background"),
    (Field::Reasoning, "reasoning"),
    (Field::Service, "service_tier"),
    (Field::CacheKey, "prompt_cache_key"),
    (Field::SafetyIdentifier, "safety_identifier"),
    (Field::User, "user"),
];

const MESSAGES: &[Named] = &[
    (Field::Model, "model"),
    (Field::Messages, "messages"),
    (Field::System, "system"),
    (Field::MaxTokens, "max_tokens"),
    (Field::Stream, "stream"),
    (Field::Tools, "tools"),
    (Field::OutputConfig, "output_config"),
    (Field::ResponseFormat, "output_format"), // as the beta had it
    (Field::Prefill, "prefill"),
    (Field::Fallbacks, "fallbacks"),
    (Field::Thinking, "thinking"),
    (Field::Service, "service_tier"),
    (Field::Speed, "speed"),
    (Field::UserId, "metadata"),
];

const COUNT_TOKENS: &[Named] = &[
    (Field::Model, "model"),
    (Field::Messages, "messages"),
    (Field::System, "system"),
    (Field::Tools, "tools"),
];

// Google's JSON takes either spelling of a name (<https://protobuf.dev/programming-guides/json/>).

/// What generates, and what is counted as if it did.
pub(super) const GENERATE: &[Named] = &[
    (Field::Contents, "contents"),
    (Field::System, "systemInstruction"),
    (Field::System, "system_instruction"),
    (Field::Config, "generationConfig"),
    (Field::Config, "generation_config"),
    (Field::Tools, "tools"),
    (Field::Cached, "cachedContent"),
    (Field::Cached, "cached_content"),
    (Field::Service, "serviceTier"),
    (Field::Service, "service_tier"),
    (Field::Model, "model"),
];

/// `generationConfig`.
pub(super) const CONFIG: &[Named] = &[
    (Field::MaxOutputTokens, "maxOutputTokens"),
    (Field::MaxOutputTokens, "max_output_tokens"),
    (Field::Choices, "candidateCount"),
    (Field::Choices, "candidate_count"),
    (Field::ResponseFormat, "responseSchema"),
    (Field::ResponseFormat, "response_schema"),
    (Field::ResponseJsonSchema, "responseJsonSchema"),
    (Field::ResponseJsonSchema, "response_json_schema"),
    (Field::Thinking, "thinkingConfig"),
    (Field::Thinking, "thinking_config"),
];

const COUNT: &[Named] = &[
    (Field::Contents, "contents"),
    (Field::Counted, "generateContentRequest"),
    (Field::Counted, "generate_content_request"),
    (Field::Model, "model"),
];

/// What embeds one content.
pub(super) const EMBED: &[Named] = &[(Field::Contents, "content"), (Field::Model, "model")];

const BATCH: &[Named] = &[(Field::Requests, "requests"), (Field::Model, "model")];

/// What a client calls its call; rules may ask for it.
pub(super) const METADATA: &[Named] = &[(Field::Metadata, "metadata")];
/// The same, as Google calls it.
pub(super) const LABELS: &[Named] = &[(Field::Metadata, "labels")];

fn fields_of(api: Api) -> &'static [Named] {
    match api {
        Api::Chat => CHAT,
        Api::Completions => COMPLETIONS,
        Api::Embeddings => EMBEDDINGS,
        Api::Rerank => RERANK,
        Api::Responses => RESPONSES,
        Api::Messages => MESSAGES,
        Api::CountTokens => COUNT_TOKENS,
        Api::Generate => GENERATE,
        Api::GeminiCountTokens => COUNT,
        Api::EmbedContent => EMBED,
        Api::BatchEmbedContents => BATCH,
    }
}

/// The raw values of the members, and the first flaw among the names.
pub(super) struct Fields<'a> {
    values: [Option<&'a RawValue>; FIELD_COUNT],
    flaw: Option<(&'static str, Flaw<'static>)>,
    members: usize,
}

impl<'a> Fields<'a> {
    /// The value of a field; `null` counts as a value here.
    pub(super) fn get(&self, field: Field) -> Option<&'a RawValue> {
        self.values[field as usize]
    }

    /// The place right behind the opening bracket may take another member: is a comma needed behind it?
    pub(super) fn is_empty(&self) -> bool {
        self.members == 0
    }
}

pub(super) fn read_fields(api: Api, text: &str) -> Result<Fields<'_>, BadRequest> {
    read_members(api.voice(), fields_of(api), text)
}

/// The members of an object with these names.
pub(super) fn read_members<'a>(
    voice: Voice,
    named: &'static [Named],
    text: &'a str,
) -> Result<Fields<'a>, BadRequest> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let fields = reader.deserialize_map(FieldsVisitor(named));
    let fields = fields.and_then(|fields| reader.end().map(|()| fields)).map_err(|err| {
        let what = if err.is_data() { "must be a JSON object" } else { "is not valid JSON" };
        bad(None, format!("The request body {what}: {err}."))
    })?;
    match fields.flaw {
        Some((name, flaw)) => Err(flawed(voice, name, flaw)),
        None => Ok(fields),
    }
}

struct FieldsVisitor(&'static [Named]);

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
        let mut fields = Fields { values: [None; FIELD_COUNT], flaw: None, members: 0 };
        while let Some(known) = map.next_key_seed(Names(self.0))? {
            fields.members += 1;
            let Known::Exactly(field, name) = known else {
                if let Known::Almost(name) = known {
                    fields.flaw.get_or_insert((name, Flaw::Case));
                }
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            if fields.values[field as usize].replace(map.next_value()?).is_some() && !field.is_hint() {
                fields.flaw.get_or_insert((name, Flaw::Twice));
            }
        }
        Ok(fields)
    }
}

/// A member's name, as far as we know it.
enum Known {
    Exactly(Field, &'static str),
    /// Not the name, but a reader that ignores case takes it for it.
    Almost(&'static str),
    No,
}

/// Reads a name with the table of those that count.
struct Names(&'static [Named]);

impl<'de> DeserializeSeed<'de> for Names {
    type Value = Known;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Known, D::Error> {
        reader.deserialize_str(self)
    }
}

impl Visitor<'_> for Names {
    type Value = Known;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a member name")
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Known, E> {
        for (field, exact) in self.0 {
            if name == *exact {
                return Ok(Known::Exactly(*field, exact));
            }
        }
        let folded = |(field, exact): &&Named| !field.is_hint() && same_when_folded(name, exact);
        let folded = self.0.iter().find(folded);
        Ok(folded.map_or(Known::No, |(_, exact)| Known::Almost(exact)))
    }
}

/// Equal without regard to case, as readers that fold Unicode see it: they also take U+017F for `s` and U+212A
/// for `k`.
pub(super) fn same_when_folded(name: &str, exact: &str) -> bool {
    let fold = |c: char| match c {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        c => c.to_ascii_lowercase(),
    };
    name.chars().map(fold).eq(exact.chars().map(fold))
}
