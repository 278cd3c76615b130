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
    /// A call without it is malformed.
    pub(crate) needs_input: bool,
    /// Further members of every call, each with a comma in front.
    also: &'static str,
    /// Members of the wrong type or out of range, each as JSON text.
    pub(crate) wrong: &'static [(&'static str, &'static str)],
    /// An honest answer without its braces; `@` stands for the id, and its usage comes last.
    answer: &'static str,
    /// The honest events of a stream, the first without content; none where nothing is streamed.
    events: &'static [&'static str],
    /// What follows them at the end of a stream.
    pub(crate) end: &'static str,
    /// A stream tells its usage only when asked, in a chunk of its own.
    pub(crate) asks_for_usage: bool,
}

/// All of them. The first is asked where it does not matter.
pub(crate) const ENDPOINTS: [Endpoint; 5] = [
    Endpoint {
        path: "/v1/chat/completions",
        upstream: "/v1/chat/completions",
        input: ("messages", r#"[{"role":"user","content":"hello there"}]"#),
        needs_input: true,
        also: "",
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
            r#"data: {"id":"@","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}"#,
            r#"data: {"id":"@","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"echo "},"finish_reason":null}]}"#,
            r#"data: {"id":"@","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"@"},"finish_reason":null}]}"#,
            r#"data: {"id":"@","object":"chat.completion.chunk","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
        ],
        end: DONE,
        asks_for_usage: true,
    },
    Endpoint {
        path: "/v1/completions",
        upstream: "/v1/completions",
        input: ("prompt", r#""once upon a time""#),
        needs_input: false,
        also: "",
        wrong: &[
            ("stream", "0"),
            ("stream_options", "[]"),
            ("max_tokens", "-1"),
            ("max_tokens", "1e3"),
            ("n", "0"),
            ("n", r#""2""#),
            ("best_of", "0"),
            ("best_of", "129"),
            ("best_of", "{}"),
        ],
        answer: r#""id":"@","object":"text_completion","created":1,"model":"up","choices":[{"index":0,"text":"echo @","finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":5,"total_tokens":12}"#,
        events: &[
            r#"data: {"id":"@","object":"text_completion","choices":[{"index":0,"text":"","finish_reason":null}]}"#,
            r#"data: {"id":"@","object":"text_completion","choices":[{"index":0,"text":"echo ","finish_reason":null}]}"#,
            r#"data: {"id":"@","object":"text_completion","choices":[{"index":0,"text":"@","finish_reason":null}]}"#,
            r#"data: {"id":"@","object":"text_completion","choices":[{"index":0,"text":"","finish_reason":"stop"}]}"#,
        ],
        end: DONE,
        asks_for_usage: true,
    },
    Endpoint {
        path: "/v1/embeddings",
        upstream: "/v1/embeddings",
        input: ("input", r#"["hello there","and there"]"#),
        needs_input: true,
        also: "",
        wrong: &[("input", "null")],
        answer: r#""id":"@","object":"list","model":"up","data":[{"object":"embedding","index":0,"embedding":"AACAPw=="}],"usage":{"prompt_tokens":12,"total_tokens":12}"#,
        events: &[],
        end: "",
        asks_for_usage: false,
    },
    Endpoint {
        path: "/v1/rerank",
        upstream: "/v1/rerank",
        input: ("documents", r#"["one text","another text"]"#),
        needs_input: true,
        also: r#","query":"hello there""#,
        wrong: &[
            ("documents", "{}"),
            ("documents", "null"),
            ("documents", "7"),
            ("documents", r#""one text""#),
        ],
        answer: r#""id":"@","model":"up","results":[{"index":1,"relevance_score":0.5}],"usage":{"total_tokens":12}"#,
        events: &[],
        end: "",
        asks_for_usage: false,
    },
    Endpoint {
        path: "/v1/responses",
        upstream: "/v1/responses",
        input: ("input", r#""hello there""#),
        needs_input: false,
        also: "",
        wrong: &[
            ("input", "7"),
            ("input", "{}"),
            ("stream", "[]"),
            ("store", "1"),
            ("background", r#""no""#),
            ("max_output_tokens", "-1"),
            ("max_output_tokens", "1.5"),
            ("previous_response_id", "7"),
            ("previous_response_id", r#""""#),
            ("conversation", "{}"),
            ("conversation", "[]"),
        ],
        answer: r#""id":"@","object":"response","created_at":1,"model":"up","status":"completed","error":null,"output":[{"id":"msg_1","type":"message","role":"assistant","content":[{"type":"output_text","text":"echo @"}]}],"usage":{"input_tokens":7,"output_tokens":5,"total_tokens":12}"#,
        events: &[
            "event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":0,\"response\":{\"id\":\"@\",\"object\":\"response\",\"status\":\"in_progress\",\"output\":[]}}",
            "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"sequence_number\":1,\"item_id\":\"msg_1\",\"delta\":\"echo \"}",
            "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"sequence_number\":2,\"item_id\":\"msg_1\",\"delta\":\"@\"}",
            "event: response.completed\ndata: {\"type\":\"response.completed\",\"sequence_number\":3,\"response\":{\"id\":\"@\",\"object\":\"response\",\"status\":\"completed\",\"usage\":{\"input_tokens\":7,\"output_tokens\":5,\"total_tokens\":12}}}",
        ],
        end: "",
        asks_for_usage: false,
    },
];

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
        self.events.iter().map(|event| format!("{}\n\n", event.replace('@', id))).collect()
    }

    /// The whole of an honest stream, as a client gets it.
    pub(crate) fn stream(&self, id: &str) -> String {
        self.events(id).concat() + self.end
    }

    /// The usage in a chunk of its own.
    pub(crate) fn usage(&self, id: &str) -> String {
        format!(
            "data: {{\"id\":\"{id}\",\"choices\":[],\"usage\":{{\"prompt_tokens\":7,\"completion_tokens\":5,\"total_tokens\":12}}}}\n\n"
        )
    }

    /// A valid request of the call `id`, as text; `more` are further members, each with a comma in front.
    pub(crate) fn request(&self, model: &str, id: &str, more: &str) -> String {
        let ((name, value), also) = (self.input, self.also);
        format!(r#"{{"model":"{model}","{name}":{value}{also},"user":"{id}"{more}}}"#)
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
