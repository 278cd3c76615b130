//! What a path of the client listener asks for. Paths are taken as they are written: what is not one of these, be it
//! with doubled slashes, dots or odd escapes, is unknown.

use percent_encoding::percent_decode_str;

use crate::dialect::openai::api::Api;
use crate::pipeline::Ask;
use crate::pipeline::stored::Part;

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A call that draws on limits.
    Call(Ask),
    /// Something of a response that a provider has kept.
    Stored { id: String, part: Part },
    /// The list of models.
    Models,
    /// One model.
    Model(String),
    /// The process answers.
    Alive,
    /// Calls may be sent here.
    Ready,
}

impl Place {
    /// What may be done there, as the header `allow` says it.
    pub(super) fn methods(&self) -> &'static str {
        match self {
            Place::Call(_) => "POST",
            Place::Stored { part, .. } => part.methods(),
            Place::Models | Place::Model(_) => "GET",
            Place::Alive | Place::Ready => "GET, HEAD",
        }
    }
}

/// Reads a path.
pub(super) fn place(path: &str) -> Option<Place> {
    match path {
        "/livez" | "/health/liveliness" => return Some(Place::Alive),
        "/readyz" | "/health/readiness" => return Some(Place::Ready),
        _ => {}
    }
    if let Some(rest) = path.strip_prefix("/openai/deployments/") {
        return of_deployment(rest);
    }
    // Azure's clients send the version in the path or in the query.
    let rest = path.strip_prefix("/openai/v1").or_else(|| path.strip_prefix("/v1"));
    of_api(rest.or_else(|| path.strip_prefix("/openai"))?)
}

/// `{model}/chat/completions` and the like: the model's name may hold slashes.
fn of_deployment(rest: &str) -> Option<Place> {
    // The longest first: a chat's path ends as a completion's does.
    let calls = [Api::Chat, Api::Completions, Api::Embeddings, Api::Rerank, Api::Responses];
    let (api, model) = calls.iter().find_map(|api| Some((*api, rest.strip_suffix(api.path())?)))?;
    Some(Place::Call(Ask { api, named: Some(name(model)?) }))
}

fn of_api(rest: &str) -> Option<Place> {
    if let Some(api) = Api::ALL.into_iter().find(|api| rest == api.path()) {
        return Some(Place::Call(Ask { api, named: None }));
    }
    if rest == "/models" {
        return Some(Place::Models);
    }
    if let Some(model) = rest.strip_prefix("/models/") {
        return Some(Place::Model(name(model)?));
    }
    let (id, part) = match rest.strip_prefix("/responses/")?.split_once('/') {
        None => (rest.strip_prefix("/responses/")?, Part::Whole),
        Some((id, "input_items")) => (id, Part::InputItems),
        Some((id, "cancel")) => (id, Part::Cancel),
        Some(_) => return None,
    };
    is_id(id).then(|| Place::Stored { id: id.to_owned(), part })
}

/// A name from a path; `None` if it is empty or not UTF-8.
fn name(escaped: &str) -> Option<String> {
    let name = percent_decode_str(escaped).decode_utf8().ok()?;
    (!name.is_empty()).then(|| name.into_owned())
}

/// Only what cannot mean anything else in the path at the provider.
fn is_id(id: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'=' | b'~');
    !id.is_empty() && id.len() <= 1024 && id.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(api: Api, named: Option<&str>) -> Option<Place> {
        Some(Place::Call(Ask { api, named: named.map(str::to_owned) }))
    }

    #[test]
    fn every_call_has_its_path_and_those_of_azure() {
        for api in Api::ALL {
            for prefix in ["/v1", "/openai/v1", "/openai"] {
                assert_eq!(place(&format!("{prefix}{}", api.path())), call(api, None));
            }
            let path = format!("/openai/deployments/org/gpt%2D4o{}", api.path());
            assert_eq!(place(&path), call(api, Some("org/gpt-4o")));
        }
    }

    #[test]
    fn models_may_hold_slashes_and_responses_have_parts() {
        assert_eq!(place("/v1/models"), Some(Place::Models));
        assert_eq!(place("/v1/models/org/m"), Some(Place::Model("org/m".into())));
        let stored = |part| Some(Place::Stored { id: "resp_1".into(), part });
        assert_eq!(place("/v1/responses/resp_1"), stored(Part::Whole));
        assert_eq!(place("/openai/v1/responses/resp_1/input_items"), stored(Part::InputItems));
        assert_eq!(place("/v1/responses/resp_1/cancel"), stored(Part::Cancel));
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
        ] {
            assert_eq!(place(path), None, "{path}");
        }
    }
}
