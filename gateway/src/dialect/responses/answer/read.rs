//! Reading an answer.

use serde_json::Value;

use super::finish::{Status, finish_of, signs};
use super::usage::read_usage;
use crate::dialect::responses::fields::{
    Fields, extra, marks, put, take, take_list, take_object, take_text, wrong,
};
use crate::dialect::responses::items;
use crate::dialect::talk::{Answer, Choice, Dialect, Failed, Own, Refused};

/// Reads a whole answer; one that failed with what it had said by then.
pub fn read_answer(body: &[u8]) -> Result<Answer, Refused> {
    let whole: Value = serde_json::from_slice(body)
        .map_err(|error| Refused::whole(format!("The answer is not valid JSON: {error}.")))?;
    let Value::Object(mut fields) = whole else {
        return Err(Refused::whole("The answer must be a JSON object."));
    };
    let error = take(&mut fields, "error");
    let fails = error.is_some() || fields.get("status").and_then(Value::as_str) == Some("failed");
    let failed = fails.then(|| failure(&error.unwrap_or_default()));
    if failed.is_none() && !fields.get("output").is_some_and(Value::is_array) {
        return Err(wrong("", "output", "given, as a list"));
    }
    let (id, model, created) = head(&fields);
    fields.retain(|name, _| !matches!(name.as_str(), "id" | "model" | "created_at"));
    let mut logprobs = Vec::new();
    let output = take_list(&mut fields, "", "output")?;
    let pieces = items::read_output(output, "output", &mut logprobs)?;
    let (usage, rest) = take(&mut fields, "usage").map(read_usage).unwrap_or_default();
    let (calls, refusal) = signs(pieces.iter().map(|piece| &piece.part));
    let status = take_status(&mut fields)?;
    let mut own = marks("#own", true);
    put(&mut own, "#usage", (!rest.is_empty()).then_some(rest));
    let finish = finish_of(&status, calls, refusal);
    if finish.is_none() && failed.is_none() {
        own.insert("#status".to_owned(), status.word.into());
    }
    let tier = take_text(&mut fields, "", "service_tier")?;
    let service_tier = tier.map(|tier| Own::new(Dialect::Responses, tier));
    let finish = finish.filter(|_| failed.is_none());
    let choice = Choice { index: 0, pieces, finish, logprobs, ..Choice::default() };
    let extra = extra(fields, own);
    Ok(Answer { id, model, created, choices: vec![choice], failed, usage, service_tier, extra })
}

/// The id, the model and the time of a `response`; what is missing is empty.
pub(in crate::dialect::responses) fn head(fields: &Fields) -> (String, String, Option<u64>) {
    let text = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let created = fields.get("created_at");
    // Azure and older OpenAI models write `1700000000.0`. The cast saturates.
    let real = || created.and_then(Value::as_f64).filter(|real| *real >= 0.0).map(|real| real as u64);
    (text("id"), text("model"), created.and_then(Value::as_u64).or_else(real))
}

fn take_status(fields: &mut Fields) -> Result<Status, Refused> {
    let reason = take_object(fields, "", "incomplete_details")?
        .and_then(|details| details.get("reason")?.as_str().map(str::to_owned));
    let word = take_text(fields, "", "status")?;
    let word = word.unwrap_or_else(|| if reason.is_some() { "incomplete" } else { "completed" }.to_owned());
    Ok(Status { word, reason })
}

/// The kind and the words of an `error`: an object, or (xAI) a string.
pub(in crate::dialect::responses) fn failure(error: &Value) -> Failed {
    let text = |name: &str| error.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let kind = text("code").or_else(|| text("type")).unwrap_or_default().to_owned();
    let message = text("message").or_else(|| error.as_str()).unwrap_or_default();
    Failed::new(kind, message.to_owned())
}
