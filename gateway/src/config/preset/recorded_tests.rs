//! Addresses of presets against those of recorded calls. `WEIR_TRAFFIC` names the folder of recordings; without it
//! these tests print that they were skipped.

use std::collections::BTreeSet;

use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::{Call, Preset, Presets};

/// Recordings of providers with a preset: file and preset.
pub(super) const FILES: &[(&str, &str)] = &[
    ("anthropic", "anthropic"),
    ("azure_openai", "azure"),
    ("bedrock", "bedrock"),
    ("cerebras", "cerebras"),
    ("cohere", "cohere"),
    ("deepseek", "deepseek"),
    ("google_ai", "gemini"),
    ("groq", "groq"),
    ("mistral", "mistral"),
    ("ollama", "ollama"),
    ("openai", "openai"),
    ("openai_compatible", "openai-compatible"),
    ("openrouter", "openrouter"),
    ("perplexity", "perplexity"),
    ("together", "together"),
    ("vertex", "vertex"),
    ("xai", "xai"),
];

/// Other hosts of the same provider.
const ALIASES: &[(&str, &str)] = &[
    ("api.cohere.ai", "api.cohere.com"),
    ("api.together.ai", "api.together.xyz"),
    ("ollama.com", "127.0.0.1:11434"),
];

/// Recorded addresses that no preset should make: host, path, and why.
const LEFT_OUT: &[(&str, &str, &str)] = &[
    ("api.anthropic.com", "/api/v1/messages", "rewritten by who recorded it"),
    ("api.openai.com", "/v1/responses", "GET without an id, refused with 401"),
    ("api.cohere.com", "/v1/chat", "version 1"),
    ("api.cohere.ai", "/v1/embed", "version 1, answered with 404"),
    ("bedrock-mantle.us-east-1.api.aws", "/v1/responses", "the other of two addresses"),
];

struct Recorded {
    id: String,
    host: String,
    path: String,
    query: Vec<(String, String)>,
    endpoint: String,
    method: String,
}

fn recordings(file: &str) -> Option<Vec<Recorded>> {
    let Ok(folder) = std::env::var("WEIR_TRAFFIC") else {
        println!("skipped: WEIR_TRAFFIC is not set");
        return None;
    };
    let text = std::fs::read_to_string(format!("{folder}/{file}.jsonl")).unwrap();
    let all = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    Some(all.filter(|record| record["request"]["path"].is_string()).map(|record| recorded(&record)).collect())
}

fn recorded(record: &Value) -> Recorded {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let request = &record["request"];
    let pairs = request["query"].as_array().into_iter().flatten();
    Recorded {
        id: text(&record["id"]),
        host: text(&request["host"]).replace("<aws_region>", "us-east-1"),
        path: text(&request["path"])
            .replace("<GOOGLE_CLOUD_LOCATION>", "global")
            .replacen("//openai", "/openai", 1),
        query: pairs.map(|pair| (text(&pair[0]), text(&pair[1]))).collect(),
        endpoint: text(&record["endpoint"]),
        method: text(&request["method"]),
    }
}

/// The call that the recording's label names.
fn call(record: &Recorded, preset: &str) -> Call {
    match record.endpoint.as_str() {
        "chat_completions" => Call::Chat,
        "completions" => Call::Completions,
        "responses" => Call::Responses,
        "responses_get" if record.method == "POST" => Call::InputTokens,
        "responses_get" => Call::Response,
        "embeddings" => Call::Embeddings,
        "models" => Call::Models,
        "messages" => Call::Messages,
        "count_tokens" if preset == "bedrock" => Call::ConverseCountTokens,
        "count_tokens" => Call::CountTokens,
        "converse" => Call::Converse,
        "converse_stream" => Call::ConverseStream,
        "invoke_model" => Call::Invoke,
        "invoke_model_stream" => Call::InvokeStream,
        "generateContent" => Call::GenerateContent,
        "streamGenerateContent" => Call::StreamGenerateContent,
        "countTokens" => Call::GeminiCountTokens,
        "batchEmbedContents" => Call::BatchEmbedContents,
        "predict" => Call::Predict,
        "cohere_chat" => Call::CohereChat,
        "cohere_embed" => Call::CohereEmbed,
        "ollama_chat" => Call::OllamaChat,
        other => panic!("{}: {other}", record.id),
    }
}

/// The segment behind `before`, decoded, without what follows a colon if `verb`.
fn segment(path: &str, before: &str, verb: bool) -> Option<String> {
    let rest = path.split_once(before)?.1;
    let segment = rest.split('/').next()?;
    let segment = if verb { segment.rsplit_once(':')?.0 } else { segment };
    Some(percent_decode_str(segment).decode_utf8().ok()?.into_owned())
}

fn model(record: &Recorded) -> String {
    let path = &record.path;
    segment(path, "/deployments/", false)
        .or_else(|| segment(path, "/models/", true))
        .or_else(|| segment(path, "/model/", false))
        .unwrap_or_default()
}

/// What an account or a call would say, as the recording has it.
fn value(record: &Recorded, name: &str) -> Option<String> {
    let (path, host) = (&record.path, &record.host);
    match name {
        "resource" => host.split('.').next().map(str::to_owned),
        "region" => segment(path, "/locations/", false).or_else(|| host.split('.').nth(1).map(str::to_owned)),
        "project" => segment(path, "/projects/", false),
        "api_version" => {
            let asked = record.query.iter().find(|(key, _)| key == "api-version");
            asked.map(|(_, value)| value.clone()).or_else(|| path.split('/').nth(1).map(str::to_owned))
        }
        "id" => path.rsplit('/').next().map(str::to_owned),
        _ => None,
    }
}

/// The preset of a recording: some files hold two APIs.
fn preset_of<'p>(presets: &'p Presets, record: &Recorded, name: &str) -> &'p Preset {
    let name = match record.host.as_str() {
        host if host.starts_with("bedrock-mantle") => "bedrock-mantle",
        host if host.ends_with(".services.ai.azure.com") => "azure-foundry",
        _ => name,
    };
    presets.get(name).unwrap()
}

/// Scheme off; host, path and query of what the preset makes.
fn made(preset: &Preset, record: &Recorded) -> (String, String, String) {
    let value = |name: &str| value(record, name);
    let path = preset.path(call(record, &preset.name), &model(record), &value);
    let path = path.unwrap_or_else(|err| panic!("{}: {err}", record.id));
    // Whatever is compatible is anywhere; the recorded ones have their API under /v1.
    let base = preset.base_url(&value).unwrap_or_else(|_| format!("http://{}/v1", record.host));
    let whole = base.split_once("://").unwrap().1.to_owned() + &path;
    let (host, rest) = whole.split_once('/').unwrap();
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    (host.to_owned(), format!("/{path}"), query.to_owned())
}

fn known_host(made: &str, recorded: &str) -> bool {
    made == recorded || ALIASES.contains(&(recorded, made))
}

/// Broken on purpose: `/v2` left out of a path of `cohere.toml`; `ESCAPED` without the colon; `is = "globe"` in
/// `vertex.toml`.
#[test]
fn presets_make_the_addresses_that_were_recorded() {
    let presets = Presets::built_in().unwrap();
    let (mut same, mut left_out) = (0, BTreeSet::new());
    for (file, name) in FILES {
        let Some(records) = recordings(file) else { return };
        for record in records {
            let skip = |(host, path, _): &&(&str, &str, &str)| *host == record.host && *path == record.path;
            let of_post =
                record.path == "/v1/responses" && record.method == "POST" && record.host == "api.openai.com";
            if let Some(entry) = LEFT_OUT.iter().find(skip).filter(|_| !of_post) {
                left_out.insert(entry);
                continue;
            }
            let (host, path, query) = made(preset_of(&presets, &record, name), &record);
            assert!(known_host(&host, &record.host), "{}: {host} for {}", record.id, record.host);
            compare_paths(&record, &path);
            compare_queries(&record, &query);
            same += 1;
        }
    }
    assert_eq!(left_out.len(), LEFT_OUT.len(), "{left_out:?}");
    assert!(same >= 1690, "{same}");
    println!("{same} addresses are the recorded ones");
}

/// Clients differ in whether they escape the colon of a model (boto3 does, others do not); the rest must be the same.
fn compare_paths(record: &Recorded, made: &str) {
    let plain = |path: &str| path.replace("%3A", ":");
    let unescaped = record.path.contains("/model/") && !record.path.contains("%3A");
    let expected = if unescaped { plain(made) } else { made.to_owned() };
    assert_eq!(expected, record.path, "{}", record.id);
}

/// What the preset asks for must be in the recorded query; clients may ask for more, or for another form of stream.
fn compare_queries(record: &Recorded, made: &str) {
    for pair in made.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap();
        match record.query.iter().find(|(known, _)| known == key) {
            Some((_, recorded)) => assert_eq!(recorded, value, "{}", record.id),
            // Nine recorded streams are one JSON array, which nobody asked to be anything else.
            None => assert_eq!(pair, "alt=sse", "{}", record.id),
        }
    }
}

/// Broken on purpose: a letter left out of a header of `groq.toml`.
#[test]
fn headers_that_tell_limits_were_recorded() {
    let presets = Presets::built_in().unwrap();
    for (file, name) in [
        ("openai", "openai"),
        ("azure_openai", "azure"),
        ("anthropic", "anthropic"),
        ("groq", "groq"),
        ("mistral", "mistral"),
        ("xai", "xai"),
        ("together", "together"),
    ] {
        let Ok(folder) = std::env::var("WEIR_TRAFFIC") else { return };
        let text = std::fs::read_to_string(format!("{folder}/{file}.jsonl")).unwrap().to_lowercase();
        for limit in &presets.get(name).unwrap().limit_headers {
            let reset = limit.reset.as_ref().map(|(name, _)| name);
            for header in [limit.limit.as_ref(), limit.remaining.as_ref(), reset].into_iter().flatten() {
                assert!(text.contains(&format!("\"{header}\"")), "{name}: {header}");
            }
        }
    }
}
