//! Whole answers, read and written.

use serde_json::{Value, json};

use super::calls;
use super::content::How;
use super::fields::{
    Fields, MOST, extra, object, put, put_extra, take, take_count, take_list, take_object, take_text,
};
use super::message::{self, Manner};
use super::text_alone;
use crate::dialect::openai::answer::{Usage, parse_error, usage_of};
use crate::dialect::talk::ids::Ids;
use crate::dialect::talk::tier::given_tier;
use crate::dialect::talk::{
    Answer, Choice, Citation, Dialect, Extra, Failed, Finish, Own, Part, Piece, Refused,
};

/// Reads a whole answer.
pub fn read_answer(body: &[u8]) -> Result<Answer, Refused> {
    let whole: Value = serde_json::from_slice(body)
        .map_err(|fault| Refused::whole(format!("The answer is not JSON: {fault}.")))?;
    let Value::Object(mut left) = whole else {
        return Err(Refused::whole("The answer is not a JSON object."));
    };
    if take(&mut left, "error").is_some() {
        // OpenRouter answers so, with a status of 200.
        let error = parse_error(body).unwrap_or_default();
        let failed = Failed::new(error.kind.or(error.code).unwrap_or_default(), error.message);
        return Ok(Answer { failed: Some(failed), ..Answer::default() });
    }
    let mut answer = Answer {
        id: take_text(&mut left, "", "id")?.unwrap_or_default(),
        model: take_text(&mut left, "", "model")?.unwrap_or_default(),
        created: created(left.get("created")),
        service_tier: take_text(&mut left, "", "service_tier")?.map(|tier| Own::new(Dialect::Chat, tier)),
        usage: usage_of(body),
        ..Answer::default()
    };
    left.remove("created");
    read_choices(&mut left, &mut answer)?;
    cite_searched(&left, &mut answer);
    answer.extra = extra(left, Fields::new());
    Ok(answer)
}

/// Reads a whole answer for clients of other dialects: what only this one knows may be missing.
pub fn read_answer_for_others(body: &[u8]) -> Result<Answer, Refused> {
    text_alone::read(body).map_or_else(|| read_answer(body), Ok)
}

/// A time in Unix seconds; some tell it with a fraction.
pub(super) fn created(value: Option<&Value>) -> Option<u64> {
    let value = value?;
    // The cast saturates.
    value.as_u64().or_else(|| value.as_f64().filter(|real| *real >= 0.0).map(|real| real as u64))
}

fn read_choices(left: &mut Fields, answer: &mut Answer) -> Result<(), Refused> {
    if !left.contains_key("choices") {
        return Err(Refused::field("choices", "The answer has no `choices`."));
    }
    for (n, choice) in take_list(left, "", "choices")?.into_iter().enumerate() {
        answer.choices.push(read_choice(choice, n as u64, &format!("choices[{n}]"))?);
    }
    Ok(())
}

fn read_choice(value: Value, n: u64, path: &str) -> Result<Choice, Refused> {
    let mut left = object(value, path)?;
    left.retain(|name, _| !name.starts_with('#'));
    let index = take_count(&mut left, path, "index", MOST)?.unwrap_or(n);
    let mut said = take_object(&mut left, path, "message")?.unwrap_or_default();
    said.remove("role");
    let mut marks = Fields::new();
    let mut pieces = message::read(&mut said, &mut marks, &format!("{path}.message"))?;
    let logprobs = take_logprobs(&mut left);
    let word = take_text(&mut left, path, "finish_reason")?;
    let seen = Seen::of(&pieces);
    let finish = word.as_deref().map(|word| read_finish(word, seen));
    if !is_cut(finish.as_ref()) {
        calls::complete(&mut pieces);
    }
    if word.as_deref() != finish.as_ref().map(|finish| write_finish(finish, seen.refusal)) {
        left.insert("#finish_reason".into(), word.unwrap_or_default().into());
    }
    if let Some(kept) = extra(said, marks).0 {
        left.insert("#message".into(), Value::Object(kept.1));
    }
    Ok(Choice { index, pieces, finish, logprobs, extra: Extra::of(Dialect::Chat, left) })
}

fn take_logprobs(left: &mut Fields) -> Vec<Value> {
    let Some(Value::Object(logprobs)) = left.get_mut("logprobs") else { return Vec::new() };
    let Some(Value::Array(tokens)) = logprobs.remove("content") else { return Vec::new() };
    tokens
}

/// What an answer held, by which its finish is understood.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    pub(super) calls: bool,
    pub(super) refusal: bool,
}

impl Seen {
    fn of(pieces: &[Piece]) -> Seen {
        Seen {
            calls: pieces.iter().any(|piece| matches!(piece.part, Part::Call(_))),
            refusal: pieces.iter().any(|piece| matches!(piece.part, Part::Refusal(_))),
        }
    }
}

/// Reads a `finish_reason`.
pub(super) fn read_finish(word: &str, seen: Seen) -> Finish {
    match word {
        // Forced calls end so at OpenAI, all calls at some servers.
        "stop" if seen.calls => Finish::Calls,
        "stop" if seen.refusal => Finish::Refused,
        // The latter two: servers of open models, Together.
        "stop" | "eos" | "eos_token" => Finish::Stop,
        // Hugging Face's server.
        "stop_sequence" => Finish::StopText(None),
        "length" | "max_tokens" => Finish::Length,
        // Mistral.
        "model_length" => Finish::Context,
        "tool_calls" | "function_call" => Finish::Calls,
        "content_filter" => Finish::Filtered,
        other => Finish::other(Dialect::Chat, other),
    }
}

/// May it have ended within a call?
pub(super) fn is_cut(finish: Option<&Finish>) -> bool {
    matches!(finish, Some(Finish::Length | Finish::Context | Finish::Filtered))
}

/// Writes one; `refusal`: the answer has a `refusal`, by which the client learns that the model declines. Else it learns it
/// by this word.
pub(super) fn write_finish(finish: &Finish, refusal: bool) -> &str {
    match finish {
        Finish::Refused if !refusal => "content_filter",
        Finish::Other(own) if own.dialect == Dialect::Chat => &own.value,
        // There is no word for a call that nobody can read; the answer is over.
        Finish::Stop
        | Finish::StopText(_)
        | Finish::Refused
        | Finish::Paused
        | Finish::Malformed
        | Finish::Other(_) => "stop",
        Finish::Length | Finish::Context => "length",
        Finish::Calls => "tool_calls",
        Finish::Filtered => "content_filter",
    }
}

/// Perplexity tells its sources beside the answer; so that others learn of them they count as the first text's.
fn cite_searched(left: &Fields, answer: &mut Answer) {
    let texts = answer.choices.iter_mut().flat_map(|choice| &mut choice.pieces);
    let first = texts.filter_map(|piece| match &mut piece.part {
        Part::Text { citations, .. } => Some(citations),
        _ => None,
    });
    let Some(citations) = first.into_iter().next().filter(|citations| citations.is_empty()) else { return };
    let list = |name: &str| left.get(name).and_then(Value::as_array).filter(|list| !list.is_empty());
    let Some(sources) = list("search_results").or_else(|| list("citations")) else { return };
    citations.extend(sources.iter().filter_map(read_source));
}

/// One of Perplexity's sources: a result of its search, or a mere address. It is not written as an annotation, for it
/// is none: it stands where it stood.
pub(super) fn read_source(source: &Value) -> Option<Citation> {
    let text = |name: &str| source.get(name)?.as_str().map(str::to_owned);
    let url = source.as_str().map(str::to_owned).or_else(|| text("url"))?;
    let original = Some((Dialect::Chat, source.clone()));
    Some(Citation { url: Some(url), title: text("title"), text: text("snippet"), range: None, original })
}

/// Writes a whole answer; of one that failed the error.
pub fn write_answer(answer: &Answer) -> Value {
    if let Some(Failed { kind, message }) = &answer.failed {
        let kind = if kind.is_empty() { "server_error" } else { kind };
        return json!({"error": {"message": message, "type": kind, "param": null, "code": null}});
    }
    let mut ids = Ids::of_answer(&answer.id);
    let choices = answer.choices.iter().map(|choice| write_choice(choice, &mut ids));
    let mut out = Fields::from_iter([("choices".to_owned(), Value::Array(choices.collect()))]);
    out.insert("id".into(), answer.id.as_str().into());
    out.insert("object".into(), "chat.completion".into());
    out.insert("created".into(), answer.created.unwrap_or_default().into());
    out.insert("model".into(), answer.model.as_str().into());
    let tier = answer.service_tier.as_ref().and_then(|tier| given_tier(tier, Dialect::Chat));
    put(&mut out, "service_tier", tier);
    put_extra(&mut out, &answer.extra);
    if let Some(usage) = answer.usage {
        let kept = match out.remove("usage") {
            Some(Value::Object(kept)) => kept,
            _ => Fields::new(),
        };
        out.insert("usage".into(), write_usage(usage, kept));
    }
    Value::Object(out)
}

fn write_choice(choice: &Choice, ids: &mut Ids) -> Value {
    let kept: Fields =
        choice.extra.fields(Dialect::Chat).map(|(name, value)| (name.clone(), value.clone())).collect();
    let own = match kept.get("#message") {
        Some(Value::Object(own)) => Extra::of(Dialect::Chat, own.clone()),
        _ => Extra::default(),
    };
    let cut = is_cut(choice.finish.as_ref());
    let content = How { cache: false, joint: Some("") };
    let manner = Manner { answer: true, cut, content, reasoning: true, extra: &own, path: "message" };
    // Only media that the dialect has no place for are refused, and the answer is worth more than those.
    let mut said = message::write(&choice.pieces, &manner, ids)
        .unwrap_or_else(|_| message::write(&without_media(&choice.pieces), &manner, ids).unwrap_or_default());
    said.insert("role".into(), "assistant".into());
    said.entry("refusal").or_insert(Value::Null);
    put_extra(&mut said, &own);
    let refusal = Seen::of(&choice.pieces).refusal;
    let mut out = Fields::from_iter([("message".to_owned(), Value::Object(said))]);
    out.insert("index".into(), choice.index.into());
    out.insert(
        "finish_reason".into(),
        choice.finish.as_ref().map(|finish| write_finish(finish, refusal)).into(),
    );
    out.insert("logprobs".into(), Value::Null);
    if let Some(word) = kept.get("#finish_reason") {
        out.insert("finish_reason".into(), word.clone());
    }
    out.extend(kept.into_iter().filter(|(name, _)| !name.starts_with('#')));
    if !choice.logprobs.is_empty() {
        let mut logprobs = out.get("logprobs").and_then(Value::as_object).cloned().unwrap_or_default();
        logprobs.insert("content".into(), choice.logprobs.clone().into());
        logprobs.entry("refusal").or_insert(Value::Null);
        out.insert("logprobs".into(), Value::Object(logprobs));
    }
    Value::Object(out)
}

fn without_media(pieces: &[Piece]) -> Vec<Piece> {
    pieces.iter().filter(|piece| !matches!(piece.part, Part::Media(_))).cloned().collect()
}

/// Writes usage into what was kept of it.
pub(super) fn write_usage(usage: Usage, mut kept: Fields) -> Value {
    kept.insert("prompt_tokens".into(), usage.input.into());
    kept.insert("completion_tokens".into(), usage.output.into());
    kept.insert("total_tokens".into(), usage.total().into());
    let mut detail = |of: &str, name: &str, count: u64| {
        let details = kept.entry(of).or_insert_with(|| json!({}));
        if !details.is_object() {
            *details = json!({});
        }
        details[name] = count.into();
    };
    detail("prompt_tokens_details", "cached_tokens", usage.cached_input);
    if usage.written_input > 0 {
        detail("prompt_tokens_details", "cache_write_tokens", usage.written_input);
    }
    detail("completion_tokens_details", "reasoning_tokens", usage.reasoning);
    Value::Object(kept)
}
