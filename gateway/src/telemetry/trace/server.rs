//! The span of a call: what its client asked and got, where it was served, and why there.
//!
//! It has no `gen_ai.usage`: backends add that up over all spans, and each attempt's span has it. What the call as a whole
//! used stands under `weir.`.

use std::time::Duration;

use http::{HeaderMap, Version, header};
use opentelemetry::trace::{Span, SpanRef, Status, TraceContextExt};
use opentelemetry::{Array, KeyValue, StringValue, Value};

use super::{Head, Told, count, method, millis, names, text};
use crate::telemetry::{Record, log};

/// What is known at its beginning.
pub(super) fn begin(span: &mut impl Span, head: &Head<'_>) {
    let of_method = method(head.method);
    if let Some(route) = head.route {
        span.update_name(format!("{of_method} {route}"));
    }
    let version = match head.version {
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        _ => "1.1",
    };
    let mut said = vec![
        KeyValue::new(names::METHOD, if of_method == "HTTP" { "_OTHER" } else { of_method }),
        KeyValue::new(names::URL_PATH, head.path.to_owned()),
        KeyValue::new(names::URL_SCHEME, if head.secure { "https" } else { "http" }),
        KeyValue::new(names::PROTOCOL_VERSION, version),
        KeyValue::new(names::CLIENT_ADDRESS, head.client.to_string()),
    ];
    said.extend(head.route.map(|route| KeyValue::new(names::ROUTE, route)));
    said.extend(agent(head.headers));
    span.set_attributes(said);
}

fn agent(headers: &HeaderMap) -> Option<KeyValue> {
    text(headers, header::USER_AGENT).map(|agent| KeyValue::new(names::USER_AGENT, agent))
}

impl Told {
    /// The call is over.
    pub(in crate::telemetry) fn end(&self, record: &Record, duration: Duration) {
        let span = self.context.span();
        let mut said = of_record(record);
        said.extend(of_times(record, duration));
        said.extend(decision(record));
        span.set_attributes(said);
        set_status(&span, record);
        span.end();
    }
}

fn of_record(record: &Record) -> Vec<KeyValue> {
    let mut said = vec![
        KeyValue::new("weir.request_id", record.id.clone()),
        KeyValue::new("weir.outcome", record.outcome),
        count("weir.attempts", record.attempts.into()),
    ];
    let known = [
        ("weir.tenant", &record.tenant),
        ("weir.model", &record.model),
        ("weir.deployment", &record.deployment),
    ];
    for (name, value) in known.into_iter().filter(|(_, value)| !value.is_empty()) {
        said.push(KeyValue::new(name, value.clone()));
    }
    said.extend(status(record).map(|status| KeyValue::new(names::STATUS, i64::from(status))));
    said.push(KeyValue::new("weir.session", log::session(record.session)));
    if record.held_tokens > 0 {
        said.push(count("weir.held_tokens", record.held_tokens));
    }
    if let Some(usage) = record.usage {
        said.push(count("weir.input_tokens", usage.input));
        said.push(count("weir.cached_tokens", usage.cached_input));
        said.push(count("weir.output_tokens", usage.output));
    }
    // What has no price is not free.
    said.extend((record.cost > 0.0).then(|| KeyValue::new("weir.cost_usd", record.cost)));
    said.extend(record.is_cost_unknown.then(|| KeyValue::new("weir.cost_unknown", true)));
    said
}

/// What the client got, if it got anything.
fn status(record: &Record) -> Option<u16> {
    match record.status {
        499 => record.first_token.map(|_| 200),
        status => Some(status),
    }
}

fn of_times(record: &Record, duration: Duration) -> impl Iterator<Item = KeyValue> {
    let overhead = duration.saturating_sub(record.upstream + record.waited);
    let times = [
        ("weir.first_token_ms", record.first_token),
        ("weir.upstream_ms", Some(record.upstream)),
        ("weir.state_ms", Some(record.state)),
        ("weir.waited_ms", Some(record.waited).filter(|time| !time.is_zero())),
        ("weir.overhead_ms", Some(overhead)),
    ];
    times.into_iter().filter_map(|(name, time)| Some(KeyValue::new(name, millis(time?))))
}

/// Why it went where it went.
fn decision(record: &Record) -> Vec<KeyValue> {
    let mut said = Vec::new();
    if let Some((rule, model)) = &record.explanation.rule {
        said.push(KeyValue::new("weir.rule", rule.clone()));
        said.push(KeyValue::new("weir.rule_model", model.clone()));
    }
    if let Some(assigned) = &record.assigned {
        said.push(KeyValue::new("weir.experiment", assigned.experiment.clone()));
        said.push(KeyValue::new("weir.variant", assigned.name.clone()));
        said.push(KeyValue::new("weir.spilled", assigned.spilled));
    }
    if !record.explanation.is_empty() {
        let steps: Vec<StringValue> = record.explanation.steps().map(StringValue::from).collect();
        said.push(KeyValue::new("weir.decision", Value::Array(Array::String(steps))));
    }
    said
}

/// Who is told of an error that is its own has been served well (HTTP's conventions), but its kind is of interest.
fn set_status(span: &SpanRef<'_>, record: &Record) {
    if matches!(record.outcome, "ok" | "client_gone") {
        return;
    }
    span.set_attribute(KeyValue::new(names::ERROR, record.outcome));
    if record.status >= 500 || record.status == 200 {
        span.set_status(Status::error(""));
    }
}
