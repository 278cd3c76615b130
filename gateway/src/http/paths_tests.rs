use super::*;

fn call(api: Api, named: Option<&str>) -> Option<Place> {
    Some(Place::Call(Ask { api, named: named.map(str::to_owned), stream: None }))
}

/// The place at a path without a query.
fn at(path: &str) -> Option<Place> {
    place(path, "")
}

fn generates(model: &str, stream: Option<Framing>) -> Option<Place> {
    Some(Place::Call(Ask { api: Api::Generate, named: Some(model.into()), stream }))
}

#[test]
fn every_call_has_its_path_and_those_of_azure() {
    for (api, path) in Api::ALL.into_iter().filter_map(|api| Some((api, api.path()?))) {
        for prefix in ["/v1", "/openai/v1", "/openai"] {
            assert_eq!(at(&format!("{prefix}{path}")), call(api, None));
        }
        let path = format!("/openai/deployments/org/gpt%2D4o{path}");
        let azures = api.voice() == Voice::OpenAi;
        assert_eq!(at(&path), call(api, Some("org/gpt-4o")).filter(|_| azures));
    }
}

#[test]
fn models_may_hold_slashes_and_responses_have_parts() {
    assert_eq!(at("/v1/models"), Some(Place::Models));
    assert_eq!(at("/v1/models/org/m"), Some(Place::Model("org/m".into())));
    let stored = |part| Some(Place::Stored { id: "resp_1".into(), part });
    assert_eq!(at("/v1/responses/resp_1"), stored(Part::Whole));
    assert_eq!(at("/openai/v1/responses/resp_1/input_items"), stored(Part::InputItems));
    assert_eq!(at("/v1/responses/resp_1/cancel"), stored(Part::Cancel));
}

#[test]
fn tricks_are_unknown_paths() {
    for path in [
        "",
        "/",
        "*",
        "/v1",
        "/v1/",
        "//v1/models",
        "/v1//models",
        "/v1/./models",
        "/v1/../v1/models",
        "/V1/models",
        "/v1/chat%2Fcompletions",
        "/v1/chat/completions/",
        "/v1/models/",
        "/v1/models/%ff",
        "/v1/responses/",
        "/v1/responses/..",
        "/v1/responses/a%2Fb",
        "/v1/responses/a/b",
        "/v1/responses/a/cancel/",
        "/v1/responses/a.b",
        "/openai/deployments//chat/completions",
        "/v1/messages/",
        "/v1/messages/count_tokens/x",
        "/v1beta",
        "/v1beta/models/",
        "/v1beta/messages",
        "/v1beta/models/:generateContent",
        "/v1beta/models/%ff:generateContent",
        "/v1beta/models/models/:generateContent",
        "/v1beta/m:generateContent",
        "/v1beta//models/m:generateContent",
        "/v1/publishers//models/m:generateContent",
        "/v1/projects/p/locations/l/models:generateContent",
        "/v1/projects/p/q/locations/l/publishers/google/models/m:generateContent",
        "/v1/projects//locations/l/publishers/google/models/m:generateContent",
    ] {
        assert_eq!(at(path), None, "{path}");
    }
}

/// Broken on purpose to see it fail: the first colon taken for the last; the prefix of tuned models forgotten.
#[test]
fn googles_paths_name_the_model_in_every_way_that_its_clients_write_it() {
    for (written, model) in [
        ("models/gemini-2.5-flash", "gemini-2.5-flash"),
        ("models/org/m", "org/m"),
        ("models/a%20b%2Fc", "a b/c"),
        ("models/anthropic.claude-v2:0", "anthropic.claude-v2:0"),
        ("models/models/m", "m"),
        ("models/models%2Fm", "m"),
        ("tunedModels/my-model", "my-model"),
        ("publishers/google/models/m", "m"),
        ("publishers/meta/models/llama", "llama"),
        ("projects/p-1/locations/us-central1/publishers/google/models/m", "m"),
        ("projects/p/locations/global/models/m", "m"),
    ] {
        for version in ["/v1beta", "/v1", "/v1beta1", "/v1alpha"] {
            let path = |action: &str| format!("{version}/{written}:{action}");
            assert_eq!(at(&path("generateContent")), generates(model, None), "{version} {written}");
            for (action, api) in [
                ("countTokens", Api::GeminiCountTokens),
                ("embedContent", Api::EmbedContent),
                ("batchEmbedContents", Api::BatchEmbedContents),
            ] {
                assert_eq!(at(&path(action)), call(api, Some(model)), "{version} {written}");
            }
        }
    }
    let other = "/v1/models/ft:gpt-4o:org";
    assert_eq!(at(other), Some(Place::Model("ft:gpt-4o:org".into())));
}

/// Broken on purpose to see it fail: events whatever the query says.
#[test]
fn a_stream_of_googles_is_an_array_unless_events_are_asked_for() {
    let path = "/v1beta/models/m:streamGenerateContent";
    for (query, framing) in [
        ("alt=sse", Framing::Sse),
        ("key=x&alt=sse", Framing::Sse),
        ("$alt=sse", Framing::Sse),
        ("", Framing::Array),
        ("alt=json", Framing::Array),
        ("salt=sse", Framing::Array),
    ] {
        assert_eq!(place(path, query), generates("m", Some(framing)), "{query}");
    }
    assert_eq!(place("/v1beta/models/m:generateContent", "alt=sse"), generates("m", None));
}

#[test]
fn googles_models_are_listed_under_its_versions() {
    assert_eq!(at("/v1beta/models"), Some(Place::Models));
    assert_eq!(at("/v1beta/models/org/m"), Some(Place::Model("org/m".into())));
}

/// Broken on purpose to see it fail: the headers before the path.
#[test]
fn who_is_refused_reads_the_errors_of_its_own_api() {
    let voice_of = |path: &str, headers: &[&'static str]| {
        let named = headers.iter().map(|name| (http::HeaderName::from_static(name), "x".parse().unwrap()));
        voice(at(path).as_ref(), path, &named.collect())
    };
    for (path, headers, expected) in [
        ("/v1/messages", &[][..], Voice::Anthropic),
        ("/v1/messages/count_tokens", &[], Voice::Anthropic),
        ("/v1/chat/completions", &["anthropic-version"], Voice::OpenAi),
        ("/v1/models/m:generateContent", &["anthropic-version"], Voice::Google),
        ("/v1/responses/resp_1", &["x-goog-api-key"], Voice::OpenAi),
        ("/v1/models", &[], Voice::OpenAi),
        ("/v1/models", &["anthropic-version"], Voice::Anthropic),
        ("/v1/models/m", &["x-goog-api-key"], Voice::Google),
        ("/v1/models", &["x-goog-api-client"], Voice::Google),
        ("/v1beta/models", &["anthropic-version"], Voice::Google),
        ("/v1beta/nothing", &[], Voice::Google),
        ("/v1/nothing", &["anthropic-version"], Voice::Anthropic),
        ("/v1/nothing", &["x-goog-api-key"], Voice::Google),
        ("/nothing", &[], Voice::OpenAi),
    ] {
        assert_eq!(voice_of(path, headers), expected, "{path} {headers:?}");
    }
}
