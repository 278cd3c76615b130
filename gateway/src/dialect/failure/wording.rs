//! Wordings of providers that give no telling name.
//!
//! The words of an error may quote the words of a request. So each wording counts only at the statuses at which it was
//! seen, and where the class would be held against the account or the deployment (spent, auth, no model) the error must
//! begin with it: no client can make a pool rest by a value that an error quotes.

use std::time::Duration;

use super::Class;

/// The words of an error, in lower case.
pub(super) struct Words<'a> {
    /// All of them.
    pub(super) text: &'a str,
    /// Those that no client sees: details and the errors inside this one.
    pub(super) aside: &'a str,
}

impl Words<'_> {
    fn say(&self, parts: &[&str]) -> bool {
        parts.iter().any(|part| self.text.contains(part))
    }

    fn begin(&self, parts: &[&str]) -> bool {
        parts.iter().any(|part| self.text.starts_with(part) || self.aside.starts_with(part))
    }
}

/// What the words mean. `hinted` says that the error itself names a wait or a quota.
pub(super) fn class(
    status: u16,
    words: &Words<'_>,
    retry_after: Option<Duration>,
    hinted: bool,
) -> Option<Class> {
    match status {
        400 | 403 | 429 if spent(words) => Some(Class::QuotaExhausted { retry_after }),
        400 | 413 | 422 if too_long(words) => Some(Class::ContextTooLong),
        400 | 403 if words.say(&FILTERED) => Some(Class::ContentFiltered),
        400 | 403 | 404 if not_kept(words) => Some(Class::NotKept),
        400 if words.begin(&NOT_OURS) => Some(Class::Auth),
        400 if no_model(words) => Some(Class::NotFound),
        // Google says so of a busy minute, too, but then with the time or the quota.
        429 if !hinted && words.say(&["exceeded your current quota"]) => {
            Some(Class::QuotaExhausted { retry_after })
        }
        429 if words.say(&BUSY) => Some(Class::SlowDown { retry_after }),
        429 if words.say(&NO_CAPACITY) => Some(Class::Overloaded { retry_after }),
        _ => None,
    }
}

/// Is the key itself refused?
pub(super) fn is_key(words: &Words<'_>) -> bool {
    words.begin(&["incorrect api key", "invalid api key", "api key not valid", "api key expired"])
}

/// Is it about money? (Only of a failure that [`class`] or a name calls spent.)
pub(super) fn is_credit(words: &Words<'_>) -> bool {
    spent(words)
}

/// Money or a long-term quota.
fn spent(words: &Words<'_>) -> bool {
    words.begin(&[
        "you have reached your specified api usage limits", // Anthropic, 400
        "you have reached your specified workspace api usage limits",
        "your credit balance is too low", // Anthropic, 400
        "insufficient balance",           // DeepSeek
        "out of call volume quota",       // Azure API Management, 403
        "you have exceeded your monthly included credits", // Hugging Face
    ]) || words.begin(&["your team"]) && words.say(&["used all available credits", "spending limit"]) // xAI
        || words.begin(&["you are using a trial key"]) && words.say(&["/ month"]) // Cohere
}

fn too_long(words: &Words<'_>) -> bool {
    words.say(&TOO_LONG)
        // Gemini: "The input token count (1250074) exceeds the maximum ..."
        || words.say(&["input token count"]) && words.say(&["exceeds"])
        // TGI: "`inputs` tokens + `max_new_tokens` must be <= 4096"
        || words.say(&["`inputs` tokens"]) && words.say(&["must be"])
}

const TOO_LONG: [&str; 19] = [
    "maximum context length",
    "max context length",
    "maximum prompt length", // xAI
    "context window",
    "context size", // llama.cpp
    "exceed context limit",
    "prompt is too long",
    "prompt too long",
    "input is too long",
    "input too long",
    "input tokens exceeded", // Bedrock
    "too many input tokens",
    "too many tokens",
    "maximum number of tokens allowed",
    "exceeds the maximum number of tokens",
    "reduce the length of the messages",
    "range of input length", // Qwen
    "total length of all messages is too long",
    "request exceeds the maximum size", // Anthropic, 413
];

const FILTERED: [&str; 7] = [
    "responsible ai practices", // Vertex
    "content filtering policy", // Anthropic, 400
    "content management policy",
    "content exists risk",       // DeepSeek
    "violates usage guidelines", // xAI
    "violates our usage policy",
    "was flagged", // OpenRouter, 403
];

/// "Previous response with id 'resp_1' not found.", and the same of items, prompts, conversations, vector stores.
fn not_kept(words: &Words<'_>) -> bool {
    words.say(&[" with id "]) && words.say(&["not found"])
        || words.say(&[
            "cachedcontent not found",
            "permission to access the file", // Gemini, 403: of another project, or gone
            "permission denied while accessing input file", // Vertex, 403: somebody else's bucket
            "no such file object",
            "file not found",
            "container not found",
        ])
}

/// Our key, country or project, with the status of a bad request.
const NOT_OURS: [&str; 7] = [
    "incorrect api key", // xAI
    "invalid api key",
    "api key not valid", // Google
    "api key expired",
    "user location is not supported", // Google
    "[original error] generic::failed_precondition: user location is not supported",
    "gemini api free tier is not available in your country",
];

fn no_model(words: &Words<'_>) -> bool {
    let message = words.text.lines().next().unwrap_or_default().trim_end_matches('.');
    let is_one_word = |name: &str| !name.is_empty() && !name.contains(char::is_whitespace);
    // OpenRouter, for both
    let of_openrouter = message
        .strip_suffix(" is not a valid model id")
        .or_else(|| message.strip_prefix("model ")?.strip_suffix(" does not exist"));
    of_openrouter.is_some_and(is_one_word)
        || words.begin(&[
            "the supported api model names are", // DeepSeek
            "model not found",                   // xAI
            "unknown model",
            "the provided model identifier is invalid", // Bedrock
            "this model version has reached the end of its life", // Bedrock
        ])
        // Bedrock: only by an inference profile; the apostrophe of "isn't" is typographic.
        || words.begin(&["invocation of model id"]) && words.say(&["on-demand throughput isn"])
}

/// Within our limits, but too much at once.
const BUSY: [&str; 7] = [
    "experiencing high demand", // Azure
    "temporary rate limit adjustment",
    "usage increase rate", // Anthropic's acceleration limit
    "acceleration limit",
    "resource exhausted, please try again", // Vertex, a shared pool
    "resource exhausted. please try again",
    "model is getting throttled", // Bedrock
];

const NO_CAPACITY: [&str; 6] = [
    "rate-limited upstream",     // OpenRouter
    "experiencing high traffic", // Cerebras
    "over capacity",
    "tier capacity exceeded", // Mistral
    "is overloaded",
    "at capacity",
];
