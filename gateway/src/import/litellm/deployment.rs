//! Deployments: the elements of `model_list`.

use super::super::Notes;
use super::super::node::Node;
use super::super::page::{self, Page};
use super::Import;
use super::account::{Params, Wanted, account};
use super::budget::Budget;
use super::provider::provider_of;
use super::times::Times;
use super::words::{Worded, named};

/// Modes that Weir has no calls for.
const OTHER_MODES: [&str; 9] = [
    "image_generation", "image_edit", "audio_transcription", "audio_speech", "moderation", "realtime", "batch", "video_generation",
    "ocr",
];

/// One element, as far as models and the file need it.
pub(super) struct Deployment<'y> {
    /// Set when all are known.
    pub(super) name: String,
    /// What it wants to be called.
    pub(super) id: Option<String>,
    /// `model_name` as it is written.
    pub(super) group: &'y str,
    pub(super) group_at: &'y Node,
    pub(super) account: usize,
    pub(super) model: String,
    /// What it may spend, as a pool of its account.
    pub(super) budget: Option<Budget>,
    pub(super) params: Params<'y>,
    pub(super) info: Option<&'y Node>,
    pub(super) order: Option<f64>,
    pub(super) weight: Option<f64>,
    pub(super) rpm: Option<f64>,
    pub(super) tpm: Option<f64>,
    pub(super) has_price: bool,
    /// Keys of `[[deployments]]` behind name, account and model.
    written: Vec<(&'static str, String)>,
}

impl Deployment<'_> {
    pub(super) fn write(&self, account: &str, page: &mut Page) {
        page.section("[[deployments]]");
        page.set("name", page::text(&self.name));
        page.set("account", page::text(account));
        page.set("model", page::text(&self.model));
        for (key, value) in &self.written {
            page.set(key, value);
        }
    }
}

/// Why an element, as a whole, is not translated.
type Reason = String;

/// Reads one element of `model_list`.
pub(super) fn deployment<'y>(element: &'y Node, import: &mut Import<'y>) -> Result<Deployment<'y>, Reason> {
    let group_at = element.get("model_name").ok_or("it has no `model_name`")?;
    let group = group_at.text().ok_or("its `model_name` is no string")?;
    let own = element.get("litellm_params").filter(|node| node.is_map()).ok_or("it has no `litellm_params`")?;
    let params = Params { own, credential: import.credential(own) };
    let info = element.get("model_info");
    let model = own.get("model").and_then(Node::text).ok_or("it has no `litellm_params.model`")?;
    if own.get("mock_response").is_some() {
        return Err("it answers by itself (`mock_response`); for tests there is `weir provider`".into());
    }
    if let Some(mode) = info.and_then(|info| info.get("mode")).and_then(Node::text)
        && OTHER_MODES.contains(&mode)
    {
        return Err("Weir has no call of this `mode`".into());
    }
    let (wanted, model) = wanted(params, model, import)?;
    let account =
        account(&wanted, &mut import.accounts, &mut import.environment, &mut import.notes).map_err(Reason::from)?;
    let id = info.and_then(|info| info.get("id")).and_then(Node::text).map(|id| named(id, "deployment"));
    let mut built = Deployment {
        name: String::new(),
        id,
        group,
        group_at,
        account,
        model,
        budget: None,
        params,
        info,
        order: number(params, info, "order", &mut import.notes),
        weight: number(params, None, "weight", &mut import.notes),
        rpm: None,
        tpm: None,
        has_price: false,
        written: Vec::new(),
    };
    limits(&mut built, element, import);
    price(&mut built, &mut import.notes);
    sizes(&mut built, &mut import.notes);
    abilities(&mut built);
    times(&mut built, import);
    tags(&mut built, import);
    Ok(built)
}

/// What its account is found by, and the provider's name of the model.
fn wanted<'y>(params: Params<'y>, model: &str, import: &Import<'y>) -> Result<(Wanted<'y>, String), Reason> {
    if model.starts_with("os.environ/") {
        return Err("its model is named by an environment variable".into());
    }
    let custom = params.own.get("custom_llm_provider").and_then(Node::text);
    let (known, model) = provider_of(model, custom).ok_or(
        "there is no preset for its provider, or it does not say which that is; what speaks OpenAI's dialect can have an account with \
         provider = \"openai-compatible\" and base_url",
    )?;
    if model.contains('*') {
        return Err("what is asked for behind a `*` is not passed on as the provider's name for the model: each model needs a \
                    deployment"
            .into());
    }
    let (region, model) = match known.preset {
        "bedrock" => bedrock(model),
        "azure" => (None, model.trim_start_matches("responses/").to_owned()),
        _ => (None, model.to_owned()),
    };
    if model.is_empty() {
        return Err("its `litellm_params.model` names no model".into());
    }
    Ok((Wanted { params, known, region, by_entra: import.by_entra }, model))
}

/// `converse/us-east-1/anthropic.claude...`: the region, if there is one, and the model.
fn bedrock(model: &str) -> (Option<String>, String) {
    let ways = ["converse/", "converse_like/", "invoke/"];
    let model = ways.iter().find_map(|way| model.strip_prefix(way)).unwrap_or(model);
    match model.split_once('/') {
        Some((region, rest)) if is_region(region) => (Some(region.to_owned()), rest.to_owned()),
        _ => (None, model.to_owned()),
    }
}

/// `us-east-1`, `us-gov-west-1`.
fn is_region(text: &str) -> bool {
    text.rsplit_once('-').is_some_and(|(place, number)| {
        number.len() == 1 && number.chars().all(|c| c.is_ascii_digit()) && place.contains('-')
            && place.chars().all(|c| c.is_ascii_lowercase() || c == '-')
    })
}

/// A number of the deployment, wherever LiteLLM looks for it.
fn number(params: Params<'_>, info: Option<&Node>, key: &str, notes: &mut Notes) -> Option<f64> {
    let node = params.get(key).or_else(|| info.and_then(|info| info.get(key)))?;
    let number = node.number();
    if number.is_none() {
        notes.left(node, "no number, or one from the environment: a number stands in the file here");
    }
    number
}

/// What a deployment may take, each with Weir's key.
const LIMITS: [(&str, &str); 5] =
    [("rpm", "rpm"), ("tpm", "tpm"), ("itpm", "itpm"), ("otpm", "otpm"), ("max_parallel_requests", "concurrency")];

fn limits(built: &mut Deployment<'_>, element: &Node, import: &mut Import<'_>) {
    let mut entries = Vec::new();
    let default = import.router("default_max_parallel_requests");
    for (key, limit) in LIMITS {
        let places = [built.params.get(key), element.get(key), built.info.and_then(|info| info.get(key))];
        let mut places = places.into_iter().flatten();
        let node = places.next();
        for other in places {
            import.notes.left(other, "given at another place of this deployment, which goes before");
        }
        let Some(node) = node.or(default.filter(|_| limit == "concurrency")) else { continue };
        let number = node.number();
        match key {
            "rpm" => built.rpm = number,
            "tpm" => built.tpm = number,
            _ => {}
        }
        match number {
            Some(number) if number >= 1.0 && number < (1_u64 << 40) as f64 => {
                entries.push((limit, page::whole(number as u64)));
            }
            _ => import.notes.left(node, "no whole number from 1: a limit of 0 is refused here, and none comes from the environment"),
        }
    }
    if entries.iter().any(|(limit, _)| *limit != "concurrency") && !import.keeps_limits {
        import.has_loose_limits = true;
    }
    if !entries.is_empty() {
        built.written.push(("limits", page::table(entries)));
    }
}

/// US$ per token there, per million tokens here.
fn price(built: &mut Deployment<'_>, notes: &mut Notes) {
    const PER_TOKEN: [(&str, &str); 4] = [
        ("input_cost_per_token", "input"),
        ("output_cost_per_token", "output"),
        ("cache_read_input_token_cost", "cache_read"),
        ("cache_creation_input_token_cost", "cache_write"),
    ];
    let (params, info) = (built.params, built.info);
    let node = |key: &str| params.get(key).or_else(|| info.and_then(|info| info.get(key)));
    let mut entries = Vec::new();
    for (key, ours) in PER_TOKEN {
        let Some(node) = node(key) else { continue };
        match node.number().filter(|cost| *cost >= 0.0) {
            Some(cost) => entries.push((ours, page::number(cost * 1e6))),
            None => notes.left(node, "no price"),
        }
    }
    if let Some(node) = node("input_cost_per_request") {
        match node.number().filter(|cost| *cost >= 0.0) {
            Some(cost) => entries.push(("request", page::number(cost))),
            None => notes.left(node, "no price"),
        }
    }
    let has = |ours: &str| entries.iter().any(|(own, _)| *own == ours);
    if has("input") && has("output") {
        built.has_price = true;
        built.written.push(("price", page::table(entries)));
        return;
    }
    for key in PER_TOKEN.iter().map(|(key, _)| *key).chain(["input_cost_per_request"]) {
        if let Some(node) = node(key).filter(|node| node.number().is_some()) {
            notes.left(node, "a price has input and output here");
        }
    }
}

/// What it reads and writes at most.
fn sizes(built: &mut Deployment<'_>, notes: &mut Notes) {
    let Some(info) = built.info else { return };
    let mut tokens = |keys: &[&str]| {
        let node = keys.iter().find_map(|key| info.get(key))?;
        let number = node.number().filter(|number| *number >= 1.0 && *number < (1_u64 << 40) as f64);
        if number.is_none() {
            notes.left(node, "no number of tokens");
        }
        number.map(|number| number as u64)
    };
    let output = tokens(&["max_output_tokens", "max_tokens"]);
    if let Some(input) = tokens(&["max_input_tokens"]) {
        // Without max_tokens a call is taken to write 4096.
        let window = input.saturating_add(output.unwrap_or(4096)).min((1 << 40) - 1);
        built.written.push(("context_window", page::whole(window)));
    }
    if let Some(output) = output {
        built.written.push(("max_output", page::whole(output)));
    }
}

/// What it is said not to do; all else it is taken to do.
fn abilities(built: &mut Deployment<'_>) {
    const ABILITIES: [(&str, &[&str]); 7] = [
        ("tools", &["supports_function_calling"]),
        ("images", &["supports_vision"]),
        ("json_schema", &["supports_response_schema"]),
        ("audio", &["supports_audio_input"]),
        ("video", &["supports_video_input"]),
        ("files", &["supports_pdf_input"]),
        ("reasoning", &["supports_reasoning"]),
    ];
    let Some(info) = built.info else { return };
    let lacks = |keys: &[&str]| keys.iter().any(|key| info.get(key).and_then(Node::flag) == Some(false));
    let able: Vec<String> = ABILITIES.iter().filter(|(_, keys)| !lacks(keys)).map(|(word, _)| page::text(word)).collect();
    if able.len() < ABILITIES.len() {
        built.written.push(("supports", page::list(able)));
    }
}

/// Time-outs and rests of its own.
fn times(built: &mut Deployment<'_>, import: &mut Import<'_>) {
    let total = built.params.get("timeout");
    let stream = built.params.get("stream_timeout");
    let own = Times::read(total, stream, import.times, &mut import.notes);
    built.written.extend(own.written(import.times).map(|value| ("timeouts", value)));
    let Some(node) = built.params.get("cooldown_time") else { return };
    built.written.extend(import.rests(node));
}

fn tags(built: &mut Deployment<'_>, import: &mut Import<'_>) {
    let Some(node) = built.params.get("tags") else { return };
    if !import.routes_by_tags {
        let reason = "LiteLLM does not route by tags either without `enable_tag_filtering`; a deployment's `tags` do here";
        import.notes.left(node, reason);
        return;
    }
    let mut tags: Vec<String> = Vec::new();
    for item in node.items() {
        match Worded::of(item) {
            Some(Worded::Clear(tag)) if named(&tag, "") == tag && !tag.is_empty() => {
                if tag == "default" {
                    import.notes.differs(item, "a tag as any other: calls without tags go to every deployment here");
                }
                if !tags.contains(&tag) {
                    tags.push(tag);
                }
            }
            _ => import.notes.left(item, "a tag consists of letters, digits and `._:/@+-` here"),
        }
    }
    if !tags.is_empty() {
        built.written.push(("tags", page::list(tags.iter().map(|tag| page::text(tag)))));
    }
}
