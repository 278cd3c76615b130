//! Addresses and headers of deployments, as they are sent.

use std::path::Path;

use super::super::auth::Outside;
use super::*;
use crate::config::check::check;

/// The endpoint of the deployment of `model` in an account with these keys.
fn endpoint(account: &str, model: &str) -> Endpoint {
    let text = format!(
        "version = 1\n[[accounts]]\nname = \"a\"\n{account}\n\
         [[deployments]]\nname = \"d\"\naccount = \"a\"\nmodel = \"{model}\"\n"
    );
    let config = check(Path::new("weir.toml"), &text, &|_| None).unwrap_or_else(|report| panic!("{report}"));
    let deployment = &config.deployments[0];
    let pass = Pass::of(&deployment.account.access, &Outside::real, &|_| None).unwrap();
    Endpoint::new(deployment, &pass).unwrap()
}

fn uri(endpoint: &Endpoint, call: Call) -> String {
    endpoint.call(call, Bytes::new(), 0).map(|outgoing| outgoing.uri.to_string()).unwrap_or_default()
}

fn sent(endpoint: &Endpoint, call: Call) -> HeaderMap {
    endpoint.call(call, Bytes::new(), 0).unwrap().request().headers().clone()
}

/// Broken on purpose: the path of one call given to all.
#[test]
fn each_call_has_its_address() {
    let azure = endpoint("provider = \"azure\"\nresource = \"acme\"\napi_key = \"k\"", "our gpt");
    let host = "https://acme.openai.azure.com/openai";
    let of_deployment =
        |what: &str| format!("{host}/deployments/our%20gpt/{what}?api-version=2024-12-01-preview");
    assert_eq!(uri(&azure, Call::Chat), of_deployment("chat/completions"));
    assert_eq!(uri(&azure, Call::Embeddings), of_deployment("embeddings"));
    assert_eq!(uri(&azure, Call::Responses), format!("{host}/v1/responses"));
    assert!(
        azure.uris.contains_key(&Call::Chat)
            && !azure.uris.contains_key(&Call::Messages)
            && !azure.uris.contains_key(&Call::Response)
    );
    assert!(azure.call(Call::Messages, Bytes::new(), 0).is_none());

    let vertex = |model| endpoint("provider = \"vertex\"\nregion = \"us-east5\"\nproject = \"p\"", model);
    let host = "https://us-east5-aiplatform.googleapis.com";
    let gemini = vertex("gemini-2.5-pro");
    let path = "projects/p/locations/us-east5/publishers/google/models/gemini-2.5-pro";
    assert_eq!(uri(&gemini, Call::GenerateContent), format!("{host}/v1beta1/{path}:generateContent"));
    assert_eq!(
        uri(&gemini, Call::StreamGenerateContent),
        format!("{host}/v1beta1/{path}:streamGenerateContent?alt=sse")
    );
    let claude = vertex("claude-sonnet-4@20250514");
    let path = "projects/p/locations/us-east5/publishers/anthropic/models/claude-sonnet-4%4020250514";
    assert_eq!(uri(&claude, Call::Messages), format!("{host}/v1/{path}:rawPredict"));
    assert_eq!(uri(&claude, Call::MessagesStream), format!("{host}/v1/{path}:streamRawPredict"));

    let arn = "arn:aws:bedrock:us-east-1:1:inference-profile/us.a-v1:0";
    let bedrock = endpoint("provider = \"bedrock\"\nregion = \"us-east-1\"\napi_key = \"k\"", arn);
    assert_eq!(
        uri(&bedrock, Call::ConverseStream),
        "https://bedrock-runtime.us-east-1.amazonaws.com\
         /model/arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ainference-profile%2Fus.a-v1%3A0/converse-stream"
    );

    let gemini = endpoint("provider = \"gemini\"\napi_key = \"k\"", "gemini-2.5-flash");
    assert_eq!(
        uri(&gemini, Call::GeminiCountTokens),
        "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-flash:countTokens"
    );
}

/// Broken on purpose: the preset's headers put in last.
#[test]
fn presets_and_accounts_add_headers_and_the_accounts_win() {
    let keys = "provider = \"anthropic\"\napi_key = \"k3y\"";
    let plain = endpoint(keys, "claude");
    assert_eq!(uri(&plain, Call::CountTokens), "https://api.anthropic.com/v1/messages/count_tokens");
    let headers = sent(&plain, Call::Messages);
    assert_eq!(headers["x-api-key"], "k3y");
    assert_eq!(headers["anthropic-version"], "2023-06-01");
    assert_eq!(headers["host"], "api.anthropic.com");
    assert!(!headers.contains_key("authorization") && !format!("{plain:?}").contains("k3y"));
    let own = endpoint(
        &format!("{keys}\nheaders = {{ Anthropic-Version = \"2030-01-01\", anthropic-beta = \"b\" }}"),
        "claude",
    );
    let headers = sent(&own, Call::Messages);
    assert_eq!(headers.get_all("anthropic-version").iter().collect::<Vec<_>>(), ["2030-01-01"]);
    assert_eq!(headers["anthropic-beta"], "b");
    let open = endpoint("provider = \"openai-compatible\"\nbase_url = \"http://127.0.0.1:9/v1\"", "m");
    assert!(!sent(&open, Call::Chat).contains_key("authorization"));
}

/// Broken on purpose: the path put behind the query.
#[test]
fn what_is_kept_is_found_by_its_id() {
    let at = |endpoint: &Endpoint, id: &str, rest: &str| {
        endpoint.kept(Method::GET, id, rest).map(|outgoing| outgoing.uri.to_string())
    };
    let openai = endpoint("provider = \"openai\"\napi_key = \"k\"", "m");
    let url = |rest: &str| Some(format!("https://api.openai.com/v1/responses/{rest}"));
    assert_eq!(at(&openai, "resp_1", ""), url("resp_1"));
    assert_eq!(
        at(&openai, "resp_1", "/input_items?after=a&limit=1"),
        url("resp_1/input_items?after=a&limit=1")
    );
    assert_eq!(at(&openai, "../files", ""), url("..%2Ffiles"));
    assert_eq!(at(&openai, "resp_1", "?a b"), None);
    let request = openai.kept(Method::DELETE, "resp_1", "").unwrap().request();
    assert_eq!(request.method(), Method::DELETE);
    assert!(!request.headers().contains_key("content-type"));
    assert_eq!(request.headers()["authorization"], "Bearer k");
    let anthropic = endpoint("provider = \"anthropic\"\napi_key = \"k\"", "m");
    assert_eq!(at(&anthropic, "resp_1", ""), None);
    assert!(openai.keeps_responses() && !anthropic.keeps_responses());
    assert_eq!(behind("/responses/r?api-version=1", "/cancel?x=2"), "/responses/r/cancel?api-version=1&x=2");
    assert_eq!(behind("/responses/r?api-version=1", ""), "/responses/r?api-version=1");
}

/// Two of them are none by the standard. Broken on purpose to see it fail: ours beside the account's.
#[test]
fn who_sets_a_traceparent_of_his_own_sends_no_other() {
    let ours = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    for (headers, expected) in [("headers = { traceparent = \"own\" }", "own"), ("", ours)] {
        let endpoint = endpoint(&format!("provider = \"openai\"\napi_key = \"k\"\n{headers}"), "m");
        let mut outgoing = endpoint.call(Call::Chat, Bytes::new(), 0).unwrap();
        let trace = [(HeaderName::from_static("traceparent"), HeaderValue::from_static(ours))];
        outgoing.belongs_to(trace.into_iter().collect());
        let sent = outgoing.request().headers().clone();
        assert_eq!(sent.get_all("traceparent").iter().collect::<Vec<_>>(), [expected]);
    }
}
