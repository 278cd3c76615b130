use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const MESSAGES: &str = r#""messages":[{"role":"user","content":"hi"}]"#;

fn peek_as(api: Api, text: &str) -> Result<(Peek, Bytes), BadRequest> {
    let body = Bytes::copy_from_slice(text.as_bytes());
    peek(api, &body, InPath::default()).map(|peek| (peek, body))
}

fn message(more: &str) -> Result<(Peek, Bytes), BadRequest> {
    peek_as(Api::Messages, &format!(r#"{{"model":"m",{MESSAGES}{more}}}"#))
}

#[track_caller]
fn refused(result: Result<(Peek, Bytes), BadRequest>, param: &str, says: &str) {
    let flaw = result.unwrap_err();
    assert_eq!((flaw.param, flaw.message.as_str()), (Some(param), says));
}

#[test]
fn a_message_is_read_as_far_as_it_decides_what_is_held() {
    let (peek, body) = message(
        r#","system":[{"type":"text","text":"be"}],"max_tokens":1000,"stream":true,"tools":[{"name":"t"}],
        "thinking":{"type":"enabled","budget_tokens":4000},"output_config":{"effort":"low"}"#,
    )
    .unwrap();
    assert_eq!((peek.model.as_str(), peek.stream, peek.include_usage), ("m", true, true));
    // Thinking is within the bound.
    assert_eq!((peek.max_output, peek.choices, peek.has_tools), (Some(1000), 1, true));
    let texts = [&br#"[{"role":"user","content":"hi"}]"#[..], br#"[{"type":"text","text":"be"}]"#];
    assert_eq!(peek.input().texts(&body), texts);
    let schemas = peek.input().schemas(&body);
    assert_eq!(schemas, [&br#"[{"name":"t"}]"#[..], br#"{"effort":"low"}"#, b"", b""]);
}

/// Broken on purpose to see it fail: a bound that is not required.
#[test]
fn flaws_are_told_as_the_api_tells_them() {
    refused(message(""), "max_tokens", "max_tokens: Field required");
    refused(message(r#","max_tokens":null"#), "max_tokens", "max_tokens: Field required");
    refused(message(r#","max_tokens":"9""#), "max_tokens", "max_tokens: Input should be a valid integer");
    let range = "max_tokens: Input should be between 0 and 4294967296";
    refused(message(r#","max_tokens":-1"#), "max_tokens", range);
    let twice = "max_tokens: Field is given more than once";
    refused(message(r#","max_tokens":1,"max_tokens":1"#), "max_tokens", twice);
    let case = "max_tokens: Field is spelt with other letters than these";
    refused(message(r#","Max_Tokens":1"#), "max_tokens", case);
    let bound = r#","max_tokens":1"#;
    let with = |more: &str| message(&format!("{bound}{more}"));
    refused(with(r#","stream":1"#), "stream", "stream: Input should be a valid boolean");
    refused(with(r#","system":{}"#), "system", "system: Input should be a valid string or list");
    let other = "fallbacks: The gateway chooses the model; leave this out";
    refused(with(r#","fallbacks":[{"model":"x"}]"#), "fallbacks", other);
    assert!(with(r#","fallbacks":[],"system":null,"tools":null"#).is_ok());
    let of = |text: &str| peek_as(Api::Messages, text);
    refused(of("{}"), "model", "model: Field required");
    refused(of(r#"{"model":"m","max_tokens":1}"#), "messages", "messages: Field required");
    let list = "messages: Input should be a valid list";
    refused(of(r#"{"model":"m","max_tokens":1,"messages":"hi"}"#), "messages", list);
    let none = "messages: at least one message is required";
    refused(of(r#"{"model":"m","max_tokens":1,"messages":[]}"#), "messages", none);
}

#[test]
fn what_counts_tokens_needs_no_bound_and_makes_no_output() {
    let (peek, body) =
        peek_as(Api::CountTokens, &format!(r#"{{"model":"m",{MESSAGES},"stream":1}}"#)).unwrap();
    assert_eq!((peek.max_output, peek.stream), (Some(0), false));
    assert_eq!(rewrite(&body, &peek, "n"), format!(r#"{{"model":"n",{MESSAGES},"stream":1}}"#));
}

proptest! {
    /// Broken on purpose to see it fail: a stream asked for its usage as OpenAI's are.
    #[test]
    fn a_rewrite_changes_nothing_but_the_model(
        extra in proptest::collection::btree_map("[a-z]{2}", any::<Option<String>>(), 0..4),
        model in ".{1,20}", upstream in ".{0,20}", stream in any::<bool>(), pretty in any::<bool>(),
    ) {
        let mut wanted = json!(extra);
        wanted["model"] = model.as_str().into();
        wanted["messages"] = json!([{ "role": "user", "content": model }]);
        wanted["max_tokens"] = 5.into();
        wanted["stream"] = stream.into();
        let body = if pretty { serde_json::to_vec_pretty(&wanted) } else { serde_json::to_vec(&wanted) };
        let body = Bytes::from(body.unwrap());
        let peek = peek(Api::Messages, &body, InPath::default()).unwrap();
        prop_assert_eq!((&peek.model, peek.stream), (&model, stream));
        wanted["model"] = upstream.as_str().into();
        prop_assert_eq!(serde_json::from_slice::<Value>(&rewrite(&body, &peek, &upstream)).unwrap(), wanted);
    }
}
