use proptest::prelude::*;
use serde_json::json;

use super::*;

fn usage(value: Value) -> Option<Usage> {
    usage_of(
        json!({ "id": "x", "choices": [{ "message": { "content": "\"usage\":{}" } }], "usage": value })
            .to_string()
            .as_bytes(),
    )
}

#[test]
fn usage_is_read_with_its_details() {
    let full = json!({ "prompt_tokens": 20, "completion_tokens": 10, "total_tokens": 30,
        "prompt_tokens_details": { "cached_tokens": 16, "audio_tokens": 0 },
        "completion_tokens_details": { "reasoning_tokens": 7 } });
    assert_eq!(
        usage(full),
        Some(Usage {
            input: 20,
            cached_input: 16,
            written_input: 0,
            output: 10,
            reasoning: 7,
            ..Usage::default()
        })
    );
    let other_names =
        json!({ "input_tokens": 20, "output_tokens": 10, "input_tokens_details": { "cached_tokens": 4 } });
    assert_eq!(
        usage(other_names),
        Some(Usage {
            input: 20,
            cached_input: 4,
            written_input: 0,
            output: 10,
            reasoning: 0,
            ..Usage::default()
        })
    );
    let written = json!({ "prompt_tokens": 20, "completion_tokens": 1,
        "prompt_tokens_details": { "cached_tokens": 4, "cache_write_tokens": 10 } });
    assert_eq!(usage(written).map(|usage| (usage.cached_input, usage.written_input)), Some((4, 10)));
    let deepseek = json!({ "prompt_tokens": 20, "completion_tokens": 1, "prompt_cache_hit_tokens": 8 });
    assert_eq!(
        usage(deepseek),
        Some(Usage {
            input: 20,
            cached_input: 8,
            written_input: 0,
            output: 1,
            reasoning: 0,
            ..Usage::default()
        })
    );
}

/// Broken on purpose to see it fail: the name that comes last counts.
#[test]
fn of_two_names_for_one_count_the_larger_counts_in_any_order() {
    let both = [
        r#"{"prompt_tokens":10,"completion_tokens":5,"input_tokens":0,"output_tokens":0,"total_tokens":15}"#,
        r#"{"input_tokens":0,"output_tokens":0,"prompt_tokens":10,"completion_tokens":5,"total_tokens":15}"#,
    ];
    for text in both {
        let due = Some(Usage { input: 10, output: 5, ..Usage::default() });
        assert_eq!(Usage::read(&mut Cursor::new(text.as_bytes())), Some(due));
    }
}

#[test]
fn usage_tolerates_what_providers_do_to_it() {
    assert_eq!(usage(json!(null)), None);
    assert_eq!(usage(json!({})), None);
    assert_eq!(usage(json!({ "prompt_tokens": null, "completion_tokens": "3" })), None);
    let floats = json!({ "prompt_tokens": 20.0, "completion_tokens": 9.2, "prompt_tokens_details": null });
    assert_eq!(usage(floats), Some(Usage { input: 20, output: 10, ..Usage::default() }));
    assert_eq!(usage(json!({ "prompt_tokens": -5, "completion_tokens": 2 })).unwrap().output, 2);
    for absurd in [json!(1e300), json!(u64::MAX), json!((1u64 << 30) + 1)] {
        assert_eq!(usage(json!({ "prompt_tokens": absurd })), None, "nobody uses {absurd} tokens");
    }
    assert_eq!(usage(json!({ "prompt_tokens": u64::MAX, "completion_tokens": 3 })).unwrap().total(), 3);
    assert_eq!(
        usage(json!({ "prompt_tokens": 5, "prompt_tokens_details": { "cached_tokens": 9 } }))
            .unwrap()
            .cached_input,
        5
    );
}

#[test]
fn what_stands_only_in_the_total_is_counted() {
    let xai = json!({ "prompt_tokens": 12, "completion_tokens": 1, "total_tokens": 303,
        "completion_tokens_details": { "reasoning_tokens": 290 } });
    assert_eq!(
        usage(xai),
        Some(Usage {
            input: 12,
            cached_input: 0,
            written_input: 0,
            output: 291,
            reasoning: 290,
            ..Usage::default()
        })
    );
    let mistral = json!({ "prompt_tokens": 11, "completion_tokens": 15, "total_tokens": 401 });
    assert_eq!(
        usage(mistral),
        Some(Usage {
            input: 386,
            cached_input: 0,
            written_input: 0,
            output: 15,
            reasoning: 0,
            ..Usage::default()
        })
    );
}

#[test]
fn a_body_without_usage_has_none() {
    for body in
        ["", "null", "[]", "{", r#"{"usage":{"prompt_tokens":1}"#, r#"{"a":{"usage":{"prompt_tokens":1}}}"#]
    {
        assert_eq!(usage_of(body.as_bytes()), None, "{body}");
    }
}

#[test]
fn an_error_body_has_the_four_members_of_openai() {
    let body = error_body("no \"m\"", "invalid_request_error", Some("model_not_found"), None);
    let expected = r#"{"error":{"message":"no \"m\"","type":"invalid_request_error","param":null,"code":"model_not_found"}}"#;
    assert_eq!(std::str::from_utf8(&body).unwrap(), expected);
}

#[track_caller]
fn check_error(body: &str, message: &str, kind: Option<&str>, code: Option<&str>, param: Option<&str>) {
    let text = |text: Option<&str>| text.map(str::to_owned);
    let expected =
        UpstreamError { message: message.to_owned(), kind: text(kind), code: text(code), param: text(param) };
    assert_eq!(parse_error(body.as_bytes()), Some(expected));
}

#[test]
fn errors_of_the_openai_family_are_read_in_every_shape() {
    let nested = r#"{"error":{"message":"m","type":"t","param":"p","code":"c"}}"#;
    check_error(nested, "m", Some("t"), Some("c"), Some("p"));
    check_error(r#"{"error":{"code":429,"message":"m"},"user_id":"u"}"#, "m", None, Some("429"), None);
    let flat = r#"{"object":"error","message":"m","type":"invalid_model","param":null,"code":"1500"}"#;
    check_error(flat, "m", Some("invalid_model"), Some("1500"), None);
    check_error(r#"{"detail":"Invalid API Key"}"#, "Invalid API Key", None, None, None);
    let fastapi = r#"{"detail":[{"loc":["body","model"],"msg":"field required","type":"missing"}]}"#;
    check_error(fastapi, "field required", Some("missing"), None, Some("model"));
    check_error(r#"{"error":"no such model","code":"x"}"#, "no such model", None, Some("x"), None);
    check_error(r#"[{"error":{"message":"m","code":400}}]"#, "m", None, Some("400"), None);
    check_error(r#"{"message":"m"}"#, "m", None, None, None);
    check_error(
        r#"{"error":{"code":"DeploymentNotFound"}}"#,
        "DeploymentNotFound",
        None,
        Some("DeploymentNotFound"),
        None,
    );
}

#[test]
fn what_is_not_an_error_of_the_family_is_none() {
    for body in ["", "<html>502</html>", "null", "[]", "{}", r#"{"error":null}"#, r#"{"error":{}}"#, "7"] {
        assert_eq!(parse_error(body.as_bytes()), None, "{body}");
    }
    assert_eq!(parse_error("[".repeat(100_000).as_bytes()), None);
}

#[test]
fn models_are_listed_in_the_shape_of_openai() {
    let list: Value = serde_json::from_slice(&models_json(["gpt-4o", "a/b \"c\""])).unwrap();
    let model = |id: &str| json!({ "id": id, "object": "model", "created": 0, "owned_by": "weir" });
    assert_eq!(list, json!({ "object": "list", "data": [model("gpt-4o"), model("a/b \"c\"")] }));
    assert_eq!(serde_json::from_slice::<Value>(&model_json("x")).unwrap(), model("x"));
    assert_eq!(models_json([]), br#"{"object":"list","data":[]}"#);
}

proptest! {
    #[test]
    fn an_error_body_reads_back(message in ".{1,20}", kind in "[a-z_]{1,9}", code in proptest::option::of("[a-z]{1,9}"), param in proptest::option::of(".{1,9}")) {
        let body = error_body(&message, &kind, code.as_deref(), param.as_deref());
        prop_assert_eq!(parse_error(&body), Some(UpstreamError { message, kind: Some(kind), code, param }));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
        let usage = [&b"{\"usage\":{\"prompt_tokens\":"[..], &bytes].concat();
        let _ = (parse_error(&bytes), usage_of(&bytes), usage_of(&usage));
    }
}

/// `cargo test --release -p weir --lib usage_costs -- --ignored --nocapture`
#[test]
#[ignore = "a measurement"]
fn usage_costs_little_in_a_long_answer() {
    let text = "Some text with a \"quote\" and a\nline now and then, as answers have them. ".repeat(1400);
    let body = json!({ "id": "x", "choices": [{ "message": { "content": text } }], "usage": { "prompt_tokens": 1 } }).to_string();
    let best = (0..200).map(|_| {
        let start = std::time::Instant::now();
        std::hint::black_box(usage_of(std::hint::black_box(body.as_bytes())));
        start.elapsed().as_nanos()
    });
    println!("{} bytes: {} ns", body.len(), best.min().unwrap());
}
