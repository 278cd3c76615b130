//! Events of the log as events of the call's span that they happen in. (In a span of `tracing` they are
//! `tracing-opentelemetry`'s matter.)

use opentelemetry::trace::TraceContextExt;
use opentelemetry::{Context, KeyValue};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{self, Layer};
use tracing_subscriber::registry::LookupSpan;

use crate::telemetry::log::Fields;

/// The layer that adds them.
#[derive(Debug)]
pub(crate) struct Events;

impl<S: Subscriber + for<'s> LookupSpan<'s>> Layer<S> for Events {
    fn on_event(&self, event: &Event<'_>, cx: layer::Context<'_, S>) {
        if cx.event_span(event).is_some() {
            return;
        }
        Context::map_current(|current| {
            let span = current.span();
            if !span.is_recording() {
                return;
            }
            let (meta, fields) = (event.metadata(), Fields::of(event));
            let mut said =
                vec![KeyValue::new("level", meta.level().as_str()), KeyValue::new("target", meta.target())];
            said.extend(fields.values.into_iter().map(|(name, value)| KeyValue::new(name, value)));
            span.add_event(fields.message, said);
        });
    }
}
