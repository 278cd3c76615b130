//! Asking the services that give out tokens and credentials, and what may be said of their answers.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::SecretString;
use serde::Deserialize;

/// How long one request may take. Metadata services answer in milliseconds, token endpoints in well under a second.
const WITHIN: Duration = Duration::from_secs(5);
/// Characters of an answer's error code that are shown.
const CODE: usize = 64;
/// RFC 3986 unreserved characters stay as they are.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// An answer on its way.
pub type Answering<'a> = Pin<Box<dyn Future<Output = Result<Response<Bytes>, Unreachable>> + Send + 'a>>;

/// Sends a request and reads the whole answer, whatever its status. The only I/O over the network here.
pub trait Exchange: Send + Sync {
    /// Sends `request`, whose URL is absolute, and gives up `within` that time. The answer should be bounded: none is larger
    /// than some 16 KiB. Redirects must not be followed, and metadata services (`http:`, link-local) not be proxied.
    fn exchange(&self, request: Request<Bytes>, within: Duration) -> Answering<'_>;
}

/// Why there was no answer. The text is logged: it must name no URL, header or body.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unreachable(pub String);

/// Why a request could not be authorised. Names no secret: it may be logged and shown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// A service did not answer.
    #[error("{whom} did not answer: {why}")]
    NoAnswer {
        /// The service.
        whom: &'static str,
        /// What the transport says.
        why: String,
    },
    /// A service refused.
    #[error("{whom} answered {status}{}", coded(code))]
    Refused {
        /// The service.
        whom: &'static str,
        /// HTTP status.
        status: u16,
        /// The error code in its body, if it is a plain word; else empty.
        code: String,
    },
    /// An answer, a file or a time that cannot be used.
    #[error("{whom}: {why}")]
    Unusable {
        /// The service or file.
        whom: &'static str,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A fetch or a computation ended without a result: it panicked, or its runtime was shut down.
    #[error("making out credentials was cut short")]
    CutShort,
    /// A secret holds bytes that no header may.
    #[error("the credentials cannot stand in a header")]
    Unsendable,
    /// The request's URL has no host.
    #[error("a request without a host cannot be signed")]
    NoHost,
}

fn coded(code: &str) -> String {
    if code.is_empty() { String::new() } else { format!(" ({code})") }
}

/// One service that is asked.
#[derive(Clone, Copy)]
pub(super) struct Service<'a> {
    /// Its name in errors.
    pub(super) whom: &'static str,
    /// How it is reached.
    pub(super) by: &'a dyn Exchange,
}

impl Service<'_> {
    /// Asks and returns the body of a success.
    pub(super) async fn ask(
        self,
        method: Method,
        uri: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Bytes, Denied> {
        let uri: Uri = uri.parse().map_err(|_| self.unusable("its address is not a URL"))?;
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        // The implementation keeps the deadline; a second one here costs nothing and trusts nobody.
        let answer = tokio::time::timeout(WITHIN, self.by.exchange(request, WITHIN)).await;
        let answer = match answer {
            Ok(Ok(answer)) => answer,
            Ok(Err(err)) => return Err(Denied::NoAnswer { whom: self.whom, why: err.0 }),
            Err(_) => return Err(Denied::NoAnswer { whom: self.whom, why: "too late".to_owned() }),
        };
        let status = answer.status();
        if status.is_success() {
            return Ok(answer.into_body());
        }
        Err(Denied::Refused { whom: self.whom, status: status.as_u16(), code: error_code(answer.body()) })
    }

    /// Posts a form.
    pub(super) async fn post_form(self, uri: &str, form: Bytes) -> Result<Bytes, Denied> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        self.ask(Method::POST, uri, headers, form).await
    }

    pub(super) fn unusable(self, why: &'static str) -> Denied {
        Denied::Unusable { whom: self.whom, why }
    }
}

/// A form or query of `fields`.
pub(super) fn form(fields: &[(&str, &str)]) -> Bytes {
    let pairs = fields.iter().map(|(name, value)| format!("{name}={}", encoded(value)));
    pairs.collect::<Vec<_>>().join("&").into()
}

/// As one part of a path, query or form.
pub(super) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

/// The error code of an answer: `error` (OAuth), `error.status` (Google APIs), `code` (AWS JSON), `<Code>` (AWS XML). Free
/// text is left out, since nobody promises that it does not repeat what was sent.
fn error_code(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Body {
        error: Option<Inner>,
        #[serde(alias = "Code")]
        code: Option<String>,
    }
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Inner {
        Word(String),
        Status { status: String },
    }
    let word = match serde_json::from_slice::<Body>(body) {
        Ok(Body { error: Some(Inner::Word(word) | Inner::Status { status: word }), .. }) => Some(word),
        Ok(Body { code, .. }) => code,
        Err(_) => std::str::from_utf8(body).ok().and_then(|xml| within(xml, "Code")).map(str::to_owned),
    };
    let plain = |word: &String| {
        word.len() <= CODE && word.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
    };
    word.filter(plain).unwrap_or_default()
}

/// The text of the first element `name` in `xml`, which has no attributes. Enough for the answers of AWS STS, whose values hold
/// no markup.
pub(super) fn within<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    Some(text.trim())
}

/// A file that holds one secret; surrounding space is not part of it. Read at every fetch: the platform replaces it.
pub(super) fn secret_file(whom: &'static str, path: &std::path::Path) -> Result<SecretString, Denied> {
    let text = std::fs::read_to_string(path)
        .map_err(|_| Denied::Unusable { whom, why: "cannot be read as text" })?;
    let text = SecretString::from(text); // wiped also where it is cut
    let cut = secrecy::ExposeSecret::expose_secret(&text).trim();
    if cut.is_empty() {
        return Err(Denied::Unusable { whom, why: "is empty" });
    }
    Ok(SecretString::from(cut))
}
