//! A call among traces: one span of the call, as its client sees it, and one below it for each attempt.
//!
//! These spans are made with OpenTelemetry's own interface, for two reasons: a call that is not told of must cost nothing
//! (by a layer of `tracing` it costs what one costs that is told of, for the layer decides last), and a span of a call
//! ends with the answer's body, long after the code that began it. What else the program tells in spans of `tracing` comes
//! into the same traces by `tracing-opentelemetry`: while a call is served its span is OpenTelemetry's current one.
//!
//! Not told of: two ids, which are passed on so that nobody behind us decides otherwise. Told of: the span in a [`Context`].

mod attempt;
mod events;
mod parent;
mod sampler;
mod server;
mod within;

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};
use opentelemetry::trace::{Span as _, SpanBuilder, SpanKind, TraceContextExt, Tracer};
use opentelemetry::{Array, Context, KeyValue, Value};
use opentelemetry_sdk::trace::SdkTracer;
use smallvec::SmallVec;

pub use attempt::{AttemptSpan, Sent};
pub(crate) use events::Events;
pub use parent::Ids;
use parent::{Parent, Passed, traceparent};
pub(crate) use sampler::Share;
pub use within::Within;

use super::names::{self, Names};
use super::told;
use crate::bound::Bound;
use crate::config::Telemetry;
use crate::dialect::api::Api;
use crate::dialect::request::{Continues, Peek};
use crate::state::Reservation;

/// So many candidates of a call are named.
const MOST_CANDIDATES: usize = 32;

/// What makes the spans of one replica's calls.
#[derive(Debug)]
pub struct Tracing {
    tracer: SdkTracer,
    names: Names,
    share: Share,
    trusts: AtomicBool,
    captures: AtomicBool,
    /// For what is kept of requests and answers.
    room: Arc<Bound>,
}

/// What is known of a request before its body is read.
#[derive(Debug)]
pub struct Head<'a> {
    /// As the client sends it.
    pub method: &'a Method,
    /// Without the query, where keys may stand.
    pub path: &'a str,
    /// What kind of path it is, if that is known.
    pub route: Option<&'static str>,
    /// The protocol's.
    pub version: Version,
    /// As the client sends them.
    pub headers: &'a HeaderMap,
    /// Who asks.
    pub client: IpAddr,
    /// It came by TLS.
    pub secure: bool,
}

/// A call's place among traces.
#[derive(Clone, Debug, Default)]
pub enum Trace {
    /// There are none.
    #[default]
    Off,
    /// It is not told of.
    Untold(Untold),
    /// It is.
    Told(Arc<Told>),
}

/// A call that is not told of.
#[derive(Clone, Debug)]
pub struct Untold {
    ids: Ids,
    /// What its client said, if it is that who decided.
    passed: Option<Passed>,
}

/// A call that is told of.
#[derive(Debug)]
pub struct Told {
    tracing: Arc<Tracing>,
    context: Context,
    /// Attempts begun.
    attempts: AtomicU32,
    /// Somebody serves it: attempts that end now were overtaken.
    decided: AtomicBool,
}

impl Tracing {
    pub(crate) fn new(tracer: SdkTracer, names: Names, share: Share, config: &Telemetry) -> Tracing {
        let (trusts, captures) = (AtomicBool::default(), AtomicBool::default());
        let tracing = Tracing { tracer, names, share, trusts, captures, room: told::room() };
        tracing.set(config);
        tracing
    }

    /// Goes by these settings from now on, as far as they may change.
    pub fn set(&self, config: &Telemetry) {
        self.share.set(config.sample_ratio);
        self.trusts.store(config.trust_traceparent, Ordering::Relaxed);
        self.captures.store(config.capture_content, Ordering::Relaxed);
    }

    /// Begins a call's span, if it is to be told of.
    pub fn begin(self: &Arc<Self>, head: &Head<'_>) -> Trace {
        let said = Parent::of(head.headers);
        let (parent, link) = if self.trusts.load(Ordering::Relaxed) { (said, None) } else { (None, said) };
        let above = match &parent {
            Some(parent) if !parent.ids.sampled => return Trace::untold(parent.ids, parent),
            Some(parent) => Context::new().with_remote_span_context(parent.context()),
            None => Context::new(),
        };
        let builder = SpanBuilder::from_name(Cow::Borrowed(method(head.method))).with_kind(SpanKind::Server);
        let mut span = self.tracer.build_with_context(builder, &above);
        let context = span.span_context();
        if !span.is_recording() {
            let ids =
                Ids { trace: context.trace_id(), span: context.span_id(), sampled: context.is_sampled() };
            let is_valid = context.is_valid(); // not while the program ends
            return if is_valid { Trace::Untold(Untold { ids, passed: None }) } else { Trace::Off };
        }
        server::begin(&mut span, head);
        if let Some(link) = link {
            span.add_link(link.context(), Vec::new());
        }
        Trace::Told(Arc::new(Told {
            tracing: self.clone(),
            context: Context::new().with_span(span),
            attempts: AtomicU32::new(0),
            decided: AtomicBool::new(false),
        }))
    }
}

impl Trace {
    fn untold(ids: Ids, parent: &Parent) -> Trace {
        Trace::Untold(Untold { ids, passed: Some(parent.headers.clone()) })
    }

    /// For the log.
    pub fn ids(&self) -> Option<Ids> {
        match self {
            Trace::Off => None,
            Trace::Untold(untold) => Some(untold.ids),
            Trace::Told(told) => Some(told.ids()),
        }
    }

    fn told(&self) -> Option<&Arc<Told>> {
        match self {
            Trace::Told(told) => Some(told),
            Trace::Off | Trace::Untold(_) => None,
        }
    }

    /// Is it told of?
    pub fn is_told(&self) -> bool {
        self.told().is_some()
    }

    /// What belongs to the call while it is polled.
    pub fn context(&self) -> Option<&Context> {
        self.told().map(|told| &told.context)
    }

    /// What the call asks for is known.
    pub fn asked(&self, peek: &Peek) {
        let Some(told) = self.told() else { return };
        let names = told.tracing.names;
        let mut said = request(peek);
        if let Some(continues) = &peek.continues {
            let name = match continues {
                Continues::Conversation(_) => Some(names::CONVERSATION),
                Continues::Response(_) => names.previous_response(),
            };
            said.extend(name.map(|name| KeyValue::new(name, continues.id().to_owned())));
        }
        told.context.span().set_attributes(said);
    }

    /// There was room at one of the candidates, which are named in the order in which they were preferred.
    pub fn admitted<'n>(
        &self,
        reservation: &Reservation,
        candidates: impl Iterator<Item = &'n Arc<str>>,
        pools: impl Iterator<Item = &'n Arc<str>>,
    ) {
        let Some(told) = self.told() else { return };
        let candidates: Vec<&Arc<str>> = candidates.collect();
        let mut said = vec![
            KeyValue::new("weir.share", reservation.share as f64 / 1e6),
            count("weir.held_tokens", reservation.held_tokens()),
            KeyValue::new("weir.pools", list(pools)),
            KeyValue::new("weir.session", super::log::session(reservation.session)),
        ];
        if let Some(taken) = candidates.get(reservation.index) {
            said.push(KeyValue::new("weir.deployment", Arc::clone(taken)));
        }
        said.push(KeyValue::new("weir.candidates", list(candidates.into_iter().take(MOST_CANDIDATES))));
        told.context.span().add_event("weir.admitted", said);
    }

    /// There was no room, in this pool as far as that is known.
    pub fn denied(&self, scope: &'static str, pool: &Arc<str>, wait: Duration) {
        self.event("weir.denied", || {
            vec![
                KeyValue::new("weir.scope", scope),
                KeyValue::new("weir.pool", pool.clone()),
                KeyValue::new("weir.retry_in_ms", millis(wait)),
            ]
        });
    }

    /// It has waited for room.
    pub(super) fn waited(&self, time: Duration, pool: &Arc<str>, outcome: &'static str) {
        self.event("weir.waited", || {
            vec![
                KeyValue::new("weir.waited_ms", millis(time)),
                KeyValue::new("weir.pool", pool.clone()),
                KeyValue::new("weir.wait_outcome", outcome),
            ]
        });
    }

    /// An attempt was served, in this way.
    pub fn settled(&self, said: impl FnOnce() -> Vec<KeyValue>) {
        self.event("weir.settled", said);
    }

    /// One of two attempts has content: the other is given up.
    pub fn decided(&self) {
        if let Some(told) = self.told() {
            told.decided.store(true, Ordering::Relaxed);
        }
    }

    fn event(&self, name: &'static str, said: impl FnOnce() -> Vec<KeyValue>) {
        if let Some(told) = self.told() {
            told.context.span().add_event(name, said());
        }
    }

    /// An attempt begins.
    pub fn attempt(&self, sent: &Sent<'_>) -> Option<AttemptSpan> {
        self.told().map(|told| AttemptSpan::begin(told, sent))
    }

    /// The headers that say to a provider which trace a request belongs to: that of the attempt, or what the client said.
    pub fn passed_on(&self, attempt: Option<&AttemptSpan>) -> PassedOn {
        match (self, attempt) {
            (Trace::Off, _) => PassedOn::new(),
            (Trace::Untold(untold), _) => match &untold.passed {
                Some(said) => said.headers().collect(),
                None => named(traceparent(untold.ids)).collect(),
            },
            (Trace::Told(told), attempt) => {
                let context = attempt.map_or(&told.context, AttemptSpan::context);
                let (span, state) = (ids_of(context), state_of(context));
                named(traceparent(span)).chain(state.map(|state| (TRACESTATE, state))).collect()
            }
        }
    }
}

/// Headers of the standard.
pub type PassedOn = SmallVec<[(HeaderName, HeaderValue); 2]>;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

fn named(traceparent: Option<HeaderValue>) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
    traceparent.map(|value| (TRACEPARENT, value)).into_iter()
}

impl Passed {
    fn headers(&self) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        let states = self.tracestate.iter().map(|value| (TRACESTATE, value.clone()));
        std::iter::once((TRACEPARENT, self.traceparent.clone())).chain(states)
    }
}

impl Told {
    fn ids(&self) -> Ids {
        ids_of(&self.context)
    }
}

/// Of the span that a context is about.
pub(crate) fn ids_of(context: &Context) -> Ids {
    let span = context.span();
    let context = span.span_context();
    Ids { trace: context.trace_id(), span: context.span_id(), sampled: context.is_sampled() }
}

fn state_of(context: &Context) -> Option<HeaderValue> {
    let state = context.span().span_context().trace_state().header();
    HeaderValue::try_from(state).ok().filter(|state| !state.is_empty())
}

/// What a request asks for, as every version of the conventions says it.
fn request(peek: &Peek) -> Vec<KeyValue> {
    let mut said = vec![
        KeyValue::new(names::OPERATION, names::operation(peek.api)),
        KeyValue::new(names::REQUEST_MODEL, peek.model.clone()),
    ];
    said.extend(of_request(peek.api, peek.stream, peek.max_output, peek.choices));
    said
}

fn of_request(
    api: Api,
    stream: bool,
    max_output: Option<u64>,
    choices: u64,
) -> impl Iterator<Item = KeyValue> {
    let max_output = max_output.filter(|_| api.generates());
    let said = [
        stream.then(|| KeyValue::new(names::REQUEST_STREAM, true)),
        max_output.map(|most| count(names::REQUEST_MAX_TOKENS, most)),
        (choices != 1).then(|| count(names::REQUEST_CHOICES, choices)),
    ];
    said.into_iter().flatten()
}

/// OpenTelemetry's integers are signed.
fn count(name: &'static str, number: u64) -> KeyValue {
    KeyValue::new(name, i64::try_from(number).unwrap_or(i64::MAX))
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn list<'n>(names: impl Iterator<Item = &'n Arc<str>>) -> Value {
    Value::Array(Array::String(names.map(|name| name.clone().into()).collect()))
}

/// Only methods of the standard are names of spans.
fn method(method: &Method) -> &'static str {
    const KNOWN: [&str; 9] = ["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or("HTTP")
}

/// A header's text, if it is text.
fn text(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

#[cfg(test)]
mod tests;
