//! Who listens: a provider that keeps responses, or says to look elsewhere; and one whom nobody may call.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Result, ensure};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};

/// The key that replicas have for the provider.
pub(super) const UPSTREAM_KEY: &str = "sk-up-keeper";

/// Hears whoever connects; nobody may.
pub(super) struct Canary {
    addr: SocketAddr,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Canary {
    pub(super) async fn start() -> Result<Canary> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let (addr, heard) = (listener.local_addr()?, Arc::new(Mutex::new(Vec::new())));
        let hears = heard.clone();
        tokio::spawn(async move {
            while let Ok((stream, peer)) = listener.accept().await {
                // The connection alone is too much; what is said on it is added.
                lock(&hears).push(format!("a connection from {peer}"));
                tokio::spawn(first_words(stream, hears.clone()));
            }
        });
        Ok(Canary { addr, heard })
    }

    /// Where it listens.
    pub(super) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Fails if anybody has come.
    pub(super) fn must_be_silent(&self, after: &str) -> Result<()> {
        let heard = lock(&self.heard).clone();
        ensure!(
            heard.is_empty(),
            "{after:?} made somebody call an address that no configuration names: {heard:?}"
        );
        Ok(())
    }
}

async fn first_words(mut stream: TcpStream, heard: Arc<Mutex<Vec<String>>>) {
    let mut words = vec![0; 1_024];
    if let Ok(Ok(read)) = tokio::time::timeout(Duration::from_secs(1), stream.read(&mut words)).await {
        lock(&heard).push(String::from_utf8_lossy(&words[..read]).into_owned());
    }
}

/// A request as the provider saw it.
#[derive(Clone, Debug)]
pub(super) struct Arrived {
    pub(super) method: Method,
    pub(super) target: String,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

/// How it answers.
#[derive(Clone, Debug, Default)]
pub(super) enum Mood {
    /// Responses are kept, and read to whoever has its key. What is no response is refused as malformed.
    #[default]
    Keeps,
    /// Everything with this status, and these headers.
    Says(u16, Vec<(&'static str, String)>),
    /// Never, while a test lasts.
    Dawdles,
}

#[derive(Default)]
struct Shelf {
    /// By id, what was put in.
    kept: BTreeMap<String, String>,
    log: Vec<Arrived>,
    mood: Mood,
}

/// A provider of the Responses API.
pub(super) struct Keeper {
    addr: SocketAddr,
    shelf: Arc<Mutex<Shelf>>,
}

impl Keeper {
    pub(super) async fn start() -> Result<Keeper> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let (addr, shelf) = (listener.local_addr()?, Arc::new(Mutex::new(Shelf::default())));
        let shared = shelf.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shared = shared.clone();
                let service = service_fn(move |request| answer(shared.clone(), request));
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Ok(Keeper { addr, shelf })
    }

    pub(super) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// From now on it answers so.
    pub(super) fn turn(&self, mood: Mood) {
        lock(&self.shelf).mood = mood;
    }

    /// All that came.
    pub(super) fn log(&self) -> Vec<Arrived> {
        lock(&self.shelf).log.clone()
    }

    /// Returns when so many have come.
    pub(super) async fn heard(&self, many: usize) {
        while self.log().len() < many {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Has it this response still?
    pub(super) fn keeps(&self, id: &str) -> bool {
        lock(&self.shelf).kept.contains_key(id)
    }

    /// It in a configuration, as an OpenAI account and a model `kept`.
    pub(super) fn config(&self) -> String {
        format!(
            "[[accounts]]\nname = \"keeper\"\nprovider = \"openai\"\nbase_url = \"http://{}/v1\"\napi_key = \"{UPSTREAM_KEY}\"\n\
             [[deployments]]\nname = \"keeper\"\naccount = \"keeper\"\nmodel = \"up-keeper\"\nmax_output = 64\n\
             [[models]]\nname = \"kept\"\ndeployments = [\"keeper\"]\n",
            self.addr
        )
    }
}

async fn answer(
    shelf: Arc<Mutex<Shelf>>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let body = String::from_utf8_lossy(&body).into_owned();
    let mood = {
        let mut shelf = lock(&shelf);
        shelf.log.push(Arrived {
            method: head.method.clone(),
            target: head.uri.to_string(),
            headers: head.headers,
            body: body.clone(),
        });
        shelf.mood.clone()
    };
    if let Mood::Dawdles = mood {
        std::future::pending::<()>().await;
    }
    if let Mood::Says(status, headers) = mood {
        let mut response =
            json_of(status, &json!({ "error": { "message": "look elsewhere", "type": "moved" } }));
        for (name, value) in headers {
            if let Ok(value) = value.parse::<http::HeaderValue>() {
                response.headers_mut().append(name, value);
            }
        }
        return Ok(response);
    }
    Ok(lock(&shelf).serve(&head.method, head.uri.path(), &body))
}

impl Shelf {
    fn serve(&mut self, method: &Method, path: &str, body: &str) -> Response<Full<Bytes>> {
        if path == "/v1/responses" && method == Method::POST {
            let id = format!("resp_{:032x}", fastrand::u128(..));
            let asked: Value = serde_json::from_str(body).unwrap_or_default();
            self.kept.insert(id.clone(), asked["input"].to_string());
            return json_of(200, &whole(&id, "done"));
        }
        let Some(rest) = path.strip_prefix("/v1/responses/") else {
            return json_of(
                400,
                &json!({ "error": { "message": "no such thing", "type": "invalid_request_error" } }),
            );
        };
        let (id, part) = rest.split_once('/').unwrap_or((rest, ""));
        let Some(put_in) = self.kept.get(id).cloned() else {
            return json_of(
                404,
                &json!({ "error": { "message": "no such response", "type": "invalid_request_error" } }),
            );
        };
        if method == Method::DELETE {
            self.kept.remove(id);
            return json_of(200, &json!({ "id": id, "object": "response", "deleted": true }));
        }
        match part {
            "input_items" => json_of(200, &json!({ "object": "list", "data": [put_in] })),
            _ => json_of(200, &whole(id, &put_in)),
        }
    }
}

fn whole(id: &str, text: &str) -> Value {
    let content = json!([{ "type": "output_text", "text": text, "annotations": [] }]);
    json!({
        "id": id, "object": "response", "created_at": 1, "status": "completed", "model": "up-keeper", "error": null,
        "output": [{ "id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": content }],
        "usage": { "input_tokens": 5, "output_tokens": 2, "total_tokens": 7 },
    })
}

fn json_of(status: u16, body: &Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert("content-type", http::HeaderValue::from_static("application/json"));
    response
}

/// Locks though another task may have panicked: what is inside is only ever added to.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
