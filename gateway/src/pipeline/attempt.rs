//! One attempt: from its reservation to the first content of its answer, or to what its failure allows.

use std::time::{Instant, SystemTime};

use axum::body::Body;
use bytes::Bytes;
use http::response::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Response, header};
use hyper::body::Incoming;
use smallvec::SmallVec;

use super::judge::Miss;
use super::saying::Saying;
use super::{Call, note};
use crate::bound::Part;
use crate::clock::boot_ms;
use crate::config::{Deployment, ModelId, PoolId, Retry, Target};
use crate::dialect::openai::answer::{Usage, id_of};
use crate::dialect::quota::{self, Left};
use crate::dialect::request::Continues;
use crate::http as edge;
use crate::http::reply::{Owed, Pace, Reply};
use crate::settle::{For, Kept, Settlement, Tab};
use crate::standing::{Busy, Line};
use crate::state::core::{SessionOutcome, SessionRef};
use crate::state::{PoolInfo, Reservation, owner_key, owner_tag, place_key};
use crate::telemetry::trace::{AttemptSpan, Sent};
use crate::telemetry::{Record, log, names};
use crate::upstream::Failed;
use crate::upstream::answer::{self, Opened, Patience, Whole, is_event_stream};
use crate::upstream::telling::Telling;

/// An answer, read as far as it must be held back.
pub(super) struct Read {
    head: Parts,
    telling: Telling,
    got: Got,
}

enum Got {
    Stream(Box<Opened>, Patience),
    Whole(Whole),
}

/// An attempt and its reservation, until its answer takes it over.
pub(super) struct Attempt<'a> {
    pub(super) call: &'a Call<'a>,
    model: ModelId,
    pub(super) target: &'a Target,
    pub(super) deployment: &'a Deployment,
    pub(super) reservation: Option<Reservation>,
    /// Another deployment may be tried after this one, unless it fails too slowly.
    pub(super) others: bool,
    pub(super) sent: Instant,
    pub(super) busy: Option<Busy>,
    /// What it costs, once it is sent.
    pub(super) tab: Option<Tab>,
    /// The head of an answer has come.
    pub(super) begun: bool,
    /// Its span, if the call is told of.
    pub(super) span: Option<AttemptSpan>,
}

/// One that is not made yet: dropped, it gives back what it holds.
pub(super) struct Unsent<'a>(Option<Attempt<'a>>);

impl<'a> Unsent<'a> {
    pub(super) fn new(attempt: Attempt<'a>) -> Unsent<'a> {
        Unsent(Some(attempt))
    }

    /// It is made.
    pub(super) fn made(mut self) -> Option<Attempt<'a>> {
        self.0.take()
    }
}

impl Drop for Unsent<'_> {
    fn drop(&mut self) {
        self.0.take().into_iter().for_each(Attempt::withdraw);
    }
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
        let permit = reservation.as_ref().map_or(0, |reservation| reservation.permit);
        let line = Line::of(deployment, permit, &call.worker.shared);
        let busy = call.snapshot.standings[target.deployment.0].busy(call.input - call.guessed, Some(line));
        Attempt {
            call,
            model,
            target,
            deployment,
            reservation,
            others,
            sent: Instant::now(),
            busy: Some(busy),
            tab: None,
            begun: false,
            span: None,
        }
    }

    /// Runs it up to the first content of its answer.
    pub(super) async fn run(
        mut self,
        session: Option<&SessionRef>,
        record: &mut Option<Record>,
    ) -> Result<Response<Body>, Miss> {
        self.announce(session, record);
        let read = self.exchange(record).await;
        self.end(read, record).await
    }

    /// It is not made.
    pub(super) fn withdraw(mut self) {
        self.reservation.take().into_iter().for_each(Reservation::cancel);
    }

    /// The call is this attempt's from now on.
    pub(super) fn announce(&self, session: Option<&SessionRef>, record: &mut Option<Record>) {
        note(record, |record| {
            record.deployment = self.deployment.name.clone();
            record.session = self.reservation.as_ref().map_or(SessionOutcome::None, |r| r.session);
            if let Some(assigned) = &mut record.assigned {
                assigned.spilled = self.call.is_spilled(self.model, self.target);
            }
            record.held_tokens = self.reservation.as_ref().map_or(0, Reservation::held_tokens);
        });
        if let Some(session) = session {
            self.call.worker.shared.client.remember_pin(&session.key, self.deployment.tag);
        }
    }

    /// What the client gets of what was read, or what its failure allows.
    pub(super) async fn end(
        mut self,
        read: Result<Read, Failed>,
        record: &mut Option<Record>,
    ) -> Result<Response<Body>, Miss> {
        let Read { head, telling, got } = match read {
            Ok(read) => read,
            Err(failed) => return Err(self.miss(failed, record)),
        };
        self.call.snapshot.standings[self.target.deployment.0].served(true);
        Ok(match got {
            Got::Stream(opened, patience) => self.stream(&head, *opened, &telling, patience, record).await,
            Got::Whole(whole) => self.plain(&head, whole, &telling, record).await,
        })
    }

    /// Sends, waits for the head, reads the answer as far as it must be held back.
    pub(super) async fn exchange(&mut self, record: &mut Option<Record>) -> Result<Read, Failed> {
        self.begin_span();
        if self.is_late() {
            return Err(Failed::Late("stalled before sending"));
        }
        let (call, until) = (self.call, self.until());
        let head_by = if call.peek.stream { self.first_by() } else { until };
        let endpoint = &call.snapshot.endpoints[self.target.deployment.0];
        let saying = tokio::time::timeout_at(head_by.into(), call.say(endpoint, self.deployment)).await;
        let saying = saying.map_err(|_| Failed::Late("too long to be written"))?;
        let Saying { call: asked, body, telling, beta } = saying.map_err(Failed::Unsayable)?;
        let request = endpoint.call(asked, body, self.send_by());
        let mut request = request.ok_or_else(|| Failed::NotSent("the provider has no such call".into()))?;
        if let Some(beta) = beta {
            request.add(HeaderName::from_static("anthropic-beta"), beta);
        }
        if self.deployment.account.traceparent {
            request.belongs_to(call.trace.passed_on(self.span.as_ref()));
        }
        note(record, |record| record.attempts += 1);
        let (tenant, deployment) = (call.tenant_name.clone(), self.target.deployment);
        let what = For { tenant, model: Some(call.chosen), deployment };
        self.tab = Some(Tab::open(&call.worker.shared, call.snapshot, what, call.input));
        let response = call.worker.upstreams.send(request, self.target.timeouts.connect, head_by).await?;
        let quota = self.quota(response.headers());
        if let Some(reservation) = &self.reservation {
            reservation.heard(&quota, |pool| self.is_limited(pool));
        }
        if let Some(reservation) = &mut self.reservation {
            reservation.head();
        }
        self.begun = true;
        self.span.iter().for_each(|span| span.answered(response.status().as_u16()));
        let (head, upstream) = response.into_parts();
        let patience = Patience { idle: self.target.timeouts.idle, until };
        let got = if call.peek.stream && is_event_stream(&head.headers) {
            Got::Stream(Box::new(self.open(&head, upstream, &telling, (patience, head_by)).await?), patience)
        } else {
            let room = &call.worker.shared.buffered;
            Got::Whole(answer::whole(upstream, &head.headers, &telling, patience, room).await?)
        };
        Ok(Read { head, telling, got })
    }

    fn begin_span(&mut self) {
        let call = self.call;
        self.span = call.trace.attempt(&Sent {
            peek: &call.peek,
            body: &call.body,
            framing: call.asked.framing,
            deployment: self.deployment,
            held_tokens: self.reservation.as_ref().map_or(0, Reservation::held_tokens),
        });
    }

    /// Reads a stream as far as it must be held back.
    async fn open(
        &self,
        head: &Parts,
        upstream: Incoming,
        telling: &Telling,
        (patience, first_by): (Patience, Instant),
    ) -> Result<Opened, Failed> {
        let opening = Patience { idle: first_by.saturating_duration_since(self.sent), until: first_by };
        let mut opened = answer::open(upstream, telling, &head.headers, opening).await?;
        let steady_by = self.target.timeouts.steady.map(|time| Instant::now() + time);
        if let Some(by) = steady_by.filter(|by| self.may_go_on(*by)) {
            answer::steady(&mut opened, by, patience).await?;
        }
        Ok(opened)
    }

    /// What the provider says is left of limits that we keep there; nothing where we keep none.
    fn quota(&self, headers: &HeaderMap) -> SmallVec<[Left; 4]> {
        let is_limited = |pool: &PoolId| !self.call.snapshot.pools[pool.0].decl.meters.is_empty();
        if self.reservation.is_none() || !self.deployment.rests.iter().any(is_limited) {
            return SmallVec::new();
        }
        quota::read(headers, SystemTime::now())
    }

    /// Is a pool among those that the provider limits?
    fn is_limited(&self, pool: &PoolInfo) -> bool {
        self.deployment.rests.iter().any(|id| std::ptr::eq(&*self.call.snapshot.pools[id.0], pool))
    }

    async fn stream(
        &mut self,
        head: &Parts,
        opened: Opened,
        telling: &Telling,
        patience: Patience,
        record: &mut Option<Record>,
    ) -> Response<Body> {
        let mut settlement = self.settlement(record, true);
        if let Some(kept) = self.kept(opened.seen.begun.as_ref().map(|begun| begun.id.as_str())) {
            kept.clone().tell(self.size_unknown()).await;
            settlement.kept = Some(kept); // told again at the end, when its size is known
        }
        let headers = headers(&settlement, &head.headers, telling.content_type(true));
        let keep_alive = self.call.snapshot.config.server.stream_keepalive;
        let pace = Pace { patience, keep_alive };
        let owed = Owed::Settlement(Box::new(settlement));
        respond(headers, Body::new(Reply::new(opened, pace, owed, self.call.worker.over.clone())))
    }

    async fn plain(
        &mut self,
        head: &Parts,
        Whole { told, room }: Whole,
        telling: &Telling,
        record: &mut Option<Record>,
    ) -> Response<Body> {
        let mut settlement = self.settlement(record, false);
        let headers = headers(&settlement, &head.headers, telling.content_type(false));
        let seat = settlement.record.place.take();
        settlement.span.iter_mut().for_each(|span| span.told_whole(&told.body));
        // Settled before anything is awaited: the client may leave.
        settlement.answered(told.usage, told.body.len());
        let id = if telling.is_passed() { id_of(&told.body) } else { None };
        if let Some(kept) = self.kept(id.as_deref()) {
            let size = told.usage.map_or(self.size_unknown(), Usage::total);
            kept.tell(size).await; // before the client can ask for it
        }
        respond(headers, held(told.body, seat, room))
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
        let owned = conversation.filter(|_| !call.tenant_name.is_empty());
        let account = self.deployment.account.tag;
        let owner = owned.map(|of| (owner_key(account, of.id()), owner_tag(&call.tenant_name)));
        let ttl = call.snapshot.config.server.remember_responses;
        let kept = Kept { worker: call.worker.clone(), keys, tag: self.deployment.tag, owner, ttl };
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

    /// When a stream's first content must have come. Where nothing else would be tried, giving up would only turn a late
    /// answer into an error; then it is waited for as a plain answer is.
    fn first_by(&self) -> Instant {
        let (timeouts, until) = (self.target.timeouts, self.until());
        let first = self.sent + timeouts.connect + timeouts.first_token;
        let first = self.reservation.as_ref().map_or(first, |reservation| first.min(reservation.head_by));
        if self.may_go_on(first) { first.min(until) } else { until }
    }

    /// Would another deployment be tried if this attempt failed then?
    fn may_go_on(&self, then: Instant) -> bool {
        let took = then.saturating_duration_since(self.sent);
        self.others && then < self.call.deadline && !self.retry().is_slow(took)
    }

    /// How often and how long the model may be tried.
    pub(super) fn retry(&self) -> &Retry {
        &self.call.snapshot.config.models[self.model.0].retry
    }

    /// After a stall the reservation may be about to expire: then nothing may be sent on it.
    fn is_late(&self) -> bool {
        let connected = boot_ms() + self.target.timeouts.connect.as_millis() as u64;
        self.reservation.as_ref().is_some_and(|reservation| connected > reservation.send_by)
    }

    /// Hands reservation and record over to the answer.
    fn settlement(&mut self, record: &mut Option<Record>, streamed: bool) -> Settlement {
        let until = self.until(); // while the reservation is here
        let shared = &self.call.worker.shared;
        let mut record = record.take().unwrap_or_else(|| Record::new(shared.metrics.clone(), String::new()));
        if streamed {
            record.first_token = Some(record.started.elapsed());
            if let Some(busy) = &mut self.busy {
                busy.began();
            }
        }
        let first = streamed.then(|| self.sent.elapsed());
        if let (Some(span), Some(first)) = (&self.span, first) {
            span.first_content(first);
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
            first,
            blameless: false,
            harmless: false,
            until,
            busy: self.busy.take(),
            tab: self.tab.take(),
            background: self.call.peek.background,
            kept: None,
            record,
            span: self.span.take(),
            operation: names::operation(self.call.peek.api),
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
