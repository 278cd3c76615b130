//! The provider over HTTP: what a client sees and what the log says about it.

use super::*;
use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::net::TcpStream;

/// A provider that answers at once, with the key `sk-a` limited as given (`rpm=..`).
async fn provider(limits: &str, change: impl FnOnce(&mut Options)) -> Handle {
    let mut options = Options {
        listen: "127.0.0.1:0".parse().unwrap(),
        keys: vec![format!("sk-a:{limits}").parse().unwrap()],
        latency: Duration::ZERO,
        pace: Duration::ZERO,
        output: "6".parse().unwrap(),
        ..Options::default()
    };
    change(&mut options);
    start(options).await.unwrap()
}

struct Got {
    status: StatusCode,
    headers: HeaderMap,
    /// What came of the body.
    body: Vec<u8>,
    /// The body came to its proper end.
    complete: bool,
}

impl Got {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The data of each event of a stream.
    fn events(&self) -> Vec<&str> {
        let text = std::str::from_utf8(&self.body).unwrap();
        text.split_terminator("\n\n").map(|event| event.strip_prefix("data: ").unwrap()).collect()
    }

    /// The deltas of the first choice.
    fn deltas(&self) -> Vec<Value> {
        let chunks = self.events().into_iter().filter_map(|event| serde_json::from_str::<Value>(event).ok());
        chunks.map(|chunk| chunk["choices"][0]["delta"].clone()).filter(|delta| !delta.is_null()).collect()
    }
}

/// One request on a connection of its own. `None`: the connection closed without an answer.
async fn request(addr: SocketAddr, method: &str, path: &str, key: &str, body: &str) -> Option<Got> {
    let stream = TcpStream::connect(addr).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, "provider")
        .header(header::AUTHORIZATION, format!("Bearer {key}"))
        .body(Full::new(Bytes::from(body.to_owned())))
        .unwrap();
    let (head, mut incoming) = sender.send_request(request).await.ok()?.into_parts();
    let (mut bytes, mut complete) = (Vec::new(), true);
    while let Some(frame) = incoming.frame().await {
        match frame {
            Ok(frame) => bytes.extend_from_slice(frame.data_ref().unwrap()),
            Err(_) => {
                complete = false;
                break;
            }
        }
    }
    connection.abort();
    Some(Got { status: head.status, headers: head.headers, body: bytes, complete })
}

fn asking(extra: Value) -> String {
    let mut body =
        json!({"model": "gpt-4o", "max_tokens": 20, "messages": [{"role": "user", "content": "hi"}]});
    body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    body.to_string()
}

async fn chat(handle: &Handle, extra: Value) -> Got {
    let got = request(handle.addr(), "POST", "/v1/chat/completions", "sk-a", &asking(extra)).await;
    got.expect("the connection was closed without an answer")
}

async fn log(handle: &Handle) -> Vec<Value> {
    let got = request(handle.addr(), "GET", "/_log", "", "").await.unwrap();
    let text = String::from_utf8(got.body).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The log once no call is in flight.
async fn settled_log(handle: &Handle) -> Vec<Value> {
    let settled = async {
        while handle.stats().keys.values().any(|key| key.in_flight > 0) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), settled).await.expect("a call is still in flight");
    log(handle).await
}

fn failing(fault: &'static str) -> impl FnOnce(&mut Options) {
    move |options| options.faults = vec![fault.parse().unwrap()]
}

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
async fn the_first_request_over_the_limit_gets_429_with_an_honest_retry_after() {
    let handle = provider("rpm=2", |_| {}).await;
    for _ in 0..2 {
        assert_eq!(chat(&handle, json!({})).await.status, 200);
    }
    let got = chat(&handle, json!({})).await;
    assert_eq!(got.status, 429);
    let after: u64 = got.header("retry-after").parse().unwrap();
    let after_ms: u64 = got.header("retry-after-ms").parse().unwrap();
    assert!(after == 60 && (55_000..=60_001).contains(&after_ms), "{after} {after_ms}");
    assert_eq!(got.json()["error"]["type"], "requests");
    let refused = &log(&handle).await[2];
    assert_eq!((&refused["status"], &refused["request_charges"]), (&json!(429), &json!([])));
    assert_eq!(refused["violation"], "requests");
}

#[tokio::test]
async fn as_many_simultaneous_calls_pass_as_the_limit_says() {
    let handle = provider("rpm=25", |_| {}).await;
    let calls: Vec<_> = (0..80)
        .map(|_| {
            let addr = handle.addr();
            tokio::spawn(async move {
                request(addr, "POST", "/v1/chat/completions", "sk-a", &asking(json!({})))
                    .await
                    .unwrap()
                    .status
            })
        })
        .collect();
    let mut passed = 0;
    for call in calls {
        passed += usize::from(call.await.unwrap() == 200);
    }
    assert_eq!(passed, 25);
}

#[tokio::test]
async fn rejected_requests_count_only_if_told_so() {
    for (counted, used) in [(false, 1), (true, 4)] {
        let handle = provider("rpm=1", |options| options.count_rejected = counted).await;
        for _ in 0..4 {
            chat(&handle, json!({})).await;
        }
        let stats = handle.stats();
        assert_eq!(stats.keys.values().next().unwrap().requests, Some((used, 1)));
    }
}

#[tokio::test]
async fn each_charging_mode_charges_its_own_tokens_at_its_own_instant() {
    for (charge, amount) in
        [(Charging::AdmissionMax, 28), (Charging::AdmissionActual, 14), (Charging::EndActual, 14)]
    {
        let handle = provider("tpm=1000", |options| {
            options.charge = charge;
            options.pace = Duration::from_millis(2);
        })
        .await;
        chat(&handle, json!({"stream": true})).await;
        let record = &settled_log(&handle).await[0];
        let at = if charge == Charging::EndActual { &record["end_us"] } else { &record["arrival_us"] };
        assert_eq!(record["token_charges"], json!([[at, amount]]), "{charge:?}");
    }
}

#[tokio::test]
async fn a_charge_at_the_end_over_the_limit_is_a_violation_and_refuses_the_next() {
    let handle = provider("tpm=20", |options| options.charge = Charging::EndActual).await;
    assert_eq!(chat(&handle, json!({})).await.status, 200);
    assert_eq!(chat(&handle, json!({})).await.status, 429);
    let handle = provider("tpm=10", |options| options.charge = Charging::EndActual).await;
    assert_eq!(chat(&handle, json!({})).await.status, 200);
    assert_eq!(log(&handle).await[0]["violation"], "tokens");
    assert_eq!(chat(&handle, json!({})).await.status, 429);
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
    assert_eq!(log(&handle).await.len(), 4);
}

#[tokio::test]
async fn an_injected_status_has_its_header_and_body() {
    let handle = provider("", failing("status=503,retry-after=2,body={\"a\":1,\"b\":2}")).await;
    let got = chat(&handle, json!({})).await;
    assert_eq!((got.status.as_u16(), got.header("retry-after")), (503, "2"));
    assert_eq!(got.json(), json!({"a": 1, "b": 2}));
}

#[tokio::test]
async fn a_cut_closes_the_connection_where_it_says() {
    let handle = provider("", failing("cut=before-headers")).await;
    let body = asking(json!({}));
    assert!(request(handle.addr(), "POST", "/v1/chat/completions", "sk-a", &body).await.is_none());
    for (place, tokens) in [("cut=before-content", 0), ("cut=mid", 3)] {
        let handle = provider("", failing(place)).await;
        let got = chat(&handle, json!({"stream": true})).await;
        assert!(!got.complete, "{place}");
        assert_eq!(got.deltas().len(), 1 + tokens, "{place}");
        let record = &settled_log(&handle).await[0];
        assert_eq!((&record["reason"], &record["output_tokens"]), (&json!("cut"), &json!(tokens)));
        assert_eq!((&record["status"], &record["aborted"]), (&json!(200), &json!(false)));
        let got = chat(&handle, json!({})).await;
        let promised: usize = got.header("content-length").parse().unwrap();
        assert!(!got.complete && got.body.len() < promised, "{place}");
    }
}

#[tokio::test]
async fn an_error_chunk_ends_a_stream_without_done() {
    for (fault, tokens) in [("error-chunk=before", 0), ("error-chunk=mid", 3)] {
        let handle = provider("", failing(fault)).await;
        let got = chat(&handle, json!({"stream": true})).await;
        assert!(got.complete);
        let events = got.events();
        assert_eq!(events.len(), 1 + tokens + 1);
        let last: Value = serde_json::from_str(events.last().unwrap()).unwrap();
        assert_eq!(last["error"]["type"], "server_error");
        assert_eq!(chat(&handle, json!({})).await.status, 500);
    }
}

#[tokio::test]
async fn a_stalled_call_shows_in_flight_until_the_client_gives_up() {
    for (fault, status) in [("stall=before", 0), ("stall=mid", 200)] {
        let handle = provider("tpm=1000", |options| {
            options.charge = Charging::EndActual;
            failing(fault)(options);
        })
        .await;
        let waiting = tokio::time::timeout(Duration::from_millis(50), chat(&handle, json!({"stream": true})));
        assert!(waiting.await.is_err(), "{fault}");
        let record = &settled_log(&handle).await[0];
        assert_eq!((&record["aborted"], &record["status"]), (&json!(true), &json!(status)), "{fault}");
        assert_eq!(record["reason"], "stall");
        // What was generated is charged although nobody waited for the rest.
        let generated = record["output_tokens"].as_u64().unwrap();
        assert_eq!(record["token_charges"][0][1], 8 + generated);
    }
}

#[tokio::test]
async fn a_client_that_leaves_is_recorded_with_what_was_generated() {
    let handle = provider("", |options| {
        options.output = "1000".parse().unwrap();
        options.pace = Duration::from_millis(5);
    })
    .await;
    let body = json!({"stream": true, "max_tokens": 1000});
    let leaving = tokio::time::timeout(Duration::from_millis(60), chat(&handle, body));
    assert!(leaving.await.is_err());
    let record = &settled_log(&handle).await[0];
    assert_eq!((&record["reason"], &record["aborted"]), (&json!("client_gone"), &json!(true)));
    assert!((1..100).contains(&record["output_tokens"].as_u64().unwrap()), "{record}");
}

#[tokio::test]
async fn a_call_in_flight_is_in_the_log() {
    let handle = provider("", failing("stall=before")).await;
    let addr = handle.addr();
    let call = tokio::spawn(async move {
        request(addr, "POST", "/v1/chat/completions", "sk-a", &asking(json!({}))).await
    });
    let mut records = log(&handle).await;
    while records.is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
        records = log(&handle).await;
    }
    assert_eq!((&records[0]["end_us"], &records[0]["status"]), (&Value::Null, &json!(0)));
    call.abort();
}

#[tokio::test]
async fn failures_and_timing_change_at_run_time() {
    let handle = provider("", |_| {}).await;
    let set = |body: &'static str| {
        let addr = handle.addr();
        async move { request(addr, "POST", "/_control", "", body).await.unwrap().status }
    };
    assert_eq!(set(r#"{"fail": ["status=500,times=1"], "output": "2"}"#).await, 200);
    assert_eq!(chat(&handle, json!({})).await.status, 500);
    assert_eq!(chat(&handle, json!({})).await.json()["usage"]["completion_tokens"], 2);
    assert_eq!(set(r#"{"fail": ["nonsense"]}"#).await, 400);
    assert_eq!(set(r#"{"unknown": 1}"#).await, 400);
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
async fn shutting_down_records_calls_in_flight_and_flushes_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.jsonl");
    let handle = provider("", |options| {
        options.log = Some(path.clone());
        options.faults = vec!["stall=before,times=1".parse().unwrap()];
    })
    .await;
    let addr = handle.addr();
    let stalled = tokio::spawn(async move {
        request(addr, "POST", "/v1/chat/completions", "sk-a", &asking(json!({}))).await.is_none()
    });
    while handle.stats().keys.values().all(|key| key.in_flight == 0) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(chat(&handle, json!({})).await.status, 200);
    handle.shutdown().await.unwrap();
    assert!(stalled.await.unwrap(), "the connection outlived the provider");
    let text = std::fs::read_to_string(&path).unwrap();
    let mut seqs: Vec<u64> = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["seq"].as_u64().unwrap())
        .collect();
    seqs.sort_unstable();
    assert_eq!(seqs, [1, 2]);
}

#[tokio::test]
async fn a_reset_forgets_charges_and_log_but_not_the_numbers() {
    let handle = provider("rpm=1", |_| {}).await;
    chat(&handle, json!({})).await;
    assert_eq!(chat(&handle, json!({})).await.status, 429);
    request(handle.addr(), "POST", "/_reset", "", "").await.unwrap();
    assert_eq!(chat(&handle, json!({})).await.status, 200);
    let records = log(&handle).await;
    assert_eq!((records.len(), &records[0]["seq"]), (1, &json!(3)));
}
