//! Lines of events that name the trace and the span that they belong to, as lines of calls do.

use std::fmt::Result;

use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt;
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::telemetry::trace::ids_of;

/// A format of JSON objects, with two members more.
pub(super) struct WithIds<F>(pub(super) F);

impl<S, N, F> FormatEvent<S, N> for WithIds<F>
where
    S: Subscriber + for<'s> LookupSpan<'s>,
    N: for<'w> FormatFields<'w> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(&self, cx: &FmtContext<'_, S, N>, mut to: Writer<'_>, event: &Event<'_>) -> Result {
        let ids = Context::map_current(|current| current.has_active_span().then(|| ids_of(current)));
        let Some(ids) = ids else { return self.0.format_event(cx, to, event) };
        let mut line = String::new();
        self.0.format_event(cx, Writer::new(&mut line), event)?;
        match line.trim_end().strip_suffix('}') {
            Some(open) => {
                writeln!(to, r#"{open},"trace_id":"{}","span_id":"{}"}}"#, ids.trace, ids.span)
            }
            None => to.write_str(&line),
        }
    }
}
