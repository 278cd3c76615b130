//! A whole answer.

use serde_json::{Map, Value, json};

use super::block::{add_extra, block, input, read_content, text_block};
use super::fields::{Fields, missing, parse};
use super::{ids, usage};
use crate::dialect::talk::carry::{Parcel, signed_id};
use crate::dialect::talk::tier::given_tier;
use crate::dialect::talk::{
    Answer, Choice, Citation, Dialect, Extra, Failed, Finish, Media, Own, Part, Piece, Reasoning, Refused,
    Source,
};

/// Reads a whole answer.
///
/// # Errors
/// It is no message: no JSON object, an error, a field of the wrong type.
pub fn read_answer(body: &[u8]) -> Result<Answer, Refused> {
    let mut fields = Fields::of(parse(body)?, String::new())?;
    match fields.text("type")?.as_deref() {
        None | Some("message") => {}
        Some("error") => return read_failed(fields),
        Some(kind) => return Err(Refused::field("type", format!("The answer is no message but {kind}."))),
    }
    fields.take("role");
    let content = fields.take("content").ok_or_else(|| missing("content".to_owned()))?;
    let pieces = read_content(Some(content), "content", false)?;
    let stop = fields.text("stop_sequence")?;
    let finish = fields.text("stop_reason")?.map(|word| read_finish(word, stop));
    let mut answer = Answer {
        id: fields.text("id")?.unwrap_or_default(),
        model: fields.text("model")?.unwrap_or_default(),
        choices: vec![Choice { pieces, finish, ..Choice::default() }],
        ..Answer::default()
    };
    if let Some(Value::Object(mut counted)) = fields.take("usage") {
        let mut counts = usage::Counts::default();
        counts.absorb(&mut counted);
        answer.usage = Some(counts.usage());
        answer.service_tier = match counted.remove("service_tier") {
            Some(Value::String(tier)) => Some(Own::new(Dialect::Messages, tier)),
            _ => None,
        };
        if !counted.is_empty() {
            fields.put("usage", counted.into());
        }
    }
    answer.extra = Extra::of(Dialect::Messages, fields.rest());
    Ok(answer)
}

/// An error in the place of an answer.
fn read_failed(mut fields: Fields) -> Result<Answer, Refused> {
    let mut failed = Failed::default();
    if let Some(mut error) = fields.fields("error")? {
        failed.kind = error.text("type")?.unwrap_or_default();
        failed.message = error.text("message")?.unwrap_or_default();
    }
    Ok(Answer { failed: Some(failed), ..Answer::default() })
}

/// The kinds of errors that Anthropic knows, by which its SDKs pick their exceptions.
pub(super) fn kind_of_failure(kind: &str) -> &str {
    match kind {
        "invalid_request_error"
        | "authentication_error"
        | "permission_error"
        | "not_found_error"
        | "request_too_large"
        | "rate_limit_error"
        | "timeout_error"
        | "billing_error"
        | "api_error"
        | "overloaded_error" => kind,
        _ if kind.contains("overload") => "overloaded_error",
        _ if kind.contains("rate_limit") || kind.contains("hrottling") => "rate_limit_error",
        _ if kind.contains("timeout") => "timeout_error",
        _ => "api_error",
    }
}

/// Reads `stop_reason`.
pub(super) fn read_finish(word: String, stop: Option<String>) -> Finish {
    match word.as_str() {
        "end_turn" => Finish::Stop,
        "stop_sequence" => Finish::StopText(stop),
        "max_tokens" => Finish::Length,
        "model_context_window_exceeded" => Finish::Context,
        "tool_use" => Finish::Calls,
        "refusal" => Finish::Refused,
        "pause_turn" => Finish::Paused,
        _ => Finish::other(Dialect::Messages, word),
    }
}

/// `stop_reason` and `stop_sequence`. Clients run tools only on `tool_use`, which some providers forget to say.
pub(super) fn write_finish(finish: Option<&Finish>, calls: bool, refused: bool) -> (String, Option<String>) {
    let word = match finish {
        None | Some(Finish::Stop) if calls => "tool_use",
        None | Some(Finish::Stop) if refused => "refusal",
        Some(Finish::Other(own)) if own.dialect == Dialect::Messages => &own.value,
        // Anthropic has no word for a call that nobody can read, and its clients know none of others; the answer is over.
        None | Some(Finish::Stop | Finish::Malformed | Finish::Other(_)) => "end_turn",
        Some(Finish::StopText(text)) => return ("stop_sequence".to_owned(), text.clone()),
        Some(Finish::Length) => "max_tokens",
        Some(Finish::Context) => "model_context_window_exceeded",
        Some(Finish::Calls) => "tool_use",
        Some(Finish::Filtered | Finish::Refused) => "refusal",
        Some(Finish::Paused) => "pause_turn",
    };
    (word.to_owned(), None)
}

/// Writes a whole answer; of several choices the first. Calls without ids get theirs from the answer's id, which must then
/// not be empty, for a conversation may not hold an id twice. Of an answer that failed the error.
pub fn write_answer(answer: &Answer) -> Value {
    if let Some(Failed { kind, message }) = &answer.failed {
        return json!({"type": "error", "error": {"type": kind_of_failure(kind), "message": message}});
    }
    let empty = Choice::default();
    let choice = answer.choices.first().unwrap_or(&empty);
    let is = |wanted: fn(&Part) -> bool| choice.pieces.iter().any(|piece| wanted(&piece.part));
    let calls = is(|part| matches!(part, Part::Call(_)));
    let refused = is(|part| matches!(part, Part::Refusal(_)));
    let (reason, stop) = write_finish(choice.finish.as_ref(), calls, refused);
    let blocks = choice.pieces.iter().enumerate();
    let content: Vec<_> = blocks.filter_map(|(nth, piece)| write_block(piece, &answer.id, nth)).collect();
    let mut body = json!({
        "id": answer.id, "type": "message", "role": "assistant", "model": answer.model,
        "content": content, "stop_reason": reason, "stop_sequence": stop,
    });
    if let Value::Object(map) = &mut body {
        add_extra(map, &answer.extra);
        map.insert("usage".to_owned(), write_usage(answer).into());
    }
    body
}

fn write_usage(answer: &Answer) -> Map<String, Value> {
    let mut map = usage::write(answer.usage.unwrap_or_default());
    if let Some(tier) = answer.service_tier.as_ref().and_then(|tier| given_tier(tier, Dialect::Messages)) {
        map.insert("service_tier".to_owned(), json!(tier));
    }
    if let Some(Value::Object(rest)) = answer.extra.get(Dialect::Messages, "usage") {
        for (name, value) in rest {
            match (map.get_mut(name), value) {
                // What else is told of the output's tokens.
                (Some(Value::Object(told)), Value::Object(rest)) => told.extend(rest.clone()),
                _ => _ = map.insert(name.clone(), value.clone()),
            }
        }
    }
    map
}

/// The `nth` piece of the answer `id` as a block; none if it says nothing to an Anthropic client.
pub(super) fn write_block(piece: &Piece, id: &str, nth: usize) -> Option<Map<String, Value>> {
    let mut map = match &piece.part {
        Part::Text { text, citations, .. } => {
            text_block(text, citations.iter().filter_map(write_citation).collect())
        }
        Part::Refusal(text) => text_block(text, Vec::new()),
        Part::Media(media) => text_block(&media_note(media), Vec::new()),
        Part::Call(call) => {
            let made = if call.id.is_empty() { ids::answer_id(id, nth) } else { call.id.clone() };
            let id = signed_id(&made, call.signature.as_ref());
            block("tool_use", [("id", json!(id)), ("name", json!(call.name)), ("input", input(call))])
        }
        Part::Reasoning(reasoning) => write_reasoning(reasoning),
        Part::Foreign(Dialect::Messages, Value::Object(map)) => map.clone(),
        Part::Foreign(..) | Part::Result(_) => return None,
    };
    add_extra(&mut map, &piece.extra);
    Some(map)
}

fn write_reasoning(reasoning: &Reasoning) -> Map<String, Value> {
    let own = |proof: &Option<Own<String>>| {
        proof.as_ref().and_then(|proof| proof.proof_for(Dialect::Messages)).map(str::to_owned)
    };
    let bare = reasoning.text.is_empty() && reasoning.summary.is_empty();
    if let (Some(data), true) = (own(&reasoning.encrypted), bare) {
        return block("redacted_thinking", [("data", json!(data))]);
    }
    let text =
        if reasoning.text.is_empty() { reasoning.summary.join("\n\n") } else { reasoning.text.clone() };
    let parcel = Parcel::of(reasoning);
    let packed = || if parcel.is_empty() { String::new() } else { parcel.pack() };
    let signature = own(&reasoning.signature).unwrap_or_else(packed);
    block("thinking", [("thinking", json!(text)), ("signature", json!(signature))])
}

/// Anthropic's models answer with text alone, and its clients know nothing else.
pub(super) fn media_note(media: &Media) -> String {
    match &media.source {
        Source::Url(url) => format!("[{}]({url})", media.name.as_deref().unwrap_or("media")),
        _ => format!("(The model answered with media, {}, which the Messages API cannot carry.)", media.mime),
    }
}

/// A citation; of other dialects as a result of web search, the fields of which SDKs want complete.
pub(super) fn write_citation(citation: &Citation) -> Option<Value> {
    if let Some((Dialect::Messages, original)) = &citation.original {
        return Some(original.clone());
    }
    let text = citation.text.as_deref().unwrap_or_default();
    if let Some(url) = &citation.url {
        return Some(json!({"type": "web_search_result_location", "url": url, "title": citation.title,
            "cited_text": text, "encrypted_index": ""}));
    }
    let title = citation.title.as_ref()?;
    Some(json!({"type": "search_result_location", "source": title, "title": title, "cited_text": text,
        "search_result_index": 0, "start_block_index": 0, "end_block_index": 0}))
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
