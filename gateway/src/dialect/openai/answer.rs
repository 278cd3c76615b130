//! The plain answer's usage, and the bodies around it: errors, read and written, and the list of models.

use serde_json::Value;

use crate::dialect::json::{self, Cursor};

/// Tokens that a call used, as the upstream counts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Input, cached included.
    pub input: u64,
    /// The part of the input that was read from the provider's cache.
    pub cached_input: u64,
    /// The part of the input that was written to it.
    pub written_input: u64,
    /// Output, reasoning included.
    pub output: u64,
    /// The part of the output that was reasoning.
    pub reasoning: u64,
    /// The part of what was written to the cache that is kept there for an hour or longer.
    pub written_long: u64,
    /// In which way it was served, as far as the answer says so.
    pub service: Service,
}

/// In which way an answer was served, for which providers have prices of their own (`service_tier`, `speed`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Service {
    /// As usual, or nothing is said of it.
    #[default]
    Standard,
    /// When there was room for it.
    Flex,
    /// Before others.
    Priority,
    /// Faster.
    Fast,
    /// Some time later.
    Batch,
    /// In a way that has no name here.
    Other,
}

impl Service {
    /// Of the word that an answer has for it.
    pub fn of(word: &str) -> Service {
        match word {
            "" | "default" | "standard" | "auto" | "on_demand" => Service::Standard,
            "flex" => Service::Flex,
            "priority" => Service::Priority,
            "fast" => Service::Fast,
            "batch" => Service::Batch,
            _ => Service::Other,
        }
    }
}

impl Usage {
    /// Input and output.
    pub fn total(self) -> u64 {
        self.input + self.output
    }

    /// The same of an answer that told apart from its usage in which way it was served: where the usage says so, that counts.
    pub fn served(self, told: Service) -> Usage {
        let service = if self.service == Service::Standard { told } else { self.service };
        Usage { service, ..self }
    }

    /// Reads a `usage` object. The outer `None` is damaged JSON, the inner one an object that counts nothing.
    pub(crate) fn read(cursor: &mut Cursor<'_>) -> Option<Option<Usage>> {
        let mut read = ReadUsage::default();
        cursor.members(|cursor, key| read.member(cursor, key))?;
        Some(read.settle())
    }
}

#[derive(Default)]
struct ReadUsage {
    input: Option<u64>,
    output: Option<u64>,
    total: Option<u64>,
    cached: u64,
    written: u64,
    reasoning: u64,
}

impl ReadUsage {
    /// Of two names for one count the larger counts, in whichever order they come: some servers fill only one of them, and say
    /// 0 in the other.
    fn member<'a>(&mut self, cursor: &mut Cursor<'a>, key: &'a [u8]) -> Option<()> {
        match key {
            b"prompt_tokens" | b"input_tokens" => self.input = self.input.max(count(cursor)?),
            b"completion_tokens" | b"output_tokens" => self.output = self.output.max(count(cursor)?),
            b"total_tokens" => self.total = count(cursor)?,
            b"prompt_cache_hit_tokens" => self.cached = self.cached.max(count(cursor)?.unwrap_or(0)),
            b"prompt_tokens_details" | b"input_tokens_details" if cursor.next_byte()? == b'{' => {
                let [cached, written] = details(cursor, [b"cached_tokens", b"cache_write_tokens"])?;
                self.cached = self.cached.max(cached);
                self.written = self.written.max(written);
            }
            b"completion_tokens_details" | b"output_tokens_details" if cursor.next_byte()? == b'{' => {
                let [reasoning] = details(cursor, [b"reasoning_tokens"])?;
                self.reasoning = self.reasoning.max(reasoning);
            }
            _ => cursor.skip()?,
        }
        Some(())
    }

    /// Some upstreams leave a part out of the two counts and only in the total: xAI its reasoning, Mistral the
    /// audio of the prompt. It was used, so it is counted: as output if it is just the reasoning, else as input.
    fn settle(self) -> Option<Usage> {
        let (mut input, mut output) = match (self.input, self.output, self.total) {
            (None, None, None) => return None,
            (input, output, _) => (input.unwrap_or(0), output.unwrap_or(0)),
        };
        let uncounted = self.total.unwrap_or(0).saturating_sub(input.saturating_add(output));
        let side = if uncounted == self.reasoning { &mut output } else { &mut input };
        *side = side.saturating_add(uncounted);
        let cached_input = self.cached.min(input);
        Some(Usage {
            input,
            cached_input,
            written_input: self.written.min(input - cached_input),
            output,
            reasoning: self.reasoning.min(output),
            ..Usage::default()
        })
    }
}

/// No call uses more (the longest contexts are of ten million tokens, and a call may hold some of those). An upstream
/// that says so is wrong, often with a -1 for what it does not know, and would use up a tenant's limits by a word.
const MOST_TOKENS: u64 = 1 << 30;

/// A count of tokens, rounded up; `null`, negative, foreign and absurd values count as absent.
fn count(cursor: &mut Cursor<'_>) -> Option<Option<u64>> {
    let raw = cursor.value()?;
    let text = std::str::from_utf8(raw).ok();
    let whole = text.and_then(|text| text.parse::<u64>().ok());
    // The cast saturates.
    let real = || text.and_then(|text| text.parse::<f64>().ok()).filter(|real| *real >= 0.0);
    let read = whole.or_else(|| real().map(|real| real.ceil() as u64));
    Some(read.filter(|count| *count <= MOST_TOKENS))
}

/// Counts inside a member, by their names; 0 where absent.
fn details<const N: usize>(cursor: &mut Cursor<'_>, names: [&[u8]; N]) -> Option<[u64; N]> {
    let mut found = [0; N];
    cursor.members(|cursor, key| match names.iter().position(|name| *name == key) {
        Some(at) => {
            found[at] = count(cursor)?.unwrap_or(0);
            Some(())
        }
        None => cursor.skip(),
    })?;
    Some(found)
}

/// The usage of a plain answer; `None` if the body has none or is not an object.
pub fn usage_of(body: &[u8]) -> Option<Usage> {
    let (mut usage, mut service) = (None, Service::default());
    Cursor::new(body).members(|cursor, key| match key {
        b"usage" if cursor.next_byte()? == b'{' => {
            usage = Usage::read(cursor)?;
            Some(())
        }
        b"service_tier" => {
            service = read_service(cursor)?;
            Some(())
        }
        _ => cursor.skip(),
    })?;
    usage.map(|usage| Usage { service, ..usage })
}

/// Reads a `service_tier`; what is no text says nothing.
pub(in crate::dialect::openai) fn read_service(cursor: &mut Cursor<'_>) -> Option<Service> {
    let value = cursor.value()?;
    let word = value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
    Some(word.and_then(|word| std::str::from_utf8(word).ok()).map_or(Service::Standard, Service::of))
}

/// The `id` of an object, if it has one.
pub fn id_of(body: &[u8]) -> Option<String> {
    let mut id = None;
    Cursor::new(body).members(|cursor, key| {
        if key == b"id" && cursor.next_byte()? == b'"' {
            id = serde_json::from_slice(cursor.value()?).ok();
            return Some(());
        }
        cursor.skip()
    })?;
    id
}

/// An error body in OpenAI's shape; `kind` is its `type`.
pub fn error_body(message: &str, kind: &str, code: Option<&str>, param: Option<&str>) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len() + kind.len() + 96);
    out.extend_from_slice(b"{\"error\":{\"message\":");
    json::push_string(&mut out, message);
    out.extend_from_slice(b",\"type\":");
    json::push_string(&mut out, kind);
    for (name, value) in [(&b",\"param\":"[..], param), (&b",\"code\":"[..], code)] {
        out.extend_from_slice(name);
        match value {
            Some(value) => json::push_string(&mut out, value),
            None => out.extend_from_slice(b"null"),
        }
    }
    out.extend_from_slice(b"}}");
    out
}

/// An error as an upstream words it; what it leaves out is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpstreamError {
    /// For people.
    pub message: String,
    /// `type`.
    pub kind: Option<String>,
    /// `code`; a number in its decimal form.
    pub code: Option<String>,
    /// `param`.
    pub param: Option<String>,
}

/// Reads an error body of the OpenAI family: nested under `error`, flat (Mistral), `error` as a string, FastAPI's
/// `detail`. Anything else, such as a proxy's HTML page, is `None`.
pub fn parse_error(body: &[u8]) -> Option<UpstreamError> {
    let whole: Value = serde_json::from_slice(body).ok()?;
    let whole = match &whole {
        Value::Array(items) => items.first()?,
        other => other,
    };
    let members = whole.as_object()?;
    match members.get("error").or_else(|| members.get("detail")) {
        Some(Value::String(message)) => {
            let message = message.clone();
            Some(UpstreamError { message, ..described(whole).unwrap_or_default() })
        }
        Some(Value::Array(faults)) => first_fault(faults),
        Some(nested @ Value::Object(_)) => described(nested),
        _ => described(whole),
    }
}

/// `{"message", "type", "param", "code"}`, of which the message must be there, or at least a type or code.
fn described(value: &Value) -> Option<UpstreamError> {
    let text = |name: &str| match value.get(name)? {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let (message, kind, code) = (text("message"), text("type"), text("code"));
    let named = message.clone().or_else(|| code.clone()).or_else(|| kind.clone())?;
    Some(UpstreamError { message: named, kind, code, param: text("param") })
}

/// FastAPI's list of `{"loc": [...], "msg", "type"}`.
fn first_fault(faults: &[Value]) -> Option<UpstreamError> {
    let fault = faults.first()?;
    let text = |name: &str| fault.get(name).and_then(Value::as_str).map(str::to_owned);
    let place = fault.get("loc").and_then(Value::as_array);
    let param = place.and_then(|path| path.last()).and_then(Value::as_str).map(str::to_owned);
    Some(UpstreamError { message: text("msg")?, kind: text("type"), code: None, param })
}

/// The answer of `GET /v1/models`.
pub fn models_json<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<u8> {
    let mut out = b"{\"object\":\"list\",\"data\":[".to_vec();
    for (index, name) in names.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        push_model(&mut out, name);
    }
    out.extend_from_slice(b"]}");
    out
}

/// The answer of `GET /v1/models/{name}`.
pub fn model_json(name: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(name.len() + 64);
    push_model(&mut out, name);
    out
}

/// A configured name has no date of birth; clients want a number, so it is 0.
fn push_model(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(b"{\"id\":");
    json::push_string(out, name);
    out.extend_from_slice(b",\"object\":\"model\",\"created\":0,\"owned_by\":\"weir\"}");
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
