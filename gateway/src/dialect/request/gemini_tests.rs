use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const CONTENTS: &str = r#""contents":[{"parts":[{"text":"hi"}]}]"#;

fn peek_as(api: Api, text: &str) -> Result<(Peek, Bytes), BadRequest> {
    let body = Bytes::copy_from_slice(text.as_bytes());
    peek(api, &body, InPath { model: Some("m"), stream: true }).map(|peek| (peek, body))
}

fn generate(more: &str) -> Result<(Peek, Bytes), BadRequest> {
    peek_as(Api::Generate, &format!("{{{CONTENTS}{more}}}"))
}

#[track_caller]
fn refused(result: Result<(Peek, Bytes), BadRequest>, param: &str, says: &str) {
    let flaw = result.unwrap_err();
    assert_eq!(flaw.param, Some(param), "{flaw:?}");
    assert!(flaw.message.contains(says), "{flaw:?}");
}

/// Broken on purpose to see it fail: the spelling with underscores not read.
#[test]
fn both_spellings_are_read_and_never_at_once() {
    for (config, max, count, system) in [
        ("generationConfig", "maxOutputTokens", "candidateCount", "systemInstruction"),
        ("generation_config", "max_output_tokens", "candidate_count", "system_instruction"),
    ] {
        let more = format!(
            r#","{config}":{{"{max}":20,"{count}":2,"responseSchema":{{"type":"STRING"}}}},"{system}":{{"parts":[]}},
            "tools":[{{}}]"#
        );
        let (peek, body) = generate(&more).unwrap();
        assert_eq!((peek.max_output, peek.choices, peek.has_tools), (Some(20), 2, true));
        assert_eq!((peek.model.as_str(), peek.stream, peek.include_usage), ("m", true, true));
        let texts = [&br#"[{"parts":[{"text":"hi"}]}]"#[..], br#"{"parts":[]}"#];
        assert_eq!(peek.input().texts(&body), texts);
        let schemas = peek.input().schemas(&body);
        assert_eq!(schemas, [&b"[{}]"[..], br#"{"type":"STRING"}"#, b"", b""]);
    }
    let both = r#","generationConfig":{},"generation_config":{}"#;
    refused(generate(both), "generation_config", "more than once");
    let both = r#","generationConfig":{"maxOutputTokens":1,"max_output_tokens":9}"#;
    refused(generate(both), "max_output_tokens", "more than once");
    refused(generate(r#","GenerationConfig":{}"#), "generationConfig", "only in case");
}

/// Broken on purpose to see it fail: the name with an underscore left out.
#[test]
fn what_is_cached_is_known_to_be_there() {
    let cached = |more: &str| generate(more).unwrap().0.input().cached;
    assert!(!cached("") && !cached(r#","cachedContent":null"#));
    assert!(cached(r#","cachedContent":"cachedContents/a""#) && cached(r#","cached_content":"b""#));
    refused(generate(r#","cachedContent":"a","cached_content":"b""#), "cached_content", "more than once");
}

#[test]
fn values_are_taken_as_googles_json_writes_them() {
    let max = |value: &str| {
        let config = format!(r#","generationConfig":{{"maxOutputTokens":{value}}}"#);
        generate(&config).map(|(peek, _)| peek.max_output)
    };
    assert_eq!((max("7").unwrap(), max(r#""7""#).unwrap()), (Some(7), Some(7)));
    assert_eq!((max("null").unwrap(), max("0").unwrap()), (None, None));
    let nulls = r#","generationConfig":null,"systemInstruction":null,"tools":null,"model":null"#;
    let (peek, body) = generate(nulls).unwrap();
    assert_eq!((peek.max_output, peek.choices, peek.has_tools), (None, 1, false));
    assert_eq!(rewrite(&body, &peek, "n"), body);
    // A list of one without its brackets.
    assert!(peek_as(Api::Generate, r#"{"contents":{"parts":[]},"tools":{"x":1}}"#).unwrap().0.has_tools);
}

#[test]
fn flaws_are_told_as_the_api_tells_them() {
    refused(peek_as(Api::Generate, "{}"), "contents", "contents is not specified.");
    refused(peek_as(Api::Generate, r#"{"contents":[]}"#), "contents", "contents is not specified.");
    let wrong = "Invalid value at 'contents': expected an array of objects, but got a string.";
    refused(peek_as(Api::Generate, r#"{"contents":"hi"}"#), "contents", wrong);
    refused(generate(r#","generationConfig":1"#), "generationConfig", "expected an object");
    let config = |inside: &str| generate(&format!(r#","generationConfig":{{{inside}}}"#));
    refused(config(r#""maxOutputTokens":-1"#), "maxOutputTokens", "it must be from 0 to");
    refused(config(r#""maxOutputTokens":1.5"#), "maxOutputTokens", "expected an integer");
    refused(config(r#""candidateCount":129"#), "candidateCount", "from 0 to 128");
    refused(peek_as(Api::EmbedContent, "{}"), "content", "content is not specified.");
    refused(peek_as(Api::BatchEmbedContents, r#"{"requests":{"x":1}}"#), "requests", "expected an array");
    refused(peek_as(Api::BatchEmbedContents, r#"{"requests":[1]}"#), "requests", "expected an object");
    refused(peek_as(Api::EmbedContent, r#"{"content":{"x":1},"model":1}"#), "model", "expected a string");
    let unnamed = peek(Api::Generate, &Bytes::from(format!("{{{CONTENTS}}}")), InPath::default());
    assert_eq!(unnamed.unwrap_err().param, Some("model"));
}

/// Broken on purpose to see it fail: the models of a batch left as they are.
#[test]
fn a_model_that_a_body_names_again_is_the_upstreams() {
    let renamed = |api, body: &str, to: &str| {
        let (peek, body) = peek_as(api, body).unwrap();
        String::from_utf8(rewrite(&body, &peek, to).to_vec()).unwrap()
    };
    let embed = |model: &str| format!(r#"{{"content":{{"parts":[]}},"model":"{model}"}}"#);
    assert_eq!(renamed(Api::EmbedContent, &embed("models/x"), "up"), embed("models/up"));
    assert_eq!(renamed(Api::EmbedContent, &embed("x"), "tunedModels/up"), embed("tunedModels/up"));
    let batch = |model: &str| format!(r#"{{"requests":[{},{}]}}"#, embed(model), embed(model));
    assert_eq!(renamed(Api::BatchEmbedContents, &batch("models/x"), "up"), batch("models/up"));
    let count = |name: &str, model: &str| format!(r#"{{"{name}":{{"model":"{model}",{CONTENTS}}}}}"#);
    for name in ["generateContentRequest", "generate_content_request"] {
        let counted = renamed(Api::GeminiCountTokens, &count(name, "models/x"), "up");
        assert_eq!(counted, count(name, "models/up"));
    }
    let generate = format!(r#"{{"model":"models/x",{CONTENTS}}}"#);
    assert_eq!(renamed(Api::Generate, &generate, "x"), generate, "nothing to change");
}

/// Broken on purpose to see it fail: only what stands in the body itself is looked at.
#[test]
fn a_whole_request_that_is_counted_is_the_input() {
    let system = r#"{"parts":[{"text":"be"}]}"#;
    let inside = format!(r#"{{{CONTENTS},"systemInstruction":{system},"tools":[{{"x":1}}]}}"#);
    let whole = format!(r#"{{"generateContentRequest":{inside}}}"#);
    let (peek, body) = peek_as(Api::GeminiCountTokens, &whole).unwrap();
    let texts = [&br#"[{"parts":[{"text":"hi"}]}]"#[..], system.as_bytes()];
    assert_eq!(peek.input().texts(&body), texts);
    assert_eq!(peek.input().schemas(&body)[0], br#"[{"x":1}]"#);
    let wrong = r#"{"generateContentRequest":{"contents":"hi"}}"#;
    refused(peek_as(Api::GeminiCountTokens, wrong), "contents", "expected an array of objects");
}

#[test]
fn only_what_generates_has_output_and_streams() {
    for (api, body) in [
        (Api::GeminiCountTokens, "{}"),
        (Api::GeminiCountTokens, r#"{"contents":[]}"#),
        (Api::EmbedContent, r#"{"content":{"parts":[{"text":"hi"}]}}"#),
        (Api::BatchEmbedContents, r#"{"requests":[{"content":{}}]}"#),
    ] {
        let (peek, body) = peek_as(api, body).unwrap();
        assert_eq!((peek.max_output, peek.stream), (Some(0), false), "{body:?}");
    }
}

proptest! {
    #[test]
    fn a_rewrite_changes_nothing_but_the_models(
        extra in proptest::collection::btree_map("[a-z]{2}", any::<Option<String>>(), 0..4),
        models in proptest::collection::vec(proptest::option::of("(models/)?[a-z]{1,9}"), 1..4),
        upstream in "[^/]{1,20}", pretty in any::<bool>(),
    ) {
        let batch = |name: &dyn Fn(&str) -> String| {
            let request = |model: &Option<String>| match model {
                Some(model) => json!({"content": extra, "model": name(model)}),
                None => json!({"content": {"parts": [{"text": "x"}]}}),
            };
            json!({"requests": models.iter().map(request).collect::<Vec<_>>(), "more": extra})
        };
        let body = batch(&|model| model.to_owned());
        let body = if pretty { serde_json::to_vec_pretty(&body) } else { serde_json::to_vec(&body) };
        let body = Bytes::from(body.unwrap());
        let peek = peek(Api::BatchEmbedContents, &body, InPath { model: Some("m"), stream: false }).unwrap();
        let out = serde_json::from_slice::<Value>(&rewrite(&body, &peek, &upstream)).unwrap();
        prop_assert_eq!(out, batch(&|_| format!("models/{upstream}")));
    }
}
