//! Tokens: `usageMetadata`.

use serde_json::{Map, Value};

use super::fields::Fields;
use crate::dialect::openai::answer::Usage;

/// No call uses more; a provider that says so is wrong.
const MOST_TOKENS: u64 = 1 << 30;

/// Reads the counts; none if there are none. The prompt's count has its cached part in it, the candidates' one has not
/// the thoughts. What Google's own tools put into the prompt is told apart and is input too.
pub(super) fn read(fields: &mut Fields) -> Option<Usage> {
    let prompt = count(fields, "promptTokenCount");
    let candidates = count(fields, "candidatesTokenCount");
    let thoughts = count(fields, "thoughtsTokenCount");
    let cached = count(fields, "cachedContentTokenCount").unwrap_or(0);
    let total = count(fields, "totalTokenCount");
    let tools = count(fields, "toolUsePromptTokenCount");
    if let Some(tools) = tools {
        fields.keep("toolUsePromptTokenCount", tools);
    }
    prompt.or(candidates).or(total)?;
    let input = prompt.unwrap_or(0) + tools.unwrap_or(0);
    let reasoning = thoughts.unwrap_or(0);
    // Sometimes only the total tells how long the answer is.
    let rest = || total.unwrap_or(0).saturating_sub(input + reasoning);
    Some(Usage {
        input,
        cached_input: cached.min(input),
        written_input: 0,
        output: candidates.unwrap_or_else(rest) + reasoning,
        reasoning,
    })
}

/// Absurd counts are none.
fn count(fields: &mut Fields, name: &str) -> Option<u64> {
    let value = fields.take(name)?;
    let number = value.as_u64().or_else(|| value.as_str()?.parse().ok());
    number.filter(|number| *number <= MOST_TOKENS)
}

/// Writes the counts; `tools` is the part of the input that Google's own tools put there.
pub(super) fn write(usage: &Usage, tools: u64) -> Map<String, Value> {
    let mut out = Map::new();
    out.insert("promptTokenCount".into(), usage.input.saturating_sub(tools).into());
    out.insert("candidatesTokenCount".into(), usage.output.saturating_sub(usage.reasoning).into());
    out.insert("totalTokenCount".into(), usage.input.saturating_add(usage.output).into());
    for (name, count) in
        [("cachedContentTokenCount", usage.cached_input), ("thoughtsTokenCount", usage.reasoning)]
    {
        if count > 0 {
            out.insert(name.into(), count.into());
        }
    }
    out
}
