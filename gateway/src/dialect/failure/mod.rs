//! What a failure of an upstream means: whose limit was met, and whether another candidate, a pause or nothing can
//! help. One reading for all providers, for their answers and for the error frames inside their streams.
//!
//! Providers agree on statuses less than on codes, and on codes less than one would wish: a spent budget comes as
//! 429 like a busy minute, a request larger than the whole limit as 413 or 429, a withdrawn model as 400 or 404. So
//! the order is: names that mean one thing everywhere, then the wording, then names of a whole family of errors, then
//! the status. The tables are what was observed or documented (PROVIDERS.md, section 3.3); they drift, and an unknown
//! failure falls back to its status.
//!
//! Nothing here panics on foreign bytes, and no identifier of the provider's account leaves this module (`shown.rs`).

mod action;
mod details;
mod frame;
mod judge;
mod limit;
mod names;
mod said;
mod shown;
mod times;
mod wait;
mod wording;

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use super::openai::answer::UpstreamError;
use super::openai::stream::StreamError;
pub use action::{Action, Next, Rests};
pub use frame::Frame;
pub use limit::{Limit, Measure, Period};
use said::Said;
pub(super) use times::{http_date, wait as wait_of};

/// What happened, and thereby what can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Our share of a limit is used up: the pool rests, others can serve.
    RateLimited {
        /// When the upstream says so, how long.
        retry_after: Option<Duration>,
    },
    /// Within our limits, but the upstream asks us to send less: our load grew too fast, or a shared pool is busy.
    SlowDown {
        /// When the upstream says so, how long.
        retry_after: Option<Duration>,
    },
    /// The upstream has no capacity, whatever our limits say.
    Overloaded {
        /// When the upstream says so, how long.
        retry_after: Option<Duration>,
    },
    /// Money or a long-term quota is spent: waiting for the next minute does not help.
    QuotaExhausted {
        /// When the upstream says so, or its quotas have a known end, how long.
        retry_after: Option<Duration>,
    },
    /// The request needs more than the whole limit: only a larger pool can serve it.
    TooBigForPool,
    /// The request is longer than the model's context.
    ContextTooLong,
    /// The provider's content policy refused it.
    ContentFiltered,
    /// Our credentials, or the country or project they belong to, are refused.
    Auth,
    /// The endpoint does not have the model, or there is no such endpoint: our configuration is wrong.
    NotFound,
    /// The account does not keep the response, conversation, file or cache that the request refers to; another may.
    NotKept,
    /// The request itself is wrong; every upstream would say so.
    BadRequest,
    /// The upstream says that it ran out of time.
    TimedOut,
    /// A fault of the moment.
    Transient,
}

impl Class {
    /// Do its words tell of the provider's account: its name, limits and what others have used of them?
    pub fn tells_of_account(self) -> bool {
        match self {
            Class::RateLimited { .. }
            | Class::SlowDown { .. }
            | Class::Overloaded { .. }
            | Class::QuotaExhausted { .. }
            | Class::TooBigForPool
            | Class::Auth => true,
            Class::ContextTooLong
            | Class::ContentFiltered
            | Class::NotFound
            | Class::NotKept
            | Class::BadRequest
            | Class::TimedOut
            | Class::Transient => false,
        }
    }

    /// The status of a failure that came without one, inside a stream.
    pub fn status(self) -> StatusCode {
        match self {
            Class::RateLimited { .. } | Class::SlowDown { .. } | Class::QuotaExhausted { .. } => {
                StatusCode::TOO_MANY_REQUESTS
            }
            Class::Overloaded { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Class::TooBigForPool => StatusCode::PAYLOAD_TOO_LARGE,
            Class::ContextTooLong | Class::ContentFiltered | Class::BadRequest => StatusCode::BAD_REQUEST,
            Class::Auth => StatusCode::UNAUTHORIZED,
            Class::NotFound | Class::NotKept => StatusCode::NOT_FOUND,
            Class::TimedOut => StatusCode::GATEWAY_TIMEOUT,
            Class::Transient => StatusCode::BAD_GATEWAY,
        }
    }

    /// How long the upstream asks us to wait, if it says so.
    pub fn retry_after(self) -> Option<Duration> {
        match self {
            Class::RateLimited { retry_after }
            | Class::SlowDown { retry_after }
            | Class::Overloaded { retry_after }
            | Class::QuotaExhausted { retry_after } => retry_after,
            _ => None,
        }
    }
}

/// What of an account itself is refused, and not only this call, this model or this minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OfAccount {
    /// Its key: no call with it is served.
    Key,
    /// Its credit is spent: none that costs anything is.
    Credit,
}

/// A classified failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What it means.
    pub class: Class,
    /// What of the whole account it is about, if it is.
    pub account: Option<OfAccount>,
    /// The request may be to blame for it: a refusal that does not say of what, as of somebody else's file, or by a filter in front
    /// of the provider.
    pub is_vague: bool,
    /// The limit that was met, as far as the upstream says which; empty for classes that are about none.
    pub limit: Limit,
    /// The upstream's `x-should-retry`.
    pub should_retry: Option<bool>,
    /// The status that the upstream names in the error itself (`code`, `status`), which may be another than the answer's.
    pub status: Option<StatusCode>,
    /// What the upstream said, if it can be read; identifiers of accounts, keys and people are masked. For logs;
    /// a client gets [`Failure::shown`].
    pub error: Option<UpstreamError>,
    /// It came as an error of an API. A proxy's page, or half an error, says something to the classifier and the log, but
    /// nothing to a client.
    pub is_words: bool,
}

impl Failure {
    /// From an answer whose status is not a success. `now` is for dates in `retry-after` and for quotas' ends.
    pub fn of_answer(status: StatusCode, headers: &HeaderMap, body: &[u8], now: SystemTime) -> Failure {
        let mut said = Said::read(body).unwrap_or_default();
        // The error code of AWS stands in a header, its message in the body.
        said.add_aws_name(headers);
        let failure = Failure::judged(Some(status.as_u16()), headers, &said, now);
        Failure { is_words: is_json(body), ..failure }
    }

    /// Of the headers of an answer that began with 200 those that an error inside it may use.
    pub fn hints(headers: &HeaderMap) -> HeaderMap {
        wait::of_admitted(headers)
    }

    /// From an error event inside a stream that began with 200. `headers` are those of the answer.
    pub fn of_stream(failed: &StreamError, headers: &HeaderMap, now: SystemTime) -> Failure {
        let said = Said::of_error(&failed.error, failed.status);
        Failure::judged(None, &wait::of_admitted(headers), &said, now)
    }

    /// From the words of a failure that a dialect's reader took out of a stream: its `kind` (`overloaded_error`,
    /// `RESOURCE_EXHAUSTED`, `throttlingException`) and message.
    pub fn of_words(kind: &str, message: &str, headers: &HeaderMap, now: SystemTime) -> Failure {
        Failure::judged(None, &wait::of_admitted(headers), &Said::of_words(kind, message), now)
    }

    /// From a frame of a stream that began with 200, or from a plain answer in spite of its 200; `None` if it reports
    /// no failure. It reads the whole frame: do not ask it about every token.
    pub fn of_frame(frame: Frame<'_>, headers: &HeaderMap, now: SystemTime) -> Option<Failure> {
        let said = frame.said()?;
        Some(Failure::judged(None, &wait::of_admitted(headers), &said, now))
    }

    /// What may be told to the client: the upstream's own words (identifiers masked) where the request is to blame, and
    /// a sentence of ours where the words would tell of the account.
    pub fn shown(&self) -> UpstreamError {
        shown::shown(self.class, self.error.as_ref().filter(|_| self.is_words))
    }

    /// What a client of the upstream's own dialect gets of `raw`, the failure as the upstream words it: those bytes, unless
    /// they tell of its account.
    pub fn passed(&self, raw: &Bytes) -> Option<Bytes> {
        let pass =
            self.is_words && self.error.is_some() && !self.class.tells_of_account() && shown::is_clean(raw);
        pass.then(|| raw.clone())
    }

    /// Had others better be spared it?
    pub fn opens_circuits(&self) -> bool {
        self.class.opens_circuits() && !self.is_vague
    }

    fn judged(http: Option<u16>, headers: &HeaderMap, said: &Said, now: SystemTime) -> Failure {
        let (class, limit) = judge::judge(http, headers, said, now);
        let account = judge::of_account(class, limit, http, said);
        let is_vague = class == Class::Auth && account.is_none() && !judge::is_of_us(said);
        let error = (!said.is_empty()).then(|| shown::masked_error(said));
        let status = said.status.and_then(|status| StatusCode::from_u16(status).ok());
        Failure {
            class,
            account,
            is_vague,
            limit,
            should_retry: said.should_retry(headers),
            status,
            error,
            is_words: true,
        }
    }
}

/// Is it a whole JSON object or array?
fn is_json(body: &[u8]) -> bool {
    matches!(body.trim_ascii_start().first(), Some(b'{' | b'['))
        && serde_json::from_slice::<serde::de::IgnoredAny>(body).is_ok()
}

#[cfg(test)]
mod account_tests;
#[cfg(test)]
mod frame_tests;
#[cfg(test)]
mod limit_tests;
#[cfg(test)]
mod recorded_tests;
#[cfg(test)]
mod table_tests;
