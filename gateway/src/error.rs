//! Why a call is not served: what happened, whose fault it is, and what the client may do about it.
//!
//! A kind exists only if a client, the retry rule or an alert acts on it. Stages know no status codes; `http` reads
//! the tables below once, at the edge. `message` is for the client and never holds a secret or another tenant's
//! figures; internal detail goes to the log where it occurs.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;

use crate::dialect::openai::answer::UpstreamError;
use crate::dialect::voice::Told;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// No key, or one that we do not know.
    BadKey,
    /// The tenant may not use this model.
    ModelForbidden,
    /// No such model.
    ModelUnknown,
    /// No such path.
    NotFound,
    /// The path does not know this method.
    MethodNotAllowed,
    /// What the request refers to is not kept anywhere that its tenant may see.
    NotKept,
    /// No response with this id, or none that the tenant may see.
    NotStored,
    /// No deployment of the model can take this request, however long one waits.
    NoCandidate,
    /// Every deployment that could serve it is drained by an operator.
    Drained,
    /// The request cannot be read.
    Malformed,
    /// The request's body is too large.
    TooLarge,
    /// The request's body is compressed or coded otherwise.
    Encoded,
    /// The request's body did not come in time.
    SlowClient,
    /// The tenant's or the gateway's limit.
    RateLimited,
    /// What the tenant may spend is spent.
    BudgetSpent,
    /// Every deployment is at its limit or rests.
    NoCapacity,
    /// One call asks for more than a whole limit.
    TooBigForLimit,
    /// The upstream refused this request itself.
    Refused(StatusCode),
    /// It refused it, for it is longer than the model can read.
    ContextTooLong(StatusCode),
    /// It refused it, for what it says.
    ContentFiltered(StatusCode),
    /// Every candidate failed.
    UpstreamFailed,
    /// The last candidate was too slow, or the call's time is over.
    UpstreamTimeout,
    /// The shared state is away and `on_outage` says to refuse.
    StateAway,
    /// This replica has as many calls, or as much of them, as it can carry.
    Overloaded,
    /// This replica ends, and the call had no answer within the grace.
    Draining,
    /// Our own fault.
    Internal,
}

/// Whose fault it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The request.
    Client,
    /// A limit that was set.
    Policy,
    /// A provider.
    Upstream,
    /// Weir or its state.
    Gateway,
}

/// What an upstream says, as far as a client may hear it.
#[derive(Clone, Debug)]
pub struct Said {
    /// What [`Failure::shown`](crate::dialect::failure::Failure::shown) lets through.
    pub words: UpstreamError,
    /// The same in the upstream's own bytes, for a client of its dialect.
    pub raw: Option<Bytes>,
}

/// A call that is not served.
#[derive(Clone, Debug)]
pub struct Error {
    /// What happened.
    pub kind: Kind,
    /// For the client.
    pub message: String,
    /// The request's field that is to blame.
    pub param: Option<String>,
    /// When to come back.
    pub retry_after: Option<Duration>,
    /// What the upstream says, in the stead of our message, when it refused the request itself.
    pub said: Option<Box<Said>>,
}

impl Error {
    /// An error of `kind`.
    pub fn new(kind: Kind, message: impl Into<String>) -> Error {
        Error { kind, message: message.into(), param: None, retry_after: None, said: None }
    }

    /// What a call is told whose time is over.
    pub fn late() -> Error {
        Error::new(Kind::UpstreamTimeout, "The call's time is over.")
    }

    /// What a call is told that has no answer when this replica ends.
    pub fn draining() -> Error {
        Error::new(Kind::Draining, "This replica of the gateway ends.").retry_after(Duration::from_secs(1))
    }

    /// With a time to come back.
    pub fn retry_after(mut self, time: Duration) -> Error {
        self.retry_after = Some(time);
        self
    }

    /// What the client is told, in no voice yet: the upstream's words, else ours.
    pub fn told(&self) -> Told<'_> {
        let ours = Told { retry_after: self.retry_after, ..Told::new(self.kind.status(), &self.message) };
        match &self.said {
            Some(said) => ours.saying(&said.words),
            None => Told { code: Some(self.kind.code()), param: self.param.as_deref(), ..ours },
        }
    }

    /// With the field to blame.
    pub fn param(mut self, param: impl Into<String>) -> Error {
        self.param = Some(param.into());
        self
    }
}

impl Kind {
    /// HTTP status.
    pub fn status(self) -> StatusCode {
        match self {
            Kind::BadKey => StatusCode::UNAUTHORIZED,
            Kind::ModelForbidden => StatusCode::FORBIDDEN,
            Kind::ModelUnknown | Kind::NotFound | Kind::NotStored => StatusCode::NOT_FOUND,
            Kind::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Kind::Malformed | Kind::NoCandidate | Kind::NotKept => StatusCode::BAD_REQUEST,
            Kind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Kind::Encoded => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Kind::SlowClient => StatusCode::REQUEST_TIMEOUT,
            Kind::RateLimited | Kind::BudgetSpent | Kind::NoCapacity | Kind::TooBigForLimit => {
                StatusCode::TOO_MANY_REQUESTS
            }
            Kind::Refused(status) | Kind::ContextTooLong(status) | Kind::ContentFiltered(status) => status,
            Kind::UpstreamFailed => StatusCode::BAD_GATEWAY,
            Kind::UpstreamTimeout => StatusCode::GATEWAY_TIMEOUT,
            Kind::StateAway | Kind::Overloaded | Kind::Draining | Kind::Drained => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// OpenAI's `code`.
    pub fn code(self) -> &'static str {
        match self {
            Kind::BadKey => "invalid_api_key",
            Kind::ModelForbidden => "model_not_allowed",
            Kind::ModelUnknown => "model_not_found",
            Kind::NotFound => "unknown_url",
            Kind::MethodNotAllowed => "method_not_allowed",
            Kind::NotKept => "previous_response_not_found",
            Kind::NotStored => "response_not_found",
            Kind::Malformed | Kind::NoCandidate => "invalid_request_error",
            Kind::Drained => "deployments_drained",
            Kind::TooLarge => "request_too_large",
            Kind::Encoded => "unsupported_content_encoding",
            Kind::SlowClient => "request_timeout",
            Kind::RateLimited | Kind::NoCapacity | Kind::TooBigForLimit => "rate_limit_exceeded",
            Kind::BudgetSpent => "insufficient_quota",
            Kind::Refused(_) | Kind::ContextTooLong(_) | Kind::ContentFiltered(_) => "upstream_refused",
            Kind::UpstreamFailed => "upstream_failed",
            Kind::UpstreamTimeout => "upstream_timeout",
            Kind::StateAway => "state_unavailable",
            Kind::Overloaded => "overloaded",
            Kind::Draining => "draining",
            Kind::Internal => "internal_error",
        }
    }

    /// Is the client told not to try again (`x-should-retry: false`)? We have done so already, or nothing would change.
    /// A retry of the client's on top of ours multiplies the load of who is down.
    pub fn is_final(self) -> bool {
        match self {
            // Tried wherever it may be, or for as long as it may take.
            Kind::UpstreamFailed | Kind::UpstreamTimeout => true,
            // The same request meets the same refusal; the status may be one that clients try again.
            Kind::Refused(_) | Kind::ContextTooLong(_) | Kind::ContentFiltered(_) | Kind::TooBigForLimit => {
                true
            }
            // The time to come back is no time to wait for.
            Kind::BudgetSpent => true,
            // There is a time to come back, or another replica.
            Kind::RateLimited
            | Kind::NoCapacity
            | Kind::StateAway
            | Kind::Overloaded
            | Kind::Draining
            | Kind::Drained
            | Kind::SlowClient
            | Kind::Internal => false,
            // No client tries such a status again.
            Kind::BadKey
            | Kind::ModelForbidden
            | Kind::ModelUnknown
            | Kind::NotFound
            | Kind::MethodNotAllowed
            | Kind::NotKept
            | Kind::NotStored
            | Kind::NoCandidate
            | Kind::Malformed
            | Kind::TooLarge
            | Kind::Encoded => false,
        }
    }

    /// Whose fault it is.
    pub fn fault(self) -> Fault {
        match self {
            Kind::BadKey
            | Kind::ModelUnknown
            | Kind::NotFound
            | Kind::MethodNotAllowed
            | Kind::NotKept
            | Kind::NotStored
            | Kind::NoCandidate
            | Kind::Malformed
            | Kind::TooLarge
            | Kind::Encoded
            | Kind::SlowClient
            | Kind::Refused(_)
            | Kind::ContextTooLong(_)
            | Kind::ContentFiltered(_) => Fault::Client,
            Kind::ModelForbidden
            | Kind::RateLimited
            | Kind::BudgetSpent
            | Kind::NoCapacity
            | Kind::TooBigForLimit
            | Kind::Drained => Fault::Policy,
            Kind::UpstreamFailed | Kind::UpstreamTimeout => Fault::Upstream,
            Kind::StateAway | Kind::Overloaded | Kind::Draining | Kind::Internal => Fault::Gateway,
        }
    }

    /// The name in logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Kind::BadKey => "bad_key",
            Kind::ModelForbidden => "model_forbidden",
            Kind::ModelUnknown => "model_unknown",
            Kind::NotFound => "not_found",
            Kind::MethodNotAllowed => "method_not_allowed",
            Kind::NotKept => "not_kept",
            Kind::NotStored => "not_stored",
            Kind::NoCandidate => "no_candidate",
            Kind::Drained => "drained",
            Kind::Malformed => "malformed",
            Kind::TooLarge => "too_large",
            Kind::Encoded => "encoded",
            Kind::SlowClient => "slow_client",
            Kind::RateLimited => "rate_limited",
            Kind::BudgetSpent => "budget_spent",
            Kind::NoCapacity => "no_capacity",
            Kind::TooBigForLimit => "too_big_for_limit",
            Kind::Refused(_) => "refused",
            Kind::ContextTooLong(_) => "context_too_long",
            Kind::ContentFiltered(_) => "content_filtered",
            Kind::UpstreamFailed => "upstream_failed",
            Kind::UpstreamTimeout => "upstream_timeout",
            Kind::StateAway => "state_away",
            Kind::Overloaded => "overloaded",
            Kind::Draining => "draining",
            Kind::Internal => "internal",
        }
    }
}

#[cfg(test)]
impl Kind {
    /// Every kind; the match makes sure that none is forgotten. A provider's status is one that clients try again.
    pub(crate) fn all() -> Vec<Kind> {
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        let next = |kind: &Kind| match kind {
            Kind::BadKey => Some(Kind::ModelForbidden),
            Kind::ModelForbidden => Some(Kind::ModelUnknown),
            Kind::ModelUnknown => Some(Kind::NotFound),
            Kind::NotFound => Some(Kind::MethodNotAllowed),
            Kind::MethodNotAllowed => Some(Kind::NotKept),
            Kind::NotKept => Some(Kind::NotStored),
            Kind::NotStored => Some(Kind::NoCandidate),
            Kind::NoCandidate => Some(Kind::Drained),
            Kind::Drained => Some(Kind::Malformed),
            Kind::Malformed => Some(Kind::TooLarge),
            Kind::TooLarge => Some(Kind::Encoded),
            Kind::Encoded => Some(Kind::SlowClient),
            Kind::SlowClient => Some(Kind::RateLimited),
            Kind::RateLimited => Some(Kind::BudgetSpent),
            Kind::BudgetSpent => Some(Kind::NoCapacity),
            Kind::NoCapacity => Some(Kind::TooBigForLimit),
            Kind::TooBigForLimit => Some(Kind::Refused(status)),
            Kind::Refused(_) => Some(Kind::ContextTooLong(status)),
            Kind::ContextTooLong(_) => Some(Kind::ContentFiltered(status)),
            Kind::ContentFiltered(_) => Some(Kind::UpstreamFailed),
            Kind::UpstreamFailed => Some(Kind::UpstreamTimeout),
            Kind::UpstreamTimeout => Some(Kind::StateAway),
            Kind::StateAway => Some(Kind::Overloaded),
            Kind::Overloaded => Some(Kind::Draining),
            Kind::Draining => Some(Kind::Internal),
            Kind::Internal => None,
        };
        std::iter::successors(Some(Kind::BadKey), next).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// OpenAI's and Anthropic's clients try 408, 409, 429 and 5xx again unless they are told not to; whoever is not told may
    /// come back later or elsewhere. Broken on purpose to see it fail: refusals, which may have a provider's 500, left out.
    #[test]
    fn a_client_is_told_not_to_try_again_what_was_tried_or_cannot_change() {
        let tried_again = |kind: &Kind| {
            let status = kind.status();
            matches!(status.as_u16(), 408 | 409 | 429) || status.is_server_error()
        };
        let (last, others): (Vec<Kind>, Vec<Kind>) =
            Kind::all().into_iter().filter(tried_again).partition(|kind| kind.is_final());
        let names = |kinds: Vec<Kind>| kinds.into_iter().map(Kind::name).collect::<Vec<_>>();
        assert_eq!(
            names(last),
            [
                "budget_spent",
                "too_big_for_limit",
                "refused",
                "context_too_long",
                "content_filtered",
                "upstream_failed",
                "upstream_timeout"
            ]
        );
        assert_eq!(
            names(others),
            [
                "drained",
                "slow_client",
                "rate_limited",
                "no_capacity",
                "state_away",
                "overloaded",
                "draining",
                "internal"
            ]
        );
    }
}
