//! What a path of the client listener asks for. Paths are taken as they are written: what is not one of these, be it
//! with doubled slashes, dots or odd escapes, is unknown.

use http::HeaderMap;
use percent_encoding::percent_decode_str;

use crate::dialect::api::Api;
use crate::dialect::gemini::Framing;
use crate::dialect::voice::Voice;
use crate::pipeline::Ask;
use crate::pipeline::stored::Part;
use crate::telemetry::names;

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

    /// What kind of path it is, for spans.
    pub(super) fn route(&self) -> &'static str {
        match self {
            Place::Call(ask) => names::route(ask.api, ask.stream.is_some()),
            Place::Stored { part, .. } => Place::route_of(*part),
            Place::Models => "/v1/models",
            Place::Model(_) => "/v1/models/{model}",
            Place::Alive => "/livez",
            Place::Ready => "/readyz",
        }
    }

    /// Of a kept response.
    pub(super) fn route_of(part: Part) -> &'static str {
        match part {
            Part::Whole => "/v1/responses/{id}",
            Part::InputItems => "/v1/responses/{id}/input_items",
            Part::Cancel => "/v1/responses/{id}/cancel",
        }
    }
}

/// Reads a path; of the query only what it says of the form of Google's streams.
pub(super) fn place(path: &str, query: &str) -> Option<Place> {
    match path {
        "/livez" | "/health/liveliness" => return Some(Place::Alive),
        "/readyz" | "/health/readiness" => return Some(Place::Ready),
        _ => {}
    }
    if let Some(rest) = path.strip_prefix("/openai/deployments/") {
        return of_deployment(rest);
    }
    if let Some(place) = of_google(path, query) {
        return Some(place);
    }
    // Azure's clients send the version in the path or in the query.
    let rest = path.strip_prefix("/openai/v1").or_else(|| path.strip_prefix("/v1"));
    of_api(rest.or_else(|| path.strip_prefix("/openai"))?)
}

/// In whose manner a request is answered, also one whose place nobody knows.
pub(super) fn voice(place: Option<&Place>, path: &str, headers: &HeaderMap) -> Voice {
    match place {
        Some(Place::Call(ask)) => ask.api.voice(),
        Some(Place::Stored { .. }) => Voice::OpenAi,
        Some(Place::Models | Place::Model(_) | Place::Alive | Place::Ready) | None => {
            let sends = |name: &str| headers.contains_key(name);
            if path.starts_with("/v1beta") {
                Voice::Google
            } else if sends("anthropic-version") {
                Voice::Anthropic
            } else if sends("x-goog-api-key") || sends("x-goog-api-client") {
                Voice::Google
            } else {
                Voice::OpenAi
            }
        }
    }
}

/// Google's versions. `/v1` is OpenAI's and Anthropic's as well; Vertex has a `v1beta1`.
const GOOGLE_VERSIONS: [&str; 4] = ["/v1beta/", "/v1/", "/v1beta1/", "/v1alpha/"];

/// `{version}/{resource}:{action}`, and the models under the versions that are Google's alone.
fn of_google(path: &str, query: &str) -> Option<Place> {
    let rest = GOOGLE_VERSIONS.iter().find_map(|version| path.strip_prefix(version))?;
    if let Some((resource, action)) = rest.rsplit_once(':')
        && let Some((api, streams)) = action_of(action)
    {
        let stream = streams.then(|| framing(query));
        return Some(Place::Call(Ask { api, named: Some(model_of(resource)?), stream }));
    }
    match rest {
        _ if path.starts_with("/v1/") => None,
        "models" => Some(Place::Models),
        _ => Some(Place::Model(name(rest.strip_prefix("models/")?)?)),
    }
}

/// Which call an action is, and whether it streams.
fn action_of(action: &str) -> Option<(Api, bool)> {
    Some(match action {
        "generateContent" => (Api::Generate, false),
        "streamGenerateContent" => (Api::Generate, true),
        "countTokens" => (Api::GeminiCountTokens, false),
        "embedContent" => (Api::EmbedContent, false),
        "batchEmbedContents" => (Api::BatchEmbedContents, false),
        _ => return None,
    })
}

fn framing(query: &str) -> Framing {
    let sse = query.split('&').any(|pair| matches!(pair, "alt=sse" | "$alt=sse" | "%24alt=sse"));
    if sse { Framing::Sse } else { Framing::Array }
}

/// The model that a resource is: `models/x`, `tunedModels/x`, `publishers/google/models/x`, and the last of these behind
/// `projects/../locations/../` (Vertex AI).
fn model_of(resource: &str) -> Option<String> {
    let resource = match resource.strip_prefix("projects/") {
        Some(rest) => {
            let (project, rest) = rest.split_once("/locations/")?;
            let (location, rest) = rest.split_once('/')?;
            let one = |part: &str| !part.is_empty() && !part.contains('/');
            (one(project) && one(location)).then_some(rest)?
        }
        None => resource,
    };
    let resource = match resource.strip_prefix("publishers/") {
        Some(rest) => rest.split_once('/').filter(|(publisher, _)| !publisher.is_empty())?.1,
        None => resource,
    };
    let model = name(resource.strip_prefix("models/").or_else(|| resource.strip_prefix("tunedModels/"))?)?;
    // Some put the resource's whole name where only the model's belongs.
    match model.strip_prefix("models/") {
        Some("") => None,
        Some(inner) => Some(inner.to_owned()),
        None => Some(model),
    }
}

/// `{model}/chat/completions` and the like: the model's name may hold slashes.
fn of_deployment(rest: &str) -> Option<Place> {
    // The longest first: a chat's path ends as a completion's does.
    let calls = [Api::Chat, Api::Completions, Api::Embeddings, Api::Rerank, Api::Responses];
    let (api, model) = calls.iter().find_map(|api| Some((*api, rest.strip_suffix(api.path()?)?)))?;
    Some(Place::Call(Ask { api, named: Some(name(model)?), stream: None }))
}

fn of_api(rest: &str) -> Option<Place> {
    if let Some(api) = Api::ALL.into_iter().find(|api| api.path() == Some(rest)) {
        return Some(Place::Call(Ask { api, named: None, stream: None }));
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
#[path = "paths_tests.rs"]
mod tests;
