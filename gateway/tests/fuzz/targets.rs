//! What is fuzzed: every parser of foreign bytes, each with what must be true of it besides that it does not panic. The
//! plain runner (`tests/fuzz.rs`) and libFuzzer (`fuzz/`) call the same table.

mod cut;
mod edge;
mod failure;
mod framing;
mod rewrite;
mod stream;
mod talk;

use weir::dialect::api::Api;
use weir::dialect::talk::Dialect;

/// A parser and what must be true of it.
#[derive(Clone, Copy)]
pub(crate) struct Target {
    /// Also the folder of its corpus.
    pub(crate) name: &'static str,
    /// Panics if something is not as it must be.
    pub(crate) run: fn(&[u8]),
}

const fn target(name: &'static str, run: fn(&[u8])) -> Target {
    Target { name, run }
}

/// All of them.
pub(crate) const TARGETS: &[Target] = &[
    target("sse", framing::events),
    target("frames", framing::frames),
    target("array", framing::array),
    target("request_chat", |input| talk::request(Dialect::Chat, input)),
    target("request_responses", |input| talk::request(Dialect::Responses, input)),
    target("request_messages", |input| talk::request(Dialect::Messages, input)),
    target("request_gemini", |input| talk::request(Dialect::Gemini, input)),
    target("request_converse", |input| talk::request(Dialect::Converse, input)),
    target("answer_chat", |input| talk::answer(Dialect::Chat, input)),
    target("answer_responses", |input| talk::answer(Dialect::Responses, input)),
    target("answer_messages", |input| talk::answer(Dialect::Messages, input)),
    target("answer_gemini", |input| talk::answer(Dialect::Gemini, input)),
    target("answer_converse", |input| talk::answer(Dialect::Converse, input)),
    target("stream_chat", |input| stream::told(Dialect::Chat, input)),
    target("stream_responses", |input| stream::told(Dialect::Responses, input)),
    target("stream_messages", |input| stream::told(Dialect::Messages, input)),
    target("stream_gemini", |input| stream::told(Dialect::Gemini, input)),
    target("stream_converse", |input| stream::told(Dialect::Converse, &framing::of_lines(input))),
    target("rewrite_chat", |input| rewrite::rewritten(Api::Chat, input)),
    target("rewrite_completions", |input| rewrite::rewritten(Api::Completions, input)),
    target("rewrite_embeddings", |input| rewrite::rewritten(Api::Embeddings, input)),
    target("rewrite_rerank", |input| rewrite::rewritten(Api::Rerank, input)),
    target("rewrite_responses", |input| rewrite::rewritten(Api::Responses, input)),
    target("rewrite_messages", |input| rewrite::rewritten(Api::Messages, input)),
    target("rewrite_generate", |input| rewrite::resources(Api::Generate, input)),
    target("rewrite_count", |input| rewrite::resources(Api::GeminiCountTokens, input)),
    target("rewrite_embed", |input| rewrite::resources(Api::BatchEmbedContents, input)),
    target("failure_answer", failure::of_answer),
    target("failure_event", failure::of_event),
    target("proxy", edge::proxy),
    target("credentials", edge::credentials),
    target("config", edge::config),
];
