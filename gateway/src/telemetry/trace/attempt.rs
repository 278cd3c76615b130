//! The span of one attempt: a call of a provider's model, by the conventions for GenAI clients.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use opentelemetry::trace::{SpanBuilder, SpanKind, Status, TraceContextExt, Tracer};
use opentelemetry::{Context, ContextGuard, KeyValue};

use super::{Told, count, names, of_request};
use crate::config::Deployment;
use crate::dialect::gemini::Framing;
use crate::dialect::openai::answer::Usage;
use crate::dialect::request::Peek;
use crate::telemetry::told::{self, Transcript};

/// What an attempt sends, and where.
#[derive(Debug)]
pub struct Sent<'a> {
    /// What its client asks.
    pub peek: &'a Peek,
    /// The same, whole.
    pub body: &'a Bytes,
    /// How its client wants a stream framed.
    pub framing: Framing,
    /// Who is asked.
    pub deployment: &'a Deployment,
    /// Tokens held for it.
    pub held_tokens: u64,
}

/// A span that is told of. Dropped without an end its call has gone without it: the client left, the replica's grace was
/// over, or another attempt was first.
#[derive(Debug)]
pub struct AttemptSpan {
    told: Arc<Told>,
    context: Context,
    /// For what stands in the request and the answer; it is read elsewhere.
    transcript: Option<Box<Transcript>>,
    outcome: Option<&'static str>,
}

impl AttemptSpan {
    pub(super) fn begin(told: &Arc<Told>, sent: &Sent<'_>) -> AttemptSpan {
        let Sent { peek, body, framing, deployment, held_tokens } = sent;
        let (operation, account) = (names::operation(peek.api), &deployment.account);
        let number = told.attempts.fetch_add(1, Ordering::Relaxed) + 1;
        told.decided.store(false, Ordering::Relaxed); // whoever served before has not to the end
        let mut said = vec![
            KeyValue::new(names::OPERATION, operation),
            KeyValue::new(names::PROVIDER, names::provider(&account.preset.name).to_owned()),
            KeyValue::new(names::REQUEST_MODEL, deployment.model.clone()),
            KeyValue::new("weir.deployment", deployment.name.clone()),
            KeyValue::new("weir.account", account.name.clone()),
            count("weir.attempt", number.into()),
            count("weir.held_tokens", *held_tokens),
        ];
        if let Some(host) = account.base_url.host() {
            said.push(KeyValue::new(names::SERVER_ADDRESS, host.to_owned()));
            said.push(KeyValue::new(names::SERVER_PORT, i64::from(names::port(&account.base_url))));
        }
        said.extend(of_request(peek.api, peek.stream, peek.max_output, peek.choices));
        let builder = SpanBuilder::from_name(format!("{operation} {}", deployment.model))
            .with_kind(SpanKind::Client)
            .with_attributes(said);
        let span = told.tracing.tracer.build_with_context(builder, &told.context);
        let (captures, room) = (told.tracing.captures.load(Ordering::Relaxed), &told.tracing.room);
        let transcript = peek
            .api
            .talks()
            .map(|dialect| Box::new(Transcript::new(dialect, *framing, body, captures, room)));
        AttemptSpan { told: told.clone(), context: told.context.with_span(span), transcript, outcome: None }
    }

    pub(super) fn context(&self) -> &Context {
        &self.context
    }

    /// What is told until the guard is dropped, is told of the attempt.
    pub fn enter(&self) -> ContextGuard {
        self.context.clone().attach()
    }

    /// The head of an answer has come.
    pub fn answered(&self, status: u16) {
        self.context.span().set_attribute(KeyValue::new(names::STATUS, i64::from(status)));
    }

    /// The first content of a stream has come, so long after the attempt was sent.
    pub fn first_content(&self, after: Duration) {
        let span = self.context.span();
        span.set_attribute(KeyValue::new(names::RESPONSE_FIRST_CHUNK, after.as_secs_f64()));
        span.add_event("weir.first_token", Vec::new());
    }

    /// Bytes of the answer, as the client gets them.
    pub fn heard(&mut self, bytes: &[u8]) {
        if let Some(transcript) = &mut self.transcript {
            transcript.push(bytes);
        }
    }

    /// The whole answer, as the client gets it.
    pub fn told_whole(&mut self, body: &Bytes) {
        if let Some(transcript) = &mut self.transcript {
            transcript.whole(body);
        }
    }

    /// It did not serve the call.
    pub fn failed(mut self, outcome: &'static str, status: Option<u16>) {
        let status = status.map(|status| KeyValue::new(names::STATUS, i64::from(status)));
        self.context.span().set_attributes(status);
        self.outcome = Some(outcome);
    }

    /// Its answer is over: `ok`, or how it ended.
    pub fn ended(mut self, outcome: &'static str, usage: Option<&Usage>) {
        if let Some(usage) = usage {
            let names = self.told.tracing.names;
            let mut said =
                vec![count(names::USAGE_INPUT, usage.input), count(names::USAGE_OUTPUT, usage.output)];
            let more =
                [(names::USAGE_CACHE_READ, usage.cached_input), (names::USAGE_REASONING, usage.reasoning)]
                    .into_iter()
                    .chain(names.cache_write().map(|name| (name, usage.written_input)));
            said.extend(more.filter(|(_, tokens)| *tokens > 0).map(|(name, tokens)| count(name, tokens)));
            self.context.span().set_attributes(said);
        }
        self.outcome = Some(outcome);
    }
}

impl Drop for AttemptSpan {
    fn drop(&mut self) {
        let left = if self.told.decided.load(Ordering::Relaxed) { "overtaken" } else { "abandoned" };
        let outcome = self.outcome.unwrap_or(left);
        let span = self.context.span();
        span.set_attribute(KeyValue::new("weir.outcome", outcome));
        if self.outcome.is_some() && !matches!(outcome, "ok" | "client_gone") {
            span.set_attribute(KeyValue::new(names::ERROR, outcome));
            span.set_status(Status::error(""));
        }
        told::along(self.transcript.take().map(|transcript| (transcript, self.told.tracing.names)), || {
            span.end();
        });
    }
}
