//! Writing an answer.

use serde_json::Value;

use super::finish::{Status, signs, status_of};
use super::{Output, Response, asks_summaries, write_usage};
use crate::dialect::responses::fields::{Fields, is_own, mark, put, put_extra};
use crate::dialect::talk::tier::given_tier;
use crate::dialect::talk::{Answer, Choice, Dialect, Failed};

/// Appends a whole answer. This dialect has one choice: the first. `echoes` are what it repeats of its request:
/// [`echoes`](super::echoes).
pub fn write_answer(answer: &Answer, echoes: &Fields, out: &mut Vec<u8>) {
    let nothing = Choice::default();
    let choice = answer.choices.first().unwrap_or(&nothing);
    let id = answer_id(&answer.id, is_own(&answer.extra));
    let (_, refusal) = signs(choice.pieces.iter().map(|piece| &piece.part));
    let mut status = status_of(choice.finish.as_ref(), refusal);
    if let Some(Value::String(word)) = mark(&answer.extra, "#status") {
        status.word.clone_from(word);
    }
    let items = Output::new(&id, 0, &choice.logprobs, asks_summaries(echoes)).items(&choice.pieces);
    let mut said = Fields::new();
    put_extra(&mut said, &answer.extra);
    said.retain(|name, _| !echoes.contains_key(name));
    put(&mut said, "output", Some(items));
    put(&mut said, "model", Some(answer.model.as_str()));
    put(&mut said, "created_at", Some(answer.created.unwrap_or(0)));
    let tier = answer.service_tier.as_ref().and_then(|tier| given_tier(tier, Dialect::Responses));
    put(&mut said, "service_tier", tier);
    let rest = mark(&answer.extra, "#usage").and_then(Value::as_object);
    let usage = answer.usage.map_or(Value::Null, |usage| write_usage(usage, rest));
    put(&mut said, "usage", Some(usage));
    put(&mut said, "id", Some(id));
    if answer.failed.is_some() {
        status = Status { word: "failed".to_owned(), reason: None };
    }
    Response::new(said, &status, answer.failed.as_ref(), echoes).push(out);
}

/// The `error` of an answer that failed.
pub(in crate::dialect::responses) fn error(failed: &Failed) -> Fields {
    let code = if failed.kind.is_empty() { "server_error" } else { &failed.kind };
    let message = failed.message.as_str();
    Fields::from_iter([("code".to_owned(), code.into()), ("message".to_owned(), message.into())])
}

/// The answer's id in this dialect.
pub(in crate::dialect::responses) fn answer_id(id: &str, own: bool) -> String {
    if own || id.starts_with("resp_") { id.to_owned() } else { format!("resp_{id}") }
}
