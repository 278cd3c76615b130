//! A stream's chunks as they are on the wire. Fields that are not read are hopped over.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// One `chat.completion.chunk`, or an error in its place.
#[derive(Deserialize)]
pub(super) struct Chunk<'a> {
    pub(super) id: Option<String>,
    pub(super) model: Option<String>,
    pub(super) created: Option<Value>,
    pub(super) service_tier: Option<String>,
    #[serde(borrow)]
    pub(super) choices: Option<Vec<ChoiceChunk<'a>>>,
    #[serde(borrow)]
    pub(super) usage: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) x_groq: Option<XGroq<'a>>,
    #[serde(borrow)]
    pub(super) error: Option<&'a RawValue>,
    /// Perplexity's sources, with every chunk.
    #[serde(borrow)]
    pub(super) search_results: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) citations: Option<&'a RawValue>,
    /// Of an error that is not wrapped (`"object": "error"`, older vLLM).
    pub(super) message: Option<Value>,
}

/// Where Groq told the usage before it took `stream_options`, and still does.
#[derive(Deserialize)]
pub(super) struct XGroq<'a> {
    #[serde(borrow)]
    pub(super) usage: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct ChoiceChunk<'a> {
    pub(super) index: Option<u64>,
    pub(super) delta: Option<ChunkDelta>,
    pub(super) finish_reason: Option<String>,
    pub(super) logprobs: Option<Logprobs>,
    /// Moonshot tells the usage here.
    #[serde(borrow)]
    pub(super) usage: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct Logprobs {
    pub(super) content: Option<Vec<Value>>,
}

#[derive(Default, Deserialize)]
pub(super) struct ChunkDelta {
    /// A text, of Mistral also a list of parts.
    pub(super) content: Option<Value>,
    pub(super) refusal: Option<String>,
    pub(super) reasoning_content: Option<Value>,
    pub(super) reasoning: Option<Value>,
    pub(super) reasoning_details: Option<Vec<Value>>,
    pub(super) tool_calls: Option<Vec<CallChunk>>,
    pub(super) function_call: Option<Inner>,
    pub(super) annotations: Option<Vec<Value>>,
    pub(super) images: Option<Vec<Value>>,
    pub(super) audio: Option<Value>,
    pub(super) extra_content: Option<Value>,
}

#[derive(Default, Deserialize)]
pub(super) struct CallChunk {
    pub(super) index: Option<u64>,
    pub(super) id: Option<String>,
    pub(super) function: Option<Inner>,
    pub(super) custom: Option<Inner>,
    pub(super) extra_content: Option<Value>,
}

/// The call itself: `arguments` of a function, `input` of a custom tool.
#[derive(Default, Deserialize)]
pub(super) struct Inner {
    pub(super) name: Option<String>,
    #[serde(alias = "input")]
    pub(super) arguments: Option<Value>,
}

/// A detail of reasoning.
#[derive(Deserialize)]
pub(super) struct Detail {
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    pub(super) text: Option<String>,
    pub(super) summary: Option<String>,
    pub(super) data: Option<String>,
    pub(super) signature: Option<String>,
    pub(super) format: Option<String>,
    pub(super) id: Option<String>,
    pub(super) index: Option<i64>,
}
