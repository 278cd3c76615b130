//! The exporters of one collector. They read the standard's environment for what the file does not say: time-outs,
//! compression, further headers, temporality.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use arc_swap::ArcSwap;
use hyper_rustls::ConfigBuilderExt;
use opentelemetry::logs::LoggerProvider;
use opentelemetry_otlp::tonic_types::metadata::MetadataMap;
use opentelemetry_otlp::tonic_types::transport::{Certificate, ClientTlsConfig, Identity};
use opentelemetry_otlp::{
    LogExporter, MetricExporter, SpanExporter, WithExportConfig, WithHttpConfig, WithTonicConfig,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::{LogExporter as _, SdkLoggerProvider};
use opentelemetry_sdk::trace::SpanExporter as _;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use secrecy::ExposeSecret;
use tokio::runtime::Handle;

use super::http::Http;
use super::logs::Logs;
use super::metrics::{Counted, Reader};
use super::queue::Fate;
use super::scope;
use crate::config::Tls;
use crate::config::telemetry::{Otlp, Protocol};
use crate::telemetry::redact::Redactor;

/// A request over HTTP may take so long. (Over gRPC the exporter sees to that; both give up after ten seconds in all.)
const LIMIT: Duration = Duration::from_secs(10);

/// Those of the signals that are told.
pub(super) struct Exporters {
    pub(super) spans: Option<SpanExporter>,
    pub(super) logs: Option<Logs>,
    pub(super) metrics: Option<(Reader, Arc<Fate>)>,
}

impl Exporters {
    /// Whose connections belong to the current runtime.
    pub(super) fn new(
        otlp: &Otlp,
        resource: &Resource,
        redactor: &Arc<ArcSwap<Redactor>>,
    ) -> anyhow::Result<Exporters> {
        let (signals, way) = (otlp.signals, Way::new(otlp)?);
        let metrics = signals.metrics.then(|| way.metrics()).transpose()?;
        Ok(Exporters {
            spans: signals.traces.then(|| way.spans(resource)).transpose()?,
            logs: signals.logs.then(|| way.logs(resource)).transpose()?,
            metrics: metrics.map(|exporter| {
                let fate = Arc::<Fate>::default();
                (Counted::reader(exporter, fate.clone(), redactor.clone()), fate)
            }),
        })
    }
}

/// How the collector is spoken to.
enum Way {
    Grpc(Grpc),
    Http(Plain),
}

struct Grpc {
    endpoint: String,
    tls: Option<ClientTlsConfig>,
    headers: MetadataMap,
}

impl Grpc {
    fn set<B: WithExportConfig + WithTonicConfig>(&self, builder: B) -> B {
        let builder = builder.with_endpoint(&self.endpoint).with_metadata(self.headers.clone());
        match &self.tls {
            Some(tls) => builder.with_tls_config(tls.clone()),
            None => builder,
        }
    }
}

struct Plain {
    base: String,
    client: Arc<Http>,
    headers: HashMap<String, String>,
}

impl Plain {
    fn set<B: WithExportConfig + WithHttpConfig>(&self, builder: B, signal: &str) -> B {
        // (Said, or the environment's `OTEL_EXPORTER_OTLP_PROTOCOL` is asked, and what it says of gRPC refused here.)
        builder
            .with_protocol(opentelemetry_otlp::Protocol::HttpBinary)
            .with_endpoint(format!("{}/v1/{signal}", self.base))
            .with_headers(self.headers.clone())
            .with_shared_http_client(self.client.clone())
    }
}

impl Way {
    fn new(otlp: &Otlp) -> anyhow::Result<Way> {
        let (is_tls, base) = (otlp.endpoint.scheme_str() == Some("https"), otlp.endpoint.to_string());
        Ok(match otlp.protocol {
            Protocol::Grpc => Way::Grpc(Grpc {
                endpoint: base,
                tls: is_tls.then(|| grpc_tls(otlp.tls.as_ref())),
                headers: MetadataMap::from_headers(otlp.headers.iter().cloned().collect()),
            }),
            Protocol::Http => {
                let tls = otlp.tls.as_ref().map(http_tls).transpose()?;
                Way::Http(Plain {
                    base: base.trim_end_matches('/').to_owned(),
                    client: Arc::new(Http::new(Handle::current(), tls, LIMIT)),
                    headers: otlp.headers.iter().filter_map(text).collect(),
                })
            }
        })
    }

    fn spans(&self, resource: &Resource) -> anyhow::Result<SpanExporter> {
        let mut exporter = match self {
            Way::Grpc(way) => way.set(SpanExporter::builder().with_tonic()).build(),
            Way::Http(way) => way.set(SpanExporter::builder().with_http(), "traces").build(),
        }?;
        exporter.set_resource(resource);
        Ok(exporter)
    }

    fn logs(&self, resource: &Resource) -> anyhow::Result<Logs> {
        let mut exporter = match self {
            Way::Grpc(way) => way.set(LogExporter::builder().with_tonic()).build(),
            Way::Http(way) => way.set(LogExporter::builder().with_http(), "logs").build(),
        }?;
        exporter.set_resource(resource);
        let maker = SdkLoggerProvider::builder().build().logger_with_scope(scope());
        Ok(Logs { exporter, maker, scope: scope() })
    }

    fn metrics(&self) -> anyhow::Result<MetricExporter> {
        Ok(match self {
            Way::Grpc(way) => way.set(MetricExporter::builder().with_tonic()).build(),
            Way::Http(way) => way.set(MetricExporter::builder().with_http(), "metrics").build(),
        }?)
    }
}

/// (That it is text was checked with the configuration.)
fn text((name, value): &(http::HeaderName, http::HeaderValue)) -> Option<(String, String)> {
    Some((name.to_string(), value.to_str().ok()?.to_owned()))
}

fn grpc_tls(files: Option<&Tls>) -> ClientTlsConfig {
    let config = ClientTlsConfig::new();
    let config = match files.and_then(|files| files.ca.as_ref()) {
        Some(ca) => config.ca_certificate(Certificate::from_pem(ca)),
        None => config.with_webpki_roots(),
    };
    match files.and_then(|files| files.identity.as_ref()) {
        Some(own) => config.identity(Identity::from_pem(&own.cert, own.key.expose_secret())),
        None => config,
    }
}

fn http_tls(files: &Tls) -> anyhow::Result<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let builder = match &files.ca {
        Some(ca) => {
            let mut roots = RootCertStore::empty();
            for certificate in CertificateDer::pem_slice_iter(ca) {
                roots.add(certificate?)?;
            }
            builder.with_root_certificates(roots)
        }
        None => builder.with_webpki_roots(),
    };
    match &files.identity {
        Some(own) => {
            let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&own.cert).collect();
            let key = PrivateKeyDer::from_pem_slice(own.key.expose_secret()).context("the key")?;
            Ok(builder.with_client_auth_cert(chain.context("the certificate")?, key)?)
        }
        None => Ok(builder.with_no_client_auth()),
    }
}
