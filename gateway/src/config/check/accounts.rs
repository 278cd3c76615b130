//! `[[accounts]]`: endpoint, credentials and pools of each.

use std::sync::Arc;

use http::{HeaderName, HeaderValue, Uri};

use super::super::tree::{At, Field, List, Reading, Span};
use super::super::{Account, Pattern, PoolId, Provider, raw};
use super::names::Names;
use super::pools::{self, Origin, Pools, Terms};
use super::server::{is_endpoint, secret};
use super::settings::Defaults;

/// Of an account whose address is not known, which is a problem, and nothing is sent there.
const NOWHERE: &str = "http://invalid";
/// Headers that the HTTP client sets itself.
const OWN_HEADERS: &[&str] =
    &["connection", "content-length", "content-type", "expect", "host", "te", "transfer-encoding", "upgrade"];

/// All accounts, for what refers to them.
pub(super) struct Accounts<'f> {
    pub(super) list: Vec<Linked>,
    pub(super) names: Names<'f>,
}

/// An account and what its deployments take from it.
pub(super) struct Linked {
    pub(super) account: Arc<Account>,
    /// The pool of the whole account.
    pub(super) pool: Option<PoolId>,
    pub(super) model_pools: Vec<ModelPool>,
    /// How deployments count, unless they say otherwise.
    pub(super) terms: Terms,
}

/// A pool of some upstream models of an account.
pub(super) struct ModelPool {
    pub(super) id: PoolId,
    pub(super) patterns: Vec<(Pattern, Span)>,
}

/// Resolves all accounts.
pub(super) fn accounts<'f>(
    field: &'f Field<List<raw::Account>>,
    defaults: &Defaults,
    pools: &mut Pools,
    cx: &mut Reading<'_>,
) -> Accounts<'f> {
    let names = Names::collect("account", field, |account| &account.name, cx);
    let list = field.items().iter().map(|at| link(at, defaults, pools, cx)).collect();
    Accounts { list, names }
}

fn link(at: &At<raw::Account>, defaults: &Defaults, pools: &mut Pools, cx: &mut Reading<'_>) -> Linked {
    let written = &at.value;
    let name = written.name.or(String::new());
    let provider = written.provider.or(Provider::OpenAiCompatible);
    let charge = written.charge.or(provider.preset().charge);
    let terms = Terms::provider(charge, defaults.headroom.hard);
    let span = written.name.get().map_or(&at.span, |name| &name.span).clone();
    let meters = pools::meters(&written.limits, &written.meters, cx);
    let pool = pools.add_if_limited(Origin { name: format!("account/{name}"), span }, meters, terms, cx);
    let model_pools = model_pools(&name, written, terms, pools, cx);
    let account = Account {
        name,
        provider,
        base_url: base_url(at, cx),
        api_key: api_key(at, cx),
        headers: headers(written, cx),
    };
    Linked { account: Arc::new(account), pool, model_pools, terms }
}

fn model_pools(
    account: &str,
    written: &raw::Account,
    terms: Terms,
    pools: &mut Pools,
    cx: &mut Reading<'_>,
) -> Vec<ModelPool> {
    // Collected for its checks: nothing refers to a pool by name.
    Names::collect("pool of this account", &written.pools, |pool| &pool.name, cx);
    let mut found = Vec::new();
    for At { value: pool, span } in written.pools.items() {
        let meters = pools::meters(&pool.limits, &pool.meters, cx);
        if pool.limits.is_absent() && pool.meters.is_absent() {
            cx.problem(span, "a pool without limits: give it `limits` or `meters`");
        }
        let name = pool.name.or(String::new());
        let origin = Origin {
            name: format!("account/{account}/{name}"),
            span: pool.name.get().map_or(span, |name| &name.span).clone(),
        };
        let id = pools.add(
            origin,
            meters,
            terms.with(&pool.pace, &pool.reserve, &pool.charge, &pool.on_outage),
            cx,
        );
        if pool.models.value().is_some_and(|models| models.written == 0) {
            cx.problem(span, "a pool without `models`: name the upstream models that draw on it, or `*`");
        }
        let pattern = |at: &At<String>| (Pattern::new(&at.value), at.span.clone());
        found.push(ModelPool { id, patterns: pool.models.items().iter().map(pattern).collect() });
    }
    found
}

fn base_url(at: &At<raw::Account>, cx: &mut Reading<'_>) -> Uri {
    let written = &at.value;
    let preset = written.provider.value().map(|provider| provider.preset());
    let default = Uri::from_static(preset.and_then(|preset| preset.base_url).unwrap_or(NOWHERE));
    match &written.base_url {
        Field::Bad => default,
        Field::Is(url) => match parse_base_url(&url.value) {
            Ok(url) => url,
            Err(message) => {
                cx.problem(&url.span, message);
                default
            }
        },
        Field::Absent => {
            if preset.is_some_and(|preset| preset.base_url.is_none()) {
                cx.problem(&at.span, "`base_url` is missing: an `openai-compatible` account has no default");
            }
            default
        }
    }
}

/// Scheme, authority and path prefix. No message quotes the URL: it may hold a password.
fn parse_base_url(url: &str) -> Result<Uri, &'static str> {
    const EXPECTED: &str = "expected a URL such as `https://host/v1`";
    if url.contains('?') || url.contains('#') {
        return Err("a base URL has no query and no fragment");
    }
    let uri: Uri = url.trim_end_matches('/').parse().map_err(|_| EXPECTED)?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err("expected a URL that starts with `https://` or `http://`");
    }
    let authority = uri.authority().ok_or(EXPECTED)?;
    if authority.as_str().contains('@') {
        return Err("a base URL holds no user or password: use `api_key` or `headers`");
    }
    if is_endpoint(authority) { Ok(uri) } else { Err(EXPECTED) }
}

fn api_key(at: &At<raw::Account>, cx: &mut Reading<'_>) -> Option<secrecy::SecretString> {
    let written = &at.value;
    let preset = written.provider.value().and_then(|provider| provider.preset().base_url);
    if let (Some(url), true, true) = (preset, written.base_url.is_absent(), written.api_key.is_absent()) {
        let host = url.trim_start_matches("https://").split('/').next().unwrap_or_default();
        cx.problem(&at.span, format!("`api_key` is missing: {host} needs one"));
    }
    written.api_key.get().and_then(|key| secret("api_key", key, cx))
}

fn headers(written: &raw::Account, cx: &mut Reading<'_>) -> Vec<(HeaderName, HeaderValue)> {
    let mut found = Vec::new();
    for header in written.headers.value().map_or(&[][..], |headers| &headers.0) {
        let Ok(name) = header.name.parse::<HeaderName>() else {
            cx.problem(&header.name_span, "this cannot be the name of a header");
            continue;
        };
        if OWN_HEADERS.contains(&name.as_str()) {
            cx.problem(&header.name_span, format!("`{name}` is set by the gateway itself"));
        }
        if name == http::header::AUTHORIZATION && !written.api_key.is_absent() {
            cx.problem(&header.name_span, "`authorization` is already set by `api_key`");
        }
        let Some(value) = header.value.get() else { continue };
        match HeaderValue::from_str(&value.value) {
            Ok(mut ready) => {
                // Kept out of debug output.
                ready.set_sensitive(true);
                found.push((name, ready));
            }
            Err(_) => cx.problem(&value.span, "holds characters that a header cannot carry"),
        }
    }
    found
}

/// Stands in for the account of a deployment whose reference is wrong; never leaves the check.
pub(super) fn unknown() -> Arc<Account> {
    Arc::new(Account {
        name: String::new(),
        provider: Provider::OpenAiCompatible,
        base_url: Uri::from_static(NOWHERE),
        api_key: None,
        headers: Vec::new(),
    })
}

/// Reports the patterns of account pools that no deployment's upstream model matches.
pub(super) fn unmatched_patterns(
    accounts: &Accounts<'_>,
    deployed: &[(usize, String)],
    cx: &mut Reading<'_>,
) {
    for (index, linked) in accounts.list.iter().enumerate() {
        for (pattern, span) in linked.model_pools.iter().flat_map(|pool| &pool.patterns) {
            if !deployed.iter().any(|(account, model)| *account == index && pattern.matches(model)) {
                cx.problem(span, "no deployment of this account has an upstream model that this matches");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::parse_base_url;

    #[test]
    fn a_base_url_has_scheme_host_and_maybe_port_and_path() {
        assert_eq!(parse_base_url("http://h:80/v1/").unwrap().to_string(), "http://h:80/v1");
        assert_eq!(parse_base_url("https://h").unwrap().path(), "/");
        for bad in [
            "h/v1",
            "ftp://h",
            "https://h?a",
            "https://h#a",
            "https://u:p@h",
            "https://",
            "/v1",
            "http://h:x",
        ] {
            assert!(parse_base_url(bad).is_err(), "{bad}");
        }
    }
}
