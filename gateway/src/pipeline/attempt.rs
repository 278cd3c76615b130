//! One attempt: from its reservation to the first content of its answer, or to what its failure allows.

use std::time::{Duration, Instant};

use axum::body::Body;
use bytes::Bytes;
use http::response::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use hyper::body::Incoming;

use super::said::Saying;
use super::{Call, note};
use crate::bound::Part;
use crate::clock::boot_ms;
use crate::config::{Deployment, ModelId, Target};
use crate::dialect::failure::{Class, Failure};
use crate::dialect::openai::answer::{Usage, id_of};
use crate::dialect::request::Continues;
use crate::dialect::talk::Refused;
use crate::error::{Error, Kind, Said};
use crate::http as edge;
use crate::http::reply::{Owed, Pace, Reply};
use crate::settle::{Kept, Settlement};
use crate::state::core::{SessionOutcome, SessionRef};
use crate::state::{Actual, Reservation, place_key};
use crate::telemetry::{Record, log};
use crate::upstream::Failed;
use crate::upstream::answer::{self, Patience, Whole, is_event_stream};
use crate::upstream::telling::Telling;

/// When to come back to an upstream that does not say when.
const RETRY_SOON: Duration = Duration::from_secs(5);

/// Why an attempt did not answer, and what that allows.
pub(super) struct Miss {
    pub(super) error: Error,
    /// Another deployment may be tried.
    pub(super) retry: bool,
    /// After a pause: the fault may be a shared one.
    pub(super) pause: bool,
    /// What it counts as.
    pub(super) what: What,
}

/// What an attempt that did not answer counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// One of the call's attempts.
    Attempt,
    /// None: what the call continues is not kept in this account; it may be in another.
    NotKept,
    /// None: nothing was sent, for the request cannot be said there.
    Unsayable,
}

impl Miss {
    /// Another deployment is tried, after a pause if so said.
    fn retried(error: Error, pause: bool) -> Miss {
        Miss { error, retry: true, pause, what: What::Attempt }
    }
}

/// An attempt and its reservation, until its answer takes it over.
pub(super) struct Attempt<'a> {
    call: &'a Call<'a>,
    model: ModelId,
    target: &'a Target,
    deployment: &'a Deployment,
    reservation: Option<Reservation>,
    /// Another deployment may be tried after this one.
    others: bool,
    sent: Instant,
}

impl<'a> Attempt<'a> {
    /// Of `call` at `target` of `model`; without a reservation when limits are suspended.
    pub(super) fn new(
        call: &'a Call<'a>,
        model: ModelId,
        target: &'a Target,
        reservation: Option<Reservation>,
        others: bool,
    ) -> Attempt<'a> {
        let deployment = &call.snapshot.config.deployments[target.deployment.0];
        Attempt { call, model, target, deployment, reservation, others, sent: Instant::now() }
    }

    /// Runs it up to the first content of its answer.
    pub(super) async fn run(
        mut self,
        session: Option<&SessionRef>,
        record: &mut Option<Record>,
    ) -> Result<Response<Body>, Miss> {
        note(record, |record| {
            record.deployment = self.deployment.name.clone();
            record.attempts += 1;
            record.session = self.reservation.as_ref().map_or(SessionOutcome::None, |r| r.session);
            record.held_tokens = self.reservation.as_ref().map_or(0, Reservation::held_tokens);
        });
        if let Some(session) = session {
            self.call.worker.shared.client.remember_pin(&session.key, self.deployment.tag);
        }
        match self.exchange(record).await {
            Ok(response) => Ok(response),
            Err(failed) => Err(self.miss(failed, record)),
        }
    }

    /// Sends, waits for the head, reads the answer as far as it must be held back.
    async fn exchange(&mut self, record: &mut Option<Record>) -> Result<Response<Body>, Failed> {
        if self.is_late() {
            return Err(Failed::NotSent("stalled before sending".into()));
        }
        let (call, until) = (self.call, self.until());
        let head_by = if call.peek.stream { self.first_by().min(until) } else { until };
        let endpoint = &call.snapshot.endpoints[self.target.deployment.0];
        let Saying { call: asked, body, telling, beta } =
            call.say(endpoint, self.deployment).await.map_err(Failed::Unsayable)?;
        let request = endpoint.call(asked, body, self.send_by());
        let mut request = request.ok_or_else(|| Failed::NotSent("the provider has no such call".into()))?;
        if let Some(beta) = beta {
            request.add(HeaderName::from_static("anthropic-beta"), beta);
        }
        let response = call.worker.upstreams.send(request, self.target.timeouts.connect, head_by).await?;
        if let Some(reservation) = &mut self.reservation {
            reservation.head();
        }
        let (head, upstream) = response.into_parts();
        let patience = Patience { idle: self.target.timeouts.idle, until };
        if call.peek.stream && is_event_stream(&head.headers) {
            self.stream(&head, upstream, &telling, (patience, head_by), record).await
        } else {
            self.plain(&head, upstream, &telling, patience, record).await
        }
    }

    async fn stream(
        &mut self,
        head: &Parts,
        upstream: Incoming,
        telling: &Telling,
        (patience, first_by): (Patience, Instant),
        record: &mut Option<Record>,
    ) -> Result<Response<Body>, Failed> {
        let opening = Patience { idle: first_by.saturating_duration_since(self.sent), until: first_by };
        let mut opened = answer::open(upstream, telling, &head.headers, opening).await?;
        if let Some(time) = self.target.timeouts.steady.filter(|_| self.others) {
            answer::steady(&mut opened, Instant::now() + time, patience).await?;
        }
        let mut settlement = self.settlement(record, true);
        if let Some(kept) = self.kept(opened.seen.begun.as_ref().map(|begun| begun.id.as_str())) {
            kept.clone().tell(self.size_unknown()).await;
            settlement.kept = Some(kept); // told again at the end, when its size is known
        }
        let headers = headers(&settlement, &head.headers, telling.content_type(true));
        let keep_alive = self.call.snapshot.config.server.stream_keepalive;
        let pace = Pace { patience, keep_alive };
        let owed = Owed::Settlement(Box::new(settlement));
        Ok(respond(headers, Body::new(Reply::new(opened, pace, owed, self.call.worker.over.clone()))))
    }

    async fn plain(
        &mut self,
        head: &Parts,
        upstream: Incoming,
        telling: &Telling,
        patience: Patience,
        record: &mut Option<Record>,
    ) -> Result<Response<Body>, Failed> {
        let room = &self.call.worker.shared.buffered;
        let Whole { told, room } = answer::whole(upstream, &head.headers, telling, patience, room).await?;
        let mut settlement = self.settlement(record, false);
        let headers = headers(&settlement, &head.headers, telling.content_type(false));
        let seat = settlement.record.place.take();
        // Settled before anything is awaited: the client may leave.
        settlement.answered(told.usage, told.body.len());
        let id = if telling.is_passed() { id_of(&told.body) } else { None };
        if let Some(kept) = self.kept(id.as_deref()) {
            let size = told.usage.map_or(self.size_unknown(), Usage::total);
            kept.tell(size).await; // before the client can ask for it
        }
        Ok(respond(headers, held(told.body, seat, room)))
    }

    /// A guess at the size of an answer that does not tell it. What is made in the background is still being made.
    fn size_unknown(&self) -> u64 {
        let peek = &self.call.peek;
        let output = peek.max_output.unwrap_or(self.deployment.max_output);
        self.call.input.saturating_add(if peek.background { output } else { 0 })
    }

    /// What others must know of the answer with this id, if later calls may refer to it.
    fn kept(&self, id: Option<&str>) -> Option<Kept> {
        let call = self.call;
        let made = id.filter(|_| call.peek.kept);
        let conversation = call.peek.continues.as_ref().filter(|c| matches!(c, Continues::Conversation(_)));
        let ids = made.into_iter().chain(conversation.map(Continues::id));
        let keys: Vec<String> = ids.map(|id| place_key(&call.tenant_name, id)).collect();
        let ttl = call.snapshot.config.server.remember_responses;
        let kept = Kept { worker: call.worker.clone(), keys, tag: self.deployment.tag, ttl };
        (!kept.keys.is_empty()).then_some(kept)
    }

    /// The end of its time.
    fn until(&self) -> Instant {
        let held = self.reservation.as_ref().map_or(self.call.deadline, |reservation| reservation.end_by);
        self.call.deadline.min(self.sent + self.target.timeouts.total).min(held)
    }

    /// The last moment to send, by the clock that counts suspensions.
    fn send_by(&self) -> u64 {
        let left = self.until().saturating_duration_since(Instant::now()).as_millis() as u64;
        let send_by = boot_ms() + left;
        self.reservation.as_ref().map_or(send_by, |reservation| reservation.send_by.min(send_by))
    }

    /// When a stream's first content must have come.
    fn first_by(&self) -> Instant {
        let timeouts = self.target.timeouts;
        let first = self.sent + timeouts.connect + timeouts.first_token;
        self.reservation.as_ref().map_or(first, |reservation| first.min(reservation.head_by))
    }

    /// After a stall the reservation may be about to expire: then nothing may be sent on it.
    fn is_late(&self) -> bool {
        let connected = boot_ms() + self.target.timeouts.connect.as_millis() as u64;
        self.reservation.as_ref().is_some_and(|reservation| connected > reservation.send_by)
    }

    /// Hands reservation and record over to the answer.
    fn settlement(&mut self, record: &mut Option<Record>, streamed: bool) -> Settlement {
        let shared = &self.call.worker.shared;
        let mut record = record.take().unwrap_or_else(|| Record::new(shared.metrics.clone(), String::new()));
        if streamed {
            record.first_token = Some(record.started.elapsed());
        }
        shared.metrics.attempt(&self.deployment.name, "ok");
        record.explanation.tried(&self.deployment.name, "ok");
        Settlement {
            shared: shared.clone(),
            snapshot: self.call.snapshot.clone(),
            deployment: self.target.deployment,
            reservation: self.reservation.take(),
            input: self.call.input,
            choices: self.call.peek.choices,
            key: (self.call.snapshot.model_names[self.model.0].clone(), self.call.tenant_name.clone()),
            sent: self.sent,
            background: self.call.peek.background,
            kept: None,
            record,
        }
    }

    /// Settles an attempt that failed, tells the others, and decides what is next.
    fn miss(mut self, failed: Failed, record: &mut Option<Record>) -> Miss {
        note(record, |record| record.upstream += self.sent.elapsed());
        if let Some(reservation) = self.reservation.take() {
            match &failed {
                Failed::NotSent(_) | Failed::Unsayable(_) => reservation.cancel(),
                Failed::Unreadable { usage, bytes, .. } => {
                    let delivered = *bytes as u64 / 4;
                    let partial = Actual::Partial { input: self.call.input, delivered };
                    reservation.settle(usage.map_or(partial, Actual::Used));
                }
                // The client's own time was over: as if it had left.
                Failed::TimedOut(_) if Instant::now() >= self.call.deadline => {
                    reservation.settle(Actual::Abandoned);
                }
                Failed::TimedOut(_) | Failed::Broken(_) | Failed::Answered { .. } => {
                    reservation.settle(Actual::Failed);
                }
            }
        }
        let (outcome, miss) = self.judge(failed);
        self.call.worker.shared.metrics.attempt(&self.deployment.name, outcome);
        note(record, |record| record.explanation.tried(&self.deployment.name, outcome));
        miss
    }

    fn judge(&self, failed: Failed) -> (&'static str, Miss) {
        let name = &self.deployment.name;
        let broken = |outcome, kind, detail: &str| {
            tracing::warn!(target: "weir::upstream", deployment = %name, outcome, detail, "attempt failed");
            (outcome, Miss::retried(no_answer(kind), true))
        };
        match failed {
            Failed::NotSent(detail) => {
                let (outcome, miss) = broken("not_sent", Kind::UpstreamFailed, &detail);
                (outcome, Miss { pause: false, ..miss })
            }
            Failed::Unsayable(refused) => ("unsayable", Miss { what: What::Unsayable, ..unsayable(refused) }),
            Failed::Unreadable { field, .. } => {
                let (outcome, miss) = broken("unreadable", Kind::UpstreamFailed, &field);
                (outcome, Miss { retry: false, ..miss })
            }
            Failed::TimedOut(detail) => broken("timeout", Kind::UpstreamTimeout, detail),
            Failed::Broken(detail) => broken("broken", Kind::UpstreamFailed, &detail),
            Failed::Answered { status, failure, body } => {
                tracing::warn!(
                    target: "weir::upstream", deployment = %name, status = status.as_u16(),
                    class = ?failure.class, "attempt refused"
                );
                self.judge_answer(status, &failure, &body)
            }
        }
    }

    fn judge_answer(&self, status: StatusCode, failure: &Failure, body: &Bytes) -> (&'static str, Miss) {
        let class = failure.class;
        let refused = |retry| Miss { retry, ..Miss::retried(self.refused(status, failure, body), false) };
        let failed = |pause| Miss::retried(no_answer(Kind::UpstreamFailed), pause);
        match class {
            Class::RateLimited { .. } => ("rate_limited", self.rest(class)),
            Class::QuotaExhausted { .. } => ("quota_exhausted", self.rest(class)),
            Class::Overloaded { retry_after: Some(_) } => {
                self.rest(class);
                ("overloaded", failed(false))
            }
            Class::Overloaded { retry_after: None } if status == StatusCode::TOO_MANY_REQUESTS => {
                ("overloaded", Miss::retried(slow_down(), true))
            }
            Class::Overloaded { retry_after: None } => ("overloaded", failed(true)),
            Class::SlowDown { retry_after: Some(_) } => ("slow_down", self.rest(class)),
            Class::SlowDown { retry_after: None } => ("slow_down", Miss::retried(slow_down(), true)),
            Class::TimedOut => ("timeout", Miss::retried(no_answer(Kind::UpstreamTimeout), true)),
            Class::Transient => ("failed", failed(true)),
            Class::Auth => ("auth", failed(false)),
            // Many say 400 where others say 404.
            Class::NotFound if matches!(status, StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST) => {
                ("not_found", refused(true))
            }
            Class::NotFound => ("not_found", failed(false)),
            Class::NotKept => ("not_kept", Miss { what: What::NotKept, ..refused(true) }),
            Class::TooBigForPool => {
                let message = "This request asks for more than a whole limit of the provider.";
                let error = Error::new(Kind::TooBigForLimit, message);
                ("too_big", Miss::retried(error, false))
            }
            Class::ContextTooLong => ("context_too_long", refused(false)),
            Class::ContentFiltered => ("content_filtered", refused(false)),
            Class::BadRequest => ("refused", refused(false)),
        }
    }

    /// The upstream's own words, where the request itself is to blame.
    fn refused(&self, status: StatusCode, failure: &Failure, body: &Bytes) -> Error {
        let endpoint = &self.call.snapshot.endpoints[self.target.deployment.0];
        let api = self.call.peek.api;
        let own = endpoint.way(api).is_some_and(|way| way.is_of(api));
        refused(status, failure, if own { failure.passed(body) } else { None })
    }

    /// The pools that the provider limits rest.
    fn rest(&self, class: Class) -> Miss {
        let client = &self.call.worker.shared.client;
        let time = self.call.snapshot.rest(client, self.target.deployment, class).unwrap_or_default();
        let message = format!(
            "Every deployment of this model is at its limit. Please try again in {:.3}s.",
            time.as_secs_f64()
        );
        Miss::retried(Error::new(Kind::NoCapacity, message).retry_after(time), false)
    }
}

/// What the deployment's dialect cannot say, another's may.
fn unsayable(refused: Refused) -> Miss {
    let error = Error { param: refused.field, ..Error::new(Kind::Malformed, refused.message) };
    Miss::retried(error, false)
}

fn slow_down() -> Error {
    Error::new(Kind::NoCapacity, "The upstream asks for fewer calls.").retry_after(RETRY_SOON)
}

fn no_answer(kind: Kind) -> Error {
    let text = match kind {
        Kind::UpstreamTimeout => "The upstream did not answer in time.",
        _ => "The upstream failed to answer.",
    };
    Error::new(kind, text)
}

/// What the upstream says of a request that it does not serve.
fn refused(status: StatusCode, failure: &Failure, raw: Option<Bytes>) -> Error {
    let error = Error::new(Kind::Refused(status), "The upstream refused this request.");
    Error { said: Some(Box::new(Said { words: failure.shown(), raw })), ..error }
}

/// What the client is told where nothing else can be tried.
pub(super) fn unserved(failed: Failed) -> Error {
    match failed {
        Failed::Answered { status, failure, body } => match failure.class {
            Class::BadRequest | Class::NotKept => refused(status, &failure, failure.passed(&body)),
            Class::RateLimited { retry_after } => {
                let wait = retry_after.unwrap_or(RETRY_SOON);
                Error::new(Kind::NoCapacity, "The upstream is at its limit.").retry_after(wait)
            }
            _ => no_answer(Kind::UpstreamFailed),
        },
        Failed::TimedOut(_) => no_answer(Kind::UpstreamTimeout),
        Failed::NotSent(_) | Failed::Broken(_) | Failed::Unsayable(_) | Failed::Unreadable { .. } => {
            no_answer(Kind::UpstreamFailed)
        }
    }
}

/// Headers of a served answer: ours, and some of the provider's.
fn headers(settlement: &Settlement, upstream: &HeaderMap, kind: Option<&'static str>) -> HeaderMap {
    let mut headers = passed_on(upstream);
    if let Some(kind) = kind {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    }
    whence(&mut headers, &settlement.record);
    edge::tell(&mut headers, &settlement.record);
    headers
}

/// Says where an answer comes from.
pub(super) fn whence(headers: &mut HeaderMap, record: &Record) {
    let mut put = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    put("x-weir-deployment", &record.deployment);
    put("x-weir-attempts", &record.attempts.to_string());
    if record.session != SessionOutcome::None {
        put("x-weir-session", log::session(record.session));
    }
}

/// Of the provider's headers those that say nothing of its account.
pub(super) fn passed_on(upstream: &HeaderMap) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(10);
    for name in [header::CONTENT_TYPE, HeaderName::from_static("openai-processing-ms")] {
        if let Some(value) = upstream.get(&name) {
            headers.insert(name, value.clone());
        }
    }
    headers
}

/// A whole answer, which is here until its client has taken it: so long it counts among the calls, and its bytes.
pub(super) fn held(bytes: Bytes, seat: Option<Part>, room: Part) -> Body {
    struct Held {
        bytes: Bytes,
        _seat: Option<Part>,
        _room: Part,
    }
    impl AsRef<[u8]> for Held {
        fn as_ref(&self) -> &[u8] {
            &self.bytes
        }
    }
    Body::from(Bytes::from_owner(Held { bytes, _seat: seat, _room: room }))
}

pub(super) fn respond(headers: HeaderMap, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.headers_mut() = headers;
    response
}
