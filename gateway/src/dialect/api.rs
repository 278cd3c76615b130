//! The calls that draw on limits, of every dialect that clients speak, and what distinguishes them on the wire.

use super::talk::Dialect;
use super::voice::Voice;

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
    /// Anthropic's `POST /messages`.
    Messages,
    /// Anthropic's `POST /messages/count_tokens`.
    CountTokens,
    /// Google's `POST /models/{model}:generateContent` and `:streamGenerateContent`.
    Generate,
    /// Google's `POST /models/{model}:countTokens`.
    GeminiCountTokens,
    /// Google's `POST /models/{model}:embedContent`.
    EmbedContent,
    /// Google's `POST /models/{model}:batchEmbedContents`.
    BatchEmbedContents,
}

impl Api {
    /// All of them, in the order of their numbers.
    pub const ALL: [Api; 11] = [
        Api::Chat,
        Api::Completions,
        Api::Embeddings,
        Api::Rerank,
        Api::Responses,
        Api::Messages,
        Api::CountTokens,
        Api::Generate,
        Api::GeminiCountTokens,
        Api::EmbedContent,
        Api::BatchEmbedContents,
    ];

    /// What stands behind the base URL, at providers and here; `None` where the path holds the model (Google's).
    pub fn path(self) -> Option<&'static str> {
        match self {
            Api::Chat => Some("/chat/completions"),
            Api::Completions => Some("/completions"),
            Api::Embeddings => Some("/embeddings"),
            Api::Rerank => Some("/rerank"),
            Api::Responses => Some("/responses"),
            Api::Messages => Some("/messages"),
            Api::CountTokens => Some("/messages/count_tokens"),
            Api::Generate | Api::GeminiCountTokens | Api::EmbedContent | Api::BatchEmbedContents => None,
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
            Api::Messages => "messages",
            Api::CountTokens => "count_tokens",
            Api::Generate => "generate_content",
            Api::GeminiCountTokens => "gemini_count_tokens",
            Api::EmbedContent => "embed_content",
            Api::BatchEmbedContents => "batch_embed_contents",
        }
    }

    /// The dialect of its conversation; `None` if it is none.
    pub fn talks(self) -> Option<Dialect> {
        match self {
            Api::Chat => Some(Dialect::Chat),
            Api::Responses => Some(Dialect::Responses),
            Api::Messages => Some(Dialect::Messages),
            Api::Generate => Some(Dialect::Gemini),
            Api::Completions
            | Api::Embeddings
            | Api::Rerank
            | Api::CountTokens
            | Api::GeminiCountTokens
            | Api::EmbedContent
            | Api::BatchEmbedContents => None,
        }
    }

    /// Whose errors and lists its clients read.
    pub fn voice(self) -> Voice {
        match self {
            Api::Chat | Api::Completions | Api::Embeddings | Api::Rerank | Api::Responses => Voice::OpenAi,
            Api::Messages | Api::CountTokens => Voice::Anthropic,
            Api::Generate | Api::GeminiCountTokens | Api::EmbedContent | Api::BatchEmbedContents => {
                Voice::Google
            }
        }
    }

    /// Does it generate, and so use output tokens and perhaps stream?
    pub fn generates(self) -> bool {
        match self {
            Api::Chat | Api::Completions | Api::Responses | Api::Messages | Api::Generate => true,
            Api::Embeddings
            | Api::Rerank
            | Api::CountTokens
            | Api::GeminiCountTokens
            | Api::EmbedContent
            | Api::BatchEmbedContents => false,
        }
    }

    /// Does a model read its input, and so use tokens? What only counts tokens uses none; Anthropic limits it by requests
    /// alone (<https://platform.claude.com/docs/en/build-with-claude/token-counting>).
    pub fn reads(self) -> bool {
        !matches!(self, Api::CountTokens | Api::GeminiCountTokens)
    }

    /// Must a stream be asked for its usage (`stream_options.include_usage`)? All others end with it anyway.
    pub fn asks_for_usage(self) -> bool {
        matches!(self, Api::Chat | Api::Completions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_listed_by_their_numbers() {
        assert!(Api::ALL.iter().enumerate().all(|(at, api)| *api as usize == at));
    }

    #[test]
    fn what_talks_generates_and_what_only_counts_does_neither() {
        for api in Api::ALL {
            assert!(api.talks().is_none() || api.generates(), "{api:?}");
            assert!(api.reads() || !api.generates(), "{api:?}");
            assert!(api.path().is_some() || api.voice() == Voice::Google, "{api:?}");
        }
    }
}
