//! What a client sees of answers, streams and refusals of malformed requests.

use super::*;

#[tokio::test]
async fn a_plain_answer_has_openais_shape_and_headers() {
    let handle = provider("rpm=10,tpm=1000", |_| {}).await;
    let got = chat(&handle, json!({})).await;
    let body = got.json();
    assert_eq!(body["object"], "chat.completion");
    assert_eq!(body["choices"][0]["message"]["content"].as_str().unwrap().split(' ').count(), 6);
    assert_eq!(body["choices"][0]["finish_reason"], "stop");
    assert_eq!(body["usage"]["total_tokens"], 8 + 6);
    assert_eq!(got.header("x-ratelimit-remaining-requests"), "9");
    assert_eq!(got.header("x-ratelimit-remaining-tokens"), "972");
    assert!(got.header("x-request-id").starts_with("req_"));
}

#[tokio::test]
async fn a_stream_has_role_tokens_finish_usage_and_done() {
    let handle = provider("", |_| {}).await;
    let got = chat(&handle, json!({"stream": true, "stream_options": {"include_usage": true}})).await;
    assert_eq!(got.header("content-type"), "text/event-stream; charset=utf-8");
    let events = got.events();
    assert_eq!(events.len(), 1 + 6 + 1 + 1 + 1);
    assert_eq!(events.last(), Some(&"[DONE]"));
    let usage: Value = serde_json::from_str(events[8]).unwrap();
    assert_eq!((&usage["choices"], &usage["usage"]["completion_tokens"]), (&json!([]), &json!(6)));
    assert!(events[..8].iter().all(|event| event.contains("\"usage\":null")));
    assert_eq!(got.deltas()[0]["role"], "assistant");
    let without = chat(&handle, json!({"stream": true})).await;
    assert!(!String::from_utf8(without.body).unwrap().contains("usage"));
}

#[tokio::test]
async fn parallel_tool_calls_stream_as_argument_deltas() {
    let handle = provider("", |_| {}).await;
    let parameters =
        json!({"type": "object", "required": ["city"], "properties": {"city": {"type": "string"}}});
    let tool = |name: &str| json!({"type": "function", "function": {"name": name, "parameters": parameters}});
    let tools = json!({"tools": [tool("a"), tool("b"), tool("c")], "stream": true});
    let got = chat(&handle, tools.clone()).await;
    let mut arguments = [String::new(), String::new()];
    let mut names = Vec::new();
    for call in got.deltas().iter().filter_map(|delta| delta.get("tool_calls")) {
        let index = usize::try_from(call[0]["index"].as_u64().unwrap()).unwrap();
        arguments[index].push_str(call[0]["function"]["arguments"].as_str().unwrap());
        names.extend(call[0]["function"]["name"].as_str().map(str::to_owned));
    }
    assert_eq!(names, ["a", "b"]);
    assert_eq!(arguments, [r#"{"city":"text"}"#, r#"{"city":"text"}"#]);
    let mut plain = tools;
    plain["stream"] = json!(false);
    let plain = chat(&handle, plain).await.json();
    assert_eq!(plain["choices"][0]["finish_reason"], "tool_calls");
    assert_eq!(
        plain["choices"][0]["message"]["tool_calls"][1]["function"]["arguments"],
        r#"{"city":"text"}"#
    );
}

#[tokio::test]
async fn a_structured_answer_fits_its_schema() {
    let handle = provider("", |_| {}).await;
    let schema = json!({"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}});
    let format = json!({"type": "json_schema", "json_schema": {"name": "x", "schema": schema}});
    let body = chat(&handle, json!({"response_format": format})).await.json();
    assert_eq!(body["choices"][0]["message"]["content"], r#"{"n":1}"#);
}

#[tokio::test]
async fn keys_models_and_bodies_are_checked() {
    let handle =
        provider("rpm=9", |options| options.models = vec!["gpt-4o".into(), "org/small".into()]).await;
    let post = |key: &'static str, body: String| {
        let addr = handle.addr();
        async move { request(addr, "POST", "/chat/completions", key, &body).await.unwrap() }
    };
    let unknown = post("sk-b", asking(json!({}))).await;
    assert_eq!((unknown.status.as_u16(), &unknown.json()["error"]["code"]), (401, &json!("invalid_api_key")));
    let model = post("sk-a", asking(json!({"model": "gpt-9"}))).await;
    assert_eq!((model.status.as_u16(), &model.json()["error"]["code"]), (404, &json!("model_not_found")));
    assert_eq!(post("sk-a", "{".into()).await.status, 400);
    assert_eq!(post("sk-a", asking(json!({"messages": []}))).await.status, 400);
    let models = request(handle.addr(), "GET", "/v1/models", "sk-a", "").await.unwrap().json();
    assert_eq!(models["data"][1]["id"], "org/small");
    let one = request(handle.addr(), "GET", "/v1/models/org/small", "sk-a", "").await.unwrap();
    assert_eq!(one.status, 200);
    // A malformed request counts as a request; one with an unknown key belongs to nobody.
    assert_eq!(handle.stats().keys.values().next().unwrap().requests, Some((3, 9)));
    assert_eq!(log(&handle).await.len(), 5, "the list is in it as well");
}

#[tokio::test]
async fn bodies_are_kept_byte_for_byte() {
    let handle = provider("", |options| options.record_bodies = true).await;
    let body =
        "{ \"model\" :\"m\",\"x\":\"\\u00e9 é\",\n\"messages\":[{\"role\":\"user\",\"content\":\"\"}] }";
    request(handle.addr(), "POST", "/v1/chat/completions", "sk-a", body).await.unwrap();
    let kept = request(handle.addr(), "GET", "/_bodies", "", "").await.unwrap();
    let kept: Value = serde_json::from_slice(&kept.body).unwrap();
    assert_eq!(kept["body"], body);
    let record = &log(&handle).await[0];
    assert_eq!(record["body_bytes"], body.len());
    use sha2::{Digest, Sha256};
    assert_eq!(record["body_sha256"], hex::encode(Sha256::digest(body)));
}

#[tokio::test]
async fn the_same_seed_gives_the_same_answers_and_failures() {
    let mut runs = Vec::new();
    for _ in 0..2 {
        let handle = provider("", |options| {
            options.seed = 9;
            options.output = "1..50".parse().unwrap();
            options.faults = vec!["status=500,share=0.5".parse().unwrap()];
        })
        .await;
        let mut seen = Vec::new();
        for _ in 0..20 {
            let got = chat(&handle, json!({"max_tokens": 60})).await;
            seen.push((got.status, got.json()["choices"][0]["message"]["content"].to_string()));
        }
        runs.push(seen);
    }
    assert_eq!(runs[0], runs[1]);
    let failed = runs[0].iter().filter(|(status, _)| *status == 500).count();
    assert!((4..=16).contains(&failed), "{failed} of 20 at a share of one half");
}
