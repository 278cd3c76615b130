//! What holds of any request of Chat's.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn peek(body: &Bytes) -> Result<Peek, BadRequest> {
    super::peek(Api::Chat, body, InPath::default())
}

/// JSON of any shape.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 20, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map("[a-z_\"é]{0,6}", inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn any_options() -> impl Strategy<Value = Option<Value>> {
    prop_oneof![
        Just(None),
        Just(Some(Value::Null)),
        proptest::collection::btree_map("[xy]", any_json(), 0..3)
            .prop_map(|members| Some(Value::Object(members.into_iter().collect()))),
        any::<Option<bool>>().prop_map(|asked| Some(json!({ "include_usage": asked, "z": 1 }))),
    ]
}

proptest! {
    #[test]
    fn a_rewrite_changes_nothing_but_model_and_stream_options(
        extra in proptest::collection::btree_map("[a-z]{2}", any_json(), 0..4),
        model in ".{1,20}", upstream in ".{0,20}", stream in any::<bool>(),
        options in any_options(), pretty in any::<bool>(),
    ) {
        let mut wanted = Value::Object(extra.into_iter().collect());
        wanted["model"] = Value::from(model.as_str());
        wanted["messages"] = json!([{ "role": "user", "content": model }]);
        wanted["stream"] = Value::from(stream);
        if let Some(options) = options {
            wanted["stream_options"] = options;
        }
        let body = if pretty { serde_json::to_vec_pretty(&wanted) } else { serde_json::to_vec(&wanted) };
        let body = Bytes::from(body.unwrap());
        let peek = peek(&body).unwrap();
        prop_assert_eq!(&peek.model, &model);
        let out = rewrite(&body, &peek, &upstream);

        wanted["model"] = Value::from(upstream);
        if stream {
            if !wanted["stream_options"].is_object() {
                wanted["stream_options"] = json!({});
            }
            wanted["stream_options"]["include_usage"] = Value::from(true);
        }
        prop_assert_eq!(serde_json::from_slice::<Value>(&out).unwrap(), wanted);
    }

    #[test]
    fn what_serde_refuses_as_json_is_refused(text in "[{}\\[\\]\",:0-9a-e\\\\ .-]{0,40}") {
        if serde_json::from_str::<Value>(&text).is_err() {
            prop_assert!(peek(&Bytes::from(text.clone())).is_err());
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        for api in Api::ALL {
            let _ = super::peek(api, &Bytes::from(bytes.clone()), InPath { model: Some("m"), stream: false });
        }
    }
}

/// `cargo test --release -p weir --lib peek_costs -- --ignored --nocapture`
#[test]
#[ignore = "a measurement"]
fn peek_costs_little() {
    for turns in [1, 20, 200] {
        let text = "Tell me about the \"quota\" of a pool.\nAnd then what it does to a call. ".repeat(6);
        let messages = vec![json!({ "role": "user", "content": text }); turns];
        let body =
            Bytes::from(json!({ "model": "gpt-4o", "messages": messages, "stream": true }).to_string());
        let (mut best_peek, mut best_rewrite) = (f64::MAX, f64::MAX);
        for _ in 0..300 {
            let start = std::time::Instant::now();
            let read = std::hint::black_box(peek(std::hint::black_box(&body)).unwrap());
            best_peek = best_peek.min(start.elapsed().as_nanos() as f64);
            let start = std::time::Instant::now();
            std::hint::black_box(rewrite(&body, &read, "gpt-4o-2024-11-20"));
            best_rewrite = best_rewrite.min(start.elapsed().as_nanos() as f64);
        }
        println!("{} bytes: peek {best_peek} ns, rewrite {best_rewrite} ns", body.len());
    }
}
