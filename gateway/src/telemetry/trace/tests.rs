use std::path::Path;

use bytes::Bytes;
use opentelemetry::trace::{SpanId, TracerProvider};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, Span, SpanData, SpanProcessor};
use parking_lot::Mutex;

use super::*;
use crate::config::{Config, check};
use crate::dialect::gemini::Framing;
use crate::dialect::openai::answer::Usage;
use crate::dialect::request::{InPath, peek};
use crate::telemetry::{Metrics, Record, told};

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// Spans that have ended, and whether something went along.
#[derive(Clone, Debug, Default)]
struct Ended(Arc<Mutex<Vec<(SpanData, bool)>>>);

impl SpanProcessor for Ended {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        self.0.lock().push((span, told::taken().is_some()));
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

struct Rig {
    ended: Ended,
    tracing: Arc<Tracing>,
    config: Config,
}

impl Rig {
    fn new(settings: &str) -> Rig {
        let text = format!(
            "version = 1\n[telemetry]\n{settings}\n[[accounts]]\nname = \"acc\"\nprovider = \"azure\"\n\
             base_url = \"http://127.0.0.1:9/v1\"\napi_key = \"k\"\n[[deployments]]\nname = \"dep\"\naccount = \"acc\"\n\
             model = \"gpt-4o-2024\"\n[[models]]\nname = \"m\"\ndeployments = [\"dep\"]\n"
        );
        let config = check::check(Path::new("weir.toml"), &text, &|_| None).unwrap();
        let (ended, share) = (Ended::default(), Share::new(0.0));
        let provider = SdkTracerProvider::builder()
            .with_sampler(share.sampler())
            .with_span_processor(ended.clone())
            .build();
        let names = Names { v141: true, latest: false };
        let tracing = Tracing::new(provider.tracer("weir"), names, share, &config.telemetry);
        Rig { ended, tracing: Arc::new(tracing), config }
    }

    fn begin(&self, headers: &[(&'static str, &str)]) -> Trace {
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        self.tracing.begin(&Head {
            method: &Method::POST,
            path: "/v1/chat/completions",
            route: Some("/v1/chat/completions"),
            version: Version::HTTP_11,
            headers: &headers.collect(),
            client: [127, 0, 0, 1].into(),
            secure: false,
        })
    }

    fn attempt(&self, trace: &Trace) -> Option<AttemptSpan> {
        let body = Bytes::from_static(
            br#"{"model":"m","messages":[{"role":"user","content":"Hi."}],"stream":true,"max_tokens":9}"#,
        );
        let peek = peek(Api::Chat, &body, InPath::default()).unwrap();
        let deployment = &self.config.deployments[0];
        trace.attempt(&Sent { peek: &peek, body: &body, framing: Framing::Sse, deployment, held_tokens: 77 })
    }

    fn record(&self, trace: &Trace) -> Record {
        let mut record = Record::new(Arc::new(Metrics::new().unwrap()), "req_1".into());
        record.trace = trace.clone();
        (record.tenant, record.model, record.deployment) = ("t".into(), "m".into(), "dep".into());
        record
    }

    fn spans(&self) -> Vec<SpanData> {
        self.ended.0.lock().iter().map(|(span, _)| span.clone()).collect()
    }
}

fn of(span: &SpanData, name: &str) -> Option<String> {
    let named = |attribute: &&KeyValue| attribute.key.as_str() == name;
    span.attributes.iter().find(named).map(|attribute| attribute.value.to_string())
}

fn header<'h>(passed: &'h PassedOn, name: &str) -> Option<&'h str> {
    passed.iter().find(|(key, _)| key.as_str() == name).map(|(_, value)| value.to_str().unwrap())
}

/// Broken on purpose to see it fail: attempts without a parent; the client's ids passed on in place of the attempt's.
#[test]
fn a_call_is_one_span_below_its_clients_and_each_attempt_one_below_it() {
    let rig = Rig::new("");
    let trace = rig.begin(&[("traceparent", PARENT), ("tracestate", "vendor=1"), ("user-agent", "curl")]);
    let first = rig.attempt(&trace).unwrap();
    first.failed("rate_limited", Some(429));
    let mut second = rig.attempt(&trace).unwrap();
    let passed = trace.passed_on(Some(&second));
    second.answered(200);
    second.first_content(Duration::from_millis(250));
    second.heard(b"data: x\n\n");
    let usage = Usage { input: 5, cached_input: 2, written_input: 1, output: 3, ..Usage::default() };
    second.ended("ok", Some(&usage));
    let mut record = rig.record(&trace);
    record.usage = Some(usage);
    record.stream_ended("ok");
    drop(record);

    let spans = rig.spans();
    let [first, second, call] = spans.as_slice() else { panic!("{spans:#?}") };
    assert_eq!((call.name.as_ref(), &call.span_kind), ("POST /v1/chat/completions", &SpanKind::Server));
    assert_eq!(call.span_context.trace_id().to_string(), PARENT[3..35]);
    assert_eq!(
        (call.parent_span_id.to_string().as_str(), call.parent_span_is_remote),
        (&PARENT[36..52], true)
    );
    for attempt in [first, second] {
        assert_eq!((attempt.name.as_ref(), &attempt.span_kind), ("chat gpt-4o-2024", &SpanKind::Client));
        assert_eq!(attempt.parent_span_id, call.span_context.span_id());
        assert_eq!(of(attempt, names::PROVIDER).as_deref(), Some("azure.ai.openai"));
        assert_eq!(of(attempt, names::SERVER_PORT).as_deref(), Some("9"));
        assert_eq!(of(attempt, names::REQUEST_MAX_TOKENS).as_deref(), Some("9"));
    }
    assert_eq!(of(first, names::ERROR).as_deref(), Some("rate_limited"));
    assert_eq!(of(first, names::STATUS).as_deref(), Some("429"));
    assert!(matches!(first.status, opentelemetry::trace::Status::Error { .. }));
    assert_eq!(second.status, opentelemetry::trace::Status::Unset);
    for (name, expected) in [
        (names::USAGE_INPUT, "5"),
        (names::USAGE_CACHE_READ, "2"),
        ("gen_ai.usage.cache_creation.input_tokens", "1"),
        (names::RESPONSE_FIRST_CHUNK, "0.25"),
        ("weir.attempt", "2"),
    ] {
        assert_eq!(of(second, name).as_deref(), Some(expected), "{name}");
    }
    assert_eq!(second.events[0].name, "weir.first_token");
    assert_eq!(of(call, names::USAGE_INPUT), None, "each token is told once");
    assert_eq!(of(call, "weir.input_tokens").as_deref(), Some("5"));
    assert_eq!(of(call, names::STATUS).as_deref(), Some("200"));
    assert_eq!(of(call, "weir.tenant").as_deref(), Some("t"));
    let sent = format!("00-{}-{}-01", &PARENT[3..35], second.span_context.span_id());
    assert_eq!(header(&passed, "traceparent"), Some(sent.as_str()));
    assert_eq!(header(&passed, "tracestate"), Some("vendor=1"));
    let along: Vec<bool> = rig.ended.0.lock().iter().map(|(_, along)| *along).collect();
    assert_eq!(along, [true, true, false]);
}

/// Broken on purpose to see it fail: an unsampled parent taken for none.
#[test]
fn what_is_not_told_of_is_passed_on_so() {
    let rig = Rig::new("sample_ratio = 1.0");
    let unsampled = PARENT.replace("-01", "-00");
    let trace = rig.begin(&[("traceparent", &unsampled), ("tracestate", "vendor=1")]);
    assert!(!trace.is_told() && rig.attempt(&trace).is_none());
    let passed = trace.passed_on(None);
    assert_eq!(header(&passed, "traceparent"), Some(unsampled.as_str()));
    assert_eq!(header(&passed, "tracestate"), Some("vendor=1"));
    rig.tracing.set(&Telemetry { sample_ratio: 0.0, ..rig.config.telemetry.clone() });
    let trace = rig.begin(&[]);
    let ids = trace.ids().unwrap();
    let passed = trace.passed_on(None);
    assert_eq!(header(&passed, "traceparent"), Some(format!("00-{}-{}-00", ids.trace, ids.span).as_str()));
    drop(rig.record(&trace));
    assert!(rig.spans().is_empty());
    assert!(Trace::Off.passed_on(None).is_empty());
}

/// Broken on purpose to see it fail: the share not looked at again.
#[test]
fn the_share_may_change_at_any_time() {
    let rig = Rig::new("sample_ratio = 0.25");
    let told = || (0..4_000).filter(|_| rig.begin(&[]).is_told()).count();
    assert!((800..1_200).contains(&told()));
    rig.tracing.set(&Telemetry { sample_ratio: 1.0, ..rig.config.telemetry.clone() });
    assert_eq!(told(), 4_000);
    rig.tracing.set(&Telemetry { sample_ratio: 0.0, ..rig.config.telemetry.clone() });
    assert_eq!(told(), 0);
}

/// Broken on purpose to see it fail: the parent of a client that is not trusted.
#[test]
fn a_client_that_is_not_trusted_decides_nothing_and_is_linked() {
    let rig = Rig::new("sample_ratio = 0.0\ntrust_traceparent = false");
    assert!(!rig.begin(&[("traceparent", PARENT)]).is_told());
    rig.tracing.set(&Telemetry { sample_ratio: 1.0, ..rig.config.telemetry.clone() });
    let trace = rig.begin(&[("traceparent", PARENT)]);
    drop(rig.record(&trace));
    let spans = rig.spans();
    assert_ne!(spans[0].span_context.trace_id().to_string(), PARENT[3..35]);
    assert_eq!(spans[0].parent_span_id, SpanId::INVALID);
    assert_eq!(spans[0].links[0].span_context.span_id().to_string(), PARENT[36..52]);
}

/// Broken on purpose to see it fail: once decided, decided for the rest of the call.
#[test]
fn an_attempt_that_ends_without_a_word_was_overtaken_or_its_call_is_gone() {
    let rig = Rig::new("sample_ratio = 1.0");
    let trace = rig.begin(&[]);
    drop(rig.attempt(&trace));
    let late = rig.attempt(&trace);
    trace.decided();
    drop(late);
    // Who was faster has failed in the end, and the call goes on elsewhere.
    drop(rig.attempt(&trace));
    let outcomes: Vec<_> = rig.spans().iter().map(|span| of(span, "weir.outcome").unwrap()).collect();
    assert_eq!(outcomes, ["abandoned", "overtaken", "abandoned"]);
    assert!(rig.spans().iter().all(|span| span.status == opentelemetry::trace::Status::Unset));
}

#[test]
fn a_client_that_left_before_its_answer_got_no_status_and_later_a_good_one() {
    let rig = Rig::new("sample_ratio = 1.0");
    for (first, status) in [(None, None), (Some(Duration::from_millis(1)), Some("200"))] {
        let mut record = rig.record(&rig.begin(&[]));
        record.first_token = first;
        drop(record);
        let spans = rig.spans();
        let span = spans.last().unwrap();
        assert_eq!(of(span, names::STATUS).as_deref(), status);
        assert_eq!(
            (of(span, "weir.outcome").as_deref(), of(span, names::ERROR)),
            (Some("client_gone"), None)
        );
    }
}
