//! LiteLLM's `model_prices_and_context_window.json`, as a table of ours. What it has no price per token for is left out, and so
//! is what would cost nothing by it: there that stands for what nobody knows.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Map, Value};

/// Their providers and ours, and what their names for models begin with.
const PROVIDERS: [(&str, &str, &str); 16] = [
    ("openai", "openai", ""),
    ("azure", "azure", "azure/"),
    ("anthropic", "anthropic", "anthropic/"),
    ("gemini", "gemini", "gemini/"),
    ("vertex_ai-language-models", "vertex", "vertex_ai/"),
    ("vertex_ai-anthropic_models", "vertex", "vertex_ai/"),
    ("bedrock", "bedrock", ""),
    ("bedrock_converse", "bedrock", ""),
    ("mistral", "mistral", "mistral/"),
    ("groq", "groq", "groq/"),
    ("deepseek", "deepseek", "deepseek/"),
    ("xai", "xai", "xai/"),
    ("cohere_chat", "cohere", "cohere/"),
    ("together_ai", "together", "together_ai/"),
    ("fireworks_ai", "fireworks", "fireworks_ai/"),
    ("cerebras", "cerebras", "cerebras/"),
];
/// Their words for prices that hold above so many tokens of input.
const LONG: [(&str, u64); 3] =
    [("_above_128k_tokens", 128_000), ("_above_200k_tokens", 200_000), ("_above_272k_tokens", 272_000)];
/// What they call calls that are paid by the token.
const MODES: [&str; 4] = ["chat", "completion", "embedding", "responses"];

/// The table, and how many entries were left out. `source`: where it was found; `today`: `2026-11-30`.
pub(super) fn table(json: &str, source: &str, today: &str) -> anyhow::Result<(String, usize)> {
    let models: BTreeMap<String, Value> = serde_json::from_str(json)?;
    let mut entries = BTreeMap::new();
    let mut left_out = 0;
    for (name, said) in models.iter().filter(|(name, _)| *name != "sample_spec") {
        match entry(name, said) {
            Some((of, price)) => drop(entries.insert(of, price)),
            None => left_out += 1,
        }
    }
    anyhow::ensure!(!entries.is_empty(), "it has no price of a provider that is known here");
    let mut text = format!("# Made by `weir prices update` from {source}, {today}.\n\nversion = 1\n");
    for ((provider, model), price) in &entries {
        let (model, source) = (quoted(model), quoted(source));
        // Writing to a string does not fail.
        let _ = write!(
            text,
            "\n[[prices]]\nproviders = [\"{provider}\"]\nmodels = [{model}]\nprice = {{ {price} }}\nsource = {source}\nchecked = {today}\n"
        );
    }
    Ok((text, left_out))
}

fn entry(name: &str, said: &Value) -> Option<((&'static str, String), String)> {
    let said = said.as_object()?;
    let theirs = said.get("litellm_provider")?.as_str()?;
    let (_, ours, prefix) = PROVIDERS.iter().find(|(known, ..)| *known == theirs)?;
    let mode = said.get("mode").and_then(Value::as_str).unwrap_or("chat");
    let model = name.strip_prefix(prefix).unwrap_or(name);
    // (`bedrock/us-east-1/...` is a price of a region, and no name of a model.)
    let is_name =
        MODES.contains(&mode) && !model.is_empty() && !model.ends_with('*') && !model.starts_with("bedrock/");
    let (input, output) =
        (per_million(said, "input_cost_per_token", "")?, per_million(said, "output_cost_per_token", ""));
    if !is_name || input + output.unwrap_or(0.0) <= 0.0 {
        return None;
    }
    let embeds = mode == "embedding";
    let mut price = rates(said, "", embeds)?;
    if let Some(request) =
        said.get("input_cost_per_request").and_then(Value::as_f64).filter(|cost| *cost > 0.0)
    {
        let _ = write!(price, ", request = {request}");
    }
    let long = LONG.iter().find_map(|(suffix, above)| Some((rates(said, suffix, embeds)?, above)));
    if let Some((long, above)) = long {
        let _ = write!(price, ", long = {{ above = {above}, {long} }}");
    }
    // What is said of one kind of token is taken for all: theirs are multiples of the usual price.
    let factor = |suffix: &str| {
        let other = per_million(said, "input_cost_per_token", suffix)?;
        (input > 0.0).then(|| tidy(other / input))
    };
    let factors = [("flex", factor("_flex")), ("priority", factor("_priority"))];
    let known: Vec<String> =
        factors.iter().filter_map(|(name, factor)| Some(format!("{name} = {}", (*factor)?))).collect();
    if !known.is_empty() {
        let _ = write!(price, ", service = {{ {} }}", known.join(", "));
    }
    Some(((ours, model.to_owned()), price))
}

fn rates(said: &Map<String, Value>, suffix: &str, embeds: bool) -> Option<String> {
    let input = per_million(said, "input_cost_per_token", suffix)?;
    // Embeddings have no output; what else says nothing of it is paid otherwise: by the character, by the second.
    let output = per_million(said, "output_cost_per_token", suffix).or(embeds.then_some(0.0))?;
    let mut text = format!("input = {input}, output = {output}");
    for (name, theirs, last) in [
        ("cache_read", "cache_read_input_token_cost", ""),
        ("cache_write", "cache_creation_input_token_cost", ""),
        ("cache_write_1h", "cache_creation_input_token_cost", "_above_1hr"),
    ] {
        let known = per_million(said, theirs, &format!("{last}{suffix}"));
        if let Some(cost) = known {
            let _ = write!(text, ", {name} = {cost}");
        }
    }
    Some(text)
}

fn per_million(said: &Map<String, Value>, name: &str, suffix: &str) -> Option<f64> {
    let cost = said.get(&format!("{name}{suffix}"))?.as_f64()?;
    (cost.is_finite() && cost >= 0.0).then(|| tidy(cost * 1e6))
}

/// Without what the multiplication left behind the twelfth digit.
fn tidy(number: f64) -> f64 {
    format!("{number:.12e}").parse().unwrap_or(number)
}

/// A TOML string: JSON's are.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}
