//! Writing an answer.

use serde_json::Value;

use super::finish::{Status, signs, status_of};
use super::{Items, Output, Response, asks_summaries};
use crate::dialect::json::Object;
use crate::dialect::responses::fields::{Fields, is_own, mark, put_extra};
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
    if answer.failed.is_some() {
        status = Status { word: "failed".to_owned(), reason: None };
    }
    let output = match answer.text_alone() {
        Some((_, text)) => Items::Text(text),
        None => {
            let mut output = Output::new(&id, 0, &choice.logprobs, asks_summaries(echoes));
            Items::Listed(output.items(&choice.pieces))
        }
    };
    let mut more = Fields::new();
    put_extra(&mut more, &answer.extra);
    Response {
        id: &id,
        model: &answer.model,
        created: answer.created.unwrap_or(0),
        service_tier: answer.service_tier.as_ref().and_then(|tier| given_tier(tier, Dialect::Responses)),
        status: &status,
        failed: answer.failed.as_ref(),
        output,
        usage: answer.usage,
        beyond: mark(&answer.extra, "#usage").and_then(Value::as_object),
        more,
        echoes,
    }
    .push(out);
}

/// Appends the `error` of an answer that failed.
pub(super) fn push_error(failed: &Failed, out: &mut Vec<u8>) {
    let mut to = Object::new(out);
    to.text("code", if failed.kind.is_empty() { "server_error" } else { &failed.kind });
    to.text("message", &failed.message);
    to.end();
}

/// The answer's id in this dialect.
pub(in crate::dialect::responses) fn answer_id(id: &str, own: bool) -> String {
    if own || id.starts_with("resp_") { id.to_owned() } else { ["resp_", id].concat() }
}
