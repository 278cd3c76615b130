//! Writing an answer.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use crate::dialect::gemini::failed::error;
use crate::dialect::gemini::fields::add;
use crate::dialect::gemini::grounding::Cited;
use crate::dialect::gemini::part::{self, Context};
use crate::dialect::gemini::{finish, grounding, logprobs, time, usage};
use crate::dialect::talk::tier::given_tier;
use crate::dialect::talk::{Answer, Choice, Citation, Dialect, Failed, Finish, Part, Piece};

/// Writes a whole answer; of one that failed the error.
pub fn write_answer(answer: &Answer) -> Value {
    if let Some(Failed { kind, message }) = &answer.failed {
        return error(kind, message);
    }
    let mut body = Map::new();
    add(&mut body, answer.extra.fields(Dialect::Gemini));
    let blocked = body.contains_key("promptFeedback") && is_blocked(&answer.choices);
    if !blocked && !answer.choices.is_empty() {
        let candidates: Vec<Value> = answer.choices.iter().map(write_candidate).collect();
        body.insert("candidates".into(), candidates.into());
    }
    write_usage(answer, &mut body);
    if let Some(moment) = answer.created.and_then(time::text) {
        body.entry("createTime").or_insert_with(|| moment.into());
    }
    for (name, text) in [("modelVersion", &answer.model), ("responseId", &answer.id)] {
        if !text.is_empty() {
            body.insert(name.into(), text.as_str().into());
        }
    }
    body.into()
}

/// An answer that says nothing but that the prompt was held back.
fn is_blocked(choices: &[Choice]) -> bool {
    matches!(choices, [Choice { pieces, finish: Some(Finish::Filtered), .. }] if pieces.is_empty())
}

fn write_candidate(choice: &Choice) -> Value {
    let mut candidate = Map::new();
    add(&mut candidate, choice.extra.fields(Dialect::Gemini));
    let context = Context { to: None, names: HashMap::new() };
    let mut parts = Vec::new();
    let mut places = Vec::new();
    for piece in &choice.pieces {
        places.push(parts.len());
        // What cannot be said here, such as a file in another provider's store, is left out of an answer.
        let _ = part::write(piece, &context, &mut parts);
    }
    let mut content = Map::from_iter([("role".to_owned(), "model".into())]);
    if !parts.is_empty() {
        content.insert("parts".into(), parts.into());
    }
    candidate.insert("content".into(), content.into());
    candidate.insert("index".into(), choice.index.into());
    if let Some(finish) = &choice.finish {
        candidate.entry("finishReason").or_insert_with(|| finish::write(finish).into());
    }
    if !choice.logprobs.is_empty() {
        candidate.entry("logprobsResult").or_insert_with(|| logprobs::write(&choice.logprobs));
    }
    if !candidate.contains_key("groundingMetadata")
        && !candidate.contains_key("citationMetadata")
        && let Some(grounding) = grounding::write(cited(&choice.pieces, &places))
    {
        candidate.insert("groundingMetadata".into(), grounding);
    }
    candidate.into()
}

fn cited<'a>(pieces: &'a [Piece], places: &'a [usize]) -> impl Iterator<Item = (Cited<'a>, &'a Citation)> {
    pieces.iter().zip(places).flat_map(|(piece, place)| {
        let (text, citations) = match &piece.part {
            Part::Text { text, citations, .. } => (text.as_str(), citations.as_slice()),
            _ => ("", &[][..]),
        };
        let cited = Cited { part: *place, text, before: 0 };
        citations.iter().map(move |citation| (cited, citation))
    })
}

fn write_usage(answer: &Answer, body: &mut Map<String, Value>) {
    let left = body.remove("usageMetadata");
    let mut metadata = left.and_then(|left| left.as_object().cloned()).unwrap_or_default();
    if let Some(counts) = &answer.usage {
        let tools = metadata.get("toolUsePromptTokenCount").and_then(Value::as_u64).unwrap_or(0);
        metadata.extend(usage::write(counts, tools));
    }
    if let Some(tier) = answer.service_tier.as_ref().and_then(|tier| given_tier(tier, Dialect::Gemini)) {
        metadata.insert("serviceTier".into(), json!(tier));
    }
    if !metadata.is_empty() {
        body.insert("usageMetadata".into(), metadata.into());
    }
}
