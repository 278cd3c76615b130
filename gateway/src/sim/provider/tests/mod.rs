//! The provider over HTTP: what a client sees and what the log says about it.

mod answers;
mod failures;
mod limits;

use super::*;
use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::net::TcpStream;

/// A provider that answers at once, with the key `sk-a` limited as given (`rpm=..`).
async fn provider(limits: &str, change: impl FnOnce(&mut Options)) -> Handle {
    let mut options = Options {
        listen: "127.0.0.1:0".parse().unwrap(),
        keys: vec![format!("sk-a:{limits}").parse().unwrap()],
        latency: Duration::ZERO,
        pace: Duration::ZERO,
        output: "6".parse().unwrap(),
        ..Options::default()
    };
    change(&mut options);
    start(options).await.unwrap()
}

struct Got {
    status: StatusCode,
    headers: HeaderMap,
    /// What came of the body.
    body: Vec<u8>,
    /// The body came to its proper end.
    complete: bool,
}

impl Got {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The data of each event of a stream.
    fn events(&self) -> Vec<&str> {
        let text = std::str::from_utf8(&self.body).unwrap();
        text.split_terminator("\n\n").map(|event| event.strip_prefix("data: ").unwrap()).collect()
    }

    /// The deltas of the first choice.
    fn deltas(&self) -> Vec<Value> {
        let chunks = self.events().into_iter().filter_map(|event| serde_json::from_str::<Value>(event).ok());
        chunks.map(|chunk| chunk["choices"][0]["delta"].clone()).filter(|delta| !delta.is_null()).collect()
    }
}

/// One request on a connection of its own. `None`: the connection closed without an answer.
async fn request(addr: SocketAddr, method: &str, path: &str, key: &str, body: &str) -> Option<Got> {
    let stream = TcpStream::connect(addr).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, "provider")
        .header(header::AUTHORIZATION, format!("Bearer {key}"))
        .body(Full::new(Bytes::from(body.to_owned())))
        .unwrap();
    let (head, mut incoming) = sender.send_request(request).await.ok()?.into_parts();
    let (mut bytes, mut complete) = (Vec::new(), true);
    while let Some(frame) = incoming.frame().await {
        match frame {
            Ok(frame) => bytes.extend_from_slice(frame.data_ref().unwrap()),
            Err(_) => {
                complete = false;
                break;
            }
        }
    }
    connection.abort();
    Some(Got { status: head.status, headers: head.headers, body: bytes, complete })
}

fn asking(extra: Value) -> String {
    let mut body =
        json!({"model": "gpt-4o", "max_tokens": 20, "messages": [{"role": "user", "content": "hi"}]});
    body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    body.to_string()
}

async fn chat(handle: &Handle, extra: Value) -> Got {
    let got = request(handle.addr(), "POST", "/v1/chat/completions", "sk-a", &asking(extra)).await;
    got.expect("the connection was closed without an answer")
}

async fn log(handle: &Handle) -> Vec<Value> {
    let got = request(handle.addr(), "GET", "/_log", "", "").await.unwrap();
    let text = String::from_utf8(got.body).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The log once no call is in flight.
async fn settled_log(handle: &Handle) -> Vec<Value> {
    let settled = async {
        while handle.stats().keys.values().any(|key| key.in_flight > 0) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), settled).await.expect("a call is still in flight");
    log(handle).await
}

fn failing(fault: &'static str) -> impl FnOnce(&mut Options) {
    move |options| options.faults = vec![fault.parse().unwrap()]
}
