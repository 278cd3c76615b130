//! Spans on their way to the collector.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::{Context, KeyValue, Value};
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};

use super::queue::{Queue, Weighs};
use super::sender::Export;
use crate::telemetry::redact::Redactor;
use crate::telemetry::told::{self, Along};

/// A span that has ended, and what goes along with it.
#[derive(Debug)]
pub(super) struct Ended {
    span: SpanData,
    along: Option<Along>,
}

impl Weighs for Ended {
    fn bytes(&self) -> usize {
        let span = &self.span;
        let events: usize = span.events.iter().map(|event| 96 + of(&event.attributes)).sum();
        let along = self.along.as_ref().map_or(0, |(transcript, _)| transcript.size());
        512 + of(&span.attributes) + events + along
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
        let spans = batch.into_iter().map(|ended| ready(ended, redactor)).collect();
        opentelemetry_sdk::trace::SpanExporter::export(self, spans)
            .await
            .map_err(|err| redactor.short(&err.to_string()))
    }
}

/// As it is told: with what goes along, and without secrets.
fn ready(Ended { mut span, along }: Ended, redactor: &Redactor) -> SpanData {
    if let Some((transcript, names)) = along {
        span.attributes.extend(told::read(&transcript, names, redactor));
    }
    redactor.attributes(&mut span.attributes);
    for event in &mut span.events.events {
        redactor.attributes(&mut event.attributes);
        event.name = redactor.short(&event.name).into();
    }
    span
}
