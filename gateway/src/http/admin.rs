//! The admin listener: metrics, the cluster's state as JSON, health.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::routing::get;
use http::{HeaderValue, Response, StatusCode, header};
use parking_lot::Mutex;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use subtle::ConstantTimeEq;

use super::experiments;
use crate::config::{MeterKind, Side};
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
    page: Mutex<()>, // of metrics: one at a time says what there is; short sections
}

impl Desk {
    /// Of this replica, with a port of its own.
    pub fn new(shared: Arc<Shared>, port: Port) -> Arc<Desk> {
        Arc::new(Desk { shared, port, page: Mutex::default() })
    }

    /// Shows how much of each pool is in use, of several windows the fullest.
    fn show(&self, pools: &[Arc<PoolInfo>], state: &core::State) {
        for info in pools {
            let Some(pool) = state.pools.get(&info.decl.key) else { continue };
            if matches!(info.side, Side::Provider(_)) {
                self.shared.metrics.learned(&info.name, bound_share(info, pool, state));
            }
            let mut shares = BTreeMap::new();
            for (kind, meter) in info.kinds.iter().zip(&pool.meters) {
                let fullest = shares.entry(kind_name(*kind)).or_insert(0.0_f64);
                *fullest = fullest.max(meter.used() as f64 / meter.cap as f64);
            }
            for (kind, share) in shares {
                self.shared.metrics.utilisation(&info.name, kind, share);
            }
        }
    }
}

/// Routes of the admin listener.
pub fn router(desk: Arc<Desk>) -> Router {
    let guarded = Router::new()
        .route("/metrics", get(metrics))
        .route("/admin/v1/state", get(state))
        .route("/admin/v1/experiments", get(experiments::all))
        .route("/admin/v1/experiments/{*name}", get(experiments::one).put(experiments::set))
        .layer(from_fn_with_state(desk.clone(), authorised));
    guarded.merge(health()).with_state(desk)
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

/// With `admin_token` set, nothing without it.
async fn authorised(State(desk): State<Arc<Desk>>, request: Request, next: Next) -> Response<Body> {
    let snapshot = desk.shared.snapshot.load_full();
    let Some(token) = &snapshot.config.server.admin_token else { return next.run(request).await };
    let given = request.headers().get(header::AUTHORIZATION).map(HeaderValue::as_bytes).unwrap_or_default();
    let expected = format!("Bearer {}", token.expose_secret());
    if bool::from(given.ct_eq(expected.as_bytes())) {
        return next.run(request).await;
    }
    let mut refused = Response::new(Body::from("the admin token is required\n"));
    *refused.status_mut() = StatusCode::UNAUTHORIZED;
    refused.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    refused
}

async fn metrics(State(desk): State<Arc<Desk>>) -> Response<Body> {
    let (shared, snapshot) = (&desk.shared, desk.shared.snapshot.load_full());
    let overview = desk.port.overview(&keys(&snapshot)).await;
    let page = desk.page.lock();
    shared.metrics.degraded(shared.client.is_away());
    shared.metrics.in_hand(shared.calls.used(), shared.buffered.used());
    snapshot.trials.iter().for_each(|trial| shared.metrics.shares(trial));
    for (model, queue) in snapshot.model_names.iter().zip(&snapshot.queues) {
        shared.metrics.waiting(model, queue.len());
    }
    if let Ok(state) = overview {
        desk.show(&snapshot.pools, &state);
        for deployment in &snapshot.config.deployments {
            shared.metrics.circuit(&deployment.name, state.circuits.known.get(&deployment.tag));
        }
        for account in &snapshot.config.accounts {
            shared.metrics.account(&account.name, &state.circuits, account.tag);
        }
        shared.metrics.shown();
    }
    let text = shared.metrics.text();
    drop(page);
    match text {
        Ok(text) => reply("text/plain; version=0.0.4; charset=utf-8", text),
        Err(err) => failed(&err.to_string()),
    }
}

async fn state(State(desk): State<Arc<Desk>>) -> Response<Body> {
    let snapshot = desk.shared.snapshot.load_full();
    match look(&desk.port, &keys(&snapshot)).await {
        Ok((state, configs)) => {
            let page = describe(&desk.shared, &snapshot, &state, &configs);
            reply("application/json", page.to_string().into_bytes())
        }
        Err(err) => failed(&format!("the shared state is away: {err}")),
    }
}

/// Keys of the pools that the configuration knows.
fn keys(snapshot: &Snapshot) -> Vec<Arc<str>> {
    snapshot.pools.iter().map(|info| info.decl.key.clone()).collect()
}

/// By replica: the hash of its configuration, if it has told.
type Configs = BTreeMap<String, Option<String>>;

async fn look(port: &Port, keys: &[Arc<str>]) -> Result<(core::State, Configs), Away> {
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
        .map(|deployment| {
            let rest = |pool: &crate::config::PoolId| {
                let key = &snapshot.pools[pool.0].decl.key;
                state.pools.get(key).map_or(0, |pool| pool.rest_until.saturating_sub(l))
            };
            json!({
                "name": *deployment.name, "account": deployment.account.name, "model": deployment.model,
                "pools": deployment.pools.iter().map(|pool| &*snapshot.pools[pool.0].name).collect::<Vec<_>>(),
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
    let meters = |info: &PoolInfo| -> Vec<Value> {
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
    };
    let rest = |info: &PoolInfo| {
        state.pools.get(&info.decl.key).map_or(0, |pool| pool.rest_until.saturating_sub(state.now()))
    };
    let pool =
        |info: &Arc<PoolInfo>| json!({"name": *info.name, "rests_ms": rest(info), "meters": meters(info)});
    snapshot.pools.iter().map(pool).collect()
}

/// How far a meter may be used by what was learned of its provider.
fn bound(info: &PoolInfo, at: usize, meter: &core::Meter, state: &core::State) -> u64 {
    let l = state.now();
    state.learned.of(&info.decl.key, l).map_or(meter.cap, |learned| learned.bound(at, meter.cap, l).cap)
}

/// The same as a share of the cap, of all meters the lowest.
fn bound_share(info: &PoolInfo, pool: &core::Pool, state: &core::State) -> f64 {
    let share = |(at, meter): (usize, &core::Meter)| bound(info, at, meter, state) as f64 / meter.cap as f64;
    pool.meters.iter().enumerate().map(share).fold(1.0, f64::min)
}

fn kind_name(kind: MeterKind) -> &'static str {
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
    let mut response =
        reply("application/json", json!({"error": {"message": message}}).to_string().into_bytes());
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response
}
