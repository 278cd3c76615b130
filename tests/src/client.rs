//! An OpenAI client of few words: one chat completion at a time over kept-alive connections, each answer read to
//! its end and remembered with what the tests ask about.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

/// A call that takes longer counts as hung.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// Calls per connection; then another is opened, so that load reaches replicas that came later.
const CALLS_PER_CONNECTION: u32 = 40;

/// One chat completion to ask for.
#[derive(Clone, Debug)]
pub struct Ask {
    model: String,
    stream: bool,
    max_tokens: Option<u64>,
    headers: Vec<(&'static str, String)>,
    members: Vec<(&'static str, Value)>,
}

impl Ask {
    /// A plain call to `model`.
    pub fn new(model: &str) -> Ask {
        Ask {
            model: model.to_owned(),
            stream: false,
            max_tokens: None,
            headers: Vec::new(),
            members: Vec::new(),
        }
    }

    /// Streamed, or not.
    pub fn streamed(mut self, stream: bool) -> Ask {
        self.stream = stream;
        self
    }

    /// With a bound on its output, tokens.
    pub fn max_tokens(mut self, most: u64) -> Ask {
        self.max_tokens = Some(most);
        self
    }

    /// With a key.
    pub fn key(self, key: &str) -> Ask {
        self.header("authorization", format!("Bearer {key}"))
    }

    /// As a turn of a session.
    pub fn session(self, name: String) -> Ask {
        self.header("x-session-id", name)
    }

    /// With a member of its body, in place of the usual one of the name.
    pub fn member(mut self, name: &'static str, value: Value) -> Ask {
        self.members.push((name, value));
        self
    }

    /// Whose user says this.
    pub fn saying(self, content: impl Into<Value>) -> Ask {
        let content: Value = content.into();
        self.member("messages", json!([{ "role": "user", "content": content }]))
    }

    /// With a header.
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Ask {
        self.headers.push((name, value.into()));
        self
    }

    fn request(&self) -> Result<Request<Full<Bytes>>> {
        // Text of which gateway and provider count the same tokens: a letter class for four characters a token.
        let messages = json!([{ "role": "user", "content": "word word word word word word word word" }]);
        let mut body = json!({ "model": self.model, "messages": messages, "stream": self.stream });
        if let Some(most) = self.max_tokens {
            body["max_tokens"] = most.into();
        }
        for (name, value) in &self.members {
            body[*name] = value.clone();
        }
        let mut request = Request::post("/v1/chat/completions").header("content-type", "application/json");
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        Ok(request.header("host", "weir").body(Full::new(Bytes::from(body.to_string())))?)
    }
}

/// What came of a call.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// When it was sent, Unix microseconds.
    pub sent_us: u64,
    /// From sending to the end of the answer.
    pub took: Duration,
    /// Status; 0: no answer came.
    pub status: u16,
    /// Header `x-weir-deployment`.
    pub deployment: String,
    /// Header `x-weir-session`.
    pub session: String,
    /// Header `x-weir-replica`.
    pub replica: String,
    /// Header `x-weir-attempts`.
    pub attempts: u32,
    /// Header `retry-after`, seconds.
    pub retry_after: Option<u64>,
    /// Header `retry-after-ms`.
    pub retry_after_ms: Option<u64>,
    /// Header `connection: close`.
    pub closes: bool,
    /// All headers.
    pub headers: HeaderMap,
    /// It is a stream.
    pub streamed: bool,
    /// The stream ended with `[DONE]`.
    pub done: bool,
    /// The stream held an error event.
    pub error_event: bool,
    /// Why there is no complete answer.
    pub broken: Option<String>,
    /// The body, if it was not a stream.
    pub body: Bytes,
}

impl Answer {
    /// A complete answer with content: a plain one, or a stream with its proper end.
    pub fn is_good(&self, streamed: bool) -> bool {
        self.status == 200 && self.broken.is_none() && !self.error_event && self.done == streamed
    }

    /// When it ended, Unix microseconds.
    pub fn ended_us(&self) -> u64 {
        self.sent_us + u64::try_from(self.took.as_micros()).unwrap_or(u64::MAX)
    }

    /// A header's text; empty if there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    fn note_head(&mut self, status: u16, headers: &HeaderMap) {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        self.status = status;
        self.deployment = text("x-weir-deployment").to_owned();
        self.session = text("x-weir-session").to_owned();
        self.replica = text("x-weir-replica").to_owned();
        self.closes = text("connection") == "close";
        self.attempts = text("x-weir-attempts").parse().unwrap_or_default();
        self.retry_after = text("retry-after").parse().ok();
        self.retry_after_ms = text("retry-after-ms").parse().ok();
        self.headers = headers.clone();
    }
}

/// Kept-alive connections to one address.
#[derive(Debug)]
pub struct Client {
    addr: SocketAddr,
    idle: Mutex<Vec<Connection>>,
}

#[derive(Debug)]
struct Connection {
    sender: SendRequest<Full<Bytes>>,
    used: u32,
}

impl Client {
    /// A client of whoever listens at `addr`.
    pub fn new(addr: SocketAddr) -> Client {
        Client { addr, idle: Mutex::default() }
    }

    /// Where it connects.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Makes one call and reads the whole answer.
    pub async fn call(&self, ask: &Ask) -> Answer {
        let mut answer = Answer { sent_us: unix_us(), ..Answer::default() };
        match tokio::time::timeout(PATIENCE, self.exchange(ask, &mut answer)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => answer.broken = Some(format!("{error:#}")),
            Err(_) => answer.broken = Some(format!("no end within {PATIENCE:?}")),
        }
        answer.took = Duration::from_micros(unix_us().saturating_sub(answer.sent_us));
        answer
    }

    /// Makes a streamed call and goes away after `frames` frames of content. Returns the status.
    pub async fn call_and_leave(&self, ask: &Ask, frames: usize) -> Result<u16> {
        let mut connection = self.open().await?;
        let response = connection.sender.send_request(ask.request()?).await?;
        let status = response.status().as_u16();
        let (mut body, mut seen) = (response.into_body(), 0);
        while seen < frames {
            let frame = body.frame().await.context("the stream ended before")??;
            let data = frame.into_data().unwrap_or_default();
            seen += data.windows(9).filter(|piece| piece == b"\"content\"").count();
        }
        Ok(status) // dropping the connection closes it
    }

    async fn exchange(&self, ask: &Ask, answer: &mut Answer) -> Result<()> {
        let mut connection = self.connection().await?;
        let response = connection.sender.send_request(ask.request()?).await?;
        answer.note_head(response.status().as_u16(), response.headers());
        answer.streamed = is_stream(&response);
        let body = read(response.into_body(), answer).await?;
        if !answer.streamed {
            answer.body = body;
        }
        connection.used += 1;
        if connection.used < CALLS_PER_CONNECTION {
            lock(&self.idle).push(connection);
        }
        Ok(())
    }

    async fn connection(&self) -> Result<Connection> {
        loop {
            let Some(mut connection) = lock(&self.idle).pop() else { return self.open().await };
            if connection.sender.ready().await.is_ok() {
                return Ok(connection);
            }
        }
    }

    async fn open(&self) -> Result<Connection> {
        Ok(Connection { sender: connect(self.addr).await?, used: 0 })
    }
}

async fn connect(addr: SocketAddr) -> Result<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(addr).await.context("connecting")?;
    stream.set_nodelay(true)?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection); // its errors show in the calls on it
    Ok(sender)
}

fn is_stream(response: &Response<Incoming>) -> bool {
    let kind = response.headers().get("content-type").and_then(|value| value.to_str().ok());
    kind.is_some_and(|kind| kind.starts_with("text/event-stream"))
}

/// Reads a body to its end; of a stream, only notes how it ends.
async fn read(mut body: Incoming, answer: &mut Answer) -> Result<Bytes> {
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let data = frame?.into_data().unwrap_or_default();
        all.extend_from_slice(&data);
    }
    if answer.streamed {
        let text = String::from_utf8_lossy(&all);
        let events: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
        answer.done = events.last() == Some(&"[DONE]");
        answer.error_event = events.iter().any(|event| event.starts_with("{\"error\""));
    }
    Ok(all.freeze())
}

/// GET, with a connection of its own.
pub async fn get(addr: SocketAddr, path: &str) -> Result<(u16, Bytes)> {
    fetch(addr, Method::GET, path, String::new()).await
}

/// GET by who has an operator's token; of an answer that does not end, what has come within `time`.
pub async fn get_by(addr: SocketAddr, path: &str, token: &str, time: Duration) -> Result<(u16, Bytes)> {
    let request =
        Request::get(path).header("host", "weir").header("authorization", format!("Bearer {token}"));
    let response = connect(addr).await?.send_request(request.body(Full::new(Bytes::new()))?).await?;
    let (status, mut body, mut all) = (response.status().as_u16(), response.into_body(), BytesMut::new());
    let reading = async {
        while let Some(frame) = body.frame().await {
            all.extend_from_slice(&frame?.into_data().unwrap_or_default());
        }
        Ok::<_, hyper::Error>(())
    };
    if let Ok(read) = tokio::time::timeout(time, reading).await {
        read?;
    }
    Ok((status, all.freeze()))
}

/// POST of JSON, with a connection of its own.
pub async fn post(addr: SocketAddr, path: &str, body: String) -> Result<(u16, Bytes)> {
    fetch(addr, Method::POST, path, body).await
}

/// DELETE, with a connection of its own.
pub async fn delete(addr: SocketAddr, path: &str) -> Result<(u16, Bytes)> {
    fetch(addr, Method::DELETE, path, String::new()).await
}

/// PUT of JSON, with a connection of its own.
pub async fn put(addr: SocketAddr, path: &str, body: String) -> Result<(u16, Bytes)> {
    fetch(addr, Method::PUT, path, body).await
}

async fn fetch(addr: SocketAddr, method: Method, path: &str, body: String) -> Result<(u16, Bytes)> {
    // (By its address, for that is how a listener without a token lets itself be changed.)
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", addr.to_string())
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(body)))?;
    let exchange = async {
        let response = connect(addr).await?.send_request(request).await?;
        let status = response.status().as_u16();
        Ok((status, response.into_body().collect().await?.to_bytes()))
    };
    match tokio::time::timeout(PATIENCE, exchange).await {
        Ok(outcome) => outcome,
        Err(_) => bail!("{path} has not answered within {PATIENCE:?}"),
    }
}

/// Does a GET answer with 200, soon?
pub async fn says_200(addr: SocketAddr, path: &str) -> bool {
    let asked = tokio::time::timeout(Duration::from_secs(1), get(addr, path)).await;
    matches!(asked, Ok(Ok((200, _))))
}

/// Now, Unix microseconds: the clock of the providers' logs.
pub fn unix_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// Locks though another test thread may have panicked: the data is only ever replaced as a whole.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
