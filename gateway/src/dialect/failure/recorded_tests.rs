//! Recorded failures of real providers. `WEIR_TRAFFIC` names the folder of recordings (one JSONL file per provider);
//! without it this test prints that it was skipped.

use http::{HeaderName, HeaderValue};
use serde_json::Value;

use super::table_tests::now;
use super::*;

/// What is expected, by parts of the body; the first row that fits, independent of the tables of the module. Its names
/// are those of [`name`].
const EXPECTED: [(u16, &str, &str); 31] = [
    (400, "API key not valid", "auth"),
    (400, "Incorrect API key", "auth"),
    (400, "location is not supported", "auth"),
    (400, "\"code\": 429", "limited"),
    (400, "Responsible AI practices", "filtered"),
    (400, "prompt is too long", "long"),
    (400, "Input Tokens Exceeded", "long"),
    (400, "TOO_MANY_TOKENS", "long"),
    (400, "maximum context length", "long"),
    (400, "max context length", "long"),
    (400, "context_length_exceeded", "long"),
    (400, "messages is too long", "long"),
    (400, "input token count", "long"),
    (400, "model identifier is invalid", "model"),
    (400, "on-demand throughput", "model"),
    (400, "model_not_found", "model"),
    (400, "invalid_model", "model"),
    (400, "not a valid model ID", "model"),
    (400, "does not exist\"}}", "model"),
    (400, "supported API model names", "model"),
    (400, "Model not found", "model"),
    (400, "\"", "request"),
    (401, "", "auth"),
    (403, "", "auth"),
    (404, "", "model"),
    (429, "RateLimitReached", "limited"),
    (429, "rate-limited upstream", "busy"),
    (200, "tool_use_failed", "request"),
    (200, "overloaded_error", "busy"),
    (200, "rate_limit", "limited"),
    (200, "server_error", "fault"),
];

fn name(class: Class) -> &'static str {
    match class {
        Class::RateLimited { .. } => "limited",
        Class::SlowDown { .. } => "slow",
        Class::Overloaded { .. } => "busy",
        Class::QuotaExhausted { .. } => "spent",
        Class::TooBigForPool => "big",
        Class::ContextTooLong => "long",
        Class::ContentFiltered => "filtered",
        Class::Auth => "auth",
        Class::NotFound => "model",
        Class::NotKept => "elsewhere",
        Class::BadRequest => "request",
        Class::TimedOut => "late",
        Class::Transient => "fault",
    }
}

#[track_caller]
fn check(id: &str, status: u16, body: &str, failure: &Failure) {
    let row = EXPECTED.iter().find(|(of, part, _)| *of == status && body.contains(part));
    let (.., expected) = row.unwrap_or_else(|| panic!("{id}: nothing is expected of {status} {body}"));
    assert_eq!(name(failure.class), *expected, "{id}: {body}");
    assert!(failure.error.is_some(), "{id}: {body}");
    let shown = failure.shown();
    assert!(!shown.message.is_empty(), "{id}");
    let account = ["org-", "sk-", "user_", "req_REDACTED", "test-project", "api key: "];
    assert!(!account.iter().any(|part| shown.message.contains(part)), "{id}: {}", shown.message);
}

fn records() -> Vec<Value> {
    let Ok(folder) = std::env::var("WEIR_TRAFFIC") else {
        println!("skipped: WEIR_TRAFFIC is not set");
        return Vec::new();
    };
    let paths = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let lines = paths.filter(|path| path.extension().is_some_and(|ext| ext == "jsonl"));
    let texts = lines.map(|path| std::fs::read_to_string(path).unwrap());
    texts
        .flat_map(|text| text.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>())
        .collect()
}

fn headers_of(answer: &Value) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, values) in answer["headers"].as_object().into_iter().flatten() {
        let value = HeaderValue::from_str(values[0].as_str().unwrap()).unwrap();
        headers.insert(name.parse::<HeaderName>().unwrap(), value);
    }
    headers
}

/// Broken on purpose: without the wordings the recorded prompts that are too long were bad requests.
#[test]
fn every_recorded_failure_is_in_its_class() {
    let (mut answers, records) = (0, records());
    for record in &records {
        let (id, answer) = (record["id"].as_str().unwrap(), &record["response"]);
        let status = answer["status"].as_u64().unwrap() as u16;
        if status < 400 {
            continue;
        }
        let body = answer["body"].as_str().unwrap_or_default();
        let failure = Failure::of_answer(
            StatusCode::from_u16(status).unwrap(),
            &headers_of(answer),
            body.as_bytes(),
            now(),
        );
        check(id, status, body, &failure);
        answers += 1;
    }
    println!("{answers} recorded answers with an error status");
    assert!(records.is_empty() || answers >= 113, "{answers}");
}

/// Events of a stream as `(name, data)`.
fn events(text: &str) -> Vec<(String, String)> {
    let text = text.replace("\r\n", "\n");
    let field = |block: &str, name: &str| {
        let lines = block.lines().filter_map(|line| line.strip_prefix(name));
        lines.map(str::trim).collect::<Vec<_>>().join("\n")
    };
    text.split("\n\n").map(|block| (field(block, "event:"), field(block, "data:"))).collect()
}

#[test]
fn in_recorded_answers_only_error_frames_are_failures() {
    let (mut frames, mut errors, records) = (0, 0, records());
    for record in &records {
        let (id, answer) = (record["id"].as_str().unwrap(), &record["response"]);
        let text = answer["body"].as_str().unwrap_or_default();
        if answer["status"] != 200 || answer["body_encoding"] != "utf8" {
            continue;
        }
        if record["stream"] == false {
            let failure = Failure::of_frame(Frame::Answer(text.as_bytes()), &headers_of(answer), now());
            assert_eq!(failure, None, "{id}");
            frames += 1;
            continue;
        }
        for (name, data) in events(text) {
            let failure = Failure::of_frame(
                Frame::Event { name: &name, data: data.as_bytes() },
                &headers_of(answer),
                now(),
            );
            let looks_so =
                name == "error" || data.starts_with(r#"{"error":{"#) || data.contains(r#""type":"error""#);
            assert_eq!(failure.is_some(), looks_so, "{id}: {name} {data}");
            if let Some(failure) = failure {
                check(id, 200, &data, &failure);
                errors += 1;
            }
            frames += 1;
        }
    }
    println!("{errors} error frames of {frames} frames and answers with status 200");
    assert!(records.is_empty() || errors >= 1, "{errors}");
}
