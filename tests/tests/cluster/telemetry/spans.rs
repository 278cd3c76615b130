//! A call as a tree of spans.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use weir_tests::client::{Answer, Ask, Client};
use weir_tests::collector::{Collector, Span, text_of};
use weir_tests::process::eventually;
use weir_tests::provider::Upstream;
use weir_tests::site::{Plan, Site};

use super::{ask, last_header, site, tree, upstream};
use crate::in_turn;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

fn sampled(ask: Ask) -> Ask {
    ask.header("traceparent", format!("00-{TRACE}-{CALLER}-01")).header("tracestate", "vendor=1")
}

/// Each line is an attribute and its text.
fn has(span: &Span, expected: &[(&str, &str)]) -> Result<()> {
    for (name, text) in expected {
        let found = span.attribute(name);
        ensure!(found == *text, "{}: {name} is {found:?}, not {text:?}", span.proto.name);
    }
    Ok(())
}

/// A streamed call whose first deployment refuses it. Broken on purpose to see it fail: the attempt's span ended when its answer
/// begins; attempts without their parent; the headers of the call's span sent to providers; tokens told as text.
#[test]
fn a_call_that_failed_over_is_one_tree_of_spans_over_grpc_and_http() -> Result<()> {
    in_turn(async {
        for protocol in ["grpc", "http"] {
            let (site, collector) = site("telemetry-tree", protocol, "").await?;
            site.providers[0].fail(&["status=429,retry-after=30,times=1"]).await?;
            let answer = site.client.call(&sampled(ask())).await;
            ensure!(answer.is_good(true) && answer.deployment == "b", "{answer:?}");
            let (call, attempts) = tree(&collector, answer.header("x-request-id")).await?;
            let [first, second] = attempts.as_slice() else { anyhow::bail!("{attempts:#?}") };
            check_call(&call, &answer)?;
            check_attempts(&site, &call, first, second).await?;
            for (provider, span) in site.providers.iter().zip([first, second]) {
                let sent = last_header(provider, "traceparent").await?;
                let expected = format!("00-{TRACE}-{}-01", span.id());
                ensure!(sent.as_deref() == Some(expected.as_str()), "{protocol}: {sent:?}, not {expected}");
                let state = last_header(provider, "tracestate").await?;
                ensure!(state.as_deref() == Some("vendor=1"), "{protocol}: {state:?}");
            }
            check_records((&site, &collector), &answer, &call, first).await?;
        }
        Ok(())
    })
}

fn check_call(call: &Span, answer: &Answer) -> Result<()> {
    ensure!(call.trace() == TRACE && call.parent() == CALLER, "{call:#?}");
    ensure!(call.proto.name == "POST /v1/chat/completions" && call.scope == "weir", "{call:#?}");
    ensure!(call.whose("service.name") == "weir" && !call.is_error(), "{call:#?}");
    ensure!(call.whose("service.instance.id") == answer.replica, "{:?}", call.resource);
    has(
        call,
        &[
            ("http.request.method", "POST"),
            ("http.route", "/v1/chat/completions"),
            ("url.path", "/v1/chat/completions"),
            ("http.response.status_code", "200"),
            ("gen_ai.operation.name", "chat"),
            ("gen_ai.request.model", "m"),
            ("gen_ai.request.stream", "true"),
            ("weir.model", "m"),
            ("weir.deployment", "b"),
            ("weir.attempts", "2"),
            ("weir.outcome", "ok"),
            ("weir.decision", "a: taken, rate_limited, b: taken"),
        ],
    )?;
    ensure!(call.value("gen_ai.usage.input_tokens").is_none(), "tokens are told by attempts alone");
    let events = call.events();
    ensure!(events == ["weir.admitted", "weir.admitted", "weir.settled"], "{events:?}");
    let admitted = &call.proto.events[0].attributes;
    ensure!(text_of(admitted, "weir.candidates") == "a, b", "{admitted:?}");
    ensure!(text_of(admitted, "weir.deployment") == "a", "{admitted:?}");
    ensure!(call.event("weir.settled", "weir.settled_by") == "usage", "{call:#?}");
    Ok(())
}

async fn check_attempts(site: &Site, call: &Span, first: &Span, second: &Span) -> Result<()> {
    for (span, name) in [(first, "a"), (second, "b")] {
        ensure!(span.trace() == TRACE && span.proto.name == format!("chat up-{name}"), "{span:#?}");
        has(
            span,
            &[
                ("gen_ai.operation.name", "chat"),
                ("gen_ai.provider.name", "openai-compatible"),
                ("gen_ai.request.model", &format!("up-{name}")),
                ("gen_ai.request.max_tokens", "16"),
                ("weir.deployment", name),
                ("weir.account", name),
                ("server.address", "127.0.0.1"),
            ],
        )?;
        let within = call.proto.start_time_unix_nano <= span.proto.start_time_unix_nano
            && span.proto.end_time_unix_nano <= call.proto.end_time_unix_nano;
        ensure!(within, "{span:#?}");
    }
    has(first, &[("error.type", "rate_limited"), ("http.response.status_code", "429")])?;
    ensure!(first.is_error() && first.events() == ["attempt refused"], "{first:#?}");
    ensure!(!second.is_error() && second.events() == ["weir.first_token"], "{second:#?}");
    has(second, &[("gen_ai.response.finish_reasons", "stop"), ("gen_ai.response.model", "up-b")])?;
    ensure!(!second.attribute("gen_ai.response.id").is_empty(), "{second:#?}");
    // The provider's own log is the judge of what was used, and of how long it took.
    let seen = site.providers[1].arrivals().await?.pop().context("no arrival")?;
    for (name, tokens) in [
        ("gen_ai.usage.input_tokens", seen.prompt_tokens),
        ("gen_ai.usage.output_tokens", seen.output_tokens),
    ] {
        let told = second.value(name);
        ensure!(told == Some(Value::IntValue(tokens as i64)), "{name}: {told:?}, the provider says {tokens}");
    }
    let ended = second.proto.end_time_unix_nano / 1_000;
    ensure!(ended >= seen.end_us.unwrap_or(u64::MAX), "the span ends before the stream does");
    Ok(())
}

/// The call's line and the warning of its first attempt, as records of the same trace.
async fn check_records(
    (site, collector): (&Site, &Collector),
    answer: &Answer,
    call: &Span,
    first: &Span,
) -> Result<()> {
    let id = answer.header("x-request-id");
    for (what, span) in [("\"weir::call\"", call), ("attempt refused", first)] {
        let log = site.replicas[0].log()?;
        let named = |line: &&str| line.contains(what) && line.contains(&span.id()) && line.contains(TRACE);
        let line = log.lines().find(named).with_context(|| format!("no line of {what} names its span"))?;
        serde_json::from_str::<serde_json::Value>(line)?;
    }
    eventually("records of the call", async || {
        let records = collector.told().records();
        let of_call = records.iter().find(|record| text_of(&record.attributes, "request_id") == id);
        let warning = records.iter().find(|record| hex::encode(&record.span_id) == first.id());
        let (Some(of_call), Some(warning)) = (of_call, warning) else { return Ok(false) };
        ensure!(hex::encode(&of_call.trace_id) == TRACE && hex::encode(&of_call.span_id) == call.id());
        ensure!(text_of(&of_call.attributes, "deployment") == "b", "{of_call:?}");
        ensure!(warning.severity_text == "WARN" && hex::encode(&warning.trace_id) == TRACE, "{warning:?}");
        Ok(true)
    })
    .await
}

/// Broken on purpose to see it fail: the client's decision passed over.
#[test]
fn what_a_client_does_not_want_told_is_not_told_and_passed_on_so() -> Result<()> {
    in_turn(async {
        let (site, collector) = site("telemetry-untold", "grpc", "").await?;
        let unsampled = format!("00-{TRACE}-{CALLER}-00");
        let quiet = ask().header("traceparent", unsampled.clone()).header("tracestate", "vendor=1");
        ensure!(site.client.call(&quiet).await.is_good(true));
        ensure!(last_header(&site.providers[0], "traceparent").await? == Some(unsampled));
        ensure!(last_header(&site.providers[0], "tracestate").await?.as_deref() == Some("vendor=1"));
        let loud = site.client.call(&ask()).await;
        let (call, _) = tree(&collector, loud.header("x-request-id")).await?;
        ensure!(call.parent().is_empty(), "{call:#?}");
        // What was told later has come, so what was to be told before would have.
        let told = collector.spans().iter().filter(|span| span.trace() == TRACE).count();
        ensure!(told == 0, "{told} spans of a trace that nobody wants");
        Ok(())
    })
}

/// Broken on purpose to see it fail: headers sent whatever the account says.
#[test]
fn a_provider_that_is_to_see_nothing_of_a_trace_sees_nothing() -> Result<()> {
    in_turn(async {
        let collector = Collector::start().await?;
        let account = "traceparent = false\n".to_owned();
        let telemetry = collector.settings("grpc", "");
        let plan = super::plan("telemetry-private", &telemetry);
        let upstreams = vec![Upstream { account, ..upstream("a") }, upstream("b")];
        let site = Site::start(Plan { upstreams, ..plan }).await?;
        ensure!(site.client.call(&sampled(ask())).await.is_good(true));
        ensure!(last_header(&site.providers[0], "authorization").await?.is_some());
        ensure!(last_header(&site.providers[0], "traceparent").await?.is_none());
        ensure!(last_header(&site.providers[0], "tracestate").await?.is_none());
        Ok(())
    })
}

/// Broken on purpose to see it fail: spans that end with the head of the answer.
#[test]
fn a_span_ends_with_its_stream_however_that_ends() -> Result<()> {
    in_turn(async {
        let (site, collector) = site("telemetry-ends", "grpc", "").await?;
        for provider in &site.providers {
            provider.control(serde_json::json!({ "pace": "100ms", "output": "20" })).await?;
        }
        let client = Client::new(site.replicas[0].addr());
        ensure!(client.call_and_leave(&sampled(ask().max_tokens(64)), 5).await? == 200);
        let of_calls = |span: &&Span| span.is_server() || span.is_client();
        let gone = collector
            .spans_when("spans of a client that left", |spans| spans.iter().filter(of_calls).count() >= 2)
            .await?;
        for span in gone.iter().filter(of_calls) {
            has(
                span,
                &[("weir.outcome", "client_gone"), ("http.response.status_code", "200"), ("error.type", "")],
            )?;
            let took = span.proto.end_time_unix_nano - span.proto.start_time_unix_nano;
            ensure!(took > 200_000_000, "{}: {took} ns, as long as the head took", span.proto.name);
        }
        site.providers[0].fail(&["cut=mid"]).await?;
        let cut = client.call(&ask().max_tokens(64)).await;
        ensure!(cut.error_event, "{cut:?}");
        let (call, attempts) = tree(&collector, cut.header("x-request-id")).await?;
        has(&call, &[("weir.outcome", "upstream_failed"), ("error.type", "upstream_failed")])?;
        ensure!(call.is_error() && attempts[0].is_error(), "{call:#?}");
        Ok(())
    })
}

/// A second attempt beside the first: both are told, and which of them served. Broken on purpose to see it fail: the attempt
/// that lost told as one whose client has left.
#[test]
fn of_two_attempts_beside_each_other_both_are_told() -> Result<()> {
    in_turn(async {
        let (collector, hedge) =
            (Collector::start().await?, "hedge = { after = \"200ms\", budget = 0.05 }\n");
        let telemetry = collector.settings("grpc", "");
        let upstreams = ["a", "b"].map(|name| Upstream { charge: "end-actual", ..upstream(name) }).to_vec();
        let plan =
            Plan { upstreams, defaults: hedge.to_owned(), ..super::plan("telemetry-hedge", &telemetry) };
        let site = Site::start(plan).await?;
        site.providers[0].fail(&["slow=3s"]).await?;
        let answer = site.client.call(&ask()).await;
        ensure!(answer.is_good(true) && answer.deployment == "b", "{answer:?}");
        let (_, attempts) = tree(&collector, answer.header("x-request-id")).await?;
        let outcomes: Vec<String> = attempts.iter().map(|span| span.attribute("weir.outcome")).collect();
        ensure!(outcomes == ["overtaken", "ok"], "{outcomes:?}");
        Ok(())
    })
}

/// A replica that is told to end tells what it knows first: the calls that ran meanwhile, and its drain.
#[test]
fn a_replica_that_ends_has_told_everything() -> Result<()> {
    in_turn(async {
        let (mut site, collector) = site("telemetry-drain", "http", "").await?;
        site.providers[0].control(serde_json::json!({ "pace": "100ms", "output": "15" })).await?;
        let client = Client::new(site.replicas[0].addr());
        let running = tokio::spawn(async move { client.call(&ask().max_tokens(64)).await });
        tokio::time::sleep(Duration::from_millis(500)).await; // and the stream is in its middle
        site.replicas[0].terminate()?;
        let answer = running.await?;
        ensure!(answer.is_good(true), "{answer:?}");
        let code = site.replicas[0].exit_within(Duration::from_secs(8)).await?;
        ensure!(code == Some(0), "{code:?}");
        let spans = collector.spans();
        let id = answer.header("x-request-id");
        ensure!(spans.iter().any(|span| span.attribute("weir.request_id") == id), "its last call is missing");
        ensure!(spans.iter().any(|span| span.proto.name == "drain"), "a span of `tracing` is missing");
        ensure!(
            collector.told().records().iter().any(|record| text_of(&record.attributes, "request_id") == id)
        );
        Ok(())
    })
}

/// Broken on purpose to see it fail: the share read at the start alone.
#[test]
fn the_share_that_is_told_changes_with_the_file_and_the_collector_does_not() -> Result<()> {
    in_turn(async {
        let (site, collector) = site("telemetry-reload", "grpc", "").await?;
        let told = site.client.call(&ask()).await;
        tree(&collector, told.header("x-request-id")).await?;
        let change = |text: &str| {
            let text = text.replace("sample_ratio = 1.0", "sample_ratio = 0.0");
            text.replace("otlp_protocol = \"grpc\"", "otlp_protocol = \"http\"")
        };
        site.replicas[0].rewrite(change)?;
        eventually("word of what needs a restart", async || {
            let log = site.replicas[0].log()?;
            Ok(log.contains("configuration reloaded")
                && log.contains("needs a restart")
                && log.contains("\"telemetry\""))
        })
        .await?;
        let untold = site.client.call(&ask()).await;
        site.replicas[0].rewrite(|text| text.replace("sample_ratio = 0.0", "sample_ratio = 1.0"))?;
        let mut last = None;
        eventually("a call that is told of again", async || {
            let answer = site.client.call(&ask()).await;
            tokio::time::sleep(Duration::from_millis(700)).await;
            let id = answer.header("x-request-id").to_owned();
            let found = collector.spans().iter().any(|span| span.attribute("weir.request_id") == id);
            last = Some(answer);
            Ok(found)
        })
        .await?;
        let id = untold.header("x-request-id");
        ensure!(collector.spans().iter().all(|span| span.attribute("weir.request_id") != id), "{last:?}");
        Ok(())
    })
}
