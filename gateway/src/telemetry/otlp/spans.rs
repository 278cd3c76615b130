//! Spans on their way to the collector.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry::trace::{SpanContext, TraceState};
use opentelemetry::{Context, KeyValue, Value};
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};

use super::queue::{Queue, Weighs, Weight};
use super::sender::Export;
use crate::telemetry::names::Names;
use crate::telemetry::redact::Redactor;
use crate::telemetry::told::{self, Along, Transcript};

/// A span that has ended, and what goes along with it.
#[derive(Debug)]
pub(super) struct Ended {
    span: SpanData,
    along: Option<Along>,
}

impl Weighs for Ended {
    fn weight(&self) -> Weight {
        let span = &self.span;
        let events: usize =
            span.events.iter().map(|event| 96 + event.name.len() + of(&event.attributes)).sum();
        let links: usize =
            span.links.iter().map(|link| 128 + of_state(&link.span_context) + of(&link.attributes)).sum();
        let state = of_state(&span.span_context);
        let own = 512 + span.name.len() + of(&span.attributes) + events + links + state;
        let along = self.along.as_ref().map_or((0, 0), |(along, _)| (along.size(), along.told_size()));
        Weight { kept: own + along.0, told: own + along.1 }
    }
}

fn of(attributes: &[KeyValue]) -> usize {
    let value = |value: &Value| match value {
        Value::String(text) => text.as_str().len(),
        Value::Array(opentelemetry::Array::String(texts)) => {
            texts.iter().map(|text| 24 + text.as_str().len()).sum()
        }
        _ => 8,
    };
    attributes.iter().map(|attribute| 64 + value(&attribute.value)).sum()
}

/// A `tracestate`, of which most spans have none.
fn of_state(context: &SpanContext) -> usize {
    let state = context.trace_state();
    if *state == TraceState::NONE { 0 } else { 2 * state.header().len() }
}

/// Takes spans that end into the queue.
#[derive(Debug)]
pub(super) struct Spans(pub(super) Arc<Queue<Ended>>);

impl SpanProcessor for Spans {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        self.0.push(Ended { span, along: told::taken() });
    }

    /// Whoever sends looks after that ([`super::Otlp::end`]).
    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

impl Export for SpanExporter {
    type Item = Ended;
    const SIGNAL: &'static str = "traces";

    async fn export(&mut self, batch: Vec<Ended>, redactor: &Redactor) -> Result<(), String> {
        let mut spans = Vec::with_capacity(batch.len());
        for ended in batch {
            // Whoever else works on this thread waits for one span, not for all of them.
            if ended.along.is_some() {
                tokio::task::yield_now().await;
            }
            spans.push(ready(ended, redactor));
        }
        opentelemetry_sdk::trace::SpanExporter::export(self, spans)
            .await
            .map_err(|err| redactor.short(&err.to_string()))
    }
}

/// As it is told: with what goes along, and without secrets.
fn ready(Ended { mut span, along }: Ended, redactor: &Redactor) -> SpanData {
    redactor.attributes(&mut span.attributes);
    if let Some((transcript, names)) = along {
        span.attributes.extend(heard(&transcript, names, redactor));
    }
    for event in &mut span.events.events {
        redactor.attributes(&mut event.attributes);
        event.name = redactor.short(&event.name).into();
    }
    for link in &mut span.links.links {
        redactor.attributes(&mut link.attributes);
        without_state(&mut link.span_context, redactor);
    }
    without_state(&mut span.span_context, redactor);
    span
}

/// What a transcript says. A fault in reading what strangers wrote costs that, and not all that is told from then on.
fn heard(transcript: &Transcript, names: Names, redactor: &Redactor) -> Vec<KeyValue> {
    let reading = AssertUnwindSafe(|| told::read(transcript, names, redactor));
    std::panic::catch_unwind(reading).unwrap_or_else(|_| {
        tracing::error!(target: "weir::telemetry", "a request or its answer could not be read for its span");
        Vec::new()
    })
}

/// A `tracestate` is whatever its client says: one with a secret is not told at all.
fn without_state(context: &mut SpanContext, redactor: &Redactor) {
    if *context.trace_state() == TraceState::NONE {
        return;
    }
    let said = context.trace_state().header();
    if redactor.text(&said) != said {
        let (flags, is_remote) = (context.trace_flags(), context.is_remote());
        let none = TraceState::NONE;
        *context = SpanContext::new(context.trace_id(), context.span_id(), flags, is_remote, none);
    }
}

#[cfg(test)]
#[path = "spans_tests.rs"]
mod tests;
