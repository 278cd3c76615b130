//! Writing an answer.

use serde_json::Value;

use super::finish::{Status, signs, status_of};
use super::{Output, asks_summaries, shell, write_usage};
use crate::dialect::responses::fields::{Fields, is_own, mark, put, put_extra};
use crate::dialect::talk::tier::given_tier;
use crate::dialect::talk::{Answer, Choice, Dialect, Failed};

/// Writes a whole answer. This dialect has one choice: the first. `echoes` are what it repeats of its request:
/// [`echoes`](super::echoes).
pub fn write_answer(answer: &Answer, echoes: &Fields) -> Value {
    let nothing = Choice::default();
    let choice = answer.choices.first().unwrap_or(&nothing);
    let id = answer_id(&answer.id, is_own(&answer.extra));
    let (_, refusal) = signs(choice.pieces.iter().map(|piece| &piece.part));
    let mut status = status_of(choice.finish.as_ref(), refusal);
    if let Some(Value::String(word)) = mark(&answer.extra, "#status") {
        status.word.clone_from(word);
    }
    let items = Output::new(&id, 0, &choice.logprobs, asks_summaries(echoes)).items(&choice.pieces);
    let mut out = Fields::new();
    put_extra(&mut out, &answer.extra);
    out.extend(echoes.iter().map(|(name, value)| (name.clone(), value.clone())));
    put(&mut out, "output", Some(items));
    put(&mut out, "model", Some(answer.model.as_str()));
    put(&mut out, "created_at", Some(answer.created.unwrap_or(0)));
    let tier = answer.service_tier.as_ref().and_then(|tier| given_tier(tier, Dialect::Responses));
    put(&mut out, "service_tier", tier);
    let rest = mark(&answer.extra, "#usage").and_then(Value::as_object);
    let usage = answer.usage.map_or(Value::Null, |usage| write_usage(usage, rest));
    put(&mut out, "usage", Some(usage));
    put(&mut out, "id", Some(id));
    if let Some(failed) = &answer.failed {
        status = Status { word: "failed".to_owned(), reason: None };
        let mut whole = shell(out, &status);
        put(&mut whole, "error", Some(error(failed)));
        return Value::Object(whole);
    }
    Value::Object(shell(out, &status))
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
