//! HTTP around the provider: the listener, the routes, and the `/_` routes that tests use.

use super::Shared;
use super::chat;
use super::control::Change;
use super::listing;
use super::script::{Cut, Play};
use super::wire;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Largest request body in bytes.
const MAX_BODY: usize = 64 << 20;

/// Log records rendered at a time while the books are locked.
const LOG_BATCH: usize = 500;

/// Accepts connections until dropped; dropping it ends every connection.
pub(super) async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve_connection(stream, shared.clone()));
                }
                Err(error) => {
                    // Usually out of file descriptors: they come back when calls end.
                    tracing::warn!(%error, "accept failed");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve_connection(stream: TcpStream, shared: Arc<Shared>) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "no TCP_NODELAY");
    }
    let peer = stream.peer_addr().map_or(0, |addr| addr.port());
    let service = service_fn(|request| {
        let shared = shared.clone();
        async move { route(&shared, peer, request).await }
    });
    // Injected cuts and clients that leave end here: both are in the log.
    if let Err(error) = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await {
        tracing::trace!(%error, "connection ended");
    }
}

async fn route(shared: &Arc<Shared>, peer: u16, request: Request<Incoming>) -> Result<Response<Play>, Cut> {
    let (head, body) = request.into_parts();
    let Ok(body) = Limited::new(body, MAX_BODY).collect().await.map(|body| body.to_bytes()) else {
        let message = "The request body is too large or was not sent completely.";
        let body = wire::error(message, "invalid_request_error", None, None);
        return Ok(reply(StatusCode::PAYLOAD_TOO_LARGE, JSON, body));
    };
    let path = head.uri.path();
    let path = path.strip_prefix("/v1").filter(|rest| rest.starts_with('/')).unwrap_or(path);
    match (&head.method, path) {
        (&Method::POST, "/chat/completions") => chat::complete(shared, &head.headers, body, peer).await,
        (&Method::GET, "/models") => listing::list(shared, &head.headers, peer, models(shared)).await,
        (&Method::GET, "/healthz") => Ok(reply(StatusCode::OK, "text/plain", "ok\n")),
        (&Method::GET, "/_log") => Ok(log(shared, head.uri.query().unwrap_or_default())),
        (&Method::GET, "/_stats") => Ok(stats(shared)),
        (&Method::GET, "/_bodies") => Ok(reply(StatusCode::OK, JSON_LINES, shared.bodies())),
        (&Method::POST, "/_reset") => {
            shared.reset();
            Ok(reply(StatusCode::OK, JSON, "{}"))
        }
        (&Method::POST, "/_control") => Ok(control(shared, &body)),
        (&Method::GET, path) if path.starts_with("/models/") => {
            Ok(one_model(shared, path.trim_start_matches("/models/")))
        }
        (method, _) => {
            let message = format!("Invalid URL ({method} {})", head.uri.path());
            let body = wire::error(&message, "invalid_request_error", None, None);
            Ok(reply(StatusCode::NOT_FOUND, JSON, body))
        }
    }
}

const JSON: &str = "application/json";
const JSON_LINES: &str = "application/jsonl";

fn reply(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Response<Play> {
    let mut response = Response::new(Play::bytes(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn model(id: &str) -> serde_json::Value {
    json!({"id": id, "object": "model", "created": 1_700_000_000, "owned_by": wire::ORGANIZATION})
}

fn models(shared: &Shared) -> String {
    let models: Vec<_> = shared.models.iter().map(|id| model(id)).collect();
    json!({"object": "list", "data": models}).to_string()
}

fn one_model(shared: &Shared, id: &str) -> Response<Play> {
    if shared.models.is_empty() || shared.models.iter().any(|known| known == id) {
        return reply(StatusCode::OK, JSON, model(id).to_string());
    }
    reply(StatusCode::NOT_FOUND, JSON, wire::unknown_model(id))
}

/// `?since=SEQ`: from that number on. Rendered in batches, so that arrivals are not held up.
fn log(shared: &Shared, query: &str) -> Response<Play> {
    let since = query.split('&').find_map(|pair| pair.strip_prefix("since="));
    let Ok(mut next) = since.unwrap_or("0").parse::<u64>() else {
        return reply(
            StatusCode::BAD_REQUEST,
            JSON,
            wire::error("since is not a number", "invalid", None, None),
        );
    };
    let mut lines = Vec::new();
    loop {
        match shared.books.lock().log.lines(next, LOG_BATCH, &mut lines) {
            Ok(Some(after)) => next = after,
            Ok(None) => return reply(StatusCode::OK, JSON_LINES, lines),
            Err(error) => return failed(&error),
        }
    }
}

fn stats(shared: &Shared) -> Response<Play> {
    match serde_json::to_vec(&shared.stats()) {
        Ok(body) => reply(StatusCode::OK, JSON, body),
        Err(error) => failed(&error),
    }
}

fn control(shared: &Shared, body: &[u8]) -> Response<Play> {
    let changed = serde_json::from_slice::<Change>(body).map_err(|error| error.to_string());
    match changed.and_then(|change| shared.change(change)) {
        Ok(()) => reply(StatusCode::OK, JSON, "{}"),
        Err(message) => {
            reply(StatusCode::BAD_REQUEST, JSON, wire::error(&message, "invalid_request_error", None, None))
        }
    }
}

fn failed(error: &serde_json::Error) -> Response<Play> {
    let body = wire::error(&error.to_string(), "server_error", None, None);
    reply(StatusCode::INTERNAL_SERVER_ERROR, JSON, body)
}
