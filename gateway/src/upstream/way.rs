//! In which dialect a deployment is asked, and by which of its provider's calls. Pure: a preset's facts in, a way out.

use crate::config::preset::{self, Call, Preset, Quirk};
use crate::dialect::api::Api;
use crate::dialect::chat::Manners;
use crate::dialect::talk::Dialect;

/// How a deployment serves a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// By the same call of its provider.
    Same(Call),
    /// By a conversation in this dialect.
    Talk(Dialect),
}

impl Way {
    /// Does a client of this call speak as the provider does?
    pub fn is_of(self, api: Api) -> bool {
        match self {
            Way::Same(_) => true,
            Way::Talk(dialect) => api.talks() == Some(dialect),
        }
    }
}

/// How a provider's deployment of `model` serves a call; `None` if it cannot.
pub fn way(preset: &Preset, model: &str, api: Api) -> Option<Way> {
    let Some(own) = api.talks() else {
        return same(api).filter(|call| preset.paths.contains_key(call)).map(Way::Same);
    };
    dialect(preset, model, own).map(Way::Talk)
}

/// The call of a provider that is the client's call.
fn same(api: Api) -> Option<Call> {
    Some(match api {
        Api::Completions => Call::Completions,
        Api::Embeddings => Call::Embeddings,
        Api::Rerank => Call::Rerank,
        Api::CountTokens => Call::CountTokens,
        Api::GeminiCountTokens => Call::GeminiCountTokens,
        Api::EmbedContent => Call::EmbedContent,
        Api::BatchEmbedContents => Call::BatchEmbedContents,
        Api::Chat | Api::Responses | Api::Messages | Api::Generate => return None,
    })
}

/// The dialects of conversations in the order in which one is chosen where the client's own is not spoken.
const CHOICE: [Dialect; 5] =
    [Dialect::Chat, Dialect::Responses, Dialect::Messages, Dialect::Gemini, Dialect::Converse];

/// The dialect in which a provider is asked for a conversation with `model` by a client that speaks `own`: that one if it
/// can be, for then nothing is lost. `None` if it has no call for conversations.
fn dialect(preset: &Preset, model: &str, own: Dialect) -> Option<Dialect> {
    std::iter::once(own).chain(CHOICE).find(|dialect| speaks(preset, model, *dialect))
}

fn speaks(preset: &Preset, model: &str, dialect: Dialect) -> bool {
    let (name, call) = match dialect {
        Dialect::Chat => (preset::Dialect::OpenaiChat, Call::Chat),
        Dialect::Responses => (preset::Dialect::OpenaiResponses, Call::Responses),
        Dialect::Messages => (preset::Dialect::AnthropicMessages, Call::Messages),
        Dialect::Gemini => (preset::Dialect::Gemini, Call::GenerateContent),
        Dialect::Converse => (preset::Dialect::BedrockConverse, Call::Converse),
    };
    preset.dialects.contains(&name) && preset.paths.contains_key(&call) && is_for(preset, model, dialect)
}

/// Vertex has two makers' models, each in its maker's dialect.
fn is_for(preset: &Preset, model: &str, dialect: Dialect) -> bool {
    let both = [preset::Dialect::AnthropicMessages, preset::Dialect::Gemini];
    if !both.iter().all(|name| preset.dialects.contains(name)) {
        return true;
    }
    (dialect == Dialect::Messages) == model.contains("claude")
}

/// The call that asks for a conversation in this dialect.
pub fn call(preset: &Preset, dialect: Dialect, stream: bool) -> Call {
    match (dialect, stream) {
        (Dialect::Chat, _) => Call::Chat,
        (Dialect::Responses, _) => Call::Responses,
        (Dialect::Messages, true) if preset.paths.contains_key(&Call::MessagesStream) => Call::MessagesStream,
        (Dialect::Messages, _) => Call::Messages,
        (Dialect::Gemini, false) => Call::GenerateContent,
        (Dialect::Gemini, true) => Call::StreamGenerateContent,
        (Dialect::Converse, false) => Call::Converse,
        (Dialect::Converse, true) => Call::ConverseStream,
    }
}

/// How a provider wants requests of Chat's that are written here. What it does not say it takes is left out: many refuse
/// fields that they do not know.
pub fn manners(preset: &Preset) -> Manners {
    let cache_marks = preset.has(Quirk::TakesCacheMarks);
    Manners {
        cache_marks,
        parts: cache_marks, // a mark stands on a part; else texts are joined, which every server takes
        reasoning: preset.has(Quirk::ReasoningContent) || preset.has(Quirk::ReasoningField),
        developer: !preset.has(Quirk::NoDeveloperRole),
        max_completion_tokens: !preset.has(Quirk::MaxTokensName),
        top_k: preset.has(Quirk::TakesTopK),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::preset::Presets;

    fn chosen(preset: &str, model: &str, own: Dialect) -> Option<Dialect> {
        let presets = Presets::built_in().unwrap();
        dialect(presets.get(preset).unwrap(), model, own)
    }

    /// Broken on purpose to see it fail: the order of choice before the client's own dialect.
    #[test]
    fn the_clients_dialect_is_kept_where_it_is_spoken() {
        for (preset, model, own, wanted) in [
            ("openai", "gpt-5", Dialect::Chat, Dialect::Chat),
            ("openai", "gpt-5", Dialect::Responses, Dialect::Responses),
            ("openai", "gpt-5", Dialect::Messages, Dialect::Chat),
            ("azure", "mine", Dialect::Gemini, Dialect::Chat),
            ("anthropic", "claude-x", Dialect::Chat, Dialect::Messages),
            ("anthropic", "claude-x", Dialect::Messages, Dialect::Messages),
            ("gemini", "gemini-3-pro", Dialect::Chat, Dialect::Gemini),
            ("bedrock", "anthropic.claude-x", Dialect::Messages, Dialect::Converse),
            ("vertex", "claude-x@1", Dialect::Gemini, Dialect::Messages),
            ("vertex", "gemini-3-pro", Dialect::Messages, Dialect::Gemini),
            ("groq", "llama", Dialect::Messages, Dialect::Chat),
            ("vllm", "llama", Dialect::Messages, Dialect::Messages),
        ] {
            assert_eq!(chosen(preset, model, own), Some(wanted), "{preset} {model} {own:?}");
        }
    }

    #[test]
    fn every_built_in_preset_can_be_asked_for_a_conversation() {
        let presets = Presets::built_in().unwrap();
        for name in presets.names() {
            let preset = presets.get(name).unwrap();
            let chosen = dialect(preset, "some-model", Dialect::Chat);
            let spoken = chosen.unwrap_or_else(|| panic!("{name} has none"));
            for stream in [false, true] {
                assert!(preset.paths.contains_key(&call(preset, spoken, stream)), "{name} {stream}");
            }
        }
    }
}
