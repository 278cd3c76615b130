//! The path of one call, top to bottom: read, know the tenant, find the model, then per model attempt after
//! attempt: rank, admit, send, read up to the first content, answer.
//!
//! What ends a call is a value: an answer or an [`Error`]. The reservation moves from admission into the attempt
//! and from there into the answer's body; wherever this future is dropped, dropping it settles.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, header};
use hyper::body::Incoming;
use sha2::{Digest, Sha256};

use crate::admit;
use crate::admit::estimate::{self, Estimate};
use crate::config::{Deployment, DeploymentId, Model, ModelId, OnOutage, PoolId, ReservePolicy, Tenant};
use crate::dialect::openai::failure::Class;
use crate::dialect::openai::request::{self, Peek};
use crate::error::{Error, Kind};
use crate::http::{self as edge, reply::Reply};
use crate::route::{self, Needs, Ranked};
use crate::settle::Settlement;
use crate::shared::{Snapshot, Worker};
use crate::state::core::{Denied, SessionOutcome, SessionRef};
use crate::state::{Actual, Outcome, Reservation};
use crate::telemetry::{Record, log};
use crate::upstream::Failed;
use crate::upstream::answer::{self, Patience};

/// Bodies above this size are read by a thread of their own, bytes.
const LARGE: usize = 256 << 10;
/// Shortest time that a refusal for want of the shared state asks the client to wait.
const AWAY_RETRY: Duration = Duration::from_secs(1);

/// One call on its way.
struct Call<'a> {
    worker: &'a Worker,
    snapshot: &'a Snapshot,
    tenant: Option<&'a Tenant>,
    tenant_name: Arc<str>,
    headers: &'a HeaderMap,
    body: Bytes,
    peek: Peek,
    input: u64,
    deadline: Instant,
}

/// Why an attempt did not answer, and what that allows.
struct Miss {
    error: Error,
    /// Another deployment may be tried.
    retry: bool,
    /// After a pause: the fault may be a shared one.
    pause: bool,
}

/// Serves a chat completion.
pub async fn chat(
    worker: &Arc<Worker>,
    headers: &HeaderMap,
    body: Incoming,
    record: &mut Option<Record>,
) -> Result<Response<Body>, Error> {
    let snapshot = worker.shared.snapshot.load_full();
    let config = &snapshot.config;
    let tenant = snapshot.keys.tenant(config, headers)?;
    let tenant_name: Arc<str> = tenant.map_or_else(|| "".into(), |tenant| tenant.name.clone());
    note(record, |record| record.tenant = tenant_name.clone());
    let body = edge::read(body, config.server.max_body).await?;
    let (peek, input) = weigh(&body).await?;
    let model = find_model(&snapshot, tenant, &peek.model)?;
    note(record, |record| {
        record.model = snapshot.model_names[model.0].clone();
        record.stream = peek.stream;
    });
    let deadline = Instant::now() + time_limit(&config.models[model.0], headers)?;
    let call =
        Call { worker, snapshot: &snapshot, tenant, tenant_name, headers, body, peek, input, deadline };
    call.serve(model, record).await
}

/// Reads a request and estimates its input; a large one on a thread of its own, for other calls wait on this one.
async fn weigh(body: &Bytes) -> Result<(Peek, u64), Error> {
    let work = |body: &Bytes| {
        let peek = request::peek(body)?;
        let input = estimate::input_tokens(peek.messages(body), &peek.schemas(body));
        Ok((peek, input))
    };
    let done = if body.len() > LARGE {
        let body = body.clone();
        let joined = tokio::task::spawn_blocking(move || work(&body)).await;
        joined.map_err(|_| Error::new(Kind::Internal, "The request could not be read."))?
    } else {
        work(body)
    };
    done.map_err(|bad: request::BadRequest| Error {
        param: bad.param.map(str::to_owned),
        ..Error::new(Kind::Malformed, bad.message)
    })
}

/// The model asked for, if this tenant may use it.
pub fn find_model(snapshot: &Snapshot, tenant: Option<&Tenant>, name: &str) -> Result<ModelId, Error> {
    let Some(model) = snapshot.config.find_model(name) else {
        let message = format!("The model `{name}` does not exist or you do not have access to it.");
        return Err(Error::new(Kind::ModelUnknown, message).param("model"));
    };
    if tenant.is_some_and(|tenant| !tenant.models.iter().any(|pattern| pattern.matches(name))) {
        let message = format!("This key may not use the model `{name}`.");
        return Err(Error::new(Kind::ModelForbidden, message).param("model"));
    }
    Ok(model)
}

/// The call's time: the model's, or less if the client says so.
fn time_limit(model: &Model, headers: &HeaderMap) -> Result<Duration, Error> {
    let Some(asked) = headers.get("x-weir-timeout-ms") else { return Ok(model.total) };
    match asked.to_str().ok().and_then(|text| text.trim().parse::<u64>().ok()).filter(|ms| *ms > 0) {
        Some(ms) => Ok(model.total.min(Duration::from_millis(ms))),
        None => {
            Err(Error::new(Kind::Malformed, "x-weir-timeout-ms must be a positive number of milliseconds."))
        }
    }
}

/// Writes into the record, which is here until the answer's body takes it along.
fn note(record: &mut Option<Record>, write: impl FnOnce(&mut Record)) {
    if let Some(record) = record {
        write(record);
    }
}

impl Call<'_> {
    /// The model asked for, then its fallbacks.
    async fn serve(&self, asked: ModelId, record: &mut Option<Record>) -> Result<Response<Body>, Error> {
        let models = &self.snapshot.config.models;
        let mut first: Option<Error> = None;
        for model in std::iter::once(&asked).chain(&models[asked.0].fallbacks) {
            if *model != asked && !self.may_use(*model) {
                continue;
            }
            match self.serve_model(*model, record).await {
                Ok(response) => return Ok(response),
                Err(error) if !falls_back(error.kind) => return Err(error),
                Err(error) => first = Some(sooner(first, error)),
            }
        }
        Err(first.unwrap_or_else(|| Error::new(Kind::Internal, "No model was tried.")))
    }

    /// A fallback is a model like any other: the tenant must be allowed to use it.
    fn may_use(&self, id: ModelId) -> bool {
        let model = &self.snapshot.config.models[id.0];
        let mut names = std::iter::once(&model.name).chain(&model.aliases);
        self.tenant.is_none_or(|t| names.any(|name| t.models.iter().any(|p| p.matches(name))))
    }

    /// Attempt after attempt on the deployments of one model; each at most once.
    async fn serve_model(&self, id: ModelId, record: &mut Option<Record>) -> Result<Response<Body>, Error> {
        let model = &self.snapshot.config.models[id.0];
        let session = self.session(id, model);
        let mut tried: Vec<DeploymentId> = Vec::new();
        let mut last: Option<Error> = None;
        while tried.len() < model.retry.attempts as usize {
            if Instant::now() >= self.deadline {
                return Err(Error::new(Kind::UpstreamTimeout, "The call's time is over."));
            }
            let ranked = self.rank(id, &tried);
            if ranked.is_empty() {
                break;
            }
            let (reservation, index) = match self.admit(id, &ranked, session.clone(), record).await {
                Ok(admitted) => admitted,
                Err(error) => return Err(error),
            };
            let target = ranked[index];
            tried.push(target.target.deployment);
            match self.attempt(id, target, reservation, session.as_ref(), record).await {
                Ok(response) => return Ok(response),
                Err(miss) if !miss.retry => return Err(miss.error),
                Err(miss) => {
                    last = Some(miss.error);
                    if miss.pause && tried.len() < model.targets.len() {
                        self.pause(model, tried.len()).await?;
                    }
                }
            }
        }
        Err(last.unwrap_or_else(|| {
            let message = "This request is longer than any deployment of the model can read.";
            Error::new(Kind::Malformed, message).param("messages")
        }))
    }

    fn rank(&self, id: ModelId, tried: &[DeploymentId]) -> Vec<Ranked<'_>> {
        let config = &self.snapshot.config;
        let mut rotation = self.snapshot.rotations[id.0].lock();
        let needs = Needs { input: self.input };
        route::rank(config, &config.models[id.0], &mut rotation, needs, tried, &mut fastrand::f64)
    }

    /// Room for one of the candidates, or why there is none.
    async fn admit(
        &self,
        id: ModelId,
        ranked: &[Ranked<'_>],
        session: Option<SessionRef>,
        record: &mut Option<Record>,
    ) -> Result<(Option<Reservation>, usize), Error> {
        let config = &self.snapshot.config;
        let common: Vec<PoolId> =
            config.gateway_pool.into_iter().chain(self.tenant.and_then(|tenant| tenant.pool)).collect();
        let key = (self.snapshot.model_names[id.0].clone(), self.tenant_name.clone());
        let predicted = self.worker.shared.predicted(&key);
        let estimate = |deployment: &Deployment, policy| self.estimate(deployment, policy, predicted);
        let mut wish = admit::wish(config, &self.snapshot.pools, &common, ranked, estimate, session.clone());
        let asked = Instant::now();
        let outcome = self.worker.shared.client.reserve(&self.worker.port, &mut wish).await;
        let took = asked.elapsed();
        self.worker.shared.metrics.state_call(took);
        note(record, |record| record.state += took);
        match outcome {
            Ok(Outcome::Granted(reservation)) => {
                let index = reservation.index;
                Ok((Some(reservation), index))
            }
            Ok(Outcome::Denied(denied)) => Err(self.denied(&wish.infos, &common, &denied)),
            Ok(Outcome::TooBig { pool, .. }) => Err(Error::new(
                Kind::TooBigForLimit,
                format!(
                    "This request asks for more than the whole limit of {}.",
                    public(&wish.infos[pool].name)
                ),
            )),
            Err(_) if config.on_outage == OnOutage::Open => {
                let pin = session.and_then(|session| self.worker.shared.recall_pin(&session.key));
                let tag = |ranked: &Ranked| config.deployments[ranked.target.deployment.0].tag;
                Ok((None, ranked.iter().position(|r| Some(tag(r)) == pin).unwrap_or(0)))
            }
            Err(_) => Err(Error::new(Kind::StateAway, "The gateway's shared state is not reachable.")
                .retry_after(AWAY_RETRY)),
        }
    }

    fn estimate(&self, deployment: &Deployment, policy: ReservePolicy, predicted: Option<u64>) -> Estimate {
        let (explicit, choices) = (self.peek.max_output, self.peek.choices);
        let output = estimate::output_tokens(explicit, choices, policy, deployment.max_output, predicted);
        Estimate { input: self.input, output, explicit_output: explicit.is_some() }
    }

    fn denied(&self, infos: &[Arc<crate::state::PoolInfo>], common: &[PoolId], denied: &Denied) -> Error {
        let pool = infos.get(denied.pool);
        let name = pool.map_or_else(|| "".into(), |pool| pool.name.clone());
        let ours = denied.common
            || pool.is_some_and(|pool| common.iter().any(|id| self.snapshot.pools[id.0].name == pool.name));
        let scope = match (ours, &*name) {
            (true, "gateway") => "gateway",
            (true, _) => "tenant",
            (false, _) => "capacity",
        };
        self.worker.shared.metrics.denied(scope, &name);
        let wait = Duration::from_millis(denied.retry_in.max(1));
        let (kind, whose) = match scope {
            "tenant" => (Kind::RateLimited, "Rate limit reached for this key"),
            "gateway" => (Kind::RateLimited, "Rate limit reached for this gateway"),
            _ => (Kind::NoCapacity, "Every deployment of this model is at its limit"),
        };
        let message = format!("{whose}. Please try again in {:.3}s.", wait.as_secs_f64());
        Error::new(kind, message).retry_after(wait)
    }

    /// One attempt at one deployment, up to the first content of its answer.
    async fn attempt(
        &self,
        id: ModelId,
        ranked: Ranked<'_>,
        reservation: Option<Reservation>,
        session: Option<&SessionRef>,
        record: &mut Option<Record>,
    ) -> Result<Response<Body>, Miss> {
        let target = ranked.target;
        let deployment = &self.snapshot.config.deployments[target.deployment.0];
        let mut attempt = Attempt { call: self, deployment, reservation, sent: Instant::now() };
        note(record, |record| {
            record.deployment = deployment.name.clone();
            record.attempts += 1;
            record.session = attempt.session();
            record.held_tokens = attempt.reservation.as_ref().map_or(0, Reservation::held_tokens);
        });
        if let Some(session) = session {
            self.worker.shared.remember_pin(&session.key, deployment.tag);
        }
        let timeouts = target.timeouts;
        let until = self.deadline.min(attempt.sent + timeouts.total).min(attempt.end_by());
        let first = attempt.sent + timeouts.connect + timeouts.first_token;
        let head_by = if self.peek.stream { first.min(until).min(attempt.head_by()) } else { until };
        if attempt.is_late(timeouts.connect) {
            return Err(attempt.miss(Failed::NotSent("stalled before sending".into()), record));
        }
        let body = request::rewrite(&self.body, &self.peek, &deployment.model);
        let endpoint = &self.snapshot.endpoints[target.deployment.0];
        let sending = self.worker.upstreams.send(endpoint, target, body, head_by);
        let response = match sending.await {
            Ok(response) => response,
            Err(failed) => return Err(attempt.miss(failed, record)),
        };
        if let Some(reservation) = &mut attempt.reservation {
            reservation.head();
        }
        let (head, upstream) = response.into_parts();
        let patience = Patience { idle: timeouts.idle, until };
        let streamed = self.peek.stream && is_event_stream(&head.headers);
        let withhold = !self.peek.include_usage;
        if streamed {
            let opening = Patience { idle: timeouts.first_token.max(timeouts.idle), until: head_by };
            match answer::open(upstream, &head.headers, withhold, opening).await {
                Ok(opened) => {
                    let settlement = attempt.settlement(id, record, true);
                    let headers = self.headers(&settlement, &head.headers);
                    let reply = Reply::new(opened, withhold, patience, settlement);
                    Ok(respond(headers, Body::new(reply)))
                }
                Err(failed) => Err(attempt.miss(failed, record)),
            }
        } else {
            match answer::whole(upstream, patience).await {
                Ok(whole) => {
                    let settlement = attempt.settlement(id, record, false);
                    let headers = self.headers(&settlement, &head.headers);
                    settlement.answered(whole.usage, whole.body.len());
                    Ok(respond(headers, Body::from(whole.body)))
                }
                Err(failed) => Err(attempt.miss(failed, record)),
            }
        }
    }

    /// Headers of a served answer: ours, and of the provider's only what says nothing of its account.
    fn headers(&self, settlement: &Settlement, upstream: &HeaderMap) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(10);
        for name in [header::CONTENT_TYPE, HeaderName::from_static("openai-processing-ms")] {
            if let Some(value) = upstream.get(&name) {
                headers.insert(name, value.clone());
            }
        }
        let record = &settlement.record;
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
        headers
    }

    /// The key of this call's session: of its model and tenant, so that none can name another's.
    fn session(&self, id: ModelId, model: &Model) -> Option<SessionRef> {
        let affinity = model.affinity.as_ref()?;
        let value = self.headers.get(&affinity.header)?.as_bytes();
        let mut hash = Sha256::new();
        for part in [self.snapshot.model_names[id.0].as_bytes(), self.tenant_name.as_bytes(), value] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        let key = hex::encode(&hash.finalize()[..16]);
        Some(SessionRef { key, ttl: affinity.ttl.as_millis() as u64 })
    }

    /// Full-jitter back-off before attempt `next` (from 1).
    async fn pause(&self, model: &Model, next: usize) -> Result<(), Error> {
        let most = model.retry.base.saturating_mul(1 << next.saturating_sub(1).min(16)).min(model.retry.max);
        let pause = most.mul_f64(fastrand::f64());
        if Instant::now() + pause >= self.deadline {
            return Err(Error::new(Kind::UpstreamTimeout, "The call's time is over."));
        }
        tokio::time::sleep(pause).await;
        Ok(())
    }
}

/// An attempt and its reservation, until its answer takes it over.
struct Attempt<'a> {
    call: &'a Call<'a>,
    deployment: &'a Deployment,
    reservation: Option<Reservation>,
    sent: Instant,
}

impl Attempt<'_> {
    fn session(&self) -> SessionOutcome {
        self.reservation.as_ref().map_or(SessionOutcome::None, |reservation| reservation.session)
    }

    fn end_by(&self) -> Instant {
        self.reservation.as_ref().map_or(self.call.deadline, |reservation| reservation.end_by)
    }

    fn head_by(&self) -> Instant {
        self.reservation.as_ref().map_or(self.call.deadline, |reservation| reservation.head_by)
    }

    /// After a stall the reservation may be about to expire: then nothing may be sent on it.
    fn is_late(&self, connect: Duration) -> bool {
        self.reservation.as_ref().is_some_and(|reservation| self.sent + connect > reservation.head_by)
    }

    fn settlement(&mut self, id: ModelId, record: &mut Option<Record>, streamed: bool) -> Settlement {
        let shared = &self.call.worker.shared;
        let mut record = record.take().unwrap_or_else(|| Record::new(shared.metrics.clone(), String::new()));
        if streamed {
            record.first_token = Some(record.started.elapsed());
        }
        shared.metrics.attempt(&self.deployment.name, "ok");
        Settlement {
            shared: shared.clone(),
            reservation: self.reservation.take(),
            price: self.deployment.price,
            input: self.call.input,
            choices: self.call.peek.choices,
            key: (self.call.snapshot.model_names[id.0].clone(), self.call.tenant_name.clone()),
            sent: self.sent,
            record,
        }
    }

    /// Settles an attempt that failed, tells the others, and decides what is next.
    fn miss(mut self, failed: Failed, record: &mut Option<Record>) -> Miss {
        note(record, |record| record.upstream += self.sent.elapsed());
        if let Some(reservation) = self.reservation.take() {
            match &failed {
                Failed::NotSent(_) => reservation.cancel(),
                Failed::TimedOut(_) | Failed::Broken(_) | Failed::Answered { .. } => {
                    reservation.settle(Actual::Failed);
                }
            }
        }
        let (outcome, miss) = self.judge(failed);
        self.call.worker.shared.metrics.attempt(&self.deployment.name, outcome);
        miss
    }

    fn judge(&self, failed: Failed) -> (&'static str, Miss) {
        let name = &self.deployment.name;
        let broken = |outcome, kind, detail: &str| {
            tracing::warn!(target: "weir::upstream", deployment = %name, outcome, detail, "attempt failed");
            let text = match kind {
                Kind::UpstreamTimeout => "The upstream did not answer in time.",
                _ => "The upstream failed to answer.",
            };
            (outcome, Miss { error: Error::new(kind, text), retry: true, pause: true })
        };
        match failed {
            Failed::NotSent(detail) => {
                let (outcome, miss) = broken("not_sent", Kind::UpstreamFailed, &detail);
                (outcome, Miss { pause: false, ..miss })
            }
            Failed::TimedOut(detail) => broken("timeout", Kind::UpstreamTimeout, detail),
            Failed::Broken(detail) => broken("broken", Kind::UpstreamFailed, &detail),
            Failed::Answered { status, failure, body } => {
                tracing::warn!(
                    target: "weir::upstream", deployment = %name, status = status.as_u16(),
                    class = ?failure.class, "attempt refused"
                );
                self.judge_answer(status, failure.class, body)
            }
        }
    }

    fn judge_answer(&self, status: http::StatusCode, class: Class, body: Bytes) -> (&'static str, Miss) {
        let refused = |retry| {
            let message = "The upstream refused this request.";
            let error = Error {
                body: (!body.is_empty()).then(|| body.clone()),
                ..Error::new(Kind::Refused(status), message)
            };
            Miss { error, retry, pause: false }
        };
        let failed = |pause| {
            let error = Error::new(Kind::UpstreamFailed, "The upstream failed to answer.");
            Miss { error, retry: true, pause }
        };
        match class {
            Class::RateLimited { retry_after } => ("rate_limited", self.rest(retry_after)),
            Class::QuotaExhausted { retry_after } => {
                ("quota_exhausted", self.rest(Some(retry_after.unwrap_or(self.deployment.cooldown.max))))
            }
            Class::Overloaded { retry_after: Some(time) } => {
                self.rest(Some(time));
                ("overloaded", failed(false))
            }
            Class::Overloaded { retry_after: None } => ("overloaded", failed(true)),
            Class::Transient => ("failed", failed(true)),
            Class::Auth => ("auth", failed(false)),
            Class::NotFound if status == http::StatusCode::NOT_FOUND => ("not_found", refused(true)),
            Class::NotFound => ("not_found", failed(false)),
            Class::TooBigForPool => {
                let message = "This request asks for more than a whole limit of the provider.";
                let error = Error::new(Kind::TooBigForLimit, message);
                ("too_big", Miss { error, retry: true, pause: false })
            }
            Class::ContextTooLong => ("context_too_long", refused(false)),
            Class::ContentFiltered => ("content_filtered", refused(false)),
            Class::BadRequest => ("refused", refused(false)),
        }
    }

    /// The pools that the provider limits rest, for every replica.
    fn rest(&self, retry_after: Option<Duration>) -> Miss {
        let cooldown = self.deployment.cooldown;
        let time = retry_after.unwrap_or(cooldown.default).min(cooldown.max);
        for pool in &self.deployment.rests {
            let key = &self.call.snapshot.pools[pool.0].decl.key;
            self.call.worker.shared.client.rest(key, time);
        }
        let message = format!(
            "Every deployment of this model is at its limit. Please try again in {:.3}s.",
            time.as_secs_f64()
        );
        Miss { error: Error::new(Kind::NoCapacity, message).retry_after(time), retry: true, pause: false }
    }
}

/// May another model serve what this one did not?
fn falls_back(kind: Kind) -> bool {
    matches!(kind, Kind::NoCapacity | Kind::TooBigForLimit | Kind::UpstreamFailed | Kind::UpstreamTimeout)
}

/// Of two errors the one that lets the client come back sooner; else the newer.
fn sooner(first: Option<Error>, second: Error) -> Error {
    match first {
        Some(first) if first.retry_after.is_some() => match second.retry_after {
            Some(time) if Some(time) < first.retry_after => second,
            _ => first,
        },
        _ => second,
    }
}

/// A pool's name without the account behind it.
fn public(name: &str) -> &str {
    if name.starts_with("tenant/") || name == "gateway" { name } else { "this model" }
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    value.len() >= 17 && value[..17].eq_ignore_ascii_case(b"text/event-stream")
}

fn respond(headers: HeaderMap, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.headers_mut() = headers;
    response
}
