//! Reading a chat completion request: only what decides about the answer; unknown fields are ignored.
//!
//! Texts are counted while they are parsed and never kept. A prompt is a quarter token per character of message
//! text, rounded up, plus 4 per message, 85 per image or file, and 3.

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::Value;
use std::fmt;

/// Tokens of one image or file part.
const MEDIA_TOKENS: u64 = 85;

/// What a valid request asks for.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) model: String,
    pub(super) stream: bool,
    /// The client asked for the usage chunk at the end of the stream.
    pub(super) include_usage: bool,
    pub(super) prompt_tokens: u64,
    /// The largest of the request's max-token aliases, per choice.
    pub(super) max_tokens: Option<u64>,
    /// Choices wanted.
    pub(super) choices: u64,
    pub(super) content: Wanted,
}

/// What kind of answer is wanted.
#[derive(Debug)]
pub(super) enum Wanted {
    Text,
    /// Calls of these tools (name, schema of the arguments), at once.
    Tools(Vec<(String, Value)>),
    /// A JSON text that fits this schema.
    Json(Value),
}

/// Why a request is refused with 400, in OpenAI's terms.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Invalid {
    pub(super) message: String,
    pub(super) param: Option<&'static str>,
    pub(super) code: Option<&'static str>,
}

impl Invalid {
    fn new(message: impl Into<String>, param: Option<&'static str>, code: Option<&'static str>) -> Self {
        Self { message: message.into(), param, code }
    }
}

/// Reads a request body.
pub(super) fn read(body: &[u8]) -> Result<Ask, Invalid> {
    let raw: Raw = serde_json::from_slice(body).map_err(|error| unreadable(&error))?;
    let model = raw
        .model
        .filter(|model| !model.is_empty())
        .ok_or_else(|| Invalid::new("you must provide a model parameter", None, None))?;
    let messages = raw.messages.ok_or_else(|| {
        let code = Some("missing_required_parameter");
        Invalid::new("Missing required parameter: 'messages'.", Some("messages"), code)
    })?;
    let Some(last) = messages.last() else {
        let message = "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an \
                       empty array instead.";
        return Err(Invalid::new(message, Some("messages"), Some("empty_array")));
    };
    let content =
        wanted(last.role, raw.tools, &raw.tool_choice, raw.parallel_tool_calls, raw.response_format);
    Ok(Ask {
        model,
        stream: raw.stream.unwrap_or(false),
        include_usage: raw.stream_options.is_some_and(|options| options.include_usage.unwrap_or(false)),
        prompt_tokens: prompt_tokens(&messages),
        max_tokens: at_least_one("max_tokens", raw.max_tokens)?
            .max(at_least_one("max_completion_tokens", raw.max_completion_tokens)?),
        choices: at_least_one("n", raw.n)?.unwrap_or(1).min(128),
        content,
    })
}

fn unreadable(error: &serde_json::Error) -> Invalid {
    if error.is_data() {
        return Invalid::new(format!("Invalid request: {error}."), None, Some("invalid_type"));
    }
    let message = "We could not parse the JSON body of your request. (HINT: This likely means you aren't using \
                   your HTTP library correctly. The OpenAI API expects a JSON payload, but what was sent was \
                   not valid JSON.)";
    Invalid::new(message, None, None)
}

fn at_least_one(name: &'static str, value: Option<u64>) -> Result<Option<u64>, Invalid> {
    if value != Some(0) {
        return Ok(value);
    }
    let message =
        format!("Invalid '{name}': integer below minimum value. Expected a value >= 1, but got 0 instead.");
    Err(Invalid::new(message, Some(name), Some("integer_below_min_value")))
}

fn prompt_tokens(messages: &[Message]) -> u64 {
    let chars: u64 = messages.iter().map(|message| message.content.chars).sum();
    let media: u64 = messages.iter().map(|message| message.content.media).sum();
    chars.div_ceil(4) + 4 * messages.len() as u64 + MEDIA_TOKENS * media + 3
}

/// Tools are called on a user's turn only, so that a client that loops on tool results comes to an end.
fn wanted(
    last: Role,
    tools: Option<Vec<Tool>>,
    choice: &Value,
    parallel: Option<bool>,
    format: Option<Value>,
) -> Wanted {
    let mut functions: Vec<Function> =
        tools.unwrap_or_default().into_iter().filter_map(|tool| tool.function).collect();
    if let Some(named) = choice.pointer("/function/name").and_then(Value::as_str) {
        functions.retain(|function| function.name == named);
    }
    if !functions.is_empty() && last == Role::User && choice != "none" {
        functions.truncate(if parallel == Some(false) { 1 } else { 2 });
        let calls = functions.into_iter().map(|function| (function.name, function.parameters));
        return Wanted::Tools(calls.collect());
    }
    let Some(mut format) = format else { return Wanted::Text };
    match format.get("type").and_then(Value::as_str) {
        Some("json_schema") => {
            Wanted::Json(format.pointer_mut("/json_schema/schema").map(Value::take).unwrap_or_default())
        }
        Some("json_object") => Wanted::Json(serde_json::json!({
            "type": "object", "required": ["ok"], "properties": { "ok": { "type": "boolean" } }
        })),
        Some(_) | None => Wanted::Text,
    }
}

#[derive(Deserialize)]
struct Raw {
    model: Option<String>,
    messages: Option<Vec<Message>>,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    max_tokens: Option<u64>,
    max_completion_tokens: Option<u64>,
    n: Option<u64>,
    tools: Option<Vec<Tool>>,
    #[serde(default)]
    tool_choice: Value,
    parallel_tool_calls: Option<bool>,
    response_format: Option<Value>,
}

#[derive(Deserialize)]
struct StreamOptions {
    include_usage: Option<bool>,
}

#[derive(Deserialize)]
struct Message {
    role: Role,
    #[serde(default)]
    content: Content,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Role {
    User,
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Tool {
    function: Option<Function>,
}

#[derive(Deserialize)]
struct Function {
    name: String,
    #[serde(default)]
    parameters: Value,
}

/// The size of a message's content: a text, an array of parts, or null.
#[derive(Default)]
struct Content {
    chars: u64,
    media: u64,
}

#[derive(Deserialize)]
struct Part {
    #[serde(default)]
    text: Content,
    #[serde(default)]
    image_url: Option<IgnoredAny>,
    #[serde(default)]
    file: Option<IgnoredAny>,
    #[serde(default)]
    input_audio: Option<IgnoredAny>,
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ContentVisitor)
    }
}

struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Content;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string, an array of content parts, or null")
    }

    fn visit_unit<E>(self) -> Result<Content, E> {
        Ok(Content::default())
    }

    fn visit_str<E>(self, text: &str) -> Result<Content, E> {
        Ok(Content { chars: text.chars().count() as u64, media: 0 })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Content, A::Error> {
        let mut total = Content::default();
        while let Some(part) = parts.next_element::<Part>()? {
            total.chars += part.text.chars;
            let media = [part.image_url.is_some(), part.file.is_some(), part.input_audio.is_some()];
            total.media += media.iter().filter(|present| **present).count() as u64;
        }
        Ok(total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn ask(body: &Value) -> Result<Ask, Invalid> {
        read(body.to_string().as_bytes())
    }

    #[test]
    fn prompt_tokens_come_from_text_messages_and_media() {
        let body = json!({"model": "m", "unknown": [1, {}], "messages": [
            {"role": "system", "content": "äöüß\n"},
            {"role": "assistant", "content": null, "tool_calls": []},
            {"role": "user", "content": [
                {"type": "text", "text": "abcd"},
                {"type": "image_url", "image_url": {"url": "data:,xxxxxxxx"}},
                {"type": "file", "file": {"file_id": "f"}}]}]});
        assert_eq!(ask(&body).unwrap().prompt_tokens, 9_u64.div_ceil(4) + 3 * 4 + 2 * 85 + 3);
    }

    #[test]
    fn the_largest_max_token_alias_counts() {
        let body = json!({"model": "m", "max_tokens": 5, "max_completion_tokens": 9, "n": 2,
            "messages": [{"role": "user", "content": "x"}], "stream": true,
            "stream_options": {"include_usage": true}});
        let ask = ask(&body).unwrap();
        assert_eq!((ask.max_tokens, ask.choices, ask.stream, ask.include_usage), (Some(9), 2, true, true));
    }

    #[test]
    fn invalid_requests_are_refused_with_openais_codes() {
        let code = |body: &Value| ask(body).unwrap_err().code;
        let user = json!([{"role": "user", "content": "x"}]);
        assert_eq!(code(&json!({"messages": user})), None);
        assert_eq!(code(&json!({"model": "m"})), Some("missing_required_parameter"));
        assert_eq!(code(&json!({"model": "m", "messages": []})), Some("empty_array"));
        assert_eq!(code(&json!({"model": "m", "messages": "hi"})), Some("invalid_type"));
        let zero = json!({"model": "m", "messages": user, "max_tokens": 0});
        assert_eq!(code(&zero), Some("integer_below_min_value"));
        assert!(read(b"{\"model\":").unwrap_err().message.starts_with("We could not parse the JSON body"));
    }

    #[test]
    fn tools_are_called_on_a_users_turn_only() {
        let tools = json!([{"type": "function", "function": {"name": "a"}},
            {"type": "function", "function": {"name": "b"}}, {"type": "function", "function": {"name": "c"}}]);
        let called = |extra: Value, role: &str| {
            let mut body =
                json!({"model": "m", "tools": tools, "messages": [{"role": role, "content": "x"}]});
            body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
            match ask(&body).unwrap().content {
                Wanted::Tools(calls) => calls.into_iter().map(|(name, _)| name).collect(),
                Wanted::Text | Wanted::Json(_) => String::new(),
            }
        };
        assert_eq!(called(json!({}), "user"), "ab");
        assert_eq!(called(json!({"parallel_tool_calls": false}), "user"), "a");
        assert_eq!(called(json!({"tool_choice": "none"}), "user"), "");
        assert_eq!(
            called(json!({"tool_choice": {"type": "function", "function": {"name": "c"}}}), "user"),
            "c"
        );
        assert_eq!(called(json!({"tool_choice": "required"}), "tool"), "");
    }
}
