//! An answer that is one text and nothing else, as nearly all are, for clients of other dialects.
//!
//! [`read_answer`](super::read_answer) keeps all that an answer says, in maps, which takes far longer. What only this
//! dialect knows is of no use in another, so here it is hopped over, as in streams.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::answer::{Seen, read_finish};
use crate::dialect::json::Cursor;
use crate::dialect::openai::answer::{Service, Usage};
use crate::dialect::plain::Object;
use crate::dialect::talk::{Answer, Choice, Dialect, Own, Part};

/// Not there, or `null`. Anything else may have a meaning that is not read here.
type Nothing = Option<()>;
/// The same, or an empty list.
type NoneOf = Option<[u8; 0]>;

#[derive(Deserialize)]
struct Whole<'a> {
    id: Option<String>,
    model: Option<String>,
    created: Option<u64>,
    service_tier: Option<String>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    choices: [Object<OneChoice<'a>>; 1],
    #[serde(rename = "error")]
    _error: Nothing,
    #[serde(rename = "search_results")]
    _search_results: NoneOf,
    #[serde(rename = "citations")]
    _citations: NoneOf,
}

#[derive(Deserialize)]
struct OneChoice<'a> {
    index: Option<u32>,
    finish_reason: Option<&'a str>,
    message: Object<Message>,
    #[serde(rename = "logprobs")]
    _logprobs: Nothing,
}

#[derive(Deserialize)]
struct Message {
    content: String,
    #[serde(rename = "refusal")]
    _refusal: Nothing,
    #[serde(rename = "tool_calls")]
    _tool_calls: NoneOf,
    #[serde(rename = "function_call")]
    _function_call: Nothing,
    #[serde(rename = "reasoning_content")]
    _reasoning_content: Nothing,
    #[serde(rename = "reasoning")]
    _reasoning: Nothing,
    #[serde(rename = "reasoning_details")]
    _reasoning_details: NoneOf,
    #[serde(rename = "annotations")]
    _annotations: NoneOf,
    #[serde(rename = "images")]
    _images: NoneOf,
    #[serde(rename = "audio")]
    _audio: Nothing,
    #[serde(rename = "extra_content")]
    _extra_content: Nothing,
    #[serde(rename = "cache_control")]
    _cache_control: Nothing,
}

/// Reads such an answer; of any other, or none, `None`.
pub(super) fn read(body: &[u8]) -> Option<Answer> {
    let Object(whole): Object<Whole<'_>> = serde_json::from_slice(body).ok()?;
    let [Object(choice)] = whole.choices;
    let Object(Message { content: text, .. }) = choice.message;
    let choice = Choice {
        index: choice.index.unwrap_or(0).into(),
        pieces: if text.is_empty() { Vec::new() } else { vec![Part::text(text).into()] },
        finish: choice.finish_reason.map(|word| read_finish(word, Seen::default())),
        ..Choice::default()
    };
    let usage = whole.usage.and_then(|usage| Usage::read(&mut Cursor::new(usage.get().as_bytes())));
    let told = whole.service_tier.as_deref().map_or_else(Service::default, Service::of);
    Some(Answer {
        id: whole.id.unwrap_or_default(),
        model: whole.model.unwrap_or_default(),
        created: whole.created,
        choices: vec![choice],
        usage: usage.flatten().map(|usage| usage.served(told)),
        service_tier: whole.service_tier.map(|tier| Own::new(Dialect::Chat, tier)),
        ..Answer::default()
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::dialect::chat::read_answer;
    use crate::dialect::talk::Extra;

    fn answer() -> Value {
        let details = json!({"cached_tokens": 4, "audio_tokens": 0});
        json!({
            "id": "c", "object": "chat.completion", "created": 7, "model": "m", "system_fingerprint": "fp",
            "service_tier": "default", "moderation": {"flagged": false}, "usage": {"prompt_tokens": 9,
            "completion_tokens": 2, "total_tokens": 11, "prompt_tokens_details": details},
            "choices": [{"index": 0, "finish_reason": "stop", "logprobs": null, "stop_reason": null, "message":
            {"role": "assistant", "content": "Hi \"there\"", "refusal": null, "annotations": []}}],
        })
    }

    /// All but what only this dialect knows.
    fn portable(body: &[u8]) -> Answer {
        let mut answer = read_answer(body).unwrap();
        answer.extra = Extra::default();
        answer.choices.iter_mut().for_each(|choice| choice.extra = Extra::default());
        answer
    }

    #[test]
    fn one_text_is_read_as_ever() {
        for (path, value) in [
            ("/id", json!(null)),
            ("/service_tier", json!(null)),
            ("/service_tier", json!("flex")),
            ("/service_tier", json!("provisioned")),
            ("/usage", json!(null)),
            ("/usage", json!({"prompt_tokens": 1.5, "completion_tokens": "x"})),
            ("/choices/0/index", json!(3)),
            ("/choices/0/finish_reason", json!("length")),
            ("/choices/0/finish_reason", json!("odd")),
            ("/choices/0/finish_reason", json!(null)),
            ("/choices/0/message/content", json!("")),
        ] {
            let mut answer = answer();
            *answer.pointer_mut(path).unwrap() = value;
            let body = answer.to_string();
            assert_eq!(read(body.as_bytes()), Some(portable(body.as_bytes())), "{body}");
        }
    }

    /// Broken on purpose to see it fail: `reasoning` left out of what must not be there.
    #[test]
    fn what_means_more_is_left_to_the_other() {
        let more = json!(["x"]);
        let message = "refusal tool_calls function_call reasoning_content reasoning reasoning_details annotations images audio \
                       extra_content cache_control content";
        let places = message.split(' ').map(|name| ("/choices/0/message", name));
        let others = [("/choices/0", "logprobs"), ("", "error"), ("", "search_results"), ("", "citations")];
        for (place, name) in places.chain(others) {
            let mut answer = answer();
            answer.pointer_mut(place).unwrap()[name] = more.clone();
            assert_eq!(read(answer.to_string().as_bytes()), None, "{name}");
        }
        for (place, odd) in [
            ("/choices", json!([])),
            ("/choices", json!([answer()["choices"][0], answer()["choices"][0]])),
            ("/choices/0/message/content", json!(null)),
            ("/created", json!(1.5)),
            ("/id", json!(1)),
            ("/choices/0/index", json!(1u64 << 32)),
            ("/choices/0/message/refusal", json!([])),
        ] {
            let mut answer = answer();
            *answer.pointer_mut(place).unwrap() = odd;
            assert_eq!(read(answer.to_string().as_bytes()), None, "{answer}");
        }
        let mut failed = answer();
        failed["error"] = json!([]);
        assert_eq!(read(failed.to_string().as_bytes()), None);
        let message = json!(["Hi", null, null, null, null, null, null, null, null, null, null, null]);
        let listed = json!(["c", "m", 7, null, null, [[0, "stop", message, null]], null, null, null]);
        assert_eq!(read(listed.to_string().as_bytes()), None, "no object");
        let mut inner = answer();
        inner["choices"][0] = listed[5][0].clone();
        assert_eq!(read(inner.to_string().as_bytes()), None, "no choice");
        let twice =
            answer().to_string().replacen("{\"choices\"", "{\"id\":\"d\",\"id\":\"c\",\"choices\"", 1);
        assert_eq!(read(twice.as_bytes()), None, "{twice}");
    }
}
