//! Tokens: `usageMetadata`.

use serde_json::{Map, Value};

use super::fields::Fields;
use crate::dialect::openai::answer::Usage;

/// No call uses more; a provider that says so is wrong.
const MOST_TOKENS: u64 = 1 << 30;

/// The counts as they are told. The prompt's has its cached part in it, the candidates' one has not the thoughts. What
/// Google's own tools put into the prompt is told apart and is input too.
#[derive(Clone, Copy, Default)]
pub(super) struct Counts {
    prompt: Option<u64>,
    tools: Option<u64>,
    cached: Option<u64>,
    candidates: Option<u64>,
    thoughts: Option<u64>,
}

impl Counts {
    /// Reads them on: what is said now is true, what is not keeps what was said before. Counts may sink, as Google corrects
    /// them in a stream's last event. None if nothing is said that counts.
    pub(super) fn read(self, fields: &mut Fields) -> Option<Counts> {
        let prompt = count(fields, "promptTokenCount");
        let candidates = count(fields, "candidatesTokenCount");
        let total = count(fields, "totalTokenCount");
        let tools = count(fields, "toolUsePromptTokenCount");
        if let Some(tools) = tools {
            fields.keep("toolUsePromptTokenCount", tools);
        }
        let mut counts = Counts {
            prompt: prompt.or(self.prompt),
            tools: tools.or(self.tools),
            cached: count(fields, "cachedContentTokenCount").or(self.cached),
            candidates: candidates.or(self.candidates),
            thoughts: count(fields, "thoughtsTokenCount").or(self.thoughts),
        };
        prompt.or(candidates).or(total)?;
        if let (Some(total), None) = (total, candidates) {
            // Sometimes only the total tells how long the answer is, or that it is none.
            let known = counts.input() + counts.thoughts.unwrap_or(0);
            counts.candidates = Some(total.saturating_sub(known));
        }
        Some(counts)
    }

    fn input(&self) -> u64 {
        self.prompt.unwrap_or(0) + self.tools.unwrap_or(0)
    }

    /// What was used, by these counts.
    pub(super) fn usage(&self) -> Usage {
        let (input, reasoning) = (self.input(), self.thoughts.unwrap_or(0));
        Usage {
            input,
            cached_input: self.cached.unwrap_or(0).min(input),
            written_input: 0,
            output: self.candidates.unwrap_or(0) + reasoning,
            reasoning,
            ..Usage::default()
        }
    }
}

/// Reads the counts of a whole answer; none if there are none.
pub(super) fn read(fields: &mut Fields) -> Option<Usage> {
    Counts::default().read(fields).map(|counts| counts.usage())
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
