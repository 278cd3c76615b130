//! Injected failures, clients that leave, and shutdown.

use super::*;

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
