//! Requests as they go over the wire: what no client library would send, and all of what comes back.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// An answer that takes longer does not come.
const PATIENCE: Duration = Duration::from_secs(20);

/// A request.
#[derive(Clone, Debug)]
pub(super) struct Raw {
    method: String,
    target: String,
    host: String,
    headers: Vec<(String, String)>,
    body: String,
}

/// What came back.
#[derive(Clone, Debug)]
pub(super) struct Said {
    /// 0: nothing that is an answer.
    pub(super) status: u16,
    /// All of it, head and body.
    pub(super) text: String,
}

impl Said {
    /// The first header of a name; empty if there is none.
    pub(super) fn header(&self, name: &str) -> &str {
        let head = self.text.split("\r\n\r\n").next().unwrap_or_default();
        let fields = head.lines().skip(1).filter_map(|line| line.split_once(':'));
        let found = fields
            .filter(|(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
            .next();
        found.unwrap_or_default()
    }
}

impl Raw {
    pub(super) fn new(method: &str, target: &str) -> Raw {
        Raw {
            method: method.to_owned(),
            target: target.to_owned(),
            host: "weir".to_owned(),
            headers: Vec::new(),
            body: String::new(),
        }
    }

    pub(super) fn get(target: &str) -> Raw {
        Raw::new("GET", target)
    }

    pub(super) fn post(target: &str, body: &Value) -> Raw {
        let raw = Raw { body: body.to_string(), ..Raw::new("POST", target) };
        raw.header("content-type", "application/json")
    }

    /// A chat of a few words.
    pub(super) fn chat(model: &str) -> Raw {
        Raw::post("/v1/chat/completions", &chat(model))
    }

    /// With another body.
    pub(super) fn with_body(self, body: impl Into<String>) -> Raw {
        Raw { body: body.into(), ..self }
    }

    pub(super) fn header(mut self, name: &str, value: impl Into<String>) -> Raw {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub(super) fn key(self, key: &str) -> Raw {
        self.header("authorization", format!("Bearer {key}"))
    }

    pub(super) fn host(self, host: impl Into<String>) -> Raw {
        Raw { host: host.into(), ..self }
    }

    /// All of it.
    pub(super) fn text(&self) -> String {
        let mut head = format!(
            "{} {} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n",
            self.method, self.target, self.host
        );
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        format!("{head}content-length: {}\r\n\r\n{}", self.body.len(), self.body)
    }

    /// Sends it, and reads until the connection closes.
    pub(super) async fn to(&self, addr: SocketAddr) -> Result<Said> {
        let asking = async {
            let mut stream = TcpStream::connect(addr).await.context("connecting")?;
            stream.write_all(self.text().as_bytes()).await?;
            let mut all = Vec::new();
            // (A replica may close before it has read all of what it refuses: what came until then is what it says.)
            let _ = stream.read_to_end(&mut all).await;
            anyhow::Ok(all)
        };
        let all = tokio::time::timeout(PATIENCE, asking).await.context("no end of the answer")??;
        let text = String::from_utf8_lossy(&all).into_owned();
        let status = text.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok()).unwrap_or(0);
        Ok(Said { status, text })
    }

    /// The same over HTTP/2, to whoever it names as its authority.
    pub(super) async fn over_http_2(&self, addr: SocketAddr) -> Result<Said> {
        let asking = async {
            let stream = TcpStream::connect(addr).await.context("connecting")?;
            let (mut sender, connection) =
                hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
            tokio::spawn(connection); // its errors show in the request on it
            let mut request = Request::builder()
                .method(self.method.as_str())
                .uri(format!("http://{}{}", self.host, self.target));
            for (name, value) in &self.headers {
                request = request.header(name.as_str(), value.as_str());
            }
            let response =
                sender.send_request(request.body(Full::new(Bytes::from(self.body.clone())))?).await?;
            let (head, body) = response.into_parts();
            let mut text = format!("HTTP/2 {}\r\n", head.status.as_u16());
            for (name, value) in &head.headers {
                text.push_str(&format!("{name}: {}\r\n", String::from_utf8_lossy(value.as_bytes())));
            }
            let body = body.collect().await?.to_bytes();
            anyhow::Ok(Said {
                status: head.status.as_u16(),
                text: format!("{text}\r\n{}", String::from_utf8_lossy(&body)),
            })
        };
        tokio::time::timeout(PATIENCE, asking).await.context("no end of the answer")?
    }
}

/// A chat's body.
pub(super) fn chat(model: &str) -> Value {
    json!({ "model": model, "max_tokens": 4, "messages": [{ "role": "user", "content": "word word word word" }] })
}
