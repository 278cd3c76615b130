use super::*;

fn body(told: &Told<'_>, voice: Voice) -> Value {
    serde_json::from_slice(&told.body(voice)).unwrap()
}

fn of_status(status: u16) -> Told<'static> {
    Told { request: "req_1", ..Told::new(StatusCode::from_u16(status).unwrap(), "Not so.") }
}

fn said(kind: &str, code: &str) -> UpstreamError {
    let word = |word: &str| (!word.is_empty()).then(|| word.to_owned());
    UpstreamError { message: "Their words.".into(), kind: word(kind), code: word(code), param: None }
}

/// Broken on purpose to see it fail: 404 among the other 4xx; 503 an `api_error`.
#[test]
fn every_status_has_its_word_in_every_voice() {
    for (status, openai, anthropic, google) in [
        (400, "invalid_request_error", "invalid_request_error", "INVALID_ARGUMENT"),
        (401, "invalid_request_error", "authentication_error", "UNAUTHENTICATED"),
        (402, "invalid_request_error", "billing_error", "INVALID_ARGUMENT"),
        (403, "permission_error", "permission_error", "PERMISSION_DENIED"),
        (404, "invalid_request_error", "not_found_error", "NOT_FOUND"),
        (405, "invalid_request_error", "invalid_request_error", "INVALID_ARGUMENT"),
        (408, "invalid_request_error", "invalid_request_error", "DEADLINE_EXCEEDED"),
        (413, "invalid_request_error", "request_too_large", "INVALID_ARGUMENT"),
        (429, "rate_limit_error", "rate_limit_error", "RESOURCE_EXHAUSTED"),
        (500, "server_error", "api_error", "INTERNAL"),
        (502, "server_error", "api_error", "INTERNAL"),
        (503, "service_unavailable_error", "overloaded_error", "UNAVAILABLE"),
        (504, "server_error", "timeout_error", "DEADLINE_EXCEEDED"),
        (529, "server_error", "overloaded_error", "UNAVAILABLE"),
    ] {
        let told = of_status(status);
        assert_eq!(body(&told, Voice::OpenAi)["error"]["type"], openai, "{status}");
        assert_eq!(body(&told, Voice::Anthropic)["error"]["type"], anthropic, "{status}");
        assert_eq!(body(&told, Voice::Google)["error"]["status"], google, "{status}");
        assert_eq!(body(&told, Voice::Google)["error"]["code"], status, "{status}");
    }
}

#[test]
fn the_bodies_have_the_shapes_of_their_apis() {
    let told = Told { code: Some("model_not_found"), param: Some("model"), ..of_status(404) };
    let openai = json!({"error": {"message": "Not so.", "type": "invalid_request_error", "param": "model",
        "code": "model_not_found"}});
    assert_eq!(body(&told, Voice::OpenAi), openai);
    let error = json!({"type": "not_found_error", "message": "Not so."});
    let anthropic = json!({"type": "error", "error": error, "request_id": "req_1"});
    assert_eq!(body(&told, Voice::Anthropic), anthropic);
    assert_eq!(body(&Told { request: "", ..told }, Voice::Anthropic)["request_id"], Value::Null);
    let google = json!({"error": {"code": 404, "message": "Not so.", "status": "NOT_FOUND"}});
    assert_eq!(body(&told, Voice::Google), google);
}

/// Broken on purpose to see it fail: the delay rounded down.
#[test]
fn google_is_told_reasons_fields_and_times_in_details() {
    let details = |told: &Told<'_>| body(told, Voice::Google)["error"]["details"].clone();
    assert_eq!(details(&of_status(401))[0]["reason"], "API_KEY_INVALID");
    let bad = details(&Told { param: Some("contents"), ..of_status(400) });
    assert_eq!(bad[0]["fieldViolations"], json!([{"field": "contents", "description": "Not so."}]));
    for (time, text) in [
        (Duration::from_secs(37), "37s"),
        (Duration::from_millis(1_050), "1.050s"),
        (Duration::from_micros(1_200), "0.002s"),
    ] {
        let told = Told { retry_after: Some(time), ..of_status(429) };
        assert_eq!(
            details(&told),
            json!([{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": text}])
        );
    }
    assert_eq!(details(&of_status(500)), Value::Null);
}

/// Broken on purpose to see it fail: the upstream's word taken whatever it is.
#[test]
fn an_upstreams_words_stay_where_the_voice_has_them() {
    let word = |kind: &str, code: &str, voice, name: &str| {
        let said = said(kind, code);
        let whole = body(&of_status(400).saying(&said), voice);
        assert_eq!(whole["error"]["message"], "Their words.");
        whole["error"][name].clone()
    };
    assert_eq!(word("invalid_prompt", "", Voice::OpenAi, "type"), "invalid_prompt");
    assert_eq!(word("", "content_filter", Voice::OpenAi, "code"), "content_filter");
    assert_eq!(word("", "1300", Voice::OpenAi, "code"), "1300");
    assert_eq!(word("not_found_error", "", Voice::OpenAi, "type"), "invalid_request_error");
    assert_eq!(word("INVALID_ARGUMENT", "400", Voice::OpenAi, "type"), "invalid_request_error");
    assert_eq!(word("INVALID_ARGUMENT", "400", Voice::OpenAi, "code"), Value::Null);
    assert_eq!(word("ValidationException", "", Voice::OpenAi, "type"), "invalid_request_error");
    assert_eq!(word("billing_error", "", Voice::Anthropic, "type"), "billing_error");
    assert_eq!(word("invalid_prompt", "", Voice::Anthropic, "type"), "invalid_request_error");
    assert_eq!(word("", "FAILED_PRECONDITION", Voice::Google, "status"), "FAILED_PRECONDITION");
    assert_eq!(word("billing_error", "", Voice::Google, "status"), "INVALID_ARGUMENT");
}

#[test]
fn what_is_said_within_a_stream_has_the_status_of_its_words() {
    for (kind, code, anthropic, google) in [
        ("overloaded_error", "", "overloaded_error", "UNAVAILABLE"),
        ("tokens", "rate_limit_exceeded", "rate_limit_error", "RESOURCE_EXHAUSTED"),
        ("RESOURCE_EXHAUSTED", "", "rate_limit_error", "RESOURCE_EXHAUSTED"),
        ("throttlingException", "", "rate_limit_error", "RESOURCE_EXHAUSTED"),
        ("something", "", "api_error", "INTERNAL"),
        ("", "", "api_error", "INTERNAL"),
    ] {
        let said = said(kind, code);
        let told = Told::upstream(&said);
        assert_eq!(body(&told, Voice::Anthropic)["error"]["type"], anthropic, "{kind} {code}");
        assert_eq!(body(&told, Voice::Google)["error"]["status"], google, "{kind} {code}");
    }
}

proptest::proptest! {
    #[test]
    fn every_body_is_one_line_of_json(message in proptest::prelude::any::<String>(), status in 400..600u16) {
        for voice in [Voice::OpenAi, Voice::Anthropic, Voice::Google] {
            let told = Told { param: Some(&message), ..Told::new(StatusCode::from_u16(status).unwrap(), &message) };
            let bytes = told.body(voice);
            proptest::prop_assert!(!bytes.contains(&b'\n') && !bytes.contains(&b'\r'));
            proptest::prop_assert_eq!(&body(&told, voice)["error"]["message"], &message);
        }
    }
}
