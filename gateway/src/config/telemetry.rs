//! `[telemetry]`: where traces, metrics and logs go over OTLP, and what stands in them.

use std::time::Duration;

use http::{HeaderName, HeaderValue, Uri};

use super::Tls;

/// `[telemetry]`.
#[derive(Clone, Debug)]
pub struct Telemetry {
    /// Where everything goes; `None`: nowhere.
    pub otlp: Option<Otlp>,
    /// The share of calls of which traces are told, 0 to 1, where no caller has decided.
    pub sample_ratio: f64,
    /// A client's `traceparent` is believed: its trace is joined, and whether to tell is its decision.
    pub trust_traceparent: bool,
    /// Which version of the GenAI conventions names follow; `None`: the file does not say.
    pub semconv: Option<Semconv>,
    /// What clients ask and models answer is told as well, redacted.
    pub capture_content: bool,
    /// So many tenants have a label of their own in metrics.
    pub tenant_labels: usize,
}

impl Default for Telemetry {
    fn default() -> Telemetry {
        Telemetry {
            otlp: None,
            sample_ratio: 0.1,
            trust_traceparent: true,
            semconv: None,
            capture_content: false,
            tenant_labels: 1_000,
        }
    }
}

/// A collector, and who tells it.
#[derive(Clone, Debug)]
pub struct Otlp {
    /// Scheme and authority; for HTTP perhaps a path, to which `/v1/traces` and its like are added.
    pub endpoint: Uri,
    /// How it is spoken to.
    pub protocol: Protocol,
    /// Sent with every request; the values are secret.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// What it gets.
    pub signals: Signals,
    /// What TLS needs besides the public authorities.
    pub tls: Option<Tls>,
    /// `service.name`; `None`: the file does not say.
    pub service_name: Option<String>,
    /// Further attributes of the resource.
    pub resource: Vec<(String, String)>,
    /// How often metrics are told; `None`: the file does not say.
    pub metrics_interval: Option<Duration>,
}

/// `otlp_protocol`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// gRPC over HTTP/2.
    Grpc,
    /// Protobuf in HTTP/1.1.
    Http,
}

/// `otlp_signals`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signals {
    /// Spans.
    pub traces: bool,
    /// Metrics.
    pub metrics: bool,
    /// Log records.
    pub logs: bool,
}

impl Signals {
    /// All of them.
    pub const ALL: Signals = Signals { traces: true, metrics: true, logs: true };
    /// None of them.
    pub const NONE: Signals = Signals { traces: false, metrics: false, logs: false };
}

/// One of `otlp_signals`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Spans.
    Traces,
    /// Metrics.
    Metrics,
    /// Log records.
    Logs,
}

/// `semconv`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Semconv {
    /// Version 1.41 of the conventions, the last one with a number.
    V141,
    /// As they stand in the repository that they have moved to.
    Latest,
    /// Both, while dashboards move from one to the other.
    Both,
}
