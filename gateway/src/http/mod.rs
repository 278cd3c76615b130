//! The edge: routes of the client listener, bodies in, errors out in the client's dialect.

pub mod admin;
pub mod connection;
mod intake;
mod pipe;
mod proxy;
pub mod reply;
pub mod server;
mod streams;
pub mod tls;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::routing::{any, get};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};
use hyper::body::Incoming;
use tower::ServiceExt;

use connection::Peer;
pub(crate) use intake::read;

use crate::dialect::openai::answer;
use crate::error::{Error, Fault, Kind};
use crate::pipeline;
use crate::shared::Worker;
use crate::telemetry::Record;

/// Serves one request of the client listener. The path that nearly every call takes is looked at first: the
/// router's boxes and clones would cost it a tenth of its time.
pub async fn handle(
    worker: Arc<Worker>,
    router: Router,
    peer: Peer,
    request: http::Request<Incoming>,
) -> Response<Body> {
    if request.method() == Method::POST && request.uri().path() == "/v1/chat/completions" {
        return chat(&worker, peer, request).await;
    }
    match router.oneshot(request.map(Body::new)).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

/// Routes of the client listener, but the one that [`handle`] serves itself.
pub fn router(worker: Arc<Worker>) -> Router {
    Router::new()
        .route("/v1/chat/completions", any(wrong_method))
        .route("/v1/models", get(models))
        .route("/v1/models/{*name}", get(model))
        .merge(health())
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        .with_state(worker)
}

fn health() -> Router<Arc<Worker>> {
    let ready = |State(worker): State<Arc<Worker>>| async move { readiness(worker.shared.is_ready()) };
    Router::new()
        .route("/livez", get(alive))
        .route("/health/liveliness", get(alive))
        .route("/readyz", get(ready))
        .route("/health/readiness", get(ready))
}

async fn alive() -> &'static str {
    "ok\n"
}

fn readiness(ready: bool) -> (StatusCode, &'static str) {
    if ready { (StatusCode::OK, "ok\n") } else { (StatusCode::SERVICE_UNAVAILABLE, "not ready\n") }
}

async fn chat(worker: &Arc<Worker>, peer: Peer, request: http::Request<Incoming>) -> Response<Body> {
    let id = ["req_", &hex::encode(fastrand::u128(..).to_be_bytes())].concat();
    let mut record = Record::new(worker.shared.metrics.clone(), id.clone());
    record.client = Some(peer.0.ip());
    let let_in = enter(worker, &mut record);
    let mut record = Some(record);
    let (head, body) = request.into_parts();
    let answer = match let_in {
        Ok(()) => pipeline::chat(worker, &head.headers, body, &mut record).await,
        Err(error) => Err(error),
    };
    let mut response = match answer {
        Ok(response) => response,
        Err(error) => {
            if let Some(record) = &mut record {
                record.status = error.kind.status().as_u16();
                record.outcome = error.kind.name();
            }
            refuse(&error, record.as_ref())
        }
    };
    stamp(response.headers_mut(), worker, &id);
    response
}

/// Counts a call among those at once, to its end.
fn enter(worker: &Worker, record: &mut Record) -> Result<(), Error> {
    let mut place = worker.shared.calls.part();
    if !place.grow(1) {
        return Err(intake::overloaded("The gateway serves as many calls as it can."));
    }
    record.place = Some(place);
    Ok(())
}

/// What every answer to a call says.
fn stamp(headers: &mut HeaderMap, worker: &Worker, id: &str) {
    headers.insert(HeaderName::from_static("x-weir-replica"), worker.shared.replica.clone());
    if let Ok(id) = HeaderValue::try_from(id) {
        headers.insert(HeaderName::from_static("x-request-id"), id);
    }
}

/// An error in OpenAI's dialect.
fn refuse(error: &Error, record: Option<&Record>) -> Response<Body> {
    let kind = error.kind;
    if kind.fault() == Fault::Gateway {
        tracing::warn!(target: "weir::call", kind = kind.name(), "call refused");
    }
    let body = match &error.body {
        Some(body) => body.clone(),
        None => {
            answer::error_body(&error.message, kind.class(), Some(kind.code()), error.param.as_deref()).into()
        }
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = kind.status();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(time) = error.retry_after {
        let seconds = time.as_millis().div_ceil(1_000).max(1) as u64;
        headers.insert(header::RETRY_AFTER, seconds.into());
        headers.insert(HeaderName::from_static("retry-after-ms"), (time.as_millis() as u64).into());
    }
    if let Some(retry) = kind.should_retry() {
        let value = HeaderValue::from_static(if retry { "true" } else { "false" });
        headers.insert(HeaderName::from_static("x-should-retry"), value);
    }
    if let Some(record) = record.filter(|record| record.attempts > 0) {
        headers.insert(HeaderName::from_static("x-weir-attempts"), u64::from(record.attempts).into());
        if let Ok(name) = HeaderValue::try_from(&*record.deployment) {
            headers.insert(HeaderName::from_static("x-weir-deployment"), name);
        }
    }
    response
}

/// The models that this key may use; wildcards are left out, for they name no model.
async fn models(State(worker): State<Arc<Worker>>, headers: HeaderMap) -> Response<Body> {
    let snapshot = worker.shared.snapshot.load_full();
    match snapshot.keys.tenant(&snapshot.config, &headers) {
        Ok(tenant) => {
            let allowed = |name: &&str| tenant.is_none_or(|t| t.models.iter().any(|p| p.matches(name)));
            let names = snapshot.config.models.iter().filter(|model| !model.wildcard).flat_map(|model| {
                std::iter::once(model.name.as_str()).chain(model.aliases.iter().map(String::as_str))
            });
            json(answer::models_json(names.filter(allowed)))
        }
        Err(error) => refuse(&error, None),
    }
}

async fn model(
    State(worker): State<Arc<Worker>>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Response<Body> {
    let snapshot = worker.shared.snapshot.load_full();
    let found = snapshot
        .keys
        .tenant(&snapshot.config, &headers)
        .and_then(|tenant| pipeline::find_model(&snapshot, tenant, &name));
    match found {
        Ok(_) => json(answer::model_json(&name)),
        Err(error) => refuse(&error, None),
    }
}

fn json(body: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

async fn unknown_path(request: Request) -> Response<Body> {
    let message = format!("Unknown request URL: {} {}.", request.method(), request.uri().path());
    refuse(&Error::new(Kind::NotFound, message), None)
}

async fn wrong_method(request: Request) -> Response<Body> {
    let message = format!("{} does not allow {}.", request.uri().path(), request.method());
    refuse(&Error::new(Kind::MethodNotAllowed, message), None)
}
