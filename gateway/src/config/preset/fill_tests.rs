//! Addresses: what placeholders become, and what they must not.

use super::{Call, FillError, Presets};

fn url(
    preset: &str,
    call: Call,
    model: &str,
    values: &'static [(&'static str, &'static str)],
) -> Result<String, FillError> {
    let value = move |name: &str| {
        values.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    };
    Presets::built_in().unwrap().get(preset).unwrap().url(call, model, &value)
}

#[test]
fn addresses_of_providers() {
    let at = |preset, call, model, values| url(preset, call, model, values).unwrap();
    assert_eq!(at("openai", Call::Chat, "m", &[]), "https://api.openai.com/v1/chat/completions");
    assert_eq!(
        at("openai", Call::Response, "", &[("id", "resp_1")]),
        "https://api.openai.com/v1/responses/resp_1"
    );
    assert_eq!(
        at("azure", Call::Chat, "my gpt", &[("resource", "acme")]),
        "https://acme.openai.azure.com/openai/deployments/my%20gpt/chat/completions?api-version=2024-12-01-preview"
    );
    assert_eq!(
        at("gemini", Call::StreamGenerateContent, "gemini-2.5-pro", &[("api_version", "v1")]),
        "https://generativelanguage.googleapis.com/v1/models/gemini-2.5-pro:streamGenerateContent?alt=sse"
    );
    assert_eq!(
        at(
            "bedrock",
            Call::Converse,
            "arn:aws:bedrock:x:1:inference-profile/us.a-v1:0",
            &[("region", "eu-west-1")]
        ),
        "https://bedrock-runtime.eu-west-1.amazonaws.com\
         /model/arn%3Aaws%3Abedrock%3Ax%3A1%3Ainference-profile%2Fus.a-v1%3A0/converse"
    );
    assert_eq!(
        at("vertex", Call::Messages, "claude-sonnet-4@1", &[("region", "global"), ("project", "p")]),
        "https://aiplatform.googleapis.com\
         /v1/projects/p/locations/global/publishers/anthropic/models/claude-sonnet-4%401:rawPredict"
    );
}

#[test]
fn what_is_missing_is_named() {
    let missing = |name: &str| Err(FillError::Missing(name.into()));
    assert_eq!(url("azure", Call::Chat, "m", &[]), missing("resource"));
    assert_eq!(url("vertex", Call::GenerateContent, "m", &[("region", "global")]), missing("project"));
    assert_eq!(url("openai", Call::Response, "", &[]), missing("id"));
    assert_eq!(
        url("openai-compatible", Call::Chat, "m", &[]),
        Err(FillError::NoBaseUrl("openai-compatible".into()))
    );
    let no_call = url("groq", Call::Converse, "m", &[]).unwrap_err();
    assert_eq!(no_call.to_string(), "groq has no address for Converse");
}

/// Broken on purpose: `escaped` without its `match`, `host_label` without its test.
#[test]
fn no_value_leads_elsewhere() {
    for value in ["evil.example/", "evil.example#", "a@b", "a:1", "", "-a", "a.b", "é", "a\r\nb", "..", "%2e"]
    {
        let value = move |name: &str| (name == "resource").then(|| value.to_owned());
        let azure = Presets::built_in().unwrap().get("azure").unwrap().clone();
        assert_eq!(azure.base_url(&value), Err(FillError::NotInHost("resource".into())));
    }
    for model in ["", ".", ".."] {
        let found = url("azure", Call::Chat, model, &[("resource", "acme")]);
        assert_eq!(found, Err(FillError::NotInPath("model".into())));
    }
    for model in ["../../admin", "a/b", "a?b=c", "a#b", "a%2fb", "a\r\nhost: b", "a b", "\u{0}", "日本"] {
        let filled = url("gemini", Call::GenerateContent, model, &[]).unwrap();
        let rest = filled.strip_prefix("https://generativelanguage.googleapis.com/v1beta/models/").unwrap();
        let segment = rest.strip_suffix(":generateContent").unwrap();
        assert!(segment.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~%".contains(&b)), "{segment}");
        let back = percent_encoding::percent_decode_str(segment).decode_utf8().unwrap();
        assert_eq!(back, model);
        assert!(filled.parse::<http::Uri>().is_ok());
    }
}
