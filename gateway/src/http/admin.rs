//! The admin listener: metrics, the cluster's state as JSON, what operators change, health; the routes of the dashboard.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::routing::{get, post};
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use subtle::ConstantTimeEq;
use tokio::sync::watch;

use super::audit::{Asked, Refusals};
use super::gauges::Gauges;
use super::server::Phase;
use super::view::{self, Viewer};
use super::{costs, dashboard, deployments, experiments, keys, origin};
use crate::config::MeterKind;
use crate::keys::secret::Digest;
use crate::shared::{Shared, Snapshot};
use crate::state::core::{Cause, Circuit, Circuits};
use crate::state::{Away, PoolInfo, Port, core};

/// What the admin pages look at.
#[derive(Debug)]
pub struct Desk {
    /// The replica.
    pub shared: Arc<Shared>,
    /// Its own way to the state.
    pub port: Port,
    /// Who watches.
    pub viewer: Arc<Viewer>,
    /// When the pages close.
    pub phase: watch::Receiver<Phase>,
    pub(super) gauges: Gauges,
    /// Held by whoever has the page of costs made.
    pub(super) costs: tokio::sync::Mutex<()>,
    refusals: Refusals,
}

impl Desk {
    /// Of this replica, with a port of its own; the pages close with this `phase`.
    pub fn new(shared: Arc<Shared>, port: Port, phase: watch::Receiver<Phase>) -> Arc<Desk> {
        let (gauges, costs, refusals) =
            (Gauges::default(), tokio::sync::Mutex::default(), Refusals::default());
        Arc::new(Desk { shared, port, viewer: Arc::default(), phase, gauges, costs, refusals })
    }
}

/// Routes of the admin listener.
pub fn router(desk: Arc<Desk>) -> Router {
    let guarded = Router::new()
        .route("/metrics", get(metrics))
        .route("/admin/v1/state", get(state))
        .route("/admin/v1/costs", get(costs::costs))
        .route(origin::EVENTS, get(view::events))
        .route("/admin/v1/deployments", get(deployments::all))
        .route(
            "/admin/v1/deployments/{*name}",
            get(deployments::one).post(deployments::change).put(deployments::change),
        )
        .route("/admin/v1/experiments", get(experiments::all))
        .route("/admin/v1/experiments/{*name}", get(experiments::one).put(experiments::set))
        .route("/admin/v1/keys", get(keys::all).post(keys::create))
        .route("/admin/v1/keys/{id}", get(keys::one).delete(keys::revoke))
        .route("/admin/v1/keys/{id}/rotate", post(keys::rotate))
        .layer(from_fn_with_state(desk.clone(), authorised));
    guarded.merge(dashboard::routes()).merge(health()).with_state(desk)
}

/// Routes of the metrics listener.
pub fn metrics_router(desk: Arc<Desk>) -> Router {
    Router::new().route("/metrics", get(metrics)).merge(health()).with_state(desk)
}

fn health() -> Router<Arc<Desk>> {
    let ready = |State(desk): State<Arc<Desk>>| async move { super::readiness(desk.shared.is_ready()) };
    Router::new()
        .route("/livez", get(super::alive))
        .route("/health/liveliness", get(super::alive))
        .route("/readyz", get(ready))
        .route("/health/readiness", get(ready))
}

/// With `admin_token` set, nothing without it; else nothing for pages from elsewhere.
async fn authorised(State(desk): State<Arc<Desk>>, request: Request, next: Next) -> Response<Body> {
    let (asked, body) = request.into_parts();
    let for_the_record = Asked::of(&asked);
    let snapshot = desk.shared.snapshot.load_full();
    let token = snapshot.config.server.admin_token.as_ref();
    let given = asked.headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes).unwrap_or_default();
    let mut response = if !token.is_none_or(|token| shows(given, token)) {
        let mut refused = refused(StatusCode::UNAUTHORIZED, "the admin token is required");
        refused.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        refused
    } else if let Some(fault) = token.is_none().then(|| origin::fault(&asked)).flatten() {
        refused(StatusCode::FORBIDDEN, fault)
    } else {
        next.run(Request::from_parts(asked, body)).await
    };
    desk.refusals.note(&for_the_record, response.status());
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Does a header show the token? How long that takes says nothing of it: digests are compared, so not even its length shows, and no
/// copy of it is made.
fn shows(authorization: &[u8], token: &SecretString) -> bool {
    let given = authorization.strip_prefix(b"Bearer ").unwrap_or_default();
    let [given, token] = [given, token.expose_secret().as_bytes()].map(Digest::of);
    bool::from(given.0[..].ct_eq(&token.0[..]))
}

async fn metrics(State(desk): State<Arc<Desk>>) -> Response<Body> {
    desk.refresh().await;
    match desk.shared.metrics.text() {
        Ok(text) => reply("text/plain; version=0.0.4; charset=utf-8", text),
        Err(err) => failed(&err.to_string()),
    }
}

async fn state(State(desk): State<Arc<Desk>>) -> Response<Body> {
    let snapshot = desk.shared.snapshot.load_full();
    match look(&desk.port, &pool_keys(&snapshot)).await {
        Ok((state, configs)) => {
            let page = describe(&desk.shared, &snapshot, &state, &configs);
            reply("application/json", page.to_string().into_bytes())
        }
        Err(err) => failed(&format!("the shared state is away: {err}")),
    }
}

/// Keys of the pools that the configuration knows.
pub(super) fn pool_keys(snapshot: &Snapshot) -> Vec<Arc<str>> {
    snapshot.pools.iter().map(|info| info.decl.key.clone()).collect()
}

/// By replica: the hash of its configuration, if it has told.
pub(super) type Configs = BTreeMap<String, Option<String>>;

pub(super) async fn look(port: &Port, keys: &[Arc<str>]) -> Result<(core::State, Configs), Away> {
    let state = port.overview(keys).await?;
    let names: BTreeSet<&str> = state.lives.keys().map(|inc| inc.name.as_str()).collect();
    let names: Vec<&str> = names.into_iter().collect();
    let configs = port.configs(&names).await?;
    let configs = names.iter().map(|name| (*name).to_owned()).zip(configs).collect();
    Ok((state, configs))
}

/// The cluster as JSON; times in milliseconds from now.
fn describe(shared: &Shared, snapshot: &Snapshot, state: &core::State, configs: &Configs) -> Value {
    let l = state.now();
    let replica = |(inc, life): (&core::Incarnation, &core::Life)| {
        json!({
            "name": inc.name, "life": inc.k, "alive": life.exp >= l, "expires_in_ms": life.exp.saturating_sub(l),
            "config": configs.get(&inc.name),
        })
    };
    let replicas: Vec<Value> = state.lives.iter().map(replica).collect();
    let alive = state.lives.iter().filter(|(_, life)| life.exp >= l);
    let hashes: BTreeSet<&String> = alive.filter_map(|(inc, _)| configs.get(&inc.name)?.as_ref()).collect();
    let config = &snapshot.config;
    let deployments: Vec<Value> = config
        .deployments
        .iter()
        .zip(&snapshot.duties)
        .map(|(deployment, duty)| {
            let rest = |pool: &crate::config::PoolId| {
                let key = &snapshot.pools[pool.0].decl.key;
                state.pools.get(key).map_or(0, |pool| pool.rest_until.saturating_sub(l))
            };
            json!({
                "name": *deployment.name, "account": deployment.account.name, "model": deployment.model,
                "pools": deployment.pools.iter().map(|pool| &*snapshot.pools[pool.0].name).collect::<Vec<_>>(),
                "drained": duty.is_drained(), "weight_set": duty.weight(),
                "rests_ms": deployment.pools.iter().map(rest).max().unwrap_or(0),
                "circuit": circuit(state.circuits.known.get(&deployment.tag), l),
                "account_state": account(&state.circuits, deployment.account.tag, l),
            })
        })
        .collect();
    json!({
        "replica": shared.client.name(), "epoch": state.epoch, "now_ms": l, "config": config.hash,
        "config_skew": hashes.len() > 1, "config_refused": shared.refusal(),
        "degraded": shared.client.is_away(), "draining": shared.is_draining(),
        "replicas": replicas, "pools": pools(snapshot, state), "deployments": deployments,
        "pending": state.pending.len(),
    })
}

/// Is an account left alone, why, and when is it tried again?
fn account(circuits: &Circuits, tag: u64, l: u64) -> Value {
    let open = |cause: Cause| match circuits.known.get(&cause.tag(tag)) {
        Some(Circuit::Open { next, .. }) => Some((cause, *next)),
        _ => None,
    };
    match [Cause::Key, Cause::Quota].into_iter().find_map(open) {
        Some((cause, next)) => json!({"state": cause.word(), "next_probe_ms": next.saturating_sub(l)}),
        None => json!({"state": "ok"}),
    }
}

fn circuit(circuit: Option<&Circuit>, l: u64) -> Value {
    match circuit {
        Some(Circuit::Open { next, .. }) => json!({"state": "open", "next_probe_ms": next.saturating_sub(l)}),
        Some(Circuit::Ramp { since, whole }) if l < since + whole => {
            json!({"state": "recovering", "whole_in_ms": since + whole - l})
        }
        Some(Circuit::Ramp { .. }) | None => json!({"state": "closed"}),
    }
}

fn pools(snapshot: &Snapshot, state: &core::State) -> Vec<Value> {
    let rest = |info: &PoolInfo| {
        state.pools.get(&info.decl.key).map_or(0, |pool| pool.rest_until.saturating_sub(state.now()))
    };
    let pool = |info: &Arc<PoolInfo>| json!({"name": *info.name, "rests_ms": rest(info), "meters": meters(info, state)});
    snapshot.pools.iter().map(pool).collect()
}

/// The limits of a pool, and how much of each is in use.
pub(super) fn meters(info: &PoolInfo, state: &core::State) -> Vec<Value> {
    let stored = state.pools.get(&info.decl.key);
    let describe = |(at, kind): (usize, &MeterKind)| {
        let declared = info.decl.meters[at];
        let meter = stored.and_then(|pool| pool.meters.get(at));
        json!({
            "kind": kind_name(*kind), "window_ms": declared.shape.span(),
            "cap": meter.map_or(declared.cap, |m| m.cap),
            "learned_cap": meter.map_or(declared.cap, |m| bound(info, at, m, state)), "used": meter.map_or(0, |m| m.sum),
            "held": meter.map_or(0, |m| m.hold), "posted_ever": meter.map_or(0, |m| m.posted),
        })
    };
    info.kinds.iter().enumerate().map(describe).collect()
}

/// How far a meter may be used by what was learned of its provider.
pub(super) fn bound(info: &PoolInfo, at: usize, meter: &core::Meter, state: &core::State) -> u64 {
    let l = state.now();
    state.learned.of(&info.decl.key, l).map_or(meter.cap, |learned| learned.bound(at, meter.cap, l).cap)
}

pub(super) fn kind_name(kind: MeterKind) -> &'static str {
    match kind {
        MeterKind::Requests => "requests",
        MeterKind::Tokens => "tokens",
        MeterKind::InputTokens => "input_tokens",
        MeterKind::OutputTokens => "output_tokens",
        MeterKind::Concurrency => "concurrency",
        MeterKind::Usd => "usd",
    }
}

pub(super) fn reply(content_type: &'static str, body: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

fn failed(message: &str) -> Response<Body> {
    refused(StatusCode::SERVICE_UNAVAILABLE, message)
}

/// Not done, and why.
pub(super) fn refused(status: StatusCode, message: &str) -> Response<Body> {
    let mut response =
        reply("application/json", json!({"error": {"message": message}}).to_string().into_bytes());
    *response.status_mut() = status;
    response
}

/// Why a change is not made that says for which version it is meant.
pub(super) const OVERTAKEN: &str =
    "somebody else has changed it meanwhile: look again, and set it if it is still wanted";

/// Most of a request's body, bytes.
const MOST: usize = 64 * 1024;

/// A request's body, or why it is none.
pub(super) async fn read(body: Body) -> Result<Bytes, String> {
    let body = axum::body::to_bytes(body, MOST).await;
    body.map_err(|_| "the body could not be read, or is too large".to_owned())
}

#[cfg(test)]
#[path = "admin_tests.rs"]
pub(super) mod tests;
