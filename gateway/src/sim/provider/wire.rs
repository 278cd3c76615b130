//! OpenAI's bytes: completions, stream frames, error bodies, and the values of the rate limit headers.

use super::account::{Gauge, Refusal, Unit};
use super::answer::{Answer, Choice, Piece};
use super::control::Input;
use bytes::Bytes;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// The last frame of a stream.
pub(super) const DONE: &str = "data: [DONE]\n\n";

/// The organization that every key belongs to.
pub(super) const ORGANIZATION: &str = "org-weir";

const FINGERPRINT: &str = "fp_00000weir0";

/// What every object of one answer repeats.
#[derive(Debug)]
pub(super) struct Naming {
    pub(super) id: String,
    /// Unix seconds.
    pub(super) created: u64,
    pub(super) model: String,
    /// `service_tier`.
    pub(super) service: String,
}

/// What an answer says it used, tokens.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Used {
    pub(super) input: Input,
    pub(super) output: u64,
    pub(super) reasoning: u64,
}

/// The body of a plain answer. Written as text, like the frames below: a tree of JSON values would cost more than
/// all the rest of a call.
pub(super) fn completion(naming: &Naming, answer: &Answer, used: &Used) -> String {
    let mut body = String::with_capacity(1_024);
    let Naming { id, created, model, service } = naming;
    push(
        &mut body,
        format_args!(
            "{{\"id\":\"{id}\",\"object\":\"chat.completion\",\"created\":{created},\"model\":{},\"choices\":[",
            quoted(model)
        ),
    );
    for (index, choice) in answer.choices.iter().enumerate() {
        let comma = if index > 0 { "," } else { "" };
        push(&mut body, format_args!("{comma}{{\"index\":{index},\"message\":"));
        push_message(&mut body, choice);
        push(&mut body, format_args!(",\"logprobs\":null,\"finish_reason\":\"{}\"}}", choice.finish));
    }
    body.push_str("],\"usage\":");
    push_usage(&mut body, used);
    push(
        &mut body,
        format_args!(",\"service_tier\":\"{service}\",\"system_fingerprint\":\"{FINGERPRINT}\"}}"),
    );
    body
}

fn push_message(out: &mut String, choice: &Choice) {
    let content = choice.text().map_or_else(|| "null".into(), |text| quoted(&text));
    push(out, format_args!("{{\"role\":\"assistant\",\"content\":{content}"));
    for (index, call) in choice.tools.iter().take(choice.begun()).enumerate() {
        let before = if index == 0 { ",\"tool_calls\":[" } else { "," };
        let (id, name, arguments) = (&call.id, quoted(&call.name), quoted(&choice.arguments(index)));
        push(
            out,
            format_args!(
                "{before}{{\"id\":\"{id}\",\"type\":\"function\",\"function\":{{\"name\":{name},\
                 \"arguments\":{arguments}}}}}"
            ),
        );
    }
    out.push_str(if choice.begun() > 0 { "]," } else { "," });
    out.push_str("\"refusal\":null,\"annotations\":[]}");
}

fn push_usage(out: &mut String, used: &Used) {
    let Used { input: Input { all: prompt, cached, written }, output, reasoning } = *used;
    let total = prompt + output;
    push(
        out,
        format_args!(
            "{{\"prompt_tokens\":{prompt},\"completion_tokens\":{output},\"total_tokens\":{total},\
             \"prompt_tokens_details\":{{\"cached_tokens\":{cached},\"cache_write_tokens\":{written},\"audio_tokens\":0}},\
             \"completion_tokens_details\":{{\"reasoning_tokens\":{reasoning},\"audio_tokens\":0,\
             \"accepted_prediction_tokens\":0,\"rejected_prediction_tokens\":0}}}}"
        ),
    );
}

/// Appends formatted text; writing to a String cannot fail.
fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    let _ = out.write_fmt(text);
}

/// Writes the frames of one stream; what all of them share is rendered once.
#[derive(Debug)]
pub(super) struct Frames {
    head: String,
    tail: &'static str,
}

impl Frames {
    /// With `include_usage` every frame but the last has `"usage":null`, as OpenAI's have.
    pub(super) fn new(naming: &Naming, include_usage: bool) -> Self {
        let head = format!(
            "data: {{\"id\":{},\"object\":\"chat.completion.chunk\",\"created\":{},\"model\":{},\
             \"service_tier\":{},\"system_fingerprint\":\"{FINGERPRINT}\",\"choices\":[",
            quoted(&naming.id),
            naming.created,
            quoted(&naming.model),
            quoted(&naming.service)
        );
        Self { head, tail: if include_usage { "],\"usage\":null}\n\n" } else { "]}\n\n" } }
    }

    pub(super) fn role(&self, index: usize, choice: &Choice) -> Bytes {
        let content = if choice.tools.is_empty() { "\"\"" } else { "null" };
        let delta = format!("{{\"role\":\"assistant\",\"content\":{content},\"refusal\":null}}");
        self.frame(index, &delta, "null")
    }

    pub(super) fn piece(&self, index: usize, choice: &Choice, piece: &Piece) -> Bytes {
        let delta = match piece {
            Piece::Text(text) => format!("{{\"content\":{}}}", quoted(text)),
            Piece::ToolStart(tool) => {
                let call = &choice.tools[*tool];
                format!(
                    "{{\"tool_calls\":[{{\"index\":{tool},\"id\":\"{}\",\"type\":\"function\",\
                     \"function\":{{\"name\":{},\"arguments\":\"\"}}}}]}}",
                    call.id,
                    quoted(&call.name)
                )
            }
            Piece::ToolArguments(tool, text) => {
                let text = quoted(text);
                format!("{{\"tool_calls\":[{{\"index\":{tool},\"function\":{{\"arguments\":{text}}}}}]}}")
            }
        };
        self.frame(index, &delta, "null")
    }

    pub(super) fn finish(&self, index: usize, choice: &Choice) -> Bytes {
        self.frame(index, "{}", &quoted(choice.finish))
    }

    pub(super) fn usage(&self, used: &Used) -> Bytes {
        let mut frame = self.head.clone();
        frame.push_str("],\"usage\":");
        push_usage(&mut frame, used);
        frame.push_str("}\n\n");
        frame.into()
    }

    fn frame(&self, index: usize, delta: &str, finish: &str) -> Bytes {
        let mut frame = String::with_capacity(self.head.len() + delta.len() + self.tail.len() + 80);
        frame.push_str(&self.head);
        push(
            &mut frame,
            format_args!(
                "{{\"index\":{index},\"delta\":{delta},\"logprobs\":null,\"finish_reason\":{finish}}}"
            ),
        );
        frame.push_str(self.tail);
        frame.into()
    }
}

/// A JSON string.
fn quoted(text: &str) -> String {
    // Escaping is left to the JSON library; words and ids need none.
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\') {
        return format!("\"{text}\"");
    }
    Value::from(text).to_string()
}

/// An error body.
pub(super) fn error(message: &str, kind: &str, param: Option<&str>, code: Option<&str>) -> String {
    json!({"error": {"message": message, "type": kind, "param": param, "code": code}}).to_string()
}

/// What an overloaded server answers, as a body or inside a stream.
pub(super) fn server_error() -> String {
    let message = "The server had an error while processing your request. Sorry about that!";
    error(message, "server_error", None, None)
}

/// The body of a 404 for a model that is not served.
pub(super) fn unknown_model(model: &str) -> String {
    let message = format!("The model `{model}` does not exist or you do not have access to it.");
    error(&message, "invalid_request_error", None, Some("model_not_found"))
}

/// The body of a 429.
pub(super) fn rate_limit_error(model: &str, refusal: &Refusal) -> String {
    let Refusal { unit, limit, used, requested, wait_us } = refusal;
    let per = match unit {
        Unit::Requests => "requests per min (RPM)",
        Unit::Tokens => "tokens per min (TPM)",
    };
    let message = match wait_us {
        Some(wait) => format!(
            "Rate limit reached for {model} in organization {ORGANIZATION} on {per}: Limit {limit}, Used {used}, \
             Requested {requested}. Please try again in {}. Visit \
             https://platform.openai.com/account/rate-limits to learn more.",
            go_duration(*wait)
        ),
        None => format!(
            "Request too large for {model} in organization {ORGANIZATION} on {per}: Limit {limit}, Requested \
             {requested}. The input or output tokens must be reduced in order to run successfully."
        ),
    };
    error(&message, unit.name(), None, Some("rate_limit_exceeded"))
}

/// `x-ratelimit-{limit,remaining,reset}-UNIT`, in this order.
pub(super) fn rate_limit_values(gauge: &Gauge) -> [String; 3] {
    let remaining = gauge.limit.saturating_sub(gauge.used);
    [gauge.limit.to_string(), remaining.to_string(), go_duration(gauge.reset_us)]
}

/// A duration as Go prints it (`0s`, `12ms`, `7.66s`, `1m30s`), in whole milliseconds rounded up.
pub(super) fn go_duration(micros: u64) -> String {
    let millis = micros.div_ceil(1_000);
    if millis == 0 {
        return "0s".into();
    }
    if millis < 1_000 {
        return format!("{millis}ms");
    }
    let (minutes, rest) = (millis / 60_000, millis % 60_000);
    let seconds = format!("{}.{:03}", rest / 1_000, rest % 1_000);
    let seconds = seconds.trim_end_matches('0').trim_end_matches('.');
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{seconds}s"),
        (0, minutes) => format!("{minutes}m{seconds}s"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_look_like_gos() {
        for (micros, text) in [
            (0, "0s"),
            (1, "1ms"),
            (120_000, "120ms"),
            (1_000_000, "1s"),
            (7_660_000, "7.66s"),
            (90_000_000, "1m30s"),
            (71_339_000, "1m11.339s"),
            (360_000_000, "6m0s"),
            (3_600_000_000, "1h0m0s"),
        ] {
            assert_eq!(go_duration(micros), text);
        }
    }

    #[test]
    fn a_refusal_reads_like_openais() {
        let refusal = Refusal {
            unit: Unit::Tokens,
            limit: 10_000,
            used: 8_782,
            requested: 8_172,
            wait_us: Some(41_724_000),
        };
        let body: Value = serde_json::from_str(&rate_limit_error("gpt-4o", &refusal)).unwrap();
        let message = body["error"]["message"].as_str().unwrap();
        assert!(message.starts_with(
            "Rate limit reached for gpt-4o in organization org-weir on tokens per min (TPM): Limit 10000, \
             Used 8782, Requested 8172. Please try again in 41.724s."
        ));
        assert_eq!(body["error"]["type"], "tokens");
        assert_eq!(body["error"]["code"], "rate_limit_exceeded");
    }

    #[test]
    fn frames_are_events_of_valid_json() {
        let naming =
            Naming { id: "chatcmpl-1".into(), created: 5, model: "a \"b\"".into(), service: "flex".into() };
        let choice = Choice { tools: Vec::new(), pieces: Vec::new(), finish: "stop" };
        let frames = Frames::new(&naming, true);
        for frame in [
            frames.role(0, &choice),
            frames.piece(0, &choice, &Piece::Text("\n\"x\"".into())),
            frames.finish(0, &choice),
            frames.usage(&Used::default()),
        ] {
            let text = std::str::from_utf8(&frame).unwrap();
            let data = text.strip_prefix("data: ").unwrap().strip_suffix("\n\n").unwrap();
            let value: Value = serde_json::from_str(data).unwrap();
            assert_eq!(value["object"], "chat.completion.chunk");
            assert!(value.get("usage").is_some());
        }
        let without = Frames::new(&naming, false).finish(0, &choice);
        assert!(!std::str::from_utf8(&without).unwrap().contains("usage"));
    }
}
