//! A very fast OpenAI-compatible upstream for benchmarks: as little work per call as possible, so that
//! what is in front of it is what is measured. It keeps no limits; `weir provider` is the strict one.
//!
//!   POST <any path>   answers as a chat completion, as a stream when the body has "stream":true
//!   GET  /v1/models   one model
//!   GET  /__counters  calls, streams, aborted streams and calls in flight, as JSON
//!   POST /__ctl?latency_ms=..&chunks=..&delay_ms=..   changes the settings
//!
//! Command line: --listen 127.0.0.1:9100, and any setting above as --latency-ms 5 and so on.
mod answer;
mod upstream;

use answer::Answer;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use upstream::{InFlight, Upstream};

fn main() {
    let mut listen = "127.0.0.1:9100".to_string();
    let upstream = Arc::new(Upstream::default());
    let mut args = std::env::args().skip(1);
    while let (Some(name), Some(value)) = (args.next(), args.next()) {
        let setting = name.trim_start_matches('-').replace('-', "_");
        if setting == "listen" {
            listen = value;
        } else if !upstream.set(&setting, &value) {
            panic!("unknown option {name} {value}");
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("runtime").block_on(serve(&listen, upstream));
}

async fn serve(listen: &str, upstream: Arc<Upstream>) {
    let listener = tokio::net::TcpListener::bind(listen).await.expect("listen");
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let _ = stream.set_nodelay(true);
        let upstream = upstream.clone();
        tokio::spawn(async move {
            let service = service_fn(move |r| handle(upstream.clone(), r));
            let http = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), service);
            let _ = http.await;
        });
    }
}

async fn handle(upstream: Arc<Upstream>, request: Request<Incoming>) -> Result<Response<Answer>, Infallible> {
    if request.uri().path().starts_with("/__") || request.method() == Method::GET {
        return Ok(control(&upstream, &request));
    }
    upstream.calls.fetch_add(1, Relaxed);
    let in_flight = InFlight::new(&upstream);
    let Ok(body) = read(request.into_body()).await else {
        return Ok(json(StatusCode::BAD_REQUEST, "{}"));
    };
    let latency = upstream.latency_ms.load(Relaxed);
    if latency > 0 {
        tokio::time::sleep(Duration::from_millis(latency)).await;
    }
    if !asks_for_stream(&body) {
        return Ok(json(StatusCode::OK, answer::FULL));
    }
    let mut response = Response::new(Answer::stream(in_flight));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Ok(response)
}

/// The whole body; one that came in a single frame is not copied.
async fn read(mut body: Incoming) -> Result<Bytes, hyper::Error> {
    let mut first = Bytes::new();
    let mut rest: Vec<u8> = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        if first.is_empty() && rest.is_empty() {
            first = data;
            continue;
        }
        if rest.is_empty() {
            rest.extend_from_slice(&first);
        }
        rest.extend_from_slice(&data);
    }
    Ok(if rest.is_empty() { first } else { rest.into() })
}

/// Looks for `"stream": true` as text: parsing JSON here would cost more than all the rest.
fn asks_for_stream(body: &[u8]) -> bool {
    memchr::memmem::find_iter(body, b"\"stream\"").any(|at| {
        let rest = body[at + b"\"stream\"".len()..].trim_ascii_start();
        rest.strip_prefix(b":").is_some_and(|value| value.trim_ascii_start().starts_with(b"true"))
    })
}

fn control(upstream: &Upstream, request: &Request<Incoming>) -> Response<Answer> {
    match request.uri().path() {
        "/__ctl" => {
            for pair in request.uri().query().unwrap_or("").split('&').filter(|p| !p.is_empty()) {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                if !upstream.set(name, value) {
                    return json(StatusCode::BAD_REQUEST, format!("{{\"unknown\":\"{name}\"}}"));
                }
            }
            json(StatusCode::OK, "{}")
        }
        "/__counters" => json(StatusCode::OK, upstream.counters()),
        path if path.ends_with("/models") => json(StatusCode::OK, answer::MODELS),
        _ => json(StatusCode::NOT_FOUND, "{}"),
    }
}

fn json(status: StatusCode, text: impl Into<Bytes>) -> Response<Answer> {
    let mut response = Response::new(Answer::full(text.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
