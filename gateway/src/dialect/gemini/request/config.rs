//! `generationConfig`: sampling, the answer's form, and how much to think.

use serde_json::{Map, Value, json};

use crate::dialect::gemini::fields::{Fields, Path, add};
use crate::dialect::gemini::model::Model;
use crate::dialect::gemini::schema;
use crate::dialect::talk::{Effort, Format, Refused, Request, Thinking};

/// Reads it; what we do not know of it stays under its name.
pub(super) fn read(fields: &mut Fields, request: &mut Request) -> Result<(), Refused> {
    let Some(config) = fields.take("generationConfig") else { return Ok(()) };
    let at = Path::Field(&Path::Root, "generationConfig");
    let mut config = Fields::new(config, &at)?;
    // Google takes 0 as unset.
    request.max_output = config.count("maxOutputTokens")?.filter(|most| *most > 0);
    request.choices = config.count("candidateCount")?;
    request.temperature = config.real("temperature")?;
    request.top_p = config.real("topP")?;
    request.top_k = config.count("topK")?;
    request.presence_penalty = config.real("presencePenalty")?;
    request.frequency_penalty = config.real("frequencyPenalty")?;
    request.seed = config.whole("seed")?;
    request.stop = config.texts("stopSequences")?;
    if config.flag("responseLogprobs")? == Some(true) {
        request.logprobs = Some(config.count("logprobs")?.unwrap_or(0));
    }
    request.format = read_format(&mut config)?;
    if let Some(thinking) = config.take("thinkingConfig") {
        let here = Path::Field(&at, "thinkingConfig");
        let mut thinking = Fields::new(thinking, &here)?;
        request.thinking = read_thinking(&mut thinking)?;
        let left = thinking.rest();
        if !left.is_empty() {
            config.keep("thinkingConfig", left);
        }
    }
    let left = config.rest();
    if !left.is_empty() {
        fields.keep("generationConfig", left);
    }
    Ok(())
}

fn read_format(config: &mut Fields) -> Result<Option<Format>, Refused> {
    let mime = config.text("responseMimeType")?;
    let subset = config.take("responseSchema").map(schema::from_subset);
    let schema = config.take("responseJsonSchema").or(subset);
    let schema = schema.map(|schema| Format::Schema { name: None, description: None, schema, strict: None });
    Ok(match mime.as_deref() {
        None => schema,
        Some("application/json") => schema.or(Some(Format::Json)),
        Some("text/plain") => schema.or(Some(Format::Text)),
        // One word of a list (`text/x.enum`), and what may come.
        Some(other) => {
            config.keep("responseMimeType", other);
            schema
        }
    })
}

fn read_thinking(fields: &mut Fields) -> Result<Thinking, Refused> {
    let mut thinking = Thinking { told: fields.flag("includeThoughts")?, ..Thinking::default() };
    match fields.whole("thinkingBudget")? {
        None => {}
        Some(0) => thinking.enabled = Some(false),
        Some(budget) => {
            thinking.enabled = Some(true);
            // Negative: as the model sees fit.
            thinking.budget = u64::try_from(budget).ok();
        }
    }
    if let Some(level) = fields.text("thinkingLevel")? {
        thinking.effort = match level.to_ascii_uppercase().as_str() {
            "MINIMAL" => Some(Effort::Minimal),
            "LOW" => Some(Effort::Low),
            "MEDIUM" => Some(Effort::Medium),
            "HIGH" => Some(Effort::High),
            "THINKING_LEVEL_UNSPECIFIED" => None,
            _ => return Err(fields.wrong("thinkingLevel", "must be minimal, low, medium or high")),
        };
    }
    Ok(thinking)
}

/// Writes it. An answer of at most 0 tokens is refused, for Google would take that as no bound, and no room is held for such
/// an answer.
pub(super) fn write(request: &Request, body: &mut Map<String, Value>) -> Result<(), Refused> {
    if request.max_output == Some(0) {
        return Err(Refused::field("max_tokens", "An answer cannot have at most 0 tokens."));
    }
    let mut config = Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            config.insert(name.to_owned(), value);
        }
    };
    put("maxOutputTokens", request.max_output.map(Value::from));
    put("candidateCount", request.choices.map(Value::from));
    put("temperature", request.temperature.map(Value::from));
    put("topP", request.top_p.map(Value::from));
    put("topK", request.top_k.map(Value::from));
    put("presencePenalty", request.presence_penalty.map(Value::from));
    put("frequencyPenalty", request.frequency_penalty.map(Value::from));
    // A seed has 32 bits here; the lower ones of a longer one still give the same answer to the same seed.
    put("seed", request.seed.map(|seed| Value::from(seed as i32)));
    put("stopSequences", (!request.stop.is_empty()).then(|| request.stop.clone().into()));
    put("responseLogprobs", request.logprobs.map(|_| true.into()));
    put("logprobs", request.logprobs.filter(|others| *others > 0).map(Value::from));
    write_format(request.format.as_ref(), &mut config);
    let thinking = write_thinking(&request.thinking, Model(&request.model));
    if !thinking.is_empty() {
        config.insert("thinkingConfig".into(), thinking.into());
    }
    if let Some(Value::Object(kept)) = body.remove("generationConfig") {
        merge(&mut config, kept);
    }
    if !config.is_empty() {
        body.insert("generationConfig".into(), config.into());
    }
    Ok(())
}

fn write_format(format: Option<&Format>, config: &mut Map<String, Value>) {
    let mime = match format {
        None => return,
        Some(Format::Text) => "text/plain",
        Some(Format::Json | Format::Schema { .. }) => "application/json",
    };
    config.insert("responseMimeType".into(), mime.into());
    if let Some(Format::Schema { schema, .. }) = format {
        schema::write(schema, "responseSchema", "responseJsonSchema", config);
    }
}

/// What we did not know when we read it. A type of the answer that we did not know is more exact than ours.
fn merge(config: &mut Map<String, Value>, mut kept: Map<String, Value>) {
    if let Some(mime) = kept.remove("responseMimeType") {
        config.insert("responseMimeType".into(), mime);
    }
    if let (Some(Value::Object(ours)), Some(Value::Object(left))) =
        (config.get_mut("thinkingConfig"), kept.get("thinkingConfig"))
    {
        add(ours, left.iter());
    }
    add(config, kept.iter());
}

/// Gemini 3 thinks by level, older ones by budget, and to say both is an error.
fn write_thinking(thinking: &Thinking, model: Model) -> Map<String, Value> {
    let mut out = Map::new();
    let off = thinking.enabled == Some(false) || thinking.effort == Some(Effort::None);
    match (off, thinking.effort, thinking.budget) {
        (true, ..) => put_least(model, &mut out),
        (false, Some(effort), None) if model.old() => {
            out.insert("thinkingBudget".into(), within(budget(effort), model).into());
        }
        (false, Some(effort), budget) if budget.is_none() || !model.old() => {
            out.insert("thinkingLevel".into(), level(effort, model).into());
        }
        (false, _, Some(budget)) => {
            out.insert("thinkingBudget".into(), within(budget, model).into());
        }
        // As it sees fit is what Gemini 3 does by itself, and its budgets are only kept for old clients.
        (false, _, None) if thinking.enabled == Some(true) && !model.modern() => {
            out.insert("thinkingBudget".into(), json!(-1));
        }
        (false, _, None) => {}
    }
    let told = thinking.told.or(thinking.summary.as_ref().map(|_| true));
    if let Some(told) = told {
        out.insert("includeThoughts".into(), told.into());
    }
    out
}

/// No thinking, or as little as the model can: the Pro ones and all since Gemini 3 refuse to do without.
fn put_least(model: Model, out: &mut Map<String, Value>) {
    if model.modern() {
        let level = if model.pro() { "LOW" } else { "MINIMAL" };
        out.insert("thinkingLevel".into(), level.into());
    } else {
        let least = if model.old() && model.pro() { 128 } else { 0 };
        out.insert("thinkingBudget".into(), json!(least));
    }
}

fn level(effort: Effort, model: Model) -> &'static str {
    match effort {
        Effort::None | Effort::Minimal if model.pro() => "LOW",
        Effort::None | Effort::Minimal => "MINIMAL",
        Effort::Low => "LOW",
        // The first Gemini 3 Pro knows two levels only; Google's own OpenAI endpoint rounds up as well.
        Effort::Medium if model.0.contains("gemini-3-pro") => "HIGH",
        Effort::Medium => "MEDIUM",
        Effort::High | Effort::Higher | Effort::Max => "HIGH",
    }
}

/// As Google's OpenAI endpoint translates `reasoning_effort`.
fn budget(effort: Effort) -> u64 {
    match effort {
        Effort::None => 0,
        Effort::Minimal | Effort::Low => 1024,
        Effort::Medium => 8192,
        Effort::High | Effort::Higher | Effort::Max => 24_576,
    }
}

/// Gemini 2.5 refuses budgets outside its bounds.
fn within(budget: u64, model: Model) -> u64 {
    match (model.old(), model.pro(), model.lite()) {
        (false, ..) => budget,
        (true, true, _) => budget.clamp(128, 32_768),
        (true, _, true) => budget.clamp(512, 24_576),
        (true, ..) => budget.min(24_576),
    }
}
