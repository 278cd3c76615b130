//! Where a deployment is reached: the addresses of all its calls and the headers of its requests, made once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, header};

use super::auth::{Auth, Denied, Pass, Stamp};
use super::timely::Timely;
use super::way::{self, Way};
use crate::clock::boot_ms;
use crate::config::preset::{Call, Preset};
use crate::config::{Account, Deployment};
use crate::dialect::api::Api;
use crate::telemetry::trace::PassedOn;

/// Where a deployment is reached, ready to be sent to.
#[derive(Debug)]
pub struct Endpoint {
    account: Arc<Account>,
    base: String,
    ways: [Option<Way>; Api::ALL.len()],
    uris: BTreeMap<Call, Uri>,
    headers: Arc<HeaderMap>,
    bodiless: Arc<HeaderMap>,
    auth: Option<Arc<Auth>>,
}

/// A request on its way out.
#[derive(Debug)]
pub struct Outgoing {
    method: Method,
    pub(super) uri: Uri,
    headers: Arc<HeaderMap>,
    body: Bytes,
    send_by: u64,
    auth: Option<Arc<Auth>>,
    /// Which trace it belongs to. Not a part of what is signed.
    trace: PassedOn,
}

impl Endpoint {
    /// Of a deployment whose account has this pass. Fails if an address is too long, or a header cannot be made.
    pub fn new(deployment: &Deployment, pass: &Pass) -> anyhow::Result<Endpoint> {
        let account = deployment.account.clone();
        let base = account.base_url.to_string().trim_end_matches('/').to_owned();
        let headers = headers(&account, pass)?;
        let mut bodiless = headers.clone();
        bodiless.remove(header::CONTENT_TYPE);
        Ok(Endpoint {
            ways: Api::ALL.map(|api| way::way(&account.preset, &deployment.model, api)),
            uris: uris(deployment, &base)?,
            account,
            base,
            headers: Arc::new(headers),
            bodiless: Arc::new(bodiless),
            auth: match pass {
                Pass::Standing(_) => None,
                Pass::Made(auth) => Some(auth.clone()),
            },
        })
    }

    /// What is known of its provider.
    pub fn preset(&self) -> &Arc<Preset> {
        &self.account.preset
    }

    /// How it serves a call; `None` if it cannot.
    pub fn way(&self, api: Api) -> Option<Way> {
        self.ways[api as usize]
    }

    /// Does its provider keep responses, see [`Endpoint::kept`]?
    pub fn keeps_responses(&self) -> bool {
        self.account.preset.paths.contains_key(&Call::Response)
    }

    /// A call with `body`, not to be sent after `send_by` of [`boot_ms`]; `None` if the provider has no such call.
    pub fn call(&self, call: Call, body: Bytes, send_by: u64) -> Option<Outgoing> {
        let uri = self.uris.get(&call)?.clone();
        let (headers, auth) = (self.headers.clone(), self.auth.clone());
        Some(Outgoing { method: Method::POST, uri, headers, body, send_by, auth, trace: PassedOn::new() })
    }

    /// A request for the list of models; `None` if the provider has none.
    pub fn models(&self) -> Option<Outgoing> {
        let uri = self.uris.get(&Call::Models)?.clone();
        let (headers, auth) = (self.bodiless.clone(), self.auth.clone());
        Some(Outgoing::empty(Method::GET, uri, headers, auth))
    }

    /// A request without a body for the response `id`, which the provider has kept, or for a part of it: `rest` is what
    /// stands behind the id, `/cancel` or `?stream=true`. `None` if the provider keeps none, or if `rest` cannot stand there.
    pub fn kept(&self, method: Method, id: &str, rest: &str) -> Option<Outgoing> {
        let path = self.account.path(Call::Response, "", id).ok()?;
        let uri = format!("{}{}", self.base, behind(&path, rest)).parse().ok()?;
        let (headers, auth) = (self.bodiless.clone(), self.auth.clone());
        Some(Outgoing::empty(method, uri, headers, auth))
    }
}

/// The addresses of the calls that have one by themselves.
fn uris(deployment: &Deployment, base: &str) -> anyhow::Result<BTreeMap<Call, Uri>> {
    let account = &deployment.account;
    let calls = account.preset.paths.keys().filter(|call| **call != Call::Response);
    let uri = |call: &Call| {
        let path = account.path(*call, &deployment.model, "")?;
        Ok((*call, format!("{base}{path}").parse()?))
    };
    let uris: anyhow::Result<_> = calls.map(uri).collect();
    uris.with_context(|| format!("deployment {}: an address that cannot be used", deployment.name))
}

/// `path`, perhaps with a query, and behind its path what `rest` says, perhaps with a query as well.
fn behind(path: &str, rest: &str) -> String {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let (rest, more) = rest.split_once('?').unwrap_or((rest, ""));
    let query: Vec<&str> = [query, more].into_iter().filter(|part| !part.is_empty()).collect();
    let mark = if query.is_empty() { "" } else { "?" };
    format!("{path}{rest}{mark}{}", query.join("&"))
}

/// What every request has; the account's own headers go before the preset's.
fn headers(account: &Account, pass: &Pass) -> anyhow::Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    headers.insert(header::HOST, host(&account.base_url)?);
    headers.insert(header::USER_AGENT, HeaderValue::from_static(concat!("weir/", env!("CARGO_PKG_VERSION"))));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let standing = match pass {
        Pass::Standing(header) => header.as_ref(),
        Pass::Made(_) => None,
    };
    let all = account.preset.headers.iter().chain(standing).chain(&account.headers);
    for (name, value) in all {
        headers.insert(name, value.clone());
    }
    Ok(headers)
}

/// The `Host` header, made once: the client would make it for every request.
fn host(uri: &Uri) -> anyhow::Result<HeaderValue> {
    let name = uri.host().unwrap_or_default();
    let usual = if uri.scheme_str() == Some("https") { 443 } else { 80 };
    let host = match uri.port_u16() {
        Some(port) if port != usual => format!("{name}:{port}"),
        _ => name.to_owned(),
    };
    Ok(HeaderValue::try_from(host)?)
}

impl Outgoing {
    fn empty(method: Method, uri: Uri, headers: Arc<HeaderMap>, auth: Option<Arc<Auth>>) -> Outgoing {
        let (body, send_by) = (Bytes::new(), u64::MAX);
        Outgoing { method, uri, headers, body, send_by, auth, trace: PassedOn::new() }
    }

    /// Of this trace.
    pub fn belongs_to(&mut self, trace: PassedOn) {
        self.trace = trace;
    }

    /// With another header, beside what it has of that name.
    pub fn add(&mut self, name: HeaderName, value: HeaderValue) {
        Arc::make_mut(&mut self.headers).append(name, value);
    }

    pub(super) fn request(&self) -> Request<Timely> {
        let mut request = Request::new(Timely::new(self.body.clone(), self.send_by));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = HeaderMap::clone(&self.headers);
        // (An account that sets one of its own has said so, and two of them are none by the standard.)
        let is_own = self.headers.contains_key("traceparent");
        for (name, value) in self.trace.iter().filter(|_| !is_own) {
            request.headers_mut().append(name, value.clone());
        }
        request
    }

    /// What makes it out for each sending anew, if something does.
    pub(super) fn auth(&self) -> Option<Arc<Auth>> {
        self.auth.clone()
    }

    /// Authorises it as it stands, until `head_by` and while it may be sent at most; the last step before it is sent. What
    /// an earlier one added is replaced.
    pub(super) async fn authorise(&mut self, auth: &Auth, head_by: Instant) -> Result<Stamp, Unauthorised> {
        let left = Duration::from_millis(self.send_by.saturating_sub(boot_ms()));
        let by = Instant::now().checked_add(left).map_or(head_by, |by| by.min(head_by));
        let mut headers = HeaderMap::clone(&self.headers);
        let authorising = auth.authorise(&self.method, &self.uri, &mut headers, &self.body);
        let stamp =
            tokio::time::timeout_at(by.into(), authorising).await.map_err(|_| Unauthorised::Late)??;
        self.headers = Arc::new(headers);
        Ok(stamp)
    }
}

/// Why a request could not be authorised; nothing was sent. For the log, not for clients.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unauthorised {
    #[error("not authorised: {0}")]
    Denied(#[from] Denied),
    #[error("not authorised in time")]
    Late,
}

#[cfg(test)]
impl Outgoing {
    /// One that nobody authorises.
    pub(super) fn post(uri: Uri, headers: Arc<HeaderMap>, body: Bytes, send_by: u64) -> Outgoing {
        Outgoing { method: Method::POST, uri, headers, body, send_by, auth: None, trace: PassedOn::new() }
    }
}

#[cfg(test)]
#[path = "endpoint_tests.rs"]
mod tests;
