//! The edge: routes of the client listener, bodies in, errors out in the client's dialect.

pub mod admin;
mod arriving;
mod audit;
pub mod connection;
mod costs;
mod dashboard;
mod deployments;
mod experiments;
pub mod gauges;
mod intake;
mod keys;
mod models;
mod origin;
mod paths;
mod patience;
mod pipe;
pub mod proxy;
mod refusal;
pub mod reply;
pub mod server;
mod sound;
mod streams;
pub mod view;
mod waiting;
mod worded;

use std::pin::pin;
use std::sync::Arc;

use axum::body::Body;
use axum::response::IntoResponse;
use http::{HeaderValue, Method, Response, StatusCode, header};

use crate::auth::Credentials;
pub use arriving::Arriving;
use connection::Peer;
pub(crate) use intake::read;

use crate::dialect::api::Api;
use crate::dialect::voice::Voice;
use crate::error::{Error, Kind};
use crate::pipeline::stored::{self, Part};
use crate::pipeline::{self, Ask};
use crate::shared::Worker;
use crate::telemetry::trace::{Head, Within};
use crate::telemetry::{Record, names};
use paths::Place;
pub(crate) use refusal::tell;
use refusal::{refuse, stamp};
pub(crate) use waiting::Beat;
use waiting::{Answered, Wait};

/// Serves one request of the client listener.
pub async fn handle(worker: Arc<Worker>, peer: Peer, request: http::Request<Arriving>) -> Response<Body> {
    let (path, fault) = (request.uri().path(), sound::fault(&request));
    // The path that nearly every call takes is looked at first.
    if path == "/v1/chat/completions" && request.method() == Method::POST && fault.is_none() {
        return call(worker, peer, CHAT, request).await;
    }
    let query = request.uri().query().unwrap_or_default();
    let place = paths::place(path, query);
    let voice = paths::voice(place.as_ref(), path, request.headers());
    let route = place.as_ref().map(Place::route);
    let caller = |request| Caller { peer, voice, route, request };
    if let Some(error) = fault {
        return last(turned_away(&worker, &caller(&request), error));
    }
    let told = match (place, request.method()) {
        (Some(Place::Call(ask)), &Method::POST) => return call(worker, peer, ask, request).await,
        (Some(Place::Stored { id, part }), method) if part.knows(method) => {
            return stored(&worker, peer, &id, part, request).await;
        }
        (Some(Place::Models), &Method::GET) => models::list(&worker, voice, credentials(&request)).await,
        (Some(Place::Model(name)), &Method::GET) => {
            models::one(&worker, voice, &name, credentials(&request)).await
        }
        (Some(Place::Alive), &Method::GET | &Method::HEAD) => return alive().await.into_response(),
        (Some(Place::Ready), &Method::GET | &Method::HEAD) => {
            return readiness(worker.shared.is_ready()).into_response();
        }
        (Some(place), _) => return wrong_method(&worker, &caller(&request), place.methods()),
        (None, _) => Err(unknown_path(&request)),
    };
    told.map_or_else(|error| turned_away(&worker, &caller(&request), error), json)
}

/// Whose request it is, and what for.
struct Caller<'a> {
    peer: Peer,
    voice: Voice,
    /// What kind of path it names, if there is one.
    route: Option<&'static str>,
    request: &'a http::Request<Arriving>,
}

/// An answer to what is no call, or not by somebody who may make one. It is told of as calls are.
fn turned_away(worker: &Worker, caller: &Caller<'_>, error: Error) -> Response<Body> {
    let (id, record) = begin(worker, caller);
    answered(worker, caller.voice, &id, (Err(error), Some(record)))
}

const CHAT: Ask = Ask { api: Api::Chat, named: None, stream: None };

async fn alive() -> &'static str {
    "ok\n"
}

fn readiness(ready: bool) -> (StatusCode, &'static str) {
    if ready { (StatusCode::OK, "ok\n") } else { (StatusCode::SERVICE_UNAVAILABLE, "not ready\n") }
}

async fn call(worker: Arc<Worker>, peer: Peer, ask: Ask, request: http::Request<Arriving>) -> Response<Body> {
    let form = ask.form();
    let route = Some(names::route(ask.api, ask.stream.is_some()));
    let (id, record, let_in) = enter(&worker, &Caller { peer, voice: form.voice, route, request: &request });
    if let Err(error) = let_in {
        return answered(&worker, form.voice, &id, (Err(error), Some(record)));
    }
    let beat = Beat::default();
    let wait = Wait::new(serve(worker.clone(), ask, request, record, beat.clone()), beat);
    match wait.first().await {
        Ok(answer) => answered(&worker, form.voice, &id, answer),
        Err(wait) => {
            let mut response = wait.respond(form, &id);
            stamp(response.headers_mut(), form.voice, &worker.shared.replica, &id);
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
    let trace = record.as_ref().map(|record| record.trace.clone()).unwrap_or_default();
    let answer = {
        let call = pin!(pipeline::call(&worker, &ask, credentials, body, &mut record, &beat));
        in_time(&worker, Within::new(trace.context(), call)).await
    };
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
    let route = Some(Place::route_of(part));
    let caller = Caller { peer, voice: Voice::OpenAi, route, request: &request };
    let (of_request, record, let_in) = enter(worker, &caller);
    let (head, body) = request.into_parts();
    drop(body); // nobody reads it, and a client that leaves is noticed behind it
    let query = head.uri.query().unwrap_or_default();
    let ask = stored::Request { method: head.method.clone(), id, part, query };
    let mut record = Some(record);
    let answer = match let_in {
        Ok(()) => {
            let trace = record.as_ref().map(|record| record.trace.clone()).unwrap_or_default();
            let answering = pin!(stored::stored(worker, &ask, &head.headers, &mut record));
            in_time(worker, Within::new(trace.context(), answering)).await
        }
        Err(error) => Err(error),
    };
    answered(worker, Voice::OpenAi, &of_request, (answer, record))
}

fn credentials(request: &http::Request<Arriving>) -> Credentials<'_> {
    Credentials { headers: request.headers(), query: request.uri().query().unwrap_or_default() }
}

/// An answer, or in its place an error, as the client gets it.
fn answered(worker: &Worker, voice: Voice, id: &str, (answer, mut record): Answered) -> Response<Body> {
    let mut response = match answer {
        Ok(response) => response,
        Err(error) => {
            if let Some(record) = &mut record {
                record.status = error.kind.status().as_u16();
                record.outcome = error.kind.name();
            }
            refuse(&error, voice, id, record.as_ref())
        }
    };
    stamp(response.headers_mut(), voice, &worker.shared.replica, id);
    response
}

/// Begins a call's record and counts it among those at once, to its end.
fn enter(worker: &Worker, caller: &Caller<'_>) -> (String, Record, Result<(), Error>) {
    let (id, mut record) = begin(worker, caller);
    let mut place = worker.shared.calls.part();
    let let_in = if place.grow(1) {
        record.place = Some(place);
        Ok(())
    } else {
        Err(intake::overloaded("The gateway serves as many calls as it can."))
    };
    (id, record, let_in)
}

/// Begins a record, and the call's span if it is to have one.
fn begin(worker: &Worker, caller: &Caller<'_>) -> (String, Record) {
    let id = ["req_", &hex::encode(fastrand::u128(..).to_be_bytes())].concat();
    let mut record = Record::new(worker.shared.metrics.clone(), id.clone());
    let client = caller.peer.0.ip();
    (record.client, record.voice) = (Some(client), caller.voice);
    if let Some(tracing) = &worker.shared.tracing {
        let request = caller.request;
        record.trace = tracing.begin(&Head {
            method: request.method(),
            path: request.uri().path(),
            route: caller.route,
            version: request.version(),
            headers: request.headers(),
            client,
            secure: worker.shared.snapshot.load().tls.is_some(),
        });
    }
    (id, record)
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

fn wrong_method(worker: &Worker, caller: &Caller<'_>, allowed: &'static str) -> Response<Body> {
    let (path, method) = (caller.request.uri().path(), caller.request.method());
    let message = format!("{path} does not allow {method}.");
    let mut response = turned_away(worker, caller, Error::new(Kind::MethodNotAllowed, message));
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
    response
}

/// Nothing after this answer is to be believed.
fn last(mut response: Response<Body>) -> Response<Body> {
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}
