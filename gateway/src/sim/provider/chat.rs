//! The path of one chat completion: prepare an answer, judge the arrival, wait, fail or answer.

use super::account::{Gauge, Gauges, Refusal};
use super::answer::{Answer, alphanumeric};
use super::books::{Arrival, Verdict};
use super::call::Call;
use super::control::Input;
use super::faults::{FaultKind, Place, Route};
use super::request::{self, Ask, Invalid};
use super::script::{self, Cut, Material, Play};
use super::wire::{self, Frames, Naming, Used};
use super::{Behaviour, Shared};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use http::{HeaderMap, Response, StatusCode};
use std::sync::Arc;

/// Answers one request whose body has been read. `Err` closes the connection without an answer.
pub(super) async fn complete(
    shared: &Arc<Shared>,
    headers: &HeaderMap,
    body: Bytes,
    peer: u16,
) -> Result<Response<Play>, Cut> {
    let behaviour = shared.behaviour.load_full();
    let mut rng = shared.next_draw();
    let prepared = prepare(shared, &behaviour, &body, &mut rng);
    let secret = bearer(headers);
    let (mut call, verdict, gauges) = Call::arrive(shared, &arrival(secret, &prepared, &body, peer));
    shared.keep_body(call.seq(), headers, &body);
    let reply = Reply::new(gauges, &mut rng);

    match (verdict, prepared) {
        (Verdict::UnknownKey, _) => Ok(reply.unauthorized(call, secret)),
        (Verdict::Refused(refusal), prepared) => {
            let model = prepared.as_ref().map_or("", |prepared| &prepared.ask.model);
            Ok(reply.rate_limited(call, model, &refusal))
        }
        (Verdict::Admitted, Err(refused)) => Ok(reply.refused(call, refused)),
        (Verdict::Admitted, Ok(prepared)) => {
            let wait = behaviour.wait(behaviour.latency, &mut rng);
            if !wait.is_zero() {
                tokio::time::sleep(wait).await;
            }
            match &prepared.fault {
                Some(FaultKind::Status { code, retry_after, should_retry, body }) => {
                    let headers = [(RETRY_AFTER, retry_after), (SHOULD_RETRY, should_retry)];
                    Ok(reply.injected(call, *code, headers, body.as_deref()))
                }
                Some(FaultKind::Stall(Place::BeforeHeaders)) => {
                    call.stalled();
                    std::future::pending().await
                }
                Some(FaultKind::Cut(Place::BeforeHeaders)) => {
                    call.end("cut");
                    Err(Cut)
                }
                // A plain answer has no frames to put an error into.
                Some(FaultKind::ErrorChunk(_)) if !prepared.ask.stream => {
                    Ok(reply.injected(call, 500, [], None))
                }
                Some(_) | None => Ok(reply.answer(call, &behaviour, prepared, &mut rng)),
            }
        }
    }
}

/// A valid request with the answer that it is going to get.
struct Prepared {
    ask: Ask,
    input: Input,
    answer: Answer,
    fault: Option<FaultKind>,
    /// The most output that the call may produce, all choices together.
    max_tokens: u64,
}

/// Why a request with a good key and within its limits gets no answer.
enum Refused {
    Invalid(Invalid),
    UnknownModel(String),
}

fn prepare(
    shared: &Shared,
    behaviour: &Behaviour,
    body: &[u8],
    rng: &mut fastrand::Rng,
) -> Result<Prepared, Refused> {
    let ask = request::read(body).map_err(Refused::Invalid)?;
    if !shared.models.is_empty() && !shared.models.contains(&ask.model) {
        return Err(Refused::UnknownModel(ask.model));
    }
    let cap = ask.max_tokens.unwrap_or(shared.default_max_output);
    let fault = behaviour.faults.pick(rng.f64(), Route::Chat);
    let answer = Answer::make(&ask, behaviour.output, cap, rng);
    let input = behaviour.kinds.input(ask.prompt_tokens);
    Ok(Prepared { max_tokens: cap.saturating_mul(ask.choices), ask, input, answer, fault })
}

fn arrival<'a>(
    secret: Option<&'a str>,
    prepared: &'a Result<Prepared, Refused>,
    body: &'a [u8],
    peer: u16,
) -> Arrival<'a> {
    let route = Route::Chat;
    match prepared {
        Ok(Prepared { ask, input, answer, fault, max_tokens }) => Arrival {
            secret,
            route,
            peer,
            model: &ask.model,
            stream: ask.stream,
            prompt_tokens: input.all,
            cached_tokens: input.cached,
            written_tokens: input.written,
            max_tokens: *max_tokens,
            planned_tokens: if matches!(fault, Some(FaultKind::Status { .. })) { 0 } else { answer.tokens() },
            body,
        },
        Err(refused) => Arrival {
            secret,
            route,
            peer,
            model: if let Refused::UnknownModel(model) = refused { model } else { "" },
            stream: false,
            prompt_tokens: 0,
            cached_tokens: 0,
            written_tokens: 0,
            max_tokens: 0,
            planned_tokens: 0,
            body,
        },
    }
}

pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, secret) = value.split_once(' ')?;
    Some(secret.trim()).filter(|secret| scheme.eq_ignore_ascii_case("bearer") && !secret.is_empty())
}

/// What every answer to one request carries.
pub(super) struct Reply {
    gauges: Gauges,
    request_id: String,
}

impl Reply {
    pub(super) fn new(gauges: Gauges, rng: &mut fastrand::Rng) -> Self {
        Self { gauges, request_id: format!("req_{}", alphanumeric(rng, 32)) }
    }

    fn answer(
        self,
        call: Call,
        behaviour: &Behaviour,
        prepared: Prepared,
        rng: &mut fastrand::Rng,
    ) -> Response<Play> {
        let Prepared { ask, input, answer, fault, .. } = prepared;
        let used =
            Used { input, output: answer.tokens(), reasoning: behaviour.kinds.reasoning(answer.tokens()) };
        let naming = Naming {
            id: format!("chatcmpl-{}", alphanumeric(rng, 29)),
            created: call.arrival_us() / 1_000_000,
            model: ask.model,
            service: behaviour.service.clone(),
        };
        call.headers(200);
        let age_ms = call.age_ms();
        let (play, kind) = if ask.stream {
            let pause = || behaviour.wait(behaviour.pace, rng);
            let steps = script::streamed(&answer, ask.include_usage, fault.as_ref(), pause);
            let frames = Frames::new(&naming, ask.include_usage);
            let material = Material { answer, frames, used };
            (Play::stream(call, material, steps), "text/event-stream; charset=utf-8")
        } else {
            let body = Bytes::from(wire::completion(&naming, &answer, &used));
            let length = body.len();
            let steps = script::plain(body, fault.as_ref());
            (Play::plain(call, answer.tokens(), length, steps), "application/json")
        };
        self.response(StatusCode::OK, kind, age_ms, play)
    }

    pub(super) fn unauthorized(self, call: Call, secret: Option<&str>) -> Response<Play> {
        let (message, code) = match secret {
            Some(secret) => {
                let shown = secret.chars().take(4).collect::<String>();
                let message = format!(
                    "Incorrect API key provided: {shown}***. You can find your API key at \
                     https://platform.openai.com/account/api-keys."
                );
                (message, Some("invalid_api_key"))
            }
            None => {
                let message = "You didn't provide an API key. You need to provide your API key in an \
                               Authorization header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY).";
                (message.to_owned(), None)
            }
        };
        let body = wire::error(&message, "invalid_request_error", None, code);
        self.error(call, StatusCode::UNAUTHORIZED, "invalid_api_key", body)
    }

    fn rate_limited(self, call: Call, model: &str, refusal: &Refusal) -> Response<Play> {
        let body = wire::rate_limit_error(model, refusal);
        let mut response = self.error(call, StatusCode::TOO_MANY_REQUESTS, "rate_limit", body);
        if let Some(wait_us) = refusal.wait_us {
            let headers = response.headers_mut();
            headers.insert(RETRY_AFTER, HeaderValue::from(wait_us.div_ceil(1_000_000)));
            headers.insert("retry-after-ms", HeaderValue::from(wait_us.div_ceil(1_000)));
        }
        response
    }

    fn refused(self, call: Call, refused: Refused) -> Response<Play> {
        match refused {
            Refused::Invalid(Invalid { message, param, code }) => {
                let body = wire::error(&message, "invalid_request_error", param, code);
                self.error(call, StatusCode::BAD_REQUEST, "invalid_request", body)
            }
            Refused::UnknownModel(model) => {
                let body = wire::unknown_model(&model);
                self.error(call, StatusCode::NOT_FOUND, "model_not_found", body)
            }
        }
    }

    /// An injected error answer.
    pub(super) fn injected<const N: usize>(
        self,
        call: Call,
        code: u16,
        headers: [(HeaderName, &Option<String>); N],
        body: Option<&str>,
    ) -> Response<Play> {
        let status = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = body.map_or_else(wire::server_error, str::to_owned);
        let mut response = self.error(call, status, "injected_status", body);
        for (name, value) in headers {
            if let Some(value) = value.as_deref().and_then(|value| HeaderValue::from_str(value).ok()) {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }

    fn error(self, mut call: Call, status: StatusCode, reason: &'static str, body: String) -> Response<Play> {
        call.headers(status.as_u16());
        call.end(reason);
        let age_ms = call.age_ms();
        self.response(status, "application/json", age_ms, Play::bytes(body))
    }

    pub(super) fn response(
        self,
        status: StatusCode,
        kind: &'static str,
        age_ms: u64,
        body: Play,
    ) -> Response<Play> {
        let mut response = Response::new(body);
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert("openai-processing-ms", HeaderValue::from(age_ms));
        headers.insert("openai-version", HeaderValue::from_static("2020-10-01"));
        headers.insert("openai-organization", HeaderValue::from_static(wire::ORGANIZATION));
        insert(headers, HeaderName::from_static("x-request-id"), self.request_id);
        show(headers, REQUESTS, self.gauges.requests.as_ref());
        show(headers, TOKENS, self.gauges.tokens.as_ref());
        response
    }
}

const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");
const REQUESTS: [HeaderName; 3] = [
    HeaderName::from_static("x-ratelimit-limit-requests"),
    HeaderName::from_static("x-ratelimit-remaining-requests"),
    HeaderName::from_static("x-ratelimit-reset-requests"),
];
const TOKENS: [HeaderName; 3] = [
    HeaderName::from_static("x-ratelimit-limit-tokens"),
    HeaderName::from_static("x-ratelimit-remaining-tokens"),
    HeaderName::from_static("x-ratelimit-reset-tokens"),
];

fn show(headers: &mut HeaderMap, names: [HeaderName; 3], gauge: Option<&Gauge>) {
    let Some(gauge) = gauge else { return };
    for (name, value) in names.into_iter().zip(wire::rate_limit_values(gauge)) {
        insert(headers, name, value);
    }
}

/// Only for values of digits, letters and dots, which every header may carry.
fn insert(headers: &mut HeaderMap, name: HeaderName, value: String) {
    if let Ok(value) = HeaderValue::try_from(value) {
        headers.insert(name, value);
    }
}
