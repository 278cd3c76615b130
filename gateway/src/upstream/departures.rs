//! What a provider departs in from the dialect that it speaks, and how a request is made to fit it.
//!
//! To add one: a [`Quirk`], its mark here if a client's own body may hold it, and what becomes of it: in [`fit`], if a field
//! is one too many, or in the [`Manners`](crate::dialect::chat::Manners) that [`super::way`] makes, if Chat is written
//! otherwise. The tests here hold to it that nothing departs any more of what was fitted.

use http::HeaderValue;
use memchr::memmem;
use serde_json::{Map, Value};

use crate::config::preset::{Preset, Quirk};
use crate::dialect::talk::Dialect;

/// What a client's own Chat request may hold that some providers do not take as OpenAI does.
const MARKS: [(Quirk, &str); 3] = [
    (Quirk::NoStreamOptions, "\"stream_options\""),
    (Quirk::MaxTokensName, "\"max_completion_tokens\""),
    (Quirk::NoDeveloperRole, "\"developer\""),
];

/// What Chat has Google's thought signatures in.
const SIGNATURES: &str = "\"extra_content\"";

/// Does a client's own Chat request hold what this provider refuses, or ignores where it is a bound that room is held for?
/// What looks so may be a text; then it is merely written anew.
pub fn departs(body: &[u8], preset: &Preset) -> bool {
    let holds = |mark: &str| memmem::find(body, mark.as_bytes()).is_some();
    let mut marks = MARKS.iter().filter(|(quirk, _)| preset.has(*quirk)).peekable();
    !preset.has(Quirk::TakesSignatures) && holds(SIGNATURES)
        || marks.peek().is_some() && (is_escaped(body) || marks.any(|(_, mark)| holds(mark)))
        || preset.has(Quirk::ShortToolCallIds) && !named_shortly(body)
}

/// Are small letters or `_` escaped? So names could be written that no mark is found in. Some clients escape signs.
fn is_escaped(body: &[u8]) -> bool {
    let of_a_name = |at| match body.get(at + 4..at + 6) {
        Some([b'5', low]) => low.eq_ignore_ascii_case(&b'f'),
        Some([b'6', low]) => *low != b'0',
        Some([b'7', low]) => matches!(low, b'0'..=b'9' | b'a' | b'A'),
        _ => false,
    };
    memmem::find_iter(body, br"\u00").any(of_a_name)
}

/// Is every result of a tool that of a call with a short id?
fn named_shortly(body: &[u8]) -> bool {
    const MARK: &[u8] = b"\"tool_call_id\"";
    memmem::find_iter(body, MARK).all(|at| {
        let behind = body.get(at + MARK.len()..).unwrap_or_default().trim_ascii_start();
        let value = behind.strip_prefix(b":").unwrap_or_default().trim_ascii_start();
        let id = value.strip_prefix(b"\"").and_then(|value| value.split(|byte| *byte == b'"').next());
        id.is_some_and(is_short)
    })
}

fn is_short(id: &[u8]) -> bool {
    id.len() == 9 && id.iter().all(u8::is_ascii_alphanumeric)
}

/// The fields that a provider wants beyond its dialect, or does not.
pub fn fit(fields: &mut Map<String, Value>, theirs: Dialect, preset: &Preset, beta: Option<&HeaderValue>) {
    if preset.has(Quirk::NoModelInBody) {
        fields.remove("model");
    }
    match theirs {
        Dialect::Messages => fit_messages(fields, preset, beta),
        Dialect::Chat => fit_chat(fields, preset),
        Dialect::Responses | Dialect::Gemini | Dialect::Converse => {}
    }
}

/// Claude on Vertex AI, by Google's documentation: what is a header at Anthropic stands in the body.
fn fit_messages(fields: &mut Map<String, Value>, preset: &Preset, beta: Option<&HeaderValue>) {
    if !preset.has(Quirk::VersionInBody) {
        return;
    }
    fields.insert("anthropic_version".to_owned(), "vertex-2023-10-16".into());
    if let Some(beta) = beta.and_then(|beta| beta.to_str().ok()) {
        let names: Vec<&str> = beta.split(',').map(str::trim).collect();
        fields.insert("anthropic_beta".to_owned(), names.into());
    }
}

fn fit_chat(fields: &mut Map<String, Value>, preset: &Preset) {
    if !preset.has(Quirk::TakesSignatures) {
        drop_signatures(fields);
    }
    if preset.has(Quirk::NoStreamOptions) {
        fields.remove("stream_options");
    }
    if preset.has(Quirk::ShortToolCallIds) {
        shorten_ids(fields);
    }
    if preset.has(Quirk::StrictFields) {
        for name in REFUSED {
            fields.remove(name);
        }
        if let Some(seed) = fields.remove("seed") {
            fields.insert("random_seed".to_owned(), seed);
        }
    }
}

/// What other dialects say that the one provider which refuses unknown fields (Mistral, by its API reference) does not know.
const REFUSED: [&str; 7] =
    ["user", "verbosity", "prompt_cache_key", "service_tier", "logprobs", "top_logprobs", "store"];

fn messages(fields: &mut Map<String, Value>) -> impl Iterator<Item = &mut Map<String, Value>> {
    let messages = fields.get_mut("messages").and_then(Value::as_array_mut);
    messages.into_iter().flatten().filter_map(Value::as_object_mut)
}

fn calls(message: &mut Map<String, Value>) -> impl Iterator<Item = &mut Map<String, Value>> {
    let calls = message.get_mut("tool_calls").and_then(Value::as_array_mut);
    calls.into_iter().flatten().filter_map(Value::as_object_mut)
}

/// Google's thought signatures: of providers that speak Chat only Google knows the field, and some refuse what they do not
/// know.
fn drop_signatures(fields: &mut Map<String, Value>) {
    for message in messages(fields) {
        message.remove("extra_content");
        for call in calls(message) {
            call.remove("extra_content");
        }
    }
}

/// Ids of calls that others made, as nine letters and digits: the same for the same.
fn shorten_ids(fields: &mut Map<String, Value>) {
    let shorten = |holder: &mut Map<String, Value>, name: &str| match holder.get_mut(name) {
        Some(Value::String(id)) if !is_short(id.as_bytes()) => *id = short(id),
        _ => {}
    };
    for message in messages(fields) {
        shorten(message, "tool_call_id");
        for call in calls(message) {
            shorten(call, "id");
        }
    }
}

fn short(id: &str) -> String {
    use sha2::{Digest, Sha256};
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let hash = Sha256::digest(id.as_bytes());
    hash.iter().take(9).map(|byte| char::from(DIGITS[usize::from(*byte) % DIGITS.len()])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::preset::Presets;

    /// Broken on purpose to see it fail: escapes not looked for, ids not looked at, each mark taken out.
    #[test]
    fn a_clients_own_body_departs_where_its_provider_does() {
        let presets = Presets::built_in().unwrap();
        let plain = r#"{"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 9, "stream": true}"#;
        for (preset, body, wanted) in [
            ("mistral", plain, false),
            ("mistral", r#"{"stream_options": {}}"#, true),
            ("mistral", r#"{"messages": [{"role": "developer"}]}"#, true),
            ("mistral", r#"{"messages": [{"role": "tool", "tool_call_id": "call_1"}]}"#, true),
            (
                "mistral",
                r#"{"messages": [{"tool_call_id" : "abcdef123"}, {"tool_call_id": "call_1"}]}"#,
                true,
            ),
            (
                "mistral",
                r#"{"messages": [{"tool_call_id" : "abcdef123"}, {"tool_call_id":"AB3456789"}]}"#,
                false,
            ),
            ("deepseek", r#"{"max_completion_tokens": 9}"#, true),
            ("deepseek", r#"{"max_completion\u005ftokens": 9}"#, true),
            ("deepseek", r#"{"messages": [{"content": "caf\u00e9, it\u0027s \u003cgood\u003e"}]}"#, false),
            ("deepseek", r#"{"messages": [{"role": "tool", "tool_call_id": "call_1"}]}"#, false),
            ("openai", r#"{"max_completion_tokens": 9, "x": "\u00e9", "role": "developer"}"#, false),
            ("openai", r#"{"tool_calls": [{"extra_content": {}}]}"#, true),
            ("openai-compatible", r#"{"tool_calls": [{"extra_content": {}}]}"#, false),
        ] {
            let preset = presets.get(preset).unwrap();
            assert_eq!(departs(body.as_bytes(), preset), wanted, "{} {body}", preset.name);
        }
    }
}
