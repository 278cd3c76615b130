//! LiteLLM's providers and the presets that stand for them here.

/// A provider of LiteLLM's.
pub(super) struct Known {
    /// What stands before the `/` of a model.
    pub(super) word: &'static str,
    pub(super) preset: &'static str,
    /// The variable that holds its key where the file names none; "" if it needs none.
    pub(super) key: &'static str,
    /// Where it is, if the preset does not know; "" if the file must say.
    pub(super) base_url: &'static str,
}

const fn known(word: &'static str, preset: &'static str, key: &'static str) -> Known {
    Known { word, preset, key, base_url: "" }
}

/// Of those that speak OpenAI's dialect and have no preset.
const fn compatible(word: &'static str, base_url: &'static str, key: &'static str) -> Known {
    Known { word, preset: "openai-compatible", key, base_url }
}

const KNOWN: &[Known] = &[
    known("openai", "openai", "OPENAI_API_KEY"),
    known("text-completion-openai", "openai", "OPENAI_API_KEY"),
    known("azure", "azure", "AZURE_API_KEY"),
    known("azure_text", "azure", "AZURE_API_KEY"),
    known("azure_ai", "azure-foundry", "AZURE_AI_API_KEY"),
    known("anthropic", "anthropic", "ANTHROPIC_API_KEY"),
    known("gemini", "gemini", "GEMINI_API_KEY"),
    known("vertex_ai", "vertex", ""),
    known("vertex_ai_beta", "vertex", ""),
    known("bedrock", "bedrock", ""),
    known("bedrock_converse", "bedrock", ""),
    known("groq", "groq", "GROQ_API_KEY"),
    known("mistral", "mistral", "MISTRAL_API_KEY"),
    known("deepseek", "deepseek", "DEEPSEEK_API_KEY"),
    known("xai", "xai", "XAI_API_KEY"),
    known("openrouter", "openrouter", "OPENROUTER_API_KEY"),
    known("together_ai", "together", "TOGETHERAI_API_KEY"),
    known("fireworks_ai", "fireworks", "FIREWORKS_API_KEY"),
    known("cerebras", "cerebras", "CEREBRAS_API_KEY"),
    known("perplexity", "perplexity", "PERPLEXITYAI_API_KEY"),
    known("cohere", "cohere", "COHERE_API_KEY"),
    known("cohere_chat", "cohere", "COHERE_API_KEY"),
    known("ollama", "ollama", ""),
    known("ollama_chat", "ollama", ""),
    known("hosted_vllm", "vllm", ""),
    compatible("openai_like", "", ""),
    compatible("custom_openai", "", ""),
    compatible("litellm_proxy", "", ""),
    compatible("lm_studio", "", ""),
    compatible("llamafile", "", ""),
    compatible("xinference", "", ""),
    compatible("deepinfra", "https://api.deepinfra.com/v1/openai", "DEEPINFRA_API_KEY"),
    compatible("nvidia_nim", "https://integrate.api.nvidia.com/v1", "NVIDIA_NIM_API_KEY"),
    compatible("sambanova", "https://api.sambanova.ai/v1", "SAMBANOVA_API_KEY"),
    compatible("meta_llama", "https://api.llama.com/compat/v1", "LLAMA_API_KEY"),
    compatible("volcengine", "https://ark.cn-beijing.volces.com/api/v3", "VOLCENGINE_API_KEY"),
    compatible("friendliai", "https://api.friendli.ai/serverless/v1", "FRIENDLI_TOKEN"),
    compatible("codestral", "https://codestral.mistral.ai/v1", "CODESTRAL_API_KEY"),
    compatible("github", "https://models.inference.ai.azure.com", "GITHUB_API_KEY"),
    compatible("moonshot", "https://api.moonshot.ai/v1", "MOONSHOT_API_KEY"),
];

/// Names that LiteLLM takes without a provider before them.
const BARE: &[(&str, &str)] = &[
    ("gpt-", "openai"),
    ("chatgpt-", "openai"),
    ("o1", "openai"),
    ("o3", "openai"),
    ("o4", "openai"),
    ("ft:gpt-", "openai"),
    ("text-embedding-", "openai"),
    ("claude-", "anthropic"),
    ("gemini-", "vertex_ai"),
    ("command-", "cohere"),
];

fn find(word: &str) -> Option<&'static Known> {
    KNOWN.iter().find(|known| known.word == word)
}

/// The provider of a model, and what the provider calls the model; `custom` is `custom_llm_provider`.
pub(super) fn provider_of<'m>(model: &'m str, custom: Option<&str>) -> Option<(&'static Known, &'m str)> {
    if let Some(custom) = custom {
        let rest = model.strip_prefix(custom).and_then(|rest| rest.strip_prefix('/'));
        return find(custom).map(|known| (known, rest.unwrap_or(model)));
    }
    match model.split_once('/') {
        Some((word, rest)) => find(word).map(|known| (known, rest)),
        None => {
            let (_, word) = BARE.iter().find(|(begin, _)| model.starts_with(begin))?;
            find(word).map(|known| (known, model))
        }
    }
}
