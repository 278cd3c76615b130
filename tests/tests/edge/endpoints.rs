//! What is asked and answered at each path: one line of [`ENDPOINTS`] each.

use crate::wire::find;

/// A path that takes calls.
#[derive(Debug)]
pub(crate) struct Endpoint {
    /// Where it is.
    pub(crate) path: &'static str,
    /// Where the provider has it, behind its base URL.
    pub(crate) upstream: &'static str,
    /// The member that holds the input, as JSON text that is valid there.
    pub(crate) input: (&'static str, &'static str),
    /// Members of the wrong type or out of range, each as JSON text.
    pub(crate) wrong: &'static [(&'static str, &'static str)],
    /// An honest answer without its braces; `@` stands for the id.
    answer: &'static str,
    /// The honest events of a stream; empty where nothing is streamed.
    events: &'static [&'static str],
}

/// All of them.
pub(crate) const ENDPOINTS: [Endpoint; 1] = [Endpoint {
    path: "/v1/chat/completions",
    upstream: "/v1/chat/completions",
    input: ("messages", r#"[{"role":"user","content":"hello there"}]"#),
    wrong: &[
        ("messages", r#""hi""#),
        ("messages", "{}"),
        ("messages", "[]"),
        ("messages", "null"),
        ("messages", "7"),
        ("stream", r#""yes""#),
        ("stream", "1"),
        ("stream", "[]"),
        ("stream_options", "[]"),
        ("stream_options", r#"{"include_usage":"x"}"#),
        ("max_tokens", "-1"),
        ("max_tokens", "1.5"),
        ("max_tokens", r#""9""#),
        ("max_tokens", "1e3"),
        ("max_tokens", "99999999999999999999"),
        ("max_completion_tokens", "{}"),
        ("n", "0"),
        ("n", "-1"),
        ("n", "129"),
        ("n", r#""2""#),
        ("n", "true"),
    ],
    answer: r#""id":"@","object":"chat.completion","created":1,"model":"up","choices":[{"index":0,"message":{"role":"assistant","content":"echo @"},"finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":5,"total_tokens":12}"#,
    events: &[
        r#"{"id":"@","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}"#,
        r#"{"id":"@","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"echo "},"finish_reason":null}]}"#,
        r#"{"id":"@","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"@"},"finish_reason":null}]}"#,
        r#"{"id":"@","object":"chat.completion.chunk","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
    ],
}];

/// Tokens that an honest answer says it used.
pub(crate) const TOKENS: u64 = 12;

impl Endpoint {
    /// An honest plain answer to the call `id`.
    pub(crate) fn answer(&self, id: &str) -> String {
        format!("{{{}}}", self.answer.replace('@', id))
    }

    /// Are there streams?
    pub(crate) fn streams(&self) -> bool {
        !self.events.is_empty()
    }

    /// The events of an honest stream, each with its blank line, up to and with the reason of the end.
    pub(crate) fn events(&self, id: &str) -> Vec<String> {
        self.events.iter().map(|event| format!("data: {}\n\n", event.replace('@', id))).collect()
    }

    /// The usage in a chunk of its own.
    pub(crate) fn usage(&self, id: &str) -> String {
        format!(
            "data: {{\"id\":\"{id}\",\"choices\":[],\"usage\":{{\"prompt_tokens\":7,\"completion_tokens\":5,\"total_tokens\":12}}}}\n\n"
        )
    }

    /// A valid request of the call `id`, as text; `more` are further members, each with a comma in front.
    pub(crate) fn request(&self, model: &str, id: &str, more: &str) -> String {
        let (name, value) = self.input;
        format!(r#"{{"model":"{model}","{name}":{value},"user":"{id}"{more}}}"#)
    }
}

/// The end of a stream.
pub(crate) const DONE: &str = "data: [DONE]\n\n";

/// The id that a body names: `case-`, and what follows up to a character that is none of an id.
pub(crate) fn id_in(body: &[u8]) -> Option<String> {
    let from = find(body, b"case-")?;
    let is_of_id = |byte: &&u8| byte.is_ascii_alphanumeric() || **byte == b'-';
    let id: Vec<u8> = body[from..].iter().take_while(is_of_id).copied().collect();
    String::from_utf8(id).ok()
}
