//! The dialect on recorded traffic of real providers. `WEIR_TRAFFIC` names the folder of recordings (one JSONL
//! file per provider); without it these tests print that they were skipped.

use std::time::UNIX_EPOCH;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::Value;

use super::answer::{Usage, usage_of};
use super::stream::{Chunk, Delivered, Splitter, classify};
use crate::dialect::api::Api;
use crate::dialect::failure::{Class, Failure};
use crate::dialect::request::{InPath, peek, rewrite};

/// The call that a recording is of, if it is one of this API.
fn api_of(record: &Value) -> Option<Api> {
    Some(match record["endpoint"].as_str()? {
        "chat_completions" => Api::Chat,
        "completions" => Api::Completions,
        "embeddings" => Api::Embeddings,
        "responses" => Api::Responses,
        _ => return None,
    })
}

/// The recorded calls, as `(id, record)`.
fn recordings() -> Vec<(String, Value)> {
    let Ok(folder) = std::env::var("WEIR_TRAFFIC") else {
        println!("skipped: WEIR_TRAFFIC is not set");
        return Vec::new();
    };
    let mut found = Vec::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_none_or(|ext| ext != "jsonl") {
            continue;
        }
        for line in std::fs::read_to_string(path).unwrap().lines() {
            let record: Value = serde_json::from_str(line).unwrap();
            if api_of(&record).is_some() {
                found.push((record["id"].as_str().unwrap().to_owned(), record));
            }
        }
    }
    assert!(found.len() > 400, "{} recordings", found.len());
    found
}

fn text_of(part: &Value) -> Option<&str> {
    (part["body_encoding"] == "utf8").then(|| part["body"].as_str()).flatten().filter(|text| !text.is_empty())
}

#[test]
fn every_recorded_request_is_read_and_only_its_model_changes() {
    let mut read = 0;
    for (id, record) in recordings() {
        let Some(text) = text_of(&record["request"]) else { continue };
        let mut wanted: Value = serde_json::from_str(text).unwrap();
        // Azure names the deployment in the path.
        if wanted["model"].is_null() {
            continue;
        }
        let body = Bytes::copy_from_slice(text.as_bytes());
        let api = api_of(&record).unwrap();
        let seen = match peek(api, &body, InPath::default()) {
            Ok(seen) => seen,
            Err(_) if record["response"]["status"] == 400 => continue, // the provider thought so, too
            Err(fault) => panic!("{id}: {fault:?}"),
        };
        assert_eq!(wanted["model"], seen.model, "{id}");
        assert_eq!(wanted["stream"].as_bool().unwrap_or(false), seen.stream, "{id}");
        assert_eq!(rewrite(&body, &seen, &seen.model) == body, seen.include_usage, "{id}");
        let out = rewrite(&body, &seen, "another");
        wanted["model"] = "another".into();
        if !seen.include_usage {
            wanted["stream_options"]["include_usage"] = true.into();
        }
        assert_eq!(serde_json::from_slice::<Value>(&out).unwrap(), wanted, "{id}");
        read += 1;
    }
    println!("{read} requests");
}

/// The last usage that a reader of whole JSON values finds in a stream.
fn naive_usage(text: &str) -> Option<Value> {
    let data = text.lines().filter_map(|line| line.strip_prefix("data:"));
    let chunks = data.rev().filter_map(|data| serde_json::from_str::<Value>(data).ok());
    let usage = |whole: &Value| whole.get("usage").filter(|usage| usage.is_object()).cloned();
    let mut usages = chunks.filter_map(|chunk| usage(&chunk).or_else(|| usage(&chunk["response"])));
    usages.next()
}

#[track_caller]
fn same_usage(id: &str, ours: Option<Usage>, naive: Option<Value>) {
    let Some(naive) = naive else { return assert_eq!(ours, None, "{id}") };
    let count = |value: &Value| value.as_u64().unwrap_or(0);
    let ours = ours.unwrap_or_else(|| panic!("{id}: usage not found"));
    let (prompt, completion) =
        if naive["input_tokens"].is_null() { ("prompt", "completion") } else { ("input", "output") };
    let of = |side: &str| count(&naive[format!("{side}_tokens")]);
    let (input, output) = (of(prompt), of(completion));
    let details = |side: &str, name: &str| count(&naive[format!("{side}_tokens_details")][name]);
    let hit = details(prompt, "cached_tokens").max(count(&naive["prompt_cache_hit_tokens"]));
    assert_eq!(ours.cached_input, hit.min(input), "{id}");
    let total = count(&naive["total_tokens"]).max(input + output);
    assert_eq!(ours.input + ours.output, total, "{id}");
    if total == input + output {
        let reasoning = details(completion, "reasoning_tokens");
        assert_eq!((ours.input, ours.output, ours.reasoning), (input, output, reasoning.min(output)), "{id}");
    }
}

#[test]
fn every_recorded_stream_splits_into_the_same_bytes_and_usage() {
    let mut streams = 0;
    let mut totals = (0, 0);
    for (id, record) in recordings() {
        let answer = &record["response"];
        let Some(text) = text_of(answer).filter(|_| record["stream"] == true && answer["status"] == 200)
        else {
            continue;
        };
        let api = api_of(&record).unwrap();
        for size in [1, 7, 4096] {
            let mut splitter = Splitter::default();
            let mut events = Vec::new();
            for piece in text.as_bytes().chunks(size) {
                events.extend(splitter.push(Bytes::copy_from_slice(piece)).map(|event| event.unwrap()));
            }
            events.extend(splitter.finish());
            assert_eq!(
                events.iter().flat_map(|e| e.raw.to_vec()).collect::<Vec<_>>(),
                text.as_bytes(),
                "{id}"
            );
            let chunks: Vec<_> = events.iter().map(|event| classify(api, event)).collect();
            check_chunks(&id, api, text, &chunks);
            let (told, counted) = delivered(&chunks);
            if api != Api::Responses {
                totals = (totals.0 + told, totals.1 + counted); // those also count what tools of the provider do
            }
        }
        streams += 1;
    }
    let (told, counted) = totals;
    println!("{streams} streams, {told} tokens of output, {counted} by what was delivered");
    assert!(counted >= told && counted <= told * 2, "{counted} for {told}");
}

/// The output that the usage of a stream tells, and what its chunks let us think; only for streams of text that
/// hide no reasoning.
fn delivered(chunks: &[Chunk]) -> (u64, u64) {
    let mut delivered = Delivered::default();
    let mut told = 0;
    for chunk in chunks {
        delivered.add(chunk);
        if let Chunk::Usage { usage, .. } | Chunk::Finished { usage: Some(usage) } = chunk {
            told = if usage.reasoning == 0 { usage.output } else { 0 };
        }
    }
    if told == 0 { (0, 0) } else { (told, delivered.tokens()) }
}

fn check_chunks(id: &str, api: Api, text: &str, chunks: &[Chunk]) {
    let usage = chunks.iter().rev().find_map(|chunk| match chunk {
        Chunk::Usage { usage, .. } => Some(*usage),
        Chunk::Finished { usage } => *usage,
        _ => None,
    });
    same_usage(id, usage, naive_usage(text));
    assert!(chunks.iter().any(Chunk::is_content), "{id}: no content");
    let errors = chunks.iter().filter(|chunk| matches!(chunk, Chunk::Error(_))).count();
    assert_eq!(errors, text.matches("data: {\"error\":").count(), "{id}");
    assert_eq!(chunks.contains(&Chunk::Done), text.contains("data: [DONE]"), "{id}");
    if api == Api::Responses {
        assert!(matches!(chunks.first(), Some(Chunk::Begun(_))), "{id}: no beginning");
        assert!(matches!(chunks.last(), Some(Chunk::Finished { .. })), "{id}: no end");
    }
}

#[test]
fn every_recorded_plain_answer_gives_its_usage() {
    for (id, record) in recordings() {
        let answer = &record["response"];
        let Some(text) = text_of(answer).filter(|_| record["stream"] == false && answer["status"] == 200)
        else {
            continue;
        };
        let naive: Option<Value> = serde_json::from_str(text).ok();
        let naive = naive.and_then(|body| body.get("usage").filter(|usage| usage.is_object()).cloned());
        same_usage(&id, usage_of(text.as_bytes()), naive);
    }
}

#[test]
fn every_recorded_failure_is_classified_sensibly() {
    for (id, record) in recordings() {
        let answer = &record["response"];
        let status = answer["status"].as_u64().unwrap() as u16;
        if status < 400 {
            continue;
        }
        let mut headers = HeaderMap::new();
        for (name, values) in answer["headers"].as_object().unwrap() {
            let value = HeaderValue::from_str(values[0].as_str().unwrap()).unwrap();
            headers.insert(name.parse::<HeaderName>().unwrap(), value);
        }
        let body = text_of(answer).unwrap_or_default();
        let status = StatusCode::from_u16(status).unwrap();
        let failure = Failure::of_answer(status, &headers, body.as_bytes(), UNIX_EPOCH);
        println!("{id} {status} -> {:?}", failure.class);
        assert!(failure.error.is_some(), "{id}: {body}");
        let fits = match status.as_u16() {
            400 if body.contains("Incorrect API key") => failure.class == Class::Auth,
            400 => matches!(failure.class, Class::BadRequest | Class::ContextTooLong | Class::NotFound),
            401 => failure.class == Class::Auth,
            404 => failure.class == Class::NotFound,
            429 => matches!(failure.class, Class::RateLimited { .. } | Class::Overloaded { .. }),
            _ => false,
        };
        assert!(fits, "{id}: {:?} for {body}", failure.class);
        let long = ["context length", "context window", "too long"].iter().any(|words| body.contains(words));
        assert_eq!(long, failure.class == Class::ContextTooLong, "{id}: {body}");
    }
}
