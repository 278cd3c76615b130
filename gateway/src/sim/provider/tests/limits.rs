//! Limits over HTTP: refusals, charging modes, and what the log says about them.

use super::*;

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
async fn a_reset_forgets_charges_and_log_but_not_the_numbers() {
    let handle = provider("rpm=1", |_| {}).await;
    chat(&handle, json!({})).await;
    assert_eq!(chat(&handle, json!({})).await.status, 429);
    request(handle.addr(), "POST", "/_reset", "", "").await.unwrap();
    assert_eq!(chat(&handle, json!({})).await.status, 200);
    let records = log(&handle).await;
    assert_eq!((records.len(), &records[0]["seq"]), (1, &json!(3)));
}
