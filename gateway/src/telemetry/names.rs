//! Names of attributes, and which of several names for one thing are used.
//!
//! The conventions for GenAI were last numbered in version 1.41 of OpenTelemetry's; since then they have a repository of
//! their own (open-telemetry/semantic-conventions-genai), where nothing is stable yet. What differs between the two stands in
//! [`Names`]; all else has one name in both. What neither has is ours, under `weir.`.

use crate::config::telemetry::Semconv;
use crate::dialect::api::Api;

pub(crate) const OPERATION: &str = "gen_ai.operation.name";
pub(crate) const PROVIDER: &str = "gen_ai.provider.name";
pub(crate) const REQUEST_MODEL: &str = "gen_ai.request.model";
pub(crate) const REQUEST_STREAM: &str = "gen_ai.request.stream";
pub(crate) const REQUEST_MAX_TOKENS: &str = "gen_ai.request.max_tokens";
pub(crate) const REQUEST_CHOICES: &str = "gen_ai.request.choice.count";
pub(crate) const REQUEST_TEMPERATURE: &str = "gen_ai.request.temperature";
pub(crate) const REQUEST_TOP_P: &str = "gen_ai.request.top_p";
pub(crate) const REQUEST_TOP_K: &str = "gen_ai.request.top_k";
pub(crate) const REQUEST_FREQUENCY_PENALTY: &str = "gen_ai.request.frequency_penalty";
pub(crate) const REQUEST_PRESENCE_PENALTY: &str = "gen_ai.request.presence_penalty";
pub(crate) const REQUEST_SEED: &str = "gen_ai.request.seed";
pub(crate) const REQUEST_STOP: &str = "gen_ai.request.stop_sequences";
pub(crate) const CONVERSATION: &str = "gen_ai.conversation.id";
pub(crate) const OUTPUT_TYPE: &str = "gen_ai.output.type";
pub(crate) const RESPONSE_ID: &str = "gen_ai.response.id";
pub(crate) const RESPONSE_MODEL: &str = "gen_ai.response.model";
pub(crate) const RESPONSE_FINISH: &str = "gen_ai.response.finish_reasons";
pub(crate) const RESPONSE_FIRST_CHUNK: &str = "gen_ai.response.time_to_first_chunk";
pub(crate) const USAGE_INPUT: &str = "gen_ai.usage.input_tokens";
pub(crate) const USAGE_OUTPUT: &str = "gen_ai.usage.output_tokens";
pub(crate) const USAGE_CACHE_READ: &str = "gen_ai.usage.cache_read.input_tokens";
pub(crate) const USAGE_REASONING: &str = "gen_ai.usage.reasoning.output_tokens";
pub(crate) const INPUT_MESSAGES: &str = "gen_ai.input.messages";
pub(crate) const OUTPUT_MESSAGES: &str = "gen_ai.output.messages";
pub(crate) const SYSTEM_INSTRUCTIONS: &str = "gen_ai.system_instructions";
pub(crate) const TOOL_DEFINITIONS: &str = "gen_ai.tool.definitions";
pub(crate) const TOKEN_TYPE: &str = "gen_ai.token.type";
pub(crate) const TOKEN_MODALITY: &str = "gen_ai.token.modality";

pub(crate) const ERROR: &str = "error.type";
pub(crate) const SERVER_ADDRESS: &str = "server.address";
pub(crate) const SERVER_PORT: &str = "server.port";
pub(crate) const METHOD: &str = "http.request.method";
pub(crate) const ROUTE: &str = "http.route";
pub(crate) const STATUS: &str = "http.response.status_code";
pub(crate) const URL_PATH: &str = "url.path";
pub(crate) const URL_SCHEME: &str = "url.scheme";
pub(crate) const CLIENT_ADDRESS: &str = "client.address";
pub(crate) const USER_AGENT: &str = "user_agent.original";
pub(crate) const PROTOCOL_VERSION: &str = "network.protocol.version";

/// The names that differ from version to version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Names {
    /// Those of version 1.41 are told.
    pub(crate) v141: bool,
    /// Those of the newest version are told.
    pub(crate) latest: bool,
}

impl Names {
    /// By the configuration; where it is silent by `OTEL_SEMCONV_STABILITY_OPT_IN`, a list of words.
    pub(crate) fn new(semconv: Option<Semconv>, opt_in: Option<&str>) -> Names {
        let opted = opt_in
            .is_some_and(|words| words.split(',').any(|word| word.trim() == "gen_ai_latest_experimental"));
        match (semconv, opted) {
            (Some(Semconv::V141), _) | (None, false) => Names { v141: true, latest: false },
            (Some(Semconv::Latest), _) | (None, true) => Names { v141: false, latest: true },
            (Some(Semconv::Both), _) => Names { v141: true, latest: true },
        }
    }

    fn of(self, v141: &'static str, latest: &'static str) -> impl Iterator<Item = &'static str> {
        [self.v141.then_some(v141), self.latest.then_some(latest)].into_iter().flatten()
    }

    /// Input tokens that the provider put into its cache.
    pub(crate) fn cache_write(self) -> impl Iterator<Item = &'static str> {
        self.of("gen_ai.usage.cache_creation.input_tokens", "gen_ai.usage.cache_write.input_tokens")
    }

    /// What a request says of how much to reason.
    pub(crate) fn reasoning_level(self) -> Option<&'static str> {
        self.latest.then_some("gen_ai.request.reasoning.level")
    }

    /// The response that a request continues.
    pub(crate) fn previous_response(self) -> Option<&'static str> {
        self.latest.then_some("gen_ai.request.previous_response.id")
    }

    /// How long an attempt takes, to the end of its answer.
    pub(crate) fn client_duration(self) -> impl Iterator<Item = &'static str> {
        self.of("gen_ai.client.operation.duration", "gen_ai.client.inference.duration")
    }

    /// How long it takes to its first content.
    pub(crate) fn client_first_chunk(self) -> impl Iterator<Item = &'static str> {
        self.of("gen_ai.client.operation.time_to_first_chunk", "gen_ai.client.inference.time_to_first_chunk")
    }
}

/// The port of an address.
pub(crate) fn port(uri: &http::Uri) -> u16 {
    uri.port_u16().unwrap_or(if uri.scheme_str() == Some("http") { 80 } else { 443 })
}

/// The operation that a call is.
pub(crate) fn operation(api: Api) -> &'static str {
    match api {
        Api::Chat | Api::Responses | Api::Messages => "chat",
        Api::Completions => "text_completion",
        Api::Embeddings | Api::EmbedContent | Api::BatchEmbedContents => "embeddings",
        Api::Generate => "generate_content",
        // No well-known values.
        Api::Rerank => "rerank",
        Api::CountTokens | Api::GeminiCountTokens => "count_tokens",
    }
}

/// The well-known name of a provider, by that of its preset; others keep their own.
pub(crate) fn provider(preset: &str) -> &str {
    match preset {
        "azure" => "azure.ai.openai",
        "azure-foundry" => "azure.ai.inference",
        "bedrock" | "bedrock-mantle" => "aws.bedrock",
        "gemini" => "gcp.gemini",
        "vertex" => "gcp.vertex_ai",
        "mistral" => "mistral_ai",
        "moonshot" => "moonshot_ai",
        "xai" => "x_ai",
        own => own,
    }
}

/// The route of a call, as its provider documents it.
pub(crate) fn route(api: Api, stream: bool) -> &'static str {
    match (api, stream) {
        (Api::Chat, _) => "/v1/chat/completions",
        (Api::Completions, _) => "/v1/completions",
        (Api::Embeddings, _) => "/v1/embeddings",
        (Api::Rerank, _) => "/v1/rerank",
        (Api::Responses, _) => "/v1/responses",
        (Api::Messages, _) => "/v1/messages",
        (Api::CountTokens, _) => "/v1/messages/count_tokens",
        (Api::Generate, false) => "/v1beta/models/{model}:generateContent",
        (Api::Generate, true) => "/v1beta/models/{model}:streamGenerateContent",
        (Api::GeminiCountTokens, _) => "/v1beta/models/{model}:countTokens",
        (Api::EmbedContent, _) => "/v1beta/models/{model}:embedContent",
        (Api::BatchEmbedContents, _) => "/v1beta/models/{model}:batchEmbedContents",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::preset::Presets;

    fn written(names: Names) -> Vec<&'static str> {
        let all = names.cache_write().chain(names.client_duration()).chain(names.client_first_chunk());
        all.chain(names.reasoning_level()).chain(names.previous_response()).collect()
    }

    /// Broken on purpose to see it fail: the environment asked before the file.
    #[test]
    fn the_file_says_which_names_and_where_it_is_silent_the_environment() {
        let latest = Some("http,gen_ai_latest_experimental");
        for (said, opt_in, v141, newest) in [
            (None, None, true, false),
            (None, Some("http"), true, false),
            (None, latest, false, true),
            (Some(Semconv::V141), latest, true, false),
            (Some(Semconv::Latest), None, false, true),
            (Some(Semconv::Both), None, true, true),
        ] {
            let names = Names::new(said, opt_in);
            assert_eq!(names, Names { v141, latest: newest }, "{said:?}, {opt_in:?}");
        }
    }

    /// The two tables, word by word: docs/gen-ai of semantic-conventions v1.41.0, and docs/gen-ai/client-inference.md of
    /// semantic-conventions-genai.
    #[test]
    fn each_version_has_its_own_names() {
        assert_eq!(
            written(Names { v141: true, latest: false }),
            [
                "gen_ai.usage.cache_creation.input_tokens",
                "gen_ai.client.operation.duration",
                "gen_ai.client.operation.time_to_first_chunk",
            ]
        );
        assert_eq!(
            written(Names { v141: false, latest: true }),
            [
                "gen_ai.usage.cache_write.input_tokens",
                "gen_ai.client.inference.duration",
                "gen_ai.client.inference.time_to_first_chunk",
                "gen_ai.request.reasoning.level",
                "gen_ai.request.previous_response.id",
            ]
        );
        assert_eq!(written(Names { v141: true, latest: true }).len(), 8);
    }

    #[test]
    fn presets_that_have_a_well_known_name_are_told_by_it() {
        let known = [
            "anthropic",
            "aws.bedrock",
            "azure.ai.inference",
            "azure.ai.openai",
            "cohere",
            "deepseek",
            "gcp.gemini",
            "gcp.vertex_ai",
            "groq",
            "mistral_ai",
            "openai",
            "perplexity",
            "x_ai",
        ];
        let own = ["cerebras", "fireworks", "ollama", "openai-compatible", "openrouter", "together", "vllm"];
        let presets = Presets::built_in().unwrap();
        for preset in presets.names() {
            let told = provider(preset);
            assert!(known.contains(&told) || own.contains(&told), "{preset}: {told}");
        }
    }
}
