//! The edge: routes of the client listener, bodies in, errors out in the client's dialect.

pub mod admin;
mod arriving;
pub mod connection;
mod intake;
mod paths;
mod pipe;
pub mod proxy;
pub mod reply;
pub mod server;
mod sound;
mod streams;
mod waiting;
mod worded;

use std::sync::Arc;

use axum::body::Body;
use axum::response::IntoResponse;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};

use crate::auth::Credentials;
pub use arriving::Arriving;
use connection::Peer;
pub(crate) use intake::read;

use crate::dialect::openai::answer;
use crate::dialect::openai::api::Api;
use crate::dialect::openai::limits::Left;
use crate::error::{Error, Fault, Kind};
use crate::pipeline::stored::{self, Part};
use crate::pipeline::{self, Ask};
use crate::shared::Worker;
use crate::telemetry::Record;
use paths::Place;
pub(crate) use waiting::Beat;
use waiting::{Answered, Wait};

/// Serves one request of the client listener.
pub async fn handle(worker: Arc<Worker>, peer: Peer, request: http::Request<Arriving>) -> Response<Body> {
    if let Some(error) = sound::fault(&request) {
        return last(turned_away(&worker, peer, error));
    }
    let path = request.uri().path();
    // The path that nearly every call takes is looked at first.
    if path == "/v1/chat/completions" && request.method() == Method::POST {
        return call(worker, peer, CHAT, request).await;
    }
    let told = match (paths::place(path), request.method()) {
        (Some(Place::Call(ask)), &Method::POST) => return call(worker, peer, ask, request).await,
        (Some(Place::Stored { id, part }), method) if part.knows(method) => {
            return stored(&worker, peer, &id, part, request).await;
        }
        (Some(Place::Models), &Method::GET) => models(&worker, credentials(&request)),
        (Some(Place::Model(name)), &Method::GET) => model(&worker, &name, credentials(&request)),
        (Some(Place::Alive), &Method::GET | &Method::HEAD) => return alive().await.into_response(),
        (Some(Place::Ready), &Method::GET | &Method::HEAD) => {
            return readiness(worker.shared.is_ready()).into_response();
        }
        (Some(place), _) => return wrong_method(&worker, peer, &request, place.methods()),
        (None, _) => Err(unknown_path(&request)),
    };
    told.map_or_else(|error| turned_away(&worker, peer, error), json)
}

/// An answer to what is no call, or not by somebody who may make one. It is told of as calls are.
fn turned_away(worker: &Worker, peer: Peer, error: Error) -> Response<Body> {
    let (id, record) = begin(worker, peer);
    answered(worker, &id, (Err(error), Some(record)))
}

const CHAT: Ask = Ask { api: Api::Chat, named: None };

async fn alive() -> &'static str {
    "ok\n"
}

fn readiness(ready: bool) -> (StatusCode, &'static str) {
    if ready { (StatusCode::OK, "ok\n") } else { (StatusCode::SERVICE_UNAVAILABLE, "not ready\n") }
}

async fn call(worker: Arc<Worker>, peer: Peer, ask: Ask, request: http::Request<Arriving>) -> Response<Body> {
    let (id, record, let_in) = enter(&worker, peer);
    if let Err(error) = let_in {
        return answered(&worker, &id, (Err(error), Some(record)));
    }
    let beat = Beat::default();
    let wait = Wait::new(serve(worker.clone(), ask, request, record, beat.clone()), beat);
    match wait.first().await {
        Ok(answer) => answered(&worker, &id, answer),
        Err(wait) => {
            let mut response = wait.respond();
            stamp(response.headers_mut(), &worker, &id);
            response
        }
    }
}

async fn serve(
    worker: Arc<Worker>,
    ask: Ask,
    request: http::Request<Arriving>,
    record: Record,
    beat: Beat,
) -> Answered {
    let (head, body) = request.into_parts();
    let credentials = Credentials { headers: &head.headers, query: head.uri.query().unwrap_or_default() };
    let mut record = Some(record);
    let call = pipeline::call(&worker, &ask, credentials, body, &mut record, &beat);
    let answer = in_time(&worker, call).await;
    (answer, record)
}

/// What a call answers, or that the grace was over before.
async fn in_time(
    worker: &Worker,
    answering: impl Future<Output = Result<Response<Body>, Error>>,
) -> Result<Response<Body>, Error> {
    tokio::select! {
        biased;
        answer = answering => answer,
        () = worker.over.said() => Err(Error::draining()),
    }
}

async fn stored(
    worker: &Arc<Worker>,
    peer: Peer,
    id: &str,
    part: Part,
    request: http::Request<Arriving>,
) -> Response<Body> {
    let (head, body) = request.into_parts();
    drop(body); // nobody reads it, and a client that leaves is noticed behind it
    let query = head.uri.query().unwrap_or_default();
    let ask = stored::Request { method: head.method.clone(), id, part, query };
    let (id, record, let_in) = enter(worker, peer);
    let mut record = Some(record);
    let answer = match let_in {
        Ok(()) => in_time(worker, stored::stored(worker, &ask, &head.headers, &mut record)).await,
        Err(error) => Err(error),
    };
    answered(worker, &id, (answer, record))
}

fn credentials(request: &http::Request<Arriving>) -> Credentials<'_> {
    Credentials { headers: request.headers(), query: request.uri().query().unwrap_or_default() }
}

/// An answer, or in its place an error, as the client gets it.
fn answered(worker: &Worker, id: &str, (answer, mut record): Answered) -> Response<Body> {
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
    stamp(response.headers_mut(), worker, id);
    response
}

/// Begins a call's record and counts it among those at once, to its end.
fn enter(worker: &Worker, peer: Peer) -> (String, Record, Result<(), Error>) {
    let (id, mut record) = begin(worker, peer);
    let mut place = worker.shared.calls.part();
    let let_in = if place.grow(1) {
        record.place = Some(place);
        Ok(())
    } else {
        Err(intake::overloaded("The gateway serves as many calls as it can."))
    };
    (id, record, let_in)
}

/// Begins a record.
fn begin(worker: &Worker, peer: Peer) -> (String, Record) {
    let id = ["req_", &hex::encode(fastrand::u128(..).to_be_bytes())].concat();
    let mut record = Record::new(worker.shared.metrics.clone(), id.clone());
    record.client = Some(peer.0.ip());
    (id, record)
}

/// What every answer to a call says.
fn stamp(headers: &mut HeaderMap, worker: &Worker, id: &str) {
    headers.insert(HeaderName::from_static("x-weir-replica"), worker.shared.replica.clone());
    if let Ok(id) = HeaderValue::try_from(id) {
        headers.insert(HeaderName::from_static("x-request-id"), id);
    }
}

/// What the tenant has left, and why its call went where it went if it asks.
pub(crate) fn tell(headers: &mut HeaderMap, record: &Record) {
    let mut put = |name: &'static str, value: String| {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    for (name, value) in record.left.iter().flat_map(Left::headers) {
        put(name, value);
    }
    if record.explanation.wanted {
        put("x-weir-explain", record.explanation.header());
    }
}

/// An error in OpenAI's dialect.
fn refuse(error: &Error, record: Option<&Record>) -> Response<Body> {
    let kind = error.kind;
    let mut response = Response::new(Body::from(worded(error)));
    *response.status_mut() = kind.status();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(time) = error.retry_after {
        let seconds = time.as_millis().div_ceil(1_000).max(1) as u64;
        headers.insert(header::RETRY_AFTER, seconds.into());
        headers.insert(HeaderName::from_static("retry-after-ms"), (time.as_millis() as u64).into());
    }
    if kind.is_final() {
        headers.insert(HeaderName::from_static("x-should-retry"), HeaderValue::from_static("false"));
    }
    if let Some(record) = record {
        tell(headers, record);
    }
    if let Some(record) = record.filter(|record| record.attempts > 0) {
        headers.insert(HeaderName::from_static("x-weir-attempts"), u64::from(record.attempts).into());
        if let Ok(name) = HeaderValue::try_from(&*record.deployment) {
            headers.insert(HeaderName::from_static("x-weir-deployment"), name);
        }
    }
    response
}

/// What the client is told of an error.
fn worded(error: &Error) -> Bytes {
    let kind = error.kind;
    // One that is shed has its own line, and there may be many.
    if kind.fault() == Fault::Gateway && kind != Kind::Overloaded {
        tracing::warn!(target: "weir::call", kind = kind.name(), "call refused");
    }
    if let Some(raw) = &error.raw {
        return raw.clone();
    }
    let body = match &error.said {
        Some(said) => answer::error_body(
            &said.message,
            said.kind.as_deref().unwrap_or(kind.class()),
            said.code.as_deref(),
            said.param.as_deref(),
        ),
        None => answer::error_body(&error.message, kind.class(), Some(kind.code()), error.param.as_deref()),
    };
    body.into()
}

/// The models that this key may use; wildcards are left out, for they name no model.
fn models(worker: &Worker, credentials: Credentials<'_>) -> Result<Vec<u8>, Error> {
    let snapshot = worker.shared.snapshot.load_full();
    let tenant = snapshot.keys.tenant(&snapshot.config, credentials)?;
    let allowed = |name: &&str| tenant.is_none_or(|t| t.models.iter().any(|p| p.matches(name)));
    let models = snapshot.config.models.iter().filter(|model| !model.wildcard);
    let names = models.flat_map(|model| {
        std::iter::once(model.name.as_str()).chain(model.aliases.iter().map(String::as_str))
    });
    Ok(answer::models_json(names.filter(allowed)))
}

fn model(worker: &Worker, name: &str, credentials: Credentials<'_>) -> Result<Vec<u8>, Error> {
    let snapshot = worker.shared.snapshot.load_full();
    let tenant = snapshot.keys.tenant(&snapshot.config, credentials)?;
    pipeline::find_model(&snapshot, tenant, name)?;
    Ok(answer::model_json(name))
}

fn json(body: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn unknown_path(request: &http::Request<Arriving>) -> Error {
    let message = format!("Unknown request URL: {} {}.", request.method(), request.uri().path());
    Error::new(Kind::NotFound, message)
}

fn wrong_method(
    worker: &Worker,
    peer: Peer,
    request: &http::Request<Arriving>,
    allowed: &'static str,
) -> Response<Body> {
    let message = format!("{} does not allow {}.", request.uri().path(), request.method());
    let mut response = turned_away(worker, peer, Error::new(Kind::MethodNotAllowed, message));
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
    response
}

/// Nothing after this answer is to be believed.
fn last(mut response: Response<Body>) -> Response<Body> {
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}
