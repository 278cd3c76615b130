//! The path of one call: read the body, admit, rewrite the model's name, forward, stream back.
use crate::admit::Admit;
use crate::{Mode, Options};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Frame, SizeHint};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde::Deserialize;
use std::pin::Pin;
use std::task::{Context, Poll};

pub type BoxErr = Box<dyn std::error::Error + Send + Sync>;
pub type OutBody = UnsyncBoxBody<Bytes, BoxErr>;

const UPSTREAM_MODEL: &[u8] = b"\"mock-model-upstream\"";
/// Bodies up to this size are copied with the new name; larger ones are sent in three pieces.
const COPY_BELOW: usize = 16 << 10;

/// What a worker needs to serve calls: nothing in it is shared with another worker, except in the
/// work-stealing shape.
pub struct App {
    mode: Mode,
    upstream: Uri,
    client: Client<HttpConnector, OutBody>,
    admit: Option<Admit>,
}

impl App {
    pub async fn new(options: &Options) -> redis::RedisResult<App> {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Ok(App {
            mode: options.mode,
            upstream: options.upstream.clone(),
            client: Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(connector),
            admit: match options.mode {
                Mode::Redis => Some(Admit::connect(&options.redis).await?),
                Mode::Pass | Mode::Parse => None,
            },
        })
    }

    /// Answers one call.
    pub async fn handle<B>(&self, request: Request<B>) -> Response<OutBody>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxErr>,
    {
        let (mut head, body) = request.into_parts();
        let body = match self.mode {
            Mode::Pass => body.map_err(Into::into).boxed_unsync(),
            Mode::Parse | Mode::Redis => match self.read(body).await {
                Ok(body) => {
                    head.headers.remove(header::CONTENT_LENGTH);
                    body
                }
                Err(refusal) => return refusal,
            },
        };
        strip(&mut head.headers);
        head.headers.remove(header::HOST);
        let key = HeaderValue::from_static("Bearer sk-upstream-key-000000000000000000");
        head.headers.insert(header::AUTHORIZATION, key);
        let mut uri = self.upstream.clone().into_parts();
        uri.path_and_query = head.uri.path_and_query().cloned();
        let Ok(uri) = Uri::from_parts(uri) else { return error(StatusCode::BAD_REQUEST, "path") };
        head.uri = uri;
        match self.client.request(Request::from_parts(head, body)).await {
            Ok(answer) => {
                let mut answer = answer.map(|b| b.map_err(Into::into).boxed_unsync());
                strip(answer.headers_mut());
                answer
            }
            Err(_) => error(StatusCode::BAD_GATEWAY, "upstream"),
        }
    }

    /// Reads the whole body, reserves, and returns it with the upstream's name of the model.
    async fn read<B>(&self, body: B) -> Result<OutBody, Response<OutBody>>
    where
        B: Body<Data = Bytes>,
    {
        let bad = |m| error(StatusCode::BAD_REQUEST, m);
        let body = body.collect().await.map_err(|_| bad("body"))?.to_bytes();
        let asked: Asked = serde_json::from_slice(&body).map_err(|_| bad("json"))?;
        if let Some(admit) = &self.admit {
            let tokens =
                asked.max_tokens.or(asked.max_completion_tokens).unwrap_or(0) + body.len() as u64 / 4;
            match admit.reserve(tokens).await {
                Ok(true) => {}
                Ok(false) => return Err(error(StatusCode::TOO_MANY_REQUESTS, "limit")),
                Err(_) => return Err(error(StatusCode::SERVICE_UNAVAILABLE, "redis")),
            }
        }
        let model = asked.model.get();
        let start = model.as_ptr() as usize - body.as_ptr() as usize;
        Ok(renamed(&body, start, start + model.len()))
    }
}

#[derive(Deserialize)]
struct Asked<'a> {
    #[serde(borrow)]
    model: &'a serde_json::value::RawValue,
    #[serde(default, rename = "stream")]
    _stream: bool,
    max_tokens: Option<u64>,
    max_completion_tokens: Option<u64>,
}

/// The body with the bytes from `start` to `end` replaced by the upstream's name of the model.
fn renamed(body: &Bytes, start: usize, end: usize) -> OutBody {
    if body.len() >= COPY_BELOW {
        let pieces = [body.slice(..start), Bytes::from_static(UPSTREAM_MODEL), body.slice(end..)];
        return Spliced(pieces.map(Some)).boxed_unsync();
    }
    let mut new = BytesMut::with_capacity(body.len() + UPSTREAM_MODEL.len());
    new.extend_from_slice(&body[..start]);
    new.extend_from_slice(UPSTREAM_MODEL);
    new.extend_from_slice(&body[end..]);
    Full::new(new.freeze()).map_err(|e| match e {}).boxed_unsync()
}

/// A body in pieces, so that a large one is not copied.
struct Spliced([Option<Bytes>; 3]);

impl Body for Spliced {
    type Data = Bytes;
    type Error = BoxErr;
    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxErr>>> {
        Poll::Ready(self.0.iter_mut().find_map(Option::take).map(|b| Ok(Frame::data(b))))
    }
    fn is_end_stream(&self) -> bool {
        self.0.iter().all(Option::is_none)
    }
    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.iter().flatten().map(|b| b.len() as u64).sum())
    }
}

/// A plain answer with a text.
pub fn answer(status: StatusCode, text: impl Into<Bytes>) -> Response<OutBody> {
    let mut answer = Response::new(Full::new(text.into()).map_err(|e| match e {}).boxed_unsync());
    *answer.status_mut() = status;
    answer
}

fn error(status: StatusCode, text: &'static str) -> Response<OutBody> {
    answer(status, text)
}

fn strip(headers: &mut HeaderMap) {
    for name in [
        header::CONNECTION,
        header::TRANSFER_ENCODING,
        header::TE,
        header::TRAILER,
        header::UPGRADE,
        header::PROXY_AUTHORIZATION,
    ] {
        headers.remove(name);
    }
    headers.remove("keep-alive");
}
