//! The calls of OpenAI's API that draw on limits, and what distinguishes them on the wire.

use crate::dialect::talk::Dialect;

/// Which call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Api {
    /// `POST /chat/completions`.
    Chat,
    /// `POST /completions`: the legacy one, a prompt and no conversation.
    Completions,
    /// `POST /embeddings`.
    Embeddings,
    /// `POST /rerank`: not OpenAI's; as Cohere, Jina and vLLM have it.
    Rerank,
    /// `POST /responses`.
    Responses,
}

impl Api {
    /// All of them, in the order of their numbers.
    pub const ALL: [Api; 5] = [Api::Chat, Api::Completions, Api::Embeddings, Api::Rerank, Api::Responses];

    /// What stands behind the base URL, at providers and here.
    pub fn path(self) -> &'static str {
        match self {
            Api::Chat => "/chat/completions",
            Api::Completions => "/completions",
            Api::Embeddings => "/embeddings",
            Api::Rerank => "/rerank",
            Api::Responses => "/responses",
        }
    }

    /// The dialect of the conversation that it is a call of, if it is one.
    pub fn talks(self) -> Option<Dialect> {
        match self {
            Api::Chat => Some(Dialect::Chat),
            Api::Responses => Some(Dialect::Responses),
            Api::Completions | Api::Embeddings | Api::Rerank => None,
        }
    }

    /// The name in the log.
    pub fn name(self) -> &'static str {
        match self {
            Api::Chat => "chat",
            Api::Completions => "completions",
            Api::Embeddings => "embeddings",
            Api::Rerank => "rerank",
            Api::Responses => "responses",
        }
    }

    /// Does it generate, and so use output tokens and perhaps stream?
    pub fn generates(self) -> bool {
        match self {
            Api::Chat | Api::Completions | Api::Responses => true,
            Api::Embeddings | Api::Rerank => false,
        }
    }

    /// Must a stream be asked for its usage (`stream_options.include_usage`)? Responses end with it anyway.
    pub fn asks_for_usage(self) -> bool {
        match self {
            Api::Chat | Api::Completions => true,
            Api::Embeddings | Api::Rerank | Api::Responses => false,
        }
    }
}
