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

/// The provider's own name of a model, without what LiteLLM's names say besides, and the region if that is in it; the reason if
/// it cannot be called by its preset.
pub(super) fn upstream_name(known: &Known, model: &str) -> Result<(Option<String>, String), String> {
    let whole = |name: &str| Ok((None, name.to_owned()));
    match (known.preset, known.word) {
        ("bedrock", _) => bedrock(model),
        ("azure", _) => match without(model, &["responses/", "o_series/", "gpt5_series/"]) {
            name if name.contains('/') => Err("a deployment of Azure has no `/` in its name".into()),
            name => whole(name),
        },
        ("openai", "openai") => whole(without(model, &["responses/"])),
        ("vertex", _) if !is_vertex(model) => {
            Err("the preset for Vertex AI calls Google's and Anthropic's models, by their names; others, and endpoints, it does not".into())
        }
        ("fireworks", _) if !model.starts_with("accounts/") && !model.contains('#') => {
            whole(&format!("accounts/fireworks/models/{model}"))
        }
        _ => whole(model),
    }
}

/// Without the first of these words that it begins with.
fn without<'m>(model: &'m str, words: &[&str]) -> &'m str {
    words.iter().find_map(|word| model.strip_prefix(word)).unwrap_or(model)
}

fn is_vertex(model: &str) -> bool {
    const FAMILIES: [&str; 5] =
        ["gemini", "claude", "text-embedding", "text-multilingual-embedding", "textembedding"];
    !model.contains('/') && FAMILIES.iter().any(|family| model.starts_with(family))
}

/// `converse/us-east-1/anthropic.claude...`, `llama/arn:...`: how it is called, a region, the maker of an imported model.
fn bedrock(model: &str) -> Result<(Option<String>, String), String> {
    let model = without(model, &["converse/", "converse_like/", "invoke/"]);
    let (region, model) = match model.split_once('/') {
        Some((region, rest)) if is_region(region) => (Some(region.to_owned()), rest),
        _ => (None, model),
    };
    let model = match model.split_once("/arn:") {
        Some((maker, _)) if !maker.contains([':', '/']) => &model[maker.len() + 1..],
        _ => model,
    };
    match model.contains('/') && !model.starts_with("arn:") {
        true => {
            Err("what stands before the model's id is not known here: a model of Bedrock is an id or an ARN"
                .into())
        }
        false => Ok((region, model.to_owned())),
    }
}

/// `us-east-1`, `us-gov-west-1`.
fn is_region(text: &str) -> bool {
    text.rsplit_once('-').is_some_and(|(place, number)| {
        number.len() == 1
            && number.chars().all(|c| c.is_ascii_digit())
            && place.contains('-')
            && place.chars().all(|c| c.is_ascii_lowercase() || c == '-')
    })
}
