//! Deployments: the elements of `model_list`.

use super::super::Notes;
use super::super::node::Node;
use super::super::page::{self, Page};
use super::Import;
use super::account::{Params, Wanted, account};
use super::budget::Budget;
use super::price;
use super::provider::{provider_of, upstream_name};
use super::times::Times;
use super::words::{Worded, named};

/// Modes that Weir has no calls for.
const OTHER_MODES: [&str; 9] = [
    "image_generation",
    "image_edit",
    "audio_transcription",
    "audio_speech",
    "moderation",
    "realtime",
    "batch",
    "video_generation",
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
    /// It is never left alone.
    pub(super) stays: bool,
    /// Keys of `[[deployments]]` behind name, account and model.
    pub(super) written: Vec<(&'static str, String)>,
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
    let own =
        element.get("litellm_params").filter(|node| node.is_map()).ok_or("it has no `litellm_params`")?;
    let params = Params { own, credential: import.credential(own) };
    let info = element.get("model_info");
    let model = own.get("model").and_then(Node::text).ok_or("it has no `litellm_params.model`")?;
    refuse(own, info)?;
    let (wanted, model) = wanted(params, model, import)?;
    let account = account(&wanted, &mut import.accounts, &mut import.environment, &mut import.notes)
        .map_err(Reason::from)?;
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
        order: order(params, info, import),
        weight: number(params, None, "weight", &mut import.notes),
        rpm: None,
        tpm: None,
        has_price: false,
        stays: false,
        written: Vec::new(),
    };
    limits(&mut built, element, import);
    price::price(&mut built, import);
    sizes(&mut built, &mut import.notes);
    abilities(&mut built, &mut import.notes);
    times(&mut built, import);
    tags(&mut built, import);
    Ok(built)
}

/// What Weir has nothing for.
fn refuse(own: &Node, info: Option<&Node>) -> Result<(), Reason> {
    if own.get("mock_response").is_some() {
        return Err("it answers by itself (`mock_response`); for tests there is `weir provider`".into());
    }
    let mode = info.and_then(|info| info.get("mode")).and_then(Node::text);
    match mode.is_some_and(|mode| OTHER_MODES.contains(&mode)) {
        true => Err("Weir has no call of this `mode`".into()),
        false => Ok(()),
    }
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
    let (region, model) = upstream_name(known, model)?;
    if model.is_empty() {
        return Err("its `litellm_params.model` names no model".into());
    }
    Ok((Wanted { params, known, region, by_entra: import.by_entra }, model))
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

/// Which comes first.
fn order(params: Params<'_>, info: Option<&Node>, import: &mut Import<'_>) -> Option<f64> {
    let order = number(params, info, "order", &mut import.notes)?;
    if !import.checks_before
        && let Some(node) = params.get("order").or_else(|| info.and_then(|info| info.get("order")))
    {
        let how = "a priority here, whatever `enable_pre_call_checks` is: versions of LiteLLM heed it only with that";
        import.notes.differs(node, how);
    }
    Some(order)
}

/// What a deployment may take, each with Weir's key.
const LIMITS: [(&str, &str); 5] = [
    ("rpm", "rpm"),
    ("tpm", "tpm"),
    ("itpm", "itpm"),
    ("otpm", "otpm"),
    ("max_parallel_requests", "concurrency"),
];

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
            _ => import.notes.left(
                node,
                "no whole number from 1: a limit of 0 is refused here, and none comes from the environment",
            ),
        }
    }
    if entries.iter().any(|(limit, _)| *limit != "concurrency") && !import.keeps_limits {
        import.has_loose_limits = true;
    }
    let says_output = ["max_output_tokens", "max_tokens"]
        .iter()
        .any(|key| built.info.is_some_and(|info| info.get(key).is_some()));
    if entries.iter().any(|(limit, _)| limit.ends_with("tpm")) && !says_output {
        import.holds_unsaid = true;
    }
    if !entries.is_empty() {
        built.written.push(("limits", page::table(entries)));
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
        if let Some(node) = info.get("max_input_tokens") {
            let how = "here `context_window` bounds input and output together: their sum is written, which may be more than the model \
                       has, and a call that does not fit into it is not sent there";
            notes.differs(node, how);
        }
    }
    if let Some(output) = output {
        built.written.push(("max_output", page::whole(output)));
    }
}

/// What it is said not to do; all else it is taken to do.
fn abilities(built: &mut Deployment<'_>, notes: &mut Notes) {
    const ABILITIES: [(&str, &str); 7] = [
        ("tools", "supports_function_calling"),
        ("images", "supports_vision"),
        ("json_schema", "supports_response_schema"),
        ("audio", "supports_audio_input"),
        ("video", "supports_video_input"),
        ("files", "supports_pdf_input"),
        ("reasoning", "supports_reasoning"),
    ];
    let Some(info) = built.info else { return };
    let mut lacks = |key: &str| info.get(key).and_then(|node| notes.flag(node)) == Some(false);
    let able: Vec<String> =
        ABILITIES.iter().filter(|(_, key)| !lacks(key)).map(|(word, _)| page::text(word)).collect();
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
    built.stays = node.number() == Some(0.0);
    built.written.extend(import.left_alone(node));
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
                    import
                        .notes
                        .differs(item, "a tag as any other: calls without tags go to every deployment here");
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
