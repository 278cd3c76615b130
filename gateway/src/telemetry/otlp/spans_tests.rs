use opentelemetry::trace::{Span as _, SpanId, TraceContextExt, TraceFlags, TraceId, Tracer, TracerProvider};
use opentelemetry_sdk::trace::SdkTracerProvider;

use super::*;
use crate::telemetry::names;

/// A span below one with this `tracestate`, of this name and with an event of it, as it waits.
async fn ended(state: &str, name: &'static str) -> Ended {
    let queue = Arc::<Queue<Ended>>::default();
    let provider = SdkTracerProvider::builder().with_span_processor(Spans(queue.clone())).build();
    let (trace, span) = (TraceId::from(1), SpanId::from(2));
    let said = SpanContext::new(trace, span, TraceFlags::SAMPLED, true, state.parse().unwrap());
    let above = Context::new().with_remote_span_context(said.clone());
    let mut span = provider.tracer("t").start_with_context(name, &above);
    span.add_link(said, Vec::new());
    span.add_event(name, Vec::new());
    span.end();
    queue.close();
    queue.next().await.unwrap().remove(0)
}

/// Broken on purpose to see it fail: the state left as its client sent it; the link's left so.
#[tokio::test]
async fn a_tracestate_with_a_secret_is_not_told_and_another_is() {
    let redactor = Redactor::new(["plain-looking-word".to_owned()]).unwrap();
    for (state, told) in [
        ("vendor=1", "vendor=1"),
        ("vendor=1,other=plain-looking-word", ""),
        ("vendor=sk-0123456789abcdef", ""),
    ] {
        let span = ready(ended(state, "name").await, &redactor);
        assert_eq!(span.span_context.trace_state().header(), told, "{state}");
        assert_eq!(span.links.links[0].span_context.trace_state().header(), told, "{state}");
        assert_eq!((span.span_context.trace_id(), span.parent_span_id), (TraceId::from(1), SpanId::from(2)));
    }
}

/// Broken on purpose to see it fail: names and states not counted, which clients and messages make as long as they like.
#[tokio::test]
async fn what_a_span_is_said_to_weigh_grows_with_all_that_it_holds() {
    const LONG: &str =
        concat!("a-name-that-is-rather-long-", "and-longer-than-that-by-far-and-goes-on-for-a-while");
    let bare = ended("", "n").await.weight();
    assert_eq!(bare.kept, bare.told);
    let named = ended("", LONG).await.weight();
    assert_eq!(named.kept - bare.kept, 2 * (LONG.len() - 1), "the span's name and the event's");
    let state = format!("vendor={}", "x".repeat(200));
    let stated = ended(&state, "n").await.weight();
    assert_eq!(stated.kept - bare.kept, 4 * state.len(), "the span's state and the link's");
}

/// Broken on purpose to see it fail: contents looked through as one text, in which an escape's letter stands before the word.
#[tokio::test]
async fn contents_stay_as_they_were_written() {
    let mut span = ended("", "n").await;
    let said = r#"[{"description":"write to\njane@example.com"}]"#;
    span.span.attributes =
        vec![KeyValue::new(names::TOOL_DEFINITIONS, said), KeyValue::new("a", "jane@example.com")];
    let span = ready(span, &Redactor::default());
    assert_eq!(span.attributes[0].value.to_string(), said, "told::read has looked through it");
    assert_eq!(span.attributes[1].value.to_string(), "[redacted]");
}
