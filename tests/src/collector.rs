//! A collector that remembers everything that it is told, over gRPC and over HTTP: the judge of what replicas tell. It is made
//! with the messages of OpenTelemetry's protocol alone, and shares no code with what tells.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use http::{Request as HttpRequest, Response as HttpResponse, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::{LogsService, LogsServiceServer};
use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse};
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{HistogramDataPoint, Metric, NumberDataPoint};
use opentelemetry_proto::tonic::trace::v1 as trace;
use prost::Message;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tonic::codec::CompressionEncoding;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Status};

use crate::process::eventually;

/// Everything that was told so far.
#[derive(Debug, Default)]
pub struct Told {
    /// Spans.
    pub traces: Vec<ExportTraceServiceRequest>,
    /// Metrics.
    pub metrics: Vec<ExportMetricsServiceRequest>,
    /// Log records.
    pub logs: Vec<ExportLogsServiceRequest>,
    /// The headers of each request.
    pub headers: Vec<BTreeMap<String, String>>,
}

/// A collector that runs; it ends when dropped.
#[derive(Debug)]
pub struct Collector {
    /// Where gRPC is spoken.
    pub grpc: SocketAddr,
    /// Where HTTP is spoken.
    pub http: SocketAddr,
    told: Arc<Mutex<Told>>,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Collector {
    /// Starts one on free ports.
    pub async fn start() -> Result<Collector> {
        let told = Arc::<Mutex<Told>>::default();
        let (grpc_listener, http_listener) =
            (TcpListener::bind("127.0.0.1:0").await?, TcpListener::bind("127.0.0.1:0").await?);
        let (grpc, http) = (grpc_listener.local_addr()?, http_listener.local_addr()?);
        let tasks = vec![
            tokio::spawn(serve_grpc(grpc_listener, told.clone())),
            tokio::spawn(serve_http(http_listener, told.clone())),
        ];
        Ok(Collector { grpc, http, told, tasks })
    }

    /// `[telemetry]` that tells it everything of every call, over `grpc` or `http`, and more in `further` lines.
    pub fn settings(&self, protocol: &str, further: &str) -> String {
        let addr = if protocol == "grpc" { self.grpc } else { self.http };
        settings(protocol, addr, further)
    }

    /// What was told.
    pub fn told(&self) -> MutexGuard<'_, Told> {
        lock(&self.told)
    }

    /// All spans.
    pub fn spans(&self) -> Vec<Span> {
        self.told().spans()
    }

    /// Waits until `enough` of the spans.
    pub async fn spans_when(&self, what: &str, enough: impl Fn(&[Span]) -> bool) -> Result<Vec<Span>> {
        eventually(what, async || Ok(enough(&self.spans()))).await.with_context(|| {
            let names: Vec<String> = self.spans().iter().map(|span| span.proto.name.clone()).collect();
            format!("there are {names:?}")
        })?;
        Ok(self.spans())
    }
}

/// `[telemetry]` that tells everything of every call to `addr`.
pub fn settings(protocol: &str, addr: SocketAddr, further: &str) -> String {
    format!(
        "[telemetry]\notlp_endpoint = \"http://{addr}\"\notlp_protocol = \"{protocol}\"\nsample_ratio = 1.0\n\
         metrics_interval = \"500ms\"\n{further}\n"
    )
}

/// A span, and who told it.
#[derive(Clone, Debug)]
pub struct Span {
    /// As it was told.
    pub proto: trace::Span,
    /// Whose it is.
    pub resource: Vec<KeyValue>,
    /// By what it was made.
    pub scope: String,
}

impl Span {
    /// The text of an attribute; empty if there is none.
    pub fn attribute(&self, name: &str) -> String {
        text_of(&self.proto.attributes, name)
    }

    /// An attribute as it was told.
    pub fn value(&self, name: &str) -> Option<Value> {
        value_of(&self.proto.attributes, name)
    }

    /// The text of an attribute of who told it.
    pub fn whose(&self, name: &str) -> String {
        text_of(&self.resource, name)
    }

    /// Names of its events, in order.
    pub fn events(&self) -> Vec<&str> {
        self.proto.events.iter().map(|event| event.name.as_str()).collect()
    }

    /// The text of an attribute of its first event of a name.
    pub fn event(&self, event: &str, name: &str) -> String {
        let found = self.proto.events.iter().find(|found| found.name == event);
        found.map(|found| text_of(&found.attributes, name)).unwrap_or_default()
    }

    /// Does a server serve in it?
    pub fn is_server(&self) -> bool {
        self.proto.kind == trace::span::SpanKind::Server as i32
    }

    /// Does a client ask in it?
    pub fn is_client(&self) -> bool {
        self.proto.kind == trace::span::SpanKind::Client as i32
    }

    /// Did it end in an error?
    pub fn is_error(&self) -> bool {
        self.proto
            .status
            .as_ref()
            .is_some_and(|status| status.code == trace::status::StatusCode::Error as i32)
    }

    /// Its trace, as hexadecimal digits.
    pub fn trace(&self) -> String {
        hex::encode(&self.proto.trace_id)
    }

    /// Its id, as hexadecimal digits.
    pub fn id(&self) -> String {
        hex::encode(&self.proto.span_id)
    }

    /// The id of the span that it is a part of, as hexadecimal digits; empty if there is none.
    pub fn parent(&self) -> String {
        hex::encode(&self.proto.parent_span_id)
    }
}

impl Told {
    /// All spans.
    pub fn spans(&self) -> Vec<Span> {
        let mut spans = Vec::new();
        for of_resource in self.traces.iter().flat_map(|request| &request.resource_spans) {
            let resource = of_resource.resource.as_ref().map(|resource| resource.attributes.clone());
            for of_scope in &of_resource.scope_spans {
                let scope = of_scope.scope.as_ref().map(|scope| scope.name.clone()).unwrap_or_default();
                spans.extend(of_scope.spans.iter().map(|span| Span {
                    proto: span.clone(),
                    resource: resource.clone().unwrap_or_default(),
                    scope: scope.clone(),
                }));
            }
        }
        spans
    }

    /// All log records.
    pub fn records(&self) -> Vec<LogRecord> {
        let of_resource = self.logs.iter().flat_map(|request| &request.resource_logs);
        of_resource.flat_map(|logs| &logs.scope_logs).flat_map(|logs| &logs.log_records).cloned().collect()
    }

    /// Every telling of a metric, the newest last.
    pub fn metric(&self, name: &str) -> Vec<Metric> {
        let of_resource = self.metrics.iter().flat_map(|request| &request.resource_metrics);
        let all = of_resource.flat_map(|metrics| &metrics.scope_metrics).flat_map(|metrics| &metrics.metrics);
        all.filter(|metric| metric.name == name).cloned().collect()
    }

    /// The points of a histogram as it was told last.
    pub fn histogram(&self, name: &str) -> Vec<HistogramDataPoint> {
        match self.metric(name).pop().and_then(|metric| metric.data) {
            Some(Data::Histogram(histogram)) => histogram.data_points,
            _ => Vec::new(),
        }
    }

    /// The points of a sum as it was told last.
    pub fn sum(&self, name: &str) -> Vec<NumberDataPoint> {
        match self.metric(name).pop().and_then(|metric| metric.data) {
            Some(Data::Sum(sum)) => sum.data_points,
            _ => Vec::new(),
        }
    }

    /// All that was told, as text, to look for what should not be there.
    pub fn everything(&self) -> String {
        format!("{:?}\n{:?}\n{:?}", self.traces, self.metrics, self.logs)
    }
}

/// The value of an attribute, if it is there.
pub fn value_of(attributes: &[KeyValue], name: &str) -> Option<Value> {
    attributes.iter().find(|attribute| attribute.key == name)?.value.as_ref()?.value.clone()
}

/// The text of an attribute; empty if there is none.
pub fn text_of(attributes: &[KeyValue], name: &str) -> String {
    value_of(attributes, name).as_ref().map(text).unwrap_or_default()
}

/// A value as text.
pub fn text(value: &Value) -> String {
    match value {
        Value::StringValue(text) => text.clone(),
        Value::BoolValue(flag) => flag.to_string(),
        Value::IntValue(number) => number.to_string(),
        Value::DoubleValue(number) => number.to_string(),
        Value::ArrayValue(array) => {
            let parts: Vec<String> =
                array.values.iter().filter_map(|AnyValue { value }| value.as_ref().map(text)).collect();
            parts.join(", ")
        }
        other => format!("{other:?}"),
    }
}

fn lock(told: &Mutex<Told>) -> MutexGuard<'_, Told> {
    told.lock().unwrap_or_else(PoisonError::into_inner) // only ever added to
}

async fn serve_grpc(listener: TcpListener, told: Arc<Mutex<Told>>) {
    let desk = Desk(told);
    let served = tonic::transport::Server::builder()
        .add_service(TraceServiceServer::new(desk.clone()).accept_compressed(CompressionEncoding::Gzip))
        .add_service(MetricsServiceServer::new(desk.clone()).accept_compressed(CompressionEncoding::Gzip))
        .add_service(LogsServiceServer::new(desk).accept_compressed(CompressionEncoding::Gzip))
        .serve_with_incoming(TcpIncoming::from(listener))
        .await;
    if let Err(error) = served {
        println!("collector: {error}"); // the test misses what it waits for
    }
}

#[derive(Clone)]
struct Desk(Arc<Mutex<Told>>);

impl Desk {
    fn take<T>(&self, request: Request<T>, add: impl FnOnce(&mut Told, T)) {
        let (metadata, _, message) = request.into_parts();
        let mut told = lock(&self.0);
        told.headers.push(named(&metadata.into_headers()));
        add(&mut told, message);
    }
}

fn named(headers: &http::HeaderMap) -> BTreeMap<String, String> {
    let pair = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        (name.to_string(), value.to_str().unwrap_or_default().to_owned())
    };
    headers.iter().map(pair).collect()
}

#[tonic::async_trait]
impl TraceService for Desk {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, Status> {
        self.take(request, |told, message| told.traces.push(message));
        Ok(tonic::Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Desk {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<tonic::Response<ExportMetricsServiceResponse>, Status> {
        self.take(request, |told, message| told.metrics.push(message));
        Ok(tonic::Response::new(ExportMetricsServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl LogsService for Desk {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<tonic::Response<ExportLogsServiceResponse>, Status> {
        self.take(request, |told, message| told.logs.push(message));
        Ok(tonic::Response::new(ExportLogsServiceResponse::default()))
    }
}

async fn serve_http(listener: TcpListener, told: Arc<Mutex<Told>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let told = told.clone();
        let answer = service_fn(move |request| post(request, told.clone()));
        let connection =
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer);
        tokio::spawn(connection); // its errors show in what is missing
    }
}

async fn post(request: HttpRequest<Incoming>, told: Arc<Mutex<Told>>) -> Result<HttpResponse<Full<Bytes>>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let mut told = lock(&told);
    told.headers.push(named(&head.headers));
    let taken = match head.uri.path() {
        "/v1/traces" => ExportTraceServiceRequest::decode(body).map(|message| told.traces.push(message)),
        "/v1/metrics" => ExportMetricsServiceRequest::decode(body).map(|message| told.metrics.push(message)),
        "/v1/logs" => ExportLogsServiceRequest::decode(body).map(|message| told.logs.push(message)),
        _ => return answer(StatusCode::NOT_FOUND),
    };
    answer(if taken.is_ok() { StatusCode::OK } else { StatusCode::BAD_REQUEST })
}

/// (An empty message is a whole one.)
fn answer(status: StatusCode) -> Result<HttpResponse<Full<Bytes>>> {
    let answer = HttpResponse::builder().status(status).header("content-type", "application/x-protobuf");
    Ok(answer.body(Full::new(Bytes::new()))?)
}

/// How long nothing may be missing: a batch waits for half a second.
pub const SOON: Duration = Duration::from_secs(5);
