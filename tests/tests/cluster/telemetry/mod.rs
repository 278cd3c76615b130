//! What collectors are told: the judge is one of our own that remembers everything ([`weir_tests::collector`]), and one that is
//! not ours in front of it.

mod away;
mod metrics;
mod secrets;
mod spans;
mod ways;

use anyhow::{Context, Result};
use serde_json::Value;
use weir_tests::client::{Ask, get};
use weir_tests::collector::{Collector, Span};
use weir_tests::provider::{Provider, Upstream};
use weir_tests::site::{Plan, Site};

/// Deployment `a` goes first, `b` takes what it cannot.
const MODELS: &str = "[[models]]\nname = \"m\"\n\
    deployments = [{ name = \"a\", priority = 0 }, { name = \"b\", priority = 1 }]\n";

fn upstream(name: &'static str) -> Upstream {
    Upstream::new(name).behaving("--output 8 --latency 20ms --pace 2ms --record-bodies")
}

/// One replica with two deployments that tells `telemetry`.
fn plan(name: &str, telemetry: &str) -> Plan {
    let plan = Plan::new(name, ["a", "b"].map(upstream).to_vec());
    Plan { replicas: 1, models: Some(format!("{MODELS}{telemetry}")), ..plan }
}

/// The same, which tells a collector everything.
async fn site(name: &str, protocol: &str, further: &str) -> Result<(Site, Collector)> {
    let collector = Collector::start().await?;
    let site = Site::start(plan(name, &collector.settings(protocol, further))).await?;
    Ok((site, collector))
}

fn ask() -> Ask {
    Ask::new("m").max_tokens(16).streamed(true)
}

/// The call's span, once it has been told, and those of its attempts in their order.
async fn tree(collector: &Collector, request: &str) -> Result<(Span, Vec<Span>)> {
    let is_call = |span: &&Span| span.is_server() && span.attribute("weir.request_id") == request;
    let spans =
        collector.spans_when("span of the call", |spans| spans.iter().any(|span| is_call(&span))).await?;
    let call = spans.iter().find(is_call).context("no span")?.clone();
    let mut attempts: Vec<Span> = spans.into_iter().filter(|span| span.parent() == call.id()).collect();
    attempts.retain(Span::is_client);
    attempts.sort_by_key(|span| span.attribute("weir.attempt").parse().unwrap_or(0));
    Ok((call, attempts))
}

/// A header of the last request that a provider got.
async fn last_header(provider: &Provider, name: &str) -> Result<Option<String>> {
    let (_, lines) = get(provider.addr(), "/_bodies").await?;
    let text = String::from_utf8(lines.to_vec())?;
    let last: Value = serde_json::from_str(text.lines().last().context("no request")?)?;
    let headers = last["headers"].as_array().cloned().unwrap_or_default();
    let found = headers.iter().find(|pair| pair[0] == name);
    Ok(found.and_then(|pair| pair[1].as_str()).map(str::to_owned))
}
