//! What the calls of an account show: a key or credentials, and headers besides.

use http::HeaderName;

use super::super::Notes;
use super::super::node::Node;
use super::super::page;
use super::account::Wanted;
use super::words::{Environment, Worded};

/// Words that people write for "no key".
const NO_KEY: [&str; 6] = ["none", "empty", "dummy", "no-key", "not-needed", "anything"];
/// Set by the gateway itself, or by what the account shows.
const OWN_HEADERS: [&str; 12] = [
    "connection",
    "content-length",
    "content-type",
    "expect",
    "host",
    "te",
    "transfer-encoding",
    "upgrade",
    "authorization",
    "x-api-key",
    "api-key",
    "x-goog-api-key",
];

/// A string of Weir's file.
struct Part {
    worded: Worded,
    /// What its variable is called, after the account; `None`: it is no secret.
    secret: Option<&'static str>,
    place: Option<(usize, String)>,
}

impl PartialEq for Part {
    fn eq(&self, other: &Part) -> bool {
        self.worded == other.worded
    }
}

/// What calls show.
#[derive(PartialEq)]
pub(super) struct Shown {
    api_key: Option<Part>,
    /// Keys of `credentials`, the kind first.
    credentials: Vec<(&'static str, Part)>,
    headers: Vec<(String, Part)>,
}

impl Shown {
    /// As keys of an account. Secrets that stand in clear become variables of the account's name.
    pub(super) fn write(
        &self,
        account: &str,
        environment: &mut Environment,
        notes: &mut Notes,
    ) -> Vec<(&'static str, String)> {
        let mut write = |part: &Part, hint: &str| {
            let Some(word) = part.secret else {
                if let Worded::Env(name) = &part.worded {
                    environment.name(name, "");
                }
                return page::quoted(&part.worded.part());
            };
            let place = part.place.as_ref().map_or((0, ""), |(line, path)| (*line, path.as_str()));
            page::quoted(&environment.secret(&part.worded, &format!("{account}_{word}{hint}"), place, notes))
        };
        let mut keys = Vec::new();
        if let Some(key) = &self.api_key {
            keys.push(("api_key", write(key, "")));
        }
        if !self.credentials.is_empty() {
            let entries: Vec<_> =
                self.credentials.iter().map(|(key, part)| (*key, write(part, ""))).collect();
            keys.push(("credentials", page::table(entries)));
        }
        if !self.headers.is_empty() {
            let entries: Vec<_> =
                self.headers.iter().map(|(name, part)| (name.clone(), write(part, name))).collect();
            keys.push(("headers", page::table(entries)));
        }
        keys
    }
}

fn secret(worded: Worded, node: &Node, word: &'static str) -> Part {
    Part { worded, secret: Some(word), place: Some((node.line, node.path.clone())) }
}

fn plain(text: &str) -> Part {
    Part { worded: Worded::Clear(text.to_owned()), secret: None, place: None }
}

fn said(worded: Worded) -> Part {
    Part { worded, secret: None, place: None }
}

/// What the calls of a deployment show.
pub(super) fn shown(wanted: &Wanted<'_>, preset: &str, notes: &mut Notes) -> Shown {
    let mut shown = Shown { api_key: None, credentials: Vec::new(), headers: headers(wanted, preset, notes) };
    match preset {
        "vertex" => shown.credentials = google(wanted, notes),
        "bedrock" => shown.credentials = aws(wanted, notes),
        "azure" | "azure-foundry" => shown.credentials = entra(wanted, notes),
        _ => {}
    }
    if shown.credentials.is_empty() && preset != "vertex" {
        shown.api_key = api_key(wanted, preset, notes);
    }
    shown
}

fn api_key(wanted: &Wanted<'_>, preset: &str, notes: &mut Notes) -> Option<Part> {
    let needs_none = matches!(preset, "openai-compatible" | "vllm" | "ollama");
    match wanted.params.worded("api_key", notes) {
        Some((Worded::Clear(text), _))
            if needs_none && NO_KEY.contains(&text.to_ascii_lowercase().as_str()) =>
        {
            None
        }
        Some((worded, node)) => Some(secret(worded, node, "API_KEY")),
        None if wanted.known.key.is_empty() => None,
        None => Some(Part {
            worded: Worded::Env(wanted.known.key.to_owned()),
            secret: Some("API_KEY"),
            place: None,
        }),
    }
}

/// Keys of AWS, or a role that is taken with a token; else what the environment has.
fn aws(wanted: &Wanted<'_>, notes: &mut Notes) -> Vec<(&'static str, Part)> {
    let id = wanted.params.worded("aws_access_key_id", notes);
    let key = wanted.params.worded("aws_secret_access_key", notes);
    let session = wanted.params.worded("aws_session_token", notes);
    let role = wanted.params.worded("aws_role_name", notes);
    let token = wanted.params.worded("aws_web_identity_token", notes);
    let (keys, unused) = match (id, key, role, token) {
        (Some((id, at)), Some((key, key_at)), role, token) => {
            let mut keys = vec![
                ("kind", plain("aws")),
                ("access_key_id", secret(id, at, "ACCESS_KEY_ID")),
                ("secret_access_key", secret(key, key_at, "SECRET_ACCESS_KEY")),
            ];
            keys.extend(session.map(|(session, at)| ("session_token", secret(session, at, "SESSION_TOKEN"))));
            (keys, vec![role, token])
        }
        (id, key, Some((role, _)), Some((token, _)))
            if token.clear().is_none_or(|path| path.starts_with('/')) =>
        {
            let keys = vec![("kind", plain("aws")), ("role_arn", said(role)), ("token_file", said(token))];
            (keys, vec![id, key, session])
        }
        (id, key, role, token) => (Vec::new(), vec![id, key, session, role, token]),
    };
    for (_, node) in unused.into_iter().flatten() {
        notes.left(node, "here an account has either both keys of AWS, or a role with a token of the platform (`role_arn`, `token_file`), \
                          or what the environment has");
    }
    keys
}

/// The key file of a service account, or its text; else what the environment has.
fn google(wanted: &Wanted<'_>, notes: &mut Notes) -> Vec<(&'static str, Part)> {
    let node = wanted.params.get("vertex_credentials").or_else(|| wanted.params.get("vertex_ai_credentials"));
    let Some(node) = node else { return Vec::new() };
    match Worded::of(node) {
        Some(Worded::Clear(text)) if text.trim_start().starts_with('{') => {
            vec![("kind", plain("google")), ("json", secret(Worded::Clear(text), node, "CREDENTIALS_JSON"))]
        }
        Some(Worded::Clear(path)) => vec![("kind", plain("google")), ("file", said(Worded::Clear(path)))],
        Some(env @ Worded::Env(_)) => {
            notes.differs(node, "taken for the path of a key file; if the variable holds the file's text, write `json` instead of `file`");
            vec![("kind", plain("google")), ("file", said(env))]
        }
        None => {
            notes.left(
                node,
                "the key file of a service account is named (`file`), or its text is in a variable (`json`)",
            );
            Vec::new()
        }
    }
}

/// An application of Entra, or what the environment has; none if there is a key.
fn entra(wanted: &Wanted<'_>, notes: &mut Notes) -> Vec<(&'static str, Part)> {
    let tenant = wanted.params.worded("tenant_id", notes);
    let client = wanted.params.worded("client_id", notes);
    let word = wanted.params.worded("client_secret", notes);
    let unused = match (tenant, client, word) {
        (Some((tenant, _)), Some((client, _)), Some((word, at))) => {
            return vec![
                ("kind", plain("entra")),
                ("tenant", said(tenant)),
                ("client", said(client)),
                ("secret", secret(word, at, "CLIENT_SECRET")),
            ];
        }
        (tenant, client, word) => [tenant, client, word],
    };
    for (_, node) in unused.into_iter().flatten() {
        notes.left(node, "an application of Entra has `tenant_id`, `client_id` and `client_secret`");
    }
    let own = wanted.params.get("use_azure_ad").and_then(|node| notes.flag(node));
    let asks = own.unwrap_or(false) || wanted.by_entra;
    if asks && wanted.params.get("api_key").is_none() { vec![("kind", plain("entra"))] } else { Vec::new() }
}

fn headers(wanted: &Wanted<'_>, preset: &str, notes: &mut Notes) -> Vec<(String, Part)> {
    let mut found: Vec<(String, Part)> = Vec::new();
    if preset == "openai"
        && let Some((organization, node)) = wanted.params.worded("organization", notes)
    {
        if is_sendable(&organization) {
            found.push(("OpenAI-Organization".to_owned(), said(organization)));
        } else {
            notes.left(node, "it cannot be sent in a header");
        }
    }
    for key in ["extra_headers", "headers"] {
        for (name, node) in wanted.params.get(key).map_or(&[][..], Node::entries) {
            let is_name = name.parse::<HeaderName>().is_ok_and(|name| !OWN_HEADERS.contains(&name.as_str()));
            match Worded::of(node) {
                Some(_) if found.iter().any(|(other, _)| other.eq_ignore_ascii_case(name)) => {
                    notes.left(node, "another header of the same name goes before");
                }
                Some(worded) if is_name && is_sendable(&worded) => {
                    let part = if is_harmless(name, &worded) {
                        said(worded)
                    } else {
                        secret(worded, node, "HEADER_")
                    };
                    found.push((name.clone(), part));
                }
                _ => notes.left(
                    node,
                    "no header that an account may add: the gateway sets it, or it cannot be sent",
                ),
            }
        }
    }
    found.sort_by(|(a, _), (b, _)| a.cmp(b));
    found
}

fn is_sendable(worded: &Worded) -> bool {
    worded.clear().is_none_or(|text| http::HeaderValue::from_str(text).is_ok())
}

/// May a header's value be shown? Only where that is known: whatever else it is called, it may hold a secret.
fn is_harmless(header: &str, worded: &Worded) -> bool {
    const HARMLESS: [&str; 14] = [
        "accept",
        "anthropic-beta",
        "anthropic-version",
        "openai-beta",
        "openai-organization",
        "openai-project",
        "http-referer",
        "referer",
        "user-agent",
        "x-title",
        "x-team",
        "x-environment",
        "x-region",
        "x-app",
    ];
    let looks_secret = |text: &str| {
        let text = text.trim_start().to_ascii_lowercase();
        ["bearer ", "basic ", "sk-"].iter().any(|begin| text.starts_with(begin))
    };
    HARMLESS.contains(&header.to_ascii_lowercase().as_str()) && !worded.clear().is_some_and(looks_secret)
}
