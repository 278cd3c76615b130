//! The closed lists of words that a preset is written with. In the files each stands in kebab case.

use serde::Deserialize;

/// What can be asked of a provider. Each call belongs to a dialect, or to none if every dialect has it alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Call {
    /// OpenAI Chat Completions.
    Chat,
    /// OpenAI's older completions of one prompt.
    Completions,
    /// OpenAI Responses.
    Responses,
    /// One response by its `{id}`: read it, delete it.
    Response,
    /// Tokens of a Responses request.
    InputTokens,
    /// OpenAI embeddings.
    Embeddings,
    /// Anthropic Messages.
    Messages,
    /// The same as a stream, where that has an address of its own (Vertex).
    MessagesStream,
    /// Tokens of a Messages request.
    CountTokens,
    /// Gemini.
    GenerateContent,
    /// Gemini as server-sent events.
    StreamGenerateContent,
    /// Tokens of a Gemini request.
    GeminiCountTokens,
    /// One Gemini embedding.
    EmbedContent,
    /// Several Gemini embeddings.
    BatchEmbedContents,
    /// Vertex embeddings.
    Predict,
    /// Bedrock Converse.
    Converse,
    /// The same as an event stream.
    ConverseStream,
    /// Tokens of a Bedrock request.
    ConverseCountTokens,
    /// A model on Bedrock in the dialect of its maker.
    Invoke,
    /// The same as an event stream.
    InvokeStream,
    /// Cohere's chat, version 2.
    CohereChat,
    /// Cohere's embeddings, version 2.
    CohereEmbed,
    /// Ollama's chat.
    OllamaChat,
    /// Reordering of documents.
    Rerank,
    /// The list of models.
    Models,
}

impl Call {
    /// Whose form it has; `None` for what differs little between dialects.
    pub fn dialect(self) -> Option<Dialect> {
        Some(match self {
            Call::Chat | Call::Completions => Dialect::OpenaiChat,
            Call::Responses | Call::Response | Call::InputTokens => Dialect::OpenaiResponses,
            Call::Messages | Call::MessagesStream | Call::CountTokens => Dialect::AnthropicMessages,
            Call::GenerateContent | Call::StreamGenerateContent | Call::GeminiCountTokens => Dialect::Gemini,
            Call::EmbedContent | Call::BatchEmbedContents | Call::Predict => Dialect::Gemini,
            Call::Converse | Call::ConverseStream | Call::ConverseCountTokens => Dialect::BedrockConverse,
            Call::Invoke | Call::InvokeStream => Dialect::BedrockInvoke,
            Call::CohereChat | Call::CohereEmbed => Dialect::Cohere,
            Call::OllamaChat => Dialect::Ollama,
            Call::Embeddings | Call::Rerank | Call::Models => return None,
        })
    }
}

/// Forms of requests and answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dialect {
    /// Chat Completions.
    OpenaiChat,
    /// Responses.
    OpenaiResponses,
    /// Messages.
    AnthropicMessages,
    /// `generateContent`.
    Gemini,
    /// Converse.
    BedrockConverse,
    /// What the maker of a model on Bedrock speaks.
    BedrockInvoke,
    /// Cohere, version 2.
    Cohere,
    /// Ollama's own.
    Ollama,
}

/// Where a provider departs from the dialect it speaks. What acts on requests stands in `upstream/departures.rs` and
/// `upstream/way.rs`; the others are facts for whoever reads the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Quirk {
    /// Names the bound of the output `max_tokens` and does not know `max_completion_tokens`.
    MaxTokensName,
    /// A request must say `max_tokens`.
    NeedsMaxTokens,
    /// Refuses `stream_options`.
    NoStreamOptions,
    /// A stream tells its usage without being asked.
    UsageUnasked,
    /// Usage stands in the chunk that ends the choice, not in one of its own without choices.
    UsageInLastChoice,
    /// Several events of a stream carry usage, each the total so far.
    UsageCumulative,
    /// Usage stands in `x_groq.usage`.
    UsageInXGroq,
    /// Gives one choice whatever `n` says.
    IgnoresN,
    /// Refuses `n` above 1.
    RefusesN,
    /// Messages of user and assistant must alternate.
    StrictAlternation,
    /// Does not know the role `developer`.
    NoDeveloperRole,
    /// A system message may only be the first.
    SystemFirst,
    /// The system prompt is no message, but a field of the request.
    SystemField,
    /// Refuses fields that it does not know.
    StrictFields,
    /// Tool call ids must be nine letters and digits.
    ShortToolCallIds,
    /// Reasoning comes as `reasoning_content`.
    ReasoningContent,
    /// Reasoning comes as `reasoning`.
    ReasoningField,
    /// Reasoning comes in the text between `<think>` and `</think>`.
    ThinkTags,
    /// The first chunk of a stream may have no choices.
    FirstChunkWithoutChoices,
    /// A stream holds comments before and between its events.
    StreamComments,
    /// Blank lines come while a call waits for its turn.
    BlankLinesWhileQueued,
    /// A stream ends without `[DONE]`.
    NoDone,
    /// The model stands in the path.
    ModelInPath,
    /// The body must not name the model.
    NoModelInBody,
    /// The body names the version of the dialect (`anthropic_version`).
    VersionInBody,
    /// Answers are framed as AWS event streams, not as server-sent events.
    AwsEventStream,
    /// What stands in the path as model is the name of a deployment that the customer chose.
    DeploymentAsModel,
    /// Search results come beside the text (`citations`, `search_results`).
    Citations,
    /// Takes `cache_control` on parts and tools, as Anthropic has it.
    TakesCacheMarks,
    /// Takes Google's thought signatures in Chat (`extra_content`).
    TakesSignatures,
    /// Takes `top_k`.
    TakesTopK,
}

/// What a limit is counted per: the kinds of pools a provider has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// The customer.
    Organisation,
    /// A project or workspace of the customer.
    Project,
    /// A cloud subscription or account.
    Subscription,
    /// A key.
    Key,
    /// A region.
    Region,
    /// A model.
    Model,
    /// Models that share a limit.
    ModelClass,
    /// A deployment at the provider.
    Deployment,
    /// A path of the API.
    Endpoint,
}

/// Does something count towards a limit of tokens?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Counts {
    /// It does.
    Counted,
    /// It does not.
    Excluded,
    /// Nobody says.
    Unknown,
}

/// What `max_tokens` does to limits when a request arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MaxTokens {
    /// It is charged, and what is not used is not given back.
    Charged,
    /// It is held, and what is not used is given back at the end.
    Held,
    /// It must fit into what is left, but only what is generated is charged.
    Checked,
    /// Nothing.
    Ignored,
    /// Nobody says.
    Unknown,
}

/// How a limit comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Window {
    /// Continuously, as a bucket that fills.
    Bucket,
    /// All at once, each minute or day.
    Fixed,
    /// As what was used grows older than the window.
    Rolling,
    /// When a call ends: the limit is one of calls in flight.
    InFlight,
    /// There is no limit of the account: the provider is busy or it is not.
    Shared,
    /// Nobody says.
    Unknown,
}

/// How the value of a reset header is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResetFormat {
    /// `1m30s`, `7.66s`, `12ms`.
    Duration,
    /// A number of seconds, whole or not.
    Seconds,
    /// An instant as of RFC 3339.
    Rfc3339,
    /// Milliseconds since 1970.
    EpochMs,
}

/// How a call shows who pays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum AuthKind {
    None,
    Bearer,
    Header,
    Sigv4,
    Google,
    Entra,
}

/// What a meter counts, as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    Requests,
    Tokens,
    InputTokens,
    OutputTokens,
    Concurrency,
}

/// `charge`, as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum ChargeWord {
    AdmissionMax,
    AdmissionActual,
    EndActual,
}

/// `reserve`, as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum ReserveWord {
    Max,
    Predicted,
}
