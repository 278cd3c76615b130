//! Hostile requests: generated from grammars and from mutations of valid ones. Each kind knows, by what it did to the
//! request, what the right answer is; nothing of the gateway's is asked.

pub(crate) mod bodies;
pub(crate) mod framing;
pub(crate) mod headers;
pub(crate) mod judge;
pub(crate) mod run;
pub(crate) mod targets;

use fastrand::Rng;

use crate::endpoints::{ENDPOINTS, Endpoint};
use crate::gate::{CLIENT_KEY, LANES};

/// What must come of a request.
#[derive(Clone, Debug)]
pub(crate) enum Expect {
    /// Served, and the provider got exactly this body.
    Served(Vec<u8>),
    /// Answered with one of these statuses and an error of OpenAI's shape; nothing reaches a provider.
    Refused(&'static [u16]),
    /// HTTP leaves it open: refused so, or served once with this body.
    Either(&'static [u16], Vec<u8>),
    /// HTTP allows no answer, or nobody may be there to read it: none, or an error; nothing reaches a provider.
    Nothing,
}

/// What must become of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    /// It goes on: the next call on it is served.
    Open,
    /// It is closed with nothing more on it: nobody can know where the next request begins.
    Closed,
    /// One of both.
    Any,
}

/// One hostile request.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    /// Names the call in what providers see.
    pub(crate) id: String,
    /// Which generator made it.
    pub(crate) kind: &'static str,
    /// What it asks for.
    pub(crate) endpoint: &'static Endpoint,
    /// What is sent.
    pub(crate) sends: Vec<u8>,
    /// Then the client closes its side.
    pub(crate) leaves: bool,
    /// The answer has no body (HEAD).
    pub(crate) bodiless: bool,
    /// The answer.
    pub(crate) expect: Expect,
    /// The connection.
    pub(crate) after: After,
    /// The next call is sent with it, before its answer.
    pub(crate) together: bool,
    /// A 100 must come before the answer (`Some(true)`), or must not (`Some(false)`).
    pub(crate) interim: Option<bool>,
}

/// What a generator works with.
pub(crate) struct Make {
    pub(crate) rng: Rng,
    pub(crate) id: String,
    pub(crate) model: String,
    pub(crate) endpoint: &'static Endpoint,
    kind: &'static str,
}

/// A kind of request and who makes it.
pub(crate) type Kind = (&'static str, fn(&mut Make) -> Case);

/// Every kind, or those whose name holds what `WEIR_EDGE_KIND` says.
pub(crate) fn kinds() -> Vec<Kind> {
    let only = std::env::var("WEIR_EDGE_KIND").unwrap_or_default();
    let mut kinds = [bodies::KINDS, framing::KINDS, headers::KINDS, targets::KINDS].concat();
    kinds.retain(|(kind, _)| kind.contains(&only));
    kinds
}

/// Case number `at` of a run: kinds in turn, everything else drawn from the seed.
pub(crate) fn case(seed: u64, at: u64) -> Case {
    let kinds = kinds();
    let mut rng = Rng::with_seed(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ at);
    let (kind, make) = kinds[(at % kinds.len() as u64) as usize];
    let model = format!("sure-{}", rng.usize(..LANES));
    let endpoint = &ENDPOINTS[rng.usize(..ENDPOINTS.len())];
    let together = rng.bool();
    let case = make(&mut Make { rng, id: format!("case-{at}"), model, endpoint, kind });
    Case { together: together && case.after == After::Open, ..case }
}

impl Make {
    /// A valid body.
    pub(crate) fn body(&self) -> String {
        self.body_with("")
    }

    /// A valid body with further members, each with a comma in front.
    pub(crate) fn body_with(&self, more: &str) -> String {
        self.endpoint.request(&self.model, &self.id, more)
    }

    /// What the provider must get for `body`.
    pub(crate) fn upstream(&self, body: &[u8]) -> Vec<u8> {
        upstream_body(body, &self.model)
    }

    /// One of these.
    pub(crate) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.rng.usize(..of.len())]
    }

    /// The start line and the fields that every request has.
    pub(crate) fn head(&self) -> String {
        format!(
            "POST {} HTTP/1.1\r\nhost: weir\r\nauthorization: Bearer {CLIENT_KEY}\r\n",
            self.endpoint.path
        )
    }

    /// A well-framed request: `fields` (each with its line end) and a body with its length.
    pub(crate) fn framed(&self, fields: &str, body: &[u8]) -> Vec<u8> {
        let head = format!("{}{fields}content-length: {}\r\n\r\n", self.head(), body.len());
        [head.as_bytes(), body].concat()
    }

    /// A case that sends these bytes.
    pub(crate) fn case(&self, sends: Vec<u8>, expect: Expect, after: After) -> Case {
        Case {
            id: self.id.clone(),
            kind: self.kind,
            endpoint: self.endpoint,
            sends,
            leaves: false,
            bodiless: false,
            expect,
            after,
            together: false,
            interim: None,
        }
    }

    /// A well-framed request with this body, which is refused as malformed while the connection stays.
    pub(crate) fn malformed(&self, body: impl AsRef<[u8]>) -> Case {
        self.case(self.framed("", body.as_ref()), Expect::Refused(&[400]), After::Open)
    }

    /// A well-framed request that is served.
    pub(crate) fn served(&self, fields: &str, body: &str) -> Case {
        let expect = Expect::Served(self.upstream(body.as_bytes()));
        self.case(self.framed(fields, body.as_bytes()), expect, After::Open)
    }

    /// A request whose head is damaged: refused, and the connection closed.
    pub(crate) fn unreadable(&self, sends: Vec<u8>) -> Case {
        self.case(sends, Expect::Refused(&[400]), After::Closed)
    }

    /// A call hidden in another: if it reaches a provider, requests were smuggled.
    pub(crate) fn hidden(&self) -> Vec<u8> {
        let body = self.endpoint.request(&self.model, &format!("{}-hidden", self.id), "");
        self.framed("", body.as_bytes())
    }
}

/// `body` with the provider's name of the model, and nothing else changed.
pub(crate) fn upstream_body(body: &[u8], model: &str) -> Vec<u8> {
    let text = [b"\"model\":\"", model.as_bytes(), b"\""].concat();
    match crate::wire::find(body, &text) {
        Some(at) => [&body[..at], b"\"model\":\"up-good\"", &body[at + text.len()..]].concat(),
        None => body.to_vec(),
    }
}
