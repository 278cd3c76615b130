//! Recorded requests of real clients, read. `WEIR_TRAFFIC` names the folder of recordings; without it these tests print that
//! they were skipped.

use serde_json::Value;

use super::*;

/// The calls of a provider's recording that have a body: what they are, the model in their path, the record.
fn recorded(provider: &str) -> Vec<(Api, String, Value)> {
    let Ok(folder) = std::env::var("WEIR_TRAFFIC") else {
        println!("skipped: WEIR_TRAFFIC is not set");
        return Vec::new();
    };
    let text = std::fs::read_to_string(format!("{folder}/{provider}.jsonl")).unwrap();
    let records = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let calls = records.filter_map(|record| {
        let api = match record["endpoint"].as_str()? {
            "messages" => Api::Messages,
            "count_tokens" => Api::CountTokens,
            "generateContent" | "streamGenerateContent" => Api::Generate,
            "countTokens" => Api::GeminiCountTokens,
            "embedContent" => Api::EmbedContent,
            "batchEmbedContents" => Api::BatchEmbedContents,
            _ => return None,
        };
        let has_body = record["request"]["body"].as_str().is_some_and(|body| !body.is_empty());
        let path = record["request"]["path"].as_str().unwrap_or_default();
        let model = path.rsplit('/').next()?.split(':').next()?.to_owned();
        has_body.then_some((api, model, record))
    });
    calls.collect()
}

/// What a reader of whole JSON values finds under either of two names.
fn either<'a>(value: &'a Value, names: [&str; 2]) -> &'a Value {
    names.iter().map(|name| &value[*name]).find(|found| !found.is_null()).unwrap_or(&Value::Null)
}

#[test]
fn every_recorded_message_is_read_and_only_its_model_changes() {
    let calls = recorded("anthropic");
    for (api, _, record) in &calls {
        let text = record["request"]["body"].as_str().unwrap();
        let body = Bytes::copy_from_slice(text.as_bytes());
        let read =
            peek(*api, &body, InPath::default()).unwrap_or_else(|flaw| panic!("{}: {flaw:?}", record["id"]));
        let mut wanted: Value = serde_json::from_str(text).unwrap();
        assert_eq!(wanted["model"], read.model);
        assert_eq!(wanted["stream"].as_bool().unwrap_or(false), read.stream);
        assert_eq!(wanted["max_tokens"].as_u64().unwrap_or(0), read.max_output.unwrap());
        wanted["model"] = "another".into();
        assert_eq!(serde_json::from_slice::<Value>(&rewrite(&body, &read, "another")).unwrap(), wanted);
    }
    println!("{} requests", calls.len());
}

#[test]
fn every_recorded_request_of_googles_is_read_and_passes_as_it_is() {
    let calls = [recorded("google_ai"), recorded("vertex")].concat();
    for (api, model, record) in &calls {
        let text = record["request"]["body"].as_str().unwrap();
        let body = Bytes::copy_from_slice(text.as_bytes());
        let path = InPath { model: Some(model), stream: record["stream"] == true };
        let read = peek(*api, &body, path).unwrap_or_else(|flaw| panic!("{}: {flaw:?}", record["id"]));
        assert_eq!((read.model.as_str(), read.stream), (model.as_str(), path.stream && api.generates()));
        assert_eq!(rewrite(&body, &read, model), body, "{}", record["id"]);
        if *api == Api::Generate {
            let whole: Value = serde_json::from_str(text).unwrap();
            let config = either(&whole, ["generationConfig", "generation_config"]);
            let max = either(config, ["maxOutputTokens", "max_output_tokens"]).as_u64();
            assert_eq!(read.max_output, max, "{}", record["id"]);
        }
    }
    println!("{} requests", calls.len());
}
