//! Error frames: inside streams that began with 200, and plain answers that are errors in spite of it.

use serde_json::Value;

use super::said::Said;

/// Something that may report a failure.
#[derive(Clone, Copy, Debug)]
pub enum Frame<'a> {
    /// A server-sent event, or one element of Gemini's array: its name, empty if it has none, and its data. Failures
    /// are the `{"error"}` of OpenAI, OpenRouter, Gemini and Ollama, Anthropic's `event: error`, `error` and
    /// `response.failed` of Responses, and Cohere's end with an error.
    Event {
        /// `event:`.
        name: &'a str,
        /// `data:`.
        data: &'a [u8],
    },
    /// A frame of AWS's event stream whose `:message-type` is `exception`: its `:exception-type` and payload. (Of
    /// `error` frames: `:error-code` and `:error-message`.)
    Exception {
        /// `throttlingException`.
        name: &'a str,
        /// `{"message"}`, or text.
        payload: &'a [u8],
    },
    /// The body of a plain answer with status 200.
    Answer(&'a [u8]),
}

impl Frame<'_> {
    /// What it says of a failure; `None` if it reports none.
    pub(super) fn said(self) -> Option<Said> {
        match self {
            Frame::Event { name, data } => of_event(name, data),
            Frame::Exception { name, payload } => {
                let mut said = Said::read(payload).unwrap_or_default();
                said.names.insert(0, name.to_owned());
                said.kind = said.kind.or_else(|| Some(name.to_owned()));
                Some(said)
            }
            Frame::Answer(body) => of_answer(body),
        }
    }
}

fn of_event(name: &str, data: &[u8]) -> Option<Said> {
    let Ok(whole) = serde_json::from_slice::<Value>(data.trim_ascii()) else {
        return (name == "error").then(|| Said::read(data).unwrap_or_default());
    };
    let whole = match &whole {
        Value::Array(items) => items.first()?,
        other => other,
    };
    let kind = whole.get("type").and_then(Value::as_str).unwrap_or(name);
    let failed = match kind {
        "response.failed" => return Some(of_failed(whole.get("response")?)),
        "error" => whole,
        _ if name == "error" || has_error(whole) || whole.get("object").is_some_and(|o| o == "error") => {
            whole
        }
        _ => {
            let inside = ["/choices/0", "/delta", "/response"].iter().filter_map(|path| whole.pointer(path));
            inside.into_iter().find(|part| has_error(part) && ended_badly(part, whole))?
        }
    };
    // Whatever stands in it, it is a failure.
    Some(Said::of_value(failed, 0).unwrap_or_default())
}

/// OpenRouter's choices and Cohere's ends carry an error beside the reason for which they ended.
fn ended_badly(part: &Value, whole: &Value) -> bool {
    [part, whole].iter().any(|value| {
        let reason = value.get("finish_reason").or_else(|| value.get("status")).and_then(Value::as_str);
        reason.is_some_and(|reason| matches!(reason, "error" | "ERROR" | "failed"))
    })
}

/// An `error` that says something: not `null`, `""`, `{}`, `[]` or `false`.
fn has_error(value: &Value) -> bool {
    match value.get("error") {
        None | Some(Value::Null | Value::Bool(_)) => false,
        Some(Value::String(text)) => !text.is_empty(),
        Some(Value::Array(items)) => !items.is_empty(),
        Some(Value::Object(members)) => !members.is_empty(),
        Some(Value::Number(_)) => true,
    }
}

/// An error that stands beside an answer is none, except that a response may say that it failed.
fn of_answer(body: &[u8]) -> Option<Said> {
    let whole: Value = serde_json::from_slice(body).ok()?;
    let whole = match &whole {
        Value::Array(items) => items.first()?,
        other => other,
    };
    let answers = ["choices", "data", "results", "output", "candidates", "content", "embeddings"];
    let answers = answers.iter().any(|name| whole.get(*name).is_some());
    let is = |name: &str, value: &str| whole.get(name).is_some_and(|found| found == value);
    if is("status", "failed") {
        return Some(of_failed(whole));
    }
    let fails = !answers && (has_error(whole) || is("object", "error") || is("type", "error"));
    fails.then(|| Said::of_value(whole, 0).unwrap_or_default())
}

/// Of a failed response only its error: the rest repeats the request.
fn of_failed(response: &Value) -> Said {
    response.get("error").and_then(|error| Said::of_value(error, 0)).unwrap_or_default()
}
