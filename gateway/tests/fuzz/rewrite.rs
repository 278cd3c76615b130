//! Requests as they pass between two sides of one dialect.

use bytes::Bytes;
use serde::de::IgnoredAny;
use serde_json::{Value, from_slice};
use weir::dialect::api::Api;
use weir::dialect::request::{InPath, peek, rename, rewrite};

/// What is taken is JSON, and stays it; nothing but the model and the wish for usage is another afterwards, whatever
/// reader looks at it.
pub(crate) fn rewritten(api: Api, input: &[u8]) {
    let body = Bytes::copy_from_slice(input);
    for (named, upstream) in [(None, "up\"stream\\"), (Some("in-the-path"), "in-the-path"), (None, "")] {
        let Ok(peek) = peek(api, &body, InPath { model: named, stream: false }) else { continue };
        assert!(from_slice::<IgnoredAny>(&body).is_ok(), "it was taken, and is no JSON");
        assert!(named.is_none_or(|named| peek.model == named));
        let out = rewrite(&body, &peek, upstream);
        assert!(from_slice::<IgnoredAny>(&out).is_ok(), "it is no JSON any more");
        // (A number that no f64 holds is JSON, but no value of serde's.)
        let (Ok(before), Ok(after)) = (from_slice(&body), from_slice(&out)) else {
            continue;
        };
        compare(&before, after, upstream, peek.stream && api.asks_for_usage());
        let named = rename(&body, &peek, upstream);
        compare(&before, from_slice(&named).expect("JSON"), upstream, false);
    }
}

fn compare(before: &Value, mut after: Value, upstream: &str, asks: bool) {
    let mut before = before.clone();
    assert_eq!(after["model"], upstream);
    if asks {
        assert_eq!(after["stream_options"]["include_usage"], true, "no usage is asked for");
        if before["stream_options"].is_object() {
            before["stream_options"]["include_usage"] = true.into();
        } else {
            before["stream_options"] = serde_json::json!({ "include_usage": true });
        }
    }
    for value in [&mut before, &mut after] {
        value["model"] = Value::Null;
    }
    assert!(before == after, "more than the model has changed");
}

/// Google's: what is taken is JSON, and stays it; only resources that name the model are others afterwards. Broken on purpose to
/// see it fail: a resource without its slash.
pub(crate) fn resources(api: Api, input: &[u8]) {
    let body = Bytes::copy_from_slice(input);
    for (upstream, resource) in [("up\"stream", "models/up\"stream"), ("tunedModels/one", "tunedModels/one")]
    {
        let Ok(peek) = peek(api, &body, InPath { model: Some("asked"), stream: true }) else { continue };
        assert!(from_slice::<IgnoredAny>(&body).is_ok(), "it was taken, and is no JSON");
        assert_eq!((peek.model.as_str(), peek.stream), ("asked", api == Api::Generate));
        let out = rewrite(&body, &peek, upstream);
        assert!(from_slice::<IgnoredAny>(&out).is_ok(), "it is no JSON any more");
        let (Ok(before), Ok(after)) = (from_slice::<Value>(&body), from_slice::<Value>(&out)) else {
            continue;
        };
        let places = ["/generateContentRequest/model", "/requests/0/model"];
        for place in places.into_iter().filter(|place| before.pointer(place).is_some_and(Value::is_string)) {
            assert!(
                api == Api::Generate || after.pointer(place).is_some_and(|name| name == resource),
                "{place}"
            );
        }
        assert!(differ_in_name(&before, &after, resource), "more than the model has changed");
    }
}

fn differ_in_name(before: &Value, after: &Value, resource: &str) -> bool {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            before.len() == after.len()
                && before.iter().zip(after).all(|((name, before), (same, after))| {
                    name == same
                        && (differ_in_name(before, after, resource)
                            || name == "model" && before.is_string() && after == resource)
                })
        }
        (Value::Array(before), Value::Array(after)) => {
            before.len() == after.len()
                && before.iter().zip(after).all(|(before, after)| differ_in_name(before, after, resource))
        }
        _ => before == after,
    }
}
