//! Log records on their way to the collector.

use opentelemetry::InstrumentationScope;
use opentelemetry::logs::{AnyValue, LogRecord as _, Logger as _, Severity};
use opentelemetry::trace::TraceFlags;
use opentelemetry_otlp::LogExporter;
use opentelemetry_sdk::logs::{LogBatch, LogExporter as _, SdkLogRecord, SdkLogger};

use super::queue::{Weighs, Weight};
use super::sender::Export;
use crate::telemetry::log::Entry;
use crate::telemetry::redact::Redactor;

impl Weighs for Entry {
    fn weight(&self) -> Weight {
        Weight { kept: self.size(), told: self.size() }
    }
}

/// The exporter, and what makes its records.
#[derive(Debug)]
pub(super) struct Logs {
    pub(super) exporter: LogExporter,
    pub(super) maker: SdkLogger,
    pub(super) scope: InstrumentationScope,
}

impl Export for Logs {
    type Item = Entry;
    const SIGNAL: &'static str = "logs";

    async fn export(&mut self, batch: Vec<Entry>, redactor: &Redactor) -> Result<(), String> {
        let records: Vec<SdkLogRecord> =
            batch.into_iter().map(|entry| self.record(entry, redactor)).collect();
        let batch: Vec<_> = records.iter().map(|record| (record, &self.scope)).collect();
        let exporting = self.exporter.export(LogBatch::new(&batch));
        exporting.await.map_err(|err| redactor.short(&err.to_string()))
    }
}

impl Logs {
    fn record(&self, entry: Entry, redactor: &Redactor) -> SdkLogRecord {
        let mut record = self.maker.create_log_record();
        record.set_timestamp(entry.at);
        record.set_observed_timestamp(entry.at);
        record.set_target(entry.target);
        record.set_severity_number(severity(entry.level));
        record.set_severity_text(entry.level.as_str());
        if let Some(ids) = entry.ids {
            let flags = if ids.sampled { TraceFlags::SAMPLED } else { TraceFlags::default() };
            record.set_trace_context(ids.trace, ids.span, Some(flags));
        }
        record.set_body(redactor.short(entry.message()).into());
        entry.each(|name, mut value| {
            if let AnyValue::String(text) = &value {
                value = redactor.short(text.as_str()).into();
            }
            record.add_attribute(name, value);
        });
        record
    }
}

fn severity(level: tracing::Level) -> Severity {
    match level {
        tracing::Level::ERROR => Severity::Error,
        tracing::Level::WARN => Severity::Warn,
        tracing::Level::INFO => Severity::Info,
        tracing::Level::DEBUG => Severity::Debug,
        tracing::Level::TRACE => Severity::Trace,
    }
}
