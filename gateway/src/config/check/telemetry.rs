//! `[telemetry]`.

use std::time::Duration;

use http::{HeaderName, HeaderValue, Uri};

use super::super::telemetry::{Otlp, Protocol, Signal, Signals, Telemetry};
use super::super::tree::{At, Field, List, Reading};
use super::super::{Tls, raw};
use super::accounts::OWN_HEADERS;
use super::server::is_endpoint;
use super::tls;

/// Metrics are told no more often than this.
const LEAST_INTERVAL: Duration = Duration::from_millis(100);
/// Each tenant with a label of its own costs a replica some kilobytes.
const MOST_TENANTS: u64 = 100_000;

/// Resolves the section; without it nothing goes anywhere.
pub(super) fn telemetry(field: &Field<raw::Telemetry>, cx: &mut Reading<'_>) -> Telemetry {
    let defaults = Telemetry::default();
    let Some(At { value: written, .. }) = field.get() else { return defaults };
    let ratio = written.sample_ratio.get();
    if let Some(at) = ratio.filter(|at| !(0.0..=1.0).contains(&at.value)) {
        cx.problem(&at.span, "expected a share from 0 to 1");
    }
    let tenants = written.tenant_labels.get();
    if let Some(at) = tenants.filter(|at| at.value.0 > MOST_TENANTS) {
        cx.problem(&at.span, format!("more than {MOST_TENANTS} are refused: each is kept in memory"));
    }
    Telemetry {
        otlp: otlp(written, cx),
        sample_ratio: ratio.map_or(defaults.sample_ratio, |at| at.value),
        trust_traceparent: written.trust_traceparent.or(defaults.trust_traceparent),
        semconv: written.semconv.value().copied(),
        capture_content: written.capture_content.or(defaults.capture_content),
        tenant_labels: tenants.map_or(defaults.tenant_labels, |at| at.value.0 as usize),
    }
}

/// Everything is checked, also where there is no endpoint.
fn otlp(written: &raw::Telemetry, cx: &mut Reading<'_>) -> Option<Otlp> {
    let protocol = written.otlp_protocol.or(Protocol::Grpc);
    let endpoint = endpoint(&written.otlp_endpoint, protocol, cx);
    let headers = headers(&written.otlp_headers, cx);
    let signals = signals(&written.otlp_signals, cx);
    let tls = tls(written, endpoint.as_ref(), cx);
    let service_name = written.service_name.get();
    if let Some(at) = service_name.filter(|at| at.value.trim().is_empty()) {
        cx.problem(&at.span, "`service_name` is empty");
    }
    let metrics_interval = written.metrics_interval.get();
    if let Some(at) = metrics_interval.filter(|at| at.value < LEAST_INTERVAL) {
        cx.problem(&at.span, "metrics are told every 100ms at most");
    }
    let resource = resource(&written.resource_attributes, cx);
    Some(Otlp {
        endpoint: endpoint?,
        protocol,
        headers,
        signals,
        tls,
        service_name: service_name.map(|at| at.value.clone()),
        resource,
        metrics_interval: metrics_interval.map(|at| at.value),
    })
}

/// A blank one is none, so that it may come from the environment.
fn endpoint(field: &Field<String>, protocol: Protocol, cx: &mut Reading<'_>) -> Option<Uri> {
    let at = field.get().filter(|at| !at.value.trim().is_empty())?;
    let uri = parse_endpoint(at.value.trim(), protocol);
    uri.map_err(|message| cx.problem(&at.span, message)).ok()
}

/// No message quotes the address: it may hold a password.
fn parse_endpoint(written: &str, protocol: Protocol) -> Result<Uri, &'static str> {
    const EXPECTED: &str = "expected the address of a collector, such as `http://host:4317`";
    if written.contains(['?', '#']) {
        return Err("the address of a collector has no query and no fragment: use `otlp_headers`");
    }
    let uri: Uri = written.parse().map_err(|_| EXPECTED)?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err("expected an address that starts with `https://` or `http://`");
    }
    let authority = uri.authority().ok_or(EXPECTED)?;
    if authority.as_str().contains('@') {
        return Err("the address of a collector holds no user or password: use `otlp_headers`");
    }
    if protocol == Protocol::Grpc && uri.path() != "/" {
        return Err("gRPC has no paths: leave it out, or use `otlp_protocol = \"http\"`");
    }
    if is_endpoint(authority) { Ok(uri) } else { Err(EXPECTED) }
}

fn headers(field: &Field<raw::Headers>, cx: &mut Reading<'_>) -> Vec<(HeaderName, HeaderValue)> {
    let mut found = Vec::new();
    for header in field.value().map_or(&[][..], |headers| &headers.0) {
        let Ok(name) = header.name.parse::<HeaderName>() else {
            cx.problem(&header.name_span, "this cannot be the name of a header");
            continue;
        };
        // (What ends in `-bin` is binary in gRPC.)
        if OWN_HEADERS.contains(&name.as_str()) || name.as_str().ends_with("-bin") {
            cx.problem(&header.name_span, format!("`{name}` cannot be set here"));
        }
        let Some(value) = header.value.get() else { continue };
        let is_plain = value.value.chars().all(|c| c.is_ascii_graphic() || c == ' ');
        match HeaderValue::from_str(&value.value) {
            Ok(mut ready) if is_plain => {
                ready.set_sensitive(true); // kept out of debug output
                found.push((name, ready));
            }
            _ => cx.problem(&value.span, "holds characters that a header cannot carry"),
        }
    }
    found
}

fn signals(field: &Field<List<Signal>>, cx: &mut Reading<'_>) -> Signals {
    let Some(at) = field.get() else { return Signals::ALL };
    if at.value.written == 0 {
        cx.problem(&at.span, "names no signal: leave `otlp_endpoint` out to tell nothing");
    }
    let add = |all: Signals, at: &At<Signal>| match at.value {
        Signal::Traces => Signals { traces: true, ..all },
        Signal::Metrics => Signals { metrics: true, ..all },
        Signal::Logs => Signals { logs: true, ..all },
    };
    at.value.items.iter().fold(Signals::NONE, add)
}

fn tls(written: &raw::Telemetry, endpoint: Option<&Uri>, cx: &mut Reading<'_>) -> Option<Tls> {
    let (files, place) = tls::files(&written.otlp_tls, cx)?;
    if endpoint.is_some_and(|uri| uri.scheme_str() != Some("https")) {
        cx.problem(&place, "these files are for TLS, which the collector is not addressed by (`https://`)");
    }
    Some(files)
}

fn resource(field: &Field<raw::Table<String>>, cx: &mut Reading<'_>) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in field.value().map_or(&[][..], |table| &table.0) {
        match entry.key.as_str() {
            "" => cx.problem(&entry.span, "an attribute has a name"),
            "service.name" => cx.problem(&entry.span, "`service_name` says this"),
            "service.instance.id" => cx.problem(&entry.span, "this is the name of the replica"),
            _ => {}
        }
        found.extend(entry.value.value().map(|value| (entry.key.clone(), value.clone())));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collector_has_scheme_and_host_and_for_http_perhaps_a_path() {
        for (good, protocol) in [
            ("http://127.0.0.1:4317", Protocol::Grpc),
            ("https://otel.example/", Protocol::Grpc),
            ("http://h:4318", Protocol::Http),
            ("https://cloud.example/api/public/otel", Protocol::Http),
        ] {
            assert!(parse_endpoint(good, protocol).is_ok(), "{good}");
        }
        for bad in
            ["h:4317", "grpc://h", "http://u:p@h", "http://h?key=1", "http://h/path", "http://h:x", "/"]
        {
            assert!(parse_endpoint(bad, Protocol::Grpc).is_err(), "{bad}");
        }
    }
}
